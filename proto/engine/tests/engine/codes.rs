//! The error codes of document 003 §3.15 that packets and operations end with, each reached by one.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::*;
use ravelin_engine::limits::Limits;
use ravelin_engine::reassembly::{Added, Reassembly};
use ravelin_engine::{DropReason, Engine, EngineConfig, HEADROOM, PacketBuf, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::lifetime::{Lifetime, Limits as Bounds};
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Action, Mode, PolicyId};
use ravelin_types::proposal::{AhSuite, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{ErrorCode, Spi};
use ravelin_wire::ip::{protocol, v4};

fn tunnel() -> SaParams {
    sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
}

fn clear() -> Vec<u8> {
    udp("10.0.0.1", "10.0.0.2", (1, 2), 40)
}

const AH: AhSuite = AhSuite { integ: IntegId::HMAC_SHA2_256_128, sn: SnId::SEQUENTIAL_32 };

fn code(verdict: Verdict) -> ErrorCode {
    verdict.code().unwrap_or_else(|| panic!("{verdict:?} is no error"))
}

/// What an authentic packet with this inside ends with.
fn inside(plain: &[u8]) -> ErrorCode {
    let params = tunnel();
    code(receive_esp(&mut looped(&params), &params, &authentic(&params, 1, plain)).0)
}

/// What a packet ends with that somebody damaged on its way.
fn damaged(params: &SaParams, damage: impl FnOnce(&mut Vec<u8>)) -> ErrorCode {
    let mut engine = looped_in(portable_engine(), params);
    let mut packet = sealed(&mut engine, &clear());
    damage(&mut packet);
    code(receive(&mut engine, &packet).0)
}

/// Of inbound packets that are not what they should be.
fn hostile() -> Vec<ErrorCode> {
    let inner = clear();
    let ah = with_suite(tunnel(), Suite::Ah(AH));
    let esp = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96);
    let bundle = with_suite(tunnel(), Suite::AhEsp { ah: AH, ah_spi: tunnel().spi, esp });
    let last = |packet: &mut Vec<u8>| *packet.last_mut().unwrap() ^= 1;
    let to = |protocol, spi_at: usize| {
        move |packet: &mut Vec<u8>| {
            let len = packet.len() as u16;
            v4::rewrite(&mut packet[..20], len, protocol);
            packet[spi_at] ^= 0x40;
        }
    };
    let mut replayed = looped(&tunnel());
    let packet = sealed(&mut replayed, &inner);
    assert_eq!(receive(&mut replayed, &packet).0, Verdict::Deliver);
    vec![
        damaged(&tunnel(), last),
        damaged(&ah, last),
        damaged(&tunnel(), to(protocol::ESP, 20)),
        damaged(&ah, to(protocol::AH, 24)),
        // An SA with AH around ESP, and packets that have one of the two.
        damaged(&bundle, |packet| {
            packet.drain(20..20 + usize::from(packet[21] + 2) * 4);
            let len = packet.len() as u16;
            v4::rewrite(&mut packet[..20], len, protocol::ESP);
        }),
        {
            let mut engine = looped_in(portable_engine(), &bundle);
            let alone = with_suite(tunnel(), Suite::Ah(AH));
            let packet = sealed(&mut looped_in(portable_engine(), &alone), &inner);
            code(receive(&mut engine, &packet).0)
        },
        code(receive(&mut replayed, &packet).0),
        inside(&[1, 4, 255, 4]),
        inside(&padded(&inner, protocol::UDP)),
        inside(&padded(&inner[..30], protocol::IPV4)),
        damaged(&tunnel(), |packet| {
            packet.truncate(30);
            v4::rewrite(&mut packet[..20], 30, protocol::ESP);
        }),
        damaged(&tunnel(), |packet| packet.truncate(25)),
    ]
}

/// Of packets that policies or SAs have something against.
fn refused_by_policy() -> Vec<ErrorCode> {
    let any = ravelin_types::selector::TrafficSelector::any_v4();
    let mut without_policy = engine_with(EngineConfig::default());
    let mut without_sa = engine();
    without_sa.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    let held = send(&mut without_sa, &clear(), NOW).0;
    assert_eq!(held, Verdict::Hold(PolicyId(1)));

    let elsewhere = vec![ravelin_types::selector::TrafficSelector::host(ip("10.9.9.9"))];
    let mut narrow = looped(&SaParams { remote_ts: elsewhere, ..tunnel() });
    let wanted_clear = |action| {
        let mut engine = looped(&tunnel());
        engine.apply(&DataPlaneOp::AddPolicy(policy(2, 1, &[any], &[any], action)), NOW).unwrap();
        let esp = authentic(&tunnel(), 1, &padded(&clear(), protocol::IPV4));
        code(receive_esp(&mut engine, &tunnel(), &esp).0)
    };
    let esp = |sequence| authentic(&tunnel(), sequence, &padded(&clear(), protocol::IPV4));
    let outside = receive_esp(&mut narrow, &tunnel(), &esp(1)).0;

    let once = Bounds { packets: Some(1), ..Bounds::default() };
    let mut spent = looped(&SaParams { lifetime: Lifetime { hard: once, ..Lifetime::default() }, ..tunnel() });
    assert_eq!(receive_esp(&mut spent, &tunnel(), &esp(1)).0, Verdict::Deliver);

    let options = SaOptions { mtu: Some(600), ..SaOptions::default() };
    let mut narrow_path = looped(&SaParams { options, ..tunnel() });
    let mut long = udp("10.0.0.1", "10.0.0.2", (1, 2), 1000);
    long[6] |= 0x40;

    let mut bytes = clear();
    let whole = 0..bytes.len();
    let no_room = looped(&tunnel()).outbound.process(&mut PacketBuf::new(&mut bytes, whole).unwrap(), NOW);
    vec![
        code(receive(&mut without_policy, &clear()).0),
        code(held),
        code(receive(&mut without_sa, &clear()).0),
        code(outside),
        wanted_clear(Action::Bypass),
        code(receive_esp(&mut spent, &tunnel(), &esp(2)).0),
        code(send(&mut narrow_path, &long, NOW).0),
        code(no_room),
    ]
}

