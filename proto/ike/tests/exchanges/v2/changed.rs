//! The configuration is replaced while a peer proves who it is: what is configured then counts.

use std::sync::Arc;

use ravelin_eap::{Account, Accounts, Client, Method, Server};
use ravelin_ike::config::{EapServer, IdPattern, LocalAuth, OwnRound, PeerRound, RemoteAuth};
use ravelin_ike::{Command, Config, Ppk, PpkIn, Ppks};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::{Identity, Secret};

use crate::lab::*;
use crate::papers::{Papers2, trust};

type Change<'a> = dyn Fn(&mut Config) + 'a;

/// Replaces the configuration of one end when it asks for the `nth` time (from 1), and then lets all go on.
fn change_at(lab: &mut Lab, at_b: bool, nth: usize, change: &Change<'_>) {
    lab.a.command(Command::Initiate(POLICY));
    let mut asked = 0;
    loop {
        let host = if at_b { &mut lab.b } else { &mut lab.a };
        if !host.asked.is_empty() {
            asked += 1;
            if asked == nth {
                host.configure(change);
                return lab.settle();
            }
            host.answer();
        } else if !lab.a.sent.is_empty() {
            lab.a_to_b();
        } else if !lab.b.sent.is_empty() {
            lab.b_to_a();
        } else {
            assert!(lab.a.answer() || lab.b.answer(), "it never asks");
        }
    }
}

fn is_up(lab: &Lab) -> bool {
    let up = |host: &Host| host.endpoint.ike_sas().iter().any(|sa| sa.state == "ESTABLISHED") && host.sas.len() == 2;
    let nobody = |host: &Host| host.sas.is_empty();
    assert!(up(&lab.a) && up(&lab.b) || nobody(&lab.b) || nobody(&lab.a));
    up(&lab.a) && up(&lab.b)
}

fn trusting(authority: &Paper) -> impl Fn(&mut Config) + use<> {
    let trust = Arc::new(trust(&[&authority.der]));
    move |config| config.remotes[0].remote_auth = RemoteAuth::Signature(trust.clone())
}

#[test]
fn a_certificate_is_judged_by_the_trust_that_is_configured_when_it_is_believed() {
    let papers = Papers2::new(Kind::P256);
    let (right, wrong) = (trusting(&papers.root), trusting(&papers::root("another", Kind::P256)));
    let renamed = |config: &mut Config| config.remotes[0].remote_id = Identity::Fqdn("somebody.else".into());
    // A responder judges first and then signs; an initiator the other way round.
    for (at_b, nth) in [(true, 1), (true, 2), (false, 2)] {
        let run = |before: &Change<'_>, change: &Change<'_>| {
            let mut lab = papers.lab(|a, b| before(if at_b { b } else { a }));
            change_at(&mut lab, at_b, nth, change);
            is_up(&lab)
        };
        assert!(run(&right, &|_| ()), "{at_b} {nth}: nothing of it changed");
        assert!(!run(&right, &wrong), "{at_b} {nth}");
        assert!(!run(&right, &renamed), "{at_b} {nth}");
        assert!(!run(&right, &|config| config.remotes.clear()), "{at_b} {nth}");
        if nth == 1 || !at_b {
            assert!(run(&wrong, &right), "{at_b} {nth}: it is trusted by then");
        }
    }
}

// What the two settled on for the first judgement is not mixed in twice.
#[test]
fn a_post_quantum_key_is_found_again() {
    let papers = Papers2::new(Kind::P256);
    let ppk = |secret: &[u8]| {
        let key = Ppk { id: b"gw".to_vec(), secret: secret.into() };
        Ppks { id: Some(b"gw".to_vec()), required: true, exchange: PpkIn::Auth, keys: [key].into() }
    };
    for (secret, comes_in) in [(b"key".as_slice(), true), (b"another", false)] {
        for (at_b, nth) in [(true, 1), (true, 2), (false, 2)] {
            let mut lab = papers.lab(|a, b| {
                a.remotes[0].extensions.ppk = ppk(b"key");
                b.remotes[0].extensions.ppk = ppk(b"key");
            });
            change_at(&mut lab, at_b, nth, &|config| config.remotes[0].extensions.ppk = ppk(secret));
            // What an initiator named, it named.
            assert_eq!(is_up(&lab), comes_in || !at_b, "{at_b} {nth}");
            if is_up(&lab) {
                assert!(lab.a.ike().ppk && lab.b.ike().ppk);
                lab.assert_mirrored();
            }
        }
    }
}

