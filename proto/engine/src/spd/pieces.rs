//! How the selectors of an entry become areas for the classifier.
//!
//! An area is what some leading bits of source, destination and ports, the domain, and perhaps the protocol, have in
//! common: a mask and the value under it. A range of addresses or ports is several such areas. An entry has an area for each
//! combination of pieces of a local and a remote selector; when these are more than [`MAX_AREAS`], the dimension with
//! the most pieces is covered by two that are larger than the range, and the areas are marked as not exact.

use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use ravelin_types::policy::Domain;
use ravelin_types::selector::{ANY_PORTS, ANY_PROTOCOL, TrafficSelector};
use ravelin_wire::ip::transport::{Ports, has_type};

use super::{Entry, Rule};

/// More combinations of a local and a remote selector than this, and the local ones are taken together.
const MAX_PAIRS: usize = 256;
/// Areas of one entry in one view, as far as possible; each pair has at least 16 to itself.
const MAX_AREAS: usize = 64;

/// Ranges of ports of so many pieces, such as 1024 to 65535, are covered by one or two areas, and the ports looked at
/// there: fewer areas. Others are split, so that no number of ranges that are nearly all ports meets in one place.
const FEW_MASKS: RangeInclusive<usize> = 3..=6;

/// For which packets an area is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Those that show all that the area asks for.
    Shown,
    /// Those that show no port: areas of entries on OPAQUE ports.
    Opaque,
    /// Those that hide their ports: areas of entries on ports that would not let such a packet pass.
    HidesPorts,
    /// Those that hide even their protocol: the same for entries on a protocol or ports.
    HidesProtocol,
}

/// The packets whose words, under `mask`, are `key`: source and destination address, then [`last_word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area<const WORDS: usize> {
    pub mask: [u64; WORDS],
    pub key: [u64; WORDS],
    /// Each packet in the area with such ports is selected by the entry.
    pub exact: bool,
    /// First and last source and destination port of the packets.
    pub ports: PortRanges,
}

/// First and last source port, first and last destination port.
pub(super) type PortRanges = [(u16, u16); 2];

/// An area of one family.
#[derive(Debug)]
pub(super) enum Piece {
    V4(View, Area<2>),
    V6(View, Area<5>),
}

/// Where the parts of the last word stand, above the ports.
pub(super) const SHAPE_AT: u32 = 32;
pub(super) const PROTOCOL_AT: u32 = 40;
pub(super) const DOMAIN_AT: u32 = 48;

/// Which ports a packet shows.
#[derive(Clone, Copy)]
enum Shape {
    Both,
    /// The one field of a packet that is sent, or that arrived and is seen from the other end.
    Source,
    Destination,
    Neither,
}

/// The bits of the shape: the lower one, that there is no destination port, and the upper one, no source port.
pub(super) const SHAPE: u64 = 3 << SHAPE_AT;

/// The word of a packet after its addresses: domain, protocol, shape and ports. A protocol that is hidden is
/// [`ANY_PROTOCOL`], which no area asks for.
#[inline]
pub(super) fn last_word(domain: Domain, protocol: u8, ports: Ports) -> u64 {
    let shape = match (ports.src, ports.dst) {
        (Some(_), Some(_)) => Shape::Both,
        (Some(_), None) => Shape::Source,
        (None, Some(_)) => Shape::Destination,
        (None, None) => Shape::Neither,
    };
    let numbers = u64::from(ports.src.unwrap_or_default()) << 16 | u64::from(ports.dst.unwrap_or_default());
    u64::from(domain.0) << DOMAIN_AT | u64::from(protocol) << PROTOCOL_AT | (shape as u64) << SHAPE_AT | numbers
}

/// The ports in such a word.
pub(super) fn ports_in(last_word: u64) -> Ports {
    let shows = |without: Shape| last_word >> SHAPE_AT & without as u64 == 0;
    Ports {
        src: shows(Shape::Destination).then_some((last_word >> 16) as u16),
        dst: shows(Shape::Source).then_some(last_word as u16),
    }
}

/// Such a word as the other end sees it.
pub(super) fn swapped(last_word: u64) -> u64 {
    let (shape, ports) = (last_word >> SHAPE_AT & 3, (last_word as u32).rotate_left(16));
    let turned = (shape & 1) << 1 | shape >> 1;
    last_word & !(SHAPE | u64::from(u32::MAX)) | turned << SHAPE_AT | u64::from(ports)
}

/// Whether a packet with this last word shows no port.
#[inline]
pub(super) fn shows_no_port(last_word: u64) -> bool {
    last_word & SHAPE == SHAPE
}

/// An address of 128 bits as words.
#[inline]
pub(super) fn halves(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
}

