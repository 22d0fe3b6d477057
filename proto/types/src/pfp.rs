//! Populate from packet: SAs of a policy for parts of its traffic (RFC 4301 §4.4.1.2).

use core::net::{IpAddr, Ipv4Addr};

use crate::dataplane::Flow;

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
        let address = |filled, address| if filled { address } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let protocol = self.protocol || self.local_port || self.remote_port;
        Flow {
            src: address(self.local, flow.src),
            dst: address(self.remote, flow.dst),
            protocol: if protocol { flow.protocol } else { 0 },
            src_port: flow.src_port.filter(|_| self.local_port),
            dst_port: flow.dst_port.filter(|_| self.remote_port),
        }
    }
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
}
