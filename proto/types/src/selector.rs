//! Traffic selectors: which packets an SA or a policy is about (RFC 4301 §4.4.1.1, RFC 7296 §2.9 and §3.13).

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;

use smallvec::SmallVec;

use crate::dataplane::Flow;

/// The value that stands for any protocol in a selector.
pub const ANY_PROTOCOL: u8 = 0;

/// The ports of a selector that takes any packet: with whatever ports, and without.
pub const ANY_PORTS: RangeInclusive<u16> = 0..=u16::MAX;

/// The ports of a selector that takes only packets which show none, such as later fragments and protocols without
/// ports: OPAQUE of RFC 4301 §4.4.1. A range that holds no port, written as it stands on the wire (RFC 7296 §3.13.1).
#[allow(clippy::reversed_empty_ranges)] // it is to be empty
pub const OPAQUE_PORTS: RangeInclusive<u16> = u16::MAX..=0;

/// One range of addresses, protocol and ports. The fields are private so that a value is always in order: both ends
/// of one family, start not above end but for [`OPAQUE_PORTS`].
///
/// Where a protocol has one field instead of two ports, it stands for the port: ICMP and ICMPv6 have type * 256 + code,
/// the Mobility Header has type * 256 (RFC 4301 §4.4.1.1). Such a field is its sender's: see [`select`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficSelector {
    protocol: u8,
    start_port: u16,
    end_port: u16,
    start: IpAddr,
    end: IpAddr,
}

/// What is selected on one side of a Child SA. It is one selector nearly always, which takes no memory of its own.
pub type Side = SmallVec<[TrafficSelector; 1]>;

/// Why a selector cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSelector {
    /// The ends belong to different address families.
    MixedFamilies,
    /// The start address is above the end address.
    AddressesReversed,
    /// The start port is above the end port, and the two are not [`OPAQUE_PORTS`].
    PortsReversed,
    /// The prefix is longer than an address of its family.
    PrefixTooLong,
}

impl TrafficSelector {
    /// A selector over whole ranges. `protocol` 0 is any; ports are [`ANY_PORTS`], [`OPAQUE_PORTS`] or a range.
    ///
    /// # Errors
    /// When an end is below its start or the families differ.
    pub fn new(
        addresses: RangeInclusive<IpAddr>,
        protocol: u8,
        ports: RangeInclusive<u16>,
    ) -> Result<Self, BadSelector> {
        let (start, end) = addresses.into_inner();
        if start.is_ipv4() != end.is_ipv4() {
            return Err(BadSelector::MixedFamilies);
        }
        if start > end {
            return Err(BadSelector::AddressesReversed);
        }
        let (start_port, end_port) = ports.into_inner();
        if start_port > end_port && (start_port..=end_port) != OPAQUE_PORTS {
            return Err(BadSelector::PortsReversed);
        }
        Ok(TrafficSelector { protocol, start_port, end_port, start, end })
    }

    /// One address, any protocol and port.
    pub fn host(address: IpAddr) -> Self {
        let (start_port, end_port) = ANY_PORTS.into_inner();
        TrafficSelector { protocol: ANY_PROTOCOL, start_port, end_port, start: address, end: address }
    }

    /// A prefix, any protocol and port; bits beyond the prefix are ignored.
    ///
    /// # Errors
    /// When `len` is more than 32 (IPv4) or 128 (IPv6).
    pub fn prefix(address: IpAddr, len: u8) -> Result<Self, BadSelector> {
        let bits = width(address);
        if len > bits {
            return Err(BadSelector::PrefixTooLong);
        }
        let host_mask = ones(bits).checked_shr(len.into()).unwrap_or(0);
        let base = to_u128(address) & !host_mask;
        Ok(TrafficSelector {
            start: from_u128(address, base),
            end: from_u128(address, base | host_mask),
            ..Self::host(address)
        })
    }

