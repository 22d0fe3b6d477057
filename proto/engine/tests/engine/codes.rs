//! The reasons for which packets are dropped, and the error codes of document 003 §3.15: each reached by a packet or an
//! operation at the limits of a real engine, none by an error that a test made itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::common::*;
use ravelin_engine::limits::Limits;
use ravelin_engine::reassembly::{Added, MAX_FRAGMENTS, Reassembly};
use ravelin_engine::{DropReason, Engine, EngineConfig, HEADROOM, NoMatch, PacketBuf, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::{Lifetime, Limits as Bounds};
use ravelin_types::options::{AggFrag, IpComp, SaOptions};
use ravelin_types::policy::{Action, Mode, Policy, PolicyId};
use ravelin_types::proposal::{AhSuite, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Cpi, ErrorCode, Spi};
use ravelin_wire::ip::{protocol, v4};

const AH: AhSuite = AhSuite { integ: IntegId::HMAC_SHA2_256_128, sn: SnId::SEQUENTIAL_32 };

fn tunnel() -> SaParams {
    sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
}

fn by_ah() -> SaParams {
    with_suite(tunnel(), Suite::Ah(AH))
}

fn by_both() -> SaParams {
    let esp = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96);
    with_suite(tunnel(), Suite::AhEsp { ah: AH, ah_spi: tunnel().spi, esp })
}

fn clear() -> Vec<u8> {
    udp("10.0.0.1", "10.0.0.2", (1, 2), 40)
}

fn on_any(id: u32, priority: u32, action: Action) -> Policy {
    policy(id, priority, &[TrafficSelector::any_v4()], &[TrafficSelector::any_v4()], action)
}

/// An engine that got a packet of this SA which somebody damaged on its way.
fn damaged(params: &SaParams, damage: impl FnOnce(&mut Vec<u8>)) -> Engine {
    let mut engine = looped_in(portable_engine(), params);
    let mut packet = sealed(&mut engine, &clear());
    damage(&mut packet);
    receive(&mut engine, &packet);
    engine
}

/// One that got authentic packets with this inside, and these numbers.
fn inside(params: &SaParams, plain: &[u8], numbers: &[u32]) -> Engine {
    let mut engine = looped(params);
    for &number in numbers {
        receive_esp(&mut engine, params, &authentic(params, number, plain));
    }
    engine
}

/// One that opened an authentic packet, and has this policy before that of its SA.
fn opened_behind(before: Policy) -> Engine {
    let mut engine = looped(&tunnel());
    engine.apply(&DataPlaneOp::AddPolicy(before), NOW).unwrap();
    receive_esp(&mut engine, &tunnel(), &authentic(&tunnel(), 1, &padded(&clear(), protocol::IPV4)));
    engine
}

/// An engine that was offered this packet.
fn offered(mut engine: Engine, direction: Direction, packet: &[u8]) -> Engine {
    match direction {
        Direction::Outbound => _ = send(&mut engine, packet, NOW),
        Direction::Inbound => _ = receive(&mut engine, packet),
    }
    engine
}

/// The packet with this length and protocol in its IP header.
fn readdressed(packet: &mut [u8], protocol: u8) {
    let len = packet.len() as u16;
    v4::rewrite(&mut packet[..20], len, protocol);
}

fn flip_last(packet: &mut [u8]) {
    *packet.last_mut().unwrap() ^= 1;
}

fn on_4500(payload: &[u8]) -> Engine {
    let mut datagram = vec![0x12, 0x34, 0x11, 0x94, 0, 8 + payload.len() as u8, 0, 0];
    datagram.extend(payload);
    offered(engine(), Direction::Inbound, &packet(ip("192.0.2.1"), ip("192.0.2.2"), 17, &datagram))
}

/// Packets share payloads.
fn sharing() -> SaParams {
    let aggfrag = Some(AggFrag::default());
    SaParams { options: SaOptions { aggfrag, ..SaOptions::default() }, ..tunnel() }
}

