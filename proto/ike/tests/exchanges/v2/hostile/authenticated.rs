//! A peer that is who it says it is, and sends what it must not.

use ravelin_ike::Command;
use ravelin_ike::explain::Part;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::ProtocolId;
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::transform::{EncrId, IntegId, Transform};
use ravelin_types::{Identity, IkeSpi, Spi};
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v2::{AnySpi, AuthMethod, Chain, Delete, Notify, NotifyType, Payload, emit};

use super::{child_payloads, errors, is_down, keyed, spi_of, state, up};
use crate::lab::*;
use crate::v2::peer::{self, FIRST, Peer, deleted, notifies};

const SECOND: Spi = Spi(0x0abc_0002);

/// A chain of payloads as bytes, whatever they are: type and body of each.
fn chain(payloads: &[(u8, Vec<u8>)]) -> (PayloadType, Vec<u8>) {
    let mut bytes = Vec::new();
    for (i, (_, body)) in payloads.iter().enumerate() {
        bytes.push(payloads.get(i + 1).map_or(0, |next| next.0));
        bytes.push(0);
        bytes.extend(u16::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
    }
    (PayloadType(payloads.first().map_or(0, |first| first.0)), bytes)
}

fn selector(kind: u8, length: u16, ports: (u16, u16), addresses: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(addresses);
    bytes
}

fn ts_body(count: u8, selectors: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![count, 0, 0, 0];
    body.extend(selectors.concat());
    body
}

/// TS payloads that mean nothing.
fn bad_selectors() -> Vec<(&'static str, Vec<u8>)> {
    let host = [192, 0, 2, 1, 192, 0, 2, 1];
    let good = || selector(7, 16, (0, 65535), &host);
    vec![
        ("no selector", ts_body(0, &[])),
        ("count of none, one there", ts_body(0, &[good()])),
        ("count above what is there", ts_body(2, &[good()])),
        ("count of 255", ts_body(255, &[good()])),
        ("count below what is there", ts_body(1, &[good(), good()])),
        ("length too short", ts_body(1, &[selector(7, 12, (0, 65535), &host)])),
        ("length of nothing", ts_body(1, &[selector(7, 0, (0, 65535), &host)])),
        ("length of three", ts_body(1, &[selector(7, 3, (0, 65535), &host)])),
        ("length too long", ts_body(1, &[selector(7, 40, (0, 65535), &host)])),
        ("length of all", ts_body(1, &[selector(7, 65535, (0, 65535), &host)])),
        ("unknown type", ts_body(1, &[selector(99, 16, (0, 65535), &host)])),
        ("addresses backwards", ts_body(1, &[selector(7, 16, (0, 65535), &[192, 0, 2, 2, 192, 0, 2, 1])])),
        ("ports backwards", ts_body(1, &[selector(7, 16, (9, 8), &host)])),
        ("nearly opaque ports", ts_body(1, &[selector(7, 16, (65535, 1), &host)])),
        ("IPv6 type with IPv4 addresses", ts_body(1, &[selector(8, 16, (0, 65535), &host)])),
        ("IPv4 type with IPv6 addresses", ts_body(1, &[selector(7, 40, (0, 65535), &[0; 32])])),
        ("empty body", vec![]),
        ("half a header", vec![1, 0]),
    ]
}

/// The bodies of payloads in their order, ready to be mended.
fn bodies(payloads: &[Payload]) -> Vec<(u8, Vec<u8>)> {
    let chain = ravelin_wire::ike::v2::Chain::new(payloads).unwrap();
    let (mut rest, mut out) = (chain.bytes(), Vec::new());
    for payload in payloads {
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        out.push((payload.kind().0, rest[4..len].to_vec()));
        rest = &rest[len..];
    }
    out
}

// Row 11, CVE-2023-23009, byte by byte.
#[test]
fn malformed_traffic_selectors() {
    for (what, body) in bad_selectors() {
        for kind in [PayloadType::TSI.0, PayloadType::TSR.0] {
            // In CREATE_CHILD_SA.
            let (mut host, mut peer) = up();
            let mut payloads = bodies(&peer::child_request(SECOND, 9));
            payloads.iter_mut().filter(|payload| payload.0 == kind).for_each(|payload| payload.1 = body.clone());
            let (first, bytes) = chain(&payloads);
            let answer = peer.ask_bytes(&mut host, ExchangeType::CREATE_CHILD_SA, first, &bytes);
            let told = notifies(&answer);
            assert!(told == [NotifyType::INVALID_SYNTAX] || told == [NotifyType::TS_UNACCEPTABLE], "{what}: {told:?}");
            // RFC 7296 §2.21.3: INVALID_SYNTAX ends the IKE SA at both ends.
            assert_eq!(told == [NotifyType::INVALID_SYNTAX], is_down(&host), "{what}");
            assert!(!host.has(Outbound, SECOND));

            // In IKE_AUTH.
            let (mut host, mut peer) = keyed();
            let mut payloads = bodies(&peer.auth_request());
            payloads.iter_mut().filter(|payload| payload.0 == kind).for_each(|payload| payload.1 = body.clone());
            let (first, bytes) = chain(&payloads);
            let answer = peer.ask_bytes(&mut host, ExchangeType::IKE_AUTH, first, &bytes);
            let told = notifies(&answer);
            assert!(told == [NotifyType::INVALID_SYNTAX] || told == [NotifyType::TS_UNACCEPTABLE], "{what}: {told:?}");
            assert!(host.sas.is_empty(), "{what}");
        }
    }
}

// Row 21, CVE-2013-6467: a payload that must be there is missing, or is there twice.
#[test]
fn create_child_sa_needs_each_payload_once() {
    let (_, mut example) = up();
    let child = peer::child_request(SECOND, 9);
    let ike = peer::ike_request(&mut example, IkeSpi(0xaa), 9).0;
    for payloads in [child, ike] {
        for at in 0..payloads.len() {
            for twice in [false, true] {
                let mut changed = payloads.clone();
                match twice {
                    true => changed.insert(at, payloads[at].clone()),
                    false => drop(changed.remove(at)),
                }
                let (mut host, mut peer) = up();
                let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &changed);
                assert_eq!(answer.len(), 1, "{answer:?}");
                assert_eq!(notifies(&answer), [NotifyType::INVALID_SYNTAX]);
                assert!(is_down(&host));
                assert!(host.failures().iter().any(|failure| !failure.theirs.is_empty()));
            }
        }
    }
}

