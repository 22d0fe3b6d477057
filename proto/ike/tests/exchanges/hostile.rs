//! Peers that break the protocol, and strangers that try to. Rows are those of the security history.

use std::sync::Arc;
use std::time::Duration;

use ravelin_crypto::{CryptoProvider, EncrAlg};
use ravelin_crypto_aws_lc::provider;
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Datagram, Endpoint, Input, Output, Transmit, limits};
use ravelin_testkit::SeededRandom;
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::Direction::Inbound;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, Transform, TransformType};
use ravelin_types::{IdType, Identity, IkeSpi, Spi};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, PayloadType, Version};
use ravelin_wire::ike::v2::{
    AnySpi, AuthMethod, Chain, Delete, Ke, Nonce, Notify, NotifyType, Payload, Ts, TsEntry, TsType, emit,
};

use crate::lab::*;
use crate::rogue::{Rogue, SPI, child_payloads, sa};

fn notify(kind: NotifyType) -> Payload {
    Payload::Notify(Notify::new(kind, Vec::new()))
}

/// The error notifies of an answer.
fn errors(answer: &[Payload]) -> Vec<NotifyType> {
    let kinds = answer.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind.is_error() => Some(notify.kind),
        _ => None,
    });
    kinds.collect()
}

fn spi_of(at: usize) -> Spi {
    Spi(0x0100_0000 + at as u32)
}

/// Whatever arrives, the IKE SA and its Child SA stand as before and nothing is sent that a stranger could use.
fn assert_undisturbed(host: &Host, view: &str) {
    assert_eq!(format!("{:?}", host.endpoint.ike_sas()), view);
    assert_eq!(host.sas.len(), 2);
}

// Rows 22, 36, 12: every length, and a length field that lies.
#[test]
fn messages_of_any_length_are_counted_and_dropped() {
    let mut lab = Lab::up();
    let view = format!("{:?}", lab.b.endpoint.ike_sas());
    lab.a.command(Command::CheckLiveness("peer".into()));
    let real = lab.a.take();
    for len in 0..real.data.len() {
        let cut = Transmit { data: real.data[..len].to_vec(), ..real.clone() };
        lab.b.receive(&cut);
        let mut mended = cut.clone();
        if len >= 28 {
            mended.data[24..28].copy_from_slice(&(len as u32).to_be_bytes());
            lab.b.receive(&mended);
        }
    }
    for length in [0u32, 27, 28, real.data.len() as u32 - 1, real.data.len() as u32 + 1, u32::MAX] {
        let mut lying = real.clone();
        lying.data[24..28].copy_from_slice(&length.to_be_bytes());
        lab.b.receive(&lying);
    }
    assert!(lab.b.sent.is_empty());
    assert_undisturbed(&lab.b, &view);
    assert!(lab.b.endpoint.counters().malformed > 0);
    // The real one still counts.
    lab.b.receive(&real);
    assert_eq!(lab.b.sent.len(), 1);
}

#[test]
fn no_flipped_bit_disturbs_an_ike_sa() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyChild(POLICY));
    let request = lab.a.take();
    let view = format!("{:?}", lab.b.endpoint.ike_sas());
    for at in 0..request.data.len() {
        for bit in 0..8 {
            let mut flipped = request.clone();
            flipped.data[at] ^= 1 << bit;
            lab.b.receive(&flipped);
        }
    }
    assert_undisturbed(&lab.b, &view);
    // Answers went to what named no IKE SA here, at their bounded rate and without protection.
    assert!(lab.b.sent.len() <= limits::UNPROTECTED_PER_SECOND as usize);
    assert!(lab.b.sent.iter().all(|message| message.data.len() == 36));
    lab.b.sent.clear();
    // The same for the answer.
    lab.b.receive(&request);
    let answer = lab.b.take();
    let view = format!("{:?}", lab.a.endpoint.ike_sas());
    for at in 0..answer.data.len() {
        let mut flipped = answer.clone();
        flipped.data[at] ^= 0x10;
        lab.a.receive(&flipped);
    }
    assert_undisturbed(&lab.a, &view);
    lab.a.receive(&answer);
    lab.settle();
    lab.assert_mirrored();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

