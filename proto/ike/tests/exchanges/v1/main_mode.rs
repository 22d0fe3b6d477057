//! Main mode, both roles.

use std::time::Duration;

use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::explain::{Means, Part};
use ravelin_ike::{Command, Event};
use ravelin_types::transform::KeMethod;
use ravelin_types::{Identity, Secret};

use super::{MAIN, QUICK, comes_up_without, lab, next, proposal};
use crate::lab::{A, B, POLICY};

#[test]
fn nine_messages_make_an_isakmp_sa_and_a_child_sa() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    for (from_a, expected) in [
        (true, (MAIN, false)),
        (false, (MAIN, false)),
        (true, (MAIN, false)),
        (false, (MAIN, false)),
        (true, (MAIN, true)),
        (false, (MAIN, true)),
        (true, (QUICK, true)),
        (false, (QUICK, true)),
        (true, (QUICK, true)),
    ] {
        let sender = if from_a { &lab.a } else { &lab.b };
        assert_eq!(next(sender), Some(expected));
        if from_a {
            lab.a_to_b()
        } else {
            lab.b_to_a()
        };
    }
    assert!(lab.a.sent.is_empty() && lab.b.sent.is_empty());
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    lab.assert_mirrored();
    let (a, b) = (lab.a.ike(), lab.b.ike());
    assert_eq!((a.version, a.state, b.version, b.state), (1, "ESTABLISHED", 1, "ESTABLISHED"));
    assert_eq!(a.spis, b.spis);
    assert_eq!(a.identities.unwrap().1, Identity::Fqdn(format!("{B}.example.org")));
    assert_eq!(b.identities.unwrap().1, Identity::Fqdn(format!("{A}.example.org")));
    assert!(lab.b.events.iter().any(|event| matches!(event, Event::IkeUp { .. })));
}

#[test]
fn each_message_may_be_lost_once() {
    for lost in 0..9 {
        comes_up_without(lost, lab(|_, _| ())).assert_mirrored();
    }
}

#[test]
fn a_repeated_message_is_answered_again_with_the_same() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    for _ in 0..3 {
        let question = lab.a.take();
        lab.b.receive(&question);
        let answer = lab.b.take();
        lab.b.receive(&question);
        assert_eq!(lab.b.take().data, answer.data);
        lab.a.receive(&answer);
        // The answer again is no news.
        let waiting = lab.a.sent.len();
        lab.a.receive(&answer);
        assert_eq!(lab.a.sent.len(), waiting);
    }
    lab.settle();
    lab.assert_mirrored();
}

#[test]
fn another_key_is_told_from_noise() {
    let mut lab = lab(|a, _| {
        let secret = Secret::from(&b"quite another secret"[..]);
        a.remotes[0].local_auth = LocalAuth::Psk(secret.clone());
        a.remotes[0].remote_auth = RemoteAuth::Psk(secret);
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Authentication);
    lab.a.failure(Part::NotBelieved(Means::SharedKey));
    assert!(lab.a.children().is_empty() && lab.b.children().is_empty());
    for _ in 0..100 {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
    // Reported once, however often it was tried.
    assert_eq!((lab.a.failures().len(), lab.b.failures().len()), (1, 1));
}

#[test]
fn an_identity_that_nobody_expects_is_refused() {
    let mut lab = lab(|_, b| b.remotes[0].remote_id = Identity::Fqdn("somebody.else".into()));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Identity);
    let mut lab = super::lab(|a, _| a.remotes[0].remote_id = Identity::Fqdn("somebody.else".into()));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::Identity);
    assert!(lab.a.children().is_empty() && lab.b.children().is_empty());
}

#[test]
fn nothing_in_common_is_said_to_both_operators() {
    let mut lab = lab(|_, b| b.remotes[0].proposals = vec![proposal(KeMethod::ECP384)]);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let failure = lab.b.failure(Part::IkeProposal);
    assert!(failure.theirs[0].contains("ECP256") && failure.ours[0].contains("ECP384"), "{failure}");
    lab.a.failure(Part::IkeProposal);
}

#[test]
fn of_several_remotes_at_an_address_the_key_finds_the_right_one() {
    let mut lab = lab(|_, b| {
        let mut other = b.remotes[0].clone();
        other.name = "other".into();
        other.remote = "0.0.0.0".parse().unwrap();
        other.remote_id = Identity::Fqdn("other.example.org".into());
        let secret = Secret::from(&b"the secret of the other one"[..]);
        other.local_auth = LocalAuth::Psk(secret.clone());
        other.remote_auth = RemoteAuth::Psk(secret);
        let own = b.remotes.remove(0);
        b.remotes.push(other);
        let mut any = own;
        any.remote = "0.0.0.0".parse().unwrap();
        b.remotes.push(any);
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert_eq!(lab.b.ike().remote, "peer");
    assert_eq!(lab.b.children().len(), 1);
}

#[test]
fn a_host_that_may_only_answer_does_not_begin() {
    let mut lab = lab(|a, _| a.remotes[0].initiate = false);
    lab.a.command(Command::Initiate(POLICY));
    assert!(lab.a.sent.is_empty());
    lab.a.failure(Part::Role);
    lab.b.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.a.children().len(), 1);
}

#[test]
#[cfg(not(feature = "ikev2"))]
fn the_version_that_was_left_out_is_a_mistake() {
    let mut lab = lab(|_, b| b.remotes[0].version = ravelin_ike::config::IkeVersion::V2);
    let mistakes = lab.b.config.mistakes(&crate::lab::provider());
    assert_eq!(mistakes, [ravelin_ike::Mistake::NoVersion("peer".into())]);
    assert!(mistakes[0].to_string().contains("built without IKEv2"), "{}", mistakes[0]);
    lab.b.command(Command::Initiate(POLICY));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert!(lab.b.endpoint.ike_sas().is_empty());
}
