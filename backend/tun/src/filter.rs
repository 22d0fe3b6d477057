//! The packet filter as text for `nft -f -`: which packets are captured, and the guards against clear text.
//!
//! ```text
//!  prerouting -310  inbound   clear packets from outside: SPD with the sides swapped; protect -> drop.
//!                             What the host's routes would answer through a virtual interface -> drop
//!  forward -150     transit   the same for ESP and IKE that turn out to be for somebody behind this host
//!  prerouting -150  forward   packets to be forwarded ─┐
//!  output     -150  local     packets of this host    ─┴► select: SPD; protect -> mark, and so routed to the device.
//!                             Where policies name devices: forwarded, the same by the device that routes lead to
//!  postrouting -150 guard     what still leaves elsewhere: leak: SPD; protect -> drop
//!  out of local, inbound      IKE of this host: ike_out, ike_in: SPD; protect -> accept
//! ```
//! The SPD is walked in its order in each chain, so a bypass policy in front of a protect policy holds in all of them.
//! Priorities: before connection tracking (-200) for what must not exist, before address translation for the others,
//! since policies name the addresses before it. Names and numbers come from the configuration and are checked there;
//! nothing else of a policy than numbers and the checked name of a device gets into the text.

use std::fmt::Write;
use std::ops::RangeInclusive;

use ravelin_types::policy::{Action, Policy};
use ravelin_types::sa::Direction;
use ravelin_types::selector::{ANY_PROTOCOL, TrafficSelector};

use crate::config::{MAX_WORKERS, TunConfig};
use crate::deal::Deal;

mod run;

use run::{Pair, Rule};

/// The counters, as `nft` lists them, with what they count.
pub(crate) const COUNTERS: [(&str, &str); 3] = [
    ("clear_inbound", "clear packet where protection is required"),
    ("leaked", "packet that would have left in clear"),
    ("discarded", "discarded by policy"),
];

/// The most rules that one policy may need in one chain: pairs of its selectors.
pub(crate) const MAX_RULES_PER_POLICY: usize = 4096;
/// The most rules that all policies together may need in one chain. What asks for addresses only is looked up in sets.
pub(crate) const MAX_RULES: usize = 65_536;

/// The chains that walk the SPD.
const CHAINS: [&str; 6] = ["select", "forwarded", "leak", "policies", "ike_out", "ike_in"];

/// The chains that send a packet to a worker.
const PROTECT: [&str; MAX_WORKERS] =
    ["protect", "protect1", "protect2", "protect3", "protect4", "protect5", "protect6", "protect7"];
/// How the rules of a policy end that lead there.
const TO_PROTECT: [&str; MAX_WORKERS] = [
    "goto protect",
    "goto protect1",
    "goto protect2",
    "goto protect3",
    "goto protect4",
    "goto protect5",
    "goto protect6",
    "goto protect7",
];