// Row 21: the endpoint asks and the answer lacks something.
#[test]
fn answers_need_each_payload_once() {
    let [tsi, tsr] = peer::ts(B, A);
    let whole = vec![peer::sa(vec![peer::answered_esp()], SECOND.into()), peer::nonce(&[9; 32]), tsi, tsr];
    for at in 0..whole.len() {
        for twice in [false, true] {
            let (mut host, mut peer) = up();
            let old = host.child().inbound;
            host.command(ravelin_ike::Command::RekeyChild(POLICY));
            let (id, asked) = peer.asked(&mut host);
            let new = peer::spi_of(&asked).child().unwrap();
            let mut changed = whole.clone();
            match twice {
                true => changed.insert(at, whole[at].clone()),
                false => drop(changed.remove(at)),
            }
            peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &changed);
            assert!(host.has(Inbound, old) && !host.has(Outbound, SECOND), "the old one stays");
            assert_eq!(host.sas.len(), 2);
            // RFC 7296 §2.21: no error in answer to a response, but what the peer made has to go.
            let (id, asked) = peer.asked(&mut host);
            assert_eq!(deleted(&asked), [new]);
            peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
            assert_eq!(host.ike().state, "ESTABLISHED");
        }
    }
}

// Row 24, CVE-2015-3991: payload types of no meaning here, with and without the critical bit.
// RFC 7296 §3.12: unfamiliar Vendor IDs are ignored, like whatever is not critical.
#[test]
fn every_payload_type_inside_a_protected_message() {
    for kind in 1..=255u8 {
        let known = (33..=48).contains(&kind) || [53, 54].contains(&kind);
        let (mut host, mut peer) = up();
        let before = state(&host);
        let (first, mut bytes) = chain(&[(kind, vec![0; 8])]);
        let answer = peer.ask_bytes(&mut host, ExchangeType::INFORMATIONAL, first, &bytes);
        if !known {
            // RFC 7296 §2.5: passed over.
            assert_eq!(answer, [], "payload type {kind}");
            assert_eq!(state(&host), before);
            bytes[1] = 0x80;
            let answer = peer.ask_bytes(&mut host, ExchangeType::INFORMATIONAL, first, &bytes);
            let [Payload::Notify(notify)] = &answer[..] else { panic!("{answer:?}") };
            assert_eq!(notify.kind, NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD);
            assert_eq!(notify.data, [kind]);
            assert_eq!(state(&host), before, "payload type {kind}");
        } else {
            assert!(answer.is_empty() || notifies(&answer) == [NotifyType::INVALID_SYNTAX], "{kind}: {answer:?}");
            assert!(state(&host) == before || is_down(&host), "payload type {kind}");
        }
    }
}

