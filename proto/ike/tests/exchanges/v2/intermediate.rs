//! RFC 9242 and RFC 9370: additional key exchanges between IKE_SA_INIT and IKE_AUTH.

use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, Transmit, limits};
use ravelin_types::transform::{Additional, KeMethod, Transform};
use ravelin_wire::ike::v2::{Message, NotifyType, Payload};

use crate::lab::*;
use crate::v2::hostile::said_otherwise;
use crate::v2::peer::{notifies, notify};

const INTERMEDIATE: u8 = 43;

/// The first proposal gets these additional methods.
fn more(config: &mut Config, methods: &[(u8, KeMethod)]) {
    let transforms = methods.iter().map(|(number, id)| Transform::AddKe(Additional::new(*number).unwrap(), *id));
    config.remotes[0].proposals[0].transforms.extend(transforms);
}

/// Both sides with these.
pub fn both(methods: &[(u8, KeMethod)]) -> Lab {
    Lab::with(|a, b| {
        more(a, methods);
        more(b, methods);
    })
}

fn has(message: &Transmit, kind: NotifyType) -> bool {
    notifies(&Message::parse(&message.data).unwrap().payloads).contains(&kind)
}

// HDR, SK {KEi(1)} -->   <-- HDR, SK {KEr(1)}, then IKE_AUTH with the next message ID.
#[test]
fn x25519_and_ml_kem_make_one_ike_sa() {
    for method in [KeMethod::ML_KEM_512, KeMethod::ML_KEM_768, KeMethod::ML_KEM_1024] {
        let mut lab = both(&[(1, method)]);
        lab.a.command(Command::Initiate(POLICY));
        assert!(has(&lab.a_to_b(), NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED));
        assert!(has(&lab.b_to_a(), NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED));
        assert_eq!(lab.a.next(), Some((INTERMEDIATE, 1, false)));
        while lab.a.next() == Some((INTERMEDIATE, 1, false)) {
            assert!(lab.a_to_b().data.len() <= 1228, "a key is cut into fragments");
        }
        assert_eq!(lab.b.next(), Some((INTERMEDIATE, 1, true)));
        while !lab.b.sent.is_empty() {
            lab.b_to_a();
        }
        assert_eq!(lab.a.next(), Some((AUTH, 2, false)));
        lab.settle();
        lab.assert_mirrored();
        assert_eq!((lab.a.ike().additional, lab.b.ike().additional), (vec![method], vec![method]));
        // The message IDs go on from there.
        lab.a.command(Command::CheckLiveness("peer".into()));
        assert_eq!(lab.a.next(), Some((INFO, 3, false)));
        lab.settle();
        lab.b.command(Command::RekeyIke("peer".into()));
        lab.settle();
        lab.a.command(Command::RekeyChild(POLICY));
        lab.settle();
        lab.assert_mirrored();
        assert_eq!((lab.a.failures().len(), lab.b.failures().len()), (0, 0));
    }
}

// RFC 9242 §5: no more than were agreed on.
#[test]
fn all_seven_take_place_in_order_and_each_changes_the_keys() {
    let methods = [
        (1, KeMethod::ML_KEM_768),
        (2, KeMethod::ECP256),
        (3, KeMethod::ML_KEM_1024),
        (4, KeMethod::CURVE448),
        (5, KeMethod::ECP384),
        (6, KeMethod::ML_KEM_512),
        (7, KeMethod::BRAINPOOL_P256),
    ];
    let mut lab = both(&methods);
    lab.establish();
    lab.assert_mirrored();
    assert_eq!(lab.a.ike().additional, methods.map(|(_, method)| method));
}

