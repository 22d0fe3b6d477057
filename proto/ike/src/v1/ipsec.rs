//! Quick mode's SA payload, as the proposals that both versions have (RFC 2407 §4.4, §4.5).

use alloc::vec;
use alloc::vec::Vec;
use core::slice;
use core::time::Duration;

use ravelin_crypto::CryptoProvider;
use ravelin_types::policy::Mode;
use ravelin_types::proposal::{AhSuite, Proposal, ProtocolId, Suite};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, SnId, Transform};
use ravelin_types::{Cpi, Spi};
use ravelin_wire::ike::v1::{
    AhId, AnySpi, Attribute, AuthAlg, Encapsulation, EspId, IPCOMP, IkeAttribute, IpcompId, IpsecAttribute, LifeType,
    Notify, NotifyType, OfferedProposal, OfferedTransform, Sa,
};

use super::offer::untold_key_bits;
use super::vendor::NatT;
use crate::error::Error;
use crate::limits;
use crate::negotiate;

const ESP: &[(EspId, EncrId)] = &[
    (EspId::DES, EncrId::DES),
    (EspId::DES3, EncrId::DES3),
    (EspId::NULL, EncrId::NULL),
    (EspId::AES_CBC, EncrId::AES_CBC),
    (EspId::AES_CTR, EncrId::AES_CTR),
    (EspId::AES_CCM_8, EncrId::AES_CCM_8),
    (EspId::AES_CCM_12, EncrId::AES_CCM_12),
    (EspId::AES_CCM_16, EncrId::AES_CCM_16),
    (EspId::AES_GCM_8, EncrId::AES_GCM_8),
    (EspId::AES_GCM_12, EncrId::AES_GCM_12),
    (EspId::AES_GCM_16, EncrId::AES_GCM_16),
    (EspId::CAMELLIA, EncrId::CAMELLIA_CBC),
    (EspId::NULL_AES_GMAC, EncrId::NULL_AES_GMAC),
];

/// AH has a transform ID and an attribute for one thing (RFC 2407 §4.4.3).
const INTEG: &[(AhId, AuthAlg, IntegId)] = &[
    (AhId::MD5, AuthAlg::HMAC_MD5, IntegId::HMAC_MD5_96),
    (AhId::SHA, AuthAlg::HMAC_SHA1, IntegId::HMAC_SHA1_96),
    (AhId::SHA2_256, AuthAlg::HMAC_SHA2_256, IntegId::HMAC_SHA2_256_128),
    (AhId::SHA2_384, AuthAlg::HMAC_SHA2_384, IntegId::HMAC_SHA2_384_192),
    (AhId::SHA2_512, AuthAlg::HMAC_SHA2_512, IntegId::HMAC_SHA2_512_256),
    (AhId::AES_XCBC_MAC, AuthAlg::AES_XCBC_MAC, IntegId::AES_XCBC_96),
    (AhId::AES_128_GMAC, AuthAlg::AES_128_GMAC, IntegId::AES_128_GMAC),
    (AhId::AES_192_GMAC, AuthAlg::AES_192_GMAC, IntegId::AES_192_GMAC),
    (AhId::AES_256_GMAC, AuthAlg::AES_256_GMAC, IntegId::AES_256_GMAC),
];

/// What goes into every transform of an offer.
#[derive(Clone, Copy)]
pub(crate) struct Common {
    pub(crate) mode: Mode,
    /// How the peer numbers ESP in UDP, where it travels so.
    pub(crate) udp: Option<NatT>,
    /// After how long the SA ends.
    pub(crate) lifetime: Option<Duration>,
    /// The group of the KE payload.
    pub(crate) group: Option<KeMethod>,
}

