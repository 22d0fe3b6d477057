//! Commands that follow Child SAs up and down (`ipsec policy --updown`, `updown` of swanctl.conf), with what strongSwan's
//! scripts find in their environment.
//!
//! A command is run when a Child SA came up and once more when it went down, for each pair of its selectors; a rekey is
//! neither. Down finds what up found: a firewall's rule is taken out as it was put in, whatever has become of addresses and
//! configuration in between. What a peer says, such as its identity, is a variable's value and never part of a command.

pub mod script;

use ravelin_config::spec::XauthSpec;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ravelin_ike::Event;
use ravelin_ike::view::{ChildSaView, IkeSaView};
use ravelin_types::policy::PolicyId;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::selector::{OPAQUE_PORTS, TrafficSelector};
use ravelin_types::{Carrier, Spi};

use self::script::{Environment, Job, Runner, harmless};
use super::core::Core;
use super::host::resolver::Names;
use super::plane::Plane;
use super::vici::names;

/// Pairs of selectors of one Child SA for which its command is run.
const MAX_PAIRS: usize = 64;
/// The longest value: the kernel takes no variable of more than 128 KiB.
const MAX_VALUE: usize = 16 << 10;
/// How long commands have when the daemon ends: less than a service manager waits.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// Protocols whose type and code stand for ports.
const ICMP: [u8; 2] = [1, 58];

/// The commands under way, and those that are to be run when their SAs go.
#[derive(Default)]
pub(super) struct Updown {
    runner: Runner,
    /// By inbound SPI.
    up: BTreeMap<Spi, Script>,
}

/// The command of a Child SA, as it was when that came up.
struct Script {
    key: String,
    policy: String,
    command: String,
    /// For each pair of selectors the end of the verb, and the other variables.
    pairs: Vec<(&'static str, Environment)>,
}

impl Script {
    fn job(&self, up: &'static str) -> Job {
        let run = |(end, rest): &(&'static str, Environment)| {
            let verb = ("PLUTO_VERB".to_owned(), format!("{up}{end}"));
            std::iter::once(verb).chain(rest.iter().cloned()).collect()
        };
        Job {
            key: self.key.clone(),
            name: format!("{up} of {}", self.policy),
            command: self.command.clone(),
            runs: self.pairs.iter().map(run).collect(),
        }
    }
}

impl Updown {
    fn up(&mut self, inbound: Spi, script: Script) {
        // What was not run for up is not run for down.
        if self.runner.add(script.job("up")) {
            self.up.insert(inbound, script);
        } else {
            tracing::error!("{}: too many scripts wait; `{}` is not run", script.policy, script.command);
        }
    }

    fn rekeyed(&mut self, old: Spi, new: Spi) {
        if let Some(script) = self.up.remove(&old) {
            self.up.insert(new, script);
        }
    }

    fn down(&mut self, inbound: Spi) {
        if let Some(script) = self.up.remove(&inbound) {
            self.runner.always_add(script.job("down"));
        }
    }

    /// The daemon ends: what is still up goes down. Waits until that is done.
    pub(super) fn finish(&mut self) {
        let up: Vec<Spi> = self.up.keys().copied().collect();
        up.into_iter().for_each(|inbound| self.down(inbound));
        self.runner.finish(LAST_PATIENCE);
    }
}

impl<P: Plane> Core<P> {
    /// Runs what is to be run for an event.
    pub(super) fn note_updown(&mut self, event: &Event) {
        match event {
            Event::ChildUp { policy, inbound, .. } => {
                if let Some(script) = self.script(*policy, *inbound) {
                    self.updown.up(*inbound, script);
                }
            }
            Event::ChildRekeyed { old, inbound, .. } => self.updown.rekeyed(*old, *inbound),
            Event::ChildDown { inbound, .. } => self.updown.down(*inbound),
            _ => {}
        }
    }

