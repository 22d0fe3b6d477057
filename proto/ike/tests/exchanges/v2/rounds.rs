//! Several proofs of one side (RFC 4739): which, in which order, and what is refused.

use std::sync::Arc;

use ravelin_eap::{Account, Accounts, Client, Method, Server};
use ravelin_ike::config::{EapServer, IdPattern, LocalAuth, OwnRound, PeerRound, RemoteAuth, Rounds};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, Ppk, PpkIn, Ppks};
use ravelin_testkit::papers::Kind;
use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Id, Message, NotifyType, Payload};

use crate::lab::*;
use crate::papers::{Papers2, credential, trust};
use crate::v2::peer::{Peer, notifies, notify};

const EXCHANGE: ExchangeType = ExchangeType::IKE_AUTH;

fn fqdn(name: &str) -> Identity {
    Identity::Fqdn(name.into())
}

fn exactly(name: &str) -> IdPattern {
    IdPattern::Exactly(fqdn(name))
}

fn own_psk(name: &str, secret: &[u8]) -> OwnRound {
    OwnRound { id: fqdn(name), auth: LocalAuth::Psk(secret.into()) }
}

fn peer_psk(name: &str, secret: &[u8]) -> PeerRound {
    PeerRound { peers: exactly(name), auth: RemoteAuth::Psk(secret.into()) }
}

/// A logs in as carol after its first proof; B asks for it.
fn login(a: &mut Config, b: &mut Config, password: &str) {
    let client = Client {
        user: fqdn("carol"),
        methods: vec![Method::MsChapV2],
        password: Secret::from(password.as_bytes()),
        tls: Default::default(),
    };
    let account = Account { owners: vec![fqdn("carol")], password: Secret::from(&b"geheim"[..]) };
    let accounts = Accounts(vec![account].into());
    let server = Server { methods: vec![Method::MsChapV2], ask_identity: true, accounts, ..Server::default() };
    let server = EapServer { server, users: IdPattern::Any, groups: Vec::new() };
    let own = OwnRound { id: fqdn("laptop.example.org"), auth: LocalAuth::Eap(Arc::new(client)) };
    a.remotes[0].rounds.own.push(own);
    a.remotes[0].accept = false;
    b.remotes[0].rounds.peer.push(PeerRound { peers: IdPattern::Any, auth: RemoteAuth::Eap(Arc::new(server)) });
    b.remotes[0].initiate = false;
}

fn lab(change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    Lab::with(|a, b| {
        change(a, b);
        assert_eq!((a.mistakes(&provider()), b.mistakes(&provider())), (vec![], vec![]));
    })
}

fn started(change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    let mut lab = lab(change);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab
}

fn nothing_came(lab: &Lab) {
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

fn peer_of(host: &Host) -> Identity {
    host.ike().identities.unwrap().1
}

// RFC 4739 §2.3: both by keys, then a user.
#[test]
fn a_machine_proves_itself_and_then_its_user() {
    let mut lab = started(|a, b| login(a, b, "geheim"));
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    lab.assert_mirrored();
    assert_eq!(peer_of(&lab.b), fqdn("carol"));
    assert_eq!(peer_of(&lab.a).to_string(), "fqdn:192.0.2.2.example.org");
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.settle();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(peer_of(&lab.b), fqdn("carol"));
}

#[test]
fn a_machine_by_its_certificate_and_then_its_user() {
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|a, b| login(a, b, "geheim"));
    lab.establish();
    lab.assert_mirrored();
    assert_eq!(peer_of(&lab.b), fqdn("carol"));
}

// RFC 4739 §2.4 and §2.5: two of one side, of the other, of both; and three.
#[test]
fn either_side_proves_as_much_as_is_asked_of_it() {
    for (of_a, of_b) in [(1, 0), (0, 1), (1, 1), (3, 1), (0, 3), (2, 3)] {
        let names = ["one", "two", "three"];
        let mut lab = started(|a, b| {
            for name in &names[..of_a] {
                a.remotes[0].rounds.own.push(own_psk(name, name.as_bytes()));
                b.remotes[0].rounds.peer.push(peer_psk(name, name.as_bytes()));
            }
            for name in &names[..of_b] {
                b.remotes[0].rounds.own.push(own_psk(name, name.as_bytes()));
                a.remotes[0].rounds.peer.push(peer_psk(name, name.as_bytes()));
            }
        });
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "{of_a} {of_b}");
        lab.assert_mirrored();
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.settle();
        lab.assert_mirrored();
    }
}

