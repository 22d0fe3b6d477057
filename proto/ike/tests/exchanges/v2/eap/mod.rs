//! EAP inside IKE_AUTH, both roles: methods, users, what is refused, what is lost, and peers that break the rules.

mod hostile;

use std::sync::Arc;
use std::time::Duration;

use ravelin_eap::tls::{NoTls, TlsSide};
use ravelin_eap::{Account, Accounts, Client, Conversation, Forgetful, Method, Peer as User, Server, Step, Tools};
use ravelin_ike::config::{EapServer, IdPattern, LocalAuth, RemoteAuth};
use ravelin_ike::explain::{Means, Part};
use ravelin_ike::{Command, Config, Event, Ppk, PpkIn, Ppks, Remote, limits};
use ravelin_testkit::papers::{self, Kind};
use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Eap, EapCode, Id, NotifyType, Payload};

use crate::lab::*;
use crate::papers::{credential, give_key, trust};
use crate::v2::peer::{Peer, notifies, notify};

const AUTH_EXCHANGE: ExchangeType = ExchangeType::IKE_AUTH;

fn carol() -> Identity {
    Identity::Fqdn("carol".into())
}

fn client(methods: &[Method], password: &str) -> Client {
    Client {
        user: carol(),
        methods: methods.to_vec(),
        password: Secret::from(password.as_bytes()),
        tls: TlsSide::default(),
    }
}

fn server(methods: &[Method]) -> EapServer {
    let account = Account { owners: vec![carol()], password: Secret::from(&b"geheim"[..]) };
    let accounts = Accounts(vec![account].into());
    let server =
        Server { methods: methods.to_vec(), ask_identity: true, accounts, name: b"gw".to_vec(), ..Server::default() };
    EapServer { server, users: IdPattern::Any, groups: Vec::new() }
}

/// A is the user, B has a pre-shared key and asks.
fn roles(a: &mut Config, b: &mut Config, client: Client, server: EapServer) {
    a.remotes[0].local_auth = LocalAuth::Eap(Arc::new(client));
    a.remotes[0].accept = false;
    b.remotes[0].remote_auth = RemoteAuth::Eap(Arc::new(server));
    b.remotes[0].initiate = false;
    b.remotes[0].open.peers = Some(IdPattern::Any);
    assert_eq!(a.mistakes(&provider()), []);
    assert_eq!(b.mistakes(&provider()), []);
}

fn lab(methods: &[Method], password: &str) -> Lab {
    Lab::with(|a, b| roles(a, b, client(methods, password), server(methods)))
}

/// Who B takes the peer for.
fn known(lab: &Lab) -> Identity {
    lab.b.ike().identities.unwrap().1
}

// RFC 9867 §3.1: it is in the keys before there is AUTH, and so goes with every way to make it.
#[test]
fn a_post_quantum_key_in_ike_intermediate_goes_with_eap() {
    let key = Ppk { id: b"gw".to_vec(), secret: b"a post-quantum key".as_slice().into() };
    let ppk = Ppks { id: Some(key.id.clone()), required: true, exchange: PpkIn::Either, keys: [key].into() };
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].extensions.ppk = ppk.clone();
        b.remotes[0].extensions.ppk = ppk;
        roles(a, b, client(&[Method::MsChapV2], "geheim"), server(&[Method::MsChapV2]));
    });
    lab.establish();
    lab.assert_mirrored();
    assert!(lab.a.ike().ppk && lab.b.ike().ppk && known(&lab) == carol());
}