/// The SA payload for proposals that are all for one protocol, transform by transform. With AH around ESP there are two
/// proposals of one number, which are taken together (RFC 2408 §4.2): any transform of the one with any of the other. So is a label
/// of compressed packets, and since they may go without, all else follows once more, with the next number.
pub(crate) fn sa(
    proposals: &[Proposal],
    (ah, cpi): (&[IntegId], Option<Cpi>),
    spi: Spi,
    common: Common,
    crypto: &CryptoProvider,
) -> Sa {
    let protocol = proposals.first().map_or(ProtocolId::ESP, |proposal| proposal.protocol);
    // What asks for additional key exchanges is not to be had here; without them it would be another thing.
    let plain: Vec<&Proposal> =
        proposals.iter().filter(|proposal| !negotiate::lists_additional(slice::from_ref(*proposal))).collect();
    let offered = |protocol, suites: Vec<(u8, Vec<Attribute>)>| {
        let transforms = suites.into_iter().zip(1u8..).map(|((id, own), number)| {
            let attributes = own.into_iter().chain(common.attributes()).collect();
            OfferedTransform { number, id, attributes }
        });
        OfferedProposal { number: 1, protocol, spi: spi.into(), transforms: transforms.collect() }
    };
    let around = plain.first().filter(|_| !ah.is_empty()).map(|esp| {
        let integ = ah.iter().filter(|id| crypto.integ(**id).is_some()).map(|id| Transform::Integ(*id));
        let numbers = esp.transforms.iter().copied().filter(|transform| matches!(transform, Transform::Sn(_)));
        let proposal = Proposal { protocol: ProtocolId::AH, transforms: integ.chain(numbers).collect() };
        offered(ProtocolId::AH, suites(&proposal, crypto))
    });
    let own = offered(protocol, plain.iter().flat_map(|proposal| suites(proposal, crypto)).collect());
    let bundle: Vec<OfferedProposal> = around.into_iter().chain([own]).collect();
    let Some(cpi) = cpi else { return Sa(bundle) };
    let deflate = OfferedTransform { number: 1, id: IpcompId::DEFLATE.0, attributes: common.attributes() };
    let compressed = OfferedProposal { number: 1, protocol: IPCOMP, spi: spi_of(cpi), transforms: vec![deflate] };
    let without = bundle.clone().into_iter().map(|proposal| OfferedProposal { number: 2, ..proposal });
    Sa(bundle.into_iter().chain([compressed]).chain(without).collect())
}

/// RFC 3173 §4.1: a label is sent in 16 bits.
pub(crate) fn spi_of(cpi: Cpi) -> AnySpi {
    AnySpi::Other(cpi.0.to_be_bytes().to_vec())
}

/// RFC 3173 §4.1: and taken in 32 too.
fn cpi_of(spi: &AnySpi) -> Option<Cpi> {
    let number = match spi {
        AnySpi::Other(bytes) => u16::from_be_bytes(bytes.as_slice().try_into().ok()?),
        AnySpi::Child(Spi(number)) => u16::try_from(*number).ok()?,
        AnySpi::None | AnySpi::Ike(_) => return None,
    };
    Some(Cpi(number)).filter(|cpi| cpi.is_usable())
}

/// Transform ID and own attributes of each combination of a proposal.
fn suites(proposal: &Proposal, crypto: &CryptoProvider) -> Vec<(u8, Vec<Attribute>)> {
    let all = || proposal.transforms.iter().copied();
    let integs: Vec<IntegId> =
        all().filter_map(|t| if let Transform::Integ(id) = t { Some(id) } else { None }).collect();
    // RFC 4304 came after IKEv1: to a peer that does not know its attribute, such as Libreswan 4, a whole proposal with it in one
    // transform is malformed. It is there only for those who want nothing else.
    let extended = all().any(|t| t == Transform::Sn(SnId::PARTIAL_64));
    let extended = extended && !all().any(|t| t == Transform::Sn(SnId::SEQUENTIAL_32));
    let number = |kind: IpsecAttribute, value: u16| Attribute::number(kind.0, value.into());
    let known = |id: IntegId| INTEG.iter().find(|(.., known)| *known == id);
    let mut plain: Vec<(u8, Vec<Attribute>)> = Vec::new();
    if proposal.protocol == ProtocolId::AH {
        for (id, alg, _) in integs.iter().filter_map(|id| known(*id)) {
            plain.push((id.0, vec![number(IpsecAttribute::AUTHENTICATION, alg.0)]));
        }
    }
    for (encr, bits) in all().filter_map(|t| if let Transform::Encr(id, bits) = t { Some((id, bits)) } else { None }) {
        let Some((id, _)) = ESP.iter().find(|(_, known)| *known == encr) else { continue };
        let Some(alg) = crypto.encr(encr) else { continue };
        let key = bits.filter(|_| alg.sends_key_length()).map(|bits| number(IpsecAttribute::KEY_LENGTH, bits));
        if alg.is_aead() {
            plain.push((id.0, key.into_iter().collect()));
            continue;
        }
        for (_, auth, _) in integs.iter().filter_map(|id| known(*id)) {
            let auth = number(IpsecAttribute::AUTHENTICATION, auth.0);
            plain.push((id.0, key.clone().into_iter().chain([auth]).collect()));
        }
    }
    // RFC 4304 §2: extended sequence numbers are asked for, 32-bit ones by saying nothing.
    let extended = extended.then(|| number(IpsecAttribute::ESN, 1));
    plain.into_iter().map(|(id, own)| (id, own.into_iter().chain(extended.clone()).collect())).collect()
}

