//! What broke other implementations; the numbers are rows of docs/HISTORY.md.

use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Transmit, limits};

use super::{INFORMATIONAL, MAIN, QUICK, lab, next, up, v1};
use crate::lab::{Host, Lab, POLICY, socket};

/// How many messages make an ISAKMP SA and a Child SA.
const MESSAGES: usize = 9;

/// So many of them have arrived; which side sent what waits now.
fn after(messages: usize) -> (Lab, bool) {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    for at in 0..messages {
        if at % 2 == 0 {
            lab.a_to_b()
        } else {
            lab.b_to_a()
        };
    }
    (lab, messages.is_multiple_of(2))
}

/// The message that waits, and whom it is for.
fn waiting(lab: &mut Lab, from_a: bool) -> (Transmit, &mut Host) {
    match from_a {
        true => (lab.a.take(), &mut lab.b),
        false => (lab.b.take(), &mut lab.a),
    }
}

/// All that is under way arrives, and the two have what they wanted.
fn assert_comes_up(lab: &mut Lab) {
    lab.settle();
    lab.assert_mirrored();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
}

/// Every octet of a message changed in turn.
fn changed(message: &Transmit) -> impl Iterator<Item = Transmit> + '_ {
    (0..message.data.len()).flat_map(move |at| {
        [0x01, 0x80, 0xff].into_iter().map(move |bits| {
            let mut changed = message.clone();
            changed.data[at] ^= bits;
            changed
        })
    })
}

// Rows 18 and 71 (VU#419128): one packet with a forged source gets one answer, no longer than itself, and no timer
// sends another.
#[test]
fn row_18_a_responder_never_repeats_by_itself() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    let first = lab.a.take();
    lab.b.receive(&first);
    let answer = lab.b.take();
    assert!(answer.data.len() <= first.data.len());
    for _ in 0..300 {
        lab.b.sleep(Duration::from_secs(1));
        assert!(lab.b.sent.is_empty());
    }
    assert!(lab.b.endpoint.ike_sas().is_empty(), "and forgets who does not go on");
}

// Rows 12, 13, 30, 37: messages for nobody change nothing and are not answered.
#[test]
fn rows_12_13_30_messages_without_an_sa_are_dropped() {
    let mut lab = up();
    lab.a.command(Command::RekeyChild(POLICY));
    let message = lab.a.take();
    let before = format!("{:?}", lab.b.endpoint.ike_sas());
    for exchange in 0..=u8::MAX {
        for flags in [0, 1] {
            let mut stranger = message.clone();
            stranger.data[3] ^= 0xff;
            stranger.data[12] ^= 0xff;
            stranger.data[18] = exchange;
            stranger.data[19] = flags;
            lab.b.receive(&stranger);
            assert!(lab.b.sent.is_empty(), "exchange {exchange}");
        }
    }
    assert_eq!(format!("{:?}", lab.b.endpoint.ike_sas()), before);
}

// Rows 15, 39: an informational message is believed only if its hash is right.
#[test]
fn rows_15_39_a_delete_that_was_changed_deletes_nothing() {
    let mut lab = up();
    lab.a.command(Command::TerminateChild(Some(POLICY)));
    let delete = lab.a.take();
    assert_eq!(delete.data[18], INFORMATIONAL);
    for changed in changed(&delete) {
        // Flags without a meaning are not covered, and the minor version says nothing.
        let at = (0..changed.data.len()).find(|at| changed.data[*at] != delete.data[*at]).unwrap();
        if at == 17 || at == 19 {
            continue;
        }
        lab.b.receive(&changed);
        assert_eq!(lab.b.children().len(), 1, "octet {at}");
        lab.b.sent.clear();
    }
    lab.b.receive(&delete);
    assert!(lab.b.children().is_empty());
    // The same again is no second delete.
    let repeated = lab.b.endpoint.counters().repeated;
    lab.b.receive(&delete);
    assert_eq!(lab.b.endpoint.counters().repeated, repeated + 1);
}

// Rows 24, 37: no change of any octet of any message of phase 1 or 2 does harm, and the right one still works where what came
// before it could be told from it.
#[test]
fn row_37_changed_messages_do_no_harm() {
    for step in 0..MESSAGES {
        let (mut lab, from_a) = after(step);
        let (message, receiver) = waiting(&mut lab, from_a);
        for changed in changed(&message) {
            receiver.receive(&changed);
            receiver.sent.clear();
        }
        assert!(lab.a.children().len() <= 1 && lab.b.children().len() <= 1);
        // Whatever came of it, another attempt succeeds once what is half open has made room.
        lab.b.sleep(limits::HALF_OPEN_LIFETIME + Duration::from_secs(1));
        lab.a = Host::new(lab.a.config.clone(), 99);
        lab.a.now = lab.b.now;
        lab.b.sent.clear();
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        assert_eq!((lab.a.failures(), lab.a.children().len()), (vec![], 1), "after message {step}");
        lab.assert_mirrored();
    }
}

