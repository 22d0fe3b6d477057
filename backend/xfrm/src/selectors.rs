//! Traffic selectors as the kernel has them: one prefix on either side, one protocol, and ports under a mask.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ravelin_types::dataplane::Flow;
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};

use crate::msg::bytes::Port;
use crate::msg::parts::{Selector, family};

/// The most kernel selectors that one policy may come to, each way.
pub(crate) const MAX_SELECTORS: usize = 1024;

/// Protocols whose packets have one field instead of two ports.
const ICMP: u8 = 1;
const ICMP6: u8 = 58;
const MOBILITY: u8 = 135;

/// Which end of the packets the first list of selectors is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Local is the source.
    Out,
    /// Local is the destination.
    In,
}

/// The kernel's selectors for traffic between any of `local` and any of `remote`.
///
/// # Errors
/// What the kernel has no words for, or would need too many.
pub(crate) fn selectors(
    local: &[TrafficSelector],
    remote: &[TrafficSelector],
    way: Way,
) -> Result<Vec<Selector>, String> {
    let mut all = Vec::new();
    for (local, remote) in local.iter().flat_map(|l| remote.iter().map(move |r| (l, r))) {
        let Some(protocol) = common(local.protocol(), remote.protocol()) else { continue };
        if local.is_ipv4() != remote.is_ipv4() {
            continue;
        }
        let (src, dst) = match way {
            Way::Out => (local, remote),
            Way::In => (remote, local),
        };
        let ports = ports(protocol, src, dst)?;
        for from in src.prefixes() {
            for to in dst.prefixes() {
                for (src_port, dst_port) in &ports {
                    if all.len() == MAX_SELECTORS {
                        return Err(format!(
                            "the kernel's selectors are prefixes and masks, and this would take more than {MAX_SELECTORS}; \
                             choose ranges that are prefixes, or the data plane `tun`"
                        ));
                    }
                    all.push(selector(protocol, (from, *src_port), (to, *dst_port)));
                }
            }
        }
    }
    Ok(all)
}

