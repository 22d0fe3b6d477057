//! Algorithms of an ISAKMP SA: what we offer, and what we take of an offer (RFC 2409 §5, appendix A).
//!
//! An offer of IKEv1 is a list of whole suites. Our own order decides, then the peer's. The answer is the transform as
//! the peer sent it.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::ikev1::Algs;
use ravelin_types::proposal::{IkeSuite, Proposal, ProtocolId};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, Transform};
use ravelin_wire::ike::v1::{
    AnySpi, Attribute, AuthMethod, HashId, IkeAttribute, IkeEncr, LifeType, OfferedProposal, OfferedTransform, Sa,
};

use crate::limits;

/// A suite, how the two prove who they are, and for how long the initiator wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) suite: IkeSuite,
    pub(crate) method: AuthMethod,
    pub(crate) lifetime: Option<Duration>,
}

const ENCR: &[(IkeEncr, EncrId)] = &[
    (IkeEncr::AES, EncrId::AES_CBC),
    (IkeEncr::CAMELLIA, EncrId::CAMELLIA_CBC),
    (IkeEncr::DES3, EncrId::DES3),
    (IkeEncr::DES, EncrId::DES),
];

const HASH: &[(HashId, PrfId)] = &[
    (HashId::SHA2_256, PrfId::HMAC_SHA2_256),
    (HashId::SHA2_384, PrfId::HMAC_SHA2_384),
    (HashId::SHA2_512, PrfId::HMAC_SHA2_512),
    (HashId::SHA1, PrfId::HMAC_SHA1),
    (HashId::MD5, PrfId::HMAC_MD5),
];

/// Whether anything of a configuration can be offered.
pub(crate) fn usable(configured: &[Proposal], crypto: &CryptoProvider) -> bool {
    configured.iter().all(|proposal| proposal.protocol == ProtocolId::IKE) && !suites(configured, crypto).is_empty()
}

/// Every suite of a configuration that the provider has, best first. What IKEv2 alone has a use for is passed over.
pub(crate) fn suites(configured: &[Proposal], crypto: &CryptoProvider) -> Vec<IkeSuite> {
    let mut suites = Vec::new();
    for proposal in configured {
        let all = || proposal.transforms.iter().copied();
        let encrs = || all().filter_map(|t| if let Transform::Encr(id, bits) = t { Some((id, bits)) } else { None });
        let prfs = || all().filter_map(|t| if let Transform::Prf(id) = t { Some(id) } else { None });
        let methods = all().filter_map(|t| if let Transform::Ke(method) = t { Some(method) } else { None });
        for ke in methods {
            for (encr, bits) in encrs() {
                for prf in prfs() {
                    let Some(bits) = bits.or_else(|| crypto.encr(encr)?.key_bits().first().copied()) else { continue };
                    let suite = IkeSuite { encr, encr_key_bits: bits, integ: IntegId::NONE, prf, ke };
                    if sent(&suite, AuthMethod::PRE_SHARED_KEY, Duration::ZERO, crypto).is_some()
                        && Algs::find(crypto, &suite).is_some()
                        && suites.len() < limits::V1_SUITES
                    {
                        suites.push(suite);
                    }
                }
            }
        }
    }
    suites
}

/// The SA payload that offers the suites.
pub(crate) fn sa(suites: &[IkeSuite], method: AuthMethod, lifetime: Duration, crypto: &CryptoProvider) -> Sa {
    let sent = suites.iter().filter_map(|suite| sent(suite, method, lifetime, crypto));
    let transforms = sent.zip(1u8..).map(|(attributes, number)| OfferedTransform { number, id: KEY_IKE, attributes });
    let transforms = transforms.collect();
    Sa(vec![OfferedProposal { number: 1, protocol: ProtocolId::IKE, spi: AnySpi::None, transforms }])
}

/// KEY_IKE (RFC 2407 §4.4.2), the only transform of ISAKMP.
const KEY_IKE: u8 = 1;