// RFC 8784 §3: behind EAP it is named with AUTH, and is in the AUTH of both then, also where the method has no key.
#[test]
fn a_post_quantum_key_in_ike_auth_goes_with_eap() {
    let key = |id: &[u8]| Ppk { id: id.to_vec(), secret: b"a post-quantum key".as_slice().into() };
    let ppks =
        |id: &[u8], required| Ppks { id: Some(id.to_vec()), required, exchange: PpkIn::Auth, keys: [key(id)].into() };
    for method in [Method::MsChapV2, Method::Md5] {
        let lab = |a: Ppks, b: Ppks| {
            let mut lab = Lab::with(|at_a, at_b| {
                at_a.remotes[0].extensions.ppk = a;
                at_b.remotes[0].extensions.ppk = b;
                roles(at_a, at_b, client(&[method], "geheim"), server(&[method]));
            });
            lab.a.command(Command::Initiate(POLICY));
            lab.settle();
            lab
        };
        for (a, b) in [(false, false), (true, false), (false, true), (true, true)] {
            let lab = lab(ppks(b"gw", a), ppks(b"gw", b));
            assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
            lab.assert_mirrored();
            assert!(lab.a.ike().ppk && lab.b.ike().ppk && known(&lab) == carol());
        }
        // Where neither insists, it goes without.
        for b in [ppks(b"other", false), Ppks::default()] {
            let lab = lab(ppks(b"gw", false), b);
            assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
            lab.assert_mirrored();
            assert!(!lab.a.ike().ppk && !lab.b.ike().ppk);
        }
        let strange = lab(ppks(b"gw", true), ppks(b"other", false));
        strange.b.failure(Part::Ppk);
        let insists = lab(ppks(b"gw", false), ppks(b"other", true));
        insists.b.failure(Part::Ppk);
        let alone = lab(ppks(b"gw", true), Ppks::default());
        alone.a.failure(Part::Ppk);
        let other = Ppks {
            keys: [Ppk { secret: b"not the same".as_slice().into(), ..key(b"gw") }].into(),
            ..ppks(b"gw", false)
        };
        let unlike = lab(ppks(b"gw", false), other);
        unlike.b.failure(Part::Eap);
        for lab in [strange, insists, alone, unlike] {
            assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
        }
    }
}

// RFC 7296 §2.16 and §3.16: by more IKE_AUTH exchanges, and AUTH of both by the key of the method.
#[test]
fn every_method_authenticates_the_user_behind_a_key_and_behind_a_certificate() {
    for method in [Method::MsChapV2, Method::Md5, Method::Gtc] {
        let mut with_key = lab(&[method], "geheim");
        with_key.establish();
        with_key.assert_mirrored();
        assert_eq!(known(&with_key), carol());
        assert_eq!(with_key.a.ike().identities.unwrap().1.to_string(), "fqdn:192.0.2.2.example.org");

        let root = papers::root("root", Kind::P256);
        let paper = root.peer("b", &["192.0.2.2.example.org"], Kind::P256);
        let mut lab = Lab::with(|a, b| {
            roles(a, b, client(&[method], "geheim"), server(&[method]));
            a.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
            b.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
        });
        give_key(&mut lab.b, &paper);
        lab.establish();
        lab.assert_mirrored();
        assert_eq!(known(&lab), carol());
    }
}

/// A is the user carol with a certificate, B asks with one of its own; `only`: that is all B proves itself by.
fn by_tls(only: bool, change: impl FnOnce(&mut Client, &mut Server)) -> Lab {
    let root = papers::root("root", Kind::P256);
    let own = root.peer("carol", &["carol"], Kind::P256);
    let gateway = root.peer("b", &["192.0.2.2.example.org"], Kind::P256);
    let side = |paper, peer| TlsSide {
        credential: Some(credential(paper, &[])),
        trust: Some(Arc::new(trust(&[&root.der]))),
        peer,
    };
    let mut lab = Lab::with(|a, b| {
        let mut client = client(&[Method::Tls], "");
        client.tls = side(&own, Some(a.remotes[0].remote_id.clone()));
        let mut server = server(&[Method::Tls]);
        server.server.tls = side(&gateway, None);
        change(&mut client, &mut server.server);
        roles(a, b, client.clone(), server.clone());
        if only {
            a.remotes[0].remote_auth = RemoteAuth::Eap(Arc::new(server));
            b.remotes[0].local_auth = LocalAuth::Eap(Arc::new(client));
            assert_eq!((a.mistakes(&provider()), b.mistakes(&provider())), (vec![], vec![]));
        }
    });
    give_key(&mut lab.a, &own);
    give_key(&mut lab.b, &gateway);
    lab
}

