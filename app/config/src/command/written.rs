//! Command lines from what they once said: the way back from a [`PolicySpec`] or a [`RemoteSpec`] to a line that
//! [`parse`](super::parse) reads as the same.

use std::net::IpAddr;
use std::path::Path;

use clap::ValueEnum;
use ravelin_ike::address::pool::{Attribute, Pool};
use ravelin_ike::address::{CfgValue, Grant};
use ravelin_ike::config::{IdPattern, IkeVersion, Liveness, Remote};
use ravelin_types::Identity;
use ravelin_types::interface::{Interface, Vti};
use ravelin_types::policy::{Mode, Ways};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{IntegId, KeMethod, SnId, Transform};

use super::internal::End;
use super::line::{Line, seconds};
use super::options;
use crate::spec::{
    ActionWord, Beside, EapSpec, EspSpec, ManualSpec, PolicySpec, RemoteSpec, Revocation, Role, Start, X509Spec,
    XauthSpec,
};
use crate::value::algorithm::{Esn, encr_name, integ_name, ke_name, prf_name};
use crate::value::dns;
use crate::value::encrypted_dns::Written;
use crate::value::host::{Host, Server};
use crate::value::identity;
use crate::value::if_id;
use crate::value::key::KeySource;
use crate::value::pfp;
use crate::value::protocol::Protocol;
use crate::value::selector::IdString;
use crate::value::who;

impl PolicySpec {
    /// The line that adds it. What only a loaded connection can say is not in it.
    pub fn line(&self) -> Line {
        let mut line = Line::of("ipsec policy");
        line.value("-n", &self.name);
        let action = match self.action {
            ActionWord::Secure => None,
            ActionWord::Bypass => Some("bypass"),
            ActionWord::Discard => Some("discard"),
        };
        line.optional("--action", action);
        let (ways, device) = match self.ways {
            Ways::Both => (None, None),
            Ways::Outbound => (Some("out"), None),
            Ways::Inbound => (Some("in"), None),
            Ways::Over(device, None) => (None, Some(device)),
            Ways::Over(device, Some(Direction::Outbound)) => (Some("out"), Some(device)),
            Ways::Over(device, Some(Direction::Inbound)) => (Some("in"), Some(device)),
        };
        line.optional("--direction", ways);
        line.optional("--device", device);
        if let Some(esp) = &self.esp {
            esp.peer(&mut line);
        }
        let dynamic = self.esp.as_ref().map(|esp| esp.dynamic.clone()).unwrap_or_default();
        let ends = self.local.iter().chain(&self.remote).chain(&dynamic.local).chain(&dynamic.remote);
        let mut protocols = ends.map(Protocol::from);
        let first = protocols.clone().next().unwrap_or(Protocol::from(0));
        let protocol = protocols.find(|protocol| protocol.types.is_some()).unwrap_or(first);
        let any = protocol.number == 0;
        line.value("-p", if any { "any".to_owned() } else { protocol.to_string() });
        let written = |end: &TrafficSelector| IdString::beside(&protocol, *end).written();
        self.local.iter().for_each(|end| line.value("-s", written(end)));
        dynamic.local.iter().for_each(|end| line.value("-s", End::internal_word(end)));
        self.remote.iter().for_each(|end| line.value("-d", written(end)));
        dynamic.remote.iter().for_each(|end| line.value("-d", End::internal_word(end)));
        line.value("-l", self.priority);
        line.optional("--interface", self.interface.as_ref());
        if let Some(esp) = &self.esp {
            esp.protection(&mut line);
        }
        line
    }
}

impl EspSpec {
    fn peer(&self, line: &mut Line) {
        line.value("-g", &self.remote);
        line.value("-r", &self.endpoint);
        let tunnel = self.mode == Mode::Tunnel;
        line.value("-m", if tunnel { "tunnel" } else { "transport" });
        // In transport mode it is the source.
        line.optional("--local", self.local.filter(|_| tunnel));
        self.names.iter().for_each(|name| line.value("--for", who::pattern_word(name)));
    }

