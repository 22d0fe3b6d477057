//! Choosing: one set of algorithms out of an offer, one set of selectors out of two policies.
//!
//! The rules, for the responder:
//! 1. Our own order of proposals decides, then the peer's; within a proposal our own order of transforms.
//! 2. One exception: where both list several key exchange methods and the peer already sent a value of one of them,
//!    that one is taken, which saves a round trip with INVALID_KE_PAYLOAD.
//! 3. A proposal with a transform type we do not know is not taken; an unknown transform of a known type is passed
//!    over (RFC 7296 §3.3.6).
//! 4. A cipher that authenticates goes with no integrity algorithm, or with NONE (RFC 5282 §8).
//! 5. Only what the crypto provider has is ever chosen or offered.
//!
//! The initiator checks the answer with the same code, as an offer of one transform per type.
//! Read RFC 7296 §2.7, §2.9 and §3.3 before changing this file.

mod offers;
mod pick;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::{CryptoProvider, IntegAlg};
use ravelin_types::proposal::{AhSuite, EspSuite, IkeSuite, Proposal, ProtocolId, Suite};
use ravelin_types::selector::{self, Side, TrafficSelector, narrow};
use ravelin_types::transform::{Additional, EncrId, IntegId, KeMethod, SnId, Transform, TransformType};

pub(crate) use self::offers::Offers;
use self::pick::Pick;
use crate::error::Disagreement;
use crate::explain::{Part, gaps};

/// An agreement on algorithms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed<S> {
    /// Which of the offered proposals.
    pub(crate) index: usize,
    /// What it comes to.
    pub(crate) suite: S,
    /// The key exchange method; `None` for a Child SA without one.
    pub(crate) ke: Option<KeMethod>,
    /// The additional key exchange methods, in the order in which they take place.
    pub(crate) additional: Vec<KeMethod>,
    /// One transform of each offered type, for the answer.
    pub(crate) transforms: Vec<Transform>,
}

/// What is to be done about key exchange methods of a Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildKe {
    /// IKE_AUTH has no key exchange: methods on either side do not count (RFC 7296 §1.2).
    None,
    /// CREATE_CHILD_SA: ours must be met if we list any; the peer sent a value of this one.
    Fresh(Option<KeMethod>),
}

/// Chooses the algorithms of an IKE SA. `sent` is the method of the peer's KE payload; `more` says whether both sides
/// can do additional key exchanges.
pub(crate) fn ike(
    offered: &[impl AsRef<Proposal>],
    ours: &[Proposal],
    sent: Option<KeMethod>,
    more: bool,
    crypto: &CryptoProvider,
) -> Result<Agreed<IkeSuite>, Disagreement> {
    let agreed = search(offered, ours, |theirs, own| {
        let mut pick = Pick::new(theirs, own, crypto, ProtocolId::IKE)?;
        let (encr, encr_key_bits, integ) = pick.encr_and_integ()?;
        let prf = pick.prf()?;
        let ke = pick.ke(sent)??;
        let additional = pick.additional(more)?;
        pick.refuse(TransformType::SN)?;
        Some((IkeSuite { encr, encr_key_bits, integ, prf, ke }, Some(ke), additional, pick.chosen))
    });
    agreed.ok_or_else(|| disagreement(Part::IkeProposal, offered, ours))
}

/// Chooses the algorithms of a Child SA, ESP or AH.
pub(crate) fn child(
    offered: &[impl AsRef<Proposal>],
    ours: &[Proposal],
    exchange: ChildKe,
    crypto: &CryptoProvider,
) -> Result<Agreed<Suite>, Disagreement> {
    let agreed = search(offered, ours, |theirs, own| {
        let mut pick = Pick::new(theirs, own, crypto, child_protocol(own)?)?;
        // RFC 7296 §3.3.3: AH has no encryption, and neither protocol has a prf.
        pick.refuse(TransformType::PRF)?;
        if own.protocol == ProtocolId::AH {
            pick.refuse(TransformType::ENCR)?;
            let integ = pick.ah_integ()?;
            let (ke, additional) = pick.child_kes(exchange)?;
            let sn = pick.sn()?;
            return Some((AhSuite { integ, sn }.into(), ke, additional, pick.chosen));
        }
        let (encr, encr_key_bits, integ) = pick.encr_and_integ()?;
        let (ke, additional) = pick.child_kes(exchange)?;
        let sn = pick.sn()?;
        Some((EspSuite { encr, encr_key_bits, integ, sn }.into(), ke, additional, pick.chosen))
    });
    agreed.ok_or_else(|| disagreement(Part::ChildProposal, offered, ours))
}