// Row 35: SA payloads without proposals, and proposals without transforms or without an SPI.
// RFC 7296 §3.3: lengths and counts inside an SA payload agree.
#[test]
fn proposals_of_nothing() {
    for (body, fatal) in [
        (vec![], true),
        (vec![0, 0, 0, 8, 1, 3, 0, 0], false),
        (vec![0, 0, 0, 12, 1, 3, 4, 0, 1, 2, 3, 4], false),
        (vec![0, 0, 0, 8, 1, 3, 255, 0], true),
        (vec![0, 0, 0, 8, 1, 3, 0, 9], true),
        (vec![2, 0, 0, 8, 1, 3, 0, 0], true),
        (vec![0, 0, 0, 0], true),
        (vec![0, 0, 255, 255, 1, 3, 4, 1], true),
    ] {
        let (mut host, mut peer) = up();
        let mut payloads = bodies(&peer::child_request(SECOND, 9));
        payloads[0].1 = body.clone();
        let (first, bytes) = chain(&payloads);
        let answer = peer.ask_bytes(&mut host, ExchangeType::CREATE_CHILD_SA, first, &bytes);
        let expected = if fatal { NotifyType::INVALID_SYNTAX } else { NotifyType::NO_PROPOSAL_CHOSEN };
        assert_eq!(notifies(&answer), [expected], "{body:?}");
        assert_eq!(is_down(&host), fatal, "{body:?}");
    }
    // An SPI of another size, or one that is reserved.
    for spi in [AnySpi::None, AnySpi::Ike(IkeSpi(1)), AnySpi::Child(Spi(0)), AnySpi::Child(Spi(255))] {
        let (mut host, mut peer) = up();
        let mut payloads = peer::child_request(SECOND, 9);
        payloads[0] = peer::sa(vec![esp_proposal()], spi);
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads);
        assert_eq!(answer.len(), 1);
        assert!(!notifies(&answer).is_empty());
        assert!(host.sas.len() == 2 || is_down(&host));
    }
}

// Row 96: an offer of encryption without integrity, also where somebody has configured that.
#[test]
fn encryption_without_integrity_is_not_agreed_on() {
    for (encr, bits) in
        [(EncrId::AES_CBC, Some(128)), (EncrId::AES_CTR, Some(128)), (EncrId::DES3, None), (EncrId::NULL, None)]
    {
        for integ in [None, Some(IntegId::NONE)] {
            let mut bare = esp_proposal();
            bare.transforms[0] = Transform::Encr(encr, bits);
            bare.transforms.extend(integ.map(Transform::Integ));
            for ours in [vec![esp_proposal(), esp_cbc()], vec![bare.clone()]] {
                let (mut host, mut peer) = up();
                host.configure(|config| config.policies[0].proposals = ours);
                let mut payloads = peer::child_request(SECOND, 9);
                payloads[0] = peer::sa(vec![bare.clone()], SECOND.into());
                let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads);
                assert_eq!(notifies(&answer), [NotifyType::NO_PROPOSAL_CHOSEN], "{bare}");
                assert_eq!(host.sas.len(), 2);
                // Beside it stands one that is whole.
                host.configure(|config| config.policies[0].proposals = vec![esp_proposal()]);
                payloads[0] = peer::sa(vec![bare.clone(), esp_proposal()], SECOND.into());
                let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads);
                assert_eq!((notifies(&answer), host.sas.len()), (vec![], 4), "{bare}");
            }
        }
    }
}