    fn protection(&self, line: &mut Line) {
        let ah = self.proposals.iter().any(|proposal| proposal.protocol == ProtocolId::AH);
        line.value(
            "-t",
            if !self.ah.is_empty() {
                "AHESP"
            } else if ah {
                "AH"
            } else {
                "ESP"
            },
        );
        suite(line, &self.proposals, &self.ah);
        let rest = self.proposals.first().map_or(&[][..], |proposal| &proposal.transforms);
        line.list("--pfs", &rest.iter().filter(is_exchange).map(exchange_name).collect::<Vec<_>>());
        let has = |id: SnId| rest.contains(&Transform::Sn(id));
        let esn = match (has(SnId::PARTIAL_64), has(SnId::SEQUENTIAL_32)) {
            (true, true) => Esn::Prefer,
            (true, false) => Esn::Require,
            (false, _) => Esn::Off,
        };
        line.optional("--esn", esn.word());
        line.value("--replay-window", self.replay_window);
        let hard = &self.lifetime.hard;
        line.optional("-k", hard.time.map(seconds));
        line.optional("--life-bytes", hard.bytes);
        line.optional("--life-packets", hard.packets);
        line.optional("--pfp", self.pfp.any().then(|| pfp::words(self.pfp)));
        line.optional("--inactivity", self.lifetime.idle.map(seconds));
        line.optional("--start", (self.start == Start::Now).then_some("now"));
        line.optional("--updown", self.updown.as_ref());
        line.words(&options::written(&self.options));
    }
}

/// `-e` and `-a`. A list that mixes ciphers of both kinds has become several proposals, in its order. AH around ESP has all
/// of `-a`.
fn suite(line: &mut Line, proposals: &[Proposal], ah: &[IntegId]) {
    let transforms = || proposals.iter().flat_map(|proposal| &proposal.transforms);
    let ciphers = transforms().filter_map(|transform| match transform {
        Transform::Encr(id, bits) => Some(encr_name(*id, *bits)),
        _ => None,
    });
    line.list("-e", &ciphers.collect::<Vec<_>>());
    let mut integ: Vec<String> = ah.iter().copied().map(integ_name).collect();
    for transform in transforms() {
        if let Transform::Integ(id) = transform
            && !integ.contains(&integ_name(*id))
        {
            integ.push(integ_name(*id));
        }
    }
    line.list("-a", &integ);
}

impl RemoteSpec {
    /// The line that adds it. What only a loaded connection can say is not in it.
    pub fn line(&self) -> Line {
        let mut line = Line::of("ike remote");
        line.value("-n", &self.name);
        line.value("-z", self.version.number());
        if let IkeVersion::V1(v1) = &self.version {
            line.flag("--aggressive", v1.aggressive);
        }
        line.flag("-w", self.initiate);
        line.flag("-u", self.accept);
        line.value("-r", &self.endpoint);
        self.alternates.iter().for_each(|other| line.value("-r", other));
        self.own_hosts().for_each(|own| line.value("--local", own));
        let file = |path: &Path| path.display().to_string();
        match &self.signature {
            Some(signature) => {
                line.value("-m", self.eap.as_ref().map_or_else(|| signatures(&self.version).to_owned(), methods));
                line.list("-c", &signature.own.iter().map(|path| file(path)).collect::<Vec<_>>());
                line.optional("-b", signature.peer.as_deref().map(file));
                let demand = signature.revocation;
                let word = demand.to_possible_value().filter(|_| demand != Revocation::Relaxed);
                for (flag, asked) in [
                    ("--peer-signatures", &signature.peer_restrictions),
                    ("--own-signatures", &signature.own_restrictions),
                ] {
                    line.optional(flag, asked.any().then_some(&asked.words));
                }
                line.optional("--revocation", word.map(|word| word.get_name().to_owned()));
            }
            None if self.null.own && self.null.peer => line.value("-m", "NULL"),
            None => line.value("-m", "PresharedKey"),
        }
        match (self.null.own, self.null.peer) {
            (true, false) => line.value("--null", "own"),
            (false, true) => line.value("--null", "peer"),
            (true, true) | (false, false) => {}
        }
        let subject =
            |own: bool| self.signature.as_ref().is_some_and(|s| if own { s.own_subject } else { s.peer_subject });
        let id = |id, own| if subject(own) { "asn1dn:".to_owned() } else { identity::written(id) };
        if !self.null.peer && !self.eap.as_ref().is_some_and(EapSpec::takes_any_identity) {
            line.value("-f", self.peers.as_ref().map_or_else(|| id(&self.peer_id, false), who::pattern_word));
        }
        line.value("-g", id(&self.own_id, true));
        if let Some(eap) = &self.eap {
            user(eap, &mut line);
        }
        line.optional("-h", self.secret_file.as_deref().map(file));
        match &self.xauth {
            Some(XauthSpec::Users(Some(path))) => line.value("--xauth-users", file(path)),
            Some(XauthSpec::LoginFile(path)) => line.value("--xauth-login", file(path)),
            Some(XauthSpec::Users(None) | XauthSpec::User(_) | XauthSpec::Login(_)) | None => {}
        }
        self.algorithms(&mut line);
        line.value("-l", seconds(self.lifetime));
        line.value("-i", seconds(self.retransmission.initial));
        line.value("--tries", self.retransmission.tries);
        line.value("--liveness", self.liveness.after().map_or_else(|| "off".to_owned(), seconds));
        line.flag("--liveness-regular", matches!(self.liveness, Liveness::Regular(_)));
        let unusual = (self.login_time != Remote::LOGIN_TIME).then(|| seconds(self.login_time));
        line.optional("--login-time", unusual);
        line.flag("--encap", self.encap);
        line.optional("--if-id", self.if_ids.any().then(|| if_id::written(self.if_ids)));
        self.internal.ask.iter().for_each(|address| line.value("--vip", Host::from(*address)));
        line.flag("--prefixes", self.internal.prefixes);
        self.internal.domains.iter().for_each(|name| line.value("--dns-domain", name));
        self.internal.anchored.iter().for_each(|name| line.value("--dnssec-domain", name));
        self.internal.pools.iter().for_each(|pool| line.value("--pool", pool));
        self.rounds.written(&mut line);
        self.extensions.written(&mut line);
        line
    }

