//! The classifiers against an SPD that was decorrelated (RFC 4301 §4.4.1, Appendix B): cut into entries of which no two select
//! the same packet, so that their order means nothing. Ours keeps the entries as they were written and looks them up in order;
//! this is why it may.

use super::*;

/// First and last of source, destination, protocol, source port and destination port.
type Area = [(u32, u32); 5];

const PROTOCOLS: [u8; 2] = [6, 17];
/// The most of each; ports and addresses are few, so that entries overlap.
const ENDS: [u32; 5] = [15, 15, 1, 7, 7];

struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % end
    }

    fn area(&mut self) -> Area {
        ENDS.map(|end| match self.below(3) {
            0 => (0, end),
            _ => {
                let (a, b) = (self.below(end + 1), self.below(end + 1));
                (a.min(b), a.max(b))
            }
        })
    }
}

fn address(number: u32) -> IpAddr {
    IpAddr::from([10, 0, 0, number as u8])
}

fn meet(a: &Area, b: &Area) -> bool {
    a.iter().zip(b).all(|(a, b)| a.0 <= b.1 && b.0 <= a.1)
}

/// What of an area is not in another: the steps of Appendix B, one selector after the other.
fn without(area: Area, other: &Area) -> Vec<Area> {
    if !meet(&area, other) {
        return vec![area];
    }
    let (mut rest, mut left) = (area, Vec::new());
    for (selector, &(first, last)) in other.iter().enumerate() {
        let (from, to) = rest[selector];
        let mut cut = |part: (u32, u32)| {
            let mut piece = rest;
            piece[selector] = part;
            left.push(piece);
        };
        if from < first {
            cut((from, first - 1));
        }
        if to > last {
            cut((last + 1, to));
        }
        rest[selector] = (from.max(first), to.min(last));
    }
    left
}

/// The policies of an area: one, or one for each protocol where it has not both.
fn policies(area: &Area, id: &mut u32, priority: u32, action: &Action) -> Vec<Policy> {
    let &[src, dst, protocols, src_ports, dst_ports] = area;
    let numbers = match protocols {
        (0, 1) => vec![ANY_PROTOCOL],
        (only, _) => vec![PROTOCOLS[only as usize]],
    };
    let selector = |(first, last), protocol, ports: (u32, u32)| {
        let ports = ports.0 as u16..=ports.1 as u16;
        TrafficSelector::new(address(first)..=address(last), protocol, ports).unwrap()
    };
    let made = numbers.into_iter().map(|protocol| {
        *id += 1;
        let (local, remote) = (selector(src, protocol, src_ports), selector(dst, protocol, dst_ports));
        policy(*id, priority, local, remote, action.clone())
    });
    made.collect()
}

#[test]
fn entries_in_order_decide_as_decorrelated_ones_in_any_order() {
    let mut random = Random(5);
    let (mut pieces, mut overlaps, mut matched) = (0, 0, 0);
    for round in 0..400 {
        let areas: Vec<(Area, Action)> = (0..6)
            .map(|_| (random.area(), if random.below(2) == 0 { Action::Bypass } else { Action::Discard }))
            .collect();
        let mut id = 0;
        let as_written: Vec<Policy> =
            (0..).zip(&areas).flat_map(|(order, (area, action))| policies(area, &mut id, order, action)).collect();
        let mut decorrelated: Vec<(Area, &Action)> = Vec::new();
        for (n, (area, action)) in areas.iter().enumerate() {
            let before = areas[..n].iter().map(|(area, _)| area);
            overlaps += before.clone().filter(|before| meet(before, area)).count();
            let rest = before
                .fold(vec![*area], |rest, other| rest.into_iter().flat_map(|piece| without(piece, other)).collect());
            decorrelated.extend(rest.into_iter().map(|piece| (piece, action)));
        }
        for (n, (piece, _)) in decorrelated.iter().enumerate() {
            assert!(decorrelated[..n].iter().all(|(other, _)| !meet(piece, other)), "no packet falls into two");
        }
        pieces += decorrelated.len();
        // In any order.
        let mut id = 0;
        let cut: Vec<Policy> = decorrelated
            .iter()
            .flat_map(|(area, action)| policies(area, &mut id, random.below(1000), action))
            .collect();
        let (as_written, cut) = (spd(&as_written), spd(&cut));
        let says = |spd: &Spd, seen: &Seen| match spd.lookup(seen) {
            Match::Bypass(_) => Some(true),
            Match::Discard(_) => Some(false),
            Match::None => None,
            other => panic!("{other:?}"),
        };
        for _ in 0..300 {
            let [src, dst, protocol, src_port, dst_port] = ENDS.map(|end| random.below(end + 1));
            let flow = Flow {
                src: address(src),
                dst: address(dst),
                protocol: PROTOCOLS[protocol as usize],
                src_port: Some(src_port as u16),
                dst_port: Some(dst_port as u16),
            };
            let seen = Seen { flow, domain: Domain::default(), hides_ports: false, hides_protocol: false };
            let said = says(&as_written, &seen);
            assert_eq!(said, says(&cut, &seen), "round {round}: {seen:?}");
            matched += usize::from(said.is_some());
        }
    }
    assert!(overlaps > 1000 && pieces > 5000 && matched > 30_000, "{overlaps} {pieces} {matched}");
}
