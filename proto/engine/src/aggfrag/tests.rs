use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use ravelin_types::Instant;
use ravelin_types::options::AggFrag;
use ravelin_wire::aggfrag::HEADER_LEN;

use super::*;
use crate::limits::{AGGFRAG_BEHIND, AGGFRAG_QUEUE, AGGFRAG_REORDER, AGGFRAG_WAIT};
use crate::packet::PacketBuf;
use crate::verdict::DropReason;

const NOW: Instant = Instant::ZERO;
const AS_NEEDED: AggFrag = AggFrag { rate: None, fragments: true };
const UNCUT: AggFrag = AggFrag { rate: None, fragments: false };

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A packet of this length with this number in it.
fn packet(v4: bool, len: usize, number: u32) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..len).map(|i| (number as usize + i) as u8).collect();
    if v4 {
        packet[..20].fill(0);
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet[12..16].copy_from_slice(&number.to_be_bytes());
    } else {
        packet[..40].fill(0);
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(len as u16 - 40).to_be_bytes());
        packet[6] = 59;
        packet[36..40].copy_from_slice(&number.to_be_bytes());
    }
    packet
}

fn packets(count: u32, dice: &mut Dice) -> Vec<Vec<u8>> {
    let longest = [100, 1500, 5000][dice.below(3)];
    let one = |number| {
        let v4 = dice.below(2) == 0;
        packet(v4, (if v4 { 20 } else { 40 }) + dice.below(longest), number)
    };
    (0..count).map(one).collect()
}

/// The payloads of a sender that is given some packets at a time, with padding alone now and then.
fn payloads(options: AggFrag, packets: &[Vec<u8>], most: usize, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut sender = Sender::new(options, NOW);
    let mut payloads = Vec::new();
    let mut left = packets.iter();
    loop {
        let mut more = left.by_ref().take(1 + dice.below(8)).peekable();
        let done = more.peek().is_none();
        more.for_each(|packet| assert!(sender.push(packet)));
        while !sender.is_empty() && (done || dice.below(3) > 0) {
            let mut out = vec![0xee; HEADER_LEN + most];
            let (len, packets) = sender.fill(&mut out);
            assert!(packets > 0 && len == HEADER_LEN + packets);
            // Padded to one length, or not.
            if options.rate.is_none() {
                out.truncate(len);
            }
            payloads.push(out);
            if dice.below(4) == 0 {
                payloads.push(vec![0; HEADER_LEN + 1 + dice.below(most)]);
            }
        }
        if done {
            return payloads;
        }
    }
}

fn drain(receiver: &mut Receiver) -> Vec<Vec<u8>> {
    let mut buf = vec![0; 70_000];
    let mut out = Vec::new();
    loop {
        let mut pkt = PacketBuf::new(&mut buf, 0..0).unwrap();
        match receiver.next_packet(&mut pkt) {
            Some(fits) => assert_eq!(fits, Ok(())),
            None => return out,
        }
        out.push(pkt.packet().to_vec());
    }
}

