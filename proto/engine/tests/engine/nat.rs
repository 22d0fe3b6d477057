//! NAT between the peers: encapsulation in UDP, a peer that moves, checksums (RFC 3948, RFC 7296 §2.23).

use crate::common::*;
use ravelin_engine::{DropReason, OuterMeta, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{Direction, Encap, OriginalAddresses, SaId, SaParams};
use ravelin_wire::ip::Header;

// docs/HISTORY.md, row 124: datagrams of 0 to 7 bytes, the marker alone, a keepalive, SPI 0, wrong lengths.
#[test]
fn what_arrives_on_port_4500() {
    let mut engine = engine();
    let mut on_4500 = |payload: &[u8]| {
        let mut datagram = vec![0x12, 0x34, 0x11, 0x94, 0, 8 + payload.len() as u8, 0, 0];
        datagram.extend(payload);
        receive(&mut engine, &packet(ip("192.0.2.1"), ip("192.0.2.2"), 17, &datagram)).0
    };
    let malformed = Verdict::Drop(DropReason::BadEncapsulation);
    assert_eq!(on_4500(&[]), malformed);
    assert_eq!(on_4500(&[0xff]), Verdict::Drop(DropReason::Keepalive));
    for len in 1..8 {
        assert_eq!(on_4500(&[0xee; 7][..len]), malformed);
    }
    assert_eq!(on_4500(&[0; 3]), malformed);
    assert_eq!(on_4500(&[0; 4]), Verdict::Bypass, "the marker: IKE's, and clear");
    assert_eq!(on_4500(&[0xee; 8]), Verdict::Drop(DropReason::UnknownSpi));
    // A UDP header that is cut off, or whose length is not that of the packet.
    let cut = packet(ip("192.0.2.1"), ip("192.0.2.2"), 17, &[0x12, 0x34, 0x11, 0x94, 0, 8]);
    assert_eq!(receive(&mut engine, &cut).0, malformed);
    for len in [0, 7, 9, 16, 255] {
        let datagram = [0x12, 0x34, 0x11, 0x94, 0, len, 0, 0, 1, 2, 3, 4, 5, 6, 7];
        let packet = packet(ip("192.0.2.1"), ip("192.0.2.2"), 17, &datagram);
        assert_eq!(receive(&mut engine, &packet).0, malformed, "{len}");
    }
    // SPI 0 without UDP is no SA's.
    let esp = packet(ip("192.0.2.1"), ip("192.0.2.2"), 50, &[0; 40]);
    assert_eq!(receive(&mut engine, &esp).0, Verdict::Drop(DropReason::UnknownSpi));
}

#[test]
fn only_the_newest_authentic_packet_moves_the_peer() {
    let tunnel = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let params = in_udp(tunnel, 4500, 4500);
    let mut engine = looped(&params);
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 72);
    let packets: Vec<_> = (0..4).map(|_| sealed(&mut engine, &clear)[28..].to_vec()).collect();
    let mut from = |esp: &[u8], src: &str, port: u16| {
        let meta = OuterMeta { src: ip(src), dst: params.dst, src_port: Some(port), tos: 0, ttl: 64 };
        let mut buffer = Buffer::new(esp);
        let verdict = buffer.with(|pkt| engine.inbound.process_esp(pkt, &meta, NOW));
        (verdict, engine.inbound.poll_event())
    };
    let id = received(&params).id();
    let moved = |src: &str, port| Some(DataPlaneEvent::PeerMoved { id, src: ip(src), src_port: Some(port) });
    assert_eq!(from(&packets[0], "192.0.2.1", 4500), (Verdict::Deliver, None));
    let mut forged = packets[1].clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(from(&forged, "198.51.100.1", 1), (Verdict::Drop(DropReason::Forged), None));
    assert_eq!(from(&packets[2], "203.0.113.7", 61000), (Verdict::Deliver, moved("203.0.113.7", 61000)));
    assert_eq!(from(&packets[1], "192.0.2.1", 4500), (Verdict::Deliver, None), "held back, not the newest");
    assert_eq!(from(&packets[2], "198.51.100.1", 1), (Verdict::Drop(DropReason::Replayed), None));
    assert_eq!(from(&packets[3], "203.0.113.7", 61000), (Verdict::Deliver, None), "said once");
}