/// An engine that dropped a packet for this reason. `None` where that takes more packets than a test can send.
fn dropped_for(reason: DropReason) -> Option<Engine> {
    let strict = || engine_with(EngineConfig::default());
    let any: [IpAddr; 2] = [ip("10.0.0.1"), ip("10.0.0.2")];
    let good = padded(&clear(), protocol::IPV4);
    let with_policy = |policy: Policy| {
        let mut engine = engine();
        engine.apply(&DataPlaneOp::AddPolicy(policy), NOW).unwrap();
        engine
    };
    Some(match reason {
        DropReason::BadIpHeader => offered(engine(), Direction::Inbound, &clear()[..25]),
        DropReason::PolicyDiscard => offered(with_policy(on_any(1, 1, Action::Discard)), Direction::Outbound, &clear()),
        DropReason::NoPolicy => offered(strict(), Direction::Inbound, &clear()),
        DropReason::HiddenPorts => {
            let web = [TrafficSelector::any_v4().with(protocol::UDP, 80..=80).unwrap()];
            let mut later = clear();
            later[6..8].copy_from_slice(&[0, 9]);
            let any = [TrafficSelector::any_v4()];
            offered(with_policy(policy(1, 1, &any, &web, protect())), Direction::Outbound, &later)
        }
        DropReason::OverlappingFragment => {
            let mut later = packet(any[0], any[1], protocol::TCP, &[0; 24]);
            later[6..8].copy_from_slice(&[0x20, 1]);
            offered(engine(), Direction::Inbound, &later)
        }
        DropReason::FragmentInTransport => {
            let params = sa(Direction::Outbound, Mode::Transport, "10.0.0.1", "10.0.0.2", AES_GCM);
            let mut first = clear();
            first[6] = 0x20;
            offered(looped(&params), Direction::Outbound, &first)
        }
        DropReason::NoRoom => {
            let mut engine = looped(&tunnel());
            let mut bytes = clear();
            let whole = 0..bytes.len();
            engine.outbound.process(&mut PacketBuf::new(&mut bytes, whole).unwrap(), NOW);
            engine
        }
        DropReason::TooLong => {
            offered(looped(&tunnel()), Direction::Outbound, &udp("10.0.0.1", "10.0.0.2", (1, 2), 65_000 + 500))
        }
        DropReason::TooBig => {
            let options = SaOptions { mtu: Some(600), ..SaOptions::default() };
            let long = udp("10.0.0.1", "10.0.0.2", (1, 2), 1000);
            offered(looped(&SaParams { options, ..tunnel() }), Direction::Outbound, &long)
        }
        DropReason::QueueFull => {
            let mut engine = looped(&sharing());
            let long = udp("10.0.0.1", "10.0.0.2", (1, 2), 60_000);
            while send(&mut engine, &long, NOW).0 == Verdict::Taken {}
            engine
        }
        // Four thousand million packets. `outbound::tests` lets the SA believe that it sent them.
        DropReason::SequenceExhausted => return None,
        DropReason::TooManyAcquires => {
            let limits = Limits { acquires: 1, ..Limits::default() };
            let mut engine = engine_with(EngineConfig { limits, ..EngineConfig::default() });
            for (id, local) in [(1, any[0]), (2, any[1])] {
                let local = [TrafficSelector::host(local)];
                let asks = policy(id, 1, &local, &[TrafficSelector::any_v4()], protect());
                engine.apply(&DataPlaneOp::AddPolicy(asks), NOW).unwrap();
            }
            let first = send(&mut engine, &clear(), NOW).0;
            assert_eq!((first, first.code()), (Verdict::Hold(PolicyId(1)), Some(ErrorCode::KeynegInprogress)));
            offered(engine, Direction::Outbound, &udp("10.0.0.2", "10.0.0.1", (1, 2), 40))
        }
        DropReason::ExpectedProtection => offered(looped(&tunnel()), Direction::Inbound, &clear()),
        DropReason::EspFragment => damaged(&tunnel(), |packet| packet[6] = 0x20),
        DropReason::AhFragment => damaged(&by_ah(), |packet| packet[6] = 0x20),
        DropReason::BadEspLength => damaged(&tunnel(), |packet| {
            packet.truncate(30);
            readdressed(packet, protocol::ESP);
        }),
        DropReason::BadAhLength => damaged(&by_ah(), |packet| {
            packet.truncate(30);
            readdressed(packet, protocol::AH);
        }),
        // A source route that does not end here.
        DropReason::UncoverableHeader => damaged(&by_ah(), |packet| {
            packet.splice(20..20, [131, 7, 4, 192, 0, 2, 9, 0]);
            packet[0] = 0x47;
            let len = packet.len() as u16;
            v4::rewrite(&mut packet[..28], len, protocol::AH);
        }),
        DropReason::BadEncapsulation => on_4500(&[]),
        DropReason::Keepalive => on_4500(&[0xff]),
        DropReason::UnknownSpi => damaged(&tunnel(), |packet| packet[20] ^= 0x40),
        DropReason::UnknownAhSpi => damaged(&by_ah(), |packet| packet[24] ^= 0x40),
        DropReason::ExpectedAh => damaged(&by_both(), |packet| {
            packet.drain(20..20 + usize::from(packet[21] + 2) * 4);
            readdressed(packet, protocol::ESP);
        }),
        DropReason::ExpectedEsp => {
            let packet = sealed(&mut looped_in(portable_engine(), &by_ah()), &clear());
            offered(looped_in(portable_engine(), &by_both()), Direction::Inbound, &packet)
        }
        DropReason::Expired => {
            let once = Bounds { packets: Some(1), ..Bounds::default() };
            let lifetime = Lifetime { hard: once, ..Lifetime::default() };
            inside(&SaParams { lifetime, ..tunnel() }, &good, &[1, 2])
        }
        DropReason::Replayed => inside(&tunnel(), &good, &[1, 1]),
        DropReason::TooOld => inside(&tunnel(), &good, &[100, 1]),
        DropReason::Forged => damaged(&tunnel(), |packet| flip_last(packet)),
        DropReason::AhForged => damaged(&by_ah(), |packet| flip_last(packet)),
        DropReason::BadPadding => inside(&tunnel(), &[1, 4, 255, 4], &[1]),
        DropReason::Dummy => inside(&tunnel(), &padded(&[], protocol::NO_NEXT_HEADER), &[1]),
        DropReason::BadNextHeader => inside(&tunnel(), &padded(&clear(), protocol::UDP), &[1]),
        DropReason::BadInnerPacket => inside(&tunnel(), &padded(&clear()[..30], protocol::IPV4), &[1]),
        DropReason::BadCompression => {
            let options = SaOptions { ipcomp: IpComp::With(Cpi(0x1234)), ..SaOptions::default() };
            inside(&SaParams { options, ..tunnel() }, &padded(&[4, 0, 0x12, 0x34, 7], protocol::IPCOMP), &[1])
        }
        DropReason::BadAggFrag => inside(&sharing(), &padded(&[9], protocol::AGGFRAG), &[1]),
        DropReason::TooLate => inside(&sharing(), &padded(&[0; 5], protocol::AGGFRAG), &[9, 1]),
        // The beginning of a packet, and then that of another.
        DropReason::Incomplete => {
            let begun = [&[0; 4][..], &clear()[..30]].concat();
            inside(&sharing(), &padded(&begun, protocol::AGGFRAG), &[1, 2])
        }
        // Congestion on the way of a packet that cannot say so.
        DropReason::CongestionLost => damaged(&tunnel(), |packet| v4::set_tos(packet.first_chunk_mut().unwrap(), 0b11)),
        DropReason::BadSelector => {
            let remote_ts = vec![TrafficSelector::host(ip("10.9.9.9"))];
            inside(&SaParams { remote_ts: remote_ts.into(), ..tunnel() }, &good, &[1])
        }
        DropReason::PolicyMismatch => {
            let Action::Protect(protection) = protect() else { panic!() };
            let elsewhere = ravelin_types::policy::Protection { remote: ip("192.0.2.9"), ..protection };
            opened_behind(on_any(2, 1, Action::Protect(elsewhere)))
        }
        DropReason::UnexpectedProtection => opened_behind(on_any(2, 1, Action::Bypass)),
    })
}