// RFC 5216 and RFC 9190; RFC 5998 §3: with the notify there is no other proof of the responder than the method.
#[test]
fn eap_tls_proves_both_sides_beside_a_key_and_alone() {
    for only in [false, true] {
        let mut lab = by_tls(only, |_, _| ());
        lab.establish();
        lab.assert_mirrored();
        assert_eq!(known(&lab), carol());
    }
    // The server behind EAP is another than the remote.
    for only in [false, true] {
        let mut lab = by_tls(only, |client, _| client.tls.peer = Some(Identity::Fqdn("aaa.example.org".into())));
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let here = lab.a.failure(Part::Eap).to_string();
        assert!(here.contains("EAP-TLS") && here.contains("aaa.example.org"), "{here}");
        lab.b.failure(Part::Eap);
        assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
    }
    // The user is one whom nobody vouches for.
    let mut lab = by_tls(true, |client, _| client.user = Identity::Fqdn("dave".into()));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert!(lab.b.failure(Part::Eap).to_string().contains("fqdn:dave"));
    assert!(lab.a.failure(Part::Eap).to_string().contains("the other side refused"));
}

// RFC 4186, RFC 4187, RFC 9048: beside a key, and alone (RFC 5998 §4).
#[test]
fn a_sim_proves_both_sides_beside_a_key_and_alone() {
    const SIM: &str = "0x5122250214c33e723a5dd523fc145fc0981d464c7c52eb6e5036234984ad0bcf";
    let account = Account { owners: vec![carol()], password: Secret::from(SIM.as_bytes()) };
    for method in [Method::Sim, Method::Aka, Method::AkaPrime] {
        for only in [false, true] {
            let mut server = server(&[method]);
            server.server.accounts = Accounts(vec![account.clone()].into());
            let change = |a: &mut Config, b: &mut Config| {
                roles(a, b, client(&[method], SIM), server.clone());
                if only {
                    a.remotes[0].remote_auth = RemoteAuth::Eap(Arc::new(server));
                    b.remotes[0].local_auth = LocalAuth::Eap(Arc::new(client(&[method], "")));
                    assert_eq!((a.mistakes(&provider()), b.mistakes(&provider())), (vec![], vec![]));
                }
            };
            let mut lab = Lab::with(change);
            lab.establish();
            lab.assert_mirrored();
            assert_eq!(known(&lab), carol(), "{method} {only}");
        }
    }
}

// RFC 5998 §3: a responder that sends AUTH although EAP would do is held to it.
#[test]
fn auth_beside_eap_alone_is_judged() {
    for known in [true, false] {
        let root = papers::root("root", Kind::P256);
        let stranger = papers::root("stranger", Kind::P256);
        let paper = if known { &root } else { &stranger }.peer("b", &["192.0.2.2.example.org"], Kind::P256);
        let mut lab = by_tls(true, |client, server| {
            server.tls.credential = Some(credential(&root.peer("b", &["192.0.2.2.example.org"], Kind::P256), &[]));
            client.tls.trust = Some(Arc::new(trust(&[&root.der])));
        });
        let mut config = lab.b.config.clone();
        config.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
        give_key(&mut lab.b, &paper);
        lab.b.command(Command::Configure(Arc::new(config)));
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
        match known {
            // It goes on to EAP, which fails for the key that is of another certificate.
            true => drop(lab.a.failure(Part::Eap)),
            false => assert!(lab.a.failure(Part::Certificate).to_string().contains("CN=stranger")),
        }
    }
}

// RFC 5998 §4 and §6.1: neither side goes over to a method that does not prove both.
#[test]
fn a_method_that_proves_one_side_is_never_taken_alone() {
    for method in [Method::Gtc, Method::Md5, Method::MsChapV2] {
        let mut lab = by_tls(true, |_, server| server.methods = vec![Method::Tls]);
        let mut config = lab.b.config.clone();
        let RemoteAuth::Eap(eap) = &config.remotes[0].remote_auth else { panic!() };
        let mut eap = EapServer::clone(eap);
        eap.server.methods = vec![method];
        config.remotes[0].remote_auth = RemoteAuth::Eap(Arc::new(eap));
        assert!(config.mistakes(&provider())[0].to_string().contains("methods that prove both sides"));
        // One that asks all the same gets no password.
        lab.b.command(Command::Configure(Arc::new(config)));
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab.a.failure(Part::Eap);
        assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty(), "{method}");
    }
}

