//! Post-quantum pre-shared keys in IKE_AUTH (RFC 8784).

use crate::lab::*;
use crate::v2::peer::{Peer, notifies, notify};
use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Ppk, PpkIn, Ppks};
use ravelin_types::Identity;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Message, NotifyType, Payload};

const KEY: &[u8] = b"thirty-two octets of a PPK or so";

fn ppk(id: &str, secret: &[u8]) -> Ppk {
    Ppk { id: id.as_bytes().to_vec(), secret: secret.into() }
}

/// The key under this name, required or not.
fn keys(id: &str, secret: &[u8], required: bool) -> Ppks {
    Ppks { id: Some(id.as_bytes().to_vec()), required, exchange: PpkIn::Auth, keys: [ppk(id, secret)].into() }
}

fn lab(a: Ppks, b: Ppks) -> Lab {
    let mut lab = Lab::with(|at_a, at_b| {
        at_a.remotes[0].extensions.ppk = a;
        at_b.remotes[0].extensions.ppk = b;
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab
}

#[test]
fn a_key_that_both_have_is_in_the_keys_of_everything() {
    for (required_a, required_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut lab = lab(keys("gw", KEY, required_a), keys("gw", KEY, required_b));
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert!(lab.a.ike().ppk && lab.b.ike().ppk);
        lab.assert_mirrored();
        lab.b.command(Command::RekeyIke("peer".into()));
        lab.settle();
        lab.a.command(Command::RekeyChild(POLICY));
        lab.settle();
        assert!(lab.a.ike().ppk && lab.b.ike().ppk, "what it gave lives on in SK_d");
        lab.assert_mirrored();
    }
    // The Child SA has other keys than the same exchange without it: same seeds, same nonces.
    let with = lab(keys("gw", KEY, true), keys("gw", KEY, true));
    let other = lab(keys("gw", b"another", true), keys("gw", b"another", true));
    let key = |lab: &Lab| lab.a.sas.values().next().unwrap().keys.encr.expose().to_vec();
    assert_ne!(key(&with), key(&other));
}

#[test]
fn a_responder_takes_whichever_key_is_named() {
    let known = Ppks {
        id: None,
        required: true,
        exchange: PpkIn::Auth,
        keys: [ppk("one", b"1"), ppk("gw", KEY), ppk("two", b"2")].into(),
    };
    let lab = lab(keys("gw", KEY, true), known);
    assert!(lab.a.ike().ppk && lab.b.ike().ppk);
}

#[test]
fn without_a_key_in_common_it_goes_on_where_neither_insists() {
    for b in [Ppks::default(), keys("other", KEY, false)] {
        let lab = lab(keys("gw", KEY, false), b);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert!(!lab.a.ike().ppk && !lab.b.ike().ppk);
        lab.assert_mirrored();
    }
}

#[test]
fn who_insists_gets_no_ike_sa_without_the_key() {
    // The initiator insists and the responder has none, or another.
    let alone = lab(keys("gw", KEY, true), Ppks::default());
    alone.a.failure(Part::Ppk);
    assert!(alone.a.sas.is_empty());
    let strange = lab(keys("gw", KEY, true), keys("other", KEY, false));
    strange.b.failure(Part::Ppk);
    assert!(strange.a.sas.is_empty() && strange.b.sas.is_empty());
    // The responder insists.
    for a in [Ppks::default(), keys("other", KEY, false)] {
        let lab = lab(a, keys("gw", KEY, true));
        let failure = lab.b.failure(Part::Ppk);
        assert!(failure.ours[0].contains("RFC 8784"));
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
    // The names are the same and the keys are not.
    for required in [false, true] {
        let lab = lab(keys("gw", KEY, required), keys("gw", b"not the same", required));
        lab.b.failure(Part::Authentication);
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
    // A key is named that this side does not have.
    let nowhere = lab(Ppks { id: Some(b"gw".to_vec()), required: true, ..Ppks::default() }, Ppks::default());
    nowhere.a.failure(Part::Configuration);
    assert!(nowhere.a.sent.is_empty());
}

// RFC 8784 §5.2.3, RFC 9867: beside NULL authentication both sides insist, once both have said that they do it.
#[test]
fn who_proves_nothing_else_insists_on_the_key() {
    for exchange in [PpkIn::Auth, PpkIn::Intermediate] {
        let of = |id: &str| Ppks { exchange, ..keys(id, KEY, false) };
        let cases = [
            (of("gw"), of("gw"), Some(true)),
            (of("gw"), of("other"), None),
            (of("gw"), Ppks::default(), Some(false)),
            (Ppks::default(), of("gw"), Some(false)),
        ];
        for (a, b, used) in cases {
            for one_side in [false, true] {
                let mut lab = Lab::with(|at_a, at_b| {
                    for (config, ppk) in [(&mut *at_a, &a), (&mut *at_b, &b)] {
                        config.remotes[0].extensions.ppk = ppk.clone();
                    }
                    at_a.remotes[0].local_auth = LocalAuth::Null;
                    at_a.remotes[0].local_id = Identity::Null;
                    at_b.remotes[0].remote_auth = RemoteAuth::Null;
                    if !one_side {
                        at_b.remotes[0].local_auth = LocalAuth::Null;
                        at_b.remotes[0].local_id = Identity::Null;
                        at_a.remotes[0].remote_auth = RemoteAuth::Null;
                    }
                });
                lab.a.command(Command::Initiate(POLICY));
                lab.settle();
                let Some(used) = used else {
                    let failed = [&lab.a, &lab.b].into_iter().flat_map(Host::failures).any(|it| it.part == Part::Ppk);
                    assert!(failed && lab.a.sas.is_empty() && lab.b.sas.is_empty(), "{exchange:?} {one_side}");
                    continue;
                };
                assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "{exchange:?} {one_side}");
                assert_eq!((lab.a.ike().ppk, lab.b.ike().ppk), (used, used), "{exchange:?} {one_side}");
                lab.assert_mirrored();
            }
        }
    }
}

// RFC 8784 §3: the peer announced PPKs, and then does not say which.
#[test]
fn whoever_announces_a_key_must_name_one() {
    for identity in [None, Some(&[][..]), Some(&[1, b'g', b'w']), Some(&[2])] {
        let (mut host, mut peer) = opposite_to_a_responder(false);
        let mut payloads = peer.auth_request();
        payloads.extend(identity.map(|identity| notify(NotifyType::PPK_IDENTITY, identity)));
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(notifies(&answer), [NotifyType::AUTHENTICATION_FAILED], "{identity:?}");
        assert!(host.sas.is_empty());
    }
}

/// A responder with the key, which it may insist on, and a peer that announced one.
fn opposite_to_a_responder(required: bool) -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].extensions.ppk = keys("gw", KEY, required);
    let mut host = Host::new(config, 2);
    let mut peer = Peer::new(1);
    let mut init = peer.init_payloads();
    init.push(notify(NotifyType(16_435), &[]));
    let request = peer.init_message(&init);
    peer.send(&mut host, &request);
    let answer = host.take();
    let said = Message::parse(&answer.data).unwrap().payloads;
    assert!(said.contains(&notify(NotifyType(16_435), &[])), "USE_PPK without data");
    peer.init_answered(&answer.data);
    (host, peer)
}

/// What is in AUTH.
fn auth_data(payloads: &[Payload]) -> Vec<u8> {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Auth(auth) => Some(auth.data.clone()),
        _ => None,
    });
    found.expect("AUTH")
}

