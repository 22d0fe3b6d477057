//! Conversations between the two ends here, and with ends that break the rules.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_radius::{Attribute, Packet};
use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

use crate::tls::TlsSide;
use crate::*;

fn tools() -> Tools<'static> {
    Tools {
        tls: &tls::NoTls,
        memory: &Forgetful,
        random: &|out| out.iter_mut().enumerate().for_each(|(at, octet)| *octet = at as u8 + 7),
    }
}

fn client(methods: &[Method], password: &str) -> Peer {
    let user = Identity::Fqdn("carol".into());
    Peer::new(Client {
        user,
        methods: methods.to_vec(),
        password: Secret::from(password.as_bytes()),
        tls: TlsSide::default(),
    })
}

fn server(methods: &[Method], ask_identity: bool) -> Authenticator {
    let accounts = vec![
        Account { owners: vec![Identity::Fqdn("carol".into())], password: Secret::from(&b"geheim"[..]) },
        Account { owners: vec![Identity::Fqdn("dave".into())], password: Secret::from(&b"of dave"[..]) },
    ];
    let server = Server {
        methods: methods.to_vec(),
        ask_identity,
        accounts: Accounts(accounts.into()),
        name: b"gw".to_vec(),
        ..Server::default()
    };
    Authenticator::new(server, &Identity::Fqdn("carol".into()))
}

type Outcome = Result<Proven, String>;

fn talk(peer: Peer, authenticator: Authenticator) -> (Outcome, Outcome) {
    let (mut peer, mut authenticator) = (Conversation::Peer(peer), Conversation::Authenticator(authenticator));
    let mut step = authenticator.turn(None, tools());
    let mut asked = None;
    loop {
        let said = match step {
            Step::Say(eap) => eap,
            Step::Done { last, outcome } => {
                asked = Some(outcome);
                last.expect("a result")
            }
        };
        match peer.turn(Some(&said), tools()) {
            Step::Say(eap) => step = authenticator.turn(Some(&eap), tools()),
            Step::Done { last, outcome } => {
                assert_eq!(last, None);
                return (outcome, asked.unwrap_or_else(|| Err("the peer gave up".into())));
            }
        }
    }
}