// A user of EAP, then a certificate; and a responder with two proofs meanwhile.
#[test]
fn a_user_goes_on_with_a_certificate() {
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|a, b| {
        login(a, b, "geheim");
        // The other way round.
        for config in [&mut *a, &mut *b] {
            let remote = &mut config.remotes[0];
            if let Some(round) = remote.rounds.own.first_mut() {
                core::mem::swap(&mut remote.local_auth, &mut round.auth);
                round.id = remote.local_id.clone();
            }
            if let Some(round) = remote.rounds.peer.first_mut() {
                core::mem::swap(&mut remote.remote_auth, &mut round.auth);
            }
        }
        b.remotes[0].rounds.own.push(own_psk("second", b"of the gateway"));
        a.remotes[0].rounds.peer.push(peer_psk("second", b"of the gateway"));
    });
    lab.establish();
    lab.assert_mirrored();
    // The user is who counts.
    assert_eq!(peer_of(&lab.b), fqdn("carol"));
    assert_eq!(peer_of(&lab.a), fqdn("second"));
}

fn ppk(id: &str, secret: &[u8], required: bool) -> Ppks {
    let key = Ppk { id: id.as_bytes().to_vec(), secret: secret.into() };
    Ppks { id: Some(key.id.clone()), required, exchange: PpkIn::Auth, keys: [key].into() }
}

/// By a key first and then EAP, the other way round, by two keys; and then the responder proves two names.
fn kinds_of_rounds() -> [fn(&mut Config, &mut Config); 4] {
    fn second_of_b(a: &mut Config, b: &mut Config) {
        b.remotes[0].rounds.own.push(own_psk("second", b"of the gateway"));
        a.remotes[0].rounds.peer.push(peer_psk("second", b"of the gateway"));
    }
    fn user_first(a: &mut Config, b: &mut Config) {
        login(a, b, "geheim");
        let remote = &mut a.remotes[0];
        core::mem::swap(&mut remote.local_auth, &mut remote.rounds.own[0].auth);
        remote.rounds.own[0].id = remote.local_id.clone();
        let remote = &mut b.remotes[0];
        core::mem::swap(&mut remote.remote_auth, &mut remote.rounds.peer[0].auth);
    }
    [
        |a, b| login(a, b, "geheim"),
        user_first,
        |a, b| {
            a.remotes[0].rounds.own.push(own_psk("second", b"right"));
            b.remotes[0].rounds.peer.push(peer_psk("second", b"right"));
            second_of_b(a, b);
        },
        |a, b| {
            user_first(a, b);
            second_of_b(a, b);
        },
    ]
}

// RFC 8784 §3: the key is named with the first AUTH of the initiator, and all proofs after that are by what came of it.
#[test]
fn a_post_quantum_key_is_named_once() {
    let cases = [
        (ppk("gw", b"key", true), ppk("gw", b"key", true), Some(true)),
        (ppk("gw", b"key", false), ppk("gw", b"key", false), Some(true)),
        (ppk("gw", b"key", false), ppk("other", b"key", false), Some(false)),
        (ppk("gw", b"key", false), Ppks::default(), Some(false)),
        (Ppks::default(), ppk("gw", b"key", false), Some(false)),
        (ppk("gw", b"key", true), ppk("other", b"key", false), None),
        (ppk("gw", b"key", true), Ppks::default(), None),
        (Ppks::default(), ppk("gw", b"key", true), None),
        (ppk("gw", b"key", false), ppk("gw", b"another", false), None),
    ];
    for (kind, change) in kinds_of_rounds().into_iter().enumerate() {
        for (at, (of_a, of_b, used)) in cases.iter().enumerate() {
            let mut lab = started(|a, b| {
                change(a, b);
                a.remotes[0].extensions.ppk = of_a.clone();
                b.remotes[0].extensions.ppk = of_b.clone();
            });
            let Some(used) = *used else {
                assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty(), "{kind} {at}");
                continue;
            };
            assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "{kind} {at}");
            assert_eq!((lab.a.ike().ppk, lab.b.ike().ppk), (used, used), "{kind} {at}");
            lab.assert_mirrored();
            lab.b.command(Command::RekeyIke("peer".into()));
            lab.settle();
            lab.assert_mirrored();
        }
    }
}

