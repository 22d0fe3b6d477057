//! Announced methods of authentication (RFC 9593): A begins, at 192.0.2.1, with B, at 192.0.2.2.

use std::sync::Arc;

use ravelin_crypto::signature::{HashAlg, SignatureScheme};
use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, Question, Transmit, limits};
use ravelin_pki::algorithm::identifier;
use ravelin_testkit::papers::Kind;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::v2::{Announcement, AuthMethod, Message, NotifyType, Payload};

use crate::lab::*;
use crate::papers::{Papers2, trust};
use crate::v2::peer::{Peer, notifies, notify};

const INTERMEDIATE: u8 = 43;
const SAID: NotifyType = NotifyType::SUPPORTED_AUTH_METHODS;
/// SIGNATURE_HASH_ALGORITHMS with SHA2-256, SHA2-384, SHA2-512 and Identity.
const HASHES: [u8; 8] = [0, 2, 0, 3, 0, 4, 0, 5];

fn announce(a: &mut Config, b: &mut Config) {
    a.remotes[0].extensions.announce = true;
    b.remotes[0].extensions.announce = true;
}

/// Method, link and algorithm of each announcement of a notify.
fn list(payloads: &[Payload]) -> Option<Vec<(u8, u8, Vec<u8>)>> {
    let data = payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == SAID => Some(&notify.data),
        _ => None,
    })?;
    let all = Announcement::parse_all(data).map(|one| one.unwrap());
    Some(all.map(|one| (one.method.0, one.link(), one.algorithm().to_vec())).collect())
}

/// The notify with these announcements.
fn said(methods: &[(AuthMethod, &[u8])]) -> Payload {
    let mut data = Vec::new();
    methods.iter().for_each(|(method, rest)| Announcement { method: *method, rest }.emit(&mut data));
    notify(SAID, &data)
}

fn clear(message: &Transmit) -> Vec<Payload> {
    Message::parse(&message.data).unwrap().payloads
}

/// A begins; the exchanges and message IDs of its requests, and B's answer in IKE_SA_INIT.
fn run(lab: &mut Lab) -> (Vec<(u8, u32)>, Vec<Payload>) {
    lab.a.command(Command::Initiate(POLICY));
    while lab.a.answer() {}
    let (mut requests, mut first) = (Vec::new(), None);
    while let Some((exchange, id, false)) = lab.a.next() {
        requests.push((exchange, id));
        while !lab.a.sent.is_empty() {
            lab.a_to_b();
        }
        while lab.b.answer() {}
        while !lab.b.sent.is_empty() {
            let answer = clear(&lab.b_to_a());
            // A cookie comes before it: the answer is longer than the request.
            if answer.iter().any(|payload| matches!(payload, Payload::Nonce(_))) {
                first = Some(answer);
            }
        }
        while lab.a.answer() {}
    }
    requests.dedup();
    lab.settle();
    (requests, first.unwrap())
}

// RFC 9593 §3.1: the responder in IKE_SA_INIT, the initiator in IKE_AUTH. RFC 9593 §3.2: what the other's AUTH is then made by.
#[test]
fn both_say_what_they_verify_and_sign_by_it() {
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::P521, Kind::Ed25519] {
        let mut lab = Papers2::new(kind).lab(announce);
        let (requests, answer) = run(&mut lab);
        assert_eq!(requests, [(SA_INIT, 0), (AUTH, 1)]);
        let list = list(&answer).unwrap();
        let pss = (14, 0, identifier(SignatureScheme::RsaPss(HashAlg::Sha256)));
        assert!(list.contains(&pss) && list.contains(&(1, 0, Vec::new())) && !list.iter().any(|(n, ..)| *n == 2));
        lab.assert_mirrored();
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "{kind:?}");
    }
}

