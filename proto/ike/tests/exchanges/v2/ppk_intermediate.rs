//! Post-quantum pre-shared keys in IKE_INTERMEDIATE (RFC 9867).

use ravelin_ike::config::IdPattern;
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, Ppk, PpkIn, Ppks, limits};
use ravelin_types::Identity;
use ravelin_types::transform::{Additional, KeMethod, Transform};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Message, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{Peer, notifies, notify};

const KEY: &[u8] = b"thirty-two octets of a PPK or so";
const INTERMEDIATE: u8 = 43;

fn ppk(id: &str, secret: &[u8]) -> Ppk {
    Ppk { id: id.as_bytes().to_vec(), secret: secret.into() }
}

fn keys(id: &str, secret: &[u8], required: bool, exchange: PpkIn) -> Ppks {
    Ppks { id: Some(id.as_bytes().to_vec()), required, exchange, keys: [ppk(id, secret)].into() }
}

fn gw(required: bool, exchange: PpkIn) -> Ppks {
    keys("gw", KEY, required, exchange)
}

/// Both with their keys, A initiating; and the exchanges of A's requests.
fn lab_with(a: Ppks, b: Ppks, change: impl FnOnce(&mut Config, &mut Config)) -> (Lab, Vec<(u8, u32)>) {
    let mut lab = Lab::with(|at_a, at_b| {
        at_a.remotes[0].extensions.ppk = a;
        at_b.remotes[0].extensions.ppk = b;
        change(at_a, at_b);
    });
    lab.a.command(Command::Initiate(POLICY));
    let mut requests = Vec::new();
    while let Some((exchange, id, false)) = lab.a.next() {
        requests.push((exchange, id));
        while !lab.a.sent.is_empty() {
            lab.a_to_b();
        }
        while !lab.b.sent.is_empty() {
            lab.b_to_a();
        }
    }
    requests.dedup();
    lab.settle();
    (lab, requests)
}

fn lab(a: Ppks, b: Ppks) -> (Lab, Vec<(u8, u32)>) {
    lab_with(a, b, |_, _| {})
}

const THROUGH: [(u8, u32); 3] = [(SA_INIT, 0), (INTERMEDIATE, 1), (AUTH, 2)];

#[test]
fn a_key_that_both_have_is_in_all_keys_before_anybody_says_who_he_is() {
    for (required_a, required_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut lab, requests) = lab(gw(required_a, PpkIn::Either), gw(required_b, PpkIn::Intermediate));
        assert_eq!(requests, THROUGH);
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
    // Other keys, and other keys than in IKE_AUTH: the same seeds, the same nonces.
    let key = |secret: &[u8], exchange| {
        let (lab, _) = lab(keys("gw", secret, true, exchange), keys("gw", secret, true, exchange));
        lab.a.sas.values().next().unwrap().keys.encr.expose().to_vec()
    };
    let made = [key(KEY, PpkIn::Intermediate), key(b"another", PpkIn::Intermediate), key(KEY, PpkIn::Auth)];
    assert!(made[0] != made[1] && made[0] != made[2]);
}

#[test]
fn it_comes_after_additional_key_exchanges() {
    let (lab, requests) = lab_with(gw(true, PpkIn::Either), gw(true, PpkIn::Either), |a, b| {
        for config in [a, b] {
            let more = Transform::AddKe(Additional::new(1).unwrap(), KeMethod::ML_KEM_512);
            config.remotes[0].proposals[0].transforms.push(more);
        }
    });
    assert_eq!(requests, [(SA_INIT, 0), (INTERMEDIATE, 1), (INTERMEDIATE, 2), (AUTH, 3)]);
    assert!(lab.b.ike().ppk && lab.b.ike().additional == [KeMethod::ML_KEM_512]);
    lab.assert_mirrored();
}

// RFC 9867 §3.1: the responder says one of the two, and this before that of RFC 8784.
#[test]
fn the_two_agree_on_the_exchange() {
    use PpkIn::{Auth, Either, Intermediate};
    for (a, b, through) in [
        (Either, Either, true),
        (Intermediate, Intermediate, true),
        (Either, Auth, false),
        (Auth, Either, false),
        (Auth, Auth, false),
    ] {
        let (lab, requests) = lab(gw(true, a), gw(true, b));
        assert_eq!(requests.len(), if through { 3 } else { 2 }, "{a:?} {b:?}");
        assert!(lab.a.ike().ppk && lab.b.ike().ppk);
        lab.assert_mirrored();
    }
    for (a, b) in [(Auth, Intermediate), (Intermediate, Auth)] {
        let (without, _) = lab(gw(false, a), gw(false, b));
        assert!(!without.a.ike().ppk && !without.b.ike().ppk);
        without.assert_mirrored();
        let (lab, _) = lab(gw(true, a), gw(false, b));
        lab.a.failure(Part::Ppk);
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
        let (lab, _) = lab_with(gw(false, a), gw(true, b), |_, _| {});
        lab.b.failure(Part::Ppk);
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    }
}

#[test]
fn without_a_key_in_common_it_goes_on_where_neither_insists() {
    // Another name; the same name and another key, which the confirmation tells before AUTH.
    for (id, secret) in [("other", KEY), ("gw", &b"not the same"[..])] {
        let other = |required| keys(id, secret, required, PpkIn::Intermediate);
        let (free, requests) = lab(gw(false, PpkIn::Intermediate), other(false));
        assert_eq!(requests, THROUGH);
        assert_eq!((free.a.failures(), free.b.failures()), (vec![], vec![]));
        assert!(!free.a.ike().ppk && !free.b.ike().ppk);
        free.assert_mirrored();

        let (lab_a, _) = lab(gw(true, PpkIn::Intermediate), other(false));
        lab_a.a.failure(Part::Ppk);
        assert!(lab_a.a.sas.is_empty() && lab_a.b.sas.is_empty());
        let (lab_b, requests) = lab(gw(false, PpkIn::Intermediate), other(true));
        lab_b.b.failure(Part::Ppk);
        assert_eq!(requests, THROUGH[..2], "nobody says who he is");
        assert!(lab_b.a.sas.is_empty() && lab_b.b.sas.is_empty());
    }
}

