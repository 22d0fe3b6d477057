//! Aggressive mode, where both sides were told to use it.

use ravelin_ike::Command;
use ravelin_ike::explain::Part;
use ravelin_types::Identity;

use super::{AGGRESSIVE, MAIN, QUICK, comes_up_without, lab, next, v1};
use crate::lab::{Lab, POLICY};

fn aggressive() -> Lab {
    Lab::with(|a, b| {
        v1(a, true);
        v1(b, true);
    })
}

#[test]
fn three_messages_make_an_isakmp_sa() {
    let mut lab = aggressive();
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(next(&lab.a), Some((AGGRESSIVE, false)));
    lab.a_to_b();
    assert_eq!(next(&lab.b), Some((AGGRESSIVE, false)));
    lab.b_to_a();
    assert_eq!(next(&lab.a), Some((AGGRESSIVE, true)));
    lab.a_to_b();
    assert_eq!(next(&lab.a), Some((QUICK, true)));
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
}

#[test]
fn the_last_message_may_be_lost_though_nothing_answers_it() {
    for lost in 0..6 {
        comes_up_without(lost, aggressive());
    }
}

// It is used by explicit consent alone, and main mode with nobody who wants it.
#[test]
fn the_modes_are_kept_apart() {
    let mut lab = lab(|a, _| v1(a, true));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::NoRemote);
    assert!(lab.b.endpoint.ike_sas().is_empty());
    let mut lab = super::lab(|_, b| v1(b, true));
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(next(&lab.a), Some((MAIN, false)));
    lab.settle();
    lab.b.failure(Part::NoRemote);
}

// History row 48: who is known cannot be told from the answer.
#[test]
fn an_unknown_identity_and_a_wrong_proposal_get_the_same_kind_of_answer() {
    let answer = |change: fn(&mut ravelin_ike::Config)| {
        let mut lab = aggressive();
        lab.a.configure(change);
        lab.a.command(Command::Initiate(POLICY));
        lab.a_to_b();
        let message = lab.b.take();
        (message.data[18], message.data.len())
    };
    let unknown = answer(|config| config.remotes[0].local_id = Identity::Fqdn("nobody".into()));
    let proposal = answer(|config| {
        config.remotes[0].proposals = vec![super::proposal(ravelin_types::transform::KeMethod::ECP384)];
    });
    assert_eq!(unknown, proposal);
}

// History row 10: after a refusal its cookie opens nothing.
#[test]
fn a_refusal_leaves_no_state() {
    let mut lab = aggressive();
    lab.b.configure(|config| {
        config.remotes[0].proposals = vec![super::proposal(ravelin_types::transform::KeMethod::ECP384)];
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    let refusal = lab.b.take();
    assert!(lab.b.endpoint.ike_sas().is_empty());
    let mut third = refusal.clone();
    std::mem::swap(&mut third.local, &mut third.remote);
    third.data[18] = AGGRESSIVE;
    third.data[8] |= 1;
    lab.b.receive(&third);
    assert!(lab.b.sent.is_empty() && lab.b.endpoint.ike_sas().is_empty());
}