/// The protocol of a Child SA that a proposal is for.
fn child_protocol(proposal: &Proposal) -> Option<ProtocolId> {
    [ProtocolId::ESP, ProtocolId::AH].into_iter().find(|protocol| *protocol == proposal.protocol)
}

/// Whether an answer holds at most one transform of each type (RFC 7296 §3.3.6).
pub(crate) fn is_answer(proposal: &Proposal) -> bool {
    let kinds = proposal.transforms.iter().map(|transform| transform.kind());
    kinds.clone().enumerate().all(|(i, kind)| kinds.clone().skip(i + 1).all(|other| other != kind))
}

/// Leaves of an offer what comes to this suite. AH around ESP is not in proposals of IKEv2.
pub(crate) fn keep_to(proposals: &mut Vec<Proposal>, suite: &Suite) {
    let (esp, ah) = (suite.esp(), suite.ah());
    let integ = ah.map(|ah| ah.integ).or(esp.map(|esp| esp.integ)).unwrap_or(IntegId::NONE);
    let fits = |transform: &Transform| match *transform {
        Transform::Encr(id, bits) => {
            esp.is_some_and(|esp| esp.encr == id && bits.is_none_or(|bits| bits == esp.encr_key_bits))
        }
        Transform::Integ(id) => id == integ,
        Transform::Sn(id) => id == suite.sn(),
        _ => true,
    };
    proposals.retain_mut(|proposal| {
        let kinds: Vec<TransformType> = proposal.transforms.iter().map(|transform| transform.kind()).collect();
        proposal.transforms.retain(fits);
        let left = |kind: &TransformType| proposal.transforms.iter().any(|transform| transform.kind() == *kind);
        kinds.iter().all(left)
    });
}

/// What we offer of a configuration: only what the provider has, with the types a peer expects.
pub(crate) fn offer(configured: &[Proposal], with_ke: bool, crypto: &CryptoProvider) -> Vec<Proposal> {
    let mut offers = Vec::new();
    for proposal in configured {
        let protocol = proposal.protocol;
        let mut transforms: Vec<Transform> =
            proposal.transforms.iter().copied().filter(|t| supported(*t, protocol, crypto)).collect();
        transforms.retain(|t| match t.kind() {
            TransformType::ENCR => protocol != ProtocolId::AH,
            TransformType::KE => with_ke,
            TransformType::PRF => protocol == ProtocolId::IKE,
            TransformType::SN => protocol != ProtocolId::IKE,
            kind => with_ke || Additional::of(kind).is_none(),
        });
        let has = |kind| transforms.iter().any(|t: &Transform| t.kind() == kind);
        // RFC 7296 §3.3.3. A cipher that needs an integrity algorithm is left out below when there is none.
        let complete = match protocol {
            ProtocolId::IKE => has(TransformType::ENCR) && has(TransformType::PRF) && has(TransformType::KE),
            ProtocolId::AH => has(TransformType::INTEG),
            _ => has(TransformType::ENCR),
        };
        // A key exchange that was asked for and is not built in must not be left out in silence.
        let asked = |kind| with_ke && proposal.transforms.iter().any(|t| t.kind() == kind);
        let lacks = Additional::all().any(|number| asked(number.kind()) && !has(number.kind()));
        // RFC 9370 §2.2.1: there is no additional one without a first.
        let alone = !has(TransformType::KE) && Additional::all().any(|number| has(number.kind()));
        if !complete || lacks || alone {
            continue;
        }
        // RFC 7296 §3.3.3: proposals of ESP and AH carry the transform type of sequence numbers.
        if protocol != ProtocolId::IKE && !has(TransformType::SN) {
            transforms.push(Transform::Sn(SnId::SEQUENTIAL_32));
        }
        if protocol == ProtocolId::AH {
            offers.push(Proposal { protocol, transforms });
            continue;
        }
        offers.extend(split(protocol, &transforms, crypto));
    }
    offers
}