// RFC 9370 §2.2.2.
#[test]
fn what_is_optional_is_left_out_and_what_is_not_is_not() {
    let (kem, none) = (KeMethod::ML_KEM_768, KeMethod::NONE);
    let agreed = |a: &[(u8, KeMethod)], b: &[(u8, KeMethod)]| {
        let mut lab = Lab::with(|config_a, config_b| {
            more(config_a, a);
            more(config_b, b);
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let up = lab.a.children().len() == 1;
        if up {
            lab.assert_mirrored();
        } else {
            lab.b.failure(Part::IkeProposal);
        }
        up.then(|| lab.a.ike().additional)
    };
    assert_eq!(agreed(&[(1, kem), (1, none)], &[]), Some(vec![]));
    assert_eq!(agreed(&[], &[(1, kem), (1, none)]), Some(vec![]));
    assert_eq!(agreed(&[(1, kem), (1, none)], &[(1, kem)]), Some(vec![kem]));
    assert_eq!(agreed(&[(2, kem)], &[(2, kem)]), Some(vec![kem]), "numbers need not be consecutive");
    assert_eq!(agreed(&[(1, kem)], &[]), None);
    assert_eq!(agreed(&[], &[(1, kem)]), None);
    assert_eq!(agreed(&[(1, kem)], &[(2, kem)]), None);
    // No method twice, and a choice that leaves one for the next type.
    let both = [(1, kem), (1, KeMethod::ECP256), (2, kem)];
    assert_eq!(agreed(&both, &both), Some(vec![KeMethod::ECP256, kem]));
    assert_eq!(agreed(&[(1, kem), (2, kem)], &[(1, kem), (2, kem)]), None);
}

/// As the default of the command line: first with ML-KEM, then without.
fn hybrid_first(config: &mut Config) {
    let plain = config.remotes[0].proposals[0].clone();
    more(config, &[(1, KeMethod::ML_KEM_768)]);
    config.remotes[0].proposals.push(plain);
}

// RFC 9242 §3.1: the notify of both sides comes first.
#[test]
fn a_peer_without_it_takes_the_proposal_without() {
    for initiator_has_it in [true, false] {
        let mut lab = Lab::with(|a, b| hybrid_first(if initiator_has_it { a } else { b }));
        lab.establish();
        assert!(lab.a.ike().additional.is_empty());
    }
    let mut lab = Lab::with(|a, b| {
        hybrid_first(a);
        hybrid_first(b);
    });
    lab.establish();
    assert_eq!(lab.b.ike().additional, [KeMethod::ML_KEM_768]);
}

// RFC 9242 §3.3.2: the same AUTH, in fragments or not.
#[test]
fn loss_and_repetition_do_no_harm() {
    let mut lab = both(&[(1, KeMethod::ECP256), (2, KeMethod::ML_KEM_512)]);
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    // The answer is lost; the request comes again, and once more after that.
    let first = lab.a_to_b();
    lab.b.sent.clear();
    lab.a.sleep(Duration::from_secs(1));
    assert_eq!(lab.a_to_b(), first);
    let answer = lab.b.take();
    lab.b.receive(&first);
    assert_eq!(lab.b.take(), answer, "the same answer again");
    lab.a.receive(&answer);
    lab.a.receive(&answer);
    assert_eq!(lab.a.sent.len(), 1, "an answer counts once");
    // The second exchange is under new keys: the first request means nothing any more once it is answered.
    lab.a_to_b();
    lab.b.receive(&first);
    assert_eq!(lab.b.sent.len(), 1);
    lab.settle();
    lab.assert_mirrored();
}

// RFC 7383 §2.5.2: what does not get through in long parts is tried in shorter ones, from the responder, too.
#[test]
fn an_answer_that_is_too_long_for_the_path_comes_in_shorter_parts() {
    let mut lab = both(&[(1, KeMethod::ML_KEM_1024)]);
    lab.a.command(Command::Initiate(POLICY));
    for _ in 0..60 {
        while !lab.a.sent.is_empty() {
            lab.a_to_b();
        }
        while !lab.b.sent.is_empty() {
            let message = lab.b.take();
            if message.data.len() <= 544 {
                lab.a.receive(&message);
            }
        }
        lab.a.sleep(Duration::from_millis(500));
    }
    lab.assert_mirrored();
    assert_eq!(lab.a.ike().additional, [KeMethod::ML_KEM_1024]);
    assert_eq!(lab.a.failures(), []);
}

// docs/HISTORY.md, row 60: exchanges skipped, repeated or changed.
// RFC 9242 §3.2: one after the other, and all of them before IKE_AUTH.
#[test]
fn nothing_can_be_skipped_or_changed() {
    let started = || {
        let mut lab = both(&[(1, KeMethod::ECP256), (2, KeMethod::ML_KEM_512)]);
        lab.a.command(Command::Initiate(POLICY));
        lab.a_to_b();
        lab.b_to_a();
        lab
    };
    // The exchange type and the message ID are those that are due, and nothing else is opened.
    for (at, value) in [(18, AUTH), (18, CREATE_CHILD), (18, INFO), (23, 0), (23, 2), (23, 9)] {
        let mut lab = started();
        let mut message = lab.a.take();
        message.data[at] = value;
        lab.b.receive(&message);
        assert!(lab.b.sent.is_empty());
        assert_eq!(lab.b.endpoint.counters().unexpected, 1, "{at} {value}");
    }
    // A bit anywhere in it.
    let mut lab = started();
    let message = lab.a.take();
    for at in 28..message.data.len() {
        let mut damaged = message.clone();
        damaged.data[at] ^= 1;
        lab.b.receive(&damaged);
        assert!(lab.b.sent.is_empty(), "{at}");
    }
    lab.b.receive(&message);
    lab.settle();
    lab.assert_mirrored();
    // Somebody in between takes the additional methods out of the offer: AUTH covers it.
    let mut lab = Lab::with(|a, b| {
        hybrid_first(a);
        hybrid_first(b);
    });
    lab.a.command(Command::Initiate(POLICY));
    let mut offer = lab.a.take();
    let parsed = Message::parse(&offer.data).unwrap();
    let Payload::Sa(sa) = &parsed.payloads[0] else { panic!() };
    assert_eq!(sa.0.len(), 2);
    let at = offer.data.windows(8).position(|bytes| bytes == [0, 0, 0, 8, 6, 0, 0, 36]).unwrap();
    offer.data[at + 7] = 99;
    lab.b.receive(&offer);
    lab.settle();
    assert!(lab.a.children().is_empty() && lab.b.children().is_empty());
    assert_eq!(lab.b.failures()[0].part, Part::Authentication);
}

// RFC 9242 §3.3.2: what is written into it later is covered by AUTH, too.
#[test]
fn what_is_written_into_it_is_found_out_by_auth() {
    for written in [false, true] {
        let mut lab = both(&[(1, KeMethod::ECP256)]);
        lab.a.command(Command::Initiate(POLICY));
        lab.a_to_b();
        lab.b_to_a();
        let message = lab.a.take();
        // A notify that nobody knows changes no key.
        let more = written.then(|| notify(NotifyType(40_960), &[]));
        let message = said_otherwise(&lab.b, &message, |_, payloads| payloads.extend(more));
        lab.b.receive(&message);
        lab.settle();
        assert_eq!(lab.b.sas.is_empty(), written);
        if written {
            lab.b.failure(Part::Authentication);
        }
    }
}

// Rows 76, 95 and 98 of docs/HISTORY.md: values of any length, points that are none, and FIPS 203 §7.2: numbers of ML-KEM that are
// not below its modulus. Both as a question and as an answer.
#[test]
fn values_of_additional_exchanges_that_are_none_make_no_sa() {
    type Bend = fn(&mut Vec<u8>);
    let lengths: [Bend; 5] = [
        Vec::clear,
        |data| data.truncate(1),
        |data| data.truncate(data.len() - 1),
        |data| data.push(0),
        |data| data.resize(60_000, 1),
    ];
    let numbers: [Bend; 2] = [|data| data[..3].fill(0xff), |data| data.fill(0xff)];
    let points: [Bend; 2] = [|data| data.fill(0), |data| *data.last_mut().unwrap() ^= 1];
    for (method, bends) in [(KeMethod::ML_KEM_512, numbers), (KeMethod::ECP256, points)] {
        for answered in [false, true] {
            // Every octet string of the right length is a ciphertext.
            let bends = bends.iter().filter(|_| !answered || method == KeMethod::ECP256);
            for bend in lengths.iter().chain(bends) {
                let mut lab = both(&[(1, method)]);
                lab.a.command(Command::Initiate(POLICY));
                lab.a_to_b();
                lab.b_to_a();
                let bent = |message: Transmit, host: &Host| {
                    said_otherwise(host, &message, |_, payloads| {
                        let [Payload::Ke(ke)] = &mut payloads[..] else { panic!("{payloads:#?}") };
                        bend(&mut ke.data);
                    })
                };
                if answered {
                    lab.a_to_b();
                    let answer = lab.b.take();
                    lab.a.receive(&bent(answer, &lab.a));
                } else {
                    let request = lab.a.take();
                    lab.b.receive(&bent(request, &lab.b));
                }
                lab.settle();
                assert!(lab.a.children().is_empty() && lab.a.sas.is_empty() && lab.b.sas.is_empty(), "{method}");
                let there = if answered { &mut lab.a } else { &mut lab.b };
                assert_eq!(there.failures().len(), 1, "{method} {answered}");
                // An honest one is as welcome as before.
                lab.b.sleep(limits::HALF_OPEN_LIFETIME);
                lab.a.sleep(limits::HALF_OPEN_LIFETIME);
                lab.a.sent.clear();
                lab.a.command(Command::Initiate(POLICY));
                lab.settle();
                lab.assert_mirrored();
            }
        }
    }
}
