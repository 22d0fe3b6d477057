//! Additional key exchanges (RFC 9242, RFC 9370) by a peer that has the keys of IKE_SA_INIT and does as it likes.

use ravelin_ike::Command;
use ravelin_testkit::SeededRandom;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::header::{ExchangeType, Header};
use ravelin_wire::ike::v2::{Ke, Payload};

use super::said_otherwise;
use crate::lab::*;
use crate::v2::intermediate::both;

/// A begins again, as another process would, and the two get what they wanted.
fn assert_comes_up_anew(mut lab: Lab) {
    lab.a = Host::new(lab.a.config.clone(), 99);
    lab.a.now = lab.b.now;
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!((lab.a.failures(), lab.a.children().len()), (vec![], 1));
    lab.assert_mirrored();
}

// Rows 21, 60: by somebody who has the keys of IKE_SA_INIT, exchanges skipped and taken out of order, the value
// missing, twice, of another method or length, and, as a key of ML-KEM, above the modulus (FIPS 203 §7.2).
#[test]
fn a_peer_that_skips_it_or_sends_what_is_no_value_gets_nothing() {
    let methods = [(1, KeMethod::ML_KEM_512), (2, KeMethod::ECP256)];
    let asked = || {
        let mut lab = both(&methods);
        lab.a.command(Command::Initiate(POLICY));
        lab.a_to_b();
        lab.b_to_a();
        lab
    };
    let ke = |method, data: Vec<u8>| Payload::Ke(Ke { method, data });
    let second = provider().ke(KeMethod::ECP256).unwrap().generate(&mut SeededRandom::new(5)).public().to_vec();
    // Not the exchange that is due: dropped, and the right one still counts.
    let mut lab = asked();
    let request = lab.a.take();
    type Skip = fn(&mut Header);
    let skips: [Skip; 6] = [
        |header| header.exchange = ExchangeType::IKE_AUTH,
        |header| header.exchange = ExchangeType::CREATE_CHILD_SA,
        |header| header.exchange = ExchangeType::IKE_FOLLOWUP_KE,
        |header| (header.exchange, header.message_id) = (ExchangeType::IKE_AUTH, 3),
        |header| header.message_id = 0,
        |header| header.message_id = 2,
    ];
    for skip in skips {
        let message = said_otherwise(&lab.b, &request, |header, _| skip(header));
        lab.b.receive(&message);
        assert!(lab.b.sent.is_empty());
    }
    assert_eq!((lab.b.ike().state, lab.b.endpoint.counters().unexpected), ("IKE_SA_INIT", 6));
    lab.b.receive(&request);
    lab.settle();
    lab.assert_mirrored();
    // What is no value for it, as a request and as an answer.
    for responder in [false, true] {
        let len = if responder { 768 } else { 800 };
        let mut bad = vec![
            vec![],
            vec![ke(KeMethod::ECP256, second.clone())],
            vec![ke(KeMethod::CURVE25519, vec![9; 32])],
            vec![ke(KeMethod::ML_KEM_768, vec![1; len])],
            vec![ke(KeMethod::ML_KEM_512, vec![1; len]), ke(KeMethod::ML_KEM_512, vec![1; len])],
            vec![ke(KeMethod::ML_KEM_512, vec![1; len]), ke(KeMethod::ECP256, second.clone())],
        ];
        bad.extend([0, 1, len - 1, len + 1, 1184].map(|len| vec![ke(KeMethod::ML_KEM_512, vec![1; len])]));
        if !responder {
            // All numbers above the modulus, and the first one alone.
            bad.push(vec![ke(KeMethod::ML_KEM_512, vec![0xff; len])]);
            bad.push(vec![ke(KeMethod::ML_KEM_512, [&[0x01, 0x0d][..], &vec![0; len - 2]].concat())]);
        }
        for payloads in bad {
            let mut lab = asked();
            if responder {
                lab.a_to_b();
            }
            let message = if responder { lab.b.take() } else { lab.a.take() };
            // The responder has gone over to the next keys with its answer.
            let keyed = if responder { &lab.a } else { &lab.b };
            let message = said_otherwise(keyed, &message, |_, said| *said = payloads.clone());
            let host = if responder { &mut lab.a } else { &mut lab.b };
            host.receive(&message);
            assert_eq!(host.failures().len(), 1, "{payloads:?}");
            lab.settle();
            assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
            assert_comes_up_anew(lab);
        }
    }
}
