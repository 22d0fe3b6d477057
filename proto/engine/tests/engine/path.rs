//! Packets too long for the path: cut, answered or sent all the same (RFC 4301 §8.2), and TCP handshakes that fit.

use std::time::Duration;

use crate::common::*;
use ravelin_engine::limits::{ERROR_BURST, ERROR_PERIOD, LEARNED_MTU_LIFE};
use ravelin_engine::{DropReason, Engine, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::options::{Df, Fragmentation, Mss, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_wire::ip::fragment::Fragments;
use ravelin_wire::ip::{Header, icmp, protocol, v4};

const V4: (&str, &str) = ("192.0.2.1", "192.0.2.2");
const V6: (&str, &str) = ("2001:db8::1", "2001:db8::2");
const INNER_V4: (&str, &str) = ("10.1.0.1", "10.2.0.2");
const INNER_V6: (&str, &str) = ("2001:db8:1::1", "2001:db8:2::2");

fn narrow(mode: Mode, ends: (&str, &str), suite: EspSuite, mtu: u16, options: SaOptions) -> SaParams {
    let options = SaOptions { mtu: Some(mtu), ..options };
    SaParams { options, ..sa(Direction::Outbound, mode, ends.0, ends.1, suite) }
}

fn suites() -> [EspSuite; 3] {
    [
        AES_GCM,
        suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA2_256_128),
        with_esn(suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_512_256)),
    ]
}

/// A UDP packet of `len` bytes in all, whose IPv4 header lets it be cut or not.
fn of_len(ends: (&str, &str), len: usize, df: bool) -> Vec<u8> {
    let headers = if ends.0.contains(':') { 48 } else { 28 };
    let mut packet = udp(ends.0, ends.1, (1000, 2000), len - headers);
    if !df && !ends.0.contains(':') {
        packet[6..8].fill(0);
        v4::rewrite(&mut packet[..20], len as u16, protocol::UDP);
    }
    packet
}

fn told(verdict: Verdict, packet: &[u8]) -> (Header, u32) {
    assert_eq!(verdict, Verdict::TooBig);
    let header = Header::parse(packet).unwrap();
    (header, icmp::parse_too_big(packet, &header).unwrap().mtu)
}

#[test]
fn the_sender_is_told_the_length_that_just_fits() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        for suite in suites() {
            for encap in [false, true] {
                for (inner, outer) in [(INNER_V4, V4), (INNER_V4, V6), (INNER_V6, V4), (INNER_V6, V6)] {
                    let inner = if mode == Mode::Transport { outer } else { inner };
                    for mtu in 1400..1440 {
                        let mut params = narrow(mode, outer, suite, mtu, SaOptions::default());
                        if encap {
                            params = in_udp(params, 4500, 4500);
                        }
                        let mut engine = looped(&params);
                        let long = of_len(inner, 1500, true);
                        let (verdict, answer) = send(&mut engine, &long, NOW);
                        let (header, most) = told(verdict, &answer);
                        // From the destination to the sender, with the beginning of the packet.
                        assert_eq!((header.src, header.dst), (ip(inner.1), ip(inner.0)));
                        let quoted = icmp::parse_too_big(&answer, &header).unwrap().quoted;
                        assert_eq!(quoted, &long[..quoted.len()]);
                        assert!(quoted.len() >= 500);
                        let sealed = sealed(&mut engine, &of_len(inner, most as usize, true));
                        assert!(sealed.len() <= mtu.into(), "{} > {mtu}", sealed.len());
                        let (verdict, _) = send(&mut engine, &of_len(inner, most as usize + 1, true), NOW);
                        assert_eq!(verdict, Verdict::TooBig);
                        assert_eq!(engine.outbound.counters().dropped(DropReason::TooBig), 2);
                    }
                }
            }
        }
    }
}

/// Offers a packet as a data plane does: the pieces again, where it is to be cut.
fn send_cut(engine: &mut Engine, packet: &[u8]) -> Vec<Vec<u8>> {
    let (verdict, after) = send(engine, packet, NOW);
    let most = match verdict {
        Verdict::Send(_) => return vec![after],
        Verdict::Fragment(most) => most,
        other => panic!("{other:?}"),
    };
    assert_eq!(after, packet, "untouched");
    let mut fragments = Fragments::new(packet, most.into(), 0).unwrap();
    let mut room = vec![0; most.into()];
    let mut pieces = Vec::new();
    while let Some(len) = fragments.next(&mut room).unwrap() {
        pieces.push(sealed(engine, &room[..len]));
    }
    pieces
}