/// The attributes of a suite. `None`: it has no numbers in IKEv1.
fn sent(suite: &IkeSuite, method: AuthMethod, lifetime: Duration, crypto: &CryptoProvider) -> Option<Vec<Attribute>> {
    let encr = ENCR.iter().find(|(_, id)| *id == suite.encr)?.0;
    let hash = HASH.iter().find(|(_, id)| *id == suite.prf)?.0;
    // A KEM's two values differ, and IKEv1 has no place for that.
    let (ours, theirs) = crypto.ke(suite.ke)?.public_len();
    if ours != theirs {
        return None;
    }
    let number = |kind: IkeAttribute, value: u32| Attribute::number(kind.0, value);
    let mut attributes = vec![number(IkeAttribute::ENCRYPTION, encr.0.into())];
    if crypto.encr(suite.encr)?.sends_key_length() {
        attributes.push(number(IkeAttribute::KEY_LENGTH, suite.encr_key_bits.into()));
    }
    attributes.extend([
        number(IkeAttribute::HASH, hash.0.into()),
        number(IkeAttribute::GROUP, suite.ke.0.into()),
        number(IkeAttribute::AUTHENTICATION_METHOD, method.0.into()),
    ]);
    if !lifetime.is_zero() {
        attributes.extend([
            number(IkeAttribute::LIFE_TYPE, LifeType::SECONDS.0.into()),
            number(IkeAttribute::LIFE_DURATION, u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX)),
        ]);
    }
    Some(attributes)
}

/// What a transform of the peer comes to. `None`: something in it is unknown or missing.
fn received(transform: &OfferedTransform, crypto: &CryptoProvider) -> Option<Agreed> {
    let (mut encr, mut bits, mut hash, mut method, mut group) = (None, None, None, None, None);
    let (mut unit, mut lifetime) = (None, None);
    for attribute in &transform.attributes {
        let value = attribute.as_number()?;
        let short = u16::try_from(value).ok();
        match IkeAttribute(attribute.kind) {
            IkeAttribute::ENCRYPTION => encr = ENCR.iter().find(|(number, _)| Some(number.0) == short),
            IkeAttribute::HASH => hash = HASH.iter().find(|(number, _)| Some(number.0) == short),
            IkeAttribute::AUTHENTICATION_METHOD => method = short.map(AuthMethod),
            IkeAttribute::GROUP => group = short.map(KeMethod),
            IkeAttribute::KEY_LENGTH => bits = Some(short?),
            IkeAttribute::LIFE_TYPE => unit = short.map(LifeType),
            IkeAttribute::LIFE_DURATION if unit == Some(LifeType::SECONDS) => {
                // Zero is how some say that they leave it to us.
                lifetime = Some(Duration::from_secs(value.min(u32::MAX.into()))).filter(|time| !time.is_zero());
            }
            IkeAttribute::LIFE_DURATION if unit == Some(LifeType::KILOBYTES) => {}
            // RFC 2409 §5: what is not understood is not chosen.
            _ => return None,
        }
    }
    let encr = encr?.1;
    let bits = bits.or_else(|| untold_key_bits(encr, crypto))?;
    let suite = IkeSuite { encr, encr_key_bits: bits, integ: IntegId::NONE, prf: hash?.1, ke: group? };
    (transform.id == KEY_IKE).then_some(Agreed { suite, method: method?, lifetime })
}

/// How long a key is of which the peer does not say it. RFC 2407 §4.5: where there are several lengths, none is meant by saying
/// nothing. RFC 3602 §5.3 has it of AES-CBC, too, but drafts before it meant 128 bits, and there are peers that do.
pub(crate) fn untold_key_bits(encr: EncrId, crypto: &CryptoProvider) -> Option<u16> {
    let alg = crypto.encr(encr)?;
    match alg.sends_key_length() {
        true => (encr == EncrId::AES_CBC).then_some(128),
        false => alg.key_bits().first().copied(),
    }
}

