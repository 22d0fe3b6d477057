//! Phase 1 by signatures: RSA and ECDSA, both modes, both roles, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use ravelin_crypto::signature::{HashAlg, SignatureScheme};
use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Answer, Command, Config, Event, Input, Question, limits};
use ravelin_pki::auth::Proof;
use ravelin_testkit::papers::{self, Kind};
use ravelin_types::{Identity, Secret};

use super::{comes_up_without, v1};
use crate::lab::{Lab, POLICY, SECRET};
use crate::papers::{Papers2, give_key, trust};

fn lab(papers: &Papers2, aggressive: bool, change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    papers.lab(|a, b| {
        v1(a, aggressive);
        v1(b, aggressive);
        change(a, b);
    })
}

// HDR*, IDii, CERT, SIG_I -->   <-- HDR*, IDir, CERT, SIG_R (RFC 2409 §5.1; RFC 4754)
#[test]
fn rsa_and_ecdsa_authenticate_both_sides_in_both_modes() {
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::P521] {
        let papers = Papers2::new(kind);
        for aggressive in [false, true] {
            let mut lab = lab(&papers, aggressive, |_, _| ());
            lab.establish();
            lab.assert_mirrored();
            let Identity::Fqdn(name) = lab.a.ike().identities.unwrap().1 else { panic!() };
            assert_eq!(name, "192.0.2.2.example.org");
            let named = |e: &Event| matches!(e, Event::IkeUp { peer: Identity::Fqdn(name), .. } if name == "192.0.2.1.example.org");
            assert!(lab.b.events.iter().any(named), "{kind:?}");
            // And the other way round, in place of the first.
            lab.b.command(Command::RekeyIke("peer".into()));
            for _ in 0..6 {
                lab.settle();
                lab.sleep(Duration::from_secs(1));
            }
            assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
            assert!(!lab.a.ike().initiator && lab.a.children().len() == 1);
        }
    }
}

#[test]
fn each_message_with_a_signature_may_be_lost_once() {
    let papers = Papers2::new(Kind::P256);
    for (aggressive, messages) in [(false, 9), (true, 6)] {
        for lost in 0..messages {
            comes_up_without(lost, lab(&papers, aggressive, |_, _| ()));
        }
    }
}

/// Nobody has anything, now or later.
fn nothing(lab: &mut Lab) {
    for _ in 0..100 {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn who_is_not_trusted_is_refused_and_hears_it() {
    let papers = Papers2::new(Kind::P256);
    let stranger = papers::root("stranger", Kind::P256);
    for aggressive in [false, true] {
        // The responder does not trust the initiator's authority.
        let mut there = lab(&papers, aggressive, |_, b| {
            b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&stranger.der])));
        });
        there.a.command(Command::Initiate(POLICY));
        there.settle();
        assert!(there.b.failure(Part::Certificate).to_string().contains("authority"));
        nothing(&mut there);
        // The initiator does not trust the responder's.
        let mut here = lab(&papers, aggressive, |a, _| {
            a.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&stranger.der])));
        });
        here.a.command(Command::Initiate(POLICY));
        here.settle();
        assert!(here.a.failure(Part::Certificate).to_string().contains("authority"));
        nothing(&mut here);
    }
}

// RFC 4301 §4.4.3: of two entries for the same peers it is the one whose authority is above the certificate.
#[test]
fn the_authority_of_a_certificate_says_which_entry_it_is() {
    let papers = Papers2::new(Kind::P256);
    let stranger = papers::root("stranger", Kind::P256);
    let believes = |authority: &papers::Paper| RemoteAuth::Signature(Arc::new(trust(&[&authority.der])));
    for known in [true, false] {
        let mut there = lab(&papers, false, |_, b| {
            let mut second = b.remotes[0].clone();
            second.name = "second".into();
            second.remote_auth = believes(if known { &papers.root } else { &stranger });
            b.remotes[0].remote_auth = believes(&stranger);
            b.remotes.push(second);
            b.policies[0].remote = "second".into();
        });
        there.a.command(Command::Initiate(POLICY));
        there.settle();
        if known {
            assert_eq!((there.b.failures(), there.b.ike().remote.as_str()), (vec![], "second"));
            there.assert_mirrored();
        } else {
            let told = there.b.failure(Part::Certificate).to_string();
            assert!(told.contains("remote peer") && told.contains("remote second"), "{told}");
            nothing(&mut there);
        }
    }
}