// RFC 9593 §3.2.1: two octets for what is no public key. Who is not asked to says nothing.
#[test]
fn a_pre_shared_key_is_announced_where_it_is_asked_for() {
    let mut lab = Lab::with(announce);
    let (_, answer) = run(&mut lab);
    assert_eq!(list(&answer), Some(vec![(2, 0, Vec::new())]));
    lab.assert_mirrored();
    let mut lab = Lab::with(|_, _| ());
    let (_, answer) = run(&mut lab);
    assert_eq!(list(&answer), None);

    let mut config = config(B, A);
    config.remotes[0].extensions.announce = true;
    let mut host = Host::new(config, 2);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(1);
    assert!(list(&clear(&request)).is_none(), "not in the request");
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (_, request) = peer.asked(&mut host);
    assert_eq!(list(&request), Some(vec![(2, 0, Vec::new())]));
}

/// With a key exchange whose public values are long.
fn long(a: &mut Config, b: &mut Config) {
    for config in [a, b] {
        config.remotes[0].proposals = vec![ike_proposal(KeMethod::MODP6144)];
    }
}

// RFC 9593 §3.1: where it would not pass, an empty one and the list in IKE_INTERMEDIATE, for which alone one may be begun.
#[test]
fn a_list_that_is_too_long_comes_in_ike_intermediate() {
    let mut lab = Papers2::new(Kind::P256).lab(|a, b| {
        announce(a, b);
        long(a, b);
    });
    let (requests, answer) = run(&mut lab);
    assert_eq!(requests, [(SA_INIT, 0), (INTERMEDIATE, 1), (AUTH, 2)]);
    assert_eq!(list(&answer), Some(vec![]));
    assert!(notifies(&answer).contains(&NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED));
    lab.assert_mirrored();
    // Who has nothing to choose does not ask.
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|a, b| {
        announce(a, b);
        long(a, b);
        a.remotes[0].local_auth = LocalAuth::Psk(SECRET.into());
        let mut other = b.remotes[0].clone();
        other.name = "other".into();
        b.remotes[0].remote_auth = RemoteAuth::Psk(SECRET.into());
        b.remotes.push(other);
    });
    let (requests, answer) = run(&mut lab);
    assert_eq!((requests, list(&answer)), (vec![(SA_INIT, 0), (AUTH, 1)], Some(vec![])));
    lab.assert_mirrored();
    // An initiator without IKE_INTERMEDIATE gets it whole.
    let mut lab = papers.lab(|a, b| {
        long(a, b);
        b.remotes[0].extensions.announce = true;
    });
    let (requests, answer) = run(&mut lab);
    assert_eq!(requests, [(SA_INIT, 0), (AUTH, 1)]);
    assert!(list(&answer).unwrap().len() > 10);
    lab.assert_mirrored();
}

/// A with a certificate begins with a peer that answers IKE_SA_INIT with this behind it; its AUTH after IKE_SA_INIT.
fn auth_for(kind: Kind, methods: &[(AuthMethod, &[u8])]) -> Result<(u8, Vec<u8>), Box<Host>> {
    let mut lab = Papers2::new(kind).lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    let request = lab.a.take();
    let mut peer = Peer::new(1);
    (peer.local, peer.remote) = (socket(&format!("{B}:500")), socket(&format!("{A}:500")));
    let answer =
        peer.answer_init_with(&request.data, &[notify(NotifyType::SIGNATURE_HASH_ALGORITHMS, &HASHES), said(methods)]);
    peer.send(&mut lab.a, &answer);
    while lab.a.answer() {}
    if lab.a.sent.is_empty() {
        return Err(Box::new(lab.a));
    }
    let (_, request) = peer.asked(&mut lab.a);
    let auth = request.into_iter().find_map(|payload| match payload {
        Payload::Auth(auth) => Some(auth),
        _ => None,
    });
    let auth = auth.unwrap();
    let algorithm = if auth.method.0 == 14 { auth.data[1..=usize::from(auth.data[0])].to_vec() } else { Vec::new() };
    Ok((auth.method.0, algorithm))
}