impl Common {
    fn attributes(self) -> Vec<Attribute> {
        let number = |kind: IpsecAttribute, value: u32| Attribute::number(kind.0, value);
        let mut attributes = Vec::new();
        if let Some(lifetime) = self.lifetime {
            attributes.push(number(IpsecAttribute::LIFE_TYPE, LifeType::SECONDS.0.into()));
            let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
            attributes.push(number(IpsecAttribute::LIFE_DURATION, seconds));
        }
        attributes.extend(self.group.map(|group| number(IpsecAttribute::GROUP, group.0.into())));
        attributes.push(number(IpsecAttribute::ENCAPSULATION, encapsulation(self.mode, self.udp).0.into()));
        attributes
    }
}

fn encapsulation(mode: Mode, udp: Option<NatT>) -> Encapsulation {
    match (mode, udp) {
        (Mode::Tunnel, None) => Encapsulation::TUNNEL,
        (Mode::Transport, None) => Encapsulation::TRANSPORT,
        (Mode::Tunnel, Some(NatT::Rfc)) => Encapsulation::UDP_TUNNEL,
        (Mode::Transport, Some(NatT::Rfc)) => Encapsulation::UDP_TRANSPORT,
        (Mode::Tunnel, Some(NatT::Draft)) => Encapsulation::UDP_TUNNEL_DRAFT,
        (Mode::Transport, Some(NatT::Draft)) => Encapsulation::UDP_TRANSPORT_DRAFT,
    }
}

/// The mode, and whether ESP travels in UDP.
fn encapsulated_as(number: u16) -> Option<(Mode, bool)> {
    Some(match Encapsulation(number) {
        Encapsulation::TUNNEL => (Mode::Tunnel, false),
        Encapsulation::TRANSPORT => (Mode::Transport, false),
        Encapsulation::UDP_TUNNEL | Encapsulation::UDP_TUNNEL_DRAFT => (Mode::Tunnel, true),
        Encapsulation::UDP_TRANSPORT | Encapsulation::UDP_TRANSPORT_DRAFT => (Mode::Transport, true),
        _ => return None,
    })
}

/// One transform of the peer's SA payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Its proposal, as the peer sent it.
    pub(crate) proposal: usize,
    /// Its place in the proposal.
    pub(crate) transform: usize,
    /// What it asks for, one transform of each type.
    pub(crate) suite: Proposal,
    /// AH around it.
    pub(crate) ah: Option<Around>,
    /// Packets are compressed before.
    pub(crate) compression: Option<Compression>,
    pub(crate) mode: Mode,
    pub(crate) lifetime: Option<Duration>,
}

/// The AH of an offer to put it around ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Around {
    /// Its proposal, and its transform in that.
    pub(crate) at: (usize, usize),
    pub(crate) suite: AhSuite,
}

