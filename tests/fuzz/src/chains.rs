//! Packets in pieces against the same packets in one, through the same engine twice.
//!
//! Input: `flags | number of cuts | length of each piece | packet`. Of the flags the lowest says which way the packet goes,
//! the next whether one of ours, protected, stands before it and what of the input is left is written over that.

use std::net::IpAddr;

use ravelin_engine::{ChainBuf, Engine, HEADROOM, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::v4;

const SRC: [u8; 4] = [192, 0, 2, 1];
const DST: [u8; 4] = [192, 0, 2, 2];
/// Longer than what the engine copies of every packet.
const CLEAR_LEN: usize = 700;

pub fn packets(mut input: &[u8]) {
    let mut byte = || {
        let (first, rest) = input.split_first().unwrap_or((&0, &[]));
        input = rest;
        *first
    };
    let flags = byte();
    let cuts: Vec<usize> = (0..byte() % 64).map(|_| usize::from(byte())).collect();
    let (mut one, mut many) = (engine(), engine());
    let mut packet = input.to_vec();
    if flags & 2 != 0 {
        packet = clear();
        if flags & 1 != 0 {
            packet = in_one(&mut one, true, &packet).1;
            assert_eq!(in_pieces(&mut many, true, &clear(), &cuts).1, packet);
        }
        // Positions and changes, and the last byte cuts it short.
        for change in input.chunks(3) {
            match *change {
                [high, low, with] => {
                    let at = usize::from(u16::from_be_bytes([high, low])) % packet.len().max(1);
                    packet.get_mut(at).into_iter().for_each(|byte| *byte ^= with);
                }
                [by, ..] => packet.truncate(packet.len().saturating_sub(by.into())),
                [] => {}
            }
        }
    }
    let outbound = flags & 1 == 0;
    let (expected, bytes) = in_one(&mut one, outbound, &packet);
    let (verdict, parts) = in_pieces(&mut many, outbound, &packet, &cuts);
    assert_eq!(verdict, expected);
    assert!(matches!(verdict, Verdict::Drop(_)) || parts == bytes);
    assert_eq!(one.inbound.counters(), many.inbound.counters());
    assert_eq!(one.outbound.counters(), many.outbound.counters());
}

fn in_one(engine: &mut Engine, outbound: bool, packet: &[u8]) -> (Verdict, Vec<u8>) {
    let mut bytes = [&[0; HEADROOM][..], packet, &[0; TAILROOM]].concat();
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + packet.len()).expect("it is inside");
    let verdict = match outbound {
        true => engine.outbound.process(&mut pkt, Instant::ZERO),
        false => engine.inbound.process(&mut pkt, Instant::ZERO),
    };
    (verdict, pkt.packet().to_vec())
}

fn in_pieces(engine: &mut Engine, outbound: bool, mut packet: &[u8], cuts: &[usize]) -> (Verdict, Vec<u8>) {
    let mut bytes = vec![0; HEADROOM + packet.len() + TAILROOM];
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, rest) = packet.split_at(packet.len().min(*cut));
        pieces.push(piece.to_vec());
        packet = rest;
    }
    pieces.push(packet.to_vec());
    let mut chain = ChainBuf::new(&mut pieces, &mut bytes).expect("there is room");
    let verdict = match outbound {
        true => engine.outbound.process_chain(&mut chain, Instant::ZERO),
        false => engine.inbound.process_chain(&mut chain, Instant::ZERO),
    };
    (verdict, chain.parts().flatten().copied().collect())
}

fn clear() -> Vec<u8> {
    let mut packet = vec![0x11; CLEAR_LEN];
    let (src, dst, total_len) = (SRC.into(), DST.into(), CLEAR_LEN as u16);
    v4::Fields { tos: 0, total_len, id: 1, dont_fragment: true, ttl: 64, protocol: 17, src, dst }
        .emit(packet.first_chunk_mut().expect("it is longer"));
    packet
}

/// An engine that talks to itself.
fn engine() -> Engine {
    let mut engine = crate::engine();
    let any = || vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    let suite =
        EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };
    let sa = SaParams {
        direction: Direction::Outbound,
        spi: Spi(0x1000_0001),
        pair: Spi(0x1000_0002),
        lookup: SaLookup::Spi,
        src: IpAddr::from(SRC),
        dst: IpAddr::from(DST),
        mode: Mode::Tunnel,
        encap: None,
        original: None,
        suite: suite.into(),
        keys: SaKeys { encr: Secret::new((1..=20).collect()), ..SaKeys::default() },
        policy: PolicyId(1),
        local_ts: any().into(),
        remote_ts: any().into(),
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    };
    let protection = Protection {
        mode: Mode::Tunnel,
        local: None,
        remote: IpAddr::from(DST),
        pfp: Pfp::NONE,
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    };
    let policy = Policy {
        id: PolicyId(1),
        name: String::new(),
        domain: Domain::default(),
        priority: 1,
        local: any(),
        remote: any(),
        action: Action::Protect(protection),
        ways: Ways::default(),
    };
    let receive = SaParams { direction: Direction::Inbound, ..sa.clone() };
    for op in [DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(sa), DataPlaneOp::AddSa(receive)] {
        engine.apply(&op, Instant::ZERO).expect("an SA that can be");
    }
    engine
}