/// The first key exchange method of an offer: the one whose value is sent.
pub(crate) fn first_ke(offers: &[Proposal]) -> Option<KeMethod> {
    offers.iter().flat_map(|proposal| &proposal.transforms).find_map(|transform| match transform {
        Transform::Ke(method) if *method != KeMethod::NONE => Some(*method),
        _ => None,
    })
}

/// Whether an offer lists the method.
pub(crate) fn lists_ke(offers: &[Proposal], method: KeMethod) -> bool {
    method != KeMethod::NONE && offers.iter().any(|proposal| proposal.transforms.contains(&Transform::Ke(method)))
}

/// Whether an offer lists what an IKE SA was made of.
#[cfg(feature = "ikev2")]
pub(crate) fn still_lists(offers: &[Proposal], suite: &IkeSuite, done: &[KeMethod]) -> bool {
    offers.iter().any(|proposal| {
        let has = |transform| proposal.transforms.contains(&transform);
        let encr = proposal.transforms.iter().any(|transform| match transform {
            Transform::Encr(encr, bits) => *encr == suite.encr && bits.is_none_or(|bits| bits == suite.encr_key_bits),
            _ => false,
        });
        let integ = suite.integ == IntegId::NONE || has(Transform::Integ(suite.integ));
        let main = encr && integ && has(Transform::Prf(suite.prf)) && has(Transform::Ke(suite.ke));
        main && pick::additional_done(proposal, done)
    })
}

/// Traffic selectors as the initiator of an exchange names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selectors {
    /// TSi.
    pub(crate) initiator: Side,
    /// TSr.
    pub(crate) responder: Side,
}

impl Selectors {
    /// The part of `self` that `allowed` permits (RFC 7296 §2.9), or `None` when one side is left with nothing.
    pub(crate) fn narrowed(&self, allowed: &Selectors) -> Option<Selectors> {
        let initiator = narrow(&self.initiator, &allowed.initiator);
        let responder = narrow(&self.responder, &allowed.responder);
        (!initiator.is_empty() && !responder.is_empty()).then_some(Selectors { initiator, responder })
    }

    /// Whether the initiator's first choice, the packet that asked, is within.
    pub(crate) fn covers_first(&self, offered: &Selectors) -> bool {
        let holds = |kept: &[TrafficSelector], offered: &[TrafficSelector]| {
            offered.first().is_some_and(|first| kept.iter().any(|selector| selector.covers(first)))
        };
        holds(&self.initiator, &offered.initiator) && holds(&self.responder, &offered.responder)
    }

    /// Whether all that is selected `outer` selects too, by however many selectors.
    pub(crate) fn within(&self, outer: &Selectors) -> bool {
        let inside = |inner: &[TrafficSelector], outer: &[TrafficSelector]| {
            !inner.is_empty() && inner.iter().all(|ts| selector::hold(outer, ts))
        };
        inside(&self.initiator, &outer.initiator) && inside(&self.responder, &outer.responder)
    }

    /// Lines for a report.
    pub(crate) fn lines(&self) -> Vec<String> {
        let join = |side: &[TrafficSelector]| side.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        vec![alloc::format!("{} === {}", join(&self.initiator), join(&self.responder))]
    }
}

type Found<S> = (S, Option<KeMethod>, Vec<KeMethod>, Vec<Transform>);

fn search<S>(
    offered: &[impl AsRef<Proposal>],
    ours: &[Proposal],
    fits: impl Fn(&Proposal, &Proposal) -> Option<Found<S>>,
) -> Option<Agreed<S>> {
    ours.iter().find_map(|own| {
        offered.iter().enumerate().find_map(|(index, theirs)| {
            let found = fits(theirs.as_ref(), own);
            found.map(|(suite, ke, additional, transforms)| Agreed { index, suite, ke, additional, transforms })
        })
    })
}

