//! The one typed model of what an operator asked for: named policies and remotes.
//!
//! A change works on a copy: clone the model, change the clone, and keep it when everything accepted it.
//! [`Model::difference`] then tells a data plane what to do, and [`Model::ike_config`] what IKE shall work with.

mod accounts;
mod advice;
mod beside;
mod commands;
mod error;
mod interfaces;
pub mod keyed;
mod keys;
mod loaded;
mod policies;
mod pools;
mod ppk;
mod reload;
mod remote;
mod rounds;
pub mod setkey;
mod shared;
mod since;
mod xauth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use ravelin_eap::Accounts;
use ravelin_ike::config::{ChildPolicy, Config, OwnedKey};
use ravelin_types::interface::Interface;
use ravelin_types::policy::{Action, Domain, Policy, PolicyId, PriorityLevel, Protection, Ways};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{HostName, Identity, Secret};

pub use self::commands::Commands;
pub use self::error::ModelError;
use self::keyed::Keyed;
use self::keys::Auth;
pub use self::loaded::Misfit;
use self::policies::Policies;
pub use self::remote::RemoteEntry;
use self::shared::Shared;
use crate::papers::{Database, PaperError};
use crate::secret;
use crate::spec::{ActionWord, PolicySpec, PoolSpec, RemoteSpec, SharedSecret, Which, X509Spec};
use crate::value::protocol::Protocol;
use crate::value::selector::IdString;
use crate::value::{among, did_you_mean};

/// The document's priority of the automatic bypass policies (document 003, `ipsec policy`).
const AUTOMATIC_PRIORITY: PriorityLevel = PriorityLevel::High;

/// Policies and remotes.
#[derive(Clone, Debug)]
pub struct Model {
    policies: Shared<Policies>,
    /// By name and version; a copy shares the entries.
    remotes: Shared<BTreeMap<(String, u8), Arc<RemoteEntry>>>,
    /// Policies whose keys do not come from IKE.
    keyed: BTreeMap<PolicyId, Keyed>,
    /// What scripts of setkey(8) have added, from which some of those are made.
    setkey: setkey::Tables,
    /// Virtual interfaces that are there without policies, by name.
    interfaces: BTreeMap<String, Interface>,
    /// Secrets that were loaded, by name.
    secrets: Shared<BTreeMap<String, Arc<SharedSecret>>>,
    /// The keys among them, as remotes hold them.
    keyring: Arc<[OwnedKey]>,
    /// The post-quantum pre-shared keys among them, each with its name.
    ppks: Arc<[(Identity, Secret)]>,
    /// Internal addresses for peers, by name.
    pools: BTreeMap<String, PoolSpec>,
    /// The passwords among them.
    accounts: Accounts,
    /// Where names lead of which remotes need the address itself, as far as they were looked up.
    found: BTreeMap<HostName, Vec<IpAddr>>,
    /// Certificates, and the private keys of our own.
    pub(crate) database: Database,
    /// Numbers below this one were given to a policy once and are never given again.
    next_id: u32,
    /// Where the next remote stands among all.
    next_place: u32,
}

/// A policy and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEntry {
    /// The `spid` column.
    pub id: PolicyId,
    /// What was asked for.
    pub spec: PolicySpec,
    /// The SPD it stands in: the default one, or that of its virtual interface.
    pub domain: Domain,
    /// Not the operator's: lets IKE and Neighbor Discovery pass.
    pub automatic: bool,
    /// Where its remote end is, as far as a name of that was looked up.
    pub at: Vec<IpAddr>,
}

