//! Populate from packet: SAs of a policy for parts of its traffic (RFC 4301 §4.4.1.2).

use core::net::{IpAddr, Ipv4Addr};

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::dataplane::Flow;
use crate::selector::{ANY_PROTOCOL, TrafficSelector};

/// Which selectors of an SA are filled from the packet that asked for it; the others come from the policy's entry.
/// Packets that differ in such a selector travel on SAs of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pfp {
    /// The local address.
    pub local: bool,
    /// The remote address.
    pub remote: bool,
    /// The next layer protocol.
    pub protocol: bool,
    /// The local port; for ICMP the type and code, for Mobility the header type. The protocol is filled with it.
    pub local_port: bool,
    /// The remote port; for ICMP the type and code, for Mobility the header type. The protocol is filled with it.
    pub remote_port: bool,
}

impl Pfp {
    /// Nothing from the packet: one SA carries all of a policy's traffic.
    pub const NONE: Pfp = Pfp { local: false, remote: false, protocol: false, local_port: false, remote_port: false };
    /// Everything from the packet: an SA for each flow.
    pub const ALL: Pfp = Pfp { local: true, remote: true, protocol: true, local_port: true, remote_port: true };

    /// Whether anything is filled from the packet.
    pub fn any(self) -> bool {
        self != Pfp::NONE
    }

    /// What tells the SA of one flow from those of others: the flow with every selector emptied that is not filled
    /// from the packet.
    pub fn key(self, flow: &Flow) -> Flow {
        // One empty address for both families, since one SA may carry both.
        let address = |filled, address| if filled { address } else { UNSPECIFIED };
        Flow {
            src: address(self.local, flow.src),
            dst: address(self.remote, flow.dst),
            protocol: if self.fills_protocol() { flow.protocol } else { ANY_PROTOCOL },
            src_port: flow.src_port.filter(|_| self.local_port),
            dst_port: flow.dst_port.filter(|_| self.remote_port),
        }
    }

    /// The selectors of the SA that `flow` asks for: those of the policy, with what is filled from the packet. Empty
    /// where the policy does not select the flow. A port that the flow does not show is left as the policy has it.
    pub fn fill(
        self,
        local: &[TrafficSelector],
        remote: &[TrafficSelector],
        flow: &Flow,
    ) -> (Vec<TrafficSelector>, Vec<TrafficSelector>) {
        let protocol = if self.fills_protocol() { flow.protocol } else { ANY_PROTOCOL };
        let side = |selectors: &[TrafficSelector], filled: bool, address, port: Option<u16>| {
            let ports = port.map_or(0..=u16::MAX, |port| port..=port);
            let fill = |selector: &TrafficSelector| {
                let addresses = if filled { address..=address } else { selector.addresses() };
                selector.intersection(&TrafficSelector::new(addresses, protocol, ports.clone()).ok()?)
            };
            selectors.iter().filter_map(fill).collect()
        };
        let Flow { src_port, dst_port, .. } = self.key(flow);
        (side(local, self.local, flow.src, src_port), side(remote, self.remote, flow.dst, dst_port))
    }

    /// The values that the selectors of an SA were filled with, the reverse of [`Pfp::fill`]; `None` where they are
    /// none of a single flow in what is to be filled.
    pub fn values(self, local: &[TrafficSelector], remote: &[TrafficSelector]) -> Option<Flow> {
        let address = |side: &[TrafficSelector]| {
            let (start, end) = all_equal(side.iter().map(TrafficSelector::addresses))?.into_inner();
            (start == end).then_some(start)
        };
        let port = |filled: bool, side: &[TrafficSelector]| {
            if !filled {
                return Some(None);
            }
            let ports: RangeInclusive<u16> = all_equal(side.iter().map(TrafficSelector::ports))?;
            match ports.into_inner() {
                // For packets that show no port.
                (0, u16::MAX) => Some(None),
                (start, end) => (start == end).then_some(Some(start)),
            }
        };
        let protocol = all_equal(local.iter().chain(remote).map(TrafficSelector::protocol));
        let protocol = protocol.filter(|protocol| *protocol != ANY_PROTOCOL);
        Some(self.key(&Flow {
            src: if self.local { address(local)? } else { UNSPECIFIED },
            dst: if self.remote { address(remote)? } else { UNSPECIFIED },
            protocol: if self.fills_protocol() { protocol? } else { ANY_PROTOCOL },
            src_port: port(self.local_port, local)?,
            dst_port: port(self.remote_port, remote)?,
        }))
    }

