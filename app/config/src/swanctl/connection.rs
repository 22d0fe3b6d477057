//! A connection: `connections.<name>` of swanctl.conf, or the section of VICI's `load-conn`.
//!
//! Every option of swanctl.conf(5) is read here and in `child.rs`, or refused by name.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ravelin_ike::Unique;
use ravelin_ike::config::{IdPattern, IkeVersion, Internal, Liveness, Remote, Retransmission, V1};
use ravelin_ike::limits::INTERNAL_ADDRESSES;
use ravelin_types::Identity;
use ravelin_types::if_id::IfIds;
use ravelin_types::proposal::Proposal;

use super::child;
use super::ends::{Ends, if_ids};
use super::extensions;
use super::proposal;
use super::reader::{Problems, Reader, time};
use super::round::{self, By, Round};
use super::tree::{Named, Section};
use super::value;
use super::xauth::{self, Login};
use crate::spec::{EapSpec, ExtensionSpec, GATEWAYS, LoadedSpec, NullSides, PolicySpec, RemoteSpec};
use crate::value::address::{self, Address};
use crate::value::host::{self, Host};
use crate::value::who::Who;
use crate::value::{BadValue, dns, identity, name};

/// What a connection comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its name, which is that of the remote, too.
    pub name: String,
    /// The peer; `None` when every child lets pass or drops, so that there is nobody to talk to.
    pub remote: Option<RemoteSpec>,
    /// The same for IKEv1, where both versions are accepted.
    pub older: Option<RemoteSpec>,
    /// A policy for each child, under the name `connection.child`.
    pub policies: Vec<PolicySpec>,
}

/// Reads a connection.
pub fn read(named: &Named, problems: &mut Problems) -> Option<Connection> {
    let before = problems.0.len();
    let name = problems.take(name(&named.name).map_err(|error| named.at.remark(format!("{}: {error}", named.name))))?;
    let section = &named.section;
    let logs_in = section.sections.iter().any(xauth::is_login);
    let own = Own::read(Reader::new(section, &named.at, problems), logs_in);
    let ends = own.ends();
    let children = section.section("children");
    let policies: Vec<PolicySpec> = children
        .iter()
        .flat_map(|children| &children.section.sections)
        .filter_map(|named| child::read(named, &name, &ends, problems))
        .collect();
    // Else the peer is whomever a packet is to.
    let has_peer = own.remote_host().is_some()
        || policies.iter().any(|policy| policy.trap && policy.esp.as_ref().is_some_and(|esp| esp.pfp.remote));
    let rounds = |prefix: &str| section.sections.iter().filter(|named| named.name.starts_with(prefix)).count();
    let only_shunts = !policies.is_empty() && policies.iter().all(|policy| policy.esp.is_none());
    if only_shunts && rounds("local") == 0 && rounds("remote") == 0 {
        return (problems.0.len() == before).then_some(Connection { name, remote: None, older: None, policies });
    }
    let login = xauth::read(named, problems);
    let sides = (round::read(named, "local", problems), round::read(named, "remote", problems));
    if problems.0.len() > before {
        return None;
    }
    let proofs = Proofs { login, own: sides.0?, peer: sides.1? };
    let remote = problems.take(own.remote(&name, section, has_peer, proofs).map_err(|why| named.at.remark(why)))?;
    let older = own.older(&remote);
    Some(Connection { name, remote: Some(remote), older, policies })
}

/// What a connection says of itself, outside its sections.
struct Own {
    local: Vec<Address>,
    remote: Vec<Address>,
    /// `None`: those of the version.
    proposals: Option<Vec<Proposal>>,
    versions: Versions,
    encap: bool,
    extensions: ExtensionSpec,
    liveness: Liveness,
    lifetime: Duration,
    persistent: bool,
    internal: Internal,
    if_ids: IfIds,
}

/// How the two sides prove who they are: each by a first round, and perhaps by others.
struct Proofs {
    login: Option<Login>,
    own: (Round, Vec<Round>),
    peer: (Round, Vec<Round>),
}

