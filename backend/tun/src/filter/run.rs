//! Rules that follow each other and end alike, as few lookups. A packet walks the rules of a chain one by one, so many policies
//! would cost each packet of the host much; in a set it finds its own at once.

use std::fmt::Write;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ravelin_types::selector::{ANY_PROTOCOL, TrafficSelector};

use super::TO_PROTECT;

/// Fewer elements stay rules, which are easier to read.
const FEW: usize = 4;
/// The most elements of one set. What looking costs in a set of ranges grows with it, though less than with rules.
const MOST: usize = 512;
/// How many sets of ranges are tried for an element before another is begun.
const TRIED: usize = 4;

/// What is asked of a packet, and what is done with it.
pub(super) struct Rule {
    /// Where it asks for addresses only.
    pub pair: Option<Pair>,
    /// The texts of rules that match, one of which must.
    pub texts: Vec<String>,
    pub verdict: &'static str,
    pub policy: u32,
}

/// Source and destination.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    from: (IpAddr, IpAddr),
    to: (IpAddr, IpAddr),
}

impl Pair {
    /// The addresses of selectors of one family that ask for nothing else.
    pub(super) fn of(from: &TrafficSelector, to: &TrafficSelector) -> Option<Self> {
        let plain = |selector: &TrafficSelector| selector.protocol() == ANY_PROTOCOL && selector.any_port();
        let same = from.is_ipv4() == to.is_ipv4();
        let range = |selector: &TrafficSelector| RangeInclusive::into_inner(selector.addresses());
        (same && plain(from) && plain(to)).then(|| Pair { from: range(from), to: range(to) })
    }

    fn is_ipv4(&self) -> bool {
        self.from.0.is_ipv4()
    }

    /// Two single addresses, for which the kernel has a hash table.
    fn is_of_hosts(&self) -> bool {
        self.from.0 == self.from.1 && self.to.0 == self.to.1
    }

    /// Whether a packet can be of both. The elements of a set of ranges must not.
    fn overlaps(&self, other: &Pair) -> bool {
        let meet = |a: (IpAddr, IpAddr), b: (IpAddr, IpAddr)| a.0 <= b.1 && b.0 <= a.1;
        meet(self.from, other.from) && meet(self.to, other.to)
    }
}

/// Appends the rules of a chain in their order.
pub(super) fn emit(text: &mut String, table: &str, chain: &str, rules: &[Rule]) {
    // Rules that end alike may change places. So may those that lead to different workers, where they ask for addresses only:
    // the engine decides, and a worker hands over what is not his.
    let leads_to_workers = |rule: &Rule| rule.pair.is_some() && TO_PROTECT.contains(&rule.verdict);
    let several = rules.iter().any(|rule| TO_PROTECT[1..].contains(&rule.verdict));
    let alike = |a: &Rule, b: &Rule| match (leads_to_workers(a), leads_to_workers(b)) {
        (true, true) => true,
        (of_a, of_b) => a.verdict == b.verdict && (of_a == of_b || !several),
    };
    for run in rules.chunk_by(alike) {
        let mut verdicts: Vec<&str> = run.iter().map(|rule| rule.verdict).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        for verdict in verdicts {
            emit_alike(text, (table, chain), verdict, run.iter().filter(|rule| rule.verdict == verdict));
        }
    }
}

/// Appends rules that end alike.
fn emit_alike<'a>(
    text: &mut String,
    (table, chain): (&str, &str),
    verdict: &str,
    rules: impl Iterator<Item = &'a Rule>,
) {
    let mut kinds: [Vec<(&Pair, &Rule)>; 4] = Default::default();
    let mut alone: Vec<&Rule> = Vec::new();
    for rule in rules {
        match &rule.pair {
            Some(pair) => kinds[usize::from(pair.is_ipv4()) + 2 * usize::from(pair.is_of_hosts())].push((pair, rule)),
            None => alone.push(rule),
        }
    }
    for set in kinds.into_iter().flat_map(sets) {
        if set.len() < FEW {
            alone.extend(set.iter().map(|(_, rule)| rule));
        } else {
            let _ = writeln!(text, "add rule inet {table} {chain} {} {verdict}", one_of(&set));
        }
    }
    for Rule { texts, policy, .. } in alone {
        for matching in texts {
            let _ = writeln!(text, "add rule inet {table} {chain} {matching} {verdict} comment \"policy {policy}\"");
        }
    }
}

/// Deals pairs of one kind out to sets.
fn sets<'a>(mut pairs: Vec<(&'a Pair, &'a Rule)>) -> Vec<Vec<(&'a Pair, &'a Rule)>> {
    pairs.sort_by_key(|(pair, _)| *pair);
    pairs.dedup_by_key(|(pair, _)| *pair);
    let mut sets: Vec<Vec<(&Pair, &Rule)>> = Vec::new();
    for element in pairs {
        let takes =
            |set: &Vec<(&Pair, &Rule)>| set.len() < MOST && set.iter().all(|(pair, _)| !pair.overlaps(element.0));
        let open = sets.len().saturating_sub(TRIED);
        match sets[open..].iter_mut().find(|set| takes(set)) {
            Some(set) => set.push(element),
            None => sets.push(vec![element]),
        }
    }
    sets
}

/// The text that matches packets of one of the pairs.
fn one_of(pairs: &[(&Pair, &Rule)]) -> String {
    let (nfproto, family) = if pairs[0].0.is_ipv4() { ("ipv4", "ip") } else { ("ipv6", "ip6") };
    let range = |(first, last): (IpAddr, IpAddr)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let elements: Vec<_> = pairs.iter().map(|(pair, _)| format!("{} . {}", range(pair.from), range(pair.to))).collect();
    format!("meta nfproto {nfproto} {family} saddr . {family} daddr {{ {} }}", elements.join(", "))
}
