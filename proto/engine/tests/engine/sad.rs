//! How inbound SAs are found (RFC 4301 §4.1), and what they count.

use crate::common::*;
use crate::sys::live_bytes;
use ravelin_engine::{DropReason, Verdict};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::sa::{Direction, SaCounters, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Instant, Secret};
use ravelin_wire::ip::protocol;

const GROUP: &str = "233.252.0.1";

/// An inbound SA with SPI 0x5000 and a key made of `key`.
fn inbound(src: &str, dst: &str, lookup: SaLookup, key: u8) -> SaParams {
    let mut params = sa(Direction::Inbound, Mode::Tunnel, src, dst, AES_GCM);
    params.keys.encr = Secret::new(vec![key; 20]);
    SaParams { spi: Spi(0x5000), lookup, replay_window: 0, ..params }
}

fn clear() -> Vec<u8> {
    udp("10.1.0.1", "10.2.0.1", (5, 6), 20)
}

/// A packet that the holder of the keys of `sa` sends from `src` to `dst`.
fn from(sa: &SaParams, src: &str, dst: &str, sequence: u32) -> (SaParams, Vec<u8>) {
    let esp = authentic(sa, sequence, &padded(&clear(), protocol::IPV4));
    (SaParams { src: ip(src), dst: ip(dst), ..sa.clone() }, esp)
}

// RFC 4301 §4.1: SPI, destination and source; SPI and destination; SPI: the longest match.
#[test]
fn the_sa_with_the_longest_match_opens() {
    let unicast = inbound("192.0.2.1", "192.0.2.2", SaLookup::Spi, 1);
    let group = inbound("192.0.2.1", GROUP, SaLookup::Destination, 2);
    let one_source = inbound("192.0.2.1", GROUP, SaLookup::Source, 3);
    let other_group = inbound("192.0.2.1", "233.252.0.2", SaLookup::Destination, 4);
    let v6 = inbound("2001:db8::1", "ff0e::1", SaLookup::Source, 5);
    let mut engine = engine();
    for params in [&unicast, &group, &one_source, &other_group, &v6] {
        engine.apply(&DataPlaneOp::AddSa(params.clone()), NOW).unwrap();
    }
    for (sa, src, dst) in [
        (&unicast, "192.0.2.1", "192.0.2.2"),
        (&unicast, "198.51.100.9", "192.0.2.2"),
        (&one_source, "192.0.2.1", GROUP),
        (&group, "192.0.2.7", GROUP),
        (&group, "192.0.2.8", GROUP),
        (&other_group, "192.0.2.1", "233.252.0.2"),
        (&v6, "2001:db8::1", "ff0e::1"),
    ] {
        let (at, esp) = from(sa, src, dst, 1);
        assert_eq!(receive_esp(&mut engine, &at, &esp), (Verdict::Deliver, clear()), "{src} -> {dst}");
        if src.contains('.') {
            let whole = packet(ip(src), ip(dst), protocol::ESP, &esp);
            assert_eq!(receive(&mut engine, &whole), (Verdict::Deliver, clear()), "{src} -> {dst}, whole");
        }
    }
    // Without the narrowest, the next one is asked.
    let (at, esp) = from(&one_source, "192.0.2.1", GROUP, 2);
    engine.apply(&DataPlaneOp::DeleteSa(one_source.id()), NOW).unwrap();
    assert_eq!(receive_esp(&mut engine, &at, &esp).0, Verdict::Drop(DropReason::Forged));
    let (at, esp) = from(&group, "192.0.2.1", GROUP, 3);
    assert_eq!(receive_esp(&mut engine, &at, &esp).0, Verdict::Deliver);
    engine.apply(&DataPlaneOp::DeleteSa(group.id()), NOW).unwrap();
    assert_eq!(receive_esp(&mut engine, &at, &esp).0, Verdict::Drop(DropReason::Forged), "the SPI is left");
    engine.apply(&DataPlaneOp::DeleteSa(unicast.id()), NOW).unwrap();
    assert_eq!(receive_esp(&mut engine, &at, &esp).0, Verdict::Drop(DropReason::UnknownSpi));
    assert_eq!(engine.list().len(), 2);
}

