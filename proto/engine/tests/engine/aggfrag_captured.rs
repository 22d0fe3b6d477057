//! AGGFRAG payloads (RFC 9347) that the Linux kernel has made, with the keys of the lab's run.

use std::time::Duration;

use crate::common::*;
use ravelin_engine::limits::AGGFRAG_WAIT;
use ravelin_engine::{DropReason, Engine, PacketBuf, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::options::{AggFrag, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{Direction, SaKeys, SaParams};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::{Header, protocol};

const CAPTURED: [(&str, (&str, &str)); 2] = [
    (include_str!("captured/linux-7.3-iptfs-4in4.hex"), ("192.0.2.2", "192.0.2.1")),
    (include_str!("captured/linux-7.3-iptfs-6in6.hex"), ("2001:db8:f::2", "2001:db8:f::1")),
];
/// Octets of a small answer after its IP header, and of a long one; how many there are of each.
const SMALL: (usize, usize) = (64, 20);
const LONG: (usize, usize) = (4008, 3);

fn hex(line: &str) -> Vec<u8> {
    (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect()
}

/// The engine that has the SA, and the packets.
fn read((text, ends): (&str, (&str, &str))) -> (Engine, Vec<Vec<u8>>) {
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(hex);
    let spi = u32::from_be_bytes(lines.next().unwrap().try_into().unwrap());
    let encr = Secret::new(lines.next().unwrap());
    let params = SaParams {
        spi: Spi(spi),
        keys: SaKeys { encr, ..SaKeys::default() },
        options: SaOptions { aggfrag: Some(AggFrag::default()), ..SaOptions::default() },
        ..sa(Direction::Inbound, Mode::Tunnel, ends.0, ends.1, AES_GCM)
    };
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddSa(params), NOW).unwrap();
    (engine, lines.collect())
}

/// What comes out until `now`: octets of each echo reply, whose checksum is right.
fn answers(engine: &mut Engine, now: Instant) -> Vec<usize> {
    let mut bytes = vec![0; 70_000];
    let mut out = Vec::new();
    loop {
        let mut pkt = PacketBuf::new(&mut bytes, 0..0).unwrap();
        match engine.inbound.poll_packet(&mut pkt, now) {
            Some(Verdict::Deliver) => out.push(answer(pkt.packet())),
            None => return out,
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn answer(packet: &[u8]) -> usize {
    let header = Header::parse(packet).unwrap();
    assert_eq!(header.total_len, packet.len());
    let echo = &packet[header.payload_at..];
    let reply = if header.src.is_ipv4() { (protocol::ICMP, 0) } else { (protocol::ICMPV6, 129) };
    assert_eq!((header.protocol, echo[0]), reply);
    // RFC 1071, which covers every octet.
    let pseudo = if header.src.is_ipv4() { 0 } else { pseudo_header(packet, echo.len()) };
    let sum =
        echo.chunks(2).fold(pseudo, |sum, pair| sum + u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0)));
    assert_eq!(sum % 0xffff, 0, "the checksum");
    echo.len()
}

/// What the checksum of ICMPv6 covers of the header (RFC 8200 §8.1).
fn pseudo_header(packet: &[u8], len: usize) -> u32 {
    let addresses = packet[8..40].chunks(2).map(|pair| u32::from(pair[0]) * 256 + u32::from(pair[1]));
    addresses.sum::<u32>() + len as u32 + u32::from(protocol::ICMPV6)
}

fn expected() -> Vec<usize> {
    [SMALL, LONG].iter().flat_map(|(len, count)| vec![*len; *count]).collect()
}

#[test]
fn what_the_kernel_put_together_comes_apart() {
    for captured in CAPTURED {
        let (mut engine, sealed) = read(captured);
        assert!(sealed.len() < SMALL.1, "nothing shares a packet");
        for packet in &sealed {
            assert_eq!(receive(&mut engine, packet).0, Verdict::Taken);
        }
        assert_eq!(answers(&mut engine, NOW), expected());
        assert_eq!(receive(&mut engine, &sealed[0]).0, Verdict::Drop(DropReason::Replayed));
    }
}

#[test]
fn in_any_order_it_is_the_same() {
    for captured in CAPTURED {
        for first in 0..2 {
            let (mut engine, mut sealed) = read(captured);
            sealed[first..].chunks_exact_mut(2).for_each(<[_]>::reverse);
            for packet in &sealed {
                assert_eq!(receive(&mut engine, packet).0, Verdict::Taken);
            }
            assert_eq!(answers(&mut engine, NOW), expected());
        }
    }
}

#[test]
fn a_loss_costs_what_was_in_it_alone() {
    for captured in CAPTURED {
        let (_, sealed) = read(captured);
        for lost in 0..sealed.len() {
            let (mut engine, mut sealed) = read(captured);
            sealed.remove(lost);
            for packet in &sealed {
                assert_eq!(receive(&mut engine, packet).0, Verdict::Taken);
            }
            let mut out = answers(&mut engine, NOW);
            out.extend(answers(&mut engine, NOW + AGGFRAG_WAIT + Duration::from_millis(1)));
            // The small ones are whole where they are; a long one fills three.
            let long = out.iter().filter(|len| **len == LONG.0).count();
            let small = out.iter().filter(|len| **len == SMALL.0).count();
            let is_small = lost < sealed.len() + 1 - 3 * LONG.1;
            assert_eq!(long, LONG.1 - usize::from(!is_small), "{lost} lost");
            assert_eq!(small < SMALL.1, is_small, "{lost} lost");
        }
    }
}
