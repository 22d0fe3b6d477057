use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::SecureRandom;
use ravelin_types::dataplane::{DataPlaneEvent, DataPlaneOp};
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::{protocol, v4};

use crate::{DropReason, Engine, EngineConfig, HEADROOM, PacketBuf, TAILROOM, Verdict};

struct Constant;

impl SecureRandom for Constant {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0x5c);
    }
}

fn host(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// A loop over one SA, whose next packet has the number after `sequence` at its sender.
fn engine_at(sequence: u64, sn: SnId, integ: IntegId) -> Engine {
    let (encr, keys) = match integ {
        IntegId::NONE => (EncrId::AES_GCM_16, (20, 0)),
        _ => (EncrId::AES_CBC, (16, 32)),
    };
    let any = vec![TrafficSelector::any_v4()];
    let send = SaParams {
        direction: Direction::Outbound,
        spi: Spi(0x1000),
        pair: Spi(0x1001),
        lookup: SaLookup::Spi,
        src: host(1),
        dst: host(2),
        mode: Mode::Tunnel,
        encap: None,
        original: None,
        suite: EspSuite { encr, encr_key_bits: 128, integ, sn }.into(),
        keys: SaKeys { encr: Secret::new(vec![1; keys.0]), integ: Secret::new(vec![2; keys.1]), ..SaKeys::default() },
        policy: PolicyId(1),
        local_ts: any.as_slice().into(),
        remote_ts: any.as_slice().into(),
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    };
    let receive = SaParams { direction: Direction::Inbound, ..send.clone() };
    let protection = Protection {
        mode: Mode::Tunnel,
        local: None,
        remote: host(2),
        pfp: Pfp::NONE,
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    };
    let policy = Policy {
        id: PolicyId(1),
        name: "all".into(),
        domain: Domain::default(),
        priority: 1,
        local: any.clone(),
        remote: any,
        action: Action::Protect(protection),
        ways: Ways::default(),
    };
    let mut engine = Engine::new(EngineConfig::default(), ravelin_crypto_aws_lc::provider(), Box::new(Constant));
    for op in [DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(send), DataPlaneOp::AddSa(receive)] {
        engine.apply(&op, Instant::ZERO).unwrap();
    }
    engine.outbound.sad.get_mut(0).unwrap().sequence = sequence;
    engine
}

fn send(engine: &mut Engine) -> (Verdict, Vec<u8>) {
    let mut bytes = vec![0; HEADROOM + 40 + TAILROOM];
    let header = bytes[HEADROOM..].first_chunk_mut().unwrap();
    let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    v4::Fields { tos: 0, total_len: 40, id: 0, dont_fragment: true, ttl: 9, protocol: protocol::UDP, src, dst }
        .emit(header);
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + 40).unwrap();
    let verdict = engine.outbound.process(&mut pkt, Instant::ZERO);
    (verdict, pkt.packet().to_vec())
}

fn receive(engine: &mut Engine, packet: &[u8]) -> Verdict {
    let mut bytes = packet.to_vec();
    let mut pkt = PacketBuf::new(&mut bytes, 0..packet.len()).unwrap();
    engine.inbound.process(&mut pkt, Instant::ZERO)
}

// RFC 4303 §3.3.3: the counter must not cycle.
#[test]
fn an_sa_stops_at_its_last_sequence_number() {
    for (sn, last) in [(SnId::SEQUENTIAL_32, u64::from(u32::MAX)), (SnId::PARTIAL_64, u64::MAX)] {
        let mut engine = engine_at(last - 1, sn, IntegId::NONE);
        let (verdict, packet) = send(&mut engine);
        assert!(matches!(verdict, Verdict::Send(_)));
        assert_eq!(packet[24..28], [0xff; 4]);
        assert_eq!(engine.poll_event(), None);
        assert_eq!(send(&mut engine).0, Verdict::Drop(DropReason::SequenceExhausted));
        assert!(matches!(engine.poll_event(), Some(DataPlaneEvent::HardExpire(_))));
        assert_eq!(engine.poll_event(), None);
        assert_eq!(send(&mut engine).0, Verdict::Hold(PolicyId(1)), "the SA is out of use");
        assert!(matches!(engine.poll_event(), Some(DataPlaneEvent::Acquire { .. })));
    }
}

// docs/HISTORY.md, row 114: extended numbers across 2^32, in order and out of order, with both kinds of suite.
#[test]
fn extended_numbers_cross_the_wrap() {
    for integ in [IntegId::NONE, IntegId::HMAC_SHA2_256_128] {
        let start = (1 << 32) - 4;
        let mut engine = engine_at(start, SnId::PARTIAL_64, integ);
        // As if the numbers so far had been received.
        assert!(engine.inbound.newest_for_test(start));
        let packets: Vec<_> = (0..8).map(|_| send(&mut engine).1).collect();
        assert_eq!(packets[3][24..28], [0; 4], "the low half wrapped");
        for n in [5, 0, 3, 1, 7, 2, 4, 6] {
            assert_eq!(receive(&mut engine, &packets[n]), Verdict::Deliver, "{n}");
        }
        for packet in &packets {
            assert_eq!(receive(&mut engine, packet), Verdict::Drop(DropReason::Replayed));
        }
        assert_eq!(engine.inbound.list()[0].counters.sequence, start + 8);
    }
}

// The same low half under another high half is another packet: it must not verify.
#[test]
fn the_high_half_is_part_of_what_is_authenticated() {
    for integ in [IntegId::NONE, IntegId::HMAC_SHA2_256_128] {
        let mut engine = engine_at((5 << 32) + 10, SnId::PARTIAL_64, integ);
        let (_, packet) = send(&mut engine);
        assert_eq!(receive(&mut engine, &packet), Verdict::Drop(DropReason::Forged));
        assert!(engine.inbound.newest_for_test((5 << 32) + 10));
        assert_eq!(receive(&mut engine, &packet), Verdict::Deliver);
    }
}

#[test]
fn a_rekey_is_asked_for_before_the_numbers_run_out() {
    let engine = engine_at(0, SnId::SEQUENTIAL_32, IntegId::NONE);
    let mut usage = engine.outbound.sad.get(0).unwrap().usage;
    usage.packets = u64::from(u32::MAX) / 8 * 7 - 2;
    assert!(!usage.record(1));
    assert!(usage.record(1));
}

#[test]
fn nothing_is_kept_of_a_policy_that_went_before_its_sas() {
    let mut engine = engine_at(0, SnId::SEQUENTIAL_32, IntegId::NONE);
    let id = engine.outbound.list()[0].params.id();
    for op in [DataPlaneOp::DeletePolicy(PolicyId(1)), DataPlaneOp::DeleteSa(id)] {
        engine.apply(&op, Instant::ZERO).unwrap();
    }
    assert!(engine.outbound.senders.is_empty() && engine.outbound.acquires.is_empty());
}