/// A policy that names a remote which is not configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The policy.
    pub policy: String,
    /// The missing remote.
    pub remote: String,
    /// `; did you mean X?`, or nothing.
    pub hint: String,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// Only the automatic policies: UDP 500 and 4500, without which IKE could not work, and Neighbor Discovery,
    /// without which IPv6 could not.
    pub fn new() -> Self {
        Self::numbered_from(1)
    }

    /// The same, where the numbers below `first` belong to somebody else.
    pub fn numbered_from(first: u32) -> Self {
        let mut model = Model {
            policies: Shared::default(),
            remotes: Shared::default(),
            keyed: BTreeMap::new(),
            setkey: setkey::Tables::default(),
            interfaces: BTreeMap::new(),
            secrets: Shared::default(),
            keyring: Arc::from([]),
            ppks: Arc::from([]),
            pools: BTreeMap::new(),
            accounts: Accounts::default(),
            found: BTreeMap::new(),
            database: Database::default(),
            next_id: first,
            next_place: 0,
        };
        let (any_v4, any_v6) = (TrafficSelector::any_v4(), TrafficSelector::any_v6());
        // ICMPv6 types 133 to 137, each with every code.
        let discovery = Protocol { number: 58, types: Some(133 << 8..=(137 << 8 | 0xff)) };
        for (name, source, destination, protocol) in [
            ("ike", port(any_v4, 500), any_v4, Protocol::from(17)),
            ("ike-nat", port(any_v4, 4500), any_v4, Protocol::from(17)),
            ("ike6", port(any_v6, 500), any_v6, Protocol::from(17)),
            ("ike6-nat", port(any_v6, 4500), any_v6, Protocol::from(17)),
            ("neighbor-discovery", any_v6, any_v6, discovery),
        ] {
            let local = IdString::from(source).bind(&protocol);
            let remote = IdString::from(destination).bind(&protocol);
            model.add_automatic(name, AUTOMATIC_PRIORITY, local, remote);
        }
        model
    }

    /// The same with `IKE_ADD_TEST_BYPASS_POLICIES` of document 003: behind all other policies, everything passes.
    #[must_use]
    pub fn with_test_bypass(mut self) -> Self {
        for (name, any) in [("test-bypass", TrafficSelector::any_v4()), ("test-bypass6", TrafficSelector::any_v6())] {
            self.add_automatic(name, PriorityLevel::Lowest, any, any);
        }
        self
    }

    /// Adds a bypass policy that is not the operator's.
    fn add_automatic(&mut self, name: &str, level: PriorityLevel, local: TrafficSelector, remote: TrafficSelector) {
        let spec = PolicySpec {
            name: name.to_owned(),
            priority: level.into(),
            local: vec![local],
            remote: vec![remote],
            action: ActionWord::Bypass,
            ways: Ways::Both,
            trap: true,
            esp: None,
            interface: None,
            connection: None,
        };
        let id = PolicyId(self.next_id);
        self.next_id += 1;
        self.policies.insert(PolicyEntry { id, spec, domain: Domain::default(), automatic: true, at: Vec::new() });
    }

    /// Adds a policy under a new number.
    ///
    /// # Errors
    /// When the name is taken, or the policy would catch IKE's own packets or contradicts its remote.
    pub fn add_policy(&mut self, spec: PolicySpec) -> Result<PolicyId, ModelError> {
        if self.policy(&spec.name).is_some() {
            return Err(ModelError::PolicyExists(spec.name));
        }
        if spec.priority < AUTOMATIC_PRIORITY.into() && spec.action != ActionWord::Bypass && catches_ike(&spec) {
            return Err(ModelError::CatchesIke(spec.name));
        }
        self.check_remote(&spec)?;
        let domain = self.domain_of(self.interface_of(&spec))?;
        let id = self.new_id()?;
        self.policies.insert(PolicyEntry { id, spec, domain, automatic: false, at: Vec::new() });
        Ok(id)
    }

    /// Removes one policy, or all but the automatic ones; their numbers are returned.
    ///
    /// # Errors
    /// When there is no such policy, or it is an automatic one.
    pub fn delete_policies(&mut self, which: &Which) -> Result<Vec<PolicyId>, ModelError> {
        let ids: Vec<PolicyId> = match which {
            Which::All => {
                self.forget_all_entries();
                let named = self.policies.iter().filter(|entry| !entry.automatic).map(|entry| entry.id);
                named.chain(self.keyed.keys().copied()).collect()
            }
            Which::Named(name) => {
                if let Some(keyed) = self.keyed.values().find(|keyed| keyed.policy.name == *name) {
                    let id = keyed.policy.id;
                    self.delete_keyed(id);
                    return Ok(vec![id]);
                }
                let entry = self.find_policy(name)?;
                if entry.automatic {
                    return Err(ModelError::Automatic(name.clone()));
                }
                vec![entry.id]
            }
        };
        ids.iter().for_each(|id| self.policies.remove(*id));
        self.keyed.retain(|id, _| !ids.contains(id));
        Ok(ids)
    }

    /// Adds a remote; its key is read from its file, which is sought in `directory` unless its path is absolute.
    ///
    /// # Errors
    /// When the name is taken, the key cannot be had, or a policy contradicts the remote.
    pub fn add_remote(&mut self, mut spec: RemoteSpec, directory: &Path) -> Result<(), ModelError> {
        let key = (spec.name.clone(), spec.version.number());
        if self.remotes.contains_key(&key) {
            return Err(ModelError::RemoteExists(key.0, key.1));
        }
        if spec.initiate && self.versions(&spec.name).any(|other| other.spec.initiate) {
            return Err(ModelError::InitiatesAlready(key.0));
        }
        // Without a file it is among the keys that were loaded, which are looked through when the peer is known.
        let auth = match (&spec.signature, &spec.secret_file) {
            _ if spec.eap.is_some() => self.eap(&mut spec, directory)?,
            (Some(signature), _) => {
                let signature = signature.clone();
                self.signature(&mut spec, &signature, directory).map_err(ModelError::Paper)?
            }
            (None, Some(file)) => Auth::Psk(secret::read(&directory.join(file)).map_err(ModelError::Secret)?),
            (None, None) => Auth::Psk(Secret::default()),
        };
        self.check_radius(&spec)?;
        let ppk = ppk::read(&spec.extensions, directory)?;
        let rounds = self.round_keys(&spec.rounds, directory)?;
        let xauth = xauth::read(&spec, directory)?;
        let place = self.next_place();
        self.remotes.insert(key.clone(), Arc::new(RemoteEntry { spec, place, auth, ppk, rounds, xauth }));
        let contradiction = self.policies.of_remote(&key.0).find_map(|entry| self.check_remote(&entry.spec).err());
        match contradiction {
            Some(error) => {
                self.remotes.remove(&key);
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Removes a remote in both versions.
    fn forget_remote(&mut self, name: &str) {
        let keys: Vec<(String, u8)> = self.remotes.range(versions_of(name)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| _ = self.remotes.remove(key));
    }

    /// The place of a remote that comes last.
    fn next_place(&mut self) -> u32 {
        self.next_place = self.next_place.saturating_add(1);
        self.next_place
    }

    /// Adds the certificates of a file; files are sought in `directory`.
    ///
    /// # Errors
    /// When something cannot be read, or does not belong together.
    pub fn add_certificate(&mut self, spec: &X509Spec, directory: &Path) -> Result<(), ModelError> {
        self.database.add(spec, directory).map(drop).map_err(ModelError::Paper)
    }

    /// Removes the certificates of a file. Whoever proved himself by them keeps his SAs.
    ///
    /// # Errors
    /// When it is not there, or a remote proves us by it.
    pub fn delete_certificate(&mut self, file: &Path) -> Result<(), ModelError> {
        let uses = |entry: &&Arc<RemoteEntry>| {
            entry.spec.signature.as_ref().is_some_and(|s| s.own.iter().any(|own| own == file))
        };
        if let Some(user) = self.remotes.values().find(uses) {
            return Err(ModelError::Paper(PaperError::InUse(file.to_owned(), user.spec.name.clone())));
        }
        self.database.delete(file).map_err(ModelError::Paper)
    }

    /// The certificates.
    pub fn certificates(&self) -> &Database {
        &self.database
    }

    /// Removes one remote, in both versions, or all; policies that name it wait for another of this name.
    ///
    /// # Errors
    /// When there is no such remote.
    pub fn delete_remotes(&mut self, which: &Which) -> Result<Vec<String>, ModelError> {
        let names = match which {
            Which::All => self.remotes.keys().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(),
            Which::Named(name) => BTreeSet::from([self.find_remote(name)?.spec.name.clone()]),
        };
        self.remotes.retain(|(name, _), _| !names.contains(name));
        Ok(names.into_iter().collect())
    }

    /// Every policy, in the order of numbers.
    pub fn policies(&self) -> impl Iterator<Item = &PolicyEntry> {
        self.policies.iter()
    }

    /// The policy of this number.
    pub fn policy_by_id(&self, id: PolicyId) -> Option<&PolicyEntry> {
        self.policies.get(id)
    }

    /// The policy of this name.
    pub fn policy(&self, name: &str) -> Option<&PolicyEntry> {
        self.policies.named(name)
    }

    /// The policy of this name, or the only child of a connection that has it.
    ///
    /// # Errors
    /// When there is none, with a suggestion.
    pub fn find_policy(&self, name: &str) -> Result<&PolicyEntry, ModelError> {
        let mut children = self.policies.iter().filter(|entry| entry.spec.child_name() == name);
        let child = children.next().filter(|_| children.next().is_none());
        self.policy(name).or(child).ok_or_else(|| {
            let known = self.policies.iter().filter(|entry| !entry.automatic).map(|entry| entry.spec.name.as_str());
            ModelError::NoSuchPolicy(name.to_owned(), among(name, known))
        })
    }

    /// Every remote, in the order in which they were added or stand in the file that was loaded.
    pub fn remotes(&self) -> impl Iterator<Item = &RemoteEntry> {
        let mut remotes: Vec<&RemoteEntry> = self.remotes.values().map(AsRef::as_ref).collect();
        remotes.sort_by_key(|entry| entry.place);
        remotes.into_iter()
    }

    /// The remotes of this name, one for each version.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = &RemoteEntry> {
        self.remotes.range(versions_of(name)).map(|(_, entry)| entry.as_ref())
    }

    /// The remote of this name, of the version that initiates where there are both.
    ///
    /// # Errors
    /// When there is none, with a suggestion.
    pub fn find_remote(&self, name: &str) -> Result<&RemoteEntry, ModelError> {
        let found = self.versions(name).find(|entry| entry.spec.initiate).or_else(|| self.versions(name).next());
        let known = self.remotes.keys().map(|(name, _)| name.as_str());
        found.ok_or_else(|| ModelError::NoSuchRemote(name.to_owned(), among(name, known)))
    }

    /// Policies whose remote is not configured: their traffic is dropped until it is.
    pub fn unresolved(&self) -> Vec<Unresolved> {
        self.policies
            .iter()
            .filter_map(|entry| Some((&entry.spec.name, &entry.spec.esp.as_ref()?.remote)))
            .filter(|(_, remote)| self.versions(remote).next().is_none())
            .map(|(policy, remote)| Unresolved {
                policy: policy.clone(),
                remote: remote.clone(),
                hint: self.remote_hint(remote),
            })
            .collect()
    }

    /// Whether a remote serves the policy of this number.
    pub fn is_served(&self, id: PolicyId) -> bool {
        let esp = self.policies.get(id).and_then(|entry| entry.spec.esp.as_ref());
        esp.is_some_and(|esp| self.versions(&esp.remote).next().is_some())
    }

    /// What IKE works with: remotes, and the policies that one of them serves. `sources` has the addresses from which
    /// remotes are reached, as far as they were looked up.
    pub fn ike_config(&self, sources: &BTreeMap<IpAddr, IpAddr>) -> Arc<Config> {
        self.config_of(self.remotes(), self.policies.iter(), sources)
    }

    fn config_of<'a>(
        &self,
        remotes: impl Iterator<Item = &'a RemoteEntry>,
        policies: impl Iterator<Item = &'a PolicyEntry>,
        sources: &BTreeMap<IpAddr, IpAddr>,
    ) -> Arc<Config> {
        let policies = policies.filter_map(|entry| {
            let esp = entry.spec.esp.as_ref()?;
            self.versions(&esp.remote).next().is_some().then(|| ChildPolicy {
                // Where its peer is IKE finds out itself, each time it begins.
                policy: entry.policy_with(&[]),
                remote: esp.remote.clone(),
                proposals: esp.proposals.clone(),
                ah: esp.ah.clone(),
                dynamic: esp.dynamic.clone(),
                names: esp.names.clone(),
            })
        });
        // How many processors the data plane tells apart, it says itself.
        Arc::new(Config {
            remotes: remotes.map(|entry| entry.ike_remote(sources, self)).collect(),
            policies: policies.collect(),
            pools: self.ike_pools(),
            processors: 0,
            ipcomp: false,
            aggfrag: false,
        })
    }

    /// The SPD, as far as it does not depend on SAs.
    pub fn spd(&self) -> Vec<Policy> {
        let keyed = self.keyed.values().map(|keyed| keyed.policy.clone());
        let standing = self.policies.iter().filter(|entry| entry.stands());
        standing.map(PolicyEntry::spd_policy).chain(keyed).collect()
    }

    /// Takes note of where the hosts of names are. Whether a policy is another now, or a RADIUS server elsewhere.
    pub fn hosts_found<'a>(&mut self, found: impl IntoIterator<Item = (&'a HostName, &'a [IpAddr])>) -> bool {
        let found: BTreeMap<&HostName, &[IpAddr]> = found.into_iter().collect();
        if found.is_empty() {
            return false;
        }
        let mut changed = false;
        for name in self.remotes.values().flat_map(|entry| entry.spec.server_names()) {
            if let Some(addresses) = found.get(name)
                && self.found.get(name).map(Vec::as_slice) != Some(*addresses)
            {
                self.found.insert(name.clone(), addresses.to_vec());
                changed = true;
            }
        }
        changed
            | self.policies.place(|entry| {
                let esp = entry.spec.esp.as_ref()?;
                let addresses = found.get(esp.endpoint.name()?)?;
                let family = |address: &&IpAddr| esp.local.is_none_or(|own| own.is_ipv4() == address.is_ipv4());
                Some(addresses.iter().filter(family).copied().collect())
            })
    }

    fn remote_hint(&self, name: &str) -> String {
        did_you_mean(name, self.remotes.keys().map(|(name, _)| name.as_str()))
    }

    fn check_remote(&self, spec: &PolicySpec) -> Result<(), ModelError> {
        let Some(esp) = &spec.esp else { return Ok(()) };
        if self.versions(&esp.remote).any(|remote| !remote.spec.hosts().any(|host| *host == esp.endpoint)) {
            return Err(ModelError::EndpointsDiffer {
                policy: spec.name.clone(),
                remote: esp.remote.clone(),
                endpoint: esp.endpoint.clone(),
                addresses: self.versions(&esp.remote).flat_map(|remote| remote.spec.hosts().cloned()).collect(),
            });
        }
        let named = |peer: &Identity| esp.names.is_empty() || esp.names.iter().any(|name| name.takes(peer));
        let stranger = self.versions(&esp.remote).map(|remote| &remote.spec);
        match stranger.filter(|remote| remote.peers.is_none()).find(|remote| !named(&remote.peer_id)) {
            Some(RemoteSpec { peer_id, .. }) => Err(ModelError::NotForRemote {
                policy: spec.name.clone(),
                remote: esp.remote.clone(),
                peer: peer_id.clone(),
            }),
            None => Ok(()),
        }
    }
}