    /// Every IPv4 address.
    pub fn any_v4() -> Self {
        TrafficSelector {
            start: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            end: IpAddr::V4(Ipv4Addr::BROADCAST),
            ..Self::host(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        }
    }

    /// Every IPv6 address.
    pub fn any_v6() -> Self {
        TrafficSelector {
            start: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            end: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
            ..Self::host(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
        }
    }

    /// The same addresses with a protocol and ports.
    ///
    /// # Errors
    /// When the start port is above the end port.
    pub fn with(self, protocol: u8, ports: RangeInclusive<u16>) -> Result<Self, BadSelector> {
        Self::new(self.start..=self.end, protocol, ports)
    }

    /// First and last address.
    pub fn addresses(&self) -> RangeInclusive<IpAddr> {
        self.start..=self.end
    }

    /// IP protocol number, 0 for any.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// First and last port; [`OPAQUE_PORTS`] hold none.
    pub fn ports(&self) -> RangeInclusive<u16> {
        self.start_port..=self.end_port
    }

    /// Whether any port will do.
    pub fn any_port(&self) -> bool {
        self.ports() == ANY_PORTS
    }

    /// Whether only packets that show no port will do.
    pub fn is_opaque(&self) -> bool {
        self.ports() == OPAQUE_PORTS
    }

    /// Whether this selects IPv4 packets.
    pub fn is_ipv4(&self) -> bool {
        self.start.is_ipv4()
    }

    /// Whether the selector holds for one end of a packet. A packet that shows no port (`None`) matches only a
    /// selector on any or OPAQUE ports (RFC 4301 §4.4.1.1).
    pub fn matches(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        self.holds(address, protocol)
            && match port {
                Some(port) => self.start_port <= port && port <= self.end_port,
                None => self.any_port() || self.is_opaque(),
            }
    }

    /// Whether the selector holds for one end of a packet as far as it does not ask for ports.
    fn holds(&self, address: IpAddr, protocol: u8) -> bool {
        (self.protocol == ANY_PROTOCOL || self.protocol == protocol)
            && address.is_ipv4() == self.start.is_ipv4()
            && self.start <= address
            && address <= self.end
    }

    /// Whether every packet that `other` selects is selected by this too.
    pub fn covers(&self, other: &TrafficSelector) -> bool {
        self.intersection(other) == Some(*other)
    }

    /// What both select, or `None`.
    pub fn intersection(&self, other: &TrafficSelector) -> Option<TrafficSelector> {
        if self.is_ipv4() != other.is_ipv4() {
            return None;
        }
        let protocol = match (self.protocol, other.protocol) {
            (ANY_PROTOCOL, p) | (p, ANY_PROTOCOL) => p,
            (a, b) if a == b => a,
            _ => return None,
        };
        let start = self.start.max(other.start);
        let end = self.end.min(other.end);
        let (start_port, end_port) = common_ports(self.ports(), other.ports())?.into_inner();
        (start <= end).then_some(TrafficSelector { protocol, start_port, end_port, start, end })
    }

    /// The fewest prefixes that make up the address range, in order: at most 62 for IPv4 and 254 for IPv6.
    pub fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        let bits = width(self.start);
        let (mut low, high) = (to_u128(self.start), to_u128(self.end));
        let mut prefixes = Vec::new();
        loop {
            // The largest block that starts at `low` is aligned and does not pass `high`.
            let mut free = if low == 0 { u32::from(bits) } else { low.trailing_zeros().min(u32::from(bits)) };
            while free > 0 && low + host_bits(free) > high {
                free -= 1;
            }
            prefixes.push((from_u128(self.start, low), bits - free as u8));
            let last = low + host_bits(free);
            if last >= high {
                return prefixes;
            }
            low = last + 1;
        }
    }
}

/// What two selectors say of ports in common. ANY holds OPAQUE, and no other range does (RFC 4301 §4.4.1).
fn common_ports(a: RangeInclusive<u16>, b: RangeInclusive<u16>) -> Option<RangeInclusive<u16>> {
    if a == ANY_PORTS || a == b {
        return Some(b);
    }
    if b == ANY_PORTS {
        return Some(a);
    }
    let common = *a.start().max(b.start())..=*a.end().min(b.end());
    (!common.is_empty()).then_some(common)
}

/// Whether traffic selected by these selectors, seen from the host where `local` are the sources, holds `flow`: a local
/// and a remote one hold. Both fields of two ports are asked for. A flow with one field, the sender's, is asked for that
/// alone: what the other side's selector says of ports is about packets that come from there (RFC 4301 §4.4.1.3).
pub fn select(local: &[TrafficSelector], remote: &[TrafficSelector], flow: &Flow) -> bool {
    let Flow { src, dst, protocol, src_port, dst_port } = *flow;
    let side = |selectors: &[TrafficSelector], address, port: Option<u16>, other: Option<u16>| {
        selectors.iter().any(|selector| match (port, other) {
            (None, Some(_)) => selector.holds(address, protocol),
            (port, _) => selector.matches(address, protocol, port),
        })
    };
    side(remote, dst, dst_port, src_port) && side(local, src, src_port, dst_port)
}

/// Whether every packet that `inner` selects is selected by one of `outer`, which may share it among them: by addresses, and
/// by ports at each of these. What shows no port, and all protocols, one of them holds whole.
pub fn hold(outer: &[TrafficSelector], inner: &TrafficSelector) -> bool {
    let parts = outer.iter().filter_map(|selector| selector.intersection(inner));
    let mut parts: Side = parts.filter(|part| part.protocol == inner.protocol).collect();
    parts.sort_by_key(|part| part.start_port);
    let mut at = inner.start;
    loop {
        let here = || parts.iter().filter(|part| part.start <= at && at <= part.end);
        if !hold_ports(here().map(TrafficSelector::ports), inner.ports()) {
            return false;
        }
        // It is as here up to where one of these ends, or another begins.
        let ends = here().filter_map(|part| from_u128_in(at, to_u128(part.end).checked_add(1)?));
        let next = ends.chain(parts.iter().map(|part| part.start)).filter(|next| *next > at).min();
        match next.filter(|next| *next <= inner.end) {
            Some(next) => at = next,
            None => return true,
        }
    }
}

/// The same of ports. The parts lie within, and are in order of their first port.
fn hold_ports(mut parts: impl Iterator<Item = RangeInclusive<u16>>, ports: RangeInclusive<u16>) -> bool {
    if ports == ANY_PORTS || ports == OPAQUE_PORTS {
        return parts.any(|part| part == ports);
    }
    let (first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
    // The first port that nothing holds so far.
    let missing = parts.fold(first, |missing, part| match u32::from(*part.start()) <= missing {
        true => missing.max(u32::from(*part.end()) + 1),
        false => missing,
    });
    missing > last
}

/// The part of `offered` that `allowed` permits: every non-empty intersection, without those that another covers.
/// Empty means the two have nothing in common (RFC 7296 §2.9).
pub fn narrow(offered: &[TrafficSelector], allowed: &[TrafficSelector]) -> Side {
    let mut narrowed = Side::new();
    for candidate in offered.iter().flat_map(|o| allowed.iter().filter_map(move |a| o.intersection(a))) {
        if !narrowed.iter().any(|n| n.covers(&candidate)) {
            narrowed.retain(|n| !candidate.covers(n));
            narrowed.push(candidate);
        }
    }
    narrowed
}

/// The lowest `free` bits set: the offset of the last address of a block.
fn host_bits(free: u32) -> u128 {
    u128::MAX.checked_shr(128 - free).unwrap_or(0)
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn ones(bits: u8) -> u128 {
    u128::MAX >> (128 - u32::from(bits))
}

fn to_u128(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address of these bits, where the family has one.
fn from_u128_in(family: IpAddr, bits: u128) -> Option<IpAddr> {
    (bits <= ones(width(family))).then(|| from_u128(family, bits))
}

fn from_u128(family: IpAddr, bits: u128) -> IpAddr {
    match family {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

impl fmt::Display for TrafficSelector {
    /// `10.0.0.0/8`, `10.0.0.1-10.0.0.9[6/80-81]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefixes = if self.start == self.end { Vec::new() } else { self.prefixes() };
        match prefixes.as_slice() {
            [] => write!(f, "{}", self.start)?,
            [(address, len)] => write!(f, "{address}/{len}")?,
            _ => write!(f, "{}-{}", self.start, self.end)?,
        }
        match (self.protocol, self.any_port()) {
            (ANY_PROTOCOL, true) => Ok(()),
            (protocol, true) => write!(f, "[{protocol}]"),
            (protocol, false) if self.is_opaque() => write!(f, "[{protocol}/opaque]"),
            (protocol, false) if self.start_port == self.end_port => write!(f, "[{protocol}/{}]", self.start_port),
            (protocol, false) => write!(f, "[{protocol}/{}-{}]", self.start_port, self.end_port),
        }
    }
}

impl fmt::Debug for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrafficSelector({self})")
    }
}

impl fmt::Display for BadSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadSelector::MixedFamilies => "the first and the last address belong to different families",
            BadSelector::AddressesReversed => "the first address is above the last",
            BadSelector::PortsReversed => "the first port is above the last",
            BadSelector::PrefixTooLong => "the prefix is longer than the address",
        })
    }
}