impl Own {
    fn read(mut reader: Reader<'_>, logs_in: bool) -> Self {
        refuse(&mut reader);
        let local = reader.list("local_addrs", address::place).unwrap_or_default();
        let remote = reader.list("remote_addrs", address::place).unwrap_or_default();
        let proposals = reader.list("proposals", proposal::ike).map(|lists| lists.concat());
        let versions = versions(&mut reader, logs_in);
        let encap = reader.flag("encap").unwrap_or(false);
        let extensions = extensions::read(&mut reader);
        if extensions.ppk_required && versions.first != IkeVersion::V2 {
            reader.wrong("`ppk_required` is of IKEv2: leave version = 1 out");
        }
        // Of strongSwan's delay it does not matter whether there is something to send.
        let delay = reader.value("dpd_delay", time).filter(|delay| !delay.is_zero());
        let lifetime = reader.value("rekey_time", time).unwrap_or(Duration::from_secs(4 * 3600));
        // With IKEv1 another phase 1 is both.
        let (lifetime, extensions) = match (&versions.first, extensions.reauth) {
            (IkeVersion::V1(_), Some(reauth)) if lifetime.is_zero() || reauth < lifetime => {
                (reauth, ExtensionSpec { reauth: None, ..extensions })
            }
            (IkeVersion::V1(_), _) => (lifetime, ExtensionSpec { reauth: None, ..extensions }),
            _ => (lifetime, extensions),
        };
        if extensions.unique == Unique::Keep && versions.first != IkeVersion::V2 {
            reader.wrong("`unique = keep` is of IKEv2");
        }
        let tries = reader.value("keyingtries", |text| text.parse::<u32>().map_err(|_| "expected a number".to_owned()));
        let internal = internal(&mut reader);
        let if_ids = if_ids(&mut reader);
        let liveness = delay.map_or(Liveness::Off, Liveness::Regular);
        let persistent = tries == Some(0);
        let own = Own {
            local,
            remote,
            proposals,
            versions,
            encap,
            extensions,
            liveness,
            lifetime,
            persistent,
            internal,
            if_ids,
        };
        if let (Some(local), Some(peer)) = (own.local_host(), own.remote_host())
            && peer.is_of_another_family(local)
        {
            reader.wrong("local_addrs and remote_addrs begin with addresses of different families");
        }
        reader.finish(&["local", "remote", "children"]);
        own
    }

    /// Where we begin: from the first host, where that is no name.
    fn local_host(&self) -> Option<IpAddr> {
        hosts(&self.local).next().and_then(Host::address)
    }

    fn remote_host(&self) -> Option<&Host> {
        hosts(&self.remote).next()
    }

    fn endpoint(&self) -> Host {
        self.remote_host().cloned().unwrap_or_else(|| host::unspecified(self.local_host()).into())
    }

    fn ends(&self) -> Ends {
        Ends {
            local: self.local_host(),
            endpoint: self.endpoint(),
            persistent: self.persistent,
            virtual_local: self.internal.asks(),
            virtual_remote: !self.internal.pools.is_empty(),
            if_ids: self.if_ids,
        }
    }

    fn proposals(&self, version: &IkeVersion) -> Vec<Proposal> {
        match (&self.proposals, version) {
            (Some(configured), _) => configured.clone(),
            (None, IkeVersion::V1(_)) => proposal::default_v1(),
            (None, IkeVersion::V2) => proposal::ike("default").unwrap_or_default(),
        }
    }