/// The codes of the reasons that were reached.
fn by_packets() -> BTreeSet<ErrorCode> {
    let mut codes = BTreeSet::new();
    for &reason in DropReason::ALL {
        let Some(engine) = dropped_for(reason) else { continue };
        let dropped = [engine.outbound.counters(), engine.inbound.counters()].map(|counters| counters.dropped(reason));
        assert_eq!(dropped.iter().sum::<u64>(), 1, "{reason}");
        codes.extend(reason.code());
    }
    codes
}

/// Of operations at the limits of an engine, or that it cannot do.
fn by_operations() -> Vec<ErrorCode> {
    let limits = Limits { policies: 1, sas: 1, ..Limits::default() };
    let mut full: Engine = engine_with(EngineConfig { limits, ..EngineConfig::default() });
    let mut spacious = looped(&tunnel());
    for op in [DataPlaneOp::AddPolicy(protect_all(1)), DataPlaneOp::AddSa(tunnel())] {
        full.apply(&op, NOW).unwrap();
    }
    let other = SaParams { spi: Spi(0x2000), ..tunnel() };
    let unknown = SaParams { suite: suite(EncrId(200), 128, IntegId::NONE).into(), ..other.clone() };
    let wide = SaParams { replay_window: 1 << 20, ..other.clone() };
    let refused = |engine: &mut Engine, op: DataPlaneOp| engine.apply(&op, NOW).unwrap_err().code();
    let mut codes = vec![
        refused(&mut full, DataPlaneOp::AddPolicy(protect_all(2))),
        refused(&mut full, DataPlaneOp::AddSa(other.clone())),
        refused(&mut full, DataPlaneOp::AddSa(tunnel())),
        refused(&mut full, DataPlaneOp::DeleteSa(other.id())),
        refused(&mut full, DataPlaneOp::DeletePolicy(PolicyId(9))),
        refused(&mut spacious, DataPlaneOp::AddSa(unknown)),
        refused(&mut spacious, DataPlaneOp::AddSa(wide)),
    ];
    let mut room = [0; 500];
    let mut pkt = PacketBuf::new(&mut room, HEADROOM..HEADROOM).unwrap();
    let dummy = looped_in(portable_engine(), &by_ah()).outbound.send_dummy(by_ah().id(), &mut pkt);
    codes.push(dummy.unwrap_err().code());
    codes
}