const DISCARD: &str = "counter name discarded drop";

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const MOBILITY: u8 = 135;
/// TCP, UDP, DCCP, SCTP and UDP-Lite: ports stand where TCP has them.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// Makes the table, without policies.
pub(crate) fn create(config: &TunConfig) -> String {
    let TunConfig { filter_table: t, own_mark: own, workers, .. } = config;
    let devices =
        (0..*workers).map(|worker| format!("\"{}\"", config.device_of(worker))).collect::<Vec<_>>().join(", ");
    let device = if *workers == 1 { devices.clone() } else { format!("{{ {devices} }}") };
    let mut text = format!("create table inet {t}\n");
    for (counter, _) in COUNTERS {
        let _ = writeln!(text, "add counter inet {t} {counter}");
    }
    for chain in CHAINS.iter().chain(&PROTECT[..*workers]) {
        let _ = writeln!(text, "add chain inet {t} {chain}");
    }
    for (chain, hook) in [
        ("inbound", "filter hook prerouting priority -310"),
        ("transit", "filter hook forward priority -150"),
        ("forward", "filter hook prerouting priority -150"),
        ("local", "route hook output priority -150"),
        ("guard", "filter hook postrouting priority -150"),
    ] {
        let _ = writeln!(text, "add chain inet {t} {chain} {{ type {hook}; policy accept; }}");
    }
    let mut rule = |chain: &str, rule: &str| {
        let _ = writeln!(text, "add rule inet {t} {chain} {rule}");
    };
    let ours = format!("meta mark & {own:#x} == {own:#x}");
    // IPv6 does not work without neighbour discovery, and it cannot leave the link (RFC 4861 §7.1).
    let discovery = "ip6 hoplimit 255 icmpv6 type 133-137";
    let handshake = "tcp flags & (syn | rst) == syn tcp option maxseg size set";
    let (mss4, mss6) = (config.mtu.saturating_sub(40), config.mtu.saturating_sub(60));

    rule("inbound", &format!("iifname {device} meta nfproto ipv4 {handshake} {mss4}"));
    rule("inbound", &format!("iifname {device} meta nfproto ipv6 {handshake} {mss6}"));
    rule("inbound", &format!("iifname {{ \"lo\", {devices} }} accept"));
    // RFC 4301 §5: IKE passes by the SPD too. On the port of both, ESP has an SPI where IKE has zeros (RFC 3948 §2.2).
    let ike =
        |port: &str| [format!("udp {port} {}", config.ike_port), format!("udp {port} {} @th,64,32 0", config.nat_port)];
    ike("dport").iter().for_each(|packets| rule("inbound", &format!("{packets} goto ike_in")));
    // What this host opens itself. Whether a packet is for this host is not known yet: what is not comes by `transit`,
    // where it is as clear as any other.
    let opened = [
        "meta l4proto { esp, ah }".to_owned(),
        // AH is an extension header to the filter, which does not look for one in later fragments.
        "frag nexthdr ah frag frag-off != 0".to_owned(),
        format!("udp dport {{ {}, {} }}", config.ike_port, config.nat_port),
        // Later fragments show no port. The first, which holds the whole UDP header, decides: without it the others are
        // never put together. So long IKE messages arrive and clear UDP does not.
        "meta l4proto udp ip frag-off & 0x1fff != 0".to_owned(),
        "meta l4proto udp frag frag-off != 0".to_owned(),
    ];
    // Nor is what comes by TCP for IKE and ESP clear, to a port of ours; by what we opened ourselves, see `streams`.
    let tcp = config.tcp_port.map(|port| format!("tcp dport {port}"));
    rule("transit", &format!("iifname {{ \"lo\", {devices} }} accept"));
    for packets in opened.iter().chain(&tcp) {
        rule("inbound", &format!("{packets} accept"));
        rule("transit", &format!("{packets} goto policies"));
    }
    rule("inbound", &format!("{discovery} accept"));
    rule("inbound", "goto policies");

    rule("forward", "iifname \"lo\" accept");
    rule("forward", "goto forwarded");
    ike("sport").iter().for_each(|packets| rule("local", &format!("{ours} {packets} goto ike_out")));
    rule("local", &format!("{ours} accept"));
    rule("local", "oifname \"lo\" accept");
    rule("local", "goto select");

    // The stack answers a packet that may not be fragmented and is too long with ICMP, by the MTU of a route of its
    // own; all others come whole, since ESP in transport mode is for whole datagrams (RFC 4303 §3.3.4). Of the host's
    // own packets only TCP's are sure not to be fragmented: UDP sockets set DF by default, and yet let the stack cut
    // what a later route finds too long.
    for (worker, chain) in PROTECT[..*workers].iter().enumerate() {
        if worker > 0 {
            // What the first fragment of a datagram showed is remembered by one engine, which knows whose the others are.
            rule(chain, "ip frag-off & 0x3fff != 0 goto protect");
            rule(chain, "exthdr frag exists goto protect");
        }
        let (capture, limited, mask) = config.marks(worker);
        let kept = if mask == 0 { String::new() } else { format!(" & {:#x}", !mask) };
        for never_cut in ["iif != 0", "meta l4proto tcp"] {
            let never_cut = format!("ip frag-off & 0x4000 != 0 {never_cut}");
            rule(chain, &format!("{never_cut} meta mark set meta mark{kept} | {limited:#x} accept"));
        }
        rule(chain, &format!("meta mark set meta mark{kept} | {capture:#x} accept"));
    }

    rule("guard", &format!("{ours} accept"));
    rule("guard", &format!("oifname {device} meta nfproto ipv4 {handshake} {mss4}"));
    rule("guard", &format!("oifname {device} meta nfproto ipv6 {handshake} {mss6}"));
    rule("guard", &format!("oifname {{ \"lo\", {devices} }} accept"));
    rule("guard", "goto leak");
    text
}

/// Lets packets of TCP connections in that this host opened for IKE and ESP. Not every kernel can tell to which socket a
/// packet goes.
pub(crate) fn streams(config: &TunConfig) -> String {
    let TunConfig { filter_table: t, own_mark: own, .. } = config;
    format!("insert rule inet {t} inbound meta l4proto tcp socket mark & {own:#x} == {own:#x} accept\n")
}