impl core::error::Error for BadSelector {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn range(a: &str, b: &str) -> TrafficSelector {
        TrafficSelector::new(ip(a)..=ip(b), 0, 0..=u16::MAX).unwrap()
    }

    #[test]
    fn the_longest_prefix_is_one_address() {
        for address in [IpAddr::from([192, 0, 2, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])] {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            assert_eq!(TrafficSelector::prefix(address, bits), Ok(TrafficSelector::host(address)));
            let all = TrafficSelector::prefix(address, 0).unwrap();
            assert!(all.covers(&TrafficSelector::host(address)) && all.prefixes().len() == 1);
        }
    }

    #[test]
    fn prefix_bounds() {
        let ts = TrafficSelector::prefix(ip("10.1.2.3"), 8).unwrap();
        assert_eq!(ts.addresses(), ip("10.0.0.0")..=ip("10.255.255.255"));
        assert_eq!(TrafficSelector::prefix(ip("::1"), 0).unwrap(), TrafficSelector::any_v6());
        assert_eq!(TrafficSelector::prefix(ip("1.2.3.4"), 0).unwrap(), TrafficSelector::any_v4());
        assert_eq!(TrafficSelector::prefix(ip("1.2.3.4"), 33), Err(BadSelector::PrefixTooLong));
    }