/// Of operations, and of what packets are made of.
fn refused_operations() -> Vec<ErrorCode> {
    let limits = Limits { policies: 1, sas: 1, ..Limits::default() };
    let mut engine: Engine = engine_with(EngineConfig { limits, ..EngineConfig::default() });
    let mut refused = |op: DataPlaneOp| engine.apply(&op, NOW).map_err(|error| error.code());
    let other = SaParams { spi: Spi(0x2000), ..tunnel() };
    assert_eq!(refused(DataPlaneOp::AddPolicy(protect_all(1))), Ok(()));
    assert_eq!(refused(DataPlaneOp::AddSa(tunnel())), Ok(()));
    let unknown = SaParams { suite: suite(EncrId(200), 128, IntegId::NONE).into(), ..tunnel() };
    let mut codes: Vec<ErrorCode> = [
        DataPlaneOp::AddPolicy(protect_all(2)),
        DataPlaneOp::AddSa(other.clone()),
        DataPlaneOp::AddSa(tunnel()),
        DataPlaneOp::DeleteSa(other.id()),
        DataPlaneOp::DeletePolicy(PolicyId(9)),
    ]
    .into_iter()
    .map(|op| refused(op).unwrap_err())
    .collect();
    let mut engine = looped(&tunnel());
    let error = engine.apply(&DataPlaneOp::AddSa(SaParams { spi: Spi(0x3000), ..unknown }), NOW).unwrap_err();
    codes.push(error.code());
    let wide = SaParams { spi: Spi(0x4000), replay_window: 1 << 20, ..tunnel() };
    codes.push(engine.apply(&DataPlaneOp::AddSa(wide), NOW).unwrap_err().code());
    // What the system under a data plane says no to.
    codes.push(DataPlaneError::System("no memory".into()).code());

    let ah = with_suite(tunnel(), Suite::Ah(AH));
    let mut room = [0; 500];
    let mut pkt = PacketBuf::new(&mut room, HEADROOM..HEADROOM).unwrap();
    codes.push(looped_in(portable_engine(), &ah).outbound.send_dummy(ah.id(), &mut pkt).unwrap_err().code());

    let mut first = udp("10.0.0.1", "10.0.0.2", (1, 2), 40);
    first[6] = 0x20;
    let Added::Refused(refusal) = Reassembly::new(0, 1).add(&first, NOW + Duration::from_secs(1)) else {
        panic!("there is no room for a fragment")
    };
    codes.push(refusal.code());
    codes
}

// The others are about messages and identities, and are reached by those: see `ravelin-manage`.
#[test]
fn every_code_of_packets_and_operations_is_reached() {
    use ErrorCode::*;
    let by_inbound = [
        EspDigestMismatch,
        AhDigestMismatch,
        BadEspSpi,
        BadAhSpi,
        ExpectedAhProto,
        ExpectedEspProto,
        BadSequenceNumber,
        BadPadData,
        UnknownIpProtocol,
        DstOutOfData,
        NoData,
        SrcOutOfData,
    ];
    assert_eq!(hostile(), by_inbound);
    let by_policy = [
        PolicyNotFound,
        KeynegInprogress,
        InboundExpectedSecurePacket,
        InboundPolicyFailure,
        InboundUnexpectedSecuredPacket,
        BadSessErr,
        MtuExceeded,
        DstOutOfSpace,
    ];
    assert_eq!(refused_by_policy(), by_policy);
    let by_operations = [
        OutOfPolicies,
        OutOfSessions,
        Exist,
        SaNotFound,
        PolicyNotFound,
        UnknownAlgorithm,
        BadParam,
        Nomem,
        SessUnavlForDummyTx,
        OutOfPackets,
    ];
    assert_eq!(refused_operations(), by_operations);

    let reached: BTreeSet<ErrorCode> = by_inbound.into_iter().chain(by_policy).chain(by_operations).collect();
    let by_messages = [BadAddrRange, BadIdType, BadPortNumber, OutOfReqs];
    let rest: Vec<ErrorCode> = ErrorCode::ALL.iter().copied().filter(|code| !reached.contains(code)).collect();
    assert_eq!(rest, by_messages);
    // What is as configured is no error.
    let silent: Vec<DropReason> = DropReason::ALL.iter().copied().filter(|reason| reason.code().is_none()).collect();
    assert_eq!(silent, [DropReason::PolicyDiscard, DropReason::Keepalive, DropReason::Dummy]);
}