// An answer that chooses what was not offered, or more than one.
// RFC 7296 §2.7 and §3.3.6: one of the proposals, one transform of each type, nothing else.
#[test]
fn answers_that_choose_what_was_not_offered() {
    let aes256 = |mut proposal: ravelin_types::proposal::Proposal| {
        proposal.transforms[0] = Transform::Encr(EncrId::AES_GCM_16, Some(256));
        proposal
    };
    let good = peer::answered_esp();
    let mut twice = good.clone();
    twice.transforms.push(twice.transforms[0]);
    for sa in [
        peer::sa(vec![aes256(good.clone())], SECOND.into()),
        peer::sa(vec![good.clone(), good.clone()], SECOND.into()),
        peer::sa(vec![twice], SECOND.into()),
        peer::sa(vec![esp_cbc()], SECOND.into()),
        peer::sa(vec![good.clone()], Spi(3).into()),
        peer::sa(vec![ike_proposal(ravelin_types::transform::KeMethod::CURVE25519)], SECOND.into()),
    ] {
        let (mut host, mut peer) = up();
        host.command(ravelin_ike::Command::RekeyChild(POLICY));
        let (id, _) = peer.asked(&mut host);
        let [tsi, tsr] = peer::ts(B, A);
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[sa, peer::nonce(&[9; 32]), tsi, tsr]);
        assert!(!host.has(Outbound, SECOND));
        assert_eq!(host.sas.len(), 2, "the old one stays");
        assert_eq!(host.failures().len(), 1);
    }
}

// An answer whose selectors are not within what was offered.
#[test]
fn answers_that_widen_the_selectors() {
    for [tsi, tsr] in [peer::ts(B, "192.0.2.77"), peer::ts("192.0.2.77", A), peer::ts(A, B)] {
        let (mut host, mut peer) = up();
        host.command(ravelin_ike::Command::RekeyChild(POLICY));
        let (id, _) = peer.asked(&mut host);
        let sa = peer::sa(vec![peer::answered_esp()], SECOND.into());
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[sa, peer::nonce(&[9; 32]), tsi, tsr]);
        assert!(!host.has(Outbound, SECOND));
        host.failure(ravelin_ike::explain::Part::TrafficSelectors);
    }
}

// Row 1: payloads up to the bound of a message and beyond.
#[test]
fn the_number_of_payloads_is_bounded() {
    for count in [0usize, 1, 59, 60, 61, 62, 63, 64, 65] {
        let (mut host, mut peer) = up();
        let view = state(&host);
        let filler = vec![peer::notify(NotifyType(40000), &[]); count.min(64)];
        let chain = Chain::new(&filler).unwrap();
        let mut inner = chain.bytes().to_vec();
        if count > 64 {
            // One more than a chain can be built with: link the last to another.
            let last = inner.len() - 8;
            inner[last] = PayloadType::NOTIFY.0;
            inner.extend([0, 0, 0, 8, 0, 0, 0x9c, 0x40]);
        }
        let id = peer.next_id;
        let message = peer.seal_bytes(ExchangeType::INFORMATIONAL, false, id, chain.first(), &inner);
        peer.send(&mut host, &message);
        let answer = host.take();
        let answer = peer.open(&answer);
        if count > 64 {
            assert_eq!(errors(&answer), [NotifyType::INVALID_SYNTAX]);
        } else {
            assert_eq!(answer, []);
            assert_eq!(state(&host), view);
        }
        // Outside of SK, and with SKF for SK, it does not verify and disturbs nothing.
        let (mut host, peer) = up();
        let view = state(&host);
        let mut outer = message;
        let body = outer.split_off(28);
        let first = std::mem::replace(&mut outer[16], PayloadType::NOTIFY.0);
        for left in (0..count.max(1)).rev() {
            let next = if left == 0 { first } else { PayloadType::NOTIFY.0 };
            outer.extend([next, 0, 0, 8, 0, 0, 0x9c, 0x40]);
        }
        outer.extend(body);
        let len = outer.len() as u32;
        outer[24..28].copy_from_slice(&len.to_be_bytes());
        peer.send(&mut host, &outer);
        let at = outer.len();
        outer[at - 1] ^= 1;
        outer[16] = PayloadType::SKF.0;
        peer.send(&mut host, &outer);
        assert_eq!(state(&host), view);
    }
}

