//! Ends that break the order of things: users that skip a step, responders that hurry.

use super::*;

fn tools() -> Tools<'static> {
    Tools { memory: &Forgetful, random: &|out| out.fill(9), tls: &NoTls }
}

struct Stranger {
    host: Host,
    peer: Peer,
    user: Conversation,
}

impl Stranger {
    /// Past the greeting; the identity request is what is returned.
    fn new(methods: &[Method], password: &str) -> (Self, Eap) {
        Stranger::saying(methods, password, &[])
    }

    /// The same with more in the first request.
    fn saying(methods: &[Method], password: &str, more: &[Payload]) -> (Self, Eap) {
        let (mut a, mut b) = (config(A, B), config(B, A));
        roles(&mut a, &mut b, client(methods, password), server(methods));
        let mut host = Host::new(b, 2);
        let mut peer = Peer::keyed(&mut host);
        let payloads = peer.auth_request().into_iter().filter(|payload| !matches!(payload, Payload::Auth(_)));
        let request: Vec<Payload> = payloads.chain(more.iter().cloned()).collect();
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

// docs/HISTORY.md, rows 103 and 105's kin: a method that makes a key, and AUTH as if it had made none, or an empty one.
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

// Row 105 of docs/HISTORY.md, RFC 5998 §3: a responder proves itself by AUTH although the user says that EAP is enough, and is told by
// the user's AUTH alone.
#[test]
fn nobody_is_talked_out_of_auth() {
    for method in [Method::Md5, Method::Gtc, Method::MsChapV2] {
        let enough = notify(NotifyType::EAP_ONLY_AUTHENTICATION, &[]);
        // The greeting has AUTH in it.
        let (mut stranger, asked) = Stranger::saying(&[method], "geheim", &[enough]);
        stranger.succeed(asked);
        let answer = stranger.ask(&[notify(NotifyType::EAP_ONLY_AUTHENTICATION, &[])]);
        stranger.assert_refused(&answer);
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

// RFC 7296 §2.21.2: a user that does not believe the responder says so in the place of its first word of EAP.
#[test]
fn a_user_that_hangs_up_before_eap_does_not_believe_our_proof() {
    let (mut stranger, _) = Stranger::new(&[Method::MsChapV2], "geheim");
    let gone = notify(NotifyType::AUTHENTICATION_FAILED, &[]);
    assert_eq!(stranger.peer.ask(&mut stranger.host, ExchangeType::INFORMATIONAL, &[gone]), []);
    let there = stranger.host.failure(Part::NotBelieved(Means::SharedKey));
    assert_eq!(there.theirs, ["AUTHENTICATION_FAILED"], "{there}");
    assert!(stranger.host.endpoint.ike_sas().is_empty());
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

// docs/HISTORY.md, row 101: nothing of the user is told to a responder that has not proven who it is.
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

// Row 101 by certificates: one of nobody known, and a good one of somebody else.
#[test]
fn a_user_says_nothing_to_a_gateway_with_the_certificate_of_another() {
    let (root, stranger) = (papers::root("root", Kind::P256), papers::root("root", Kind::P256));
    for (paper, trusted) in [
        (root.peer("b", &["192.0.2.2.example.org"], Kind::P256), true),
        (root.peer("c", &["192.0.2.3.example.org"], Kind::P256), false),
        (stranger.peer("b", &["192.0.2.2.example.org"], Kind::P256), false),
    ] {
        let mut lab = Lab::with(|a, b| {
            roles(a, b, client(&[Method::Gtc], "geheim"), server(&[Method::Gtc]));
            a.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
            b.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[]));
        });
        give_key(&mut lab.b, &paper);
        lab.a.command(Command::Initiate(POLICY));
        // <-- HDR, SK {IDr, CERT, AUTH, EAP}
        for exchange in [ExchangeType::IKE_SA_INIT, AUTH_EXCHANGE] {
            lab.a_to_b();
            while lab.b.answer() {}
            assert_eq!(lab.b.next().map(|(number, ..)| ExchangeType(number)), Some(exchange));
            lab.b_to_a();
            while lab.a.answer() {}
        }
        let said = lab.a.next().map(|(exchange, ..)| ExchangeType(exchange));
        assert_eq!(said, Some(if trusted { AUTH_EXCHANGE } else { ExchangeType::INFORMATIONAL }));
        lab.settle();
        match trusted {
            true => lab.assert_mirrored(),
            false => {
                lab.a.failure(Part::Certificate);
                assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
                assert!(lab.b.sas.is_empty());
            }
        }
    }
}

// strongSwan does so where the method of its configuration is not among its plugins.
#[test]
fn a_responder_without_a_method_is_told_as_that() {
    let (mut host, mut peer) = asked_user(&[Method::Gtc]);
    let failure = Eap { code: EapCode::FAILURE, identifier: 0, data: Vec::new() };
    let payloads = [Payload::IdR(Id::new(peer.id.clone())), Payload::Eap(failure)];
    peer.answer(&mut host, AUTH_EXCHANGE, 1, &payloads);
    while host.answer() {}
    assert!(host.failure(Part::Eap).to_string().contains("before it asked for anything"));
    assert!(host.endpoint.ike_sas().is_empty() && host.sent.is_empty());
}

// docs/HISTORY.md, row 99.
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
