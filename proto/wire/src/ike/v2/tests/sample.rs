//! Values of every payload, for round-trip tests.

use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::selector::{OPAQUE_PORTS, TrafficSelector};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, Transform, TransformType};
use ravelin_types::{Dn, IdType, Identity, Spi};

use super::super::*;

/// Every value of the type that can be sent.
pub(in super::super) trait Sample: Sized {
    fn any() -> BoxedStrategy<Self>;
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn spi() -> impl Strategy<Value = AnySpi> {
    prop_oneof![
        Just(AnySpi::None),
        any::<u32>().prop_map(|spi| Spi(spi).into()),
        any::<u64>().prop_map(|spi| ravelin_types::IkeSpi(spi).into()),
        vec(any::<u8>(), 9..=255).prop_map(AnySpi::Other),
    ]
}

fn transform() -> impl Strategy<Value = Transform> {
    prop_oneof![
        (any::<u16>(), any::<Option<u16>>()).prop_map(|(id, bits)| Transform::Encr(EncrId(id), bits)),
        any::<u16>().prop_map(|id| Transform::Prf(PrfId(id))),
        any::<u16>().prop_map(|id| Transform::Integ(IntegId(id))),
        any::<u16>().prop_map(|id| Transform::Ke(KeMethod(id))),
        any::<u16>().prop_map(|id| Transform::Sn(SnId(id))),
        (13u8.., any::<u16>()).prop_map(|(kind, id)| Transform::Unknown { kind: TransformType(kind), id }),
    ]
}

impl Sample for Sa {
    fn any() -> BoxedStrategy<Self> {
        let proposal = (any::<u8>(), any::<u8>(), spi(), vec(transform(), 0..20)).prop_map(
            |(number, protocol, spi, transforms)| OfferedProposal {
                number,
                spi,
                proposal: Proposal { protocol: ProtocolId(protocol), transforms },
            },
        );
        vec(proposal, 1..8).prop_map(Sa).boxed()
    }
}

impl Sample for Ke {
    fn any() -> BoxedStrategy<Self> {
        (any::<u16>(), bytes()).prop_map(|(method, data)| Ke { method: KeMethod(method), data }).boxed()
    }
}

impl Sample for Id {
    fn any() -> BoxedStrategy<Self> {
        // 13 is ID_NULL, which has no data (RFC 7619 §2.2).
        let other = (prop_oneof![Just(0u8), Just(4), Just(12), 14u8..], bytes());
        prop_oneof![
            any::<Ipv4Addr>().prop_map(Identity::Ipv4),
            any::<Ipv6Addr>().prop_map(Identity::Ipv6),
            Just(Identity::Null),
            any::<String>().prop_map(Identity::Fqdn),
            any::<String>().prop_map(Identity::Rfc822),
            bytes().prop_map(Identity::KeyId),
            bytes().prop_map(|data| Identity::Dn(Dn::new(&data))),
            bytes().prop_map(Identity::GeneralName),
            other.prop_map(|(kind, data)| Identity::Other { kind: IdType(kind), data }),
            // Text types with bytes that are no text.
            bytes().prop_map(|mut data| {
                data.push(0xff);
                Identity::Other { kind: IdType::FQDN, data }
            }),
        ]
        .prop_map(Id::new)
        .boxed()
    }
}

impl Sample for Cert {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), bytes()).prop_map(|(encoding, data)| Cert { encoding: CertEncoding(encoding), data }).boxed()
    }
}

impl Sample for CertReq {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), bytes())
            .prop_map(|(encoding, authorities)| CertReq { encoding: CertEncoding(encoding), authorities })
            .boxed()
    }
}

impl Sample for Auth {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), bytes()).prop_map(|(method, data)| Auth { method: AuthMethod(method), data }).boxed()
    }
}

impl Sample for PuzzleSolution {
    fn any() -> BoxedStrategy<Self> {
        let keys = (1usize..=64).prop_flat_map(|len| vec(any::<u8>(), 4 * len));
        keys.prop_map(|keys| PuzzleSolution::new(keys).unwrap()).boxed()
    }
}

impl Sample for Nonce {
    fn any() -> BoxedStrategy<Self> {
        vec(any::<u8>(), 16..=256).prop_map(|bytes| Nonce::new(bytes).unwrap()).boxed()
    }
}

impl Sample for Notify {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), spi(), any::<u16>(), bytes())
            .prop_map(|(protocol, spi, kind, data)| Notify {
                protocol: ProtocolId(protocol),
                spi,
                kind: NotifyType(kind),
                data,
            })
            .boxed()
    }
}

impl Sample for Delete {
    fn any() -> BoxedStrategy<Self> {
        let child = (prop_oneof![Just(ProtocolId::AH), Just(ProtocolId::ESP)], vec(any::<u32>().prop_map(Spi), 0..40));
        let other = (4u8.., any::<u8>(), 0u16..20).prop_map(|(protocol, spi_len, count)| Delete::Other {
            protocol: ProtocolId(protocol),
            spi_len,
            count,
            spis: alloc::vec![7; usize::from(spi_len) * usize::from(count)],
        });
        prop_oneof![Just(Delete::Ike), child.prop_map(|(protocol, spis)| Delete::Child { protocol, spis }), other]
            .boxed()
    }
}

impl Sample for Vendor {
    fn any() -> BoxedStrategy<Self> {
        bytes().prop_map(Vendor).boxed()
    }
}

impl Sample for Ts {
    fn any() -> BoxedStrategy<Self> {
        let usable =
            (any::<(IpAddr, u128)>(), any::<u8>(), any::<(u16, u16)>()).prop_map(|((one, other), protocol, ports)| {
                let other = match one {
                    IpAddr::V4(_) => Ipv4Addr::from_bits(other as u32).into(),
                    IpAddr::V6(_) => Ipv6Addr::from_bits(other).into(),
                };
                let (start, end) = (one.min(other), one.max(other));
                let ports = ports.0.min(ports.1)..=ports.0.max(ports.1);
                TsEntry::Usable(TrafficSelector::new(start..=end, protocol, ports).unwrap())
            });
        let unknown = (prop_oneof![0u8..7, 9u8..], any::<u8>(), bytes())
            .prop_map(|(kind, protocol, body)| TsEntry::Unusable { kind: TsType(kind), protocol, body });
        let reversed = Just(TsEntry::Unusable {
            kind: TsType::IPV4_ADDR_RANGE,
            protocol: 6,
            body: [0xff, 0xff, 0, 1, 10, 0, 0, 1, 10, 0, 0, 1].into(),
        });
        let opaque = Just(TsEntry::Usable(TrafficSelector::host([10, 0, 0, 1].into()).with(6, OPAQUE_PORTS).unwrap()));
        vec(prop_oneof![usable, unknown, reversed, opaque], 1..12).prop_map(Ts).boxed()
    }
}

impl Sample for Cfg {
    fn any() -> BoxedStrategy<Self> {
        let attribute =
            (0u16..0x8000, bytes()).prop_map(|(kind, value)| CfgAttribute { kind: CfgAttributeType(kind), value });
        (any::<u8>(), vec(attribute, 0..12))
            .prop_map(|(kind, attributes)| Cfg { kind: CfgType(kind), attributes })
            .boxed()
    }
}

impl Sample for Eap {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), any::<u8>(), vec(any::<u8>(), 1..300))
            .prop_map(|(code, identifier, data)| match EapCode(code) {
                code @ (EapCode::SUCCESS | EapCode::FAILURE) => Eap { code, identifier, data: Vec::new() },
                code => Eap { code, identifier, data },
            })
            .boxed()
    }
}