#[test]
fn a_moved_sa_sends_to_the_new_place() {
    let tunnel = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let params = in_udp(tunnel, 4500, 4500);
    let mut engine = looped(&params);
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 72);
    sealed(&mut engine, &clear);
    let encap = Some(Encap::udp(4500, 61000));
    let between = |id, src: &str, dst: &str, encap| DataPlaneOp::MoveSa { id, src: ip(src), dst: ip(dst), encap };
    engine.apply(&between(params.id(), "192.0.2.9", "203.0.113.7", encap), NOW).unwrap();
    let (Verdict::Send(outer), sealed) = send(&mut engine, &clear, NOW) else { panic!() };
    assert_eq!((outer.src, outer.dst, outer.encap), (ip("192.0.2.9"), ip("203.0.113.7"), encap));
    let header = Header::parse(&sealed).unwrap();
    assert_eq!((header.src, header.dst, header.flow(&sealed).dst_port), (outer.src, outer.dst, Some(61000)));
    assert_eq!(sealed[outer.esp_at + 4..outer.esp_at + 8], [0, 0, 0, 2], "the numbers go on");
    // It answers to its new name now.
    let gone = DataPlaneError::NoSuchSa(params.id());
    assert_eq!(engine.apply(&DataPlaneOp::DeleteSa(params.id()), NOW), Err(gone));
    let new = SaId { dst: ip("203.0.113.7"), ..params.id() };
    let two_families = between(new, "192.0.2.9", "2001:db8::7", encap);
    assert!(matches!(engine.apply(&two_families, NOW), Err(DataPlaneError::Invalid(_))));
    // Out of the NAT, and into the other family.
    engine.apply(&between(new, "2001:db8::9", "2001:db8::7", None), NOW).unwrap();
    let (Verdict::Send(outer), sealed) = send(&mut engine, &clear, NOW) else { panic!() };
    assert_eq!((outer.dst, outer.encap), (ip("2001:db8::7"), None));
    assert_eq!(sealed[outer.esp_at + 4..outer.esp_at + 8], [0, 0, 0, 3]);
    engine.apply(&DataPlaneOp::DeleteSa(SaId { dst: outer.dst, ..new }), NOW).unwrap();
}

#[test]
fn a_moved_inbound_sa_keeps_its_window_and_its_counters() {
    let tunnel = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let mut engine = looped(&tunnel);
    let id = received(&tunnel).id();
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 72);
    let packets: Vec<Vec<u8>> = (0..2).map(|_| sealed(&mut engine, &clear)).collect();
    assert_eq!(receive(&mut engine, &packets[0]).0, Verdict::Deliver);
    let moved = DataPlaneOp::MoveSa { id, src: ip("198.51.100.1"), dst: ip("198.51.100.2"), encap: None };
    engine.apply(&moved, NOW).unwrap();
    assert_eq!(receive(&mut engine, &packets[0]).0, Verdict::Drop(DropReason::Replayed));
    assert_eq!(receive(&mut engine, &packets[1]).0, Verdict::Deliver, "sent before the move");
    assert_eq!(engine.apply(&DataPlaneOp::DeleteSa(id), NOW), Err(DataPlaneError::NoSuchSa(id)));
    let new = SaId { dst: ip("198.51.100.2"), ..id };
    let listed = engine.list().into_iter().find(|sa| sa.params.id() == new).unwrap();
    assert_eq!((listed.params.src, listed.counters.packets), (ip("198.51.100.1"), 2));
    engine.apply(&DataPlaneOp::DeleteSa(new), NOW).unwrap();
}

/// The receiver's view of a transport-mode SA whose sender, 10.0.0.1, stands behind a NAT at 192.0.2.1 and knows us
/// as 10.0.0.99 (so both addresses changed on the way).
fn behind_nat() -> (SaParams, SaParams) {
    let send = in_udp(sa(Direction::Outbound, Mode::Transport, "10.0.0.1", "10.0.0.99", AES_GCM), 4500, 4500);
    let original = Some(OriginalAddresses { src: ip("10.0.0.1"), dst: ip("10.0.0.99") });
    let receive = SaParams { src: ip("192.0.2.1"), dst: ip("192.0.2.2"), original, ..received(&send) };
    (send, receive)
}

#[test]
fn checksums_are_mended_after_nat() {
    let (send_params, receive_params) = behind_nat();
    let mut sender = looped(&send_params);
    let mut receiver = engine();
    receiver.apply(&DataPlaneOp::AddSa(receive_params.clone()), NOW).unwrap();
    let mut through = |clear: &[u8]| {
        let esp = sealed(&mut sender, clear)[28..].to_vec();
        let (verdict, packet) = receive_esp(&mut receiver, &receive_params, &esp);
        assert_eq!(verdict, Verdict::Deliver);
        packet
    };
    for len in [0, 1, 2, 999, 1000] {
        let clear = udp("10.0.0.1", "10.0.0.99", (1, 2), len);
        assert!(checksum_holds(&clear));
        let delivered = through(&clear);
        let header = Header::parse(&delivered).unwrap();
        assert_eq!((header.src, header.dst, header.ttl), (ip("192.0.2.1"), ip("192.0.2.2"), 33));
        assert!(checksum_holds(&delivered), "{len}");
        assert_eq!(delivered[28..], clear[28..]);
    }
    // RFC 3948 §3.1.2: no checksum stays none.
    let mut none = udp("10.0.0.1", "10.0.0.99", (1, 2), 30);
    none[26..28].fill(0);
    assert_eq!(through(&none)[26..28], [0, 0]);
    // ICMP covers no addresses.
    let ping = packet(ip("10.0.0.1"), ip("10.0.0.99"), 1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
    assert_eq!(through(&ping)[20..], ping[20..]);
    // A TCP header too short for a checksum is delivered as it is.
    let stump = packet(ip("10.0.0.1"), ip("10.0.0.99"), 6, &[0; 17]);
    assert_eq!(through(&stump)[20..], stump[20..]);
}