// RFC 9593 §3.2.2, RFC 9593 §3.2.3: PSS or PKCS #1, the hash, the method of old.
#[test]
fn we_sign_as_the_peer_announced() {
    use SignatureScheme::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
    let digital = AuthMethod::DIGITAL_SIGNATURE;
    let any = |scheme| [&[0][..], &identifier(scheme)].concat();
    let of_first = |scheme| [&[1][..], &identifier(scheme)].concat();
    let pss512 = any(RsaPss(HashAlg::Sha512));
    let pkcs256 = any(RsaPkcs1(HashAlg::Sha256));
    let ecdsa384 = any(Ecdsa(HashAlg::Sha384));
    let linked = of_first(Ecdsa(HashAlg::Sha256));
    let unknown = [&[0][..], &[0x30, 3, 6, 1, 1]].concat();
    for (kind, methods, method, scheme) in [
        (Kind::Rsa, vec![(digital, &pss512[..]), (digital, &pkcs256)], 14, Some(RsaPss(HashAlg::Sha512))),
        (Kind::Rsa, vec![(digital, &pkcs256[..])], 14, Some(RsaPkcs1(HashAlg::Sha256))),
        (Kind::Rsa, vec![(AuthMethod::RSA_SIGNATURE, &[0][..]), (digital, &ecdsa384)], 1, None),
        (Kind::P256, vec![(digital, &unknown[..]), (digital, &ecdsa384)], 14, Some(Ecdsa(HashAlg::Sha384))),
        (Kind::P256, vec![(AuthMethod::ECDSA_SHA256_P256, &[0][..])], 9, None),
        // RFC 9593 §3.2.2: there is no CERTREQ, so a link says nothing.
        (Kind::P256, vec![(digital, &linked[..]), (digital, &ecdsa384)], 14, Some(Ecdsa(HashAlg::Sha256))),
        (Kind::Ed25519, vec![(digital, &any(Ed25519)[..]), (AuthMethod(200), &[1, 2, 3])], 14, Some(Ed25519)),
    ] {
        let made = auth_for(kind, &methods).unwrap_or_else(|host| panic!("{kind:?}: {:?}", host.failures()));
        assert_eq!(made, (method, scheme.map(identifier).unwrap_or_default()), "{kind:?} {methods:?}");
    }
    // Nothing that the key makes: said here, and nothing goes out.
    for (kind, methods) in [
        (Kind::Rsa, vec![(digital, &ecdsa384[..])]),
        (Kind::P256, vec![(AuthMethod::ECDSA_SHA384_P384, &[0][..])]),
        (Kind::Ed25519, vec![(AuthMethod::SHARED_KEY, &[][..])]),
    ] {
        let host = auth_for(kind, &methods).map(|made| panic!("{made:?}")).unwrap_err();
        let words = host.failure(Part::Configuration).to_string();
        assert!(words.contains("makes no signature by a method that the peer announced"), "{words}");
        assert!(host.endpoint.ike_sas().is_empty());
    }
}

// A responder heeds what the initiator says in IKE_AUTH.
#[test]
fn the_responder_signs_as_the_initiator_announced() {
    let papers = Papers2::new(Kind::Rsa);
    let mut lab = papers.lab(|a, b| {
        announce(a, b);
        // A knows B's certificate: an RSA key, of which it takes nothing with another hash.
        let mut trust = trust(&[&papers.root.der]);
        trust.restrictions.auth = vec![ravelin_pki::restriction::SchemeRule {
            family: ravelin_pki::restriction::Family::RsaPss,
            hash: Some(HashAlg::Sha384),
        }];
        a.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust));
    });
    lab.a.command(Command::Initiate(POLICY));
    let mut asked = None;
    for _ in 0..40 {
        for host in [&mut lab.a, &mut lab.b] {
            while !host.asked.is_empty() {
                if let Some((_, Question::Sign { peer, .. })) = host.asked.front() {
                    asked = Some(peer.clone());
                }
                host.answer();
            }
        }
        if !lab.a.sent.is_empty() {
            lab.a_to_b();
        } else if !lab.b.sent.is_empty() {
            lab.b_to_a();
        }
    }
    let methods = asked.unwrap().methods.unwrap();
    let [only] = &methods[..] else { panic!("{methods:?}") };
    assert_eq!((only.number, &only.algorithm), (14, &identifier(SignatureScheme::RsaPss(HashAlg::Sha384))));
    lab.assert_mirrored();
}