    fn algorithms(&self, line: &mut Line) {
        let exchanges = |proposal: &Proposal| -> Vec<Transform> {
            proposal.transforms.iter().filter(is_exchange).copied().collect()
        };
        let first = self.proposals.first().map(exchanges).unwrap_or_default();
        let alike = self.proposals.iter().take_while(|proposal| exchanges(proposal) == first).count();
        let (of_first, others) = self.proposals.split_at(alike);
        suite(line, of_first, &[]);
        let prf = of_first.first().map_or(&[][..], |proposal| &proposal.transforms);
        let prf = prf.iter().filter_map(|transform| match transform {
            Transform::Prf(id) => Some(prf_name(*id)),
            _ => None,
        });
        // RFC 2409 §4: what IKEv1 negotiates is the hash, which has the name of the function made from it.
        line.list(if self.version.number() == 1 { "-a" } else { "-p" }, &prf.collect::<Vec<_>>());
        // More than one set of key exchanges is what stands for no `-d`.
        if others.is_empty() {
            line.list("-d", &first.iter().map(exchange_name).collect::<Vec<_>>());
        }
    }
}

/// The word of `-m` for signatures of both sides, or of the one to which the other logs in.
fn signatures(version: &IkeVersion) -> &'static str {
    match version {
        IkeVersion::V1(v1) if v1.hybrid => "HYBRID",
        _ => "RSASIG",
    }
}

/// The word of `-m` for EAP.
fn methods(eap: &EapSpec) -> String {
    match eap.methods.as_slice() {
        [] => "EAP-RADIUS".to_owned(),
        methods => methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(","),
    }
}

/// Who the user is, and who knows him.
fn user(eap: &EapSpec, line: &mut Line) {
    match &eap.role {
        Role::User(user) => line.value("--eap-id", identity::written(user)),
        Role::Authenticator { users: IdPattern::Any, .. } => {}
        Role::Authenticator { users, .. } => line.value("--eap-id", who::pattern_word(users)),
    }
    line.optional("--aaa-id", eap.server.as_ref().map(identity::written));
    line.flag("--eap-only", eap.beside == Beside::Nothing);
    let words = |servers: &[Server]| servers.iter().map(Server::to_string).collect::<Vec<_>>();
    line.list("--radius", &words(&eap.radius.servers));
    line.list("--radius-accounting", &words(&eap.radius.accounting));
    line.list("--radius-authorizers", &eap.radius.authorizers.iter().map(IpAddr::to_string).collect::<Vec<_>>());
    line.list("--user-groups", &eap.radius.groups);
}

fn is_exchange(transform: &&Transform) -> bool {
    matches!(transform, Transform::Ke(_) | Transform::AddKe(..))
}

fn exchange_name(transform: &Transform) -> String {
    match transform {
        Transform::Ke(id) => ke_name(*id),
        Transform::AddKe(number, id) if *id == KeMethod::NONE => {
            format!("KE{}_NONE", number.number())
        }
        Transform::AddKe(number, id) => format!("KE{}_{}", number.number(), ke_name(*id)),
        other => other.to_string(),
    }
}