#[test]
fn no_flipped_bit_of_the_initial_exchanges_leads_to_an_ike_sa() {
    // Message by message: request and answer of IKE_SA_INIT, request and answer of IKE_AUTH.
    for message in 0..4 {
        let mut lab = Lab::new();
        lab.a.command(Command::Initiate(POLICY));
        for step in 0..message {
            if step % 2 == 0 {
                lab.a_to_b()
            } else {
                lab.b_to_a()
            };
        }
        let from_a = message % 2 == 0;
        let real = if from_a { lab.a.take() } else { lab.b.take() };
        for at in 0..real.data.len() {
            let mut flipped = real.clone();
            flipped.data[at] ^= 0x40;
            let host = if from_a { &mut lab.b } else { &mut lab.a };
            host.receive(&flipped);
            assert!(host.sas.is_empty());
            assert!(host.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"));
        }
    }
}

// Rows 14, 26, 31: every exchange before IKE_AUTH, protected by the keys of IKE_SA_INIT.
#[test]
fn nothing_but_ike_auth_comes_after_ike_sa_init() {
    let mut rogue = Rogue::half_open();
    for exchange in (0..=255).map(ExchangeType).filter(|exchange| *exchange != ExchangeType::IKE_AUTH) {
        for id in [0, 1, 2] {
            let mut payloads = child_payloads(SPI);
            payloads.insert(1, rogue.nonce());
            let message = rogue.seal(exchange, false, id, &payloads);
            rogue.send(message);
            let message = rogue.seal(exchange, true, id, &[]);
            rogue.send(message);
        }
    }
    assert!(rogue.b.sent.is_empty() && rogue.b.sas.is_empty());
    assert_eq!(rogue.b.ike().state, "IKE_SA_INIT");
    // IKE_AUTH with another message ID is none.
    for id in [0, 2, u32::MAX] {
        let message = rogue.seal(ExchangeType::IKE_AUTH, false, id, &rogue.auth_payloads());
        rogue.send(message);
    }
    assert!(rogue.b.sent.is_empty());
    let payloads = rogue.auth_payloads();
    rogue.ask(ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(rogue.b.ike().state, "ESTABLISHED");
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

// Row 21: each payload missing, each payload twice, in IKE_SA_INIT.
#[test]
fn ike_sa_init_needs_each_payload_once() {
    for index in 0..3 {
        for twice in [false, true] {
            let mut rogue = Rogue::new();
            let mut payloads = rogue.init_payloads();
            if twice {
                payloads.push(payloads[index].clone())
            } else {
                drop(payloads.remove(index))
            }
            let message = rogue.init(&payloads);
            rogue.send(message);
            assert!(rogue.b.endpoint.ike_sas().is_empty());
            rogue.b.failure(Part::Protocol);
        }
    }
}

// Row 21 and 31: each payload missing, each payload twice, in IKE_AUTH.
#[test]
fn ike_auth_needs_each_payload_once() {
    for index in 0..5 {
        for twice in [false, true] {
            let mut rogue = Rogue::half_open();
            let mut payloads = rogue.auth_payloads();
            if twice {
                payloads.push(payloads[index].clone())
            } else {
                drop(payloads.remove(index))
            }
            let answer = rogue.ask(ExchangeType::IKE_AUTH, &payloads);
            assert_eq!(errors(&answer), [NotifyType::INVALID_SYNTAX]);
            assert_eq!(answer.len(), 1, "an error in IKE_AUTH tells nothing else");
            assert!(rogue.b.sas.is_empty());
            assert_eq!(rogue.b.ike().state, "IKE_SA_INIT");
            // The half-open IKE SA is spent: nothing can make it stand any more.
            let payloads = rogue.auth_payloads();
            let again = rogue.seal(ExchangeType::IKE_AUTH, false, 1, &payloads);
            rogue.send(again);
            let again = rogue.b.take();
            assert_eq!(errors(&rogue.open(&again.data)), [NotifyType::INVALID_SYNTAX]);
        }
    }
}

// Row 21: the same for CREATE_CHILD_SA. The peer broke the protocol, so the IKE SA ends on both sides.
#[test]
fn create_child_sa_needs_each_payload_once() {
    for index in 0..4 {
        for twice in [false, true] {
            let mut rogue = Rogue::up();
            let mut payloads = child_payloads(spi_of(1));
            payloads.insert(1, rogue.nonce());
            if twice {
                payloads.push(payloads[index].clone())
            } else {
                drop(payloads.remove(index))
            }
            let answer = rogue.ask(ExchangeType::CREATE_CHILD_SA, &payloads);
            assert_eq!(errors(&answer), [NotifyType::INVALID_SYNTAX], "{index} {twice}");
            assert!(rogue.b.endpoint.ike_sas().is_empty() && rogue.b.sas.is_empty());
        }
    }
}

// Row 16: each transform type missing, or there twice, or NONE.
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
    bad.push(full.iter().copied().chain([Transform::Unknown { kind: TransformType(6), id: 36 }]).collect());
    bad.push(Vec::new());
    for transforms in bad {
        let mut rogue = Rogue::new();
        rogue.b.configure(|config| {
            let both = Proposal { protocol: ProtocolId::IKE, transforms: cbc.clone() };
            config.remotes[0].proposals.push(both);
        });
        let mut payloads = rogue.init_payloads();
        payloads[0] = sa(Proposal { protocol: ProtocolId::IKE, transforms: transforms.clone() }, AnySpi::None);
        let message = rogue.init(&payloads);
        rogue.send(message);
        assert!(rogue.b.endpoint.ike_sas().is_empty(), "{transforms:?}");
        rogue.b.failure(Part::IkeProposal);
    }
}

// Rows 17 and 34: each registered transform alone is refused, not looked up and missed later.
#[test]
fn an_offer_of_anything_else_is_refused() {
    for id in 0..64u16 {
        for (index, transform) in [
            (0, Transform::Encr(EncrId(id), Some(128))),
            (1, Transform::Prf(PrfId(id))),
            (2, Transform::Ke(KeMethod(id))),
        ] {
            let wanted = ike_proposal(KeMethod::CURVE25519);
            if wanted.transforms[index] == transform {
                continue;
            }
            let mut rogue = Rogue::new();
            let mut payloads = rogue.init_payloads();
            let mut proposal = wanted;
            proposal.transforms[index] = transform;
            payloads[0] = sa(proposal, AnySpi::None);
            let message = rogue.init(&payloads);
            rogue.send(message);
            assert!(rogue.b.endpoint.ike_sas().is_empty(), "{transform:?}");
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
    assert_eq!(lab.b.child().suite.encr, EncrId::CHACHA20_POLY1305);
}

// Rows 19, 25, 32: values that are none, and groups that are none.
#[test]
fn bad_key_exchange_values_end_in_a_refusal() {
    for (method, len) in [
        (KeMethod::CURVE25519, 32),
        (KeMethod::ECP256, 64),
        (KeMethod::ECP384, 96),
        (KeMethod::MODP2048, 256),
        (KeMethod::MODP3072, 384),
    ] {
        for data in [vec![], vec![0], vec![0; len - 1], vec![0; len], vec![0xff; len], vec![0; len + 1], vec![0; 4096]]
        {
            // 2^255 - 1 reduces to 18, a valid point: RFC 7748 §5 masks and reduces.
            if method == KeMethod::CURVE25519 && data == [0xff; 32] {
                continue;
            }
            let mut rogue = Rogue::new();
            rogue.b.configure(|config| config.remotes[0].proposals = vec![ike_proposal(method)]);
            let mut payloads = rogue.init_payloads();
            payloads[0] = sa(ike_proposal(method), AnySpi::None);
            payloads[1] = Payload::Ke(Ke { method, data: data.clone() });
            let message = rogue.init(&payloads);
            rogue.send(message);
            assert!(rogue.b.endpoint.ike_sas().is_empty(), "{method} {data:?}");
            rogue.b.failure(Part::KeyExchange);
        }
    }
    for method in (0..40).chain([1025, 65535]).map(KeMethod).filter(|method| *method != KeMethod::CURVE25519) {
        let mut rogue = Rogue::new();
        let mut payloads = rogue.init_payloads();
        payloads[1] = Payload::Ke(Ke { method, data: vec![1; 32] });
        let message = rogue.init(&payloads);
        rogue.send(message);
        assert!(rogue.b.endpoint.ike_sas().is_empty());
        // N(INVALID_KE_PAYLOAD) names the group that the offer has.
        let answer = rogue.b.take();
        assert_eq!(answer.data[answer.data.len() - 2..], 31u16.to_be_bytes());
    }
}

// Row 24: payload types of IKEv1 and unknown ones, critical and not.
#[test]
fn unknown_payloads_are_passed_over_unless_critical() {
    let known = PayloadType::SA.0..=PayloadType::EAP.0;
    for kind in (1..=255u8).filter(|kind| !known.contains(kind) && *kind != PayloadType::SKF.0) {
        for critical in [false, true] {
            let unknown = Payload::Unknown { kind: PayloadType(kind), critical, body: vec![1, 2, 3] };
            let mut rogue = Rogue::new();
            let mut payloads = rogue.init_payloads();
            payloads.push(unknown.clone());
            let message = rogue.init(&payloads);
            rogue.send(message);
            assert_eq!(rogue.b.endpoint.ike_sas().len(), usize::from(!critical), "{kind}");
            if kind % 16 != 0 {
                continue;
            }
            let mut rogue = Rogue::up();
            let answer = rogue.ask(ExchangeType::INFORMATIONAL, &[unknown]);
            let expected = if critical { vec![NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD] } else { vec![] };
            assert_eq!(errors(&answer), expected);
            assert_eq!(rogue.b.ike().state, "ESTABLISHED");
            if let [Payload::Notify(notify)] = answer.as_slice() {
                assert_eq!(notify.data, [kind]);
            }
        }
    }
}

// Row 1: payloads up to the bound of a message and beyond.
#[test]
fn the_number_of_payloads_is_bounded() {
    for count in [0usize, 1, 59, 60, 61, 62, 63, 64, 65] {
        let mut rogue = Rogue::up();
        let view = format!("{:?}", rogue.b.endpoint.ike_sas());
        let filler = vec![notify(NotifyType(40000)); count.min(64)];
        let chain = Chain::new(&filler).unwrap();
        let mut inner = chain.bytes().to_vec();
        if count > 64 {
            // One more than a chain can be built with: link the last to another.
            let last = inner.len() - 8;
            inner[last] = PayloadType::NOTIFY.0;
            inner.extend([0, 0, 0, 8, 0, 0, 0x9c, 0x40]);
        }
        let id = rogue.next_id();
        let message = rogue.seal_bytes(ExchangeType::INFORMATIONAL, false, id, chain.first(), &inner);
        rogue.send(message.clone());
        let answer = rogue.b.take();
        let answer = rogue.open(&answer.data);
        if count > 64 {
            assert_eq!(errors(&answer), [NotifyType::INVALID_SYNTAX]);
        } else {
            assert_eq!(answer, []);
            assert_undisturbed(&rogue.b, &view);
        }
        // Outside of SK, and with SKF for SK, it does not verify and disturbs nothing.
        let mut rogue = Rogue::up();
        let view = format!("{:?}", rogue.b.endpoint.ike_sas());
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
        rogue.send(outer.clone());
        let at = outer.len();
        outer[at - 1] ^= 1;
        outer[16] = PayloadType::SKF.0;
        rogue.send(outer);
        assert_undisturbed(&rogue.b, &view);
    }
}

// Row 7: REKEY_SA for every protocol and every size of SPI.
#[test]
fn rekey_sa_for_anything_but_our_esp_sa_is_refused() {
    for protocol in [0, 1, 2, 3, 4, 255].map(ProtocolId) {
        for len in [0usize, 1, 4, 8, 255] {
            let mut rogue = Rogue::up();
            let spi = match len {
                0 => AnySpi::None,
                4 => AnySpi::Child(if protocol == ProtocolId::ESP { Spi(0x7777_7777) } else { SPI }),
                8 => AnySpi::Ike(IkeSpi(7)),
                _ => AnySpi::Other(vec![7; len]),
            };
            let rekey = Payload::Notify(Notify::about(protocol, spi, NotifyType::REKEY_SA));
            let mut payloads = vec![rekey];
            payloads.extend(child_payloads(spi_of(1)));
            payloads.push(rogue.nonce());
            let answer = rogue.ask(ExchangeType::CREATE_CHILD_SA, &payloads);
            if len == 4 {
                assert_eq!(errors(&answer), [NotifyType::CHILD_SA_NOT_FOUND]);
                assert_eq!(rogue.b.sas.len(), 2);
                let Payload::Notify(notify) = &answer[0] else { panic!("{answer:?}") };
                assert_eq!((notify.protocol, notify.spi.len()), (protocol, 4));
            } else {
                assert_eq!(errors(&answer), [NotifyType::INVALID_SYNTAX]);
            }
        }
    }
}

// Row 11: selectors that are none.
#[test]
fn bad_selectors_never_reach_the_data_plane() {
    let unusable = |kind, body: Vec<u8>| TsEntry::Unusable { kind: TsType(kind), protocol: 0, body };
    for entries in [
        // Start above end, ports reversed (OPAQUE), IPv6 where only IPv4 is allowed, types that nobody knows.
        vec![unusable(7, vec![0, 0, 255, 255, 10, 0, 0, 2, 10, 0, 0, 1])],
        vec![unusable(7, vec![255, 255, 0, 0, 192, 0, 2, 1, 192, 0, 2, 1])],
        vec![unusable(8, [vec![0, 0, 255, 255], vec![0; 16], vec![255; 16]].concat())],
        vec![unusable(9, vec![0; 20]), unusable(10, vec![]), unusable(200, vec![1; 100])],
        vec![unusable(9, vec![0; 4]); 255],
    ] {
        let mut rogue = Rogue::half_open();
        let mut payloads = rogue.auth_payloads();
        payloads[3] = Payload::TsI(Ts(entries.clone()));
        let answer = rogue.ask(ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(errors(&answer), [NotifyType::TS_UNACCEPTABLE], "{entries:?}");
        assert!(rogue.b.sas.is_empty());
        assert_eq!(rogue.b.ike().state, "ESTABLISHED");
    }
    // Counts and lengths that lie: the whole message is malformed.
    for (at, value) in [(4, 0u8), (4, 2), (4, 255), (11, 15), (11, 17), (11, 0), (10, 255)] {
        let mut rogue = Rogue::half_open();
        let chain = Chain::new(&rogue.auth_payloads()).unwrap();
        let mut inner = chain.bytes().to_vec();
        let tsr = inner.len() - 24;
        inner[tsr + at] = value;
        let message = rogue.seal_bytes(ExchangeType::IKE_AUTH, false, 1, chain.first(), &inner);
        rogue.send(message);
        let answer = rogue.b.take();
        assert_eq!(errors(&rogue.open(&answer.data)), [NotifyType::INVALID_SYNTAX], "{at} {value}");
        assert!(rogue.b.sas.is_empty());
    }
}

// Rows 54, 23: identities of every type and length.
#[test]
fn identities_of_any_form_do_not_authenticate() {
    for kind in (0..=15).chain([201, 255]).map(IdType) {
        for len in [0usize, 1, 3, 4, 5, 15, 16, 17, 255, 256, 4096, 60000] {
            let Some(identity) = Identity::parse(kind, &vec![b'%'; len]) else { continue };
            let mut rogue = Rogue::half_open();
            let payloads = rogue.auth_payloads_as(identity, AuthMethod::SHARED_KEY);
            let answer = rogue.ask(ExchangeType::IKE_AUTH, &payloads);
            assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
            let failure = rogue.b.failure(Part::Identity);
            assert!(failure.theirs[0].chars().count() <= limits::REPORT_LINE);
        }
    }
    // The empty ID payload and addresses of wrong lengths are malformed.
    let mut rogue = Rogue::half_open();
    let chain = Chain::new(&rogue.auth_payloads()).unwrap();
    let mut inner = chain.bytes().to_vec();
    inner[4] = IdType::IPV4_ADDR.0;
    let message = rogue.seal_bytes(ExchangeType::IKE_AUTH, false, 1, chain.first(), &inner);
    rogue.send(message);
    let answer = rogue.b.take();
    assert_eq!(errors(&rogue.open(&answer.data)), [NotifyType::INVALID_SYNTAX]);
}

// Row 59: no other method of authentication passes for a pre-shared key.
#[test]
fn only_the_pre_shared_key_authenticates() {
    for method in (0..=255).map(AuthMethod).filter(|method| *method != AuthMethod::SHARED_KEY) {
        let mut rogue = Rogue::half_open();
        let id = Identity::Fqdn("192.0.2.1.example.org".into());
        let payloads = rogue.auth_payloads_as(id, method);
        let answer = rogue.ask(ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
        assert!(rogue.b.sas.is_empty());
    }
    for data in [vec![], vec![0; 32], vec![0; 31], vec![0xff; 64]] {
        let mut rogue = Rogue::half_open();
        let mut payloads = rogue.auth_payloads();
        if let Payload::Auth(auth) = &mut payloads[1] {
            auth.data = data;
        }
        let answer = rogue.ask(ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
    }
}

// Row 6: the key goes between IKE_SA_INIT and IKE_AUTH.
#[test]
fn a_remote_that_is_removed_half_way_does_not_authenticate() {
    let mut rogue = Rogue::half_open();
    rogue.b.configure(|config| config.remotes.clear());
    let payloads = rogue.auth_payloads();
    let answer = rogue.ask(ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(errors(&answer), [NotifyType::AUTHENTICATION_FAILED]);
    rogue.b.sleep(limits::HALF_OPEN_LIFETIME);
    assert!(rogue.b.endpoint.ike_sas().is_empty());

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

// Rows 12, 13: messages for IKE SAs that are not there.
#[test]
fn messages_for_no_ike_sa_get_a_bounded_number_of_short_answers() {
    let mut lab = Lab::up();
    let view = format!("{:?}", lab.b.endpoint.ike_sas());
    let mut count = 0;
    for exchange in 0..=255u8 {
        for flags in [0u8, 0x08, 0x20, 0x28] {
            for version in [0x10, 0x20, 0x2f, 0x30] {
                let mut data = vec![7; 16];
                data.extend([0, version, exchange, flags, 0, 0, 0, 0, 0, 0, 0, 28]);
                let message = Transmit { local: socket("192.0.2.1:500"), remote: socket("192.0.2.2:500"), data };
                lab.b.receive(&message);
                count += 1;
            }
        }
    }
    // Nothing of 28 bytes can be answered without amplification.
    assert!(lab.b.sent.is_empty());
    assert_undisturbed(&lab.b, &view);
    let counters = lab.b.endpoint.counters();
    assert!(counters.version + counters.unknown_spi + counters.malformed >= count / 2);
    // A response is never answered, and a request is, with INVALID_IKE_SPI and its own numbers.
    for (flags, answers) in [(0x28u8, 0), (0x08, 1)] {
        let mut data = vec![9; 16];
        data.extend([46, 0x20, INFO, flags, 0, 0, 0, 5, 0, 0, 0, 40, 0, 0, 0, 12, 0, 0, 0x9c, 0x40, 1, 2, 3, 4]);
        lab.b.sleep(Duration::from_secs(2));
        lab.b.receive(&Transmit { local: socket("192.0.2.1:500"), remote: socket("192.0.2.2:500"), data });
        assert_eq!(lab.b.sent.len(), answers);
    }
    let answer = lab.b.take();
    assert_eq!(kind(&answer.data), (INFO, 5, true));
    assert_eq!(answer.data[34..36], NotifyType::INVALID_IKE_SPI.0.to_be_bytes());
}

// RFC 7296 §1.5: it is a hint that must not be answered.
#[test]
fn an_unprotected_invalid_spi_makes_us_ask_the_peer_once() {
    let mut lab = Lab::up();
    let header = Header {
        initiator_spi: IkeSpi(1),
        responder_spi: IkeSpi(2),
        version: Version::V2,
        exchange: ExchangeType::INFORMATIONAL,
        flags: Flags::INITIATOR,
        message_id: 0,
    };
    for (spi, asked) in [(Spi(0x5555_5555), 0), (lab.b.child().outbound, 1), (lab.b.child().outbound, 1)] {
        let notify = Payload::Notify(Notify::new(NotifyType::INVALID_SPI, spi.0.to_be_bytes()));
        let data = emit(&header, &Chain::new(&[notify]).unwrap());
        lab.b.receive(&Transmit { local: socket("192.0.2.1:500"), remote: socket("192.0.2.2:500"), data });
        assert_eq!(lab.b.sent.len(), asked);
    }
    assert_eq!(lab.b.next(), Some((INFO, 0, false)));
    lab.settle();
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
}

#[test]
fn a_higher_major_version_is_told_ours() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let mut message = lab.a.take();
    message.data[17] = 0x30;
    lab.b.receive(&message);
    let answer = lab.b.take();
    assert_eq!(answer.data[17], 0x20);
    assert_eq!(answer.data[34..36], NotifyType::INVALID_MAJOR_VERSION.0.to_be_bytes());
    // A higher minor version is none of our business (RFC 7296 §2.5).
    message.data[17] = 0x2f;
    lab.b.receive(&message);
    assert_eq!(lab.b.endpoint.ike_sas().len(), 1);
}

// Row 65: COOKIE and INVALID_KE_PAYLOAD by turns, for ever.
#[test]
fn an_initiator_does_not_dance_for_ever() {
    let mut lab = Lab::with(|a, _| {
        a.remotes[0].proposals[0].transforms.push(Transform::Ke(KeMethod::ECP256));
    });
    lab.a.command(Command::Initiate(POLICY));
    let mut asked = 0;
    while let Some(request) = lab.a.sent.pop_front() {
        asked += 1;
        assert!(asked < 100, "it dances");
        let (header, _) = Header::parse(&request.data).unwrap();
        let reply = Header { flags: Flags::RESPONSE, version: Version::V2, ..header };
        let group = if asked / 2 % 2 == 1 { KeMethod::ECP256 } else { KeMethod::CURVE25519 };
        let notify = match asked % 2 {
            0 => Notify::new(NotifyType::INVALID_KE_PAYLOAD, group.0.to_be_bytes()),
            _ => Notify::new(NotifyType::COOKIE, vec![asked; 16]),
        };
        let data = emit(&reply, &Chain::new(&[Payload::Notify(notify)]).unwrap());
        lab.a.receive(&Transmit { local: request.remote, remote: request.local, data });
    }
    assert_eq!(u32::from(asked), limits::INIT_RESTARTS + 1);
    lab.a.failure(Part::Protocol);
}

// Row 64: cookies that are none.
#[test]
fn an_initiator_returns_only_cookies_of_the_allowed_size() {
    for len in [0usize, 65, 1000] {
        let mut lab = Lab::new();
        lab.a.command(Command::Initiate(POLICY));
        let request = lab.a.take();
        let (header, _) = Header::parse(&request.data).unwrap();
        let reply = Header { flags: Flags::RESPONSE, ..header };
        let cookie = Payload::Notify(Notify::new(NotifyType::COOKIE, vec![1; len]));
        let data = emit(&reply, &Chain::new(&[cookie]).unwrap());
        lab.a.receive(&Transmit { local: request.remote, remote: request.local, data });
        assert!(lab.a.sent.is_empty());
        // The true answer is still welcome.
        lab.b.receive(&request);
        lab.settle();
        lab.assert_mirrored();
    }
}

// No amplification before a cookie: an answer longer than the request waits until the sender has shown that it
// receives.
#[test]
fn a_short_request_gets_a_cookie_first() {
    let mut rogue = Rogue::new();
    let mut payloads = rogue.init_payloads();
    payloads.truncate(3);
    payloads[2] = Payload::Nonce(Nonce::new(vec![5; 16]).unwrap());
    let request = rogue.init(&payloads);
    rogue.send(request.clone());
    assert!(rogue.b.endpoint.ike_sas().is_empty());
    let answer = rogue.b.take();
    assert!(answer.data.len() <= request.len());
    assert_eq!(rogue.b.endpoint.counters().cookies, 1);
    // With the cookie it goes on.
    let cookie = answer.data[28 + 8..].to_vec();
    payloads.insert(0, Payload::Notify(Notify::new(NotifyType::COOKIE, cookie)));
    let request = rogue.init(&payloads);
    rogue.send(request);
    assert_eq!(rogue.b.endpoint.ike_sas().len(), 1);
}

#[test]
fn no_answer_to_a_stranger_is_longer_than_its_question() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let real = lab.a.take();
    for at in 0..real.data.len() {
        for value in [0u8, 1, 0x41, 0xff] {
            lab.b.sleep(Duration::from_secs(1));
            let mut changed = real.clone();
            changed.data[at] = value;
            lab.b.receive(&changed);
            for answer in lab.b.sent.drain(..) {
                assert!(answer.data.len() <= changed.data.len());
            }
        }
    }
}

// Row 74: deletes and rekeys without end change nothing but what they name.
#[test]
fn a_storm_of_deletes_is_answered_and_harmless() {
    let mut rogue = Rogue::up();
    for round in 0..50 {
        let spis = (0..1000).map(|i| Spi(0x4000_0000 + round * 1000 + i)).collect();
        let delete = Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis });
        assert_eq!(rogue.ask(ExchangeType::INFORMATIONAL, &[delete]), []);
    }
    let odd = [
        Payload::Delete(Delete::Child { protocol: ProtocolId::AH, spis: vec![SPI] }),
        Payload::Delete(Delete::Other { protocol: ProtocolId(99), spi_len: 1, count: 1, spis: vec![1] }),
    ];
    assert_eq!(rogue.ask(ExchangeType::INFORMATIONAL, &odd), []);
    assert_eq!(rogue.b.sas.len(), 2);
    // The same SPI over and over, in one message: it goes once.
    let delete = Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis: vec![SPI; 1000] });
    let inbound = rogue.b.child().inbound;
    let answer = rogue.ask(ExchangeType::INFORMATIONAL, &[delete.clone(), delete]);
    let gone = Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis: vec![inbound] });
    assert_eq!(answer, [gone]);
    assert!(rogue.b.sas.is_empty());
}

// Row 74: a peer that makes Child SAs or rekeys one without ever deleting meets the bound.
#[test]
fn rekeys_without_deletes_meet_the_bound() {
    let mut rogue = Rogue::up();
    let mut old = SPI;
    let mut made = 1;
    for at in 1..2 * limits::CHILDREN_PER_IKE_SA {
        let mut payloads = vec![Payload::Notify(Notify::about(ProtocolId::ESP, old, NotifyType::REKEY_SA))];
        payloads.extend(child_payloads(spi_of(at)));
        payloads.push(rogue.nonce());
        let answer = rogue.ask(ExchangeType::CREATE_CHILD_SA, &payloads);
        if errors(&answer).is_empty() {
            made += 1;
            old = spi_of(at);
        } else {
            assert_eq!(errors(&answer), [NotifyType::NO_ADDITIONAL_SAS]);
        }
    }
    assert_eq!(made, limits::CHILDREN_PER_IKE_SA);
    assert!(rogue.b.sas.len() <= 2 * made);
}

#[test]
fn malformed_inside_of_what_verifies_ends_the_ike_sa_on_both_sides() {
    let mut rogue = Rogue::up();
    let id = rogue.next_id();
    let message = rogue.seal_bytes(ExchangeType::INFORMATIONAL, false, id, PayloadType::DELETE, &[0, 0, 0, 3, 1]);
    rogue.send(message);
    let answer = rogue.b.take();
    assert_eq!(errors(&rogue.open(&answer.data)), [NotifyType::INVALID_SYNTAX]);
    assert!(rogue.b.endpoint.ike_sas().is_empty() && rogue.b.sas.is_empty());
    rogue.b.failure(Part::Protocol);
}

#[test]
fn a_response_that_nobody_asked_for_is_counted_and_dropped() {
    let mut rogue = Rogue::up();
    let view = format!("{:?}", rogue.b.endpoint.ike_sas());
    for id in [0, 1, 2, u32::MAX] {
        let delete = Payload::Delete(Delete::Ike);
        for exchange in [ExchangeType::INFORMATIONAL, ExchangeType::CREATE_CHILD_SA] {
            let message = rogue.seal(exchange, true, id, std::slice::from_ref(&delete));
            rogue.send(message);
        }
    }
    assert_undisturbed(&rogue.b, &view);
    assert_eq!(rogue.b.endpoint.counters().outside_window, 8);
    // Requests ahead of the window and behind it.
    for id in [0, 1, 4, u32::MAX] {
        let message = rogue.seal(ExchangeType::INFORMATIONAL, false, id, &[Payload::Delete(Delete::Ike)]);
        rogue.send(message);
    }
    assert_undisturbed(&rogue.b, &view);
    assert!(rogue.b.sent.iter().all(|answer| kind(&answer.data) == (AUTH, 1, true)), "only IKE_AUTH is repeated");
}

#[test]
fn random_datagrams_never_panic_and_never_disturb() {
    let mut lab = Lab::up();
    let view = format!("{:?}", lab.b.endpoint.ike_sas());
    let mut rng = SeededRandom::new(99);
    lab.a.command(Command::CheckLiveness("peer".into()));
    let real = lab.a.take();
    for _ in 0..3000 {
        let mut data = real.data.clone();
        let (from, to) = (rng.below(80) as usize, rng.below(80) as usize);
        for at in from.min(to)..from.max(to).min(data.len()) {
            data[at] = rng.next_u64() as u8;
        }
        if rng.below(2) == 0 {
            data[17] = 0x20;
            let len = data.len() as u32;
            data[24..28].copy_from_slice(&len.to_be_bytes());
        }
        if data == real.data {
            continue;
        }
        let datagram = Datagram { local: real.remote, remote: real.local, data: &data };
        lab.b.endpoint.handle(Input::Datagram(datagram), lab.b.now);
        while !matches!(lab.b.endpoint.poll(), Output::Wait(_)) {}
    }
    let established = |view: &str| view.matches("ESTABLISHED").count();
    assert_eq!(established(&format!("{:?}", lab.b.endpoint.ike_sas())), established(&view));
    assert!(lab.b.has(Inbound, lab.b.children()[0].inbound));
    lab.b.receive(&real);
    lab.settle();
    lab.assert_mirrored();
}

#[test]
fn an_answer_that_is_wider_than_the_question_is_not_taken() {
    // B is the rogue's victim as responder above; here A asks and the answer is changed by a peer with the keys.
    let mut rogue = Rogue::up();
    rogue.b.command(Command::RekeyChild(POLICY));
    let request = rogue.b.take();
    let (_, id, _) = kind(&request.data);
    let mut payloads = child_payloads(spi_of(9));
    payloads.push(rogue.nonce());
    let any = ravelin_types::selector::TrafficSelector::any_v4();
    payloads[1] = Payload::TsI(Ts::new(&[any]));
    payloads[2] = Payload::TsR(Ts::new(&[any]));
    let answer = rogue.seal(ExchangeType::CREATE_CHILD_SA, true, id, &payloads);
    rogue.send(answer);
    rogue.b.failure(Part::TrafficSelectors);
    assert_eq!(rogue.b.sas.len(), 2);
    // It must go at the peer: <-- HDR, SK {D(ESP, SPI)}
    assert_eq!(rogue.b.next().map(|next| next.0), Some(INFO));
}
