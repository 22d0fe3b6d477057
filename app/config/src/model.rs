//! The one typed model of what an operator asked for: named policies and remotes.
//!
//! A change works on a copy: clone the model, change the clone, and keep it when everything accepted it.
//! [`Model::difference`] then tells a data plane what to do, and [`Model::ike_config`] what IKE shall work with.

mod accounts;
mod commands;
mod error;
mod interfaces;
pub mod keyed;
mod loaded;
mod pools;
mod ppk;
mod reload;
mod xauth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ravelin_eap::{Accounts, Client, Server};
use ravelin_ike::config::{
    ChildPolicy, Config, EapServer, IdPattern, IkeVersion, LocalAuth, Open, OwnedKey, Remote, RemoteAuth, Xauth,
};
use ravelin_pki::Certificate;
use ravelin_pki::auth::Credential;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::interface::Interface;
use ravelin_types::policy::{Action, Domain, Policy, PolicyId, PriorityLevel, Protection, Ways};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, Secret};

pub use self::commands::Commands;
pub use self::error::ModelError;
use self::keyed::Keyed;
use crate::command::{ActionWord, PolicySpec, RemoteSpec, SignatureSpec, Which, X509Spec, XauthSpec};
use crate::eap::{self, EapSpec, Role};
use crate::papers::{self, Database, PaperError};
use crate::secret;
use crate::swanctl::pools::PoolSpec;
use crate::swanctl::secrets::SharedSecret;
use crate::value::did_you_mean;
use crate::value::protocol::Protocol;
use crate::value::selector::IdString;

/// The document's priority of the automatic bypass policies (document 003, `ipsec policy`).
const AUTOMATIC_PRIORITY: PriorityLevel = PriorityLevel::High;

/// Policies and remotes.
#[derive(Clone, Debug)]
pub struct Model {
    policies: BTreeMap<PolicyId, PolicyEntry>,
    /// The numbers of the policies by their names.
    names: BTreeMap<String, PolicyId>,
    /// By name and version.
    remotes: BTreeMap<(String, u8), RemoteEntry>,
    /// Policies whose keys do not come from IKE.
    keyed: BTreeMap<PolicyId, Keyed>,
    /// Virtual interfaces that are there without policies, by name.
    interfaces: BTreeMap<String, Interface>,
    /// Secrets that were loaded, by name.
    secrets: BTreeMap<String, SharedSecret>,
    /// The keys among them, as remotes hold them.
    keyring: Arc<[OwnedKey]>,
    /// Internal addresses for peers, by name.
    pools: BTreeMap<String, PoolSpec>,
    /// The passwords among them.
    accounts: Accounts,
    /// Certificates, and the private keys of our own.
    pub(crate) database: Database,
    /// Numbers below this one were given to a policy once and are never given again.
    next_id: u32,
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
}

/// A remote, and what the two sides prove themselves with.
#[derive(Clone, Debug)]
pub struct RemoteEntry {
    /// What was asked for.
    pub spec: RemoteSpec,
    auth: Auth,
    /// The post-quantum pre-shared key in a file of its own.
    ppk: Option<Secret>,
    /// The login, where its file was read.
    xauth: Option<Xauth>,
}

/// The keys of a remote.
#[derive(Clone, Debug)]
enum Auth {
    /// One for both sides; an empty one where it is sought among those that were loaded.
    Psk(Secret),
    /// Those of the logins of accounts, each its own.
    Logins(Arc<[OwnedKey]>),
    /// Ours, if we sign, and the certificates that the peer must use, if there are such.
    Signature(Option<Arc<Credential>>, Vec<Certificate>),
    /// We are a user of EAP: his password, unless it is sought among those that were loaded, and the certificates that the
    /// peer must use.
    User(Option<Secret>, Vec<Certificate>),
    /// The peer is one: the passwords, unless they are those that were loaded, and what we prove ourselves with, unless it
    /// is a key that was loaded.
    Users(Option<Accounts>, Option<Arc<Credential>>),
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
        let mut model = Model {
            policies: BTreeMap::new(),
            names: BTreeMap::new(),
            remotes: BTreeMap::new(),
            keyed: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            secrets: BTreeMap::new(),
            keyring: Arc::from([]),
            pools: BTreeMap::new(),
            accounts: Accounts::default(),
            database: Database::default(),
            next_id: 1,
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
        self.names.insert(name.to_owned(), id);
        self.policies.insert(id, PolicyEntry { id, spec, domain: Domain::default(), automatic: true });
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
        let domain = self.domain_of(spec.interface.as_deref())?;
        let id = self.new_id()?;
        self.names.insert(spec.name.clone(), id);
        self.policies.insert(id, PolicyEntry { id, spec, domain, automatic: false });
        Ok(id)
    }