    /// The peer of the connection `name`, read from `section`; `has_peer` where it is known to whom to begin.
    fn remote(&self, name: &str, section: &Section, has_peer: bool, proofs: Proofs) -> Result<RemoteSpec, String> {
        let Proofs { login, own: (own, own_rest), peer: (peer, peer_rest) } = proofs;
        let (local_host, remote_host, endpoint) = (self.local_host(), self.remote_host(), self.endpoint());
        let rounds = round::further(own_rest, peer_rest)?;
        if !rounds.is_empty() && self.versions.first != IkeVersion::V2 {
            return Err("a second round that is no login is of IKEv2: leave version = 1 out".to_owned());
        }
        let (may_begin, may_answer) = rounds.roles();
        let null = NullSides { own: matches!(own.by, By::Null), peer: matches!(peer.by, By::Null) };
        let (own_id, own_address) = match &own.id {
            None if null.own => (Identity::Null, false),
            Some(Who::Exactly(id)) => (id.clone(), false),
            _ => match local_host {
                Some(local) => (local.into(), false),
                None => (Identity::from(host::unspecified(remote_host.and_then(Host::address))), true),
            },
        };
        let eap = round::user(&own.by, &peer.by, &own_id, remote_host.is_some())?;
        let version = match &login {
            Some(login) => login.version(self.versions.first.clone())?,
            None => self.versions.first.clone(),
        };
        let (peer_id, peers) = match peer.id {
            _ if null.peer => (Identity::Null, None),
            Some(Who::Exactly(id)) => (id, None),
            Some(Who::Like(pattern)) => (identity::of(&endpoint), Some(pattern)),
            None => (identity::of(&endpoint), Some(IdPattern::Any)),
        };
        let family = |host: &Host| local_host.is_none_or(|local| !host.is_of_another_family(local));
        let others = hosts(&self.remote).filter(|host| **host != endpoint && family(host));
        let alternates = others.take(GATEWAYS - 1).cloned().collect();
        let loaded = LoadedSpec {
            local_addrs: texts(section, "local_addrs"),
            remote_addrs: texts(section, "remote_addrs"),
            at: ranges(&self.local),
            from: match self.remote.is_empty() {
                true => ranges(&address::address("%any").into_iter().collect::<Vec<_>>()),
                false => ranges(&self.remote),
            },
            own_address,
            signs: own.signer,
            believes: peer.believed,
        };
        Ok(RemoteSpec {
            name: name.to_owned(),
            proposals: self.proposals(&version),
            xauth: login.map(|login| login.spec(value::bare(&own_id.to_string()))),
            version,
            local: local_host,
            own_names: hosts(&self.local).filter_map(Host::name).cloned().collect(),
            alternates,
            endpoint,
            own_id,
            peer_id,
            peers,
            secret_file: None,
            signature: None,
            null,
            initiate: has_peer && may_begin && eap.as_ref().is_none_or(EapSpec::initiates),
            accept: may_answer && eap.as_ref().is_none_or(EapSpec::accepts),
            eap,
            rounds,
            lifetime: self.lifetime,
            retransmission: Retransmission::default(),
            liveness: self.liveness,
            login_time: Remote::LOGIN_TIME,
            encap: self.encap,
            internal: self.internal.clone(),
            if_ids: self.if_ids,
            extensions: self.extensions.clone(),
            loaded: Some(loaded),
        })
    }

    /// The same peer with IKEv1, where that is accepted, too, and all that is asked of it can be said there.
    fn older(&self, remote: &RemoteSpec) -> Option<RemoteSpec> {
        let version = self.versions.accepted.clone()?;
        let proposals = self.proposals(&version);
        let is_of_ikev1 = remote.eap.is_none()
            && remote.rounds.is_empty()
            && remote.null == NullSides::default()
            && !remote.extensions.ppk_required
            && remote.extensions.unique != Unique::Keep
            && proposal::is_of_ikev1(&proposals);
        is_of_ikev1.then(|| RemoteSpec { proposals, version, initiate: false, ..remote.clone() })
    }
}

