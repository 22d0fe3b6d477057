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

// Of several proofs none is asked for again: they are good as long as the entry would have them proved the same.
#[test]
fn several_proofs_stand_as_long_as_their_entry_does() {
    let papers = Papers2::new(Kind::P256);
    let wrong = trusting(&papers::root("another", Kind::P256));
    let second = |name: &'static str, key: &'static [u8]| {
        move |config: &mut Config| {
            let round = PeerRound { peers: IdPattern::Exactly(fqdn(name)), auth: RemoteAuth::Psk(key.into()) };
            config.remotes[0].rounds.peer = vec![round];
        }
    };
    let right = second("second", b"right");
    let unrelated = |config: &mut Config| {
        let mut other = config.remotes[0].clone();
        (other.name, other.remote_id) = ("other".into(), fqdn("other"));
        config.remotes.insert(0, other);
    };
    let less = |config: &mut Config| config.remotes[0].rounds.peer.clear();
    let renamed = |config: &mut Config| config.remotes[0].remote_id = fqdn("somebody.else");
    let deleted = |config: &mut Config| config.remotes.clear();
    let cases: [(&Change<'_>, bool); 9] = [
        (&|_| (), true),
        (&right, true),
        (&unrelated, true),
        (&wrong, false),
        (&second("second", b"another"), false),
        (&second("third", b"right"), false),
        (&less, false),
        (&renamed, false),
        (&deleted, false),
    ];
    for (at, (change, comes_in)) in cases.into_iter().enumerate() {
        let mut lab = papers.lab(|a, b| {
            let own = OwnRound { id: fqdn("second"), auth: LocalAuth::Psk(b"right".as_slice().into()) };
            a.remotes[0].rounds.own.push(own);
            right(b);
        });
        // B has the first proof, and signs its answer to it.
        change_at(&mut lab, true, 2, change);
        assert_eq!(is_up(&lab), comes_in, "{at}");
    }
}

// The user is the last of the two, or the first.
#[test]
fn a_user_with_a_machine_comes_in_as_long_as_both_stand() {
    let machine = |key: &'static [u8]| PeerRound {
        peers: IdPattern::Exactly(fqdn("machine")),
        auth: RemoteAuth::Psk(key.into()),
    };
    let asks = |password: &'static [u8], key: &'static [u8]| {
        move |config: &mut Config| {
            let remote = &mut config.remotes[0];
            (remote.remote_auth, remote.initiate) = (server(password, IdPattern::Any), false);
            remote.open.peers = Some(IdPattern::Any);
            remote.rounds.peer = vec![machine(key)];
        }
    };
    let cases: [(&Change<'_>, bool); 4] = [
        (&|_| (), true),
        (&asks(b"geheim", b"right"), true),
        (&asks(b"new", b"right"), false),
        (&asks(b"geheim", b"another"), false),
    ];
    for (at, (change, comes_in)) in cases.into_iter().enumerate() {
        for nth in 1..=4 {
            let mut lab = Lab::with(|a, b| {
                (a.remotes[0].local_auth, a.remotes[0].accept) = (user(), false);
                let own = OwnRound { id: fqdn("machine"), auth: LocalAuth::Psk(b"right".as_slice().into()) };
                a.remotes[0].rounds.own.push(own);
                asks(b"geheim", b"right")(b);
            });
            change_at(&mut lab, true, nth, change);
            assert_eq!(is_up(&lab), comes_in, "{at} {nth}");
        }
    }
}
