//! EAP inside IKE_AUTH, both roles: methods, users, what is refused, what is lost, and peers that break the rules.

use std::sync::Arc;
use std::time::Duration;

use ravelin_eap::tls::{NoTls, TlsSide};
use ravelin_eap::{Account, Accounts, Client, Conversation, Method, Peer as User, Server, Step, Tools};
use ravelin_ike::config::{EapServer, IdPattern, LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, Event, Remote, limits};
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
    EapServer { server, users: IdPattern::Any }
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
    let mut lab = by_tls(true, |_, server| server.methods = vec![Method::Tls]);
    let mut config = lab.b.config.clone();
    let RemoteAuth::Eap(eap) = &config.remotes[0].remote_auth else { panic!() };
    let mut eap = EapServer::clone(eap);
    eap.server.methods = vec![Method::Gtc];
    config.remotes[0].remote_auth = RemoteAuth::Eap(Arc::new(eap));
    assert!(config.mistakes(&provider())[0].to_string().contains("methods that prove both sides"));
    // One that asks all the same gets no password.
    lab.b.command(Command::Configure(Arc::new(config)));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::Eap);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
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
    assert!(lab.b.failure(Part::Protocol).to_string().contains("EAP is not configured"));
    // A has a key, and B wants EAP.
    let mut lab = Lab::with(|a, b| {
        let before = a.clone();
        roles(a, b, client(&[Method::Gtc], "geheim"), server(&[Method::Gtc]));
        *a = before;
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Identity);
}

#[test]
fn roles_that_cannot_be_are_found_in_the_configuration() {
    let mut config = config(A, B);
    config.remotes[0].local_auth = LocalAuth::Eap(Arc::new(client(&[Method::Md5], "x")));
    assert!(config.mistakes(&provider())[0].to_string().contains("it cannot accept"));
    // SECURITY-HISTORY row 105: no method that somebody can try passwords against stands alone.
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

fn tools() -> Tools<'static> {
    Tools { random: &|out| out.fill(9), tls: &NoTls }
}

struct Stranger {
    host: Host,
    peer: Peer,
    user: Conversation,
}

impl Stranger {
    /// Past the greeting; the identity request is what is returned.
    fn new(methods: &[Method], password: &str) -> (Self, Eap) {
        let (mut a, mut b) = (config(A, B), config(B, A));
        roles(&mut a, &mut b, client(methods, password), server(methods));
        let mut host = Host::new(b, 2);
        let mut peer = Peer::keyed(&mut host);
        let request: Vec<Payload> =
            peer.auth_request().into_iter().filter(|payload| !matches!(payload, Payload::Auth(_))).collect();
        peer.request(&mut host, AUTH_EXCHANGE, &request);
        while host.answer() {}
        let greeting = peer.response(&mut host);
        assert!(greeting.iter().any(|payload| matches!(payload, Payload::Auth(_))));
        let user = Conversation::Peer(User::new(client(methods, password)));
        (Stranger { host, peer, user }, find(&greeting))
    }

    fn ask(&mut self, payloads: &[Payload]) -> Vec<Payload> {
        self.peer.request(&mut self.host, AUTH_EXCHANGE, payloads);
        while self.host.answer() {}
        self.peer.response(&mut self.host)
    }

    /// The right answers, until the authenticator says success. The key.
    fn succeed(&mut self, mut asked: Eap) -> Option<Secret> {
        loop {
            match self.user.turn(Some(&asked), tools()) {
                Step::Say(eap) => asked = find(&self.ask(&[Payload::Eap(eap)])),
                Step::Done { outcome, .. } => return outcome.unwrap().msk,
            }
        }
    }

    fn assert_refused(&mut self, answer: &[Payload]) {
        assert!(
            notifies(answer).iter().any(|kind| kind.is_error())
                || matches!(answer, [Payload::Eap(Eap { code: EapCode::FAILURE, .. })]),
            "{answer:#?}"
        );
        assert!(self.host.sas.is_empty() && self.host.children().is_empty());
        assert!(!self.host.events.iter().any(|event| matches!(event, Event::IkeUp { .. })));
        // And it stays so, whatever comes after.
        let own = Id::new(self.peer.id.clone());
        let auth = self.peer.auth(&own);
        let late = self.peer.seal(AUTH_EXCHANGE, false, self.peer.next_id, &[auth]);
        self.peer.send(&mut self.host, &late);
        assert!(self.host.sas.is_empty());
    }
}