    fn fills_protocol(self) -> bool {
        self.protocol || self.local_port || self.remote_port
    }

    /// Whether a port is filled from the packet, so that the packet must show it.
    pub fn fills_ports(self) -> bool {
        self.local_port || self.remote_port
    }
}

/// Stands where no address is filled in.
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn all_equal<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_what_is_filled_and_nothing_else() {
        let flow = Flow {
            src: [10, 0, 0, 1].into(),
            dst: [10, 0, 0, 2].into(),
            protocol: 6,
            src_port: Some(4000),
            dst_port: Some(5001),
        };
        let any = [0, 0, 0, 0].into();
        assert_eq!(Pfp::ALL.key(&flow), flow);
        assert_eq!(Pfp::NONE.key(&flow), Flow { src: any, dst: any, protocol: 0, src_port: None, dst_port: None });
        let by_peer = Pfp { remote: true, ..Pfp::NONE };
        assert_eq!(by_peer.key(&flow), Flow { src: any, protocol: 0, src_port: None, dst_port: None, ..flow });
        let by_port = Pfp { remote_port: true, ..Pfp::NONE };
        assert_eq!(by_port.key(&flow), Flow { src: any, dst: any, src_port: None, ..flow }, "a port says its protocol");
        let v6 = Flow { src: [9; 16].into(), dst: [8; 16].into(), ..flow };
        assert_eq!(Pfp::NONE.key(&v6), Pfp::NONE.key(&flow), "one SA may carry both families");
        assert!(Pfp::ALL.any() && by_port.any() && !Pfp::NONE.any());
    }

    #[test]
    fn filling_and_reading_the_values_are_inverse() {
        let net = |a: [u8; 4]| TrafficSelector::prefix(a.into(), 16).unwrap();
        let flow = Flow {
            src: [10, 1, 0, 1].into(),
            dst: [10, 2, 0, 2].into(),
            protocol: 6,
            src_port: Some(4000),
            dst_port: Some(5001),
        };
        let (local, remote) = ([net([10, 1, 0, 0])], [net([10, 9, 0, 0]), net([10, 2, 0, 0])]);
        for bits in 0..32u8 {
            let on = |bit: u8| bits >> bit & 1 == 1;
            let pfp = Pfp { local: on(0), remote: on(1), protocol: on(2), local_port: on(3), remote_port: on(4) };
            let (l, r) = pfp.fill(&local, &remote, &flow);
            assert!(l[0].matches(flow.src, 6, Some(4000)), "{pfp:?}");
            assert!(r.iter().any(|r| r.matches(flow.dst, 6, Some(5001))), "{pfp:?}");
            assert_eq!(l[0].matches(flow.src, 17, Some(4000)), bits & 0b11100 == 0, "{pfp:?}");
            assert_eq!(l[0].matches([10, 1, 0, 9].into(), 6, Some(4000)), !pfp.local);
            assert_eq!(r.iter().any(|r| r.matches(flow.dst, 6, Some(5002))), !pfp.remote_port);
            assert_eq!(r.len(), if pfp.remote { 1 } else { 2 });
            assert_eq!(pfp.values(&l, &r), Some(pfp.key(&flow)));
            assert_eq!(pfp.values(&local, &remote).is_some(), bits == 0, "{pfp:?}");
        }
        let elsewhere = Flow { dst: [10, 3, 0, 1].into(), ..flow };
        assert!(Pfp::ALL.fill(&local, &remote, &elsewhere).1.is_empty());
    }
}
