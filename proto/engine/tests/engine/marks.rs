//! No packet is protected or judged twice when a stack offers it again.

use crate::common::*;
use ravelin_engine::{DropReason, HEADROOM, Mark, PacketBuf, TAILROOM, Verdict};
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;

#[test]
fn a_packet_that_comes_by_again_is_passed() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        let mut engine = looped(&sa(Direction::Outbound, mode, "192.0.2.1", "192.0.2.2", AES_GCM));
        let clear = udp("192.0.2.1", "192.0.2.2", (7, 9), 100);
        let mut bytes = [&[0; HEADROOM][..], &clear, &[0; TAILROOM]].concat();
        let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + clear.len()).unwrap();
        assert!(matches!(engine.outbound.process(&mut pkt, NOW), Verdict::Send(_)));
        assert_eq!(pkt.mark(), Mark::Sealed(mode));
        let sealed = pkt.packet().to_vec();
        assert_eq!(engine.outbound.process(&mut pkt, NOW), Verdict::Bypass);
        assert_eq!(pkt.packet(), sealed, "a hook that sees its own packet leaves it alone");

        assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Deliver);
        assert_eq!(pkt.mark(), Mark::Opened(mode));
        assert_eq!(pkt.packet(), clear);
        assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Bypass, "IP begins anew with the inner packet");
        assert!(matches!(engine.outbound.process(&mut pkt, NOW), Verdict::Send(_)), "it is forwarded into a tunnel");
    }
}

#[test]
fn only_the_mark_lets_a_clear_packet_pass() {
    let mut engine = looped(&sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM));
    let mut clear = udp("192.0.2.1", "192.0.2.2", (7, 9), 100);
    let len = clear.len();
    let mut offer = |mark| {
        let mut pkt = PacketBuf::new(&mut clear, 0..len).unwrap().with_mark(mark);
        engine.inbound.process(&mut pkt, NOW)
    };
    let refused = Verdict::Drop(DropReason::ExpectedProtection);
    assert_eq!([Mark::None, Mark::Sealed(Mode::Tunnel)].map(&mut offer), [refused; 2]);
    assert_eq!(offer(Mark::Opened(Mode::Tunnel)), Verdict::Bypass);
}

#[test]
fn protection_inside_protection_is_opened_in_turn() {
    let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let mut engine = looped(&params);
    let clear = udp("192.0.2.1", "192.0.2.2", (7, 9), 100);
    let once = sealed(&mut engine, &clear);
    let twice = sealed(&mut engine, &once);
    let mut bytes = twice;
    let len = bytes.len();
    let mut pkt = PacketBuf::new(&mut bytes, 0..len).unwrap();
    assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Deliver);
    // The inner packet has the lower number, which the window still takes.
    assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Deliver);
    assert_eq!(pkt.packet(), clear);
}

#[test]
fn a_header_checksum_that_was_left_open_is_filled_in() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        let mut engine = looped(&sa(Direction::Outbound, mode, "192.0.2.1", "192.0.2.2", AES_GCM));
        let clear = udp("192.0.2.1", "192.0.2.2", (7, 9), 100);
        let mut open = clear.clone();
        open[10..12].fill(0);
        for packet in [&clear, &open] {
            let sealed = sealed(&mut engine, packet);
            assert_eq!(receive(&mut engine, &sealed), (Verdict::Deliver, clear.clone()), "{mode:?}");
        }
    }
}