// RFC 5998 §3: whoever does not say that the method is enough gets another proof, or nothing.
#[test]
fn a_responder_with_eap_alone_refuses_whoever_wants_another_proof() {
    let mut lab = by_tls(true, |_, _| ());
    let remote_auth = by_tls(false, |_, _| ()).a.config.remotes[0].remote_auth.clone();
    let mut config = lab.a.config.clone();
    config.remotes[0].remote_auth = remote_auth;
    lab.a.command(Command::Configure(Arc::new(config)));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let there = lab.b.failure(Part::Eap).to_string();
    assert!(there.contains("wants a proof beside EAP"), "{there}");
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
}

#[test]
fn a_wrong_password_is_explained_on_both_sides() {
    for method in [Method::MsChapV2, Method::Md5, Method::Gtc] {
        let mut lab = lab(&[method], "other");
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let (here, there) = (lab.a.failure(Part::Eap), lab.b.failure(Part::Eap));
        assert!(there.to_string().contains("the password is not that of the user"), "{there}");
        assert!(here.to_string().contains("EAP did not succeed") && here.to_string().contains("carol"), "{here}");
        assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty() && lab.b.sas.is_empty());
        // The answer is kept for a while, in case it is lost.
        lab.b.sleep(Remote::LOGIN_TIME);
        assert!(lab.b.endpoint.ike_sas().is_empty());
    }
}

// A half-open IKE SA and the SPIs in it are kept as long as the remote says, and no longer.
#[test]
fn a_user_has_the_time_that_the_remote_gives() {
    let minute = Duration::from_secs(60);
    for (given, taken, comes) in [
        (Remote::LOGIN_TIME, Remote::LOGIN_TIME + minute, false),
        (minute * 20, minute * 19, true),
        (minute, minute + minute / 60, false),
    ] {
        let mut lab = Lab::with(|a, b| {
            roles(a, b, client(&[Method::MsChapV2], "geheim"), server(&[Method::MsChapV2]));
            b.remotes[0].login_time = given;
        });
        lab.a.command(Command::Initiate(POLICY));
        // IKE_SA_INIT, and the request that begins the conversation.
        lab.a_to_b();
        lab.b_to_a();
        lab.a_to_b();
        while lab.b.answer() {}
        lab.b.sleep(taken);
        lab.settle();
        assert_eq!(lab.b.endpoint.ike_sas().len(), usize::from(comes), "{given:?} for {taken:?}");
        assert_eq!(!lab.b.sas.is_empty(), comes);
    }
}