// RFC 8784 §3, by the octets of a peer that knows nothing of ours.
#[test]
fn a_responder_judges_by_the_key_that_it_has_and_by_no_ppk_auth_without() {
    let (named, unknown) = ([2, b'g', b'w'], [2, b'x']);
    for required in [false, true] {
        // The key that both have.
        let (mut host, mut peer) = opposite_to_a_responder(required);
        let plain = auth_data(&peer.auth_request());
        peer.mix(KEY);
        let mut payloads = peer.auth_request();
        assert_ne!(auth_data(&payloads), plain);
        payloads.extend([notify(NotifyType(16_436), &named), notify(NotifyType(16_437), &plain)]);
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert!(answer.contains(&notify(NotifyType(16_436), &[])), "PPK_IDENTITY without data: {answer:?}");
        let id = answer.iter().find_map(|payload| if let Payload::IdR(id) = payload { Some(id.clone()) } else { None });
        assert!(answer.contains(&peer.auth_of(false, &id.unwrap())), "AUTH of the responder is with the key, too");
        assert!(host.ike().ppk);

        // Another key, with what AUTH is without: NO_PPK_AUTH is judged then, where none is required.
        let (mut host, mut peer) = opposite_to_a_responder(required);
        let (mut mixed, plain) = (peer.auth_request(), auth_data(&peer.auth_request()));
        if let Payload::Auth(auth) = &mut mixed[1] {
            auth.data.fill(7);
        }
        mixed.extend([notify(NotifyType(16_436), &unknown), notify(NotifyType(16_437), &plain)]);
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &mixed);
        if required {
            assert_eq!(notifies(&answer), [NotifyType::AUTHENTICATION_FAILED]);
        } else {
            let id = answer.iter().find_map(|it| if let Payload::IdR(id) = it { Some(id.clone()) } else { None });
            assert!(answer.contains(&peer.auth_of(false, &id.unwrap())), "AUTH without the key: {answer:?}");
            assert!(!notifies(&answer).contains(&NotifyType(16_436)));
        }
        assert_eq!((host.sas.len(), host.ike().ppk), (if required { 0 } else { 2 }, false));
    }
    // NO_PPK_AUTH that proves nothing, beside an AUTH that would without a key; and beside a key that is known.
    let wrong = vec![7; 32];
    for name in [&unknown[..], &named[..]] {
        let (mut host, mut peer) = opposite_to_a_responder(false);
        let mut payloads = peer.auth_request();
        let no_ppk = if name == unknown { wrong.clone() } else { auth_data(&payloads) };
        payloads.extend([notify(NotifyType(16_436), name), notify(NotifyType(16_437), &no_ppk)]);
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(notifies(&answer), [NotifyType::AUTHENTICATION_FAILED], "{name:?}");
        assert!(host.sas.is_empty());
    }
}