/// Calls `found` with every area of an entry, in the same order each time; an area may come twice.
pub(super) fn each(entry: &Entry, mut found: impl FnMut(Piece)) {
    let narrow = |asks: fn(&TrafficSelector) -> bool| {
        entry.rule != Rule::Bypass && entry.local.iter().chain(&entry.remote).any(asks)
    };
    // What an entry asks for on one side decides for all its pairs, which may put areas where they are not needed.
    let on_ports = narrow(asks_ports);
    let on_protocol = narrow(|selector| asks_ports(selector) || selector.protocol() != ANY_PROTOCOL);
    let together = entry.local.len() * entry.remote.len() > MAX_PAIRS;
    let hulls;
    let local = if together {
        hulls = hulls_of(&entry.local);
        &hulls
    } else {
        &entry.local
    };
    let most = (MAX_AREAS / (local.len() * entry.remote.len()).max(1)).max(16);
    for (local, remote) in local.iter().flat_map(|local| entry.remote.iter().map(move |remote| (local, remote))) {
        if local.is_ipv4() != remote.is_ipv4() {
            continue;
        }
        let pair = Pair { local, remote, domain: entry.domain.0, exact: !together, most };
        if let Some(protocol) = pair.protocol() {
            pair.shown(protocol, &mut found);
            if on_ports {
                pair.areas(View::HidesPorts, protocol, None, [ANY_PORTS; 2], &mut found);
            }
        }
        if on_protocol {
            pair.areas(View::HidesProtocol, ANY_PROTOCOL, None, [ANY_PORTS; 2], &mut found);
        }
    }
}

/// Whether a packet that shows no port may be meant and may not.
fn asks_ports(selector: &TrafficSelector) -> bool {
    !selector.any_port() && !selector.is_opaque()
}

/// The smallest selector around those of each family.
fn hulls_of(selectors: &[TrafficSelector]) -> Vec<TrafficSelector> {
    [true, false]
        .into_iter()
        .filter_map(|ipv4| {
            let of_family = || selectors.iter().filter(|selector| selector.is_ipv4() == ipv4);
            let start = of_family().map(|selector| *selector.addresses().start()).min()?;
            let end = of_family().map(|selector| *selector.addresses().end()).max()?;
            TrafficSelector::new(start..=end, ANY_PROTOCOL, ANY_PORTS).ok()
        })
        .collect()
}

/// A value and which of its bits count.
type Bits = (u128, u128);
const ANY_BITS: Bits = (0, 0);

struct Pair<'a> {
    local: &'a TrafficSelector,
    remote: &'a TrafficSelector,
    domain: u16,
    exact: bool,
    most: usize,
}

impl Pair<'_> {
    /// The protocol that both sides select, 0 for any, or `None` when no packet has it.
    fn protocol(&self) -> Option<u8> {
        match (self.local.protocol(), self.remote.protocol()) {
            (ANY_PROTOCOL, protocol) | (protocol, ANY_PROTOCOL) => Some(protocol),
            (local, remote) => (local == remote).then_some(local),
        }
    }

    /// The areas of packets that the pair selects.
    fn shown(&self, protocol: u8, found: &mut impl FnMut(Piece)) {
        let (local, remote) = (self.local.ports(), self.remote.ports());
        let mut areas = |view, shape, ports| self.areas(view, protocol, shape, ports, found);
        if (&local, &remote) == (&ANY_PORTS, &ANY_PORTS) {
            areas(View::Shown, None, [ANY_PORTS; 2]);
            if self.exact {
                return;
            }
            // Some of the selectors that are taken together may be on OPAQUE ports.
            return areas(View::Opaque, None, [ANY_PORTS; 2]);
        }
        let (local_opaque, remote_opaque) = (self.local.is_opaque(), self.remote.is_opaque());
        if !has_type(protocol) && !local_opaque && !remote_opaque {
            areas(View::Shown, Some(Shape::Both), [local.clone(), remote.clone()]);
        }
        // RFC 4301 §4.4.1.3: one field is asked of its sender.
        if protocol == ANY_PROTOCOL || has_type(protocol) {
            if !local_opaque {
                areas(View::Shown, Some(Shape::Source), [local, ANY_PORTS]);
            }
            if !remote_opaque {
                areas(View::Shown, Some(Shape::Destination), [ANY_PORTS, remote]);
            }
        }
        if !asks_ports(self.local) && !asks_ports(self.remote) {
            areas(View::Opaque, None, [ANY_PORTS; 2]);
        }
    }

    fn areas(
        &self,
        view: View,
        protocol: u8,
        shape: Option<Shape>,
        ports: [RangeInclusive<u16>; 2],
        found: &mut impl FnMut(Piece),
    ) {
        let mut sides = ports.iter().map(|ports| {
            let pieces = split_ports(ports);
            if FEW_MASKS.contains(&pieces.len()) { cover(&pieces) } else { pieces }
        });
        let (src_ports, dst_ports) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
        let mut sides = [split_addresses(self.local), split_addresses(self.remote), src_ports, dst_ports];
        let mut exact = self.exact;
        while sides.iter().map(Vec::len).product::<usize>() > self.most {
            let Some(longest) = sides.iter_mut().max_by_key(|side| side.len()) else { break };
            *longest = cover(longest);
            exact = false;
        }
        let mut asked = (u64::from(self.domain) << DOMAIN_AT, 0xffff << DOMAIN_AT);
        if protocol != ANY_PROTOCOL {
            asked = (asked.0 | u64::from(protocol) << PROTOCOL_AT, asked.1 | 0xff << PROTOCOL_AT);
        }
        if let Some(shape) = shape {
            asked = (asked.0 | (shape as u64) << SHAPE_AT, asked.1 | 3 << SHAPE_AT);
        }
        for &src in &sides[0] {
            for &dst in &sides[1] {
                for &src_port in &sides[2] {
                    for &dst_port in &sides[3] {
                        let word = |pick: fn(Bits) -> u128, asked| {
                            asked | (pick(src_port) as u64) << 16 | pick(dst_port) as u64
                        };
                        let (value, mask) = (word(|bits| bits.0, asked.0), word(|bits| bits.1, asked.1));
                        let ports = [within(src_port, &ports[0]), within(dst_port, &ports[1])];
                        if self.local.is_ipv4() {
                            let (key, mask) = ([v4(src.0, dst.0), value], [v4(src.1, dst.1), mask]);
                            found(Piece::V4(view, Area { mask, key, exact, ports }));
                        } else {
                            let (key, mask) = (v6(src.0, dst.0, value), v6(src.1, dst.1, mask));
                            found(Piece::V6(view, Area { mask, key, exact, ports }));
                        }
                    }
                }
            }
        }
    }
}