#[test]
fn what_the_peer_does_not_take_is_told_before_anything_is_proven() {
    // The initiator has a pre-shared key, and B wants certificates.
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|a, b| {
        announce(a, b);
        a.remotes[0].local_auth = LocalAuth::Psk(SECRET.into());
    });
    let (requests, _) = run(&mut lab);
    assert_eq!(requests, [(SA_INIT, 0)]);
    let failure = lab.a.failure(Part::Method);
    assert_eq!(failure.ours, ["pre-shared key"], "{failure}");
    assert!(failure.theirs.iter().any(|method| method.contains("digital signature by Ed25519")), "{failure}");
    // The responder has one, and A wants certificates.
    let mut lab = papers.lab(|a, b| {
        announce(a, b);
        b.remotes[0].local_auth = LocalAuth::Psk(SECRET.into());
    });
    run(&mut lab);
    assert_eq!(lab.b.failure(Part::Method).ours, ["pre-shared key"]);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

// Lengths that are not true; very many; none where none can come.
#[test]
fn lists_that_cannot_be_are_refused_and_long_ones_bounded() {
    for bad in [&[0][..], &[1, 2], &[2], &[9, 14, 0, 1], &[2, 2, 255]] {
        // In IKE_SA_INIT, which anybody can forge: it is no answer, and the right one is still taken.
        let mut host = Host::new(config(B, A), 2);
        host.command(Command::Initiate(POLICY));
        let request = host.take();
        let answer = Peer::new(1).answer_init_with(&request.data, &[notify(SAID, bad)]);
        let mut peer = Peer::new(1);
        peer.send(&mut host, &answer);
        assert_eq!(host.endpoint.counters().malformed, 1, "{bad:?}");
        let answer = peer.answer_init(&request.data);
        peer.send(&mut host, &answer);
        peer.asked(&mut host);
        // In IKE_AUTH.
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::keyed(&mut host);
        let mut request = peer.auth_request();
        request.push(notify(SAID, bad));
        let answer = peer.ask(&mut host, ravelin_wire::ike::header::ExchangeType::IKE_AUTH, &request);
        assert_eq!(notifies(&answer), [NotifyType::INVALID_SYNTAX], "{bad:?}");
        assert!(host.sas.is_empty());
    }
    let many = [2, 200].repeat(limits::AUTH_METHODS);
    for (data, taken) in [([&many[..], &[2, 2]].concat(), false), ([&[2, 2], &many[..], &[0]].concat(), true)] {
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::keyed(&mut host);
        let mut request = peer.auth_request();
        request.push(notify(SAID, &data));
        let answer = peer.ask(&mut host, ravelin_wire::ike::header::ExchangeType::IKE_AUTH, &request);
        assert_eq!(answer.iter().any(|payload| matches!(payload, Payload::Auth(_))), taken);
    }
    // An empty one, from a peer without IKE_INTERMEDIATE.
    let mut host = Host::new(config(B, A), 2);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(1);
    let answer = peer.answer_init_with(&request.data, &[notify(SAID, &[])]);
    peer.send(&mut host, &answer);
    let (id, request) = peer.asked(&mut host);
    assert!(id == 1 && request.iter().any(|payload| matches!(payload, Payload::Auth(_))));
}