/// The line that makes a virtual interface.
pub fn interface_line(interface: &Interface) -> Line {
    let mut line = Line::of("vti add");
    line.words(&interface.name);
    interface.addresses.iter().for_each(|(address, bits)| line.value("--address", format_args!("{address}/{bits}")));
    line.optional("--mtu", interface.mtu);
    line.optional("--vrf", interface.vrf.as_ref());
    line.optional("--netns", interface.namespace.as_ref());
    line.optional("--if-id", interface.if_id);
    if let Some(Vti { key, local, remote }) = &interface.vti {
        line.value("--key", key);
        line.optional("--local", *local);
        line.value("--remote", remote);
    }
    line
}

/// The line that makes a pool.
pub fn pool_line(pool: &Pool) -> Line {
    let mut line = Line::of("ike pool");
    line.value("-n", &pool.name);
    let (first, last) = (pool.addresses.start(), pool.addresses.end());
    line.value("-a", format_args!("{first}-{last}"));
    line.optional("--prefix", pool.prefix);
    let fixed = |(id, address): &(Identity, IpAddr)| format!("{}={address}", identity::written(id));
    pool.fixed.iter().for_each(|it| line.value("--fixed", fixed(it)));
    for Attribute { value, .. } in &pool.attributes {
        match value {
            CfgValue::Address(address) => line.value("--dns", address),
            CfgValue::Subnet(address, length) => line.value("--subnet", format_args!("{address}/{length}")),
            CfgValue::Domain(name) => line.value("--domain", name),
            CfgValue::EncryptedDns(resolver) => {
                let digest = pool.attributes.iter().find_map(|attribute| match &attribute.value {
                    CfgValue::DnsDigest(digest) if digest.name == resolver.name => Some(&digest.digest[..]),
                    _ => None,
                });
                line.value("--encrypted-dns", Written { resolver, digest });
            }
            // With its domain.
            CfgValue::TrustAnchor(_) => {}
            // No flag makes another one.
            _ => {}
        }
    }
    let grant = Grant { attributes: pool.attributes.clone(), ..Grant::default() };
    grant.anchors().for_each(|(domain, anchor)| line.value("--dnssec", dns::Anchor { domain, anchor }));
    line
}

impl X509Spec {
    /// The line that adds it.
    pub fn line(&self) -> Line {
        let mut line = Line::of("ce x509");
        line.value("-a", self.file.display());
        line.value("-d", self.database);
        line.optional("-k", self.key.as_ref());
        line.optional("--passphrase-file", self.passphrase.as_ref().map(|path| path.display()));
        line.optional("--cert-uri-base", self.cert_uri_base.as_ref());
        line.optional("--bundle-uri-base", self.bundle_uri_base.as_ref());
        line
    }
}

impl ManualSpec {
    /// The line that adds it. `None`: it would hold a key.
    pub fn line(&self) -> Option<Line> {
        if self.holds_keys() {
            return None;
        }
        let mut line = Line::of("ipsec addsa");
        let tunnel = self.mode == Mode::Tunnel;
        line.value("-m", if tunnel { "tunnel" } else { "transport" });
        line.value("-r", self.remote);
        line.optional("--local", self.local.filter(|_| tunnel));
        let any = self.protocol.number == 0;
        line.value("-p", if any { "any".to_owned() } else { self.protocol.to_string() });
        line.value("-s", self.source.written());
        line.value("-d", self.destination.written());
        let keys = |line: &mut Line, flags: [&str; 2], keys: &[KeySource; 2]| {
            for (flag, key) in flags.into_iter().zip(keys) {
                if let KeySource::File(path) = key {
                    line.value(flag, format_args!("file:{}", path.display()));
                }
            }
        };
        if let Some((inbound, outbound, (id, bits), cipher_keys)) = &self.esp {
            line.value("-w", inbound.0);
            line.value("-x", outbound.0);
            line.value("-e", encr_name(*id, *bits));
            keys(&mut line, ["-f", "-g"], cipher_keys);
        }
        if let Some((inbound, outbound)) = &self.ah {
            line.value("-y", inbound.0);
            line.value("-z", outbound.0);
        }
        if let Some((id, integ_keys)) = &self.integ {
            line.value("-a", integ_name(*id));
            keys(&mut line, ["-b", "-c"], integ_keys);
        }
        line.flag("--tfc", self.options.tfc > 0);
        line.flag("--short-icv", self.options.short_icv);
        line.flag("--ah-align64", self.options.ah_align64);
        Some(line)
    }
}