fn disagreement(part: Part, offered: &[impl AsRef<Proposal>], ours: &[Proposal]) -> Disagreement {
    Disagreement { gaps: gaps(offered, ours), ..Disagreement::new(part, lines(offered), lines(ours)) }
}

/// Proposals for a report, one line each.
pub(crate) fn lines(proposals: &[impl AsRef<Proposal>]) -> Vec<String> {
    proposals.iter().map(|proposal| proposal.as_ref().to_string()).collect()
}

/// Whether an offer asks for additional key exchanges.
pub(crate) fn lists_additional(offers: &[Proposal]) -> bool {
    offers.iter().any(|proposal| proposal.transforms.iter().any(|t| Additional::of(t.kind()).is_some()))
}

/// An offer without additional key exchanges; what the same would be offered twice is offered once.
pub(crate) fn without_additional(offers: &[Proposal]) -> Vec<Proposal> {
    let mut plain: Vec<Proposal> = Vec::new();
    for offer in offers {
        let transforms = offer.transforms.iter().copied().filter(|t| Additional::of(t.kind()).is_none()).collect();
        let offer = Proposal { protocol: offer.protocol, transforms };
        if !plain.contains(&offer) {
            plain.push(offer);
        }
    }
    plain
}

/// The cipher and its effective key length, if the provider has it.
fn encr(transform: Transform, crypto: &CryptoProvider) -> Option<(EncrId, u16)> {
    let Transform::Encr(id, bits) = transform else { return None };
    let alg = crypto.encr(id)?;
    let bits = match bits {
        Some(bits) => bits,
        // RFC 7296 §3.3.5: ciphers of variable key length have none by default.
        None if alg.sends_key_length() => return None,
        None => *alg.key_bits().first()?,
    };
    alg.key_bits().contains(&bits).then_some((id, bits))
}

fn supported(transform: Transform, protocol: ProtocolId, crypto: &CryptoProvider) -> bool {
    match transform {
        Transform::Encr(id, _) => {
            // RFC 7296 §5, RFC 8750 §7: what does not encrypt, or has no IV in the message, is for ESP alone.
            let esp_alone = matches!(id, EncrId::NULL | EncrId::NULL_AES_GMAC)
                || crypto.encr(id).is_some_and(|alg| alg.implicit_iv());
            encr(transform, crypto).is_some() && (protocol == ProtocolId::ESP || !esp_alone)
        }
        Transform::Prf(id) => crypto.prf(id).is_some(),
        // RFC 4543 §5.3: an integrity algorithm with an IV is for AH alone.
        Transform::Integ(id) => {
            let fits = |alg: &dyn IntegAlg| protocol == ProtocolId::AH || alg.iv_len() == 0;
            let none = id == IntegId::NONE && protocol != ProtocolId::AH;
            none || crypto.integ(id).is_some_and(fits)
        }
        Transform::Ke(id) => crypto.ke(id).is_some(),
        Transform::AddKe(_, id) => id == KeMethod::NONE || crypto.ke(id).is_some(),
        Transform::Sn(id) => id == SnId::SEQUENTIAL_32 || id == SnId::PARTIAL_64,
        Transform::Unknown { .. } => false,
    }
}

/// RFC 5282 §8: ciphers that authenticate and ciphers that do not belong into separate proposals, and the former come
/// without integrity algorithms.
fn split(protocol: ProtocolId, transforms: &[Transform], crypto: &CryptoProvider) -> Vec<Proposal> {
    let aead = |transform: &Transform| match transform {
        Transform::Encr(id, _) => crypto.encr(*id).is_some_and(|alg| alg.is_aead()),
        _ => false,
    };
    let with = |keep: &dyn Fn(&Transform) -> bool| {
        let kept = || transforms.iter().copied().filter(|t| keep(t));
        kept().find(|t| t.kind() == TransformType::ENCR)?;
        Some(Proposal { protocol, transforms: kept().map(|t| on_wire(t, crypto)).collect() })
    };
    let authenticated = with(&|t| match t {
        Transform::Encr(..) => aead(t),
        Transform::Integ(_) => false,
        _ => true,
    });
    let separate = with(&|t| match t {
        Transform::Encr(..) => !aead(t),
        Transform::Integ(id) => *id != IntegId::NONE,
        _ => true,
    })
    .filter(|proposal| proposal.transforms.iter().any(|t| t.kind() == TransformType::INTEG));
    // The kind that the operator named first goes first.
    let aead_first = transforms.iter().find(|t| t.kind() == TransformType::ENCR).is_some_and(aead);
    let both = if aead_first { [authenticated, separate] } else { [separate, authenticated] };
    both.into_iter().flatten().collect()
}