    #[test]
    fn ranges_split_into_the_fewest_prefixes() {
        assert_eq!(
            range("10.0.0.1", "10.0.0.6").prefixes(),
            vec![(ip("10.0.0.1"), 32), (ip("10.0.0.2"), 31), (ip("10.0.0.4"), 31), (ip("10.0.0.6"), 32)]
        );
        assert_eq!(TrafficSelector::any_v4().prefixes(), vec![(ip("0.0.0.0"), 0)]);
        assert_eq!(TrafficSelector::any_v6().prefixes(), vec![(ip("::"), 0)]);
        assert_eq!(range("255.255.255.255", "255.255.255.255").prefixes(), vec![(ip("255.255.255.255"), 32)]);
        assert_eq!(range("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").prefixes().len(), 254);
    }

    #[test]
    fn a_packet_without_ports_needs_a_selector_without_ports() {
        let any = TrafficSelector::host(ip("10.0.0.1"));
        let web = any.with(6, 80..=80).unwrap();
        assert!(any.matches(ip("10.0.0.1"), 6, None));
        assert!(!web.matches(ip("10.0.0.1"), 6, None));
        assert!(web.matches(ip("10.0.0.1"), 6, Some(80)));
        assert!(!web.matches(ip("10.0.0.1"), 17, Some(80)));
    }

    #[test]
    fn any_ports_hold_opaque_ones_and_other_ranges_do_not() {
        let any = TrafficSelector::host(ip("10.0.0.1"));
        let opaque = any.with(17, OPAQUE_PORTS).unwrap();
        let dns = any.with(17, 53..=53).unwrap();
        assert!(opaque.is_opaque() && !opaque.any_port());
        assert!(opaque.matches(ip("10.0.0.1"), 17, None));
        assert!([0, 53, u16::MAX].iter().all(|&port| !opaque.matches(ip("10.0.0.1"), 17, Some(port))));
        assert!(any.covers(&opaque) && !opaque.covers(&any) && opaque.covers(&opaque));
        assert_eq!(opaque.intersection(&dns), None);
        assert_eq!(narrow(&[any], &[opaque, dns])[..], [opaque, dns]);
        assert_eq!(any.with(17, RangeInclusive::new(u16::MAX, 1)), Err(BadSelector::PortsReversed));
        assert_eq!(opaque.to_string(), "10.0.0.1[17/opaque]");
    }