#[test]
fn a_name_is_taken_once() {
    let mut engine = engine();
    let first = inbound("192.0.2.1", GROUP, SaLookup::Source, 1);
    for (params, admitted) in [
        (first.clone(), true),
        (first.clone(), false),
        (SaParams { src: ip("192.0.2.3"), ..first.clone() }, true),
        (SaParams { lookup: SaLookup::Destination, ..first.clone() }, true),
        (SaParams { lookup: SaLookup::Destination, src: ip("192.0.2.9"), ..first.clone() }, false),
        (inbound("192.0.2.1", "192.0.2.2", SaLookup::Spi, 1), true),
        (inbound("192.0.2.1", "192.0.2.3", SaLookup::Spi, 1), false),
    ] {
        let result = engine.apply(&DataPlaneOp::AddSa(params.clone()), NOW);
        assert_eq!(result.is_ok(), admitted, "{:?}: {result:?}", params.id());
        assert!(result.is_ok() || matches!(result, Err(DataPlaneError::Exists(_))));
    }
}

// RFC 4303 §2.2: senders that share an SA cannot share a counter, so their numbers are not checked.
#[test]
fn several_senders_share_an_sa_without_a_window() {
    let shared = inbound("192.0.2.1", GROUP, SaLookup::Destination, 9);
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddSa(shared.clone()), NOW).unwrap();
    for sequence in [1, 2, 3] {
        for sender in ["192.0.2.1", "192.0.2.7"] {
            let (at, esp) = from(&shared, sender, GROUP, sequence);
            assert_eq!(receive_esp(&mut engine, &at, &esp).0, Verdict::Deliver, "{sender} {sequence}");
        }
    }
    assert_eq!(engine.list()[0].counters.packets, 6);
}

#[test]
fn every_cause_has_its_counter() {
    let net = |text: &str| TrafficSelector::prefix(ip(text), 16).unwrap();
    let lifetime = Lifetime { hard: Limits { packets: Some(2), ..Limits::default() }, ..Lifetime::default() };
    let params = SaParams {
        local_ts: [net("10.2.0.0")].into(),
        remote_ts: [net("10.1.0.0")].into(),
        replay_window: 64,
        lifetime,
        ..inbound("192.0.2.1", "192.0.2.2", SaLookup::Spi, 7)
    };
    let mut engine = engine();
    let discard = policy(9, 1, &[net("10.2.0.0")], &[net("10.1.0.0")], ravelin_types::policy::Action::Discard);
    let mine = policy(1, 5, &[net("10.2.0.0")], &[net("10.1.0.0")], protect());
    engine.apply(&DataPlaneOp::AddPolicy(mine), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddSa(params.clone()), NOW).unwrap();
    let open = |engine: &mut ravelin_engine::Engine, esp: &[u8]| receive_esp(engine, &params, esp).0;
    let good = |sequence| authentic(&params, sequence, &padded(&clear(), protocol::IPV4));

    assert_eq!(open(&mut engine, &good(200)), Verdict::Deliver);
    open(&mut engine, &good(200));
    open(&mut engine, &good(1));
    let mut forged = good(201);
    *forged.last_mut().unwrap() ^= 1;
    open(&mut engine, &forged);
    open(&mut engine, &good(202)[..20]);
    open(&mut engine, &authentic(&params, 203, &[9, 9, 9, protocol::IPV4]));
    open(&mut engine, &authentic(&params, 204, &padded(&clear(), protocol::UDP)));
    open(&mut engine, &authentic(&params, 205, &padded(&clear()[..19], protocol::IPV4)));
    let outside = udp("10.9.0.1", "10.2.0.1", (5, 6), 20);
    open(&mut engine, &authentic(&params, 206, &padded(&outside, protocol::IPV4)));
    open(&mut engine, &authentic(&params, 207, &padded(&[], protocol::NO_NEXT_HEADER)));
    engine.apply(&DataPlaneOp::AddPolicy(discard), NOW).unwrap();
    open(&mut engine, &good(208));
    engine.apply(&DataPlaneOp::DeletePolicy(PolicyId(9)), NOW).unwrap();
    assert_eq!(open(&mut engine, &good(209)), Verdict::Deliver);
    open(&mut engine, &good(210));
    assert_eq!(
        engine.list()[0].counters,
        SaCounters {
            packets: 2,
            bytes: 2 * clear().len() as u64,
            replayed: 1,
            too_old: 1,
            forged: 1,
            bad_length: 1,
            bad_padding: 1,
            bad_next_header: 1,
            bad_inner: 1,
            bad_selector: 1,
            bad_policy: 1,
            expired: 1,
            dummies: 1,
            unsendable: 0,
            sequence: 209,
        }
    );
}

