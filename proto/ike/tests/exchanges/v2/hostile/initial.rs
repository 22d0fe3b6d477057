//! Peers that go wrong in IKE_SA_INIT and IKE_AUTH.

use std::sync::Arc;

use ravelin_crypto::{CryptoProvider, EncrAlg};
use ravelin_crypto_aws_lc::provider;
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Endpoint, limits};
use ravelin_testkit::SeededRandom;
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{Additional, EncrId, IntegId, KeMethod, PrfId, SnId, Transform, TransformType};
use ravelin_types::{IdType, Identity};
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v2::{AnySpi, AuthMethod, Chain, Ke, NotifyType, Payload, Ts, TsEntry, TsType};

use super::{errors, every_request, fresh, keyed, up};
use crate::lab::*;
use crate::v2::peer::{self, FIRST, Peer};

// Rows 14, 26, 31: every exchange before IKE_AUTH, protected by the keys of IKE_SA_INIT.
// RFC 7296 §1: the order of the exchanges.
#[test]
fn nothing_but_ike_auth_comes_after_ike_sa_init() {
    let (mut host, mut peer) = keyed();
    let requests = every_request(&mut peer);
    for exchange in (0..=255).map(ExchangeType).filter(|exchange| *exchange != ExchangeType::IKE_AUTH) {
        for id in [0, 1, 2] {
            for payloads in &requests {
                let message = peer.seal(exchange, false, id, payloads);
                peer.send(&mut host, &message);
            }
            let message = peer.seal(exchange, true, id, &[]);
            peer.send(&mut host, &message);
        }
    }
    assert!(host.sent.is_empty() && host.sas.is_empty());
    assert_eq!(host.ike().state, "IKE_SA_INIT");
    // IKE_AUTH with another message ID is none.
    for id in [0, 2, u32::MAX] {
        let message = peer.seal(ExchangeType::IKE_AUTH, false, id, &peer.auth_request());
        peer.send(&mut host, &message);
    }
    assert!(host.sent.is_empty());
    let payloads = peer.auth_request();
    peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(host.ike().state, "ESTABLISHED");
}

// Row 26 as initiator: an answer to IKE_SA_INIT by CREATE_CHILD_SA or anything else.
#[test]
fn an_initiator_takes_only_the_answer_it_waits_for() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    let answer = lab.b.take();
    for exchange in (0..=255u8).filter(|exchange| *exchange != SA_INIT) {
        let mut other = answer.clone();
        other.data[18] = exchange;
        lab.a.receive(&other);
    }
    assert_eq!(lab.a.ike().state, "IKE_SA_INIT");
    assert!(lab.a.sent.is_empty());
    lab.a.receive(&answer);
    lab.settle();
    lab.assert_mirrored();
}

// Row 26 as initiator: the answer to IKE_AUTH as another exchange. It verifies, so it is the responder's, and no other will come.
#[test]
fn an_answer_to_ike_auth_that_is_of_another_exchange_ends_it_and_is_told() {
    let mut host = Host::new(config(B, A), 2);
    host.command(Command::Initiate(POLICY));
    let mut peer = Peer::new(5);
    let answer = peer.answer_init(&host.take().data);
    peer.send(&mut host, &answer);
    let (id, _) = peer.asked(&mut host);
    // What does not verify, or is of another number, is none.
    let payloads = peer.auth_answer();
    let mut forged = peer.seal(ExchangeType::INFORMATIONAL, true, id, &payloads);
    *forged.last_mut().unwrap() ^= 1;
    peer.send(&mut host, &forged);
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id + 1, &payloads);
    assert!(host.sent.is_empty() && host.failures().is_empty());
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &payloads);
    assert_eq!(host.failure(Part::Protocol).theirs, ["answers as INFORMATIONAL, and was asked as IKE_AUTH"]);
    assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
    // RFC 7296 §2.21.2: the peer must not have an IKE SA alone.
    let (_, told) = peer.asked(&mut host);
    assert_eq!(peer::notifies(&told), [NotifyType::INVALID_SYNTAX]);
}