/// Whether the policies are within the limits.
///
/// # Errors
/// A sentence that names the policy and the limit.
pub(crate) fn check<'a>(policies: impl Iterator<Item = &'a Policy>) -> Result<(), String> {
    let mut rules = 0;
    for policy in policies {
        let pairs = policy.local.len() * policy.remote.len();
        rules += pairs;
        if pairs > MAX_RULES_PER_POLICY || rules > MAX_RULES {
            return Err(format!(
                "policy {} ({}) needs {pairs} filter rules, one for each pair of its selectors; the limits are \
                 {MAX_RULES_PER_POLICY} for one policy and {MAX_RULES} for all: merge its address ranges",
                policy.id.0, policy.name
            ));
        }
    }
    Ok(())
}

/// Replaces the policies in every chain at once. They come in the order of the SPD and are within the limits ([`check`]).
/// `interfaces` are the names of the virtual ones, each checked by [`check_device`](crate::config::check_device).
pub(crate) fn policies<'a>(
    config: &TunConfig,
    policies: impl Iterator<Item = &'a Policy>,
    interfaces: &[String],
) -> String {
    let t = &config.filter_table;
    let mut text = String::new();
    for chain in CHAINS {
        let _ = writeln!(text, "flush chain inet {t} {chain}");
    }
    let _ = writeln!(text, "add rule inet {t} select ip6 hoplimit 255 icmpv6 type 133-137 accept");
    let _ = writeln!(text, "add rule inet {t} forwarded ip6 hoplimit 255 icmpv6 type 133-137 accept");
    let _ = writeln!(text, "add rule inet {t} leak ip6 hoplimit 255 icmpv6 type 133-137 accept");
    if !interfaces.is_empty() {
        // Where routes say what is protected, they say it of what arrives too. What came out of another interface of ours
        // was protected.
        let ours = format!("{{ \"{}\" }}", interfaces.join("\", \""));
        let clear = format!("iifname != {ours} fib saddr oifname {ours}");
        let _ = writeln!(text, "add rule inet {t} policies {clear} counter name clear_inbound drop");
    }
    let policies: Vec<&Policy> = policies.collect();
    // Of a packet to be forwarded the device is not known yet where it is marked, and routes are asked, which only this chain
    // may. Without such policies, one chain is enough.
    let by_device = policies.iter().any(|policy| policy.device().is_some());
    if !by_device {
        let _ = writeln!(text, "add rule inet {t} forwarded goto select");
    }
    // What makes the SAs is never put into them; only what is to be dropped makes a difference to it.
    let judges_ike = policies.iter().any(|policy| policy.action == Action::Discard);
    let mut chains = CHAINS.map(|chain| (chain, Vec::new()));
    for policy in policies {
        let (select, leak, inbound, ike) = match policy.action {
            Action::Protect(_) => {
                let worker = Deal::new(config.workers).policy(policy.id, policy.domain);
                (TO_PROTECT[worker], "counter name leaked drop", "counter name clear_inbound drop", "accept")
            }
            Action::Bypass => ("accept", "accept", "accept", "accept"),
            Action::Discard => (DISCARD, DISCARD, DISCARD, DISCARD),
        };
        let hidden = policy.action != Action::Bypass;
        let over = |what: &str| policy.device().map_or(String::new(), |device| format!("{what} \"{device}\" "));
        let (leaves, will_leave, came) = (over("oifname"), over("fib daddr oifname"), over("iifname"));
        for (local, remote) in policy.local.iter().flat_map(|l| policy.remote.iter().map(move |r| (l, r))) {
            let (out, back) = (policy.is_about(Direction::Outbound), policy.is_about(Direction::Inbound));
            // As the chains are.
            let ways = [
                (out, &leaves, local, remote, select),
                (out && by_device, &will_leave, local, remote, select),
                (out, &leaves, local, remote, leak),
                (back, &came, remote, local, inbound),
                (out && judges_ike, &leaves, local, remote, ike),
                (back && judges_ike, &came, remote, local, ike),
            ];
            for ((_, rules), (_, over, from, to, verdict)) in chains.iter_mut().zip(ways).filter(|(_, way)| way.0) {
                let pair = if over.is_empty() { Pair::of(from, to) } else { None };
                let texts = matches(from, to, hidden).into_iter().map(|text| format!("{over}{text}")).collect();
                rules.push(Rule { pair, texts, verdict, policy: policy.id.0 });
            }
        }
    }
    for (chain, rules) in &chains {
        run::emit(&mut text, t, chain, rules);
    }
    text
}

