//! Links, addresses, routes and routing rules over rtnetlink: one request, one answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InetDevConf, LinkAttribute, LinkFlags, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use ravelin_rtnetlink::Socket;

/// What `ip rule` and `ip route` show as the origin of our entries.
const ORIGIN: RouteProtocol = RouteProtocol::Other(82);

/// The address of our device: the IPv4 dummy address (RFC 7600 §4.8). Nobody sends to it or from it, but the kernel
/// refuses by its reverse path filter, however loose, what comes out of a device without any address.
const DUMMY_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// A rule that sends packets with (or, inverted, without) a mark to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub priority: u32,
    /// What the bits of the mark must be.
    pub mark: u32,
    /// And which bits.
    pub mask: u32,
    /// The rule holds for packets whose bits are others.
    pub inverted: bool,
    pub table: u32,
}

/// A route through our device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub table: u32,
    pub destination: (IpAddr, u8),
    /// The source address for sockets that have none.
    pub source: Option<IpAddr>,
    /// The longest packet, where that is less than the device takes.
    pub mtu: Option<u32>,
}

/// A connection to the kernel's routing subsystem in the network namespace of the thread that opened it.
pub(crate) struct Netlink(Socket);

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        Socket::open().map(Netlink)
    }

    /// The number by which the kernel knows a device.
    pub(crate) fn index(&self, device: &str) -> io::Result<u32> {
        self.0.index(device)
    }

    /// Gives the device its MTU and the length of its queue, lets it take packets whose source is routed elsewhere, keeps IPv6
    /// from giving it an address, and takes it up.
    pub(crate) fn configure_link(&mut self, index: u32, mtu: u32, queue: u32, v6: bool) -> io::Result<()> {
        let mut conf = InetDevConf::default();
        // Loose reverse path filter (RFC 3704 §2.4): what comes out of the tunnel is routed back over the real link.
        conf.rp_filter = 2;
        let mut families = vec![AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(conf)])];
        if v6 {
            families.push(AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]));
        }
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes =
            vec![LinkAttribute::Mtu(mtu), LinkAttribute::TxQueueLen(queue), LinkAttribute::AfSpecUnspec(families)];
        self.change(RouteNetlinkMessage::SetLink(message), 0)?;

        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = 32;
        message.header.scope = AddressScope::Host;
        message.header.index = index;
        message.attributes = vec![AddressAttribute::Local(DUMMY_ADDRESS.into())];
        self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)?;

        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Adds a rule. That it is there already is no error.
    pub(crate) fn add_rule(&mut self, v4: bool, rule: Rule) -> io::Result<()> {
        let mut message = rule_message(v4, rule.priority, rule.table);
        if rule.inverted {
            message.header.flags = RuleFlags::Invert;
        }
        message.attributes.extend([
            RuleAttribute::FwMark(rule.mark),
            RuleAttribute::FwMask(rule.mask),
            RuleAttribute::Protocol(ORIGIN),
        ]);
        match self.change(RouteNetlinkMessage::NewRule(message), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Removes every rule with this priority and table, and says how many there were.
    pub(crate) fn delete_rules(&mut self, v4: bool, priority: u32, table: u32) -> io::Result<usize> {
        let mut deleted = 0;
        loop {
            match self.change(RouteNetlinkMessage::DelRule(rule_message(v4, priority, table)), 0) {
                Ok(()) => deleted += 1,
                // A host without IPv6 has none of its rules.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAFNOSUPPORT)) => {
                    return Ok(deleted);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds a route through the device, or replaces the one to the same destination.
    pub(crate) fn set_route(&mut self, device: u32, route: &Route) -> io::Result<()> {
        self.change(RouteNetlinkMessage::NewRoute(route_message(device, route)), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes a route. That there is none is no error.
    pub(crate) fn delete_route(&mut self, device: u32, route: &Route) -> io::Result<()> {
        match self.change(RouteNetlinkMessage::DelRoute(route_message(device, route)), 0) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// The addresses of this host.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
        self.0.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
            let RouteNetlinkMessage::NewAddress(message) = message else { return None };
            // On a point-to-point link the address is the peer's and the local one is ours.
            let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
            let local = find(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
            let address = find(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            });
            local.or(address)
        })
    }

    /// Sends one request and waits for its acknowledgement.
    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.0.change(message, flags)
    }
}

fn family(v4: bool) -> AddressFamily {
    if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn rule_message(v4: bool, priority: u32, table: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(v4);
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![RuleAttribute::Priority(priority), RuleAttribute::Table(table)];
    message
}

fn route_message(device: u32, route: &Route) -> RouteMessage {
    let (address, length) = route.destination;
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(address.is_ipv4()),
        destination_prefix_length: length,
        protocol: ORIGIN,
        scope: if address.is_ipv4() { RouteScope::Link } else { RouteScope::Universe },
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes = vec![RouteAttribute::Table(route.table), RouteAttribute::Oif(device)];
    if length > 0 {
        message.attributes.push(RouteAttribute::Destination(address.into()));
    }
    if let Some(source) = route.source {
        message.attributes.push(RouteAttribute::PrefSource(source.into()));
    }
    if let Some(mtu) = route.mtu {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    message
}

/// The destination of a default route.
pub(crate) fn everywhere(v4: bool) -> (IpAddr, u8) {
    (if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }, 0)
}