// Row 21: each payload missing, each payload twice, in IKE_SA_INIT.
#[test]
fn ike_sa_init_needs_each_payload_once() {
    for index in 0..3 {
        for twice in [false, true] {
            let (mut host, mut peer) = fresh();
            let mut payloads = peer.init_payloads();
            if twice {
                payloads.push(payloads[index].clone())
            } else {
                drop(payloads.remove(index))
            }
            let message = peer.init_message(&payloads);
            peer.send(&mut host, &message);
            assert!(host.endpoint.ike_sas().is_empty());
            host.failure(Part::Protocol);
        }
    }
}

// Row 21 and 31: each payload missing, each payload twice, in IKE_AUTH.
#[test]
fn ike_auth_needs_each_payload_once() {
    for index in 0..5 {
        for twice in [false, true] {
            let (mut host, mut peer) = keyed();
            let mut payloads = peer.auth_request();
            if twice {
                payloads.push(payloads[index].clone())
            } else {
                drop(payloads.remove(index))
            }
            let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
            // RFC 7296 §2.16: without AUTH it wants EAP, which is not for it.
            let by_eap = index == 1 && !twice;
            let error = if by_eap { NotifyType::AUTHENTICATION_FAILED } else { NotifyType::INVALID_SYNTAX };
            assert_eq!(errors(&answer), [error]);
            assert_eq!(answer.len(), 1, "an error in IKE_AUTH tells nothing else");
            assert!(host.sas.is_empty());
            assert_eq!(host.ike().state, "IKE_SA_INIT");
            // The half-open IKE SA is spent: nothing can make it stand any more.
            let payloads = peer.auth_request();
            let again = peer.seal(ExchangeType::IKE_AUTH, false, 1, &payloads);
            peer.send(&mut host, &again);
            let again = host.take();
            assert_eq!(errors(&peer.open(&again)), [error]);
        }
    }
}

// Row 16: each transform type missing, or there twice, or NONE.
// RFC 7296 §3.3.3: the mandatory types of each protocol.
#[test]
fn ike_proposals_need_one_of_each_type() {
    let full = ike_proposal(KeMethod::CURVE25519).transforms;
    let cbc = vec![
        Transform::Encr(EncrId::AES_CBC, Some(128)),
        Transform::Integ(IntegId::HMAC_SHA2_256_128),
        Transform::Prf(PrfId::HMAC_SHA2_256),
        Transform::Ke(KeMethod::CURVE25519),
    ];
    let mut bad: Vec<Vec<Transform>> = Vec::new();
    for complete in [&full, &cbc] {
        for index in 0..complete.len() {
            let mut less = complete.clone();
            less.remove(index);
            bad.push(less);
        }
    }
    let replaced = |index: usize, transform| {
        let mut changed = full.clone();
        changed[index] = transform;
        changed
    };
    bad.push(replaced(2, Transform::Ke(KeMethod::NONE)));
    bad.push(replaced(0, Transform::Encr(EncrId::AES_GCM_16, None)));
    bad.push(replaced(0, Transform::Encr(EncrId::AES_GCM_16, Some(0))));
    bad.push(replaced(0, Transform::Encr(EncrId::NULL, None)));
    bad.push(full.iter().copied().chain([Transform::Integ(IntegId::HMAC_SHA2_256_128)]).collect());
    bad.push(full.iter().copied().chain([Transform::Sn(SnId::SEQUENTIAL_32)]).collect());
    bad.push(full.iter().copied().chain([Transform::Unknown { kind: TransformType(13), id: 36 }]).collect());
    // RFC 9370 §2.2.2: without IKE_INTERMEDIATE an additional key exchange is as unknown.
    let first = Additional::new(1).unwrap();
    bad.push(full.iter().copied().chain([Transform::AddKe(first, KeMethod::NONE)]).collect());
    bad.push(Vec::new());
    for transforms in bad {
        let (mut host, mut peer) = fresh();
        host.configure(|config| {
            let both = Proposal { protocol: ProtocolId::IKE, transforms: cbc.clone() };
            config.remotes[0].proposals.push(both);
        });
        let mut payloads = peer.init_payloads();
        payloads[0] = peer::sa_of(Proposal { protocol: ProtocolId::IKE, transforms: transforms.clone() }, AnySpi::None);
        let message = peer.init_message(&payloads);
        peer.send(&mut host, &message);
        assert!(host.endpoint.ike_sas().is_empty(), "{transforms:?}");
        host.failure(Part::IkeProposal);
    }
}