/// The IPComp of an offer to compress packets first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compression {
    /// Its proposal, and its transform in that.
    pub(crate) at: (usize, usize),
    /// The label by which the sender of the offer receives.
    pub(crate) cpi: Cpi,
}

/// What can be chosen of an SA payload: single protocols, and ESP with AH around it, each also with IPComp, whose attributes are all
/// understood, encapsulated as the path asks for.
pub(crate) fn offered(sa: &Sa, udp: bool, crypto: &CryptoProvider) -> Vec<Offered> {
    let mut offered = Vec::new();
    for (index, proposal) in sa.0.iter().enumerate() {
        // RFC 2408 §4.2: proposals of one number are taken together or not at all.
        let others = sa.0.iter().enumerate().filter(|(at, other)| *at != index && other.number == proposal.number);
        let (compressions, others): (Vec<_>, Vec<_>) = others.partition(|(_, other)| other.protocol == IPCOMP);
        let around = match others.as_slice() {
            [] => None,
            [(at, other)] if (proposal.protocol, other.protocol) == (ProtocolId::ESP, ProtocolId::AH) => {
                Some((*at, *other))
            }
            _ => continue,
        };
        if compressions.len() > 1 {
            continue;
        }
        for (at, transform) in proposal.transforms.iter().enumerate() {
            let Some((suite, mode, in_udp, lifetime)) = received(proposal.protocol, transform, crypto) else {
                continue;
            };
            if in_udp != udp {
                continue;
            }
            let mut plain =
                Offered { proposal: index, transform: at, suite, ah: None, compression: None, mode, lifetime };
            if let [(place, offered)] = compressions.as_slice() {
                let Some(compression) = compression(*place, offered, mode, udp) else { continue };
                plain.compression = Some(compression);
            }
            match around {
                None => offered.push(plain),
                Some((place, ah)) => offered.extend(arounds(place, ah, &plain, udp, crypto)),
            }
        }
    }
    offered
}

/// The transform of IPComp that goes with another protocol's in this mode: DEFLATE, which has no attributes of its own
/// (RFC 2394 §4.1), in the same mode.
fn compression(place: usize, offered: &OfferedProposal, mode: Mode, udp: bool) -> Option<Compression> {
    let fits = |transform: &OfferedTransform| {
        let mut encapsulated = None;
        let understood = transform.attributes.iter().all(|attribute| match IpsecAttribute(attribute.kind) {
            IpsecAttribute::ENCAPSULATION => {
                encapsulated = attribute.as_number().and_then(|value| encapsulated_as(value.try_into().ok()?));
                true
            }
            // When it ends, and what group there is, the other protocol says.
            kind => [IpsecAttribute::LIFE_TYPE, IpsecAttribute::LIFE_DURATION, IpsecAttribute::GROUP].contains(&kind),
        });
        understood && transform.id == IpcompId::DEFLATE.0 && encapsulated == Some((mode, udp))
    };
    let at = offered.transforms.iter().position(fits)?;
    Some(Compression { at: (place, at), cpi: cpi_of(&offered.spi)? })
}

/// Each transform of AH that goes with one of ESP: in the same mode, with the same group and kind of sequence numbers.
fn arounds(place: usize, ah: &OfferedProposal, esp: &Offered, udp: bool, crypto: &CryptoProvider) -> Vec<Offered> {
    let rest = |suite: &Proposal| -> Vec<Transform> {
        let shared = |transform: &Transform| matches!(transform, Transform::Ke(_) | Transform::Sn(_));
        suite.transforms.iter().copied().filter(shared).collect()
    };
    let transforms = ah.transforms.iter().enumerate().take(limits::V1_AH_TRANSFORMS);
    let fitting = transforms.filter_map(|(at, transform)| {
        let (suite, mode, in_udp, lifetime) = received(ProtocolId::AH, transform, crypto)?;
        let fits = mode == esp.mode && in_udp == udp && rest(&suite) == rest(&esp.suite);
        let integ = suite.transforms.iter().find_map(|transform| match transform {
            Transform::Integ(id) => Some(*id),
            _ => None,
        })?;
        let sn = suite.transforms.iter().find_map(|transform| match transform {
            Transform::Sn(sn) => Some(*sn),
            _ => None,
        })?;
        let lifetime = [lifetime, esp.lifetime].into_iter().flatten().min();
        let ah = Some(Around { at: (place, at), suite: AhSuite { integ, sn } });
        fits.then(|| Offered { ah, lifetime, ..esp.clone() })
    });
    fitting.collect()
}

