//! The SPD as flows, which is how OpenBSD's `ipsecctl -s all` lists it: a line for each direction and pair of selectors.

use ravelin_config::model::Model;
use ravelin_control::Message;
use ravelin_types::policy::{Action, Mode, Policy};
use ravelin_types::proposal::ProtocolId;
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;

use super::report::numbered;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Flows of all policies, in the order in which they are consulted.
pub fn flows(model: &Model) -> Message {
    let named = model.policies().map(|entry| {
        let esp = entry.spec.esp.as_ref();
        let remote = esp.and_then(|esp| model.find_remote(&esp.remote).ok());
        let ids = remote.map(|remote| {
            let spec = &remote.spec;
            let peer = spec.peers.as_ref().map_or_else(|| spec.peer_id.to_string(), ToString::to_string);
            (spec.own_id.to_string(), peer)
        });
        let protocols: Vec<ProtocolId> = esp.iter().flat_map(|esp| &esp.proposals).map(|one| one.protocol).collect();
        (entry.spd_policy(), protocols, ids)
    });
    let keyed = model.keyed().map(|keyed| (keyed.policy.clone(), Vec::new(), None));
    let mut all: Vec<_> = named.chain(keyed).collect();
    all.sort_by_key(|(policy, ..)| (policy.priority, policy.id));
    numbered(all.iter().flat_map(|(policy, protocols, ids)| of(policy, protocols, ids.as_ref())))
}

fn of(policy: &Policy, protocols: &[ProtocolId], ids: Option<&(String, String)>) -> Vec<Message> {
    let protocol = if protocols.first() == Some(&ProtocolId::AH) { "ah" } else { "esp" };
    let mut rows = Vec::new();
    for (way, direction) in [("in", Direction::Inbound), ("out", Direction::Outbound)] {
        if !policy.is_about(direction) {
            continue;
        }
        let pairs = policy.local.iter().flat_map(|local| policy.remote.iter().map(move |remote| (local, remote)));
        for (local, remote) in pairs.filter(|(local, remote)| local.is_ipv4() == remote.is_ipv4()) {
            let (from, to) = if way == "in" { (remote, local) } else { (local, remote) };
            let mut row = Message::new().with("protocol", protocol).with("direction", way).with("policy", &policy.name);
            if from.protocol() != 0 {
                row.put("proto", proto(from.protocol()));
            }
            for (name, end) in [("from", from), ("to", to)] {
                // The ports have a place of their own.
                let addresses = end.with(0, 0..=u16::MAX).unwrap_or(*end);
                row.put(name, addresses);
                if let Some(ports) = ports(end) {
                    let what = if [ICMP, ICMPV6].contains(&end.protocol()) { "icmp-type" } else { "port" };
                    row.put(&format!("{name}-{what}"), ports);
                }
            }
            match &policy.action {
                Action::Protect(protection) => {
                    row.put("peer", protection.remote);
                    if let Some((own, peer)) = ids {
                        row.put("srcid", own);
                        row.put("dstid", peer);
                    }
                    row.put("mode", if protection.mode == Mode::Tunnel { "tunnel" } else { "transport" });
                    // What comes in is taken when it is protected; what goes out must be.
                    row.put("type", if way == "in" { "use" } else { "require" });
                }
                Action::Bypass => row.put("type", "bypass"),
                Action::Discard => row.put("type", "deny"),
            }
            rows.push(row);
        }
    }
    rows
}

fn proto(number: u8) -> String {
    match number {
        ICMP => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        ICMPV6 => "icmp6".into(),
        other => other.to_string(),
    }
}

/// The ports of an end, where it has some; for ICMP the types, which stand in the upper octet (RFC 7296 §3.13.1).
fn ports(end: &TrafficSelector) -> Option<String> {
    let shift = if [ICMP, ICMPV6].contains(&end.protocol()) { 8 } else { 0 };
    let (first, last) = (end.ports().start() >> shift, end.ports().end() >> shift);
    match (end.any_port(), end.is_opaque()) {
        (true, _) => None,
        (_, true) => Some("opaque".into()),
        _ if first == last => Some(first.to_string()),
        _ => Some(format!("{first}-{last}")),
    }
}