    fn script(&mut self, policy: PolicyId, inbound: Spi) -> Option<Script> {
        let entry = self.model.policy_by_id(policy)?;
        let command = entry.spec.esp.as_ref()?.updown.clone()?;
        let ike = self.endpoint.ike_sa_of(inbound)?;
        let child = ike.children.iter().find(|child| child.inbound == inbound)?;
        let remote = self.model.find_remote(&ike.remote).ok().map(|entry| &entry.spec);
        let logs_in = remote.is_some_and(|spec| {
            let by_eap = spec.eap.as_ref().is_some_and(|eap| !eap.initiates());
            by_eap || matches!(spec.xauth, Some(XauthSpec::Users(_) | XauthSpec::User(_)))
        });
        let device = entry.spec.interface.clone().or_else(|| self.plane.device_of(ike.local.ip()));
        let (name, policy_name) = (entry.spec.child_name().to_owned(), entry.spec.name.clone());
        let about = About {
            name: &name,
            ike: &ike,
            child,
            device: device.as_deref().unwrap_or("unknown"),
            reqid: self.plane.reqid(policy),
            logs_in,
            names: &self.grants.names_of(&ike.remote, std::slice::from_ref(&ike)),
        };
        let pairs = about.pairs();
        if pairs.len() > MAX_PAIRS {
            tracing::error!(
                "{policy_name}: more than {MAX_PAIRS} pairs of selectors; `{command}` is run for the first"
            );
        }
        // Whoever has the same traffic next must not overtake the one before.
        let key = format!("{} {:?}", policy.0, child.remote_ts);
        let pairs = pairs.into_iter().take(MAX_PAIRS).map(|(local, remote)| about.pair(local, remote)).collect();
        Some(Script { key, policy: policy_name, command, pairs })
    }
}

/// What there is to say of a Child SA.
struct About<'a> {
    /// That of its policy, without the connection's in front.
    name: &'a str,
    ike: &'a IkeSaView,
    child: &'a ChildSaView,
    device: &'a str,
    reqid: u32,
    /// Whether the peer is a user who logged in.
    logs_in: bool,
    /// What the peer said about names.
    names: &'a Names,
}