fn find(payloads: &[Payload]) -> Eap {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Eap(eap) => Some(eap.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no EAP in {payloads:#?}"))
}

#[test]
fn auth_before_eap_is_done_is_refused() {
    for turns in 0..3 {
        let (mut stranger, mut asked) = Stranger::new(&[Method::MsChapV2], "geheim");
        for _ in 0..turns {
            let Step::Say(eap) = stranger.user.turn(Some(&asked), tools()) else { panic!() };
            asked = find(&stranger.ask(&[Payload::Eap(eap)]));
        }
        // With every secret there could be: none, the key of B, its own SK_pi.
        let own = Id::new(stranger.peer.id.clone());
        stranger.peer.secret = stranger.peer.own_sk_p();
        let auth = stranger.peer.auth(&own);
        let answer = stranger.ask(&[auth]);
        stranger.assert_refused(&answer);
    }
}

// SECURITY-HISTORY rows 103 and 105's kin: a method that makes a key, and AUTH as if it had made none, or an empty one.
#[test]
fn auth_after_eap_is_by_the_key_of_the_method_alone() {
    let secrets: [fn(&Peer, Option<Secret>) -> Secret; 5] = [
        |peer, _| peer.own_sk_p(),
        |_, _| Secret::default(),
        |_, _| Secret::new(vec![0; 64]),
        |_, _| SECRET.into(),
        |_, msk| Secret::from(&msk.unwrap().expose()[..16]),
    ];
    for secret in secrets {
        let (mut stranger, asked) = Stranger::new(&[Method::MsChapV2], "geheim");
        let msk = stranger.succeed(asked);
        stranger.peer.secret = secret(&stranger.peer, msk);
        let auth = stranger.peer.auth(&Id::new(stranger.peer.id.clone()));
        let answer = stranger.ask(&[auth]);
        stranger.assert_refused(&answer);
    }
    // Where the method makes none, it is SK_pi.
    for (right, secret) in [(true, None), (false, Some(Secret::default())), (false, Some(SECRET.into()))] {
        let (mut stranger, asked) = Stranger::new(&[Method::Md5], "geheim");
        assert!(stranger.succeed(asked).is_none());
        stranger.peer.secret = secret.unwrap_or_else(|| stranger.peer.own_sk_p());
        let auth = stranger.peer.auth(&Id::new(stranger.peer.id.clone()));
        let answer = stranger.ask(&[auth]);
        match right {
            true => assert_eq!(stranger.host.children().len(), 1, "{answer:#?}"),
            false => stranger.assert_refused(&answer),
        }
    }
}

#[test]
fn what_a_user_never_says_ends_the_conversation() {
    let eap = |code, identifier, data: &[u8]| Payload::Eap(Eap { code, identifier, data: data.to_vec() });
    let nothing: [fn(u8) -> Vec<Payload>; 6] = [
        |_| vec![],
        |id| vec![Payload::Eap(Eap { code: EapCode::SUCCESS, identifier: id, data: vec![] })],
        |id| vec![Payload::Eap(Eap { code: EapCode::FAILURE, identifier: id, data: vec![] })],
        |id| vec![Payload::Eap(Eap { code: EapCode::REQUEST, identifier: id, data: vec![1] })],
        |id| vec![Payload::Eap(Eap { code: EapCode(9), identifier: id, data: vec![1] })],
        |id| vec![Payload::Eap(Eap { code: EapCode::RESPONSE, identifier: id.wrapping_add(1), data: vec![1, b'c'] })],
    ];
    for payloads in nothing {
        let (mut stranger, asked) = Stranger::new(&[Method::MsChapV2], "geheim");
        let answer = stranger.ask(&payloads(asked.identifier));
        stranger.assert_refused(&answer);
    }
    // Two at once, and one without end.
    let (mut stranger, asked) = Stranger::new(&[Method::MsChapV2], "geheim");
    let one = eap(EapCode::RESPONSE, asked.identifier, b"\x01carol");
    let answer = stranger.ask(&[one.clone(), one]);
    stranger.assert_refused(&answer);
}

#[test]
fn a_user_that_hangs_up_is_answered_and_explained() {
    for (password, why) in [("other", "the password is not that of the user"), ("geheim", "the user gave up")] {
        let (mut stranger, mut asked) = Stranger::new(&[Method::MsChapV2], password);
        for _ in 0..2 {
            let Step::Say(eap) = stranger.user.turn(Some(&asked), tools()) else { panic!() };
            asked = find(&stranger.ask(&[Payload::Eap(eap)]));
        }
        let gone = notify(NotifyType::AUTHENTICATION_FAILED, &[]);
        let answer = stranger.peer.ask(&mut stranger.host, ExchangeType::INFORMATIONAL, &[gone]);
        assert_eq!(answer, []);
        let there = stranger.host.failure(Part::Eap);
        assert!(there.to_string().contains(why), "{there}");
        assert!(stranger.host.endpoint.ike_sas().is_empty());
    }
}

// And opposite to A, the user.

/// A has sent its IKE_AUTH request without AUTH.
fn asked_user(methods: &[Method]) -> (Host, Peer) {
    let (mut a, mut b) = (config(B, A), config(A, B));
    roles(&mut a, &mut b, client(methods, "geheim"), server(methods));
    let mut host = Host::new(a, 2);
    let mut peer = Peer::new(9);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (id, payloads) = peer.asked(&mut host);
    assert_eq!(id, 1);
    assert!(!payloads.iter().any(|payload| matches!(payload, Payload::Auth(_) | Payload::Eap(_))));
    (host, peer)
}

fn greeting(peer: &Peer, eap: Eap) -> Vec<Payload> {
    let id = Id::new(peer.id.clone());
    vec![Payload::IdR(id.clone()), peer.auth(&id), Payload::Eap(eap)]
}

const IDENTITY: Eap = Eap { code: EapCode::REQUEST, identifier: 3, data: Vec::new() };

fn identity_request() -> Eap {
    Eap { data: vec![1], ..IDENTITY }
}

// SECURITY-HISTORY row 101: nothing of the user is told to a responder that has not proven who it is.
#[test]
fn a_user_says_nothing_to_a_responder_that_has_not_proven_itself() {
    for fault in 0..4 {
        let (mut host, mut peer) = asked_user(&[Method::Gtc]);
        let mut payloads = greeting(&peer, identity_request());
        match fault {
            0 => drop(payloads.remove(1)),
            1 => peer.secret = Secret::from(&b"another"[..]),
            2 => peer.id = Identity::Fqdn("somebody.else".into()),
            _ => peer.secret = Secret::default(),
        }
        if fault > 0 {
            payloads = greeting(&peer, identity_request());
        }
        peer.answer(&mut host, AUTH_EXCHANGE, 1, &payloads);
        while host.answer() {}
        assert!(host.endpoint.ike_sas().is_empty());
        let (_, told) = peer.asked(&mut host);
        assert!(told.iter().all(|payload| matches!(payload, Payload::Notify(_))), "{told:#?}");
        assert_eq!(host.failures().len(), 1);
    }
}

// SECURITY-HISTORY row 99.
#[test]
fn a_success_that_comes_early_gets_no_auth_out_of_a_user() {
    let success = Eap { code: EapCode::SUCCESS, identifier: 3, data: Vec::new() };
    for early in 0..3 {
        let (mut host, mut peer) = asked_user(&[Method::MsChapV2]);
        let challenge = [&[26, 1, 9, 0, 21, 16][..], &[5; 16]].concat();
        let challenge = Eap { data: challenge, ..IDENTITY };
        let says: Vec<Eap> = [identity_request(), challenge].into_iter().take(early).chain([success.clone()]).collect();
        for (id, eap) in (1..).zip(says) {
            let payloads = if id == 1 { greeting(&peer, eap) } else { vec![Payload::Eap(eap)] };
            peer.answer(&mut host, AUTH_EXCHANGE, id, &payloads);
            while host.answer() {}
            let (_, said) = peer.asked(&mut host);
            assert!(!said.iter().any(|payload| matches!(payload, Payload::Auth(_))));
        }
        assert!(host.failure(Part::Eap).to_string().contains("success before"));
        assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
    }
}

#[test]
fn a_responder_that_skips_eap_or_its_last_proof_gets_nothing() {
    // The whole answer at once, as if there had been AUTH.
    let (mut host, mut peer) = asked_user(&[Method::Md5]);
    let payloads = peer.auth_answer();
    peer.answer(&mut host, AUTH_EXCHANGE, 1, &payloads);
    while host.answer() {}
    assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());

    // The whole conversation, and at its end AUTH by the key of the greeting instead of SK_pr.
    for right in [true, false] {
        let (mut host, mut peer) = asked_user(&[Method::Md5]);
        let challenge = Eap { code: EapCode::REQUEST, identifier: 7, data: vec![4, 1, 1] };
        let payloads = greeting(&peer, challenge);
        peer.answer(&mut host, AUTH_EXCHANGE, 1, &payloads);
        while host.answer() {}
        peer.asked(&mut host);
        let success = Eap { code: EapCode::SUCCESS, identifier: 7, data: Vec::new() };
        peer.answer(&mut host, AUTH_EXCHANGE, 2, &[Payload::Eap(success)]);
        while host.answer() {}
        let (id, said) = peer.asked(&mut host);
        assert!(matches!(said.as_slice(), [Payload::Auth(_)]), "{said:#?}");
        if right {
            peer.secret = peer.own_sk_p();
        }
        let payloads = peer.auth_answer();
        peer.answer(&mut host, AUTH_EXCHANGE, id, &payloads[1..]);
        assert_eq!(host.children().len(), usize::from(right));
        if !right {
            let (_, told) = peer.asked(&mut host);
            assert_eq!(notifies(&told), [NotifyType::AUTHENTICATION_FAILED]);
            assert!(host.endpoint.ike_sas().is_empty());
        }
    }
}