/// Whether `some` are `all`, without some of them.
fn is_subsequence(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

// RFC 9347 Appendix A.
#[test]
fn the_example_of_the_rfc() {
    let lengths = [750, 750, 60, 240, 3000];
    let packets: Vec<_> = lengths.iter().zip(0..).map(|(len, number)| packet(true, *len, number)).collect();
    let mut sender = Sender::new(AggFrag { rate: NonZeroU64::new(1), ..AS_NEEDED }, NOW);
    packets.iter().for_each(|packet| assert!(sender.push(packet)));
    let mut receiver = Receiver::new();
    for (sequence, offset) in [(1, 0u16), (2, 100), (3, 2000), (4, 600)] {
        let mut out = [0xee; 1404];
        sender.fill(&mut out);
        assert_eq!(out[..4], [&[0, 0][..], &offset.to_be_bytes()].concat());
        assert_eq!(receiver.take(sequence, &out, 0), Ok(Taken::Packets));
        if sequence == 4 {
            assert!(out[604..].iter().all(|byte| *byte == 0));
        }
    }
    assert!(sender.is_empty());
    assert_eq!(drain(&mut receiver), packets);
    let mut out = [0xee; 1404];
    sender.fill(&mut out);
    assert_eq!(out, [0; 1404]);
    assert_eq!(receiver.take(5, &out, 0), Ok(Taken::Padding));
}

// RFC 9347 §2: whatever the size of the payloads.
#[test]
fn what_goes_in_comes_out() {
    for seed in 0..300 {
        let dice = &mut Dice(seed);
        let packets = packets(60, dice);
        let options = [AS_NEEDED, AggFrag { rate: NonZeroU64::new(8000), ..AS_NEEDED }][dice.below(2)];
        let most = [1, 7, 100, 1396, 6000][dice.below(5)].max(if seed % 3 > 0 { 100 } else { 1 });
        let payloads = payloads(options, &packets, most, dice);
        let mut receiver = Receiver::new();
        let mut out = Vec::new();
        for (sequence, payload) in (1..).zip(&payloads) {
            receiver.take(sequence, payload, 0).unwrap();
            out.extend(drain(&mut receiver));
        }
        assert_eq!(out, packets, "seed {seed}");
        assert_eq!(receiver.take_lost(), 0);
    }
}

// RFC 9347 §2.2.3.
#[test]
fn as_much_disorder_as_is_waited_for_changes_nothing() {
    for seed in 0..300 {
        let dice = &mut Dice(seed);
        let packets = packets(60, dice);
        let mut payloads: VecDeque<_> = (1..).zip(payloads(AS_NEEDED, &packets, 300, dice)).collect();
        let mut receiver = Receiver::new();
        let mut out = Vec::new();
        // One that is passed by by more than that many comes too late.
        let (mut held, mut passed): (Option<(u64, Vec<u8>)>, _) = (None, 0);
        while let Some((sequence, payload)) = payloads.pop_front() {
            if let Some((sequence, payload)) = held.take_if(|_| passed == AGGFRAG_REORDER) {
                receiver.take(sequence, &payload, 0).unwrap();
            }
            if held.is_none() && dice.below(3) == 0 {
                (held, passed) = (Some((sequence, payload)), 0);
                continue;
            }
            passed += 1;
            receiver.take(sequence, &payload, 0).unwrap();
            out.extend(drain(&mut receiver));
        }
        if let Some((sequence, payload)) = held {
            receiver.take(sequence, &payload, 0).unwrap();
            out.extend(drain(&mut receiver));
        }
        assert_eq!(out, packets, "seed {seed}");
    }
}

// Whatever is lost or late: what comes out is what went in, in its order, and each packet whole.
#[test]
fn what_is_lost_takes_nothing_else_along() {
    let mut arrived = 0;
    for seed in 0..500 {
        let dice = &mut Dice(seed);
        let packets = packets(60, dice);
        let payloads = payloads(AS_NEEDED, &packets, 200 + dice.below(1300), dice);
        let mut arriving: Vec<(u64, Vec<u8>)> = (1..).zip(payloads).filter(|_| dice.below(10) > 0).collect();
        for _ in 0..dice.below(20) {
            let (a, far) = (dice.below(arriving.len()), 1 + dice.below(6));
            let b = (a + far).min(arriving.len() - 1);
            arriving.swap(a, b);
        }
        let mut receiver = Receiver::new();
        let (mut out, mut now) = (Vec::new(), NOW);
        for (sequence, payload) in &arriving {
            let taken = receiver.take(*sequence, payload, 0);
            assert!(matches!(taken, Ok(_) | Err(DropReason::TooLate)), "{taken:?}");
            now = now + Duration::from_millis(dice.below(80) as u64);
            receiver.on_time(now);
            out.extend(drain(&mut receiver));
        }
        for waited in 0..=AGGFRAG_REORDER as u32 {
            receiver.on_time(now + AGGFRAG_WAIT * waited);
        }
        out.extend(drain(&mut receiver));
        assert!(receiver.deadline().is_none());
        assert!(is_subsequence(&out, &packets), "seed {seed}");
        arrived += out.len();
    }
    // A lost payload costs the packets that it has a part of, and no others.
    assert!(arrived > 500 * 60 / 3, "{arrived}");
}

#[test]
fn nonsense_comes_to_nothing() {
    for seed in 0..2000 {
        let dice = &mut Dice(seed);
        let packets = packets(10, dice);
        let payloads = payloads(AS_NEEDED, &packets, 300, dice);
        let mut receiver = Receiver::new();
        for (sequence, mut payload) in (1u64..).zip(payloads) {
            for _ in 0..dice.below(4) {
                let at = dice.below(payload.len().min(30));
                payload[at] = [0, 1, 0x45, 0x60, 0xff, dice.below(256) as u8][dice.below(6)];
            }
            let sequence =
                [sequence, sequence + dice.below(9) as u64, 1 << 40, u64::MAX][dice.below(40).saturating_sub(36)];
            let _ = receiver.take(sequence, &payload, dice.below(256) as u8);
            receiver.on_time(NOW);
            for out in drain(&mut receiver) {
                assert!(ravelin_wire::ip::Header::parse(&out).is_ok());
            }
        }
    }
}

#[test]
fn a_receiver_without_pieces_gets_whole_packets() {
    let dice = &mut Dice(1);
    let packets: Vec<_> = packets(60, dice).into_iter().filter(|packet| packet.len() <= 1396).collect();
    let payloads = payloads(UNCUT, &packets, 1396, dice);
    let mut out = Vec::new();
    for payload in &payloads {
        // Each for itself.
        let mut receiver = Receiver::new();
        receiver.take(1, payload, 0).unwrap();
        out.extend(drain(&mut receiver));
    }
    assert_eq!(out, packets);
    assert!(payloads.len() < packets.len());
}

#[test]
fn what_cannot_go_whole_any_more_is_in_nobodys_way() {
    let mut sender = Sender::new(UNCUT, NOW);
    assert!(sender.push(&packet(true, 900, 1)) && sender.push(&packet(true, 100, 2)));
    let mut out = [0; 504];
    assert_eq!(sender.fill(&mut out), (104, 100));
    assert_eq!((sender.take_too_big(), sender.is_empty()), (1, true));
}

#[test]
fn a_mark_of_congestion_is_carried_on_or_its_packet_is_dropped() {
    for (inner, outer, expected) in [(0b10, 0b11, Some(0b11)), (0b00, 0b11, None), (0b10, 0b00, Some(0b10))] {
        let mut clear = packet(true, 500, 7);
        clear[1] = inner;
        let mut sender = Sender::new(AS_NEEDED, NOW);
        assert!(sender.push(&clear));
        let mut receiver = Receiver::new();
        // The mark is on one of its pieces.
        for sequence in 1..4 {
            let mut out = [0; 204];
            let (len, _) = sender.fill(&mut out);
            receiver.take(sequence, &out[..len], if sequence == 2 { outer } else { 0 }).unwrap();
        }
        let out = drain(&mut receiver);
        assert_eq!(out.first().map(|packet| packet[1]), expected);
        assert_eq!(receiver.take_lost(), u64::from(expected.is_none()));
    }
}

#[test]
fn queues_are_bounded() {
    let mut sender = Sender::new(AS_NEEDED, NOW);
    let one = packet(true, 1500, 0);
    let fitting = (0..).take_while(|_| sender.push(&one)).count();
    assert_eq!(fitting, AGGFRAG_QUEUE / 1500);
    // There is room again when half has gone, and what is kept is whole.
    let mut out = vec![0; 4 + AGGFRAG_QUEUE / 2 + 1500];
    let (_, gone) = sender.fill(&mut out);
    assert!(gone > AGGFRAG_QUEUE / 2 && sender.push(&one));

    let mut receiver = Receiver::new();
    let payload = [&[0; 4][..], &one.repeat(40)].concat();
    for sequence in 1..=10 {
        receiver.take(sequence, &payload, 0).unwrap();
    }
    let out = drain(&mut receiver);
    assert_eq!(out.len(), AGGFRAG_QUEUE / 1500);
    assert_eq!(receiver.take_lost(), 400 - out.len() as u64);
}

#[test]
fn a_rate_is_kept() {
    let mut sender = Sender::new(AggFrag { rate: NonZeroU64::new(1_000_000), ..AS_NEEDED }, NOW);
    // 1250 bytes are 10 ms of it.
    for step in 0..100 {
        let due = NOW + Duration::from_millis(10) * step;
        assert_eq!(sender.due(), Some(due));
        // Whoever is a little late makes up for it.
        sender.passed(1250, due + Duration::from_millis(3));
    }
    let late = NOW + Duration::from_secs(10);
    sender.passed(1250, late);
    assert_eq!(sender.due(), Some(late));
    sender.passed(1250, late + AGGFRAG_BEHIND);
    assert_eq!(sender.due(), Some(late + Duration::from_millis(10)));
}

// RFC 9347 §2.2.3.
#[test]
fn what_waits_goes_on_elsewhere_but_for_what_has_begun() {
    let mut sender = Sender::new(AS_NEEDED, NOW);
    let packets: Vec<_> = (0..3).map(|number| packet(true, 300, number)).collect();
    packets.iter().for_each(|packet| assert!(sender.push(packet)));
    sender.fill(&mut [0; 104]);
    let mut room = [0; 1000];
    let mut out = Vec::new();
    while let Some(packet) = sender.take_whole(&mut room) {
        out.push(packet.to_vec());
    }
    assert_eq!(out, packets[1..]);
}