// RFC 4739 §2.1: the IKE SA is there when all have succeeded.
#[test]
fn one_wrong_proof_spoils_all() {
    let mut lab = started(|a, b| login(a, b, "falsch"));
    lab.settle();
    assert_eq!(lab.b.failures().last().map(|failure| failure.part), Some(Part::Eap));
    nothing_came(&lab);
    let wrong = |own: &'static [u8], name: &'static str| {
        started(move |a, b| {
            a.remotes[0].rounds.own.push(own_psk(name, own));
            b.remotes[0].rounds.peer.push(peer_psk("second", b"right"));
        })
    };
    let lab = wrong(b"wrong", "second");
    lab.b.failure(Part::Authentication);
    nothing_came(&lab);
    let lab = wrong(b"right", "another");
    lab.b.failure(Part::Identity);
    nothing_came(&lab);
    // The responder.
    let lab = started(|a, b| {
        b.remotes[0].rounds.own.push(own_psk("second", b"wrong"));
        a.remotes[0].rounds.peer.push(peer_psk("second", b"right"));
    });
    lab.a.failure(Part::Authentication);
    assert!(lab.a.sas.is_empty());
}

// Who proves less than is asked of him gets nothing, and who proves more is not known.
#[test]
fn both_sides_know_how_much_is_proven() {
    // The initiator has one proof, and two are asked for.
    let lab = started(|_, b| b.remotes[0].rounds.peer.push(peer_psk("second", b"right")));
    lab.b.failure(Part::Rounds);
    nothing_came(&lab);
    // It has two, and the responder knows of one: it does not say that it takes more.
    let lab = started(|a, _| a.remotes[0].rounds.own.push(own_psk("second", b"right")));
    let failure = lab.a.failure(Part::Rounds);
    assert!(failure.theirs[0].contains("RFC 4739"), "{failure:?}");
    nothing_came(&lab);
    // Two of three.
    let lab = started(|a, b| {
        a.remotes[0].rounds.own.push(own_psk("second", b"right"));
        for name in ["second", "third"] {
            b.remotes[0].rounds.peer.push(peer_psk(name, b"right"));
        }
    });
    lab.b.failure(Part::Rounds);
    nothing_came(&lab);
    // The responder has one of two.
    let lab = started(|a, b| {
        a.remotes[0].rounds.peer.push(peer_psk("second", b"right"));
        b.remotes[0].rounds.peer.push(peer_psk("second", b"right"));
        a.remotes[0].rounds.own.push(own_psk("second", b"right"));
    });
    lab.a.failure(Part::Rounds);
    assert!(lab.a.sas.is_empty());
}

// The entry is chosen by how much the peer is going to prove, too.
#[test]
fn the_entry_with_as_many_proofs_is_taken() {
    for further in [false, true] {
        let mut lab = lab(|a, b| {
            let mut other = b.remotes[0].clone();
            other.name = "strict".into();
            other.rounds.peer.push(peer_psk("second", b"right"));
            b.remotes.push(other);
            if further {
                a.remotes[0].rounds.own.push(own_psk("second", b"right"));
                b.policies[0].remote = "strict".into();
            }
        });
        lab.establish();
        assert_eq!(lab.b.ike().remote, if further { "strict" } else { "peer" });
    }
}

/// Opposite to a responder that asks for two proofs; the first one is made and the second is to come.
fn after_the_first() -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].rounds.peer.push(peer_psk("second", b"right"));
    let mut host = Host::new(config, 2);
    let mut peer = Peer::new(1);
    let mut init = peer.init_payloads();
    // Long enough for an answer without a cookie before it.
    init.push(notify(NotifyType(40_960), &[0; 64]));
    let request = peer.init_message(&init);
    peer.send(&mut host, &request);
    let answer = host.take();
    // RFC 4739 §3.1, §3.2: without protocol, SPI and data.
    let said = Message::parse(&answer.data).unwrap().payloads;
    assert!(said.contains(&notify(NotifyType::MULTIPLE_AUTH_SUPPORTED, &[])));
    peer.init_answered(&answer.data);
    let mut payloads = peer.auth_request();
    payloads.push(notify(NotifyType::MULTIPLE_AUTH_SUPPORTED, &[]));
    payloads.push(notify(NotifyType::ANOTHER_AUTH_FOLLOWS, &[]));
    let answer = peer.ask(&mut host, EXCHANGE, &payloads);
    assert!(answer.iter().any(|payload| matches!(payload, Payload::Auth(_))));
    assert!(!answer.iter().any(|payload| matches!(payload, Payload::Sa(_))), "nothing yet");
    assert!(host.sas.is_empty());
    (host, peer)
}