/// The same message with a public value that is no point of its curve.
fn with_a_bad_value(message: &Transmit) -> Transmit {
    const KE: u8 = 4;
    let mut bad = message.clone();
    let (mut kind, mut at) = (bad.data[16], 28);
    while kind != KE {
        (kind, at) = (bad.data[at], at + usize::from(u16::from_be_bytes([bad.data[at + 2], bad.data[at + 3]])));
    }
    bad.data[at + 4] ^= 1;
    bad
}

// RFC 2408 §5.7: who sends a value that is none is told so, by either side and in either mode. It is told once, and the right
// message still counts.
#[test]
fn a_public_value_that_is_none_is_answered_once() {
    const INVALID_KEY_INFORMATION: [u8; 2] = [0, 17];
    for (aggressive, step) in [(false, 2), (false, 3), (true, 0), (true, 1)] {
        let mut lab = lab(|a, b| {
            v1(a, aggressive);
            v1(b, aggressive);
        });
        lab.a.command(Command::Initiate(POLICY));
        for at in 0..step {
            if at % 2 == 0 {
                lab.a_to_b()
            } else {
                lab.b_to_a()
            };
        }
        let from_a = step % 2 == 0;
        let (message, receiver) = waiting(&mut lab, from_a);
        let bad = with_a_bad_value(&message);
        receiver.receive(&bad);
        receiver.failure(Part::Protocol);
        let told = receiver.take();
        assert_eq!((told.data[18], &told.data[38..40]), (INFORMATIONAL, &INVALID_KEY_INFORMATION[..]));
        assert!(receiver.sent.is_empty() && told.data.len() <= bad.data.len());
        // The first message of a phase 1 leaves no state that could remember.
        if step > 0 {
            receiver.receive(&bad);
            assert!(receiver.sent.is_empty(), "message {step}");
        }
        if from_a {
            lab.a.receive(&told);
            lab.a.failure(Part::KeyExchange);
            lab.b.receive(&message);
        } else {
            receiver.receive(&message);
        }
        assert_comes_up(&mut lab);
    }
}

// Row 14: every type of exchange in every state of phase 1 and 2. The header is under no hash; the right message still counts.
#[test]
fn row_14_each_exchange_in_each_state() {
    for step in 0..MESSAGES {
        let (mut lab, from_a) = after(step);
        let (message, receiver) = waiting(&mut lab, from_a);
        let children = receiver.children().len();
        for exchange in (0..=u8::MAX).filter(|exchange| *exchange != message.data[18]) {
            let mut other = message.clone();
            other.data[18] = exchange;
            receiver.receive(&other);
            receiver.sent.clear();
            assert_eq!(receiver.children().len(), children, "exchange {exchange} for message {step}");
        }
        receiver.receive(&message);
        lab.settle();
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1), "after message {step}");
        lab.assert_mirrored();
    }
    let mut lab = up();
    lab.a.command(Command::RekeyChild(POLICY));
    let message = lab.a.take();
    for exchange in (0..=u8::MAX).filter(|exchange| *exchange != QUICK) {
        let mut other = message.clone();
        other.data[18] = exchange;
        lab.b.receive(&other);
        lab.b.sent.clear();
        assert_eq!((lab.b.ike().state, lab.b.children().len()), ("ESTABLISHED", 1));
    }
    lab.b.receive(&message);
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (2, 2), "the old one goes later");
}