#[test]
fn an_initiator_proves_itself_with_the_key_and_without() {
    for (required, has_it) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut config = config(B, A);
        config.remotes[0].extensions.ppk = keys("gw", KEY, required);
        let mut host = Host::new(config, 2);
        let mut peer = Peer::new(9);
        host.command(Command::Initiate(POLICY));
        let request = host.take();
        let said = Message::parse(&request.data).unwrap().payloads;
        assert!(said.contains(&notify(NotifyType(16_435), &[])), "USE_PPK without data");
        let answer = peer.answer_init_with(&request.data, &[notify(NotifyType(16_435), &[])]);
        peer.send(&mut host, &answer);
        let (_, asked) = peer.asked(&mut host);
        assert!(asked.contains(&notify(NotifyType(16_436), &[2, b'g', b'w'])), "{asked:?}");
        let id = asked.iter().find_map(|payload| if let Payload::IdI(id) = payload { Some(id.clone()) } else { None });
        let plain = peer.auth_of(true, &id.clone().unwrap());
        let without = notify(NotifyType(16_437), &auth_data(&[plain]));
        assert_eq!(asked.contains(&without), !required, "AUTH as it is without the key, for who may do without");
        assert_eq!(notifies(&asked).contains(&NotifyType(16_437)), !required);
        let plain_answer = peer.auth_answer();
        peer.mix(KEY);
        assert!(asked.contains(&peer.auth_of(true, &id.unwrap())), "AUTH is with the key");
        let mut answer = if has_it { peer.auth_answer() } else { plain_answer };
        answer.extend(has_it.then(|| notify(NotifyType(16_436), b"is of no concern")));
        peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &answer);
        match required && !has_it {
            true => drop(host.failure(Part::Ppk)),
            false => assert_eq!((host.sas.len(), host.ike().ppk), (2, has_it)),
        }
    }
}