// Rows 17 and 34: each registered transform alone is refused, and so are reserved numbers and those of private use; none is looked up
// and missed later.
#[test]
fn an_offer_of_anything_else_is_refused() {
    let cbc = Proposal {
        protocol: ProtocolId::IKE,
        transforms: vec![
            Transform::Encr(EncrId::AES_CBC, Some(128)),
            Transform::Prf(PrfId::HMAC_SHA2_256),
            Transform::Ke(KeMethod::CURVE25519),
            Transform::Integ(IntegId::HMAC_SHA2_256_128),
        ],
    };
    let gcm = ike_proposal(KeMethod::CURVE25519);
    for id in (0..64u16).chain([255, 256, 1023, 1024, 1025, 1040, 0x7fff, 0x8000, 65535]) {
        for (wanted, index, transform) in [
            (&gcm, 0, Transform::Encr(EncrId(id), Some(128))),
            (&gcm, 0, Transform::Encr(EncrId(id), None)),
            (&gcm, 1, Transform::Prf(PrfId(id))),
            (&gcm, 2, Transform::Ke(KeMethod(id))),
            (&cbc, 3, Transform::Integ(IntegId(id))),
            (&gcm, 2, Transform::Unknown { kind: TransformType(14 + (id % 240) as u8), id }),
        ] {
            if wanted.transforms[index] == transform {
                continue;
            }
            let (mut host, mut peer) = fresh();
            host.configure(|config| config.remotes[0].proposals.push(cbc.clone()));
            let mut payloads = peer.init_payloads();
            let mut proposal = wanted.clone();
            proposal.transforms[index] = transform;
            payloads[0] = peer::sa_of(proposal, AnySpi::None);
            let message = peer.init_message(&payloads);
            peer.send(&mut host, &message);
            assert!(host.endpoint.ike_sas().is_empty(), "{transform:?}");
            host.failure(Part::IkeProposal);
            host.sent.clear();
            // The right one is still welcome.
            let request = peer.init_request();
            peer.send(&mut host, &request);
            assert_eq!(host.ike().state, "IKE_SA_INIT");
        }
    }
}

// Row 34: an algorithm in the configuration that the provider does not have is never offered and never chosen.
#[test]
fn what_the_provider_lacks_is_neither_offered_nor_chosen() {
    let encr: &'static [&'static dyn EncrAlg] =
        provider().encr.iter().copied().filter(|alg| alg.id() != EncrId::AES_GCM_16).collect::<Vec<_>>().leak();
    let poor = CryptoProvider { encr, ..provider() };
    let mut a = config(A, B);
    let mistakes = a.mistakes(&poor).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert_eq!(a.mistakes(&provider()), []);
    let chacha = Transform::Encr(EncrId::CHACHA20_POLY1305, None);
    a.remotes[0].proposals[0].transforms.push(chacha);
    a.policies[0].proposals[0].transforms.push(chacha);
    let now = ravelin_types::Instant::ZERO;
    let mut lab = Lab::with(|here, there| {
        *here = a.clone();
        there.remotes[0].proposals[0].transforms.push(chacha);
        there.policies[0].proposals[0].transforms.push(chacha);
    });
    lab.a.endpoint = Endpoint::new(Arc::new(a), poor, Box::new(SeededRandom::new(3)), now);
    lab.establish();
    assert_eq!(lab.b.ike().suite.unwrap().encr, EncrId::CHACHA20_POLY1305);
    assert_eq!(lab.b.child().suite.esp().unwrap().encr, EncrId::CHACHA20_POLY1305);
}