#[test]
fn what_may_be_cut_is_cut_before_it_is_protected() {
    for outer in [V4, V6] {
        for mtu in 1400..1440 {
            let params = narrow(Mode::Tunnel, outer, AES_GCM, mtu, SaOptions::default());
            let mut engine = looped(&params);
            let packet = of_len(INNER_V4, 4000, false);
            let pieces = send_cut(&mut engine, &packet);
            assert!((3..=4).contains(&pieces.len()));
            assert_eq!(engine.outbound.counters().fragmented, 1);
            let mut table = ravelin_engine::reassembly::Reassembly::new(1, 1);
            for (n, piece) in pieces.iter().enumerate() {
                assert!(piece.len() <= mtu.into());
                assert_eq!(Header::parse(piece).unwrap().fragment, ravelin_wire::ip::Fragment::Whole);
                let (verdict, clear) = receive(&mut engine, piece);
                assert_eq!(verdict, Verdict::Deliver);
                if let ravelin_engine::reassembly::Added::Complete(whole) = table.add(&clear, NOW) {
                    assert_eq!((n, whole.packet()), (pieces.len() - 1, &packet[..]));
                }
            }
            assert!(table.is_empty());
        }
    }
}

#[test]
fn what_may_be_cut_behind_is_sent_whole() {
    let after = SaOptions { fragmentation: Fragmentation::After, ..SaOptions::default() };
    let copy = SaOptions { df: Df::Copy, ..SaOptions::default() };
    let long = |inner, df| of_len(inner, 1500, df);
    // Options, mode, ends of the SA, the packet: sent or not.
    let cases = [
        (after, Mode::Tunnel, V4, long(INNER_V4, false), true),
        (after, Mode::Tunnel, V4, long(INNER_V4, true), true),
        (SaOptions { df: Df::Copy, ..after }, Mode::Tunnel, V4, long(INNER_V4, true), false),
        (after, Mode::Tunnel, V6, long(INNER_V4, true), true),
        (after, Mode::Tunnel, V6, long(INNER_V6, true), true),
        (after, Mode::Transport, V6, long(V6, true), true),
        (copy, Mode::Tunnel, V4, long(INNER_V4, true), false),
        (SaOptions::default(), Mode::Tunnel, V4, long(INNER_V4, true), false),
        (SaOptions::default(), Mode::Tunnel, V4, long(INNER_V6, true), false),
        (SaOptions { df: Df::Set, ..after }, Mode::Tunnel, V4, long(INNER_V4, false), false),
        (SaOptions::default(), Mode::Transport, V4, long(V4, false), true),
        (SaOptions::default(), Mode::Transport, V4, long(V4, true), false),
        (SaOptions::default(), Mode::Transport, V6, long(V6, true), false),
        // What every path of IPv6 takes is never refused (RFC 2473 §7.1).
        (SaOptions::default(), Mode::Tunnel, V4, of_len(INNER_V6, 1280, true), true),
        (copy, Mode::Tunnel, V4, of_len(INNER_V6, 1280, true), true),
        (SaOptions::default(), Mode::Tunnel, V6, of_len(INNER_V6, 1280, true), true),
        (SaOptions::default(), Mode::Tunnel, V6, of_len(INNER_V6, 1281, true), false),
    ];
    for (n, (options, mode, ends, packet, sent)) in cases.into_iter().enumerate() {
        let mut engine = looped(&narrow(mode, ends, AES_GCM, 1280, options));
        let (verdict, after) = send(&mut engine, &packet, NOW);
        if sent {
            let Verdict::Send(outer) = verdict else { panic!("case {n}: {verdict:?}") };
            assert!(after.len() > 1280 && (ends == V6 || !outer.dont_fragment), "case {n}");
            assert_eq!(receive(&mut engine, &after), (Verdict::Deliver, packet));
        } else {
            assert_eq!(verdict, Verdict::TooBig, "case {n}");
        }
    }
}

#[test]
fn ports_are_not_cut_off() {
    // RFC 4301 §7: the SA's ports are in the first piece alone, so the protected packet is cut.
    let mut params = narrow(Mode::Tunnel, V4, AES_GCM, 1280, SaOptions::default());
    params.remote_ts = [TrafficSelector::any_v4().with(protocol::UDP, 2000..=2000).unwrap()].into();
    let (verdict, _) = send(&mut looped(&params), &of_len(INNER_V4, 1500, false), NOW);
    assert!(matches!(verdict, Verdict::Send(outer) if !outer.dont_fragment), "{verdict:?}");
}

