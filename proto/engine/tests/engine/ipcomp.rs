//! Packets that are compressed before they are protected (RFC 3173).

use crate::common::*;
use crate::sys::allocations;
use ravelin_engine::{DropReason, Engine, HEADROOM, Limits, PacketBuf, Verdict};
use ravelin_types::Cpi;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::options::{IpComp, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaParams};
use ravelin_wire::ip::{Header, protocol, v4};

const CPI: Cpi = Cpi(0x1234);

fn compressed(params: SaParams) -> SaParams {
    let options = SaOptions { ipcomp: IpComp::With(CPI), ..params.options };
    SaParams { options, ..params }
}

fn tunnel() -> SaParams {
    compressed(sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM))
}

/// A UDP packet with a payload that says little.
fn dull(src: &str, dst: &str, len: usize) -> Vec<u8> {
    let mut packet = udp(src, dst, (7, 9), len);
    let head = packet.len() - len;
    packet[head..].fill(b'x');
    packet
}

/// Offers a packet to the inbound half, in a buffer with room for what comes out.
fn opened(engine: &mut Engine, packet: &[u8]) -> (Verdict, Vec<u8>) {
    let mut bytes = vec![0; HEADROOM + 65_535];
    bytes[HEADROOM..HEADROOM + packet.len()].copy_from_slice(packet);
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + packet.len()).unwrap();
    let verdict = engine.inbound.process(&mut pkt, NOW);
    (verdict, pkt.packet().to_vec())
}