#[test]
fn the_user_and_not_the_claimed_identity_decides() {
    // IDi is A's name, which this remote takes; the user is carol, whom it does not.
    let mut lab = Lab::with(|a, b| {
        let users = IdPattern::Ending(ravelin_types::identity::IdType::FQDN, "dave".into());
        roles(a, b, client(&[Method::MsChapV2], "geheim"), EapServer { users, ..server(&[Method::MsChapV2]) });
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let there = lab.b.failure(Part::Identity);
    assert!(there.to_string().contains("theirs: fqdn:carol; ours: the user shall be *dave"), "{there}");
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
}

// Of remotes for the same peers the one is it that is for the user: once he has proved himself, if it would have asked the same,
// and where it asks who he is, by the name that he says, so that it asks its own.
#[test]
fn the_user_decides_between_remotes_for_the_same_peers() {
    let users = |name: &str| IdPattern::Exactly(Identity::Fqdn(name.into()));
    let visited = |second: &[Method], password: &str, shares: bool, ask_identity: bool| {
        let asks = server(&[Method::MsChapV2, Method::Md5]);
        let others = server(second).server.accounts;
        let accounts = if shares { asks.server.accounts.clone() } else { others };
        let mut lab = Lab::with(|a, b| {
            roles(a, b, client(&[Method::Md5], password), EapServer { users: users("dave"), ..asks });
            let mut other = b.remotes[0].clone();
            other.name = "carols".into();
            let server = Server { accounts, ask_identity, ..server(second).server };
            let eap = EapServer { server, users: users("carol"), groups: Vec::new() };
            other.remote_auth = RemoteAuth::Eap(Arc::new(eap));
            b.remotes.push(other);
            b.policies[0].remote = "carols".into();
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        lab
    };
    for lab in [
        visited(&[Method::Gtc, Method::Md5], "geheim", true, false),
        visited(&[Method::Gtc, Method::Md5], "geheim", true, true),
        // Its own passwords.
        visited(&[Method::Md5], "geheim", false, true),
    ] {
        assert_eq!(lab.b.ike().remote, "carols");
        assert_eq!(known(&lab), carol());
        lab.assert_mirrored();
    }
    // That one does not take what was proved, or has passwords of its own; and nobody comes in without the password.
    for (lab, part) in [
        (visited(&[Method::Gtc], "geheim", true, false), Part::Identity),
        (visited(&[Method::Md5], "geheim", false, false), Part::Identity),
        (visited(&[Method::Md5], "falsch", true, false), Part::Eap),
        // By its name it is asked for what it has not.
        (visited(&[Method::Gtc], "geheim", true, true), Part::Eap),
        (visited(&[Method::Md5], "falsch", false, true), Part::Eap),
    ] {
        lab.b.failure(part);
        assert!(lab.b.sas.is_empty());
    }
}

#[test]
fn methods_that_do_not_meet_and_peers_without_eap_are_explained() {
    let mut lab = Lab::with(|a, b| roles(a, b, client(&[Method::Gtc], "geheim"), server(&[Method::Md5])));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert!(lab.a.failure(Part::Eap).to_string().contains("the authenticator does not take EAP-GTC"));
    assert!(lab.b.failure(Part::Eap).to_string().contains("fqdn:carol takes EAP-GTC, and not EAP-MD5"));

    // B has nobody who may prove himself by EAP.
    let mut lab = Lab::with(|a, b| {
        let before = b.clone();
        roles(a, b, client(&[Method::Gtc], "geheim"), server(&[Method::Gtc]));
        *b = before;
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let there = lab.b.failure(Part::Method);
    assert!(there.theirs[0].ends_with(" by EAP") && there.ours[0].contains("pre-shared key"), "{there}");
    assert_eq!(
        lab.a.failure(Part::NotBelieved(Means::Eap)).ours[0],
        "we are fqdn:192.0.2.1.example.org, by EAP as user fqdn:carol"
    );
    // A has a key, and B wants EAP.
    let mut lab = Lab::with(|a, b| {
        let before = a.clone();
        roles(a, b, client(&[Method::Gtc], "geheim"), server(&[Method::Gtc]));
        *a = before;
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let there = lab.b.failure(Part::Method);
    assert!(there.theirs[0].ends_with(" by pre-shared key") && there.ours[0].contains("EAP-GTC"), "{there}");
}

#[test]
fn roles_that_cannot_be_are_found_in_the_configuration() {
    let mut config = config(A, B);
    config.remotes[0].local_auth = LocalAuth::Eap(Arc::new(client(&[Method::Md5], "x")));
    assert!(config.mistakes(&provider())[0].to_string().contains("it cannot accept"));
    // docs/HISTORY.md, row 105: no method that somebody can try passwords against stands alone.
    config.remotes[0].remote_auth = RemoteAuth::Eap(Arc::new(server(&[Method::MsChapV2])));
    assert!(config.mistakes(&provider())[0].to_string().contains("methods that prove both sides"));
    config.remotes[0].local_auth = LocalAuth::Psk(SECRET.into());
    assert!(config.mistakes(&provider())[0].to_string().contains("it cannot be initiated"));
}

#[test]
fn every_message_may_be_lost_once_and_come_twice() {
    let mut lab = lab(&[Method::MsChapV2], "geheim");
    lab.a.command(Command::Initiate(POLICY));
    for _ in 0..200 {
        while lab.a.answer() || lab.b.answer() {}
        if !lab.a.sent.is_empty() {
            // Lost; A sends it again, and the network sends that twice.
            lab.a.take();
            lab.a.sleep(Duration::from_secs(1));
            let again = lab.a.take();
            lab.b.receive(&again);
            lab.b.receive(&again);
            while lab.b.answer() {}
            lab.b.receive(&again);
            let answers: Vec<_> = std::iter::from_fn(|| lab.b.sent.pop_front()).collect();
            assert!(answers.len() > 1 && answers.windows(2).all(|two| two[0].data == two[1].data));
            lab.a.receive(&answers[0]);
            lab.a.receive(&answers[1]);
        }
    }
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
    assert_eq!(lab.b.failures(), []);
}

// RFC 7383 §2.5.2: the greeting has the certificates of the responder, and is what is too long for a path.
#[test]
fn a_greeting_that_is_too_long_for_the_path_comes_in_shorter_parts() {
    let root = papers::root("root", Kind::P256);
    let paper = root.peer("b", &["192.0.2.2.example.org"], Kind::P256);
    let mut lab = Lab::with(|a, b| {
        roles(a, b, client(&[Method::MsChapV2], "geheim"), server(&[Method::MsChapV2]));
        b.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[&root.der]));
        a.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
    });
    give_key(&mut lab.b, &paper);
    lab.a.command(Command::Initiate(POLICY));
    let mut longest = 0;
    for _ in 0..60 {
        while !lab.a.sent.is_empty() {
            lab.a_to_b();
        }
        while lab.b.answer() {}
        while !lab.b.sent.is_empty() {
            let message = lab.b.take();
            longest = longest.max(message.data.len());
            if message.data.len() <= 544 {
                lab.a.receive(&message);
            }
        }
        while lab.a.answer() {}
        lab.a.sleep(Duration::from_millis(500));
    }
    assert!(longest > 544, "{longest}");
    lab.assert_mirrored();
    assert_eq!(lab.a.children().len(), 1);
}

#[test]
fn an_authenticator_that_takes_its_time_stops_nobody_else() {
    let mut lab = Lab::with(|a, b| {
        // The second remote of both is one with a key.
        let (mut other_a, mut other_b) = (a.remotes[0].clone(), b.remotes[0].clone());
        (other_a.name, other_b.name) = ("key".into(), "key".into());
        other_a.local_id = Identity::Fqdn("key".into());
        other_b.remote_id = other_a.local_id.clone();
        roles(a, b, client(&[Method::MsChapV2], "geheim"), server(&[Method::MsChapV2]));
        a.remotes.push(other_a);
        b.remotes.push(other_b);
        for config in [a, b] {
            let mut second = config.policies[0].clone();
            second.policy.id.0 += 1;
            second.remote = "key".into();
            config.policies.push(second);
        }
    });
    lab.a.command(Command::Initiate(POLICY));
    while lab.b.asked.is_empty() {
        lab.a_to_b();
        lab.b.sent.drain(..).collect::<Vec<_>>().iter().for_each(|message| lab.a.receive(message));
    }
    // The authenticator thinks. Another peer comes and gets its SAs.
    lab.a.command(Command::Initiate(ravelin_types::policy::PolicyId(POLICY.0 + 1)));
    for _ in 0..10 {
        while !lab.a.sent.is_empty() {
            lab.a_to_b();
        }
        while !lab.b.sent.is_empty() {
            lab.b_to_a();
        }
    }
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    // Now it has an answer.
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (2, 2));
    let ups = lab.b.events.iter().filter(|event| matches!(event, Event::IkeUp { .. })).count();
    assert_eq!(ups, 2);

    // One that never answers: the half-open IKE SA ends, and is told to the operator.
    let mut silent = super::eap::lab(&[Method::Md5], "geheim");
    silent.a.command(Command::Initiate(POLICY));
    while silent.b.asked.is_empty() {
        silent.a_to_b();
        silent.b.sent.drain(..).collect::<Vec<_>>().iter().for_each(|message| silent.a.receive(message));
    }
    silent.b.sleep(limits::ANSWER + Duration::from_secs(1));
    assert!(silent.b.failure(Part::Eap).to_string().contains("nobody answered in time"));
    assert!(silent.b.endpoint.ike_sas().is_empty());
}

// A peer that does as it likes, opposite to B who asks.