// Rows 13, 30, 39: what says of itself that it is protected or does not, with the cookies of an SA that is being made, at each
// step of it: deletes, INITIAL-CONTACT, signs of life of any form, and errors.
#[test]
fn rows_13_30_39_nothing_unprotected_disturbs_phase_1() {
    for step in 1..MESSAGES {
        let (mut lab, from_a) = after(step);
        let (message, receiver) = waiting(&mut lab, from_a);
        let cookies = &message.data[..16];
        let notify = |kind: u16, spi: &[u8], data: &[u8]| {
            let head = [0, 0, 0, 1, 1, spi.len() as u8];
            (11, [&head[..], &kind.to_be_bytes(), spi, data].concat())
        };
        let delete = |protocol: u8, len: u8, spis: &[u8]| {
            let count = spis.len() / usize::from(len.max(1));
            (12, [&[0, 0, 0, 1, protocol, len, 0, count as u8], spis].concat())
        };
        let payloads: [(u8, Vec<u8>); 14] = [
            delete(1, 16, cookies),
            delete(1, 0, &[]),
            delete(3, 4, &[7; 4]),
            delete(3, 255, &[7; 255]),
            notify(24578, cookies, &[]),
            notify(36136, cookies, &[0, 0, 0, 1]),
            notify(36136, &[], &[0, 0, 0, 1]),
            notify(36136, cookies, &[]),
            notify(36137, &[], &[]),
            notify(16, cookies, b"$(reboot)\x1b[2J\0"),
            notify(24, &[], &[0xff; 2000]),
            (11, vec![]),
            (12, vec![0; 3]),
            (200, vec![0; 16]),
        ];
        for (kind, body) in &payloads {
            for flags in [0, 1, 2] {
                for id in [0, 1, u32::MAX] {
                    let mut data = message.data[..28].to_vec();
                    (data[16], data[18], data[19]) = (*kind, INFORMATIONAL, flags);
                    data[20..24].copy_from_slice(&u32::to_be_bytes(id));
                    data.extend([0, 0]);
                    data.extend((body.len() as u16 + 4).to_be_bytes());
                    data.extend(body);
                    let len = data.len() as u32;
                    data[24..28].copy_from_slice(&len.to_be_bytes());
                    receiver.receive(&Transmit { data, ..message.clone() });
                }
            }
        }
        // At most a question whether the peer lives, where there is an SA to ask under.
        assert!(receiver.sent.len() <= 1, "message {step}");
        // What is told to the operator is told once, in characters that can be printed.
        assert!(receiver.failures().len() <= 1);
        assert!(receiver.failures().iter().all(|failure| failure.to_string().chars().all(|c| !c.is_control())));
        receiver.receive(&message);
        assert_comes_up(&mut lab);
    }
}

// Rows 12, 20, 22, 24, 36, 42, 46: first messages that are none make no SA and get at most an answer that is no longer than they
// are; encryption with RSA (methods 4 and 5) and what else is not there is refused in one way.
#[test]
fn rows_12_20_22_24_36_42_46_first_messages_that_are_none() {
    let (mut lab, _) = after(0);
    let first = lab.a.take();
    let len = first.data.len();
    let set = |at: usize, bytes: &[u8]| {
        let mut data = first.data.clone();
        data[at..at + bytes.len()].copy_from_slice(bytes);
        data
    };
    let mended = |mut data: Vec<u8>| {
        let len = data.len() as u32;
        data[24..28].copy_from_slice(&len.to_be_bytes());
        data
    };
    let mut bad: Vec<Vec<u8>> = Vec::new();
    // Every length, with the length field as it was and mended, and a length field that lies.
    for cut in 0..len {
        bad.push(first.data[..cut].to_vec());
        if cut >= 28 {
            bad.push(mended(first.data[..cut].to_vec()));
        }
    }
    let lies = [0, 1, 27, 28, 29, len as u32 - 1, len as u32 + 1, 0xffff, 0x7fff_ffff, u32::MAX];
    bad.extend(lies.map(|length| set(24, &length.to_be_bytes())));
    // Header: no cookie, a cookie of ours, another version, encrypted, a message ID.
    bad.extend([set(0, &[0; 8]), set(8, &[7; 8]), set(19, &[1]), set(20, &[0, 0, 0, 1])]);
    bad.extend((0..=u8::MAX).filter(|version| version >> 4 != 1).map(|version| set(17, &[version])));
    // SA: payload, DOI, situation, proposal and transform. What stands there first is held to be what it is.
    assert_eq!((first.data[16], &first.data[32..40]), (1, &[0, 0, 0, 1, 0, 0, 0, 1][..]));
    assert_eq!((first.data[45], first.data[47], first.data[53]), (1, 1, 1), "ISAKMP, one transform, KEY_IKE");
    bad.extend((0..=u8::MAX).filter(|kind| *kind != 1).map(|kind| set(16, &[kind])));
    for at in [30, 31, 42, 43, 45, 46, 47, 50, 51, 53].into_iter().chain(32..40) {
        bad.extend((0..=u8::MAX).filter(|value| *value != first.data[at]).map(|value| set(at, &[value])));
    }
    // Attributes: lengths in the long form, and values that nobody has.
    let attribute = |kind: u8| 56 + first.data[56..].chunks(4).position(|it| it[..2] == [0x80, kind]).unwrap() * 4;
    let method = attribute(3);
    assert_eq!(first.data[method + 2..method + 4], [0, 1], "a pre-shared key");
    for length in [1u16, 255, 0xffff] {
        bad.push(set(method, &[&[0, 3][..], &length.to_be_bytes()].concat()));
    }
    for value in (0..=300u16).chain(64_990..=u16::MAX).filter(|value| *value != 1) {
        bad.push(set(method, &[0x80, 3, (value >> 8) as u8, value as u8]));
    }
    // More payloads than a message may have.
    let mut many = first.data.clone();
    let vendor = [13, 0, 0, 4].repeat(200);
    let rest = many.split_off(28);
    let next = std::mem::replace(&mut many[16], 13);
    many.extend(vendor);
    let last = many.len() - 4;
    many[last] = next;
    many.extend(rest);
    bad.push(mended(many));
    for data in bad {
        lab.b.sleep(Duration::from_secs(1));
        let message = Transmit { data, ..first.clone() };
        lab.b.receive(&message);
        assert!(lab.b.endpoint.ike_sas().is_empty(), "{:02x?}", message.data);
        assert!(lab.b.sent.drain(..).all(|answer| answer.data.len() <= message.data.len()));
    }
    lab.b.receive(&first);
    assert_comes_up(&mut lab);
}