// docs/HISTORY.md, row 1: a step left out is no step done.
#[test]
fn nothing_comes_of_half_the_proofs() {
    let second = Id::new(fqdn("second"));
    let strange: [Vec<Payload>; 4] = [
        vec![],
        vec![Payload::IdI(second.clone())],
        after_the_first().1.auth_request(),
        vec![notify(NotifyType::ANOTHER_AUTH_FOLLOWS, &[])],
    ];
    for payloads in strange {
        let (mut host, mut peer) = after_the_first();
        let answer = peer.ask(&mut host, EXCHANGE, &payloads);
        assert!(notifies(&answer).iter().all(|kind| kind.is_error()) && answer.len() == 1, "{payloads:?}: {answer:?}");
        assert!(host.sas.is_empty() && host.children().is_empty());
        // Nor afterwards.
        peer.secret = b"right"[..].into();
        let late = vec![Payload::IdI(second.clone()), peer.auth(&second)];
        peer.request(&mut host, EXCHANGE, &late);
        assert!(host.sas.is_empty());
    }
    // As it should be.
    let (mut host, mut peer) = after_the_first();
    peer.secret = b"right"[..].into();
    let right = vec![Payload::IdI(second.clone()), peer.auth(&second)];
    let answer = peer.ask(&mut host, EXCHANGE, &right);
    assert!(answer.iter().any(|payload| matches!(payload, Payload::Sa(_))));
    assert!(!answer.iter().any(|payload| matches!(payload, Payload::Auth(_))), "our part was made");
    assert_eq!(peer_of(&host), fqdn("second"));
}

// An answer that is lost comes again.
#[test]
fn loss_between_rounds_does_no_harm() {
    let mut lab = lab(|a, b| {
        a.remotes[0].rounds.own.push(own_psk("second", b"right"));
        b.remotes[0].rounds.peer.push(peer_psk("second", b"right"));
    });
    lab.a.command(Command::Initiate(POLICY));
    // The answer is longer than the request by a notify: a cookie comes first.
    for _ in 0..2 {
        lab.a_to_b();
        lab.b_to_a();
    }
    assert_eq!(lab.a.next(), Some((AUTH, 1, false)));
    let first = lab.a_to_b();
    let answer = lab.b.take();
    lab.b.receive(&first);
    assert_eq!(lab.b.take(), answer);
    lab.a.receive(&answer);
    assert_eq!(lab.a.next(), Some((AUTH, 2, false)));
    lab.settle();
    lab.assert_mirrored();
}

#[test]
fn what_can_never_work_is_told() {
    let mistakes = |change: &dyn Fn(&mut Config)| {
        let mut config = config(A, B);
        change(&mut config);
        config.mistakes(&provider())
    };
    assert_eq!(mistakes(&|config| config.remotes[0].rounds = Rounds::default()), []);
    for change in [
        (&|config: &mut Config| config.remotes[0].rounds.own = vec![own_psk("x", b"x"); 4]) as &dyn Fn(&mut Config),
        &|config| {
            config.remotes[0].rounds.own = vec![own_psk("x", b"x")];
            config.remotes[0].remote_auth = RemoteAuth::Null;
        },
        &|config| {
            let mut other = config.clone();
            login(config, &mut other, "x");
            config.remotes[0].accept = true;
        },
    ] {
        assert_eq!(mistakes(change).len(), 1);
    }
}

// Certificates of both rounds.
#[test]
fn two_certificates_prove_two_names() {
    let papers = Papers2::new(Kind::P256);
    let second = papers.root.peer("second", &["second"], Kind::P256);
    let mut lab = papers.lab(|a, b| {
        let auth = LocalAuth::Signature(credential(&papers.a, &[]));
        a.remotes[0].rounds.own.push(OwnRound { id: fqdn(crate::papers::NAME_A), auth });
        let auth = RemoteAuth::Signature(Arc::new(trust(&[&papers.root.der])));
        b.remotes[0].rounds.peer.push(PeerRound { peers: exactly(crate::papers::NAME_A), auth });
    });
    lab.establish();
    lab.assert_mirrored();
    // A name that the certificate does not have.
    let mut lab = papers.lab(|a, b| {
        let auth = LocalAuth::Signature(credential(&papers.a, &[&second.der]));
        a.remotes[0].rounds.own.push(OwnRound { id: fqdn("second"), auth });
        let auth = RemoteAuth::Signature(Arc::new(trust(&[&papers.root.der])));
        b.remotes[0].rounds.peer.push(PeerRound { peers: exactly("second"), auth });
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Certificate);
    nothing_came(&lab);
}