/// The one selector for this traffic, where one is enough.
pub(crate) fn single(local: &[TrafficSelector], remote: &[TrafficSelector], way: Way) -> Option<Selector> {
    match selectors(local, remote, way).ok()?.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// The packet that a selector of the kernel stands for, in an acquire.
pub(crate) fn flow(selector: &Selector) -> Option<Flow> {
    let (src, dst) = (selector.src.ip(selector.family)?, selector.dst.ip(selector.family)?);
    let shown = |port: Port, mask: Port| (mask.0 != 0).then_some(port.0);
    let src_port = shown(selector.src_port, selector.src_port_mask);
    let dst_port = shown(selector.dst_port, selector.dst_port_mask);
    let (src_port, dst_port) = match selector.protocol {
        ICMP | ICMP6 => (src_port.map(|kind| kind << 8 | dst_port.unwrap_or(0) & 0xff), None),
        MOBILITY => (src_port.map(|kind| kind << 8), None),
        _ => (src_port, dst_port),
    };
    Some(Flow { src, dst, protocol: selector.protocol, src_port, dst_port })
}

fn common(a: u8, b: u8) -> Option<u8> {
    match (a, b) {
        (0, other) | (other, 0) => Some(other),
        (a, b) if a == b => Some(a),
        _ => None,
    }
}

/// A value and which of its bits count.
type Masked = (u16, u16);

/// The pairs of source and destination ports, or of ICMP type and code.
fn ports(protocol: u8, src: &TrafficSelector, dst: &TrafficSelector) -> Result<Vec<(Masked, Masked)>, String> {
    const ANY: Masked = (0, 0);
    if src.is_opaque() || dst.is_opaque() {
        return Err("OPAQUE ports are nothing that the kernel's selectors can ask for".to_owned());
    }
    if !matches!(protocol, ICMP | ICMP6 | MOBILITY) {
        let (from, to) = (masks(src.ports()), masks(dst.ports()));
        return Ok(from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect());
    }
    // The field is its sender's (RFC 4301 §4.4.1.1). The kernel has the type in the place of the source port and the
    // code in that of the destination port.
    let (start, end) = src.ports().into_inner();
    let (from, to) = (start >> 8, end >> 8);
    if src.ports() == ANY_PORTS {
        Ok(vec![(ANY, ANY)])
    } else if start == end {
        let code = if protocol == MOBILITY { ANY } else { (start & 0xff, 0xffff) };
        Ok(vec![((from, 0xffff), code)])
    } else if start & 0xff == 0 && end & 0xff == 0xff {
        Ok(masks(from..=to).into_iter().map(|kind| (kind, ANY)).collect())
    } else {
        Err(format!("a range of ICMP codes, here {start:#06x} to {end:#06x}, is nothing that the kernel can select"))
    }
}

/// The fewest masked values that make up a range of ports.
fn masks(range: RangeInclusive<u16>) -> Vec<Masked> {
    let (start, end) = range.into_inner();
    let (mut low, high) = (u32::from(start), u32::from(end));
    let mut all = Vec::new();
    while low <= high {
        let mut free = if low == 0 { 16 } else { low.trailing_zeros().min(16) };
        while low + (1 << free) - 1 > high {
            free -= 1;
        }
        all.push((low as u16, (0xffff_u32 << free) as u16));
        low += 1 << free;
    }
    all
}

fn selector(protocol: u8, src: ((IpAddr, u8), Masked), dst: ((IpAddr, u8), Masked)) -> Selector {
    Selector {
        dst: dst.0.0.into(),
        src: src.0.0.into(),
        dst_port: Port(dst.1.0),
        dst_port_mask: Port(dst.1.1),
        src_port: Port(src.1.0),
        src_port_mask: Port(src.1.1),
        family: family(src.0.0),
        dst_prefix: dst.0.1,
        src_prefix: src.0.1,
        protocol,
        interface: 0,
        user: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str, len: u8) -> TrafficSelector {
        TrafficSelector::prefix(text.parse().unwrap(), len).unwrap()
    }

    #[test]
    fn prefixes_and_port_masks_make_up_exactly_the_ranges() {
        for range in [0..=65535, 1..=65535, 80..=80, 1000..=2000, 0..=1, 65534..=65535, 7..=8] {
            let masks = masks(range.clone());
            for port in 0..=u16::MAX {
                let hits = masks.iter().filter(|(value, mask)| port & mask == *value).count();
                assert_eq!(hits, usize::from(range.contains(&port)), "{port} in {range:?}");
            }
        }
        assert_eq!(masks(0..=65535), [(0, 0)]);
    }

    #[test]
    fn a_pair_of_networks_is_one_selector_each_way() {
        let (local, remote) = ([net("10.1.0.0", 16)], [net("10.2.0.0", 16)]);
        let out = single(&local, &remote, Way::Out).unwrap();
        assert_eq!((out.src_prefix, out.dst.ip(2)), (16, Some([10, 2, 0, 0].into())));
        let inbound = single(&local, &remote, Way::In).unwrap();
        assert_eq!((inbound.src, inbound.dst), (out.dst, out.src));
    }

    #[test]
    fn families_do_not_mix_and_protocols_agree() {
        let local = [net("10.1.0.0", 16), net("2001:db8::", 32)];
        let remote = [net("10.2.0.0", 16).with(6, ANY_PORTS).unwrap(), net("2001:db8:1::", 48)];
        let all = selectors(&local, &remote, Way::Out).unwrap();
        assert_eq!(all.iter().map(|s| (s.family, s.protocol)).collect::<Vec<_>>(), [(2, 6), (10, 0)]);
    }

    #[test]
    fn an_icmp_type_stands_at_its_senders_side() {
        let echo = 8 << 8..=8 << 8;
        let local = [net("10.1.0.0", 16).with(1, echo).unwrap()];
        let remote = [net("10.2.0.0", 16)];
        let out = single(&local, &remote, Way::Out).unwrap();
        assert_eq!((out.src_port, out.src_port_mask, out.dst_port_mask), (Port(8), Port(0xffff), Port(0xffff)));
        assert_eq!(single(&local, &remote, Way::In).unwrap().src_port_mask, Port(0));
        assert_eq!(flow(&out).map(|flow| (flow.src_port, flow.dst_port)), Some((Some(8 << 8), None)));
        let codes = [net("10.1.0.0", 16).with(1, 8 << 8 | 1..=8 << 8 | 2).unwrap()];
        assert!(selectors(&codes, &remote, Way::Out).unwrap_err().contains("ICMP codes"));
    }

    #[test]
    fn what_takes_too_many_is_refused() {
        let wide = TrafficSelector::new([10, 0, 0, 1].into()..=[10, 255, 255, 254].into(), 6, 1..=65534).unwrap();
        assert!(selectors(&[wide], &[wide], Way::Out).unwrap_err().contains("prefixes and masks"));
    }
}