fn v4(src: u128, dst: u128) -> u64 {
    (src as u64) << 32 | dst as u64
}

fn v6(src: u128, dst: u128, last: u64) -> [u64; 5] {
    let ([a, b], [c, d]) = (halves(src), halves(dst));
    [a, b, c, d, last]
}

fn split_addresses(selector: &TrafficSelector) -> Vec<Bits> {
    let prefixes = selector.prefixes();
    prefixes
        .into_iter()
        .map(|(address, len)| match address {
            IpAddr::V4(v4) => (v4.to_bits().into(), leading(len, 32)),
            IpAddr::V6(v6) => (v6.to_bits(), leading(len, 128)),
        })
        .collect()
}

/// Ports are split as if they were the last bits of an address.
fn split_ports(ports: &RangeInclusive<u16>) -> Vec<Bits> {
    let address = |port: u16| IpAddr::from(u32::from(port).to_be_bytes());
    let range = address(*ports.start())..=address(*ports.end());
    let Ok(selector) = TrafficSelector::new(range, ANY_PROTOCOL, ANY_PORTS) else { return vec![ANY_BITS] };
    split_addresses(&selector).into_iter().map(|(value, mask)| (value, mask & 0xffff)).collect()
}

/// The ports of a piece, as far as they are in the range.
fn within((value, mask): Bits, ports: &RangeInclusive<u16>) -> (u16, u16) {
    let (first, last) = (value as u16, (value | !mask) as u16);
    (first.max(*ports.start()), last.min(*ports.end()))
}

/// The mask of the first `len` of `width` bits.
fn leading(len: u8, width: u32) -> u128 {
    let all = u128::MAX >> (128 - width);
    all & !all.checked_shr(len.into()).unwrap_or(0)
}

/// One or two pieces that hold all of `pieces`, which are in order: those before and those after the first bit in which
/// the first and the last of them differ.
fn cover(pieces: &[Bits]) -> Vec<Bits> {
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Vec::new() };
    let highest = (first.0 ^ last.0).checked_ilog2().unwrap_or(0);
    let upper = |piece: &Bits| piece.0 >> highest & 1 == 1;
    let around = |first: &Bits, last: &Bits| {
        let differ = (first.0 ^ last.0).checked_ilog2().map_or(0, |bit| u128::MAX >> (127 - bit));
        let mask = first.1 & last.1 & !differ;
        (first.0 & mask, mask)
    };
    let middle = pieces.iter().position(upper).unwrap_or(pieces.len());
    let (low, high) = pieces.split_at(middle);
    [low, high].into_iter().filter_map(|half| Some(around(half.first()?, half.last()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_areas_and_covers_hold_them() {
        assert_eq!(split_ports(&(0..=u16::MAX)), [ANY_BITS]);
        assert_eq!(split_ports(&(80..=80)), [(80, 0xffff)]);
        assert_eq!(split_ports(&(1..=6)), [(1, 0xffff), (2, 0xfffe), (4, 0xfffe), (6, 0xffff)]);
        for ports in [1..=6, 1..=65534, 1024..=65535, 30_000..=34_000, 32_768..=32_769, 5..=7] {
            let pieces = split_ports(&ports);
            let within =
                |port: u16, pieces: &[Bits]| pieces.iter().any(|(value, mask)| u128::from(port) & mask == *value);
            let covered = cover(&pieces);
            assert!(covered.len() <= 2);
            for port in 0..=u16::MAX {
                assert_eq!(within(port, &pieces), ports.contains(&port), "{port} of {ports:?}");
                assert!(!ports.contains(&port) || within(port, &covered), "{port} of {ports:?}");
            }
        }
    }
}