// Row 19: values that are no element of the group.
#[test]
fn row_19_public_values_are_checked() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    let third = lab.a.take();
    for fill in [0u8, 0xff] {
        let mut bad = third.clone();
        // The KE payload is the first: 28 octets of header, 4 of its own.
        bad.data[32..96].fill(fill);
        lab.b.receive(&bad);
        // Not answered but for the one notify that says so.
        assert!(lab.b.sent.drain(..).all(|answer| answer.data[18] == INFORMATIONAL));
    }
    lab.b.receive(&third);
    assert_eq!(next(&lab.b), Some((MAIN, false)));
    assert_eq!(lab.b.sent.len(), 1, "the right one is still taken");
}

// A quick mode that was recorded is not played back.
#[test]
fn a_recorded_quick_mode_makes_no_child_sa() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    let mut recorded = Vec::new();
    for _ in 0..9 {
        if let Some(message) = lab.a.sent.front().cloned() {
            if message.data[18] == QUICK {
                recorded.push(message);
            }
            lab.a_to_b();
        } else if !lab.b.sent.is_empty() {
            lab.b_to_a();
        }
    }
    assert_eq!(recorded.len(), 2);
    lab.b.sleep(Duration::from_secs(60));
    lab.b.sent.clear();
    for message in &recorded {
        lab.b.receive(message);
    }
    assert!(lab.b.sent.is_empty());
    assert_eq!((lab.b.children().len(), lab.b.sas.len()), (1, 2));
}

// Rows 41, 63: strangers fill a bounded table, and IKEv2 has room left.
#[test]
fn row_41_half_open_sas_are_bounded() {
    let mut lab = lab(|_, b| b.remotes[0].remote = "0.0.0.0".parse().unwrap());
    lab.a.command(Command::Initiate(POLICY));
    let first = lab.a.take();
    for n in 0..3000u32 {
        let mut stranger = first.clone();
        stranger.data[0..4].copy_from_slice(&n.to_be_bytes());
        let from = socket(&format!("198.51.{}.{}:500", n / 250, n % 250));
        lab.b.receive_from(&stranger, stranger.remote, from);
        lab.b.sent.clear();
    }
    let limit = limits::V1_HALF_OPEN;
    assert_eq!(lab.b.endpoint.ike_sas().len(), limit);
    assert!(lab.b.endpoint.counters().refused_half_open > 0);
    for n in 0..100u32 {
        let mut same = first.clone();
        same.data[4..8].copy_from_slice(&n.to_be_bytes());
        lab.b.receive(&same);
    }
    assert!(lab.b.endpoint.ike_sas().len() <= limit);
    lab.b.sleep(limits::HALF_OPEN_LIFETIME + Duration::from_secs(1));
    assert!(lab.b.endpoint.ike_sas().is_empty());
}