/// Chooses from an offer: the agreement and the SA payload of the answer.
pub(crate) fn choose(
    offered: &Sa,
    ours: &[IkeSuite],
    methods: &[AuthMethod],
    crypto: &CryptoProvider,
) -> Option<(Agreed, Sa)> {
    let transforms = offered.0.iter().filter(|proposal| proposal.protocol == ProtocolId::IKE);
    let all = || transforms.clone().flat_map(|proposal| proposal.transforms.iter().map(move |t| (proposal, t)));
    ours.iter().find_map(|suite| {
        all().find_map(|(proposal, transform)| {
            let agreed = received(transform, crypto)?;
            (agreed.suite == *suite && methods.contains(&agreed.method)).then(|| {
                let answer = OfferedProposal {
                    number: proposal.number,
                    protocol: ProtocolId::IKE,
                    spi: AnySpi::None,
                    transforms: vec![transform.clone()],
                };
                (agreed, Sa(vec![answer]))
            })
        })
    })
}

/// Judges an answer: one transform, and one that we offered.
pub(crate) fn answered(answer: &Sa, ours: &[IkeSuite], method: AuthMethod, crypto: &CryptoProvider) -> Option<Agreed> {
    match answer.0.as_slice() {
        [OfferedProposal { transforms, .. }] if transforms.len() == 1 => {
            choose(answer, ours, &[method], crypto).map(|(agreed, _)| agreed)
        }
        _ => None,
    }
}

/// The lines of an offer, for reports.
pub(crate) fn lines(offered: &Sa, crypto: &CryptoProvider) -> Vec<alloc::string::String> {
    let transforms = offered.0.iter().flat_map(|proposal| &proposal.transforms).take(limits::REPORT_LINES);
    let line = |transform: &OfferedTransform| match received(transform, crypto) {
        Some(agreed) => alloc::format!("{}, {}", suite_line(&agreed.suite), agreed.method),
        None => {
            let values = transform.attributes.iter().map(|attribute| {
                alloc::format!("{}={}", IkeAttribute(attribute.kind), attribute.as_number().unwrap_or_default())
            });
            values.collect::<Vec<_>>().join(" ")
        }
    };
    transforms.map(line).collect()
}