#[test]
fn packets_are_shorter_on_the_wire_and_come_out_as_they_were() {
    let (v4, v6) = (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"));
    let suites = every_kind();
    for suite in suites {
        for (mode, inner, outer) in [
            (Mode::Transport, v4, v4),
            (Mode::Transport, v6, v6),
            (Mode::Tunnel, v4, v4),
            (Mode::Tunnel, v6, v4),
            (Mode::Tunnel, v4, v6),
        ] {
            let params = compressed(with_suite(sa(Direction::Outbound, mode, outer.0, outer.1, AES_GCM), suite));
            let mut engine = looped_in(portable_engine(), &params);
            let what = format!("{mode:?} {suite:?} {inner:?} {outer:?}");
            for len in [30, 300, 1400, 5000, 60_000] {
                let clear = dull(inner.0, inner.1, len);
                let sealed = sealed(&mut engine, &clear);
                let most = if len > 300 { clear.len() / 2 } else { clear.len() + 150 };
                assert!(sealed.len() < most, "{what}: {len} became {}", sealed.len());
                assert_eq!(sealed.len() < clear.len(), len > 30, "{what}: {len} became {}", sealed.len());
                let (verdict, out) = opened(&mut engine, &sealed);
                // RFC 3173 §2: the same packet, to the byte.
                assert_eq!((verdict, &out), (Verdict::Deliver, &clear), "{what}: {len}");
            }
        }
    }
}

/// ESP, AH and both.
fn every_kind() -> Vec<Suite> {
    let esp = crate::algorithms::every_suite();
    let kind = |found: fn(&Suite) -> bool| esp.iter().copied().find(found).unwrap();
    vec![
        kind(|suite| matches!(suite, Suite::Esp(_))),
        kind(|suite| matches!(suite, Suite::Ah(_))),
        kind(|suite| matches!(suite, Suite::AhEsp { .. })),
    ]
}

// RFC 3173 §2.2.
#[test]
fn what_does_not_shrink_goes_as_it_is() {
    let mut engine = looped(&tunnel());
    let mut plain = looped(&SaParams { options: SaOptions::default(), ..tunnel() });
    let mut noise = 1u32;
    for _ in 0..50 {
        let mut clear = udp("10.1.0.1", "10.2.0.1", (7, 9), 1000);
        for byte in &mut clear[28..] {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (noise >> 24) as u8;
        }
        let one = sealed(&mut engine, &clear);
        assert_eq!(one.len(), sealed(&mut plain, &clear).len());
        assert_eq!(opened(&mut engine, &one), (Verdict::Deliver, clear));
    }
    // It gives up for a while, but not for good.
    let dull = dull("10.1.0.1", "10.2.0.1", 1000);
    let later: Vec<usize> = (0..100).map(|_| sealed(&mut engine, &dull).len()).collect();
    assert!(later[0] > 1000 && later[99] < 300, "{later:?}");
    let first = later.iter().position(|len| *len < 300).unwrap();
    assert!(later[first..].iter().all(|len| *len < 300), "{later:?}");
}

#[test]
fn each_direction_compresses_by_itself() {
    let send = SaParams { options: SaOptions::default(), ..tunnel() };
    let mut engine = looped(&send);
    let clear = dull("10.1.0.1", "10.2.0.1", 1000);
    assert!(sealed(&mut engine, &clear).len() > 1000);
    // An SA that has no label takes nothing compressed.
    let compressed = sealed(&mut looped(&tunnel()), &clear);
    assert_eq!(opened(&mut engine, &compressed).0, Verdict::Drop(DropReason::BadInnerPacket));
    // And one that has takes what is not.
    let mut other = looped(&tunnel());
    assert_eq!(opened(&mut other, &sealed(&mut looped(&send), &clear)), (Verdict::Deliver, clear));
}

/// What the SA makes of an authentic packet with this as its IPComp.
fn inside(params: &SaParams, ipcomp: &[u8]) -> Verdict {
    let mut engine = looped(params);
    let esp = authentic(params, 1, &padded(ipcomp, protocol::IPCOMP));
    let (src, dst) = (params.src, params.dst);
    let verdict = opened(&mut engine, &packet(src, dst, protocol::ESP, &esp)).0;
    if let Verdict::Drop(reason) = verdict {
        assert_eq!(engine.inbound.counters().dropped(reason), 1);
        let inner = matches!(reason, DropReason::BadCompression | DropReason::BadInnerPacket);
        assert_eq!(engine.inbound.list()[0].counters.bad_inner, u64::from(inner));
    }
    verdict
}

/// One stored block.
fn stored(content: &[u8]) -> Vec<u8> {
    let len = content.len() as u16;
    [&[1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), content].concat()
}

fn ipcomp(next: u8, flags: u8, cpi: Cpi, data: &[u8]) -> Vec<u8> {
    [&[next, flags][..], &cpi.0.to_be_bytes(), data].concat()
}

#[test]
fn what_a_peer_puts_into_it_is_judged_like_any_packet() {
    let bad = Verdict::Drop(DropReason::BadCompression);
    let clear = udp("10.1.0.1", "10.2.0.1", (7, 9), 100);
    let data = stored(&clear);
    let tunnel = tunnel();
    let transport = compressed(sa(Direction::Outbound, Mode::Transport, "192.0.2.1", "192.0.2.2", AES_GCM));
    // RFC 3173 §3.3: the flags are nobody's business.
    assert_eq!(inside(&tunnel, &ipcomp(protocol::IPV4, 0xff, CPI, &data)), Verdict::Deliver);
    assert_eq!(inside(&transport, &ipcomp(protocol::UDP, 0, CPI, &stored(&clear[20..]))), Verdict::Deliver);
    for params in [&tunnel, &transport] {
        for (what, verdict) in [
            (ipcomp(protocol::IPV4, 0, Cpi(0x1235), &data), bad),
            (ipcomp(protocol::IPV4, 0, CPI, &data[..data.len() - 1]), bad),
            (ipcomp(protocol::IPV4, 0, CPI, &[]), bad),
            (vec![protocol::IPV4, 0, 0x12], bad),
            (vec![], bad),
            // A block of a kind that is not there, and a copy of what was never said.
            (ipcomp(protocol::IPV4, 0, CPI, &[7]), bad),
            (ipcomp(protocol::IPV4, 0, CPI, &[3, 2]), bad),
            (ipcomp(protocol::IPCOMP, 0, CPI, &stored(&ipcomp(protocol::IPV4, 0, CPI, &data))), bad),
        ] {
            assert_eq!(inside(params, &what), verdict, "{what:x?}");
        }
    }
    let malformed = Verdict::Drop(DropReason::BadInnerPacket);
    assert_eq!(inside(&tunnel, &ipcomp(protocol::IPV6, 0, CPI, &data)), malformed);
    assert_eq!(inside(&tunnel, &ipcomp(protocol::IPV4, 0, CPI, &stored(&clear[..30]))), malformed);
    assert_eq!(inside(&tunnel, &ipcomp(protocol::IPV4, 0, CPI, &stored(&[]))), malformed);
    let misplaced = Verdict::Drop(DropReason::BadNextHeader);
    assert_eq!(inside(&tunnel, &ipcomp(protocol::UDP, 0, CPI, &data)), misplaced);
    // Selectors are those of what came out.
    let narrow =
        SaParams { remote_ts: [ravelin_types::selector::TrafficSelector::host(ip("10.9.9.9"))].into(), ..tunnel };
    let verdict = inside(&narrow, &ipcomp(protocol::IPV4, 0, CPI, &data));
    assert_eq!(verdict, Verdict::Drop(DropReason::BadSelector));
}

// 64 KiB come out of a hundred bytes; the buffer that they arrived in has room for a link.
#[test]
fn a_bomb_gets_no_more_room_than_its_buffer_has() {
    let params = tunnel();
    let mut engine = looped(&params);
    let bomb = sealed(&mut engine, &dull("10.1.0.1", "10.2.0.1", 60_000));
    assert!(bomb.len() < 1000);
    let (verdict, _) = receive(&mut engine, &bomb);
    assert_eq!(verdict, Verdict::Drop(DropReason::NoRoom));
    let next = sealed(&mut engine, &dull("10.1.0.1", "10.2.0.1", 60_000));
    assert_eq!(opened(&mut engine, &next).0, Verdict::Deliver);
}

#[test]
fn what_is_too_long_for_the_path_is_so_whatever_it_holds() {
    for (mode, ends) in [(Mode::Tunnel, ("10.1.0.1", "10.2.0.1")), (Mode::Transport, ("192.0.2.1", "192.0.2.2"))] {
        let options = SaOptions { mtu: Some(1280), ipcomp: IpComp::With(CPI), ..SaOptions::default() };
        let params = SaParams { options, ..sa(Direction::Outbound, mode, "192.0.2.1", "192.0.2.2", AES_GCM) };
        let mut engine = looped(&params);
        let long = dull(ends.0, ends.1, 1300);
        let (verdict, told) = send(&mut engine, &long, NOW);
        assert_eq!(verdict, Verdict::TooBig);
        assert!(told.windows(20).any(|part| part == &long[..20]), "what goes back quotes the packet as it came");
        let fits = dull(ends.0, ends.1, 1000);
        assert!(sealed(&mut engine, &fits).len() < 300);
    }
}

#[test]
fn fragments_are_compressed_in_tunnels_alone() {
    let mut clear = dull("192.0.2.1", "192.0.2.2", 1000);
    // The first one of its datagram.
    clear[6] = 0x20;
    v4::rewrite(&mut clear[..20], 1028, protocol::UDP);
    let mut engine = looped(&tunnel());
    let sealed = sealed(&mut engine, &clear);
    assert!(sealed.len() < 300);
    assert_eq!(opened(&mut engine, &sealed), (Verdict::Deliver, clear.clone()));
    let transport = compressed(sa(Direction::Outbound, Mode::Transport, "192.0.2.1", "192.0.2.2", AES_GCM));
    let (verdict, same) = send(&mut looped(&transport), &clear, NOW);
    assert_eq!((verdict, same), (Verdict::Drop(DropReason::FragmentInTransport), clear));
}

#[test]
fn an_open_checksum_is_filled_in_before_it_is_hidden() {
    let mut clear = dull("10.1.0.1", "10.2.0.1", 1000);
    let whole = clear.clone();
    clear[v4::CHECKSUM_AT..12].fill(0);
    let mut engine = looped(&tunnel());
    let sealed = sealed(&mut engine, &clear);
    assert!(sealed.len() < 300);
    let (_, out) = opened(&mut engine, &sealed);
    assert!(Header::parse(&out).is_ok() && out == whole);
}

#[test]
fn neither_way_allocates_once_there_is_an_sa() {
    let reserved = engine_with(ravelin_engine::EngineConfig {
        limits: Limits { ipcomp: true, ..Limits::default() },
        ..ravelin_engine::EngineConfig::default()
    });
    for engine in [engine(), reserved] {
        let mut engine = looped_in(engine, &tunnel());
        let clear = dull("10.1.0.1", "10.2.0.1", 1400);
        let noise = udp("10.1.0.1", "10.2.0.1", (7, 9), 200);
        let mut bytes = vec![0; HEADROOM + 4000];
        let before = allocations();
        for n in 0..200 {
            let clear = if n % 3 == 0 { &noise } else { &clear };
            bytes[HEADROOM..HEADROOM + clear.len()].copy_from_slice(clear);
            let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + clear.len()).unwrap();
            assert!(matches!(engine.outbound.process(&mut pkt, NOW), Verdict::Send(_)));
            assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Deliver);
            assert_eq!(pkt.packet(), clear);
        }
        assert_eq!(allocations() - before, 0);
    }
}

#[test]
fn a_deleted_sa_leaves_the_others_their_compression() {
    let mut engine = looped(&tunnel());
    let other = SaParams { spi: ravelin_types::Spi(0x2000_0000), ..tunnel() };
    engine.apply(&DataPlaneOp::AddSa(other.clone()), NOW).unwrap();
    engine.apply(&DataPlaneOp::DeleteSa(other.id()), NOW).unwrap();
    let clear = dull("10.1.0.1", "10.2.0.1", 500);
    let sealed = sealed(&mut engine, &clear);
    assert_eq!(opened(&mut engine, &sealed), (Verdict::Deliver, clear));
}