// Rows 19, 25, 32: values that are none, and groups that are none.
#[test]
fn bad_key_exchange_values_end_in_a_refusal() {
    // What else there is below and above the primes is in `every_vector_agrees` of the providers.
    for alg in crate::lab::provider().ke {
        let (method, len) = (alg.id(), alg.public_len().0);
        for data in [vec![], vec![0], vec![0; len - 1], vec![0; len], vec![0xff; len], vec![0; len + 1], vec![0; 4096]]
        {
            // RFC 7748 §5 masks and reduces: 2^255 - 1 is 18, a valid point.
            let reduces = [KeMethod::CURVE25519, KeMethod::CURVE448].contains(&method);
            if reduces && data == vec![0xff; len] {
                continue;
            }
            // FIPS 203 §7.2: any numbers below the modulus make a key, zero among them.
            let kem = [KeMethod::ML_KEM_512, KeMethod::ML_KEM_768, KeMethod::ML_KEM_1024].contains(&method);
            if kem && data == vec![0; len] {
                continue;
            }
            let (mut host, mut peer) = fresh();
            host.configure(|config| config.remotes[0].proposals = vec![ike_proposal(method)]);
            let mut payloads = peer.init_payloads();
            payloads[0] = peer::sa_of(ike_proposal(method), AnySpi::None);
            payloads[1] = Payload::Ke(Ke { method, data: data.clone() });
            let message = peer.init_message(&payloads);
            peer.send(&mut host, &message);
            // A method that takes long is computed elsewhere.
            host.answer();
            assert!(host.endpoint.ike_sas().is_empty(), "{method} {data:?}");
            host.failure(Part::Protocol);
        }
    }
    for method in (0..40).chain([1025, 65535]).map(KeMethod).filter(|method| *method != KeMethod::CURVE25519) {
        let (mut host, mut peer) = fresh();
        let mut payloads = peer.init_payloads();
        payloads[1] = Payload::Ke(Ke { method, data: vec![1; 32] });
        let message = peer.init_message(&payloads);
        peer.send(&mut host, &message);
        assert!(host.endpoint.ike_sas().is_empty());
        // N(INVALID_KE_PAYLOAD) names the group that the offer has.
        let answer = host.take();
        assert_eq!(answer.data[answer.data.len() - 2..], 31u16.to_be_bytes());
    }
}

// Row 24: payload types of IKEv1 and unknown ones, critical and not.
// RFC 7296 §3.2 and §4: skipped, or rejected when critical.
#[test]
fn unknown_payloads_are_passed_over_unless_critical() {
    let known = PayloadType::SA.0..=PayloadType::EAP.0;
    let known = |kind: &u8| known.contains(kind) || [PayloadType::SKF.0, PayloadType::PS.0].contains(kind);
    for kind in (1..=255u8).filter(|kind| !known(kind)) {
        for critical in [false, true] {
            let unknown = Payload::Unknown { kind: PayloadType(kind), critical, body: vec![1, 2, 3] };
            let (mut host, mut peer) = fresh();
            let mut payloads = peer.init_payloads();
            payloads.push(unknown.clone());
            let message = peer.init_message(&payloads);
            peer.send(&mut host, &message);
            assert_eq!(host.endpoint.ike_sas().len(), usize::from(!critical), "{kind}");
            if kind % 16 != 0 {
                continue;
            }
            let (mut host, mut peer) = up();
            let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[unknown]);
            let expected = if critical { vec![NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD] } else { vec![] };
            assert_eq!(errors(&answer), expected);
            assert_eq!(host.ike().state, "ESTABLISHED");
            if let [Payload::Notify(notify)] = answer.as_slice() {
                assert_eq!(notify.data, [kind]);
            }
        }
    }
}