/// A suite in one line.
pub(crate) fn suite_line(suite: &IkeSuite) -> alloc::string::String {
    let encr = Transform::Encr(suite.encr, Some(suite.encr_key_bits));
    alloc::format!("{encr}, {}, {}", suite.prf, suite.ke)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_crypto_aws_lc::provider;

    fn configured(transforms: &[Transform]) -> Vec<Proposal> {
        vec![Proposal { protocol: ProtocolId::IKE, transforms: transforms.to_vec() }]
    }

    fn all() -> Vec<IkeSuite> {
        let both = [
            Transform::Encr(EncrId::AES_CBC, Some(256)),
            Transform::Encr(EncrId::AES_CBC, Some(128)),
            Transform::Prf(PrfId::HMAC_SHA2_256),
            Transform::Prf(PrfId::HMAC_SHA1),
            Transform::Ke(KeMethod::ECP256),
            Transform::Ke(KeMethod::MODP2048),
        ];
        suites(&configured(&both), &provider())
    }

    const PSK: AuthMethod = AuthMethod::PRE_SHARED_KEY;

    #[test]
    fn a_configuration_is_offered_suite_by_suite() {
        let suites = all();
        assert_eq!(suites.len(), 8);
        let first = (suites[0].encr_key_bits, suites[0].prf, suites[0].ke);
        assert_eq!(first, (256, PrfId::HMAC_SHA2_256, KeMethod::ECP256));
        let sa = sa(&suites, PSK, Duration::from_secs(86_400), &provider());
        let numbers: Vec<u8> = sa.0[0].transforms.iter().map(|transform| transform.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
        let agreed = received(&sa.0[0].transforms[3], &provider()).unwrap();
        assert_eq!(agreed, Agreed { suite: suites[3], method: PSK, lifetime: Some(Duration::from_secs(86_400)) });
    }

    // RFC 2409 appendix B: there is no way to use a cipher that authenticates, or one without CBC.
    #[test]
    fn ciphers_of_ikev2_alone_are_passed_over() {
        let gcm = [
            Transform::Encr(EncrId::AES_GCM_16, Some(128)),
            Transform::Prf(PrfId::HMAC_SHA2_256),
            Transform::Ke(KeMethod::ECP256),
        ];
        assert!(!usable(&configured(&gcm), &provider()));
        let x25519 = [Transform::Encr(EncrId::AES_CBC, Some(128)), Transform::Ke(KeMethod::CURVE25519)];
        assert!(!usable(&configured(&x25519), &provider()), "no hash");
    }

    #[test]
    fn our_order_decides_and_the_answer_is_the_transform_as_it_came() {
        let ours = all();
        let theirs: Vec<IkeSuite> = ours.iter().rev().copied().collect();
        let offered = sa(&theirs, PSK, Duration::from_secs(3600), &provider());
        let (agreed, answer) = choose(&offered, &ours, &[PSK], &provider()).unwrap();
        assert_eq!((agreed.suite, &answer.0[0].transforms[..]), (ours[0], &offered.0[0].transforms[7..]));
        assert_eq!(answered(&answer, &theirs, PSK, &provider()), Some(agreed));
        assert_eq!(answered(&offered, &theirs, PSK, &provider()), None, "more than one transform");
        assert_eq!(answered(&answer, &ours[1..], PSK, &provider()), None, "it was not offered");
        assert!(choose(&offered, &ours, &[AuthMethod::RSA_SIGNATURES], &provider()).is_none());
    }

    // RFC 3602 §5.3.
    #[test]
    fn a_key_of_aes_whose_length_is_not_said_has_128_bits() {
        let ours = all();
        let without = |suite: &IkeSuite| {
            let mut offered = sa(core::slice::from_ref(suite), PSK, Duration::ZERO, &provider());
            offered.0[0].transforms[0].attributes.retain(|attribute| attribute.kind != IkeAttribute::KEY_LENGTH.0);
            offered
        };
        let short = ours.iter().find(|suite| suite.encr_key_bits == 128).unwrap();
        let (agreed, answer) = choose(&without(short), &ours, &[PSK], &provider()).unwrap();
        assert_eq!((agreed.suite, answer), (*short, without(short)));
        let long: Vec<IkeSuite> = ours.iter().copied().filter(|suite| suite.encr_key_bits == 256).collect();
        assert!(choose(&without(&long[0]), &long, &[PSK], &provider()).is_none());
        assert_eq!(
            lines(&without(&long[0]), &provider()),
            lines(&sa(&[*short], PSK, Duration::ZERO, &provider()), &provider())
        );
        let untold = [EncrId::AES_CTR, EncrId::AES_GCM_16].map(|id| untold_key_bits(id, &provider()));
        assert_eq!(untold, [None; 2]);
    }

    // History rows 17, 42, 46: what is not known, encryption with RSA among it, is not chosen.
    #[test]
    fn unknown_values_are_not_chosen() {
        let ours = all();
        for (kind, value) in [(1u16, 4u16), (2, 3), (3, 4), (3, 5), (4, 0), (4, 99), (5, 2), (13, 1), (16000, 1)] {
            let mut offered = sa(&ours[..1], PSK, Duration::ZERO, &provider());
            let attributes = &mut offered.0[0].transforms[0].attributes;
            attributes.retain(|attribute| attribute.kind != kind);
            attributes.push(Attribute::number(kind, value.into()));
            assert!(choose(&offered, &ours, &[PSK], &provider()).is_none(), "{kind} {value}");
        }
        // And each of encryption, hash, method and group must be there.
        for kind in 1..=4 {
            let mut offered = sa(&ours[..1], PSK, Duration::ZERO, &provider());
            offered.0[0].transforms[0].attributes.retain(|attribute| attribute.kind != kind);
            assert!(choose(&offered, &ours, &[PSK], &provider()).is_none(), "{kind}");
        }
    }
}