/// The Key Length attribute is sent exactly where the algorithm asks for it (RFC 7296 §3.3.5).
fn on_wire(transform: Transform, crypto: &CryptoProvider) -> Transform {
    match transform {
        Transform::Encr(id, _) if crypto.encr(id).is_some_and(|alg| !alg.sends_key_length()) => {
            Transform::Encr(id, None)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;
    use ravelin_crypto_aws_lc::provider;
    use ravelin_types::transform::PrfId;

    const GCM: Transform = Transform::Encr(EncrId::AES_GCM_16, Some(128));
    const CBC: Transform = Transform::Encr(EncrId::AES_CBC, Some(256));
    const CHACHA: Transform = Transform::Encr(EncrId::CHACHA20_POLY1305, None);
    const SHA2: Transform = Transform::Integ(IntegId::HMAC_SHA2_256_128);
    const PRF: Transform = Transform::Prf(PrfId::HMAC_SHA2_256);
    const X25519: Transform = Transform::Ke(KeMethod::CURVE25519);
    const P256: Transform = Transform::Ke(KeMethod::ECP256);
    const NO_ESN: Transform = Transform::Sn(SnId::SEQUENTIAL_32);
    const ESN: Transform = Transform::Sn(SnId::PARTIAL_64);

    fn ike_of(transforms: &[Transform]) -> Proposal {
        Proposal { protocol: ProtocolId::IKE, transforms: transforms.to_vec() }
    }

    fn esp_of(transforms: &[Transform]) -> Proposal {
        Proposal { protocol: ProtocolId::ESP, transforms: transforms.to_vec() }
    }

    fn ours_of(proposals: &[Proposal]) -> Vec<Proposal> {
        offer(proposals, true, &provider())
    }

    #[test]
    fn our_order_of_proposals_decides() {
        let ours = ours_of(&[ike_of(&[CHACHA, PRF, X25519]), ike_of(&[GCM, PRF, X25519])]);
        let offered = [ike_of(&[GCM, PRF, X25519]), ike_of(&[CHACHA, PRF, X25519])];
        let agreed = ike(&offered, &ours, Some(KeMethod::CURVE25519), true, &provider()).unwrap();
        assert_eq!((agreed.index, agreed.suite.encr), (1, EncrId::CHACHA20_POLY1305));
        assert_eq!(agreed.suite.encr_key_bits, 256);
        assert_eq!(agreed.transforms, [CHACHA, PRF, X25519]);
    }

    #[test]
    fn a_value_that_was_sent_saves_a_round_trip_if_we_take_its_method() {
        let ours = ours_of(&[ike_of(&[GCM, PRF, P256, X25519])]);
        let offered = [ike_of(&[GCM, PRF, X25519, P256])];
        let with = |sent| ike(&offered, &ours, Some(sent), true, &provider()).unwrap().suite.ke;
        assert_eq!(with(KeMethod::CURVE25519), KeMethod::CURVE25519);
        assert_eq!(with(KeMethod::MODP2048), KeMethod::ECP256);
    }

    #[test]
    fn a_mixed_list_is_offered_as_two_proposals() {
        let offers = ours_of(&[esp_of(&[CBC, GCM, SHA2])]);
        assert_eq!(offers, [esp_of(&[CBC, SHA2, NO_ESN]), esp_of(&[GCM, NO_ESN])]);
        assert!(ours_of(&[esp_of(&[CBC])]).is_empty(), "encryption without integrity");
        assert!(ours_of(&[ike_of(&[GCM, PRF])]).is_empty(), "no key exchange");
    }

    // As strongSwan offers ESP: both kinds of sequence numbers, perhaps a group where none has a meaning.
    #[test]
    fn esp_offers_of_others_are_understood() {
        let ours = offer(&[esp_of(&[GCM, CBC, SHA2])], false, &provider());
        let chosen = |offered: &[Transform]| {
            child(&[esp_of(offered)], &ours, ChildKe::None, &provider()).ok().map(|agreed| agreed.transforms)
        };
        assert_eq!(chosen(&[GCM, X25519, ESN, NO_ESN]), Some(vec![GCM, NO_ESN]));
        assert_eq!(chosen(&[CBC, SHA2, NO_ESN]), Some(vec![CBC, SHA2, NO_ESN]));
        assert_eq!(chosen(&[GCM, Transform::Integ(IntegId::NONE), NO_ESN]).map(|t| t.len()), Some(3));
        assert_eq!(chosen(&[GCM]), Some(vec![GCM]));
        assert_eq!(chosen(&[GCM, ESN]), None);
        assert_eq!(chosen(&[GCM, SHA2, NO_ESN]), None);
        assert_eq!(chosen(&[CBC, NO_ESN]), None);
        let unknown = |kind| Transform::Unknown { kind, id: 1024 };
        assert_eq!(chosen(&[unknown(TransformType::ENCR), GCM, NO_ESN]), Some(vec![GCM, NO_ESN]));
        assert_eq!(chosen(&[GCM, NO_ESN, unknown(TransformType(13))]), None);
    }

    #[test]
    fn pfs_is_what_both_agree_on() {
        let with = |ours: &[Transform], offered: &[Transform], sent| {
            let ours = ours_of(&[esp_of(ours)]);
            child(&[esp_of(offered)], &ours, ChildKe::Fresh(sent), &provider()).ok().map(|agreed| agreed.ke)
        };
        let x25519 = Some(KeMethod::CURVE25519);
        assert_eq!(with(&[GCM, X25519], &[GCM, NO_ESN, X25519], x25519), Some(x25519));
        assert_eq!(with(&[GCM, X25519], &[GCM, NO_ESN], None), None, "our policy asks for it");
        assert_eq!(with(&[GCM], &[GCM, NO_ESN, X25519], x25519), Some(x25519), "the peer's asks for it");
        assert_eq!(with(&[GCM], &[GCM, NO_ESN, X25519, Transform::Ke(KeMethod::NONE)], None), Some(None));
        assert_eq!(with(&[GCM], &[GCM, NO_ESN, Transform::Ke(KeMethod::MODP1024)], None), None);
        assert_eq!(with(&[GCM], &[GCM, NO_ESN], None), Some(None));
    }

    #[test]
    fn an_answer_has_one_transform_of_each_type() {
        assert!(is_answer(&esp_of(&[GCM, NO_ESN])));
        assert!(!is_answer(&esp_of(&[GCM, CHACHA, NO_ESN])));
    }

    #[test]
    fn selectors_narrow_to_the_common_part() {
        let net = |text: &str, len| TrafficSelector::prefix(text.parse::<IpAddr>().unwrap(), len).unwrap();
        let of = |i, r| Selectors { initiator: [i].into(), responder: [r].into() };
        let offered = of(net("10.0.0.0", 8), net("192.168.0.0", 16));
        let allowed = of(net("10.1.0.0", 16), net("192.168.0.0", 24));
        let narrowed = offered.narrowed(&allowed).unwrap();
        assert_eq!(narrowed, allowed);
        assert!(narrowed.within(&offered) && !offered.within(&narrowed));
        assert!(!narrowed.covers_first(&offered));
        assert_eq!(offered.narrowed(&of(net("10.0.0.0", 8), net("172.16.0.0", 12))), None);
        assert_eq!(narrowed.lines(), ["10.1.0.0/16 === 192.168.0.0/24"]);
    }
}