/// Whether an offer has AH around ESP exactly where a policy wants it, with an algorithm that the policy has, and compresses at most
/// with a label that we take.
pub(crate) fn fits(
    offered: &Offered,
    ah: &[IntegId],
    takes: impl FnOnce(Cpi) -> bool,
    crypto: &CryptoProvider,
) -> bool {
    let around = match &offered.ah {
        None => ah.is_empty(),
        Some(around) => ah.contains(&around.suite.integ) && crypto.integ(around.suite.integ).is_some(),
    };
    around && offered.compression.is_none_or(|compression| takes(compression.cpi))
}

/// The suite that was chosen, with the peer's SPI of AH where that is around it.
pub(crate) fn suite(chosen: &Offered, agreed: Suite, sa: &Sa) -> Result<Suite, Error> {
    let Some(around) = &chosen.ah else { return Ok(agreed) };
    let spi = sa.0.get(around.at.0).and_then(|proposal| proposal.spi.child()).filter(|spi| spi.is_usable());
    let ah_spi = spi.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
    match agreed {
        Suite::Esp(esp) => Ok(Suite::AhEsp { ah: around.suite, ah_spi, esp }),
        _ => Err(Error::Violation("AH around something else than ESP")),
    }
}

/// The lifetime in seconds that the responder announces (RFC 2407 §4.6.3.1), for the ISAKMP SA or for the one of the exchange.
pub(crate) fn announced<'a>(notifies: impl Iterator<Item = &'a Notify>, of_isakmp: bool) -> Option<Duration> {
    let about = |notify: &&Notify| {
        notify.kind == NotifyType::RESPONDER_LIFETIME && (notify.protocol == ProtocolId::IKE) == of_isakmp
    };
    notifies.filter(about).find_map(|notify| {
        let mut unit = None;
        Attribute::parse_all(&notify.data).ok()?.iter().find_map(|attribute| {
            let kind = attribute.kind;
            // Some say it of the ISAKMP SA with the numbers that its own attributes have.
            let is = |own: IpsecAttribute, other: IkeAttribute| kind == own.0 || of_isakmp && kind == other.0;
            if is(IpsecAttribute::LIFE_TYPE, IkeAttribute::LIFE_TYPE) {
                unit = attribute.as_number();
                return None;
            }
            let lasts = is(IpsecAttribute::LIFE_DURATION, IkeAttribute::LIFE_DURATION);
            let seconds = lasts && unit == Some(u64::from(LifeType::SECONDS.0));
            let told = attribute.as_number().filter(|told| seconds && *told > 0);
            told.map(|told| Duration::from_secs(told.min(u32::MAX.into())))
        })
    })
}

type Received = (Proposal, Mode, bool, Option<Duration>);