// RFC 7296 §2.8: during a rekey two generations live, until the old one is deleted.
#[test]
fn the_old_inbound_sa_opens_while_the_new_outbound_one_sends() {
    let generation = |spi, key| {
        let mut params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
        params.keys.encr = Secret::new(vec![key; 20]);
        SaParams { spi: Spi(spi), ..params }
    };
    let (old, new) = (generation(0x1000, 1), generation(0x2000, 2));
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    let add = |engine: &mut ravelin_engine::Engine, params: &SaParams| {
        engine.apply(&DataPlaneOp::AddSa(received(params)), Instant::ZERO).unwrap();
        engine.apply(&DataPlaneOp::AddSa(params.clone()), Instant::ZERO).unwrap();
    };
    add(&mut engine, &old);
    let under_way = [sealed(&mut engine, &clear()), sealed(&mut engine, &clear())];
    add(&mut engine, &new);
    let newer = sealed(&mut engine, &clear());
    assert_eq!(newer[20..24], 0x2000u32.to_be_bytes());
    for packet in [&under_way[0], &newer] {
        assert_eq!(receive(&mut engine, packet), (Verdict::Deliver, clear()));
    }
    // The new SA may go again, as after a collision, and the old one sends on.
    engine.apply(&DataPlaneOp::DeleteSa(new.id()), NOW).unwrap();
    assert_eq!(sealed(&mut engine, &clear())[20..24], 0x1000u32.to_be_bytes());
    engine.apply(&DataPlaneOp::DeleteSa(received(&old).id()), NOW).unwrap();
    assert_eq!(receive(&mut engine, &under_way[1]).0, Verdict::Drop(DropReason::UnknownSpi));
}

/// Bytes that an SA pair may take on the heap, the keyed ciphers of AWS-LC and its flow included, its policy not.
const PAIR: i64 = 4096;

// The memory of very many SAs: what is kept of one is bounded, and does not grow with their number.
#[test]
fn an_sa_pair_takes_no_more_than_so_many_bytes() {
    for count in [1000, 20_000] {
        let mut engine = engine();
        let local = |n: u32| vec![TrafficSelector::host((0x0a00_0000 + n).to_be_bytes().into())];
        let before = live_bytes();
        for n in 0..count {
            let send = SaParams {
                spi: Spi(0x10_0000 + n),
                policy: PolicyId(n),
                local_ts: local(n).into(),
                remote_ts: [TrafficSelector::any_v4()].into(),
                ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
            };
            engine.apply(&DataPlaneOp::AddSa(received(&send)), NOW).unwrap();
            engine.apply(&DataPlaneOp::AddSa(send), NOW).unwrap();
        }
        let each = (live_bytes() - before) / i64::from(count);
        println!("{count} SA pairs take {each} bytes each");
        assert!(each <= PAIR, "{count} SA pairs take {each} bytes each");
    }
}