// Row 7: REKEY_SA for every protocol and every size of SPI.
#[test]
fn rekey_sa_for_anything_but_our_esp_sa_is_refused() {
    for protocol in [0, 1, 2, 3, 4, 255].map(ProtocolId) {
        for len in [0usize, 1, 4, 8, 255] {
            let (mut host, mut peer) = up();
            let spi = match len {
                0 => AnySpi::None,
                4 => AnySpi::Child(if protocol == ProtocolId::ESP { Spi(0x7777_7777) } else { FIRST }),
                8 => AnySpi::Ike(IkeSpi(7)),
                _ => AnySpi::Other(vec![7; len]),
            };
            let rekey = Payload::Notify(Notify::about(protocol, spi, NotifyType::REKEY_SA));
            let mut payloads = vec![rekey];
            payloads.extend(child_payloads(spi_of(1)));
            payloads.push(peer::nonce(&[9; 32]));
            let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads);
            if len == 4 {
                assert_eq!(errors(&answer), [NotifyType::CHILD_SA_NOT_FOUND]);
                assert_eq!(host.sas.len(), 2);
                let Payload::Notify(notify) = &answer[0] else { panic!("{answer:?}") };
                assert_eq!((notify.protocol, notify.spi.len()), (protocol, 4));
            } else {
                assert_eq!(errors(&answer), [NotifyType::INVALID_SYNTAX]);
            }
        }
    }
}

#[test]
fn malformed_inside_of_what_verifies_ends_the_ike_sa_on_both_sides() {
    let (mut host, mut peer) = up();
    let id = peer.next_id;
    let message = peer.seal_bytes(ExchangeType::INFORMATIONAL, false, id, PayloadType::DELETE, &[0, 0, 0, 3, 1]);
    peer.send(&mut host, &message);
    let answer = host.take();
    assert_eq!(errors(&peer.open(&answer)), [NotifyType::INVALID_SYNTAX]);
    assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
    host.failure(Part::Protocol);
}

// Row 61: INITIAL_CONTACT touches the IKE SAs of the identity that sent it, and no others.
#[test]
fn initial_contact_is_about_its_sender_alone() {
    let other = Identity::Fqdn("other.example.org".into());
    let mut lab = Lab::with(|_, b| {
        let mut second = b.remotes[0].clone();
        second.name = "other".into();
        second.remote_id = Identity::Fqdn("other.example.org".into());
        b.remotes.push(second);
    });
    lab.establish();
    let first = lab.b.ike().spis;
    let mut config = config(A, B);
    config.remotes[0].local_id = other;
    let mut stranger = Host::new(config, 4);
    stranger.command(Command::Initiate(POLICY));
    for _ in 0..2 {
        lab.b.receive(&stranger.take());
        let answer = lab.b.take();
        stranger.receive(&answer);
    }
    assert_eq!(stranger.ike().state, "ESTABLISHED");
    assert!(lab.b.endpoint.ike_sas().iter().any(|sa| sa.spis == first));
    assert_eq!(lab.b.endpoint.ike_sas().len(), 2);
}

// Row 61 once more: the operator gave the peer, or this host, another identity meanwhile; the newcomer does not speak for the
// old pair of them (RFC 7296 §2.4).
#[test]
fn initial_contact_is_about_one_pair_of_identities() {
    let other = || Identity::Fqdn("other.example.org".into());
    type Change = fn(&mut ravelin_ike::Remote);
    let cases: [(Change, bool); 3] = [
        (|remote| remote.remote_id = Identity::Fqdn("other.example.org".into()), true),
        (|remote| remote.local_id = Identity::Fqdn("other.example.org".into()), true),
        (|_| (), false),
    ];
    for (change, stays) in cases {
        let (mut host, _) = up();
        let old = host.ike().spis;
        host.configure(|config| change(&mut config.remotes[0]));
        let mut newcomer = Peer::new(2);
        let request = newcomer.init_request();
        newcomer.send(&mut host, &request);
        let answer = host.take();
        newcomer.init_answered(&answer.data);
        let id = if host.config.remotes[0].remote_id == other() { other() } else { newcomer.id.clone() };
        let mut payloads = newcomer.auth_request_as(id, AuthMethod::SHARED_KEY);
        payloads[2] = peer::sa_of(peer::answered_esp(), SECOND.into());
        payloads.push(peer::notify(NotifyType::INITIAL_CONTACT, &[]));
        newcomer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(host.endpoint.ike_sas().iter().any(|sa| sa.spis == old), stays);
        let sas = if stays { (2, 4) } else { (1, 2) };
        assert_eq!((host.endpoint.ike_sas().len(), host.sas.len()), sas);
    }
}