    // The examples of RFC 4301 §4.4.1.3.
    #[test]
    fn a_field_that_is_no_port_is_asked_of_its_sender() {
        let (here, there) = (TrafficSelector::host(ip("10.0.0.1")), TrafficSelector::host(ip("10.0.0.2")));
        let on = |selector: TrafficSelector, ports| [selector.with(1, ports).unwrap()];
        let echo = 8 << 8..=(8 << 8 | 0xff);
        let flow =
            Flow { src: ip("10.0.0.1"), dst: ip("10.0.0.2"), protocol: 1, src_port: Some(0x0800), dst_port: None };
        let (sent, received) = (flow, Flow { src_port: None, dst_port: Some(0x0800), ..flow });
        for (local, remote, send, receive) in [
            (echo.clone(), echo.clone(), true, true),
            (echo.clone(), OPAQUE_PORTS, true, false),
            (OPAQUE_PORTS, echo.clone(), false, true),
            (ANY_PORTS, OPAQUE_PORTS, true, false),
            (0..=0xff, echo, false, true),
        ] {
            let (local, remote) = (on(here, local), on(there, remote));
            assert_eq!(select(&local, &remote, &sent), send, "{local:?} {remote:?}");
            assert_eq!(select(&local, &remote, &received), receive, "{local:?} {remote:?}");
        }
        // A fragment shows nothing at all.
        let fragment = Flow { src_port: None, ..flow };
        assert!(!select(&on(here, 0..=1), &on(there, OPAQUE_PORTS), &fragment));
        assert!(select(&on(here, ANY_PORTS), &on(there, OPAQUE_PORTS), &fragment));
    }

    #[test]
    fn narrowing_takes_the_common_part_once() {
        let offered = [TrafficSelector::any_v4(), range("10.0.0.0", "10.0.0.255")];
        let allowed = [TrafficSelector::prefix(ip("10.0.0.0"), 16).unwrap().with(6, 0..=u16::MAX).unwrap()];
        assert_eq!(narrow(&offered, &allowed)[..], allowed);
        assert!(narrow(&[TrafficSelector::any_v6()], &allowed).is_empty());
    }

    #[test]
    fn several_hold_together_what_none_holds_alone() {
        let whole = range("10.0.0.0", "10.0.0.255");
        let (low, high) = (range("10.0.0.0", "10.0.0.127"), range("10.0.0.128", "10.0.1.7"));
        let on = |selector: TrafficSelector, ports| selector.with(6, ports).unwrap();
        let tcp = |ports| on(whole, ports);
        assert!(
            hold(&[whole], &whole)
                && hold(&[high, low], &whole)
                && hold(&[low, range("10.0.0.9", "10.0.0.255")], &whole)
        );
        assert!(!hold(&[], &whole) && !hold(&[low], &whole) && !hold(&[high], &whole));
        assert!(!hold(&[low, range("10.0.0.129", "10.0.0.255")], &whole), "10.0.0.128 is missing");
        assert!(!hold(&[range("10.0.0.1", "10.0.0.254"), low], &whole), "10.0.0.255 is missing");
        // Ports, and both in one.
        assert!(
            hold(&[tcp(80..=89), tcp(85..=99)], &tcp(80..=95)) && !hold(&[tcp(80..=88), tcp(90..=99)], &tcp(80..=95))
        );
        let quarters = [on(low, 80..=89), on(low, 90..=99), on(high, 80..=84), on(high, 85..=99)];
        assert!(hold(&quarters, &tcp(80..=99)));
        for missing in 0..4 {
            let three: Vec<_> = (0..4).filter(|at| *at != missing).map(|at| quarters[at]).collect();
            assert!(!hold(&three, &tcp(80..=99)), "{missing}");
        }
        // Any port holds packets without ports, which no two ranges do; nor do protocols add up.
        assert!(hold(&[on(low, ANY_PORTS), on(high, ANY_PORTS)], &tcp(ANY_PORTS)));
        assert!(!hold(&[tcp(0..=99), tcp(100..=u16::MAX)], &tcp(ANY_PORTS)));
        assert!(!hold(&[tcp(ANY_PORTS), whole.with(17, ANY_PORTS).unwrap()], &whole));
        // To the last address of either family.
        for (all, half) in [(TrafficSelector::any_v4(), ip("128.0.0.0")), (TrafficSelector::any_v6(), ip("8000::"))] {
            let (first, last) = all.addresses().into_inner();
            let halves =
                [TrafficSelector::prefix(first, 1).unwrap(), TrafficSelector::new(half..=last, 0, ANY_PORTS).unwrap()];
            assert!(hold(&halves, &all) && !hold(&halves[1..], &all) && !hold(&halves[..1], &all));
        }
    }

    #[test]
    fn prints_as_an_operator_writes_it() {
        assert_eq!(range("10.0.0.0", "10.0.0.255").to_string(), "10.0.0.0/24");
        assert_eq!(range("10.0.0.1", "10.0.0.6").to_string(), "10.0.0.1-10.0.0.6");
        assert_eq!(TrafficSelector::host(ip("::1")).with(17, 53..=53).unwrap().to_string(), "::1[17/53]");
    }
}