// RFC 4301 §4.4.3: who the peer may be is known with its identity; the key must be one of that entry.
#[test]
fn a_key_of_another_entry_does_not_count() {
    let two = |required: bool, b: &mut Config| {
        let mut other = b.remotes[0].clone();
        other.name = "other".into();
        other.remote_id = Identity::Fqdn("other.example.org".into());
        other.open.peers = Some(IdPattern::Exactly(other.remote_id.clone()));
        other.extensions.ppk = Ppks { id: None, ..gw(required, PpkIn::Either) };
        b.remotes.push(other);
    };
    // A is the first entry, which has no such key, and names that of the second.
    let (lab, requests) = lab_with(gw(true, PpkIn::Either), Ppks::default(), |_, b| two(true, b));
    assert_eq!(requests, THROUGH);
    lab.b.failure(Part::Ppk);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    // A is the second.
    let (lab, _) = lab_with(gw(true, PpkIn::Either), Ppks::default(), |a, b| {
        two(true, b);
        a.remotes[0].local_id = Identity::Fqdn("other.example.org".into());
        b.policies[0].remote = "other".into();
    });
    assert!(lab.b.ike().ppk);
    lab.assert_mirrored();
}

// RFC 4106 §3.1: no IV twice with one key, and without a key in common the keys stay.
#[test]
fn the_ivs_go_on_where_the_keys_do() {
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].extensions.ppk = gw(false, PpkIn::Intermediate);
        b.remotes[0].extensions.ppk = keys("other", KEY, false, PpkIn::Intermediate);
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    let iv = |message: &ravelin_ike::Transmit| message.data[32..40].to_vec();
    let first = lab.a_to_b();
    let answer = lab.b.take();
    lab.b.receive(&first);
    assert_eq!(lab.b.take(), answer, "the same answer again");
    lab.a.receive(&answer);
    assert_ne!(iv(&first), iv(&lab.a_to_b()));
    assert_ne!(iv(&answer), iv(&lab.b_to_a()));
    lab.assert_mirrored();
}

/// After IKE_SA_INIT with both announcements, opposite to a host with the key.
fn peer(required: bool) -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].extensions.ppk = gw(required, PpkIn::Intermediate);
    let mut host = Host::new(config, 2);
    let mut peer = Peer::new(1);
    let mut init = peer.init_payloads();
    init.push(notify(NotifyType::USE_PPK_INT, &[]));
    init.push(notify(NotifyType::USE_PPK, &[]));
    init.push(notify(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED, &[]));
    let request = peer.init_message(&init);
    peer.send(&mut host, &request);
    let answer = host.take();
    let said = notifies(&Message::parse(&answer.data).unwrap().payloads);
    assert!(said.contains(&NotifyType::USE_PPK_INT) && said.contains(&NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED));
    assert!(!said.contains(&NotifyType::USE_PPK), "{said:?}");
    peer.init_answered(&answer.data);
    (host, peer)
}

// docs/HISTORY.md, row 60: what is cut short, or of a type that nobody knows, is no key, and no confirmation is guessed.
#[test]
fn what_is_no_key_names_none() {
    let kind = ExchangeType::IKE_INTERMEDIATE;
    let short = [&[][..], &[2], &[2, 0, 0, 0, 0, 0, 0, 0], &[1, b'g', b'w', 0, 0, 0, 0, 0, 0, 0, 0]];
    let guess = [2, b'g', b'w', 0, 0, 0, 0, 0, 0, 0, 0];
    for data in short.into_iter().chain([&guess[..]]) {
        let named = [notify(NotifyType::PPK_IDENTITY_KEY, data)];
        let (mut host, mut other) = peer(false);
        let answer = other.ask(&mut host, kind, &named);
        assert_eq!(answer, [], "{data:?}");
        let (mut host, mut other) = peer(true);
        let answer = other.ask(&mut host, kind, &named);
        assert_eq!(notifies(&answer), [NotifyType::AUTHENTICATION_FAILED], "{data:?}");
        host.failure(Part::Ppk);
    }
    // Without any, and many of them.
    for many in [0, 4 * limits::PPK_NAMES] {
        let (mut host, mut other) = peer(false);
        let named: Vec<Payload> = (0..many).map(|_| notify(NotifyType::PPK_IDENTITY_KEY, &guess)).collect();
        assert_eq!(other.ask(&mut host, kind, &named), []);
    }
}

// There is one such exchange; what comes after it is not opened.
#[test]
fn there_is_one_such_exchange() {
    let (mut host, mut peer) = peer(false);
    let kind = ExchangeType::IKE_INTERMEDIATE;
    assert_eq!(peer.ask(&mut host, kind, &[]), []);
    let before = host.endpoint.counters().unexpected;
    peer.request(&mut host, kind, &[]);
    assert!(host.sent.is_empty());
    assert_eq!(host.endpoint.counters().unexpected, before + 1);
}

// Who announced it and then names none in IKE_AUTH: it is required there.
#[test]
fn whoever_skips_the_exchange_goes_without() {
    for required in [false, true] {
        let (mut host, mut peer) = peer(required);
        let payloads = peer.auth_request();
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(notifies(&answer).contains(&NotifyType::AUTHENTICATION_FAILED), required);
        assert_eq!(host.sas.is_empty(), required);
    }
}