#[test]
fn senders_are_told_at_a_bounded_rate_and_errors_not_at_all() {
    let mut engine = looped(&narrow(Mode::Tunnel, V4, AES_GCM, 1280, SaOptions::default()));
    let long = of_len(INNER_V4, 1500, true);
    let mut count = |now, packet: &[u8]| {
        let verdicts: Vec<Verdict> = (0..200).map(|_| send(&mut engine, packet, now).0).collect();
        assert!(verdicts.iter().all(|v| matches!(v, Verdict::TooBig | Verdict::Drop(DropReason::TooBig))));
        verdicts.iter().filter(|v| **v == Verdict::TooBig).count() as u32
    };
    assert_eq!(count(NOW, &long), ERROR_BURST);
    assert_eq!(count(NOW + ERROR_PERIOD * 3, &long), 3);
    assert_eq!(count(NOW + Duration::from_secs(60), &long), ERROR_BURST);
    let mut error = long.clone();
    error[20] = 3;
    v4::rewrite(&mut error[..20], 1500, protocol::ICMP);
    assert_eq!(count(NOW + Duration::from_secs(120), &error), 0);
}

/// The message of a router that `sealed` is too big for `mtu`.
fn router_says(sealed: &[u8], mtu: u16) -> Vec<u8> {
    let header = Header::parse(sealed).unwrap();
    let ipv4 = header.src.is_ipv4();
    let mut message = vec![0; icmp::overhead(ipv4)];
    message.extend(&sealed[..icmp::quoted(ipv4, sealed.len())]);
    icmp::emit_too_big(&mut message, header.src, header.dst, mtu);
    message
}

#[test]
fn the_path_is_learned_and_forgotten() {
    for outer in [V4, V6] {
        for encap in [false, true] {
            let mut params = sa(Direction::Outbound, Mode::Tunnel, outer.0, outer.1, AES_GCM);
            if encap {
                params = in_udp(params, 4500, 4500);
            }
            let mut engine = looped(&params);
            let long = of_len(INNER_V4, 1500, true);
            let wire = sealed(&mut engine, &long);
            assert_eq!(engine.outbound.learn_mtu(&router_says(&wire, 1400), NOW), Some(params.id()));
            let (verdict, answer) = send(&mut engine, &long, NOW);
            let (_, most) = told(verdict, &answer);
            assert!(most < 1400 && sealed(&mut engine, &of_len(INNER_V4, most as usize, true)).len() <= 1400);
            // Only less than what is known, and not less than a link can have.
            assert_eq!(engine.outbound.learn_mtu(&router_says(&wire, 1450), NOW), None);
            assert_eq!(engine.outbound.learn_mtu(&router_says(&wire, 68), NOW), Some(params.id()));
            let least = if outer == V4 { 576 } else { 1280 };
            let (verdict, answer) = send(&mut engine, &long, NOW);
            assert!(told(verdict, &answer).1 > least - 100);
            let until = NOW + LEARNED_MTU_LIFE;
            assert_eq!(engine.deadline(), Some(until));
            engine.tick(until);
            assert!(matches!(send(&mut engine, &long, until).0, Verdict::Send(_)));
        }
    }
}

#[test]
fn strangers_do_not_narrow_the_path() {
    let params = sa(Direction::Outbound, Mode::Tunnel, V4.0, V4.1, AES_GCM);
    let mut engine = looped(&params);
    let wire = sealed(&mut engine, &of_len(INNER_V4, 1500, true));
    let changed = |at: usize, value: u8| {
        let mut copy = wire.clone();
        copy[at] ^= value;
        router_says(&copy, 1300)
    };
    for (what, message) in [
        ("another SPI", changed(23, 1)),
        ("a number not sent yet", changed(27, 2)),
        ("another source", changed(15, 7)),
        ("another destination", changed(19, 7)),
        ("another protocol", changed(9, 1)),
        ("longer than the packet", router_says(&wire, 1600)),
        ("zero", router_says(&wire, 0)),
        ("no ICMP", wire.clone()),
        ("cut short", router_says(&wire, 1300)[..40].to_vec()),
    ] {
        assert_eq!(engine.outbound.learn_mtu(&message, NOW), None, "{what}");
    }
    let mut damaged = router_says(&wire, 1300);
    damaged[50] ^= 1;
    assert_eq!(engine.outbound.learn_mtu(&damaged, NOW), None, "a bad checksum");
    assert!(engine.outbound.learn_mtu(&router_says(&wire, 1300), NOW).is_some());
}