// RFC 7296 §2.5: that holds for payloads before the encrypted one, too.
#[test]
fn a_critical_payload_before_the_encrypted_one_is_refused() {
    for critical in [false, true] {
        let outside = [Payload::Unknown { kind: PayloadType(200), critical, body: vec![1, 2, 3] }];
        let refusal = if critical { vec![NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD] } else { vec![] };
        let (mut host, mut peer) = keyed();
        let payloads = peer.auth_request();
        let message = peer.seal_behind(ExchangeType::IKE_AUTH, 1, &outside, &payloads);
        peer.send(&mut host, &message);
        let answer = host.take();
        assert_eq!(errors(&peer.open(&answer)), refusal);
        assert_eq!(host.sas.is_empty(), critical);

        let (mut host, mut peer) = up();
        let message = peer.seal_behind(ExchangeType::INFORMATIONAL, peer.next_id, &outside, &[peer::delete(&[FIRST])]);
        peer.send(&mut host, &message);
        let answer = host.take();
        assert_eq!(errors(&peer.open(&answer)), refusal);
        assert_eq!((host.sas.len(), host.ike().state), (if critical { 2 } else { 0 }, "ESTABLISHED"));
    }
}

// Row 11: selectors that are none.
#[test]
fn bad_selectors_never_reach_the_data_plane() {
    let unusable = |kind, body: Vec<u8>| TsEntry::Unusable { kind: TsType(kind), protocol: 0, body };
    for entries in [
        // Start above end, ports reversed and not OPAQUE, IPv6 where only IPv4 is allowed, types that nobody knows.
        vec![unusable(7, vec![0, 0, 255, 255, 10, 0, 0, 2, 10, 0, 0, 1])],
        vec![unusable(7, vec![0, 9, 0, 8, 192, 0, 2, 1, 192, 0, 2, 1])],
        vec![unusable(8, [vec![0, 0, 255, 255], vec![0; 16], vec![255; 16]].concat())],
        vec![unusable(9, vec![0; 20]), unusable(10, vec![]), unusable(200, vec![1; 100])],
        vec![unusable(9, vec![0; 4]); 255],
    ] {
        let (mut host, mut peer) = keyed();
        let mut payloads = peer.auth_request();
        payloads[3] = Payload::TsI(Ts(entries.clone()));
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(errors(&answer), [NotifyType::TS_UNACCEPTABLE], "{entries:?}");
        assert!(host.sas.is_empty());
        assert_eq!(host.ike().state, "ESTABLISHED");
    }
    // Counts and lengths that lie: the whole message is malformed.
    for (at, value) in [(4, 0u8), (4, 2), (4, 255), (11, 15), (11, 17), (11, 0), (10, 255)] {
        let (mut host, mut peer) = keyed();
        let chain = Chain::new(&peer.auth_request()).unwrap();
        let mut inner = chain.bytes().to_vec();
        let tsr = inner.len() - 24;
        inner[tsr + at] = value;
        let message = peer.seal_bytes(ExchangeType::IKE_AUTH, false, 1, chain.first(), &inner);
        peer.send(&mut host, &message);
        let answer = host.take();
        assert_eq!(errors(&peer.open(&answer)), [NotifyType::INVALID_SYNTAX], "{at} {value}");
        assert!(host.sas.is_empty());
    }
}

