//! Values of every payload, for round-trip tests.

use core::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::{IdType, IkeSpi, Spi};

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
        any::<u64>().prop_map(|spi| IkeSpi(spi).into()),
        vec(any::<u8>(), 9..=255).prop_map(AnySpi::Other),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let value = prop_oneof![
        any::<u16>().prop_map(AttributeValue::Basic),
        vec(any::<u8>(), 0..40).prop_map(AttributeValue::Long)
    ];
    vec((0u16..0x8000, value).prop_map(|(kind, value)| Attribute { kind, value }), 0..10)
}

impl Sample for Sa {
    fn any() -> BoxedStrategy<Self> {
        let transform = (any::<u8>(), any::<u8>(), attributes())
            .prop_map(|(number, id, attributes)| OfferedTransform { number, id, attributes });
        let proposal =
            (any::<u8>(), any::<u8>(), spi(), vec(transform, 0..8)).prop_map(|(number, protocol, spi, transforms)| {
                OfferedProposal { number, protocol: ProtocolId(protocol), spi, transforms }
            });
        vec(proposal, 1..6).prop_map(Sa).boxed()
    }
}

impl Sample for Opaque {
    fn any() -> BoxedStrategy<Self> {
        bytes().prop_map(Opaque).boxed()
    }
}

impl Sample for Id {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), any::<u8>(), any::<u16>(), bytes())
            .prop_map(|(kind, protocol, port, data)| Id { kind: IdType(kind), protocol, port, data })
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
            .prop_map(|(encoding, authority)| CertReq { encoding: CertEncoding(encoding), authority })
            .boxed()
    }
}

impl Sample for Nonce {
    fn any() -> BoxedStrategy<Self> {
        vec(any::<u8>(), 8..=256).prop_map(|bytes| Nonce::new(bytes).unwrap()).boxed()
    }
}

impl Sample for Notify {
    fn any() -> BoxedStrategy<Self> {
        (any::<u32>(), any::<u8>(), spi(), any::<u16>(), bytes())
            .prop_map(|(doi, protocol, spi, kind, data)| Notify {
                doi: Doi(doi),
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
        let pair = any::<(u64, u64)>().prop_map(|(one, other)| (IkeSpi(one), IkeSpi(other)));
        let child = (prop_oneof![Just(ProtocolId::AH), Just(ProtocolId::ESP)], vec(any::<u32>().prop_map(Spi), 0..40));
        let other = (2u32.., any::<u8>(), any::<u8>(), 0u16..20).prop_map(|(doi, protocol, spi_len, count)| {
            let spis = alloc::vec![7; usize::from(spi_len) * usize::from(count)];
            Delete::Other { doi: Doi(doi), protocol: ProtocolId(protocol), spi_len, count, spis }
        });
        prop_oneof![
            vec(pair, 0..4).prop_map(Delete::Ike),
            child.prop_map(|(protocol, spis)| Delete::Child { protocol, spis }),
            other
        ]
        .boxed()
    }
}

impl Sample for Cfg {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), any::<u16>(), attributes())
            .prop_map(|(kind, identifier, attributes)| Cfg { kind: CfgType(kind), identifier, attributes })
            .boxed()
    }
}

impl Sample for NatOa {
    fn any() -> BoxedStrategy<Self> {
        any::<IpAddr>().prop_map(NatOa).boxed()
    }
}

impl Sample for Fragment {
    fn any() -> BoxedStrategy<Self> {
        (any::<u16>(), 1u8.., any::<bool>(), bytes())
            .prop_map(|(id, number, last, data)| Fragment { id, number, last, data })
            .boxed()
    }
}