    /// Removes one policy, or all but the automatic ones; their numbers are returned.
    ///
    /// # Errors
    /// When there is no such policy, or it is an automatic one.
    pub fn delete_policies(&mut self, which: &Which) -> Result<Vec<PolicyId>, ModelError> {
        let ids: Vec<PolicyId> = match which {
            Which::All => {
                let named = self.policies.values().filter(|entry| !entry.automatic).map(|entry| entry.id);
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
        for entry in ids.iter().filter_map(|id| self.policies.remove(id)) {
            self.names.remove(&entry.spec.name);
        }
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
        let ppk = ppk::read(&spec.extensions, directory)?;
        let xauth = xauth::read(&spec, directory)?;
        self.remotes.insert(key.clone(), RemoteEntry { spec, auth, ppk, xauth });
        let contradiction = self.policies.values().find_map(|entry| self.check_remote(&entry.spec).err());
        match contradiction {
            Some(error) => {
                self.remotes.remove(&key);
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// The keys of a remote that authenticates by signatures; identities that are those of certificates are filled in.
    fn signature(
        &self,
        spec: &mut RemoteSpec,
        signature: &SignatureSpec,
        directory: &Path,
    ) -> Result<Auth, PaperError> {
        let credential = match signature.own.is_empty() {
            true => None,
            false => Some(Arc::new(self.database.credential(&signature.own, directory)?)),
        };
        let trust = self.database.trust(signature.peer.as_deref(), directory)?;
        let certificate = credential.as_ref().and_then(|credential| credential.certificates.first());
        if let (true, Some(file), Some(own)) = (signature.own_subject, signature.own.first(), certificate) {
            spec.own_id = papers::subject(own, file)?;
        }
        if let (true, Some(file), Some(peer)) = (signature.peer_subject, &signature.peer, trust.pinned.first()) {
            spec.peer_id = papers::subject(peer, file)?;
        }
        Ok(Auth::Signature(credential, trust.pinned))
    }

    /// The keys of a remote of which one side is a user of EAP.
    fn eap(&self, spec: &mut RemoteSpec, directory: &Path) -> Result<Auth, ModelError> {
        let file = spec.secret_file.as_ref().map(|file| directory.join(file));
        let signature = spec.signature.clone();
        match &spec.eap {
            Some(EapSpec { role: Role::User(_), psk, .. }) => {
                let password = file.map(|file| secret::read(&file)).transpose().map_err(ModelError::Secret)?;
                let pinned = signature.as_ref().and_then(|signature| signature.peer.as_deref());
                let trust = if *psk { Vec::new() } else { self.trusted(pinned, directory)? };
                if let (Some(SignatureSpec { peer: Some(file), peer_subject: true, .. }), Some(peer)) =
                    (&signature, trust.first())
                {
                    spec.peer_id = papers::subject(peer, file).map_err(ModelError::Paper)?;
                }
                Ok(Auth::User(password, trust))
            }
            _ => {
                let accounts = file.map(|file| eap::read_accounts(&file)).transpose().map_err(ModelError::Accounts)?;
                let own = match signature {
                    Some(signature) => {
                        let own = self.database.credential(&signature.own, directory).map_err(ModelError::Paper)?;
                        if let (true, Some(file), Some(first)) =
                            (signature.own_subject, signature.own.first(), own.certificates.first())
                        {
                            spec.own_id = papers::subject(first, file).map_err(ModelError::Paper)?;
                        }
                        Some(Arc::new(own))
                    }
                    None => None,
                };
                Ok(Auth::Users(accounts, own))
            }
        }
    }

    fn trusted(&self, pinned: Option<&Path>, directory: &Path) -> Result<Vec<Certificate>, ModelError> {
        Ok(self.database.trust(pinned, directory).map_err(ModelError::Paper)?.pinned)
    }

    /// Adds the certificates of a file; files are sought in `directory`.
    ///
    /// # Errors
    /// When something cannot be read, or does not belong together.
    pub fn add_certificate(&mut self, spec: &X509Spec, directory: &Path) -> Result<(), ModelError> {
        let X509Spec { file, database, key, passphrase } = spec;
        let added = self.database.add(file, key.as_deref(), passphrase.as_deref(), *database, directory);
        added.map(drop).map_err(ModelError::Paper)
    }

    /// Removes the certificates of a file. Whoever proved himself by them keeps his SAs.
    ///
    /// # Errors
    /// When it is not there, or a remote proves us by it.
    pub fn delete_certificate(&mut self, file: &Path) -> Result<(), ModelError> {
        let uses =
            |entry: &&RemoteEntry| entry.spec.signature.as_ref().is_some_and(|s| s.own.iter().any(|own| own == file));
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
        self.policies.values()
    }

    /// The policy of this number.
    pub fn policy_by_id(&self, id: PolicyId) -> Option<&PolicyEntry> {
        self.policies.get(&id)
    }

    /// The policy of this name.
    pub fn policy(&self, name: &str) -> Option<&PolicyEntry> {
        self.policies.get(self.names.get(name)?)
    }

    /// The policy of this name, or the only child of a connection that has it.
    ///
    /// # Errors
    /// When there is none, with a suggestion.
    pub fn find_policy(&self, name: &str) -> Result<&PolicyEntry, ModelError> {
        let mut children = self.policies.values().filter(|entry| entry.spec.child_name() == name);
        let child = children.next().filter(|_| children.next().is_none());
        self.policy(name).or(child).ok_or_else(|| {
            let known = self.policies.values().filter(|entry| !entry.automatic).map(|entry| entry.spec.name.as_str());
            ModelError::NoSuchPolicy(name.to_owned(), did_you_mean(name, known))
        })
    }

    /// Every remote, in the order of names.
    pub fn remotes(&self) -> impl Iterator<Item = &RemoteEntry> {
        self.remotes.values()
    }

    /// The remotes of this name, one for each version.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = &RemoteEntry> {
        let range = (name.to_owned(), 0)..=(name.to_owned(), u8::MAX);
        self.remotes.range(range).map(|(_, entry)| entry)
    }

    /// The remote of this name, of the version that initiates where there are both.
    ///
    /// # Errors
    /// When there is none, with a suggestion.
    pub fn find_remote(&self, name: &str) -> Result<&RemoteEntry, ModelError> {
        let found = self.versions(name).find(|entry| entry.spec.initiate).or_else(|| self.versions(name).next());
        found.ok_or_else(|| ModelError::NoSuchRemote(name.to_owned(), self.remote_hint(name)))
    }

    /// Policies whose remote is not configured: their traffic is dropped until it is.
    pub fn unresolved(&self) -> Vec<Unresolved> {
        self.policies
            .values()
            .filter_map(|entry| Some((&entry.spec.name, &entry.spec.esp.as_ref()?.remote)))
            .filter(|(_, remote)| self.versions(remote).next().is_none())
            .map(|(policy, remote)| Unresolved {
                policy: policy.clone(),
                remote: remote.clone(),
                hint: self.remote_hint(remote),
            })
            .collect()
    }

    /// What IKE works with: remotes, and the policies that one of them serves. `sources` has the addresses from which
    /// remotes are reached, as far as they were looked up.
    pub fn ike_config(&self, sources: &BTreeMap<String, IpAddr>) -> Arc<Config> {
        let policies = self.policies.values().filter_map(|entry| {
            let esp = entry.spec.esp.as_ref()?;
            self.versions(&esp.remote).next().is_some().then(|| ChildPolicy {
                policy: entry.spd_policy(),
                remote: esp.remote.clone(),
                proposals: esp.proposals.clone(),
                dynamic: esp.dynamic.clone(),
                names: esp.names.clone(),
            })
        });
        let policies = policies.collect();
        let remotes = self.remotes.iter().map(|((name, _), entry)| entry.ike_remote(sources.get(name).copied(), self));
        Arc::new(Config { remotes: remotes.collect(), policies, pools: self.ike_pools() })
    }

    /// The SPD, as far as it does not depend on SAs.
    pub fn spd(&self) -> Vec<Policy> {
        let keyed = self.keyed.values().map(|keyed| keyed.policy.clone());
        let standing = self.policies.values().filter(|entry| entry.stands());
        standing.map(PolicyEntry::spd_policy).chain(keyed).collect()
    }

    /// What makes a data plane that holds the policies of `self` hold those of `newer`. Additions come first, so
    /// that no packet slips through in between.
    pub fn difference(&self, newer: &Model) -> Vec<DataPlaneOp> {
        let (interfaces, newer_interfaces) = (self.interfaces(), newer.interfaces());
        let no_interface = interfaces.iter().filter(|(domain, _)| !newer_interfaces.contains_key(*domain));
        // A domain whose interface has another name or place now is another interface.
        let other = |(domain, it): &(&Domain, &Interface)| newer_interfaces.get(*domain).is_some_and(|new| new != *it);
        let replaced = interfaces.iter().filter(other);
        let interface = newer_interfaces.iter().filter(|(domain, it)| interfaces.get(*domain) != Some(*it));
        let gone = |(domain, _): (&Domain, &Interface)| DataPlaneOp::DeleteInterface(*domain);
        let made = |(_, it): (&Domain, &Interface)| DataPlaneOp::AddInterface(it.clone());
        let stands = |model: &Model, id: &PolicyId| model.policies.get(id).is_some_and(PolicyEntry::stands);
        let added = newer.policies.values().filter(|entry| self.policies.get(&entry.id) != Some(*entry));
        let added = added.filter(|entry| entry.stands());
        let removed = self.policies.keys().filter(|id| stands(self, id) && !stands(newer, id));
        let keyed = newer.keyed.values().filter(|keyed| !self.keyed.contains_key(&keyed.policy.id));
        let no_longer = self.keyed.keys().filter(|id| !newer.keyed.contains_key(id));
        let policies = added.map(PolicyEntry::spd_policy).chain(keyed.map(|keyed| keyed.policy.clone()));
        replaced
            .map(gone)
            .chain(interface.map(made))
            .chain(policies.map(DataPlaneOp::AddPolicy))
            .chain(removed.chain(no_longer).map(|id| DataPlaneOp::DeletePolicy(*id)))
            .chain(no_interface.map(gone))
            .collect()
    }

    fn remote_hint(&self, name: &str) -> String {
        did_you_mean(name, self.remotes.keys().map(|(name, _)| name.as_str()))
    }

    fn check_remote(&self, spec: &PolicySpec) -> Result<(), ModelError> {
        let Some(esp) = &spec.esp else { return Ok(()) };
        if self.versions(&esp.remote).any(|remote| remote.spec.endpoint != esp.endpoint) {
            return Err(ModelError::EndpointsDiffer { policy: spec.name.clone(), remote: esp.remote.clone() });
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
    /// Whether it is in force without an SA.
    pub fn stands(&self) -> bool {
        self.spec.trap
    }

    /// As a data plane takes it.
    pub fn spd_policy(&self) -> Policy {
        let spec = &self.spec;
        let (local, remote) = (spec.local.clone(), spec.remote.clone());
        let action = match (&spec.esp, spec.action) {
            (Some(esp), _) => Action::Protect(Protection {
                mode: esp.mode,
                local: esp.local,
                remote: esp.endpoint,
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

impl RemoteEntry {
    /// Whether one side proves nothing but a login.
    fn is_hybrid(&self) -> bool {
        matches!(&self.spec.version, IkeVersion::V1(v1) if v1.hybrid)
    }

    /// Whether it takes every peer whose login is among its keys, or who is a user.
    fn anybody(&self) -> bool {
        let eap = matches!(&self.spec.eap, Some(EapSpec { role: Role::Authenticator { any_identity: true, .. }, .. }));
        let user = self.is_hybrid() && matches!(self.spec.xauth, Some(XauthSpec::Users(_)));
        eap || user || matches!(self.auth, Auth::Logins(_)) && self.spec.endpoint.is_unspecified()
    }

    /// What the side of EAP's authenticator asks by.
    fn eap_server(&self, accounts: &Accounts) -> RemoteAuth {
        let (methods, ask_identity, users) = match &self.spec.eap {
            Some(EapSpec { role: Role::Authenticator { ask_identity, users, .. }, methods, .. }) => {
                (methods.clone(), *ask_identity, users.clone())
            }
            _ => (Vec::new(), false, IdPattern::Any),
        };
        let name = self.spec.own_id.to_string();
        let name = name.split_once(':').map_or(name.as_str(), |(_, name)| name).as_bytes().to_vec();
        let server = Server { methods, ask_identity, accounts: accounts.clone(), name };
        RemoteAuth::Eap(Arc::new(EapServer { server, users }))
    }

    fn eap_client(&self, password: Option<&Secret>, accounts: &Accounts) -> LocalAuth {
        let (user, methods) = match &self.spec.eap {
            Some(EapSpec { role: Role::User(user), methods, .. }) => (user.clone(), methods.clone()),
            _ => (self.spec.own_id.clone(), Vec::new()),
        };
        let password = password.or_else(|| accounts.of(&user)).cloned().unwrap_or_default();
        LocalAuth::Eap(Arc::new(Client { user, methods, password }))
    }

    fn ike_remote(&self, source: Option<IpAddr>, model: &Model) -> Remote {
        let spec = &self.spec;
        let loaded = || (spec.secret_file.is_none() && spec.signature.is_none()).then(|| model.keyring.clone());
        let keys = match &self.auth {
            Auth::Logins(keys) => Some(keys.clone()),
            Auth::Psk(_) | Auth::Signature(..) => loaded(),
            Auth::User(..) | Auth::Users(..) => {
                spec.eap.as_ref().is_some_and(|eap| eap.psk).then(|| model.keyring.clone())
            }
        };
        let (local_auth, remote_auth) = match &self.auth {
            Auth::Psk(secret) => (LocalAuth::Psk(secret.clone()), RemoteAuth::Psk(secret.clone())),
            Auth::Logins(_) => (LocalAuth::Psk(Secret::default()), RemoteAuth::Psk(Secret::default())),
            Auth::Signature(credential, pinned) => {
                let trust = RemoteAuth::Signature(Arc::new(model.database.believe(pinned.clone())));
                match credential {
                    // In hybrid mode who logs in proves nothing else.
                    Some(credential) if self.is_hybrid() => {
                        (LocalAuth::Signature(credential.clone()), RemoteAuth::Psk(Secret::default()))
                    }
                    Some(credential) => (LocalAuth::Signature(credential.clone()), trust),
                    None => (LocalAuth::Psk(Secret::default()), trust),
                }
            }
            Auth::User(password, pinned) => {
                let theirs = match keys {
                    Some(_) => RemoteAuth::Psk(Secret::default()),
                    None => RemoteAuth::Signature(Arc::new(model.database.believe(pinned.clone()))),
                };
                (self.eap_client(password.as_ref(), &model.accounts), theirs)
            }
            Auth::Users(accounts, own) => {
                let ours = match own {
                    Some(credential) => LocalAuth::Signature(credential.clone()),
                    None => LocalAuth::Psk(Secret::default()),
                };
                (ours, self.eap_server(accounts.as_ref().unwrap_or(&model.accounts)))
            }
        };
        let loaded = spec.loaded.as_ref().map_or_else(Open::default, |loaded| Open {
            from: loaded.from.clone(),
            at: loaded.at.clone(),
            own_address: loaded.own_address,
            ..Open::default()
        });
        let open = Open { peers: spec.peers.clone(), ..loaded };
        Remote {
            name: spec.name.clone(),
            version: self.version(model),
            local: spec.local,
            source,
            remote: spec.endpoint,
            local_id: spec.own_id.clone(),
            remote_id: spec.peer_id.clone(),
            local_auth,
            remote_auth,
            proposals: spec.proposals.clone(),
            initiate: spec.initiate,
            accept: spec.accept,
            lifetime: spec.lifetime,
            retransmission: spec.retransmission,
            liveness: spec.liveness,
            encap: spec.encap,
            internal: spec.internal.clone(),
            extensions: ppk::extensions(&spec.extensions, self.ppk.as_ref(), spec.secret_file.is_none(), model),
            open: Open { keys, peers: self.anybody().then_some(IdPattern::Any).or(open.peers), ..open },
        }
    }
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
        write!(f, "the policy {} names the remote {}, which is not configured{}", self.policy, self.remote, self.hint)
    }
}

#[cfg(test)]
mod tests;