// Rows 54, 23, 29: identities of every type and length, and those that begin as an encoded one does.
#[test]
fn identities_of_any_form_do_not_authenticate() {
    let long = [0usize, 1, 3, 4, 5, 15, 16, 17, 255, 256, 4096, 63_000].map(|len| vec![b'%'; len]);
    let encoded = [
        &[0x30][..],
        &[0x31],
        &[0x30, 0],
        &[0x30, 1],
        &[0x30, 0x80],
        &[0x30, 0x7f, 1],
        &[0x31, 0x81, 0],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
    ];
    for kind in (0..=15).chain([201, 255]).map(IdType) {
        for data in long.iter().map(Vec::as_slice).chain(encoded) {
            let Some(identity) = Identity::parse(kind, data) else { continue };
            let (mut host, mut peer) = keyed();
            let payloads = peer.auth_request_as(identity, AuthMethod::SHARED_KEY);
            let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
            assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
            let failure = host.failure(Part::Identity);
            assert!(failure.theirs[0].chars().count() <= limits::REPORT_LINE);
        }
    }
    // The empty ID payload and addresses of wrong lengths are malformed.
    let (mut host, mut peer) = keyed();
    let chain = Chain::new(&peer.auth_request()).unwrap();
    let mut inner = chain.bytes().to_vec();
    inner[4] = IdType::IPV4_ADDR.0;
    let message = peer.seal_bytes(ExchangeType::IKE_AUTH, false, 1, chain.first(), &inner);
    peer.send(&mut host, &message);
    let answer = host.take();
    assert_eq!(errors(&peer.open(&answer)), [NotifyType::INVALID_SYNTAX]);
}

// Row 28: distinguished names that are cut short, empty, of another order, or a part of the one that is expected. Those that are the
// same by the rule of certificates (RFC 5280 §7.1) are the one.
#[test]
fn distinguished_names_are_the_one_that_is_expected_or_none() {
    let attribute = |kind: u8, tag: u8, text: &[u8]| {
        let value = [&[0x06, 3, 0x55, 4, kind, tag, text.len() as u8][..], text].concat();
        [&[0x31, value.len() as u8 + 2, 0x30, value.len() as u8][..], &value].concat()
    };
    let name = |parts: &[Vec<u8>]| {
        let body = parts.concat();
        [&[0x30, body.len() as u8][..], &body].concat()
    };
    let both =
        |one: &[u8], other: &[u8]| [&[0x31, (one.len() + other.len()) as u8 - 4], &one[2..], &other[2..]].concat();
    let (organization, common) = (attribute(10, 0x0c, b"Ravelin"), attribute(3, 0x0c, b"a"));
    let expected = name(&[organization.clone(), common.clone()]);
    let expects = Identity::parse(IdType::DER_ASN1_DN, &expected).unwrap();
    let judged = |data: &[u8]| {
        let (mut host, mut peer) = keyed();
        host.configure(|config| config.remotes[0].remote_id = expects.clone());
        let Some(identity) = Identity::parse(IdType::DER_ASN1_DN, data) else { return false };
        let payloads = peer.auth_request_as(identity, AuthMethod::SHARED_KEY);
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        let taken = errors(&answer).is_empty();
        assert!(taken || errors(&answer) == [NotifyType::AUTHENTICATION_FAILED]);
        assert_eq!(host.sas.is_empty(), !taken);
        if taken {
            // However it writes itself, it is one peer.
            assert_eq!(host.endpoint.ike_sas()[0].identities.as_ref().unwrap().1, expects);
        }
        taken
    };
    assert!(judged(&expected));
    for (why, same) in [
        ("of another string type", name(&[attribute(10, 0x13, b"Ravelin"), common.clone()])),
        ("in other case", name(&[attribute(10, 0x0c, b"RAVELIN"), attribute(3, 0x0c, b"A")])),
        ("with more blanks", name(&[attribute(10, 0x0c, b"  Ravelin "), common.clone()])),
    ] {
        assert!(judged(&same), "{why}");
    }
    for len in 0..expected.len() {
        assert!(!judged(&expected[..len]), "{len} octets");
        let mut mended = expected[..len].to_vec();
        if len >= 2 {
            mended[1] = len as u8 - 2;
            assert!(!judged(&mended), "{len} octets, with that length");
        }
    }
    for (why, other) in [
        ("empty", name(&[])),
        ("a part of it", name(std::slice::from_ref(&organization))),
        ("in another order", name(&[common.clone(), organization.clone()])),
        ("more behind", name(&[organization.clone(), common.clone(), common.clone()])),
        ("the beginning of a value", name(&[attribute(10, 0x0c, b"Raveli"), common.clone()])),
        ("a blank within a value", name(&[attribute(10, 0x0c, b"Rave lin"), common.clone()])),
        ("nothing for a value", name(&[attribute(10, 0x0c, b"\0Ravelin\0"), common.clone()])),
        ("more in a part", name(&[both(&organization, &attribute(11, 0x0c, b"x")), common.clone()])),
        ("all in one part", name(&[both(&common, &organization)])),
        ("a part twice", name(&[both(&organization, &organization), common.clone()])),
        ("more of a value", name(&[attribute(10, 0x0c, b"Ravelin\0x"), common.clone()])),
        ("another attribute", name(&[attribute(11, 0x0c, b"Ravelin"), common.clone()])),
        ("octets that are no characters", name(&[attribute(10, 0x0c, &[0xff; 7]), common.clone()])),
        ("a number", name(&[attribute(10, 2, b"Ravelin"), common.clone()])),
        ("octets behind", [&expected[..], &[0]].concat()),
        ("lengths beyond", [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], &expected[2..]].concat()),
        ("a length without end", [&[0x30, 0x80][..], &expected[2..], &[0, 0]].concat()),
        ("a thousand deep", [0x30, 0x80].repeat(1000)),
    ] {
        assert!(!judged(&other), "{why}");
    }
}