/// The text that matches packets from `from` to `to`; empty when no packet can be both. With `hidden`, fragments that
/// do not show the ports asked for match too (RFC 4301 §7), since nobody can tell that they do not belong. The filter
/// does not remember first fragments as the engine does: a later one that reaches the engine is decided there.
fn matches(from: &TrafficSelector, to: &TrafficSelector, hidden: bool) -> Vec<String> {
    if from.is_ipv4() != to.is_ipv4() {
        return Vec::new();
    }
    let protocol = match (from.protocol(), to.protocol()) {
        (ANY_PROTOCOL, protocol) | (protocol, ANY_PROTOCOL) => protocol,
        (a, b) if a == b => a,
        _ => return Vec::new(),
    };
    let mut addresses = format!("meta nfproto {}", if from.is_ipv4() { "ipv4" } else { "ipv6" });
    address(&mut addresses, "saddr", from);
    address(&mut addresses, "daddr", to);
    let of_protocol = match protocol {
        ANY_PROTOCOL => addresses.clone(),
        _ => format!("{addresses} meta l4proto {protocol}"),
    };
    if from.any_port() && to.any_port() {
        return vec![of_protocol];
    }
    let later = if from.is_ipv4() { "ip frag-off & 0x1fff != 0" } else { "frag frag-off != 0" };
    let asked_for = |kinds: &[u8]| protocol == ANY_PROTOCOL || kinds.contains(&protocol);
    let mut all = Vec::new();
    if asked_for(&WITH_PORTS) && !from.is_opaque() && !to.is_opaque() {
        let mut text = match protocol {
            ANY_PROTOCOL => format!("{addresses} meta l4proto {{ 6, 17, 33, 132, 136 }}"),
            _ => of_protocol.clone(),
        };
        for (side, selector) in [("sport", from), ("dport", to)] {
            if !selector.any_port() {
                let _ = write!(text, " th {side} {}", range(&selector.ports()));
            }
        }
        all.push(text);
    }
    // RFC 4301 §4.4.1.3: types are asked of the sender.
    let icmp = if from.is_ipv4() { ICMP } else { ICMPV6 };
    let (low, high) = from.ports().into_inner();
    if asked_for(&[icmp]) && !from.is_opaque() {
        let types = if from.any_port() { "0-65535".to_owned() } else { range(&(low..=high)) };
        all.push(format!("{addresses} meta l4proto {icmp} @th,0,16 {types}"));
    }
    if asked_for(&[MOBILITY]) && !from.is_opaque() && !from.is_ipv4() {
        // The type is the upper half of the port. (nft 1.0 ends itself over the raw byte behind this protocol.)
        let types = low.div_ceil(256)..=high >> 8;
        if !types.is_empty() {
            all.push(format!("{addresses} meta l4proto {MOBILITY} mh type {}", range(&types)));
        }
    }
    let asks = |selector: &TrafficSelector| !selector.any_port() && !selector.is_opaque();
    if !asks(from) && !asks(to) {
        // OPAQUE: later fragments, and protocols that have nothing to show.
        all.push(format!("{of_protocol} {later}"));
        match protocol {
            ANY_PROTOCOL => all.push(format!("{addresses} meta l4proto != {{ 1, 6, 17, 33, 58, 132, 135, 136 }}")),
            _ if WITH_PORTS.contains(&protocol) || [ICMP, ICMPV6, MOBILITY].contains(&protocol) => {}
            _ => all.push(of_protocol),
        }
    } else if hidden && !all.is_empty() {
        all.push(format!("{of_protocol} {later}"));
    }
    all
}

/// Appends ` ip saddr 10.0.0.0/8`; nothing for all addresses.
fn address(text: &mut String, side: &str, selector: &TrafficSelector) {
    let family = if selector.is_ipv4() { "ip" } else { "ip6" };
    let (first, last) = selector.addresses().into_inner();
    if first == last {
        let _ = write!(text, " {family} {side} {first}");
        return;
    }
    match selector.prefixes().as_slice() {
        [(_, 0)] => {}
        [(address, length)] => _ = write!(text, " {family} {side} {address}/{length}"),
        _ => _ = write!(text, " {family} {side} {first}-{last}"),
    }
}

fn range(ports: &RangeInclusive<u16>) -> String {
    if ports.start() == ports.end() { ports.start().to_string() } else { format!("{}-{}", ports.start(), ports.end()) }
}

#[cfg(test)]
mod tests;