/// The addresses that are asked for, and the pools from which they are given.
fn internal(reader: &mut Reader<'_>) -> Internal {
    let ask = reader.list("vips", address::virtual_address).unwrap_or_default();
    if ask.len() > INTERNAL_ADDRESSES {
        reader.wrong(format!("`vips` has {} addresses; a peer is asked for up to {INTERNAL_ADDRESSES}", ask.len()));
    }
    let pools = reader.list("pools", |text| crate::value::name(text).map_err(|bad| bad.message)).unwrap_or_default();
    // Ours: strongSwan has no prefixes of a peer's own.
    let prefixes = reader.flag("prefixes").unwrap_or(false);
    // Ours, too: strongSwan takes domains from nobody.
    let mut names = |option, read: fn(&str) -> Result<String, BadValue>| {
        reader.list(option, |text| read(text).map_err(|bad| bad.message)).unwrap_or_default()
    };
    let (domains, anchored) = (names("dns_domains", dns::domain), names("dnssec_domains", dns::anchored));
    Internal { ask, prefixes, domains, anchored, pools }
}

/// The entries that are one host each.
fn hosts(addresses: &[Address]) -> impl Iterator<Item = &Host> {
    addresses.iter().filter_map(|address| if let Address::Host(host) = address { Some(host) } else { None })
}

/// What each address is to be in. One host is the remote itself, and nothing more is judged.
fn ranges(addresses: &[Address]) -> Vec<RangeInclusive<IpAddr>> {
    match addresses {
        [Address::Host(_)] => Vec::new(),
        addresses => addresses.iter().flat_map(Address::ranges).collect(),
    }
}

/// The versions of a connection.
struct Versions {
    /// The one that is initiated, and accepted.
    first: IkeVersion,
    /// Another that is accepted.
    accepted: Option<IkeVersion>,
}

/// `version`, `aggressive` and `pull`. Without a word IKEv2 is initiated and both are accepted, as by strongSwan (ADR 0086); a login by
/// XAuth, which IKEv2 has not, asks for IKEv1.
fn versions(reader: &mut Reader<'_>, logs_in: bool) -> Versions {
    let version = reader.word("version", &[("0", 0), ("1", 1), ("2", 2)]).unwrap_or(0);
    let aggressive = reader.flag("aggressive").unwrap_or(false);
    let push = reader.flag("pull").is_some_and(|pull| !pull);
    let v1 = IkeVersion::V1(V1 { aggressive, push, ..V1::default() });
    match version {
        0 if !logs_in => Versions { first: IkeVersion::V2, accepted: Some(v1) },
        0 | 1 => Versions { first: v1, accepted: None },
        _ => {
            if aggressive {
                reader.wrong("`aggressive` is of IKEv1: say version = 1, or leave version out");
            }
            if push {
                reader.wrong("`pull = no` is of IKEv1: say version = 1, or leave version out");
            }
            Versions { first: IkeVersion::V2, accepted: None }
        }
    }
}

fn texts(section: &Section, name: &str) -> Vec<String> {
    let items = section.setting(name).and_then(|setting| setting.items().ok()).unwrap_or_default();
    if items.is_empty() { vec!["%any".to_owned()] } else { items }
}

/// Of strongSwan's own protocol between hosts behind NATs.
pub(super) const NO_MEDIATION: &str =
    "there is no mediation; forward UDP ports 500 and 4500 at one of the two NATs, and initiate from behind the other";

/// What has no meaning here, or none with the value that it has.
fn refuse(reader: &mut Reader<'_>) {
    for port in ["local_port", "remote_port"] {
        reader.only(port, &["0", "500"], "IKE uses port 500, and 4500 where there is a NAT; leave it out");
    }
    reader.only("dscp", &["000000", "0"], "IKE packets are sent without one; a rule of the packet filter sets it: udp sport { 500, 4500 } ip dscp set cs6");
    // Of IKEv1 alone.
    reader.value("dpd_timeout", time);
    reader.word("fragmentation", &[("yes", ()), ("no", ()), ("accept", ()), ("force", ())]);
    reader.flag("send_certreq");
    reader.word("send_cert", &[("always", ()), ("never", ()), ("ifasked", ())]);
    reader.only("rand_time", &["0", "0s"], "up to a tenth is taken off rekey_time at random");
    reader.only("mediation", &["no"], NO_MEDIATION);
    reader.refuse(&["mediated_by", "mediation_peer"], NO_MEDIATION);
}