impl PolicyEntry {
    /// Whether it is in force without an SA. One for the packets of a peer whose name leads nowhere yet is for none.
    pub fn stands(&self) -> bool {
        let known = self.spec.esp.is_none() || !self.spec.remote.is_empty() || !self.at.is_empty();
        self.spec.trap && known
    }

    /// As a data plane takes it.
    pub fn spd_policy(&self) -> Policy {
        self.policy_with(&self.at)
    }

    /// The same where the remote end has a name and is at these addresses.
    fn policy_with(&self, at: &[IpAddr]) -> Policy {
        let spec = &self.spec;
        let (local, mut remote) = (spec.local.clone(), spec.remote.clone());
        if let Some(esp) = spec.esp.as_ref().filter(|_| spec.trap) {
            let host = |ts: &TrafficSelector, address: &IpAddr| {
                TrafficSelector::host(*address).with(ts.protocol(), ts.ports()).ok()
            };
            remote.extend(esp.dynamic.remote.iter().flat_map(|ts| at.iter().filter_map(move |it| host(ts, it))));
        }
        let action = match (&spec.esp, spec.action) {
            (Some(esp), _) => Action::Protect(Protection {
                mode: esp.mode,
                local: esp.local,
                remote: at.first().copied().unwrap_or_else(|| esp.endpoint.or_unspecified(esp.local)),
                pfp: esp.pfp,
                lifetime: esp.lifetime,
                replay_window: esp.replay_window,
                options: esp.options,
            }),
            (None, ActionWord::Bypass) => Action::Bypass,
            (None, ActionWord::Secure | ActionWord::Discard) => Action::Discard,
        };
        let priority = spec.priority.number();
        let (name, ways) = (spec.name.clone(), spec.ways);
        Policy { id: self.id, name, domain: self.domain, priority, local, remote, action, ways }
    }
}

/// The places of the remotes of a name.
fn versions_of(name: &str) -> RangeInclusive<(String, u8)> {
    (name.to_owned(), 0)..=(name.to_owned(), u8::MAX)
}

/// Whether IKE's packets (UDP from or to port 500 or 4500) would match.
fn catches_ike(spec: &PolicySpec) -> bool {
    spec.local.iter().any(|source| {
        let any = if source.is_ipv4() { TrafficSelector::any_v4() } else { TrafficSelector::any_v6() };
        [500, 4500].iter().any(|&number| {
            let ike = any.with(17, number..=number);
            ike.is_ok_and(|ike| source.intersection(&ike).is_some())
        })
    })
}

fn port(addresses: TrafficSelector, port: u16) -> TrafficSelector {
    addresses.with(17, port..=port).unwrap_or(addresses)
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, remote, hint) = (&self.policy, &self.remote, &self.hint);
        write!(f, "the policy {policy} names the remote {remote}, which is not configured")?;
        match hint.is_empty() {
            true => write!(f, ": add `ike remote -n {remote}`, or name another with -g"),
            false => f.write_str(hint),
        }
    }
}

#[cfg(test)]
mod tests;
