//! What broke other implementations; the numbers are rows of the history of such faults.

use std::time::Duration;

use ravelin_ike::{Command, Transmit};

use super::{INFORMATIONAL, MAIN, QUICK, lab, up};
use crate::lab::{POLICY, socket};

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

// Rows 14, 24, 37: no change of any octet of any message of phase 1 or 2 does harm, and the right one still works.
#[test]
fn row_37_changed_messages_do_no_harm() {
    for step in 0..9 {
        let mut lab = lab(|_, _| ());
        lab.a.command(Command::Initiate(POLICY));
        for at in 0..step {
            if at % 2 == 0 {
                lab.a_to_b()
            } else {
                lab.b_to_a()
            };
        }
        let from_a = step % 2 == 0;
        let message = if from_a { lab.a.take() } else { lab.b.take() };
        for changed in changed(&message) {
            let receiver = if from_a { &mut lab.b } else { &mut lab.a };
            receiver.receive(&changed);
        }
        assert!(lab.a.children().len() <= 1 && lab.b.children().len() <= 1);
    }
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
        assert!(lab.b.sent.is_empty());
    }
    lab.b.receive(&third);
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
    let limit = ravelin_ike::limits::V1_HALF_OPEN;
    assert_eq!(lab.b.endpoint.ike_sas().len(), limit);
    assert!(lab.b.endpoint.counters().refused_half_open > 0);
    for n in 0..100u32 {
        let mut same = first.clone();
        same.data[4..8].copy_from_slice(&n.to_be_bytes());
        lab.b.receive(&same);
    }
    assert!(lab.b.endpoint.ike_sas().len() <= limit);
    lab.b.sleep(ravelin_ike::limits::HALF_OPEN_LIFETIME + Duration::from_secs(1));
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

// A message in parts is the same message, from its peer alone (rows 27, 43, 44: the bounds are tested beside the code).
#[test]
fn a_message_may_come_in_parts() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    for _ in 0..2 {
        lab.a_to_b();
        lab.b_to_a();
    }
    let fifth = lab.a.take();
    let parts: Vec<Transmit> = fifth
        .data
        .chunks(20)
        .enumerate()
        .map(|(at, chunk)| {
            let last = (at + 1) * 20 >= fifth.data.len();
            let mut data = fifth.data[..28].to_vec();
            data[16] = 132;
            data[19] = 0;
            let len = 36 + chunk.len();
            data[24..28].copy_from_slice(&(len as u32).to_be_bytes());
            data.extend([0, 0, 0, 8 + chunk.len() as u8, 0, 1, at as u8 + 1, u8::from(last)]);
            data.extend(chunk);
            Transmit { data, ..fifth.clone() }
        })
        .collect();
    for part in &parts {
        lab.b.receive_from(part, part.remote, socket("198.51.100.7:500"));
    }
    assert!(lab.b.sent.is_empty(), "they come from somebody else");
    parts.iter().rev().for_each(|part| lab.b.receive(part));
    assert_eq!(lab.b.sent.len(), 1);
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    lab.assert_mirrored();
}