// Row 45: an answer to a broken message has nothing but what was built for it.
#[test]
fn row_45_a_refusal_says_one_thing() {
    let mut lab =
        lab(|_, b| b.remotes[0].proposals = vec![super::proposal(ravelin_types::transform::KeMethod::ECP384)]);
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(lab.a.sent.front().unwrap().data[18], MAIN);
    lab.a_to_b();
    let refusal = lab.b.take();
    // 28 octets of header, 4 + 8 of the notification NO-PROPOSAL-CHOSEN.
    assert_eq!((refusal.data[18], refusal.data.len()), (INFORMATIONAL, 40));
    assert_eq!(refusal.data[28..], [0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 14]);
}

/// A part of a message.
fn part(message: &Transmit, (id, number, last): (u16, u8, bool), piece: &[u8]) -> Transmit {
    let mut data = message.data[..28].to_vec();
    (data[16], data[19]) = (132, 0);
    data[24..28].copy_from_slice(&(36 + piece.len() as u32).to_be_bytes());
    data.extend([0, 0]);
    data.extend((8 + piece.len() as u16).to_be_bytes());
    data.extend(id.to_be_bytes());
    data.extend([number, u8::from(last)]);
    data.extend(piece);
    Transmit { data, ..message.clone() }
}

/// All of it, in parts of 20 octets.
fn in_parts(message: &Transmit, id: u16) -> Vec<Transmit> {
    let pieces: Vec<&[u8]> = message.data.chunks(20).collect();
    let last = pieces.len();
    pieces
        .iter()
        .zip(1..)
        .map(|(piece, number)| part(message, (id, number, usize::from(number) == last), piece))
        .collect()
}

// A message in parts is the same message, from its peer alone.
#[test]
fn a_message_may_come_in_parts() {
    let (mut lab, _) = after(4);
    let fifth = lab.a.take();
    let parts = in_parts(&fifth, 1);
    for part in &parts {
        lab.b.receive_from(part, part.remote, socket("198.51.100.7:500"));
    }
    assert!(lab.b.sent.is_empty(), "they come from somebody else");
    parts.iter().rev().for_each(|part| lab.b.receive(part));
    assert_eq!(lab.b.sent.len(), 1);
    assert_comes_up(&mut lab);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

// Rows 27, 43, 44: parts that contradict each other, have impossible lengths, come in any order and never end; and then the message.
#[test]
fn rows_27_43_44_parts_that_make_no_message_do_no_harm() {
    let (mut lab, _) = after(4);
    let fifth = lab.a.take();
    let piece = [7; 20];
    let sets: [&[(u16, u8, bool)]; 9] = [
        // Number 0, alone and as the last.
        &[(1, 0, false), (1, 0, true)],
        // The last twice, at two places; one behind the last; the last before what is there.
        &[(1, 2, true), (1, 3, true), (1, 1, false)],
        &[(1, 2, true), (1, 3, false), (1, 1, false)],
        &[(1, 5, false), (1, 2, true), (1, 1, false)],
        // The highest number, and only it.
        &[(1, 255, true)],
        &[(0, 255, false), (0, 254, true)],
        // Two messages mixed.
        &[(1, 1, false), (2, 2, true), (1, 2, true), (2, 1, false)],
        // One part twice, with other octets in between.
        &[(1, 1, false), (1, 1, true), (1, 1, false)],
        // All of a message that is none.
        &[(1, 1, false), (1, 2, false), (1, 3, true)],
    ];
    for set in sets {
        for number in set {
            lab.b.receive(&part(&fifth, *number, &piece));
        }
        assert!(lab.b.sent.is_empty(), "{set:?}");
    }
    // The length of the payload is below that of its header, beyond the datagram, or not what is there.
    for length in (0..8).chain([27, 29, 0x7fff, 0xfff8, 0xffff]) {
        let mut wrong = part(&fifth, (1, 1, true), &piece);
        wrong.data[30..32].copy_from_slice(&u16::to_be_bytes(length));
        lab.b.receive(&wrong);
    }
    // Nothing in it, and as much as a datagram holds.
    for len in [0, 1, 60_000] {
        lab.b.receive(&part(&fifth, (1, 1, false), &vec![7; len]));
        lab.b.receive(&part(&fifth, (1, 2, true), &vec![7; len]));
    }
    // Out of order, of many messages, and never all of one.
    for id in 0..100 {
        for number in (2..=u8::MAX).rev() {
            lab.b.receive(&part(&fifth, (id, number, false), &piece));
        }
    }
    assert!(lab.b.sent.is_empty());
    assert_eq!(lab.b.ike().state, "MAIN_MODE");
    in_parts(&fifth, 1000).iter().for_each(|part| lab.b.receive(part));
    assert_eq!(lab.b.sent.len(), 1);
    assert_comes_up(&mut lab);
}
