//! Values of every body.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use ravelin_types::dataplane::Flow;
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::{Domain, PolicyId};
use ravelin_types::sa::Direction;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Secret, Spi};

use super::super::*;

/// Every value of the type that can be sent.
pub(in super::super) trait Sample: Sized {
    fn any() -> BoxedStrategy<Self>;
}

impl Sample for Nothing {
    fn any() -> BoxedStrategy<Self> {
        Just(Nothing).boxed()
    }
}

impl Sample for PolicyNumber {
    fn any() -> BoxedStrategy<Self> {
        any::<u32>().prop_map(|id| PolicyNumber(PolicyId(id))).boxed()
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    proptest::option::of(address()).prop_map(Endpoint)
}

fn identity() -> impl Strategy<Value = TrafficIdentity> {
    (any::<u8>(), any::<(u16, u16)>(), any::<[u8; 16]>(), any::<[u8; 16]>())
        .prop_map(|(kind, ports, address, second)| TrafficIdentity { kind: IdentityType(kind), ports, address, second })
}

impl Sample for PacketFlow {
    fn any() -> BoxedStrategy<Self> {
        (address(), address(), any::<(u8, u16, Option<u16>, Option<u16>)>())
            .prop_map(|(src, dst, (protocol, domain, src_port, dst_port))| PacketFlow {
                domain: Domain(domain),
                flow: Flow { src, dst, protocol, src_port, dst_port },
            })
            .boxed()
    }
}

impl Sample for PolicyBody {
    fn any() -> BoxedStrategy<Self> {
        let plain = any::<(u32, u8, u8, u16, u32, u32, u32)>();
        (plain, identity(), identity(), endpoint(), endpoint())
            .prop_map(
                |(
                    (id, action, protocol, domain, flags, priority, replay_window),
                    source,
                    destination,
                    remote,
                    local,
                )| {
                    PolicyBody {
                        id: PolicyId(id),
                        action: PolicyAction(action),
                        protocol,
                        domain: Domain(domain),
                        flags: PolicyFlags(flags),
                        priority,
                        source,
                        destination,
                        remote,
                        local,
                        replay_window,
                    }
                },
            )
            .boxed()
    }
}

impl Sample for ClonePolicy {
    fn any() -> BoxedStrategy<Self> {
        (any::<u32>(), any::<u8>(), identity(), identity())
            .prop_map(|(id, protocol, source, destination)| ClonePolicy {
                id: PolicyId(id),
                protocol,
                source,
                destination,
            })
            .boxed()
    }
}

impl Sample for InitialContact {
    fn any() -> BoxedStrategy<Self> {
        endpoint().prop_map(|peer| InitialContact { peer }).boxed()
    }
}

impl Sample for DeleteSpis {
    fn any() -> BoxedStrategy<Self> {
        (any::<u8>(), endpoint(), vec(any::<u32>(), 1..=MAX_SPIS))
            .prop_map(|(protocol, peer, spis)| {
                DeleteSpis::new(Protocol(protocol), peer, spis.into_iter().map(Spi).collect()).unwrap()
            })
            .boxed()
    }
}

impl Sample for GetSpi {
    fn any() -> BoxedStrategy<Self> {
        any::<(u32, u8, u32, u32)>()
            .prop_map(|(policy, protocol, esp, ah)| GetSpi {
                policy: PolicyId(policy),
                protocol: Protocol(protocol),
                esp: Spi(esp),
                ah: Spi(ah),
            })
            .boxed()
    }
}

fn spis() -> impl Strategy<Value = SaSpis> {
    any::<[u32; 4]>().prop_map(|[esp_in, esp_out, ah_in, ah_out]| SaSpis {
        esp_in: Spi(esp_in),
        esp_out: Spi(esp_out),
        ah_in: Spi(ah_in),
        ah_out: Spi(ah_out),
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    any::<(Option<u64>, Option<u64>, Option<u64>)>().prop_map(|(nanos, bytes, packets)| Limits {
        time: nanos.map(Duration::from_nanos),
        bytes,
        packets,
    })
}

impl Sample for SaBody {
    fn any() -> BoxedStrategy<Self> {
        let plain = any::<(u32, u16, u8, u8, (u16, u16))>();
        (plain, spis(), limits(), limits(), endpoint())
            .prop_map(|((policy, flags, encr, integ, udp_ports), spis, soft, hard, local)| SaBody {
                policy: PolicyId(policy),
                flags: SaFlags(flags),
                encr: EncrId(encr.into()),
                integ: IntegId(integ.into()),
                spis,
                lifetimes: Lifetime { soft, hard, idle: None }.into(),
                udp_ports,
                local,
            })
            .boxed()
    }
}

impl Sample for AddSa {
    fn any() -> BoxedStrategy<Self> {
        let pair = || {
            (0..=MAX_KEY_LEN)
                .prop_flat_map(|len| [vec(any::<u8>(), len), vec(any::<u8>(), len)])
                .prop_map(|keys| keys.map(|key| Key::new(Secret::new(key)).unwrap()))
        };
        (SaBody::any(), pair(), pair()).prop_map(|(sa, encr, integ)| AddSa::new(sa, encr, integ).unwrap()).boxed()
    }
}

/// An SA with this key for everything.
pub fn add_sa(key: Key) -> AddSa {
    let sa = SaBody {
        policy: PolicyId(1),
        flags: SaFlags::ESN,
        encr: EncrId::AES_GCM_16,
        integ: IntegId::NONE,
        spis: SaSpis { esp_in: Spi(256), esp_out: Spi(257), ah_in: Spi(0), ah_out: Spi(0) },
        lifetimes: Lifetimes::default(),
        udp_ports: (0, 0),
        local: Endpoint(None),
    };
    AddSa::new(sa, [key.clone(), key.clone()], [key.clone(), key]).unwrap()
}

impl Sample for SaInfo {
    fn any() -> BoxedStrategy<Self> {
        (SaBody::any(), any::<u16>(), endpoint(), any::<[u64; 4]>())
            .prop_map(|(sa, key_bits, remote, [a, b, c, d])| SaInfo {
                sa,
                key_bits,
                remote,
                received: SaUse { packets: a, octets: b },
                sent: SaUse { packets: c, octets: d },
            })
            .boxed()
    }
}

impl Sample for Acquire {
    fn any() -> BoxedStrategy<Self> {
        (any::<u32>(), PacketFlow::any()).prop_map(|(policy, flow)| Acquire { policy: PolicyId(policy), flow }).boxed()
    }
}

impl Sample for SaExpired {
    fn any() -> BoxedStrategy<Self> {
        (any::<(u32, u8, bool, bool, u32)>(), endpoint())
            .prop_map(|((policy, protocol, inbound, hard, spi), peer)| SaExpired {
                policy: PolicyId(policy),
                protocol: Protocol(protocol),
                direction: if inbound { Direction::Inbound } else { Direction::Outbound },
                hard,
                spi: Spi(spi),
                peer,
            })
            .boxed()
    }
}

impl Sample for SaDeleted {
    fn any() -> BoxedStrategy<Self> {
        (any::<u32>(), spis(), endpoint())
            .prop_map(|(policy, spis, peer)| SaDeleted { policy: PolicyId(policy), spis, peer })
            .boxed()
    }
}