fn received(protocol: ProtocolId, transform: &OfferedTransform, crypto: &CryptoProvider) -> Option<Received> {
    let (mut group, mut encapsulation, mut auth, mut bits, mut sn) = (None, None, None, None, SnId::SEQUENTIAL_32);
    let (mut unit, mut lifetime) = (None, None);
    for attribute in &transform.attributes {
        let value = attribute.as_number()?;
        let short = u16::try_from(value).ok();
        match IpsecAttribute(attribute.kind) {
            IpsecAttribute::LIFE_TYPE => unit = short.map(LifeType),
            IpsecAttribute::LIFE_DURATION if unit == Some(LifeType::SECONDS) => {
                // Zero is how some say that they leave it to us.
                lifetime = Some(Duration::from_secs(value.min(u32::MAX.into()))).filter(|time| !time.is_zero());
            }
            IpsecAttribute::LIFE_DURATION if unit == Some(LifeType::KILOBYTES) => {}
            IpsecAttribute::GROUP => group = Some(KeMethod(short?)),
            IpsecAttribute::ENCAPSULATION => encapsulation = Some(short?),
            IpsecAttribute::AUTHENTICATION => auth = Some(AuthAlg(short?)),
            // History row 5: a key of no length is no key.
            IpsecAttribute::KEY_LENGTH if short? > 0 => bits = short,
            IpsecAttribute::ESN if value == 1 => sn = SnId::PARTIAL_64,
            _ => return None,
        }
    }
    let (mode, udp) = encapsulated_as(encapsulation?)?;
    let integ = match auth {
        Some(auth) => Some(INTEG.iter().find(|(_, known, _)| *known == auth)?),
        None => None,
    };
    let mut transforms = Vec::new();
    match protocol {
        ProtocolId::ESP => {
            let encr = ESP.iter().find(|(known, _)| known.0 == transform.id)?.1;
            let alg = crypto.encr(encr)?;
            let untold = bits.is_none() && alg.sends_key_length();
            let bits = if untold { Some(untold_key_bits(encr, crypto)?) } else { bits };
            transforms.push(Transform::Encr(encr, bits));
        }
        // RFC 2407 §4.4.3: transform and attribute must say the same.
        ProtocolId::AH if integ?.0.0 == transform.id => {}
        _ => return None,
    }
    transforms.extend(integ.map(|(.., id)| Transform::Integ(*id)));
    transforms.extend(group.map(Transform::Ke));
    transforms.push(Transform::Sn(sn));
    Some((Proposal { protocol, transforms }, mode, udp, lifetime))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use ravelin_crypto_aws_lc::provider;

    fn esp(transforms: &[Transform]) -> Vec<Proposal> {
        crate::negotiate::offer(
            &[Proposal { protocol: ProtocolId::ESP, transforms: transforms.to_vec() }],
            true,
            &provider(),
        )
    }

    const CBC: Transform = Transform::Encr(EncrId::AES_CBC, Some(256));
    const GCM: Transform = Transform::Encr(EncrId::AES_GCM_16, Some(128));
    const SHA2: Transform = Transform::Integ(IntegId::HMAC_SHA2_256_128);
    const SHA1: Transform = Transform::Integ(IntegId::HMAC_SHA1_96);
    const COMMON: Common =
        Common { mode: Mode::Tunnel, udp: None, lifetime: Some(Duration::from_secs(3600)), group: None };

    #[test]
    fn what_is_offered_is_what_is_read() {
        let proposals = esp(&[CBC, GCM, SHA2, SHA1]);
        let sa = sa(&proposals, (&[], None), Spi(7), Common { group: Some(KeMethod::MODP2048), ..COMMON }, &provider());
        let read = offered(&sa, false, &provider());
        let lines: Vec<String> = read.iter().map(|offered| offered.suite.to_string()).collect();
        assert_eq!(
            lines,
            [
                "ESP: AES256-CBC, HMAC-SHA-2-256, MODP2048, NO-ESN",
                "ESP: AES256-CBC, HMAC-SHA-1, MODP2048, NO-ESN",
                "ESP: AES128-GCM, MODP2048, NO-ESN"
            ]
        );
        assert!(read.iter().all(|offered| offered.lifetime == Some(Duration::from_secs(3600))));
        assert!(offered_modes(&read, Mode::Tunnel));
        // Where there is a NAT, what is not in UDP cannot be chosen, and the other way round.
        assert!(super::offered(&sa, true, &provider()).is_empty());
    }

    use alloc::string::String;

    fn offered_modes(read: &[Offered], mode: Mode) -> bool {
        read.iter().all(|offered| offered.mode == mode)
    }

    const EXTENDED: Transform = Transform::Sn(SnId::PARTIAL_64);

    #[test]
    fn extended_numbers_are_not_offered_beside_others() {
        let proposals = esp(&[GCM, EXTENDED, Transform::Sn(SnId::SEQUENTIAL_32)]);
        let read = offered(&sa(&proposals, (&[], None), Spi(7), COMMON, &provider()), false, &provider());
        let lines: Vec<String> = read.iter().map(|offered| offered.suite.to_string()).collect();
        assert_eq!(lines, ["ESP: AES128-GCM, NO-ESN"]);
    }

    #[test]
    fn udp_and_extended_numbers_have_attributes() {
        let proposals = esp(&[GCM, EXTENDED]);
        for udp in [NatT::Rfc, NatT::Draft] {
            let common = Common { mode: Mode::Transport, udp: Some(udp), ..COMMON };
            let read = offered(&sa(&proposals, (&[], None), Spi(7), common, &provider()), true, &provider());
            let lines: Vec<String> = read.iter().map(|offered| offered.suite.to_string()).collect();
            assert_eq!(lines, ["ESP: AES128-GCM, ESN"]);
            assert!(offered_modes(&read, Mode::Transport));
        }
    }

    // RFC 2407 §4.5: there is no default, but that of AES-CBC before RFC 3602.
    #[test]
    fn a_length_of_the_key_that_is_not_said_is_not_guessed() {
        let sa = sa(
            &esp(&[CBC, GCM, Transform::Encr(EncrId::AES_CTR, Some(128)), SHA2]),
            (&[], None),
            Spi(7),
            COMMON,
            &provider(),
        );
        assert_eq!(offered(&sa, false, &provider()).len(), sa.0[0].transforms.len());
        let mut without = sa;
        for transform in &mut without.0[0].transforms {
            transform.attributes.retain(|attribute| attribute.kind != IpsecAttribute::KEY_LENGTH.0);
        }
        let lines: Vec<String> =
            offered(&without, false, &provider()).iter().map(|offered| offered.suite.to_string()).collect();
        assert_eq!(lines, ["ESP: AES128-CBC, HMAC-SHA-2-256, NO-ESN"]);
    }

    // History rows 5 and 17: key lengths of zero, unknown numbers and attributes are not chosen.
    #[test]
    fn unknown_values_are_not_chosen() {
        let good = sa(&esp(&[CBC, SHA2]), (&[], None), Spi(7), COMMON, &provider());
        assert_eq!(offered(&good, false, &provider()).len(), 1);
        for (kind, value) in [(6u16, 0u16), (5, 0), (5, 99), (4, 0), (4, 5), (7, 1), (8, 1), (11, 0), (11, 2), (99, 1)]
        {
            let mut sa = good.clone();
            sa.0[0].transforms[0].attributes.retain(|attribute| attribute.kind != kind);
            sa.0[0].transforms[0].attributes.push(Attribute::number(kind, value.into()));
            assert!(offered(&sa, false, &provider()).is_empty(), "{kind} {value}");
        }
        for id in (0..=u8::MAX).filter(|id| !ESP.iter().any(|(known, _)| known.0 == *id)) {
            let mut sa = good.clone();
            sa.0[0].transforms[0].id = id;
            assert!(offered(&sa, false, &provider()).is_empty(), "{id}");
        }
        let mut bundle = good.clone();
        bundle.0.push(good.0[0].clone());
        assert!(offered(&bundle, false, &provider()).is_empty(), "two proposals of one number");
    }

    // RFC 2408 §4.2: both or neither.
    #[test]
    fn ah_around_esp_is_two_proposals_of_one_number() {
        let ah = [IntegId::HMAC_SHA2_256_128, IntegId::HMAC_SHA1_96];
        let sa = sa(
            &esp(&[CBC, SHA2]),
            (&ah, None),
            Spi(7),
            Common { group: Some(KeMethod::MODP2048), ..COMMON },
            &provider(),
        );
        let protocols: Vec<_> = sa.0.iter().map(|proposal| (proposal.number, proposal.protocol)).collect();
        assert_eq!(protocols, [(1, ProtocolId::AH), (1, ProtocolId::ESP)]);
        let read = offered(&sa, false, &provider());
        let around: Vec<_> = read.iter().map(|offered| offered.ah.unwrap().suite.integ).collect();
        assert_eq!(around, ah, "each with the one transform of ESP");
        assert!(
            read.iter().all(
                |offered| fits(offered, &ah, |_| false, &provider()) && !fits(offered, &[], |_| false, &provider())
            )
        );
        assert!(!fits(&read[1], &ah[..1], |_| false, &provider()));
        // In another mode, with another group or with a third proposal they do not go together.
        type Change = fn(&mut Sa);
        let changes: [Change; 4] = [
            |sa| sa.0[0].transforms.iter_mut().for_each(|one| one.attributes.retain(|it| it.kind != 3)),
            |sa| sa.0[0].transforms.iter_mut().for_each(|one| one.attributes.push(Attribute::number(4, 2))),
            |sa| sa.0.push(sa.0[0].clone()),
            |sa| sa.0[1].protocol = ProtocolId::AH,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut sa = sa.clone();
            change(&mut sa);
            assert!(offered(&sa, false, &provider()).is_empty(), "{index}");
        }
        let long = OfferedProposal { transforms: vec![sa.0[0].transforms[0].clone(); 200], ..sa.0[0].clone() };
        let many =
            Sa(vec![long, OfferedProposal { transforms: vec![sa.0[1].transforms[0].clone(); 200], ..sa.0[1].clone() }]);
        assert_eq!(offered(&many, false, &provider()).len(), 200 * limits::V1_AH_TRANSFORMS);
    }

    // RFC 2408 §4.2, RFC 3173 §4.1.
    #[test]
    fn compression_is_one_more_proposal_of_a_number_and_all_else_follows_without() {
        let (cpi, common) = (Cpi(0x1234), Common { group: Some(KeMethod::MODP2048), ..COMMON });
        let sa = sa(&esp(&[CBC, SHA2]), (&[IntegId::HMAC_SHA1_96], Some(cpi)), Spi(7), common, &provider());
        let protocols: Vec<_> = sa.0.iter().map(|proposal| (proposal.number, proposal.protocol.0)).collect();
        assert_eq!(protocols, [(1, 2), (1, 3), (1, 4), (2, 2), (2, 3)]);
        assert_eq!((&sa.0[2].spi, sa.0[2].transforms[0].id), (&AnySpi::Other(vec![0x12, 0x34]), 2));
        let read = offered(&sa, false, &provider());
        assert_eq!(read.iter().map(|offered| offered.proposal).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(read[0].compression, Some(Compression { at: (2, 0), cpi }));
        assert_eq!(read[1].compression, None);
        assert!(read.iter().all(|offered| offered.ah.is_some()));
        let ah = [IntegId::HMAC_SHA1_96];
        assert!(fits(&read[0], &ah, |told| told == cpi, &provider()) && !fits(&read[0], &ah, |_| false, &provider()));
        assert!(fits(&read[1], &ah, |_| false, &provider()));

        // In 32 bits it is the same.
        let mut wide = sa.clone();
        wide.0[2].spi = Spi(0x1234).into();
        assert_eq!(offered(&wide, false, &provider())[0].compression.map(|it| it.cpi), Some(cpi));
        // With another algorithm or mode, more to it, no label, or twice, it cannot be had, and the rest goes on without.
        type Change = fn(&mut Sa);
        let changes: [Change; 8] = [
            |sa| sa.0[2].transforms[0].id = 3,
            |sa| sa.0[2].transforms[0].attributes.retain(|it| it.kind != 4),
            |sa| sa.0[2].transforms[0].attributes.push(Attribute::number(4, 2)),
            |sa| sa.0[2].transforms[0].attributes.push(Attribute::number(8, 9)),
            |sa| sa.0[2].spi = AnySpi::None,
            |sa| sa.0[2].spi = Spi(0x1_1234).into(),
            |sa| sa.0[2].spi = AnySpi::Other(vec![0, 64]),
            |sa| sa.0.push(sa.0[2].clone()),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut sa = sa.clone();
            change(&mut sa);
            let left = offered(&sa, false, &provider());
            assert_eq!(left.iter().map(|offered| offered.proposal).collect::<Vec<_>>(), [4], "{index}");
        }
    }
}