#[test]
fn both_ends_agree_about_the_user_and_the_key() {
    for (method, keyed) in [(Method::Md5, false), (Method::Gtc, false), (Method::MsChapV2, true)] {
        for ask in [true, false] {
            let (peer, authenticator) = talk(client(&[method], "geheim"), server(&[method], ask));
            let (peer, authenticator) = (peer.unwrap(), authenticator.unwrap());
            assert_eq!((peer.method, &*peer.user), (authenticator.method, &b"carol"[..]));
            assert_eq!(authenticator.user, b"carol");
            let key = |proven: &Proven| proven.msk.as_ref().map(|msk| msk.expose().to_vec());
            assert_eq!(key(&peer), key(&authenticator));
            assert_eq!(key(&peer).is_some_and(|key| key.len() == 64), keyed, "{method}");
        }
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_fail_alike_on_both_sides() {
    for method in [Method::Md5, Method::Gtc, Method::MsChapV2] {
        let (peer, authenticator) = talk(client(&[method], "other"), server(&[method], true));
        let wrong = authenticator.unwrap_err();
        assert!(wrong.contains("the password is not that of the user, or there is no such user"), "{wrong}");
        assert!(peer.unwrap_err().contains("the authenticator"), "{method}");
        let mut stranger = client(&[method], "geheim");
        stranger = Peer::new(Client { user: Identity::Fqdn("mallory".into()), ..stranger.into_client() });
        let (_, authenticator) = talk(stranger, server(&[method], true));
        assert_eq!(authenticator.unwrap_err(), wrong.replace("carol", "mallory"));
    }
}

#[test]
fn a_nak_leads_to_a_method_of_both_or_to_the_words_of_both() {
    let all = [Method::MsChapV2, Method::Gtc, Method::Md5];
    let (peer, authenticator) = talk(client(&[Method::Md5], "geheim"), server(&all, true));
    assert_eq!((peer.unwrap().method, authenticator.unwrap().method), (Method::Md5.number(), Method::Md5.number()));
    let (peer, authenticator) = talk(client(&[Method::Gtc], "geheim"), server(&[Method::Md5], true));
    assert_eq!(peer.unwrap_err(), "the authenticator does not take EAP-GTC");
    assert_eq!(authenticator.unwrap_err(), "fqdn:carol takes EAP-GTC, and not EAP-MD5");
}

fn request(identifier: u8, data: &[u8]) -> Eap {
    Eap { code: EapCode::REQUEST, identifier, data: data.to_vec() }
}

const SUCCESS: Eap = Eap { code: EapCode::SUCCESS, identifier: 1, data: Vec::new() };

fn failure(step: Step) -> String {
    match step {
        Step::Done { outcome: Err(why), .. } => why,
        other => panic!("{other:?}"),
    }
}

fn said(step: Step) -> Eap {
    match step {
        Step::Say(eap) => eap,
        other => panic!("{other:?}"),
    }
}

// The fault of CVE-2021-45079: success at every moment before the method is content.
#[test]
fn early_success_is_never_believed() {
    let challenge = [&[26, 1, 9, 0, 21, 16][..], &[5; 16]].concat();
    let before: [&[&[u8]]; 4] = [&[], &[&[1]], &[&[99]], &[&challenge]];
    for requests in before {
        let mut peer = Conversation::Peer(client(&[Method::MsChapV2], "geheim"));
        for data in requests {
            said(peer.turn(Some(&request(3, data)), tools()));
        }
        let why = failure(peer.turn(Some(&SUCCESS), tools()));
        assert!(why.contains("success before"), "{why}");
    }
    // A failure is one at every moment.
    for requests in before {
        let mut peer = Conversation::Peer(client(&[Method::MsChapV2], "geheim"));
        for data in requests {
            said(peer.turn(Some(&request(3, data)), tools()));
        }
        failure(peer.turn(Some(&Eap { code: EapCode::FAILURE, ..SUCCESS }), tools()));
    }
    // For each other method: before it, and behind its first message.
    for (method, first) in [(Method::Md5, &[4, 1, 1][..]), (Method::Gtc, &[6])] {
        let mut peer = Conversation::Peer(client(&[method], "geheim"));
        assert!(failure(peer.turn(Some(&SUCCESS), tools())).contains("success before"), "{method}");
        let mut peer = Conversation::Peer(client(&[Method::MsChapV2], "geheim"));
        // It declines, and no success makes good for that.
        said(peer.turn(Some(&request(3, first)), tools()));
        assert!(failure(peer.turn(Some(&SUCCESS), tools())).contains("success before"), "{method}");
    }
}

// The faults of CVE-2025-62291 and CVE-2015-8023: messages of every length, and out of turn.
#[test]
fn messages_of_mschapv2_of_every_length_and_out_of_turn_fail() {
    let challenge = [&[26, 1, 9, 0, 21, 16][..], &[5; 16]].concat();
    for op in 0..=5 {
        for len in 0..64u8 {
            let mut peer = Conversation::Peer(client(&[Method::MsChapV2], "geheim"));
            said(peer.turn(Some(&request(3, &challenge)), tools()));
            // Whole, with a length that is too long, with one that is too short.
            for says in [len, len.wrapping_add(1), len.saturating_sub(1)] {
                let data = [vec![26, op, 9, 0, says], vec![b'S'; usize::from(len.saturating_sub(4))]].concat();
                let step = peer.turn(Some(&request(4, &data[..(usize::from(len) + 1).min(data.len())])), tools());
                if let Step::Say(eap) = step {
                    // Only a failure needs no proof.
                    assert_eq!(eap.data, [26, 4]);
                    assert!(op == 4);
                }
            }
            failure(peer.turn(Some(&SUCCESS), tools()));
            let mut gw = Conversation::Authenticator(server(&[Method::MsChapV2], false));
            let asked = said(gw.turn(None, tools()));
            let data = [vec![26, op, asked.identifier, 0, len], vec![0; usize::from(len.saturating_sub(4))]].concat();
            let response = Eap { code: EapCode::RESPONSE, identifier: asked.identifier, data };
            failure(gw.turn(Some(&response), tools()));
            // It is over, whatever comes.
            failure(gw.turn(Some(&response), tools()));
        }
    }
}

#[test]
fn nobody_proves_one_name_under_another() {
    // Dave knows his own password, and says that he is carol.
    let mut gw = Conversation::Authenticator(server(&[Method::MsChapV2], true));
    let mut dave = Conversation::Peer(Peer::new(Client {
        user: Identity::Fqdn("dave".into()),
        methods: vec![Method::MsChapV2],
        password: Secret::from(&b"of dave"[..]),
        tls: TlsSide::default(),
    }));
    let asked = said(gw.turn(None, tools()));
    let carol = [&[1][..], b"carol"].concat();
    let response = Eap { code: EapCode::RESPONSE, identifier: asked.identifier, data: carol };
    let asked = said(gw.turn(Some(&response), tools()));
    let answer = said(dave.turn(Some(&asked), tools()));
    let why = failure(gw.turn(Some(&answer), tools()));
    assert!(why.contains("under another name than the identity"), "{why}");
}

#[test]
fn what_is_out_of_place_ends_the_conversation() {
    // Another method in the middle, another identifier, a message without end.
    let mut peer = Conversation::Peer(client(&[Method::Md5, Method::Gtc], "geheim"));
    said(peer.turn(Some(&request(1, &[6])), tools()));
    assert!(failure(peer.turn(Some(&request(2, &[4, 1, 1])), tools())).contains("went over to EAP-MD5"));
    let mut gw = Conversation::Authenticator(server(&[Method::Md5], false));
    let asked = said(gw.turn(None, tools()));
    let stray = Eap { code: EapCode::RESPONSE, identifier: asked.identifier.wrapping_add(1), data: vec![4, 0] };
    assert!(failure(gw.turn(Some(&stray), tools())).contains("answers nothing"));
    let mut peer = Conversation::Peer(client(&[Method::Md5], "geheim"));
    for _ in 0..limits::TURNS {
        said(peer.turn(Some(&request(1, &[2, b'x'])), tools()));
    }
    assert!(failure(peer.turn(Some(&request(1, &[2])), tools())).contains("without end"));
    // A vendor's type is declined in its own form.
    let mut peer = Conversation::Peer(client(&[Method::Md5], "geheim"));
    let nak = said(peer.turn(Some(&request(1, &[254, 0, 0, 9, 0, 0, 0, 1])), tools()));
    assert_eq!(nak.data, [254, 0, 0, 0, 0, 0, 0, 3, 254, 0, 0, 0, 0, 0, 0, 4]);
    failure(peer.turn(Some(&request(1, &[254, 0])), tools()));
}

// RFC 2866 §5.5: what asks for the session and what is told of it have the same name for it.
#[test]
fn a_server_elsewhere_knows_the_session_before_it_begins() {
    let secret = Secret::from(&b"testing123"[..]);
    let aaa =
        relay::Aaa { servers: vec![], secret: secret.clone(), accounting: vec![], authorizers: vec![], names: vec![] };
    let server = Server {
        name: b"gw".to_vec(),
        relay: Some(alloc::sync::Arc::new(aaa)),
        ask_identity: true,
        ..Server::default()
    };
    let carol = Identity::Fqdn("carol".into());
    let Conversation::Relay(mut relay) = Conversation::with(&server, &carol, 0xabc) else { panic!("a relay") };
    let relay::Relayed::Step(Step::Say(_)) = relay.turn(None) else { panic!("who he is") };
    let name = Eap { code: EapCode::RESPONSE, identifier: 0, data: b"\x01carol".to_vec() };
    let relay::Relayed::Ask(request) = relay.turn(Some(&name)) else { panic!("a request") };
    let sent = Packet::parse(&request.seal(1, &[7; 16], &secret).unwrap()).unwrap();
    assert_eq!(sent.first(Attribute::ACCT_SESSION_ID), Some(&b"0000000000000abc"[..]));
}

#[test]
fn no_server_is_asked_with_an_empty_secret() {
    let none = Secret::default();
    let aaa = relay::Aaa { servers: vec![], secret: none, accounting: vec![], authorizers: vec![], names: vec![] };
    let server = Server { relay: Some(alloc::sync::Arc::new(aaa)), ask_identity: true, ..Server::default() };
    let carol = Identity::Fqdn("carol".into());
    let mut conversation = Conversation::with(&server, &carol, 1);
    let Step::Done { outcome: Err(why), .. } = conversation.turn(None, tools()) else { panic!("it goes on") };
    assert_eq!(why, "no secret is loaded for the RADIUS servers");
}