fn fqdn(name: &str) -> Identity {
    Identity::Fqdn(name.into())
}

fn server(password: &[u8], users: IdPattern) -> RemoteAuth {
    let account = |name, password: &[u8]| Account { owners: vec![fqdn(name)], password: Secret::from(password) };
    let accounts = Accounts(vec![account("dave", b"his own"), account("carol", password)].into());
    let server = Server { methods: vec![Method::MsChapV2], ask_identity: true, accounts, ..Server::default() };
    RemoteAuth::Eap(Arc::new(EapServer { server, users, groups: Vec::new() }))
}

fn user() -> LocalAuth {
    let password = Secret::from(&b"geheim"[..]);
    let methods = vec![Method::MsChapV2];
    LocalAuth::Eap(Arc::new(Client { user: fqdn("carol"), methods, password, tls: Default::default() }))
}

// A password is not asked for twice: what it proved is good as long as it would prove the same.
#[test]
fn a_user_comes_in_as_long_as_the_password_stands() {
    let with = |auth: RemoteAuth| move |config: &mut Config| config.remotes[0].remote_auth = auth.clone();
    let same = with(server(b"geheim", IdPattern::Any));
    let other_password = with(server(b"new", IdPattern::Any));
    let other_users = with(server(b"geheim", IdPattern::Exactly(fqdn("dave"))));
    let by_key = with(RemoteAuth::Psk(SECRET.into()));
    let deleted = |config: &mut Config| config.remotes.clear();
    let cases: [(&Change<'_>, bool); 6] = [
        (&|_| (), true),
        (&same, true),
        (&other_password, false),
        (&other_users, false),
        (&by_key, false),
        (&deleted, false),
    ];
    for (at, (change, comes_in)) in cases.into_iter().enumerate() {
        for nth in 1..=4 {
            let mut lab = Lab::with(|a, b| {
                (a.remotes[0].local_auth, a.remotes[0].accept) = (user(), false);
                (b.remotes[0].remote_auth, b.remotes[0].initiate) = (server(b"geheim", IdPattern::Any), false);
                b.remotes[0].open.peers = Some(IdPattern::Any);
            });
            change_at(&mut lab, true, nth, change);
            assert_eq!(is_up(&lab), comes_in, "{at} {nth}");
        }
    }
}

// Of several proofs none is asked for again, so they are all by one configuration.
#[test]
fn several_proofs_are_by_one_configuration() {
    let papers = Papers2::new(Kind::P256);
    let wrong = trusting(&papers::root("another", Kind::P256));
    // While the first proof is judged, and while B signs its answer to it.
    let cases: [(usize, &Change<'_>, bool); 4] =
        [(1, &|_| (), true), (1, &wrong, false), (2, &|_| (), false), (2, &wrong, false)];
    for (nth, change, comes_in) in cases {
        let mut lab = papers.lab(|a, b| {
            let own = OwnRound { id: fqdn("second"), auth: LocalAuth::Psk(b"right".as_slice().into()) };
            a.remotes[0].rounds.own.push(own);
            let auth = RemoteAuth::Psk(b"right".as_slice().into());
            b.remotes[0].rounds.peer.push(PeerRound { peers: IdPattern::Exactly(fqdn("second")), auth });
        });
        change_at(&mut lab, true, nth, change);
        assert_eq!(is_up(&lab), comes_in, "{nth}");
    }
}