impl About<'_> {
    /// The selectors between which there can be packets.
    fn pairs(&self) -> Vec<(&TrafficSelector, &TrafficSelector)> {
        let all = self.child.local_ts.iter().flat_map(|local| self.child.remote_ts.iter().map(move |it| (local, it)));
        all.filter(|(local, remote)| {
            let protocols = [local.protocol(), remote.protocol()];
            local.is_ipv4() == remote.is_ipv4() && (protocols.contains(&0) || protocols[0] == protocols[1])
        })
        .collect()
    }

    /// The end of the verb and the variables for a pair of selectors.
    fn pair(&self, local: &TrafficSelector, remote: &TrafficSelector) -> (&'static str, Environment) {
        let (ike, child) = (self.ike, self.child);
        let (own_id, peer_id) =
            ike.identities.as_ref().map(|(own, peer)| (names::identity(own), names::identity(peer))).unzip();
        let mut all = Vec::new();
        let mut put = |name: &str, value: String| {
            let value = harmless(&value);
            if value.len() <= MAX_VALUE {
                all.push((format!("PLUTO_{name}"), value));
            } else {
                tracing::warn!("{}: PLUTO_{name} is left out: it has {} bytes", self.name, value.len());
            }
        };
        put("VERSION", "1.1".to_owned());
        put("CONNECTION", self.name.to_owned());
        put("INTERFACE", self.device.to_owned());
        put("REQID", self.reqid.to_string());
        put("PROTO", if child.suite.protocol() == ProtocolId::AH { "ah" } else { "esp" }.to_owned());
        put("UNIQUEID", ike.serial.to_string());
        for (side, prefixes) in [("MY", &ike.prefixes.0), ("PEER", &ike.prefixes.1)] {
            for (prefix, number) in prefixes.iter().zip(1..) {
                put(&format!("{side}_PREFIX6_{number}"), prefix.to_string());
            }
        }
        for (side, end, id, selector, inside) in
            [("MY", ike.local, &own_id, local, &ike.inside.0), ("PEER", ike.peer, &peer_id, remote, &ike.inside.1)]
        {
            put(if side == "MY" { "ME" } else { side }, end.ip().to_string());
            put(&format!("{side}_ID"), id.clone().unwrap_or_default());
            put(&format!("{side}_CLIENT"), subnet(selector));
            put(&format!("{side}_PORT"), port(local, remote, selector, side == "MY"));
            put(&format!("{side}_PROTOCOL"), selector.protocol().to_string());
            if let Some(first) = inside.first() {
                put(&format!("{side}_SOURCEIP"), first.to_string());
            }
            numbered(&format!("{side}_SOURCEIP"), inside, &mut put);
        }
        if let Some(user) = peer_id.filter(|_| self.logs_in) {
            put("XAUTH_ID", user);
        }
        if ike.carrier == Carrier::Udp && (ike.nat.0 || ike.nat.1) {
            put("UDP_ENC", ike.peer.port().to_string());
        }
        if child.ipcomp.is_some() {
            put("IPCOMP", "1".to_owned());
        }
        for (name, mark) in [("MARK_IN", child.marks.inbound), ("MARK_OUT", child.marks.outbound)] {
            if let Some(mark) = mark.mark() {
                put(name, format!("{}/{:#010x}", mark.value, mark.mask));
            }
        }
        for (name, id) in [("IF_ID_IN", child.if_ids.inbound), ("IF_ID_OUT", child.if_ids.outbound)] {
            if id.number() != 0 {
                put(name, id.number().to_string());
            }
        }
        let servers: Vec<IpAddr> = self.names.servers.iter().copied().collect();
        numbered("DNS", &servers, &mut put);
        for (number, domain) in (1..).zip(&self.names.domains) {
            put(&format!("DNS_DOMAIN_{number}"), domain.clone());
        }
        for (number, anchor) in (1..).zip(&self.names.anchors) {
            put(&format!("DNSSEC_{number}"), anchor.clone());
        }
        for (number, resolver) in (1..).zip(&self.names.encrypted) {
            put(&format!("ENCRYPTED_DNS_{number}"), resolver.clone());
        }
        (self.end_of_verb(local), all)
    }

    /// `-host` where the selector is the SA's own end.
    fn end_of_verb(&self, local: &TrafficSelector) -> &'static str {
        let me = self.ike.local.ip();
        match (local.addresses() == (me..=me), local.is_ipv4()) {
            (true, true) => "-host",
            (true, false) => "-host-v6",
            (false, true) => "-client",
            (false, false) => "-client-v6",
        }
    }
}

/// `NAME4_1`, `NAME4_2`, `NAME6_1`.
fn numbered(name: &str, addresses: &[IpAddr], put: &mut impl FnMut(&str, String)) {
    for (family, is_ipv4) in [('4', true), ('6', false)] {
        for (index, address) in addresses.iter().filter(|address| address.is_ipv4() == is_ipv4).enumerate() {
            put(&format!("{name}{family}_{}", index + 1), address.to_string());
        }
    }
}

/// The smallest network that holds a selector's addresses.
fn subnet(selector: &TrafficSelector) -> String {
    match selector.addresses().into_inner() {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let len = (first.to_bits() ^ last.to_bits()).leading_zeros();
            let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
            format!("{}/{len}", Ipv4Addr::from_bits(first.to_bits() & mask))
        }
        (first, last) => {
            let bits = |address| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                IpAddr::V6(address) => address.to_bits(),
            };
            let len = (bits(first) ^ bits(last)).leading_zeros();
            let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
            format!("{}/{len}", Ipv6Addr::from_bits(bits(first) & mask))
        }
    }
}

/// As iptables takes it: 0 for any port, `FIRST:LAST` for several. Of ICMP the type is at our side and the code at the peer's.
fn port(local: &TrafficSelector, remote: &TrafficSelector, selector: &TrafficSelector, ours: bool) -> String {
    if ICMP.contains(&local.protocol().max(remote.protocol())) {
        let [kind, code] = (*local.ports().start()).max(*remote.ports().start()).to_be_bytes();
        return if ours { kind } else { code }.to_string();
    }
    match selector.ports().into_inner() {
        _ if selector.any_port() || selector.ports() == OPAQUE_PORTS => "0".to_owned(),
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}:{last}"),
    }
}

#[cfg(test)]
mod tests;