// The certificate must say who it is for: the identity in ID is one of its names.
#[test]
fn a_certificate_for_somebody_else_proves_nothing() {
    let papers = Papers2::new(Kind::P256);
    let other = Identity::Fqdn("other.example.org".into());
    let mut lab = lab(&papers, false, |a, b| {
        a.remotes[0].local_id = other.clone();
        b.remotes[0].remote_id = other.clone();
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Certificate);
    nothing(&mut lab);
}

// Row 38 of docs/HISTORY.md: a good certificate, and a signature by a key that is not its own.
#[test]
fn a_certificate_without_its_key_proves_nothing() {
    for kind in [Kind::Rsa, Kind::P256] {
        let papers = Papers2::new(kind);
        for aggressive in [false, true] {
            let mut lab = lab(&papers, aggressive, |_, _| ());
            give_key(&mut lab.a, &papers.b);
            lab.a.command(Command::Initiate(POLICY));
            lab.settle();
            lab.b.failure(Part::Certificate);
            nothing(&mut lab);
        }
    }
}

// Rows 78 to 84: a signature that was bent anywhere, cut, prolonged, or made by another scheme.
#[test]
fn signatures_that_are_none_are_refused() {
    for kind in [Kind::Rsa, Kind::P256] {
        let papers = Papers2::new(kind);
        let key = crate::lab::provider().signatures.unwrap().private_key(&papers.a.pkcs8).unwrap();
        let scheme = match kind {
            Kind::Rsa => SignatureScheme::RsaPkcs1(HashAlg::Sha256),
            _ => SignatureScheme::Ecdsa(HashAlg::Sha256),
        };
        let judged = |bend: &dyn Fn(&[u8], &mut Vec<u8>)| {
            let mut lab = lab(&papers, false, |_, _| ());
            lab.a.command(Command::Initiate(POLICY));
            for _ in 0..2 {
                lab.a_to_b();
                lab.b_to_a();
            }
            let (op, question) = lab.a.asked.pop_front().unwrap();
            let Question::SignHash { hash, .. } = &question else { panic!("{question:?}") };
            let hash = hash.clone();
            let Answer::Signed(Proof { method, mut data }, _) = lab.a.papers.answer(question) else { panic!() };
            bend(&hash, &mut data);
            lab.a.input(Input::Done(op, Answer::Signed(Proof { method, data }, Vec::new()).into()));
            lab.settle();
            lab.b.endpoint.ike_sas().iter().any(|sa| sa.state == "ESTABLISHED")
        };
        assert!(judged(&|_, _| ()));
        for at in [0, 10, 31, 63] {
            assert!(!judged(&move |_, data| data[at] ^= 1), "{at}");
        }
        assert!(!judged(&|_, data| data.truncate(data.len() - 1)));
        assert!(!judged(&|_, data| data.push(0)));
        assert!(!judged(&|_, data| data.clear()));
        assert!(!judged(&|_, data| data.fill(0)));
        assert!(!judged(&|hash, data| *data = hash.to_vec()));
        // The hash hashed once more, as IKEv2 has it.
        assert!(!judged(&|hash, data| *data = key.sign(scheme, hash).unwrap()));
        if !matches!(kind, Kind::Rsa) {
            continue;
        }
        // Row 3: good signatures of less than the hash, of more, and of nothing.
        let bare = |what: &[u8]| key.sign(SignatureScheme::Bare, what).unwrap_or_default();
        assert!(judged(&|hash, data| *data = bare(hash)), "the scheme of the good one");
        for cut in [1, 4, 16] {
            assert!(!judged(&|hash, data| *data = bare(&hash[..hash.len() - cut])), "{cut}");
        }
        assert!(!judged(&|hash, data| *data = bare(&[hash, &[0]].concat())));
        assert!(!judged(&|_, data| *data = bare(&[])));
    }
}

#[test]
fn keys_without_a_method_and_mixed_methods_are_refused_by_name() {
    let papers = Papers2::new(Kind::Ed25519);
    let mut ed = lab(&papers, false, |_, _| ());
    ed.a.command(Command::Initiate(POLICY));
    ed.settle();
    assert!(ed.a.failure(Part::Configuration).to_string().contains("RSA, by ECDSA on the curves of NIST"));
    let papers = Papers2::new(Kind::P256);
    let mut mixed = lab(&papers, false, |a, _| {
        a.remotes[0].local_auth = LocalAuth::Psk(Secret::from(SECRET));
    });
    mixed.a.command(Command::Initiate(POLICY));
    mixed.settle();
    assert!(mixed.a.failure(Part::Configuration).to_string().contains("one method"));
    // One side with a key, the other with certificates: no proposal in common, and both say so.
    let mut apart = lab(&papers, false, |a, _| {
        a.remotes[0].local_auth = LocalAuth::Psk(Secret::from(SECRET));
        a.remotes[0].remote_auth = RemoteAuth::Psk(Secret::from(SECRET));
    });
    apart.a.command(Command::Initiate(POLICY));
    apart.settle();
    let failure = apart.b.failure(Part::IkeProposal);
    assert!(failure.theirs[0].contains("pre-shared key") && failure.ours[0].contains("ECDSA"), "{failure}");
}

// A signer that never answers costs one SA for a while, and one that answers something else nothing more.
#[test]
fn a_question_without_an_answer_ends_the_sa() {
    let papers = Papers2::new(Kind::P256);
    for silent in [false, true] {
        let mut lab = lab(&papers, false, |_, _| ());
        lab.a.command(Command::Initiate(POLICY));
        for _ in 0..2 {
            lab.a_to_b();
            lab.b_to_a();
        }
        let (op, question) = lab.a.asked.pop_front().unwrap();
        let answer = lab.a.papers.answer(question);
        if !silent {
            lab.a.input(Input::Done(op, Answer::Proven.into()));
        }
        lab.a.sleep(limits::ANSWER + Duration::from_secs(1));
        let why = if silent { "in time" } else { "another question" };
        assert!(lab.a.failure(Part::Configuration).to_string().contains(why));
        assert!(lab.a.endpoint.ike_sas().is_empty());
        lab.a.input(Input::Done(op, answer.into()));
        assert!(lab.a.sent.is_empty());
    }
}