/// Of a datagram in more fragments than there are places for.
fn of_fragments() -> ErrorCode {
    let mut waiting = Reassembly::new(2, 1);
    let whole = udp("10.0.0.1", "10.0.0.2", (1, 2), 8 * MAX_FRAGMENTS);
    for at in 0..=MAX_FRAGMENTS {
        let mut fragment = [&whole[..20], &whole[20 + 8 * at..28 + 8 * at]].concat();
        fragment[6..8].copy_from_slice(&(0x2000 | at as u16).to_be_bytes());
        readdressed(&mut fragment, protocol::UDP);
        match waiting.add(&fragment, NOW) {
            Added::Held => assert!(at < MAX_FRAGMENTS),
            Added::Refused(refusal) => return refusal.code(),
            other => panic!("{other:?}"),
        }
    }
    panic!("more fragments than there are places for")
}

#[test]
fn every_code_of_packets_and_operations_is_reached() {
    use ErrorCode::*;
    let mut reached = by_packets();
    assert_eq!(reached.len(), 21, "{reached:?}");
    assert!(reached.contains(&Nomem), "a flow more than the engine can remember");
    let operations = by_operations();
    let expected = [
        OutOfPolicies,
        OutOfSessions,
        Exist,
        SaNotFound,
        PolicyNotFound,
        UnknownAlgorithm,
        BadParam,
        SessUnavlForDummyTx,
    ];
    assert_eq!(operations, expected);
    assert_eq!(of_fragments(), OutOfPackets);
    reached.extend(operations);
    // Of a packet that is on hold: see `TooManyAcquires` above.
    reached.extend([OutOfPackets, KeynegInprogress]);

    // The others are about messages and identities, and are reached by those: see `ravelin-manage`. Requests run out in
    // `the_queue_is_bounded_and_gives_requests_back`.
    let by_messages = [BadAddrRange, BadIdType, BadPortNumber, OutOfReqs];
    let rest: Vec<ErrorCode> = ErrorCode::ALL.iter().copied().filter(|code| !reached.contains(code)).collect();
    assert_eq!(rest, by_messages);
    // What is as configured is no error.
    let silent: Vec<DropReason> = DropReason::ALL.iter().copied().filter(|reason| reason.code().is_none()).collect();
    assert_eq!(silent, [DropReason::PolicyDiscard, DropReason::Keepalive, DropReason::Dummy]);
}

// What no policy is about is counted by where it went, and is no error either.
#[test]
fn what_passes_has_no_code() {
    let mut engine = engine_with(EngineConfig { no_match: NoMatch::Bypass, ..EngineConfig::default() });
    let verdict = send(&mut engine, &clear(), NOW).0;
    assert_eq!((verdict, verdict.code()), (Verdict::Bypass, None));
    assert_eq!((engine.outbound.counters().bypassed, engine.outbound.counters().all_dropped()), (1, 0));
}
