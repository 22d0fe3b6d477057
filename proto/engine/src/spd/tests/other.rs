//! Another classifier under the engine: reading all entries in order, which must give the answers of the tables.

use std::collections::BTreeMap;

use ravelin_crypto::SecureRandom;
use ravelin_types::Instant;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_wire::ip::{v4, v6};

use super::reference::{Random, Reference};
use super::*;
use crate::engine::{Engine, EngineConfig};
use crate::packet::PacketBuf;

/// So many policies fit in.
const ROOM: u32 = 12;

#[derive(Default)]
struct Linear {
    entries: Reference,
    policies: BTreeMap<PolicyId, Policy>,
}

impl Classifier for Linear {
    fn add(&mut self, policy: &Policy) -> Result<(), DataPlaneError> {
        if self.policies.len() >= ROOM as usize && !self.policies.contains_key(&policy.id) {
            return Err(DataPlaneError::Full(Table::Policies, ROOM as usize));
        }
        // Which direction it is about is the engine's to know: what it gives is for this half.
        self.entries.add(&Policy { ways: Ways::Both, ..policy.clone() });
        self.policies.insert(policy.id, policy.clone());
        Ok(())
    }

    fn delete(&mut self, id: PolicyId) {
        assert!(self.policies.remove(&id).is_some(), "only what was added is deleted");
        self.entries.delete(id);
    }

    fn find(&self, seen: &Seen) -> Found {
        match self.entries.lookup(seen) {
            Match::Protect(id) | Match::Bypass(id) | Match::Discard(id) => Found::Policy(id),
            Match::Hidden => Found::Hidden,
            Match::None => Found::Nothing,
        }
    }
}

impl SecureRandom for Random {
    fn fill(&mut self, out: &mut [u8]) {
        out.iter_mut().for_each(|byte| *byte = self.below(256) as u8);
    }
}

/// A packet of the flow; one that is to hide its ports is a later fragment.
fn bytes(seen: &Seen) -> Vec<u8> {
    let Flow { src, dst, protocol, src_port, dst_port } = seen.flow;
    let ports = [src_port.unwrap_or(7), dst_port.unwrap_or(7)].map(u16::to_be_bytes).concat();
    let shows = src_port.or(dst_port).is_some();
    let mut packet = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut packet = vec![0; 28];
            let fields = v4::Fields { tos: 0, total_len: 28, id: 1, dont_fragment: false, ttl: 9, protocol, src, dst };
            fields.emit(packet.first_chunk_mut().unwrap());
            packet[6..8].copy_from_slice(&(if shows { 0u16 } else { 4 }).to_be_bytes());
            packet
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut packet = vec![0; if shows { 48 } else { 56 }];
            let (next_header, payload_len) = if shows { (protocol, 8) } else { (44, 16) };
            v6::Fields { tos: 0, payload_len, next_header, hop_limit: 9, src, dst }
                .emit(packet.first_chunk_mut().unwrap());
            if !shows {
                packet[40..44].copy_from_slice(&[protocol, 0, 0, 8 << 3]);
            }
            packet
        }
        _ => unreachable!("both ends are of one family"),
    };
    let at = packet.len() - 8;
    packet[at..at + 4].copy_from_slice(&ports);
    packet
}

/// Policies come, are replaced, do not fit and go; what becomes of packets in both directions is the same at every step.
#[test]
fn another_classifier_gives_the_same_answers_through_the_engine() {
    let mut random = Random(77);
    let (config, crypto) = (EngineConfig::default(), ravelin_crypto_rustcrypto::provider());
    let (mut decided, mut full, mut replaced) = (BTreeMap::new(), 0, 0);
    for round in 1..60 {
        let linear = || Box::<Linear>::default();
        let mut own = Engine::new(config, crypto, Box::new(Random(round)));
        let mut other = Engine::with_classifiers(config, crypto, Box::new(Random(round)), linear(), linear());
        let mut known = BTreeMap::new();
        for _ in 0..40 {
            let op = match random.below(4) {
                0 => DataPlaneOp::DeletePolicy(PolicyId(random.below(2 * ROOM))),
                _ => DataPlaneOp::AddPolicy(random.policy(2 * ROOM)),
            };
            let result = other.apply(&op, Instant::ZERO);
            if let Err(DataPlaneError::Full(..)) = result {
                // The halves may differ in it, as a policy for one direction takes no room in the other: take it back.
                full += 1;
                if let DataPlaneOp::AddPolicy(policy) = &op {
                    let back = known
                        .get(&policy.id)
                        .cloned()
                        .map_or(DataPlaneOp::DeletePolicy(policy.id), DataPlaneOp::AddPolicy);
                    let _ = other.apply(&back, Instant::ZERO);
                }
            } else {
                assert_eq!(own.apply(&op, Instant::ZERO), result);
                match op {
                    DataPlaneOp::AddPolicy(policy) => {
                        replaced += u32::from(known.insert(policy.id, policy).is_some());
                    }
                    DataPlaneOp::DeletePolicy(id) => _ = known.remove(&id),
                    _ => {}
                }
            }
            for _ in 0..40 {
                let seen = random.packet();
                let packet = bytes(&seen);
                let run = |engine: &mut Engine, out: bool| {
                    let mut packet = packet.clone();
                    let len = packet.len();
                    let mut pkt = PacketBuf::new(&mut packet, 0..len).unwrap().in_domain(seen.domain);
                    if out {
                        return engine.outbound.process(&mut pkt, Instant::ZERO);
                    }
                    engine.inbound.process(&mut pkt, Instant::ZERO)
                };
                for out in [true, false] {
                    let verdict = run(&mut own, out);
                    assert_eq!(run(&mut other, out), verdict, "{seen:?} {known:#?}");
                    *decided.entry(alloc::format!("{verdict:?}").replace(char::is_numeric, "")).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(own.outbound.counters(), other.outbound.counters());
        assert_eq!(own.inbound.counters(), other.inbound.counters());
    }
    assert!(full > 10 && replaced > 100, "{full} {replaced}");
    for kind in ["Hold(PolicyId())", "Bypass", "Drop(PolicyDiscard)", "Drop(HiddenPorts)", "Drop(ExpectedProtection)"] {
        assert!(decided.get(kind).is_some_and(|count| *count > 100), "{kind}: {decided:?}");
    }
}

/// A classifier that names a policy that there is not lets nothing pass.
#[test]
fn what_another_classifier_makes_up_is_dropped() {
    struct Wrong;
    impl Classifier for Wrong {
        fn add(&mut self, _: &Policy) -> Result<(), DataPlaneError> {
            Ok(())
        }
        fn delete(&mut self, _: PolicyId) {}
        fn find(&self, _: &Seen) -> Found {
            Found::Policy(PolicyId(9))
        }
    }
    let mut spd = Spd::new(1, Direction::Outbound, Limits::default(), Some(Box::new(Wrong)));
    let packet = seen("10.0.0.1", "10.0.0.2", 17, Some((1, 2)));
    assert_eq!(spd.lookup(&packet), discarded(9));
    let any = TrafficSelector::any_v4();
    spd.add(&policy(9, 1, any, any, Action::Bypass)).unwrap();
    assert_eq!(spd.lookup(&packet), bypassed(9));
}