// Row 59: no other method of authentication passes for a pre-shared key.
#[test]
fn only_the_pre_shared_key_authenticates() {
    for method in (0..=255).map(AuthMethod).filter(|method| *method != AuthMethod::SHARED_KEY) {
        let (mut host, mut peer) = keyed();
        let id = Identity::Fqdn("192.0.2.1.example.org".into());
        let payloads = peer.auth_request_as(id, method);
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
        assert!(host.sas.is_empty());
    }
    for data in [vec![], vec![0; 32], vec![0; 31], vec![0xff; 64]] {
        let (mut host, mut peer) = keyed();
        let mut payloads = peer.auth_request();
        if let Payload::Auth(auth) = &mut payloads[1] {
            auth.data = data;
        }
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
    }
}

// Row 6: the key goes between IKE_SA_INIT and IKE_AUTH.
#[test]
fn a_remote_that_is_removed_half_way_does_not_authenticate() {
    let (mut host, mut peer) = keyed();
    host.configure(|config| config.remotes.clear());
    let payloads = peer.auth_request();
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
    host.sleep(limits::HALF_OPEN_LIFETIME);
    assert!(host.endpoint.ike_sas().is_empty());

    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    lab.a.configure(|config| {
        config.remotes.clear();
        config.policies.clear();
    });
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    assert!(lab.a.endpoint.ike_sas().is_empty());
}

// Row 53: what a peer says of itself reaches logs and terminals only in printable characters.
#[test]
fn reports_hold_no_control_characters() {
    for data in [
        &b"\x1b[2J\x1b]0;owned\x07"[..],
        b"a\nikeSA up\r\n",
        b"$(reboot)\0`id`",
        "\u{202e}gnp.exe".as_bytes(),
        &[0xff; 40],
    ] {
        for kind in [IdType::FQDN, IdType::RFC822_ADDR, IdType::KEY_ID, IdType(200)] {
            let (mut host, mut peer) = keyed();
            let identity = Identity::parse(kind, data).unwrap();
            let payloads = peer.auth_request_as(identity, AuthMethod::SHARED_KEY);
            peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
            let report = host.failure(Part::Identity).to_string();
            assert!(report.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{report:?}");
        }
    }
}