// An SPI that another Child SA has, be it of this peer or of another behind the same NAT: a data plane can tell the two
// apart by nothing else, so the newcomer must not get the other's place.
#[test]
fn an_outbound_spi_that_is_in_use_is_not_taken_again() {
    let (mut host, mut peer) = up();
    let before = state(&host);
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &peer::child_request(FIRST, 9));
    assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    let mut rekey = vec![peer::rekey_sa(FIRST)];
    rekey.extend(peer::child_request(FIRST, 9));
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &rekey);
    assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    assert_eq!(state(&host), before);
    // As long as the old one of a rekey is there, the new one waits to send, and its SPI is taken all the same.
    let mut rekey = vec![peer::rekey_sa(FIRST)];
    rekey.extend(peer::child_request(SECOND, 9));
    assert_eq!(notifies(&peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &rekey)), []);
    assert!(!host.has(Outbound, SECOND));
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &peer::child_request(SECOND, 9));
    assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    // Once deleted, it is free.
    peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
    assert!(host.has(Outbound, SECOND));
    assert_eq!(notifies(&peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &peer::child_request(FIRST, 9))), []);
    assert_eq!(host.sas.len(), 4);

    // In an answer: the Child SA that the peer made is deleted, the other stays as it is.
    let (mut host, mut peer) = up();
    host.command(Command::RekeyChild(POLICY));
    let (id, asked) = peer.asked(&mut host);
    let [tsi, tsr] = peer::ts(B, A);
    let sa = peer::sa_of(peer::answered_esp(), FIRST.into());
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[sa, peer::nonce(&[9; 32]), tsi, tsr]);
    assert_eq!(deleted(&peer.asked(&mut host).1), [peer::spi_of(&asked).child().unwrap()]);
    assert!(host.has(Outbound, FIRST));
    assert_eq!(host.sas.len(), 2);

    // In IKE_AUTH, by another peer at the same address.
    let (mut host, _) = up();
    host.configure(|config| {
        let mut other = config.remotes[0].clone();
        other.name = "other".into();
        other.remote_id = Identity::Fqdn("other.example.org".into());
        config.remotes.push(other);
        let mut policy = policy(PolicyId(8), Mode::Tunnel, B, A);
        policy.remote = "other".into();
        config.policies.push(policy);
    });
    let first = host.sas.clone();
    let mut other = Peer::new(2);
    let request = other.init_request();
    other.send(&mut host, &request);
    let answer = host.take();
    other.init_answered(&answer.data);
    let payloads = other.auth_request_as(Identity::Fqdn("other.example.org".into()), AuthMethod::SHARED_KEY);
    let answer = other.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    assert_eq!(host.endpoint.ike_sas().len(), 2);
    assert_eq!(host.sas.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
}

// Row 39: what nobody protected ends nothing, whatever it says.
#[test]
fn a_delete_in_clear_deletes_nothing() {
    let (mut host, peer) = up();
    let before = state(&host);
    let child = Delete::Child { protocol: ProtocolId::ESP, spis: vec![FIRST] };
    let failed = Notify::new(NotifyType::AUTHENTICATION_FAILED, Vec::new());
    for payload in [Payload::Delete(Delete::Ike), Payload::Delete(child), Payload::Notify(failed)] {
        for (exchange, response, id) in [
            (ExchangeType::INFORMATIONAL, false, peer.next_id),
            (ExchangeType::INFORMATIONAL, true, 0),
            (ExchangeType::IKE_AUTH, false, 1),
            (ExchangeType::CREATE_CHILD_SA, false, peer.next_id),
        ] {
            let message = emit(&peer.header(exchange, response, id), &Chain::new([&payload]).unwrap());
            peer.send(&mut host, &message);
            assert!(host.sent.is_empty(), "{exchange:?} {payload:?}");
        }
    }
    assert_eq!((state(&host), host.endpoint.counters().forged), (before, 12));
}