#[test]
fn the_link_can_tell_too_and_the_option_is_the_most() {
    let params = narrow(Mode::Tunnel, V4, AES_GCM, 1400, SaOptions::default());
    let mut engine = looped(&params);
    let id = params.id();
    let mut most = |mtu| {
        engine.apply(&DataPlaneOp::SetMtu { id, mtu }, NOW).unwrap();
        let (verdict, answer) = send(&mut engine, &of_len(INNER_V4, 1500, true), NOW);
        told(verdict, &answer).1
    };
    let by_option = most(None);
    assert!(most(Some(1300)) < by_option);
    assert_eq!(most(Some(9000)), by_option);
    let moved = DataPlaneOp::MoveSa { id, src: ip("192.0.2.1"), dst: ip("192.0.2.7"), encap: None };
    engine.apply(&DataPlaneOp::SetMtu { id, mtu: Some(1300) }, NOW).unwrap();
    engine.apply(&moved, NOW).unwrap();
    let (verdict, answer) = send(&mut engine, &of_len(INNER_V4, 1500, true), NOW);
    assert_eq!(told(verdict, &answer).1, by_option, "another path");
    let gone = DataPlaneOp::SetMtu { id, mtu: None };
    assert_eq!(engine.apply(&gone, NOW), Err(DataPlaneError::NoSuchSa(id)));
    let tiny = narrow(Mode::Tunnel, V6, AES_GCM, 1279, SaOptions::default());
    assert!(matches!(engine.apply(&DataPlaneOp::AddSa(tiny), NOW), Err(DataPlaneError::Invalid(_))));
}

/// A SYN that announces 1460.
fn syn(src: &str, dst: &str) -> Vec<u8> {
    let mut segment = vec![0; 24];
    segment[12..14].copy_from_slice(&[0x60, 0x02]);
    segment[20..].copy_from_slice(&[2, 4, 5, 180]);
    let mut packet = packet(ip(src), ip(dst), protocol::TCP, &segment);
    let at = packet.len() - 24 + 16;
    use ravelin_wire::ip::checksum;
    let pseudo = checksum::sum_address(ip(src)) + checksum::sum_address(ip(dst)) + 24 + 6;
    let sum = checksum::finish(pseudo + checksum::sum(&segment));
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn announced(packet: &[u8]) -> u16 {
    assert!(checksum_holds(packet));
    u16::from_be_bytes(*packet.last_chunk().unwrap())
}

#[test]
fn handshakes_announce_segments_that_fit_both_ways() {
    for (inner, outer) in [(INNER_V4, V4), (INNER_V4, V6), (INNER_V6, V4), (INNER_V6, V6)] {
        let clamped = |ours: Mss, theirs: Mss, mtu| {
            let params = |mss| {
                let options = SaOptions { mss, mtu, ..SaOptions::default() };
                SaParams { options, ..sa(Direction::Outbound, Mode::Tunnel, outer.0, outer.1, AES_GCM) }
            };
            let wire = sealed(&mut looped(&params(ours)), &syn(inner.0, inner.1));
            let (verdict, clear) = receive(&mut looped(&params(theirs)), &wire);
            assert_eq!(verdict, Verdict::Deliver);
            announced(&clear)
        };
        assert_eq!(clamped(Mss::Off, Mss::Off, Some(1400)), 1460);
        assert_eq!(clamped(Mss::Set(1234), Mss::Off, None), 1234);
        assert_eq!(clamped(Mss::Off, Mss::Set(1234), None), 1234);
        assert_eq!(clamped(Mss::Set(9000), Mss::Path, None), 1460, "never raised, and the path is not known");
        let by_path = clamped(Mss::Path, Mss::Off, Some(1400));
        assert_eq!(clamped(Mss::Off, Mss::Path, Some(1400)), by_path);
        // A segment of that size fits, and one byte more may not.
        let params = narrow(Mode::Tunnel, outer, AES_GCM, 1400, SaOptions::default());
        let headers = if inner == INNER_V4 { 40 } else { 60 };
        let len = usize::from(by_path) + headers;
        assert!(sealed(&mut looped(&params), &of_len(inner, len, true)).len() <= 1400);
        assert_eq!(send(&mut looped(&params), &of_len(inner, len + 1, true), NOW).0, Verdict::TooBig);
    }
}
