//! The classifiers against the plain reading of RFC 4301 §4.4.1: all entries, one after the other, in order.

use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Mode, Protection, Ways};
use ravelin_types::proposal::{AhSuite, Suite};
use ravelin_types::selector::OPAQUE_PORTS;
use ravelin_types::transform::{IntegId, SnId};

use super::*;
use alloc::collections::BTreeMap;

/// The ordered entries and nothing else.
#[derive(Default)]
pub(super) struct Reference(BTreeMap<Order, Entry>);

impl Reference {
    pub(super) fn add(&mut self, policy: &Policy) {
        self.delete(policy.id);
        let rule = match policy.action {
            Action::Protect(_) => Rule::Protect,
            Action::Bypass => Rule::Bypass,
            Action::Discard => Rule::Discard,
        };
        let order = (policy.priority, policy.id);
        self.0.insert(
            order,
            Entry {
                order,
                domain: policy.domain,
                local: policy.local.clone(),
                remote: policy.remote.clone(),
                rule,
                here: policy.is_about(Direction::Outbound),
                protection: None,
            },
        );
    }

    pub(super) fn delete(&mut self, id: PolicyId) -> bool {
        let before = self.0.len();
        self.0.retain(|order, _| order.1 != id);
        self.0.len() < before
    }

    pub(super) fn lookup(&self, seen: &Seen) -> Match {
        let mut hidden = false;
        for (&(_, id), entry) in self.0.iter().filter(|(_, entry)| entry.here) {
            match (entry.fits(seen), entry.rule) {
                (Fit::No, _) | (Fit::Perhaps, Rule::Bypass) => {}
                (Fit::Perhaps, Rule::Protect | Rule::Discard) => hidden = true,
                (Fit::Yes, _) if hidden => {}
                (_, Rule::Protect) => return Match::Protect(id),
                (_, Rule::Bypass) => return Match::Bypass(id),
                (_, Rule::Discard) => return Match::Discard(id),
            }
        }
        if hidden { Match::Hidden } else { Match::None }
    }
}

pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(end)) >> 32) as u32
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize]
    }

    /// Few addresses, close to each other and to both ends of the family, so that selectors overlap.
    fn address(&mut self, ipv4: bool) -> IpAddr {
        let low = self.below(16);
        let high = self.one(&[0, 0x0a00_0000, 0x0a00_0100, 0xffff_ffc0]);
        if ipv4 {
            return IpAddr::from((high + low).to_be_bytes());
        }
        let high = self.one(&[0, 0x2001_0db8 << 96, 0x2001_0db8 << 96 | 7 << 64, !63]);
        IpAddr::from((high + u128::from(low)).to_be_bytes())
    }

    fn selector(&mut self, ipv4: bool, usual: u8) -> TrafficSelector {
        let addresses = match self.below(8) {
            0 => TrafficSelector::host(self.address(ipv4)),
            1 | 2 if ipv4 => TrafficSelector::any_v4(),
            1 | 2 => TrafficSelector::any_v6(),
            3 => {
                let (a, b) = (self.address(ipv4), self.address(ipv4));
                TrafficSelector::new(a.min(b)..=a.max(b), 0, 0..=u16::MAX).unwrap()
            }
            _ => {
                let len = if ipv4 { self.below(33) } else { self.one(&[0, 1, 31, 32, 48, 64, 96, 112, 120, 127]) };
                TrafficSelector::prefix(self.address(ipv4), len as u8).unwrap()
            }
        };
        let protocol = if self.below(4) > 0 { usual } else { self.protocol() };
        let ports = match self.below(6) {
            0 => {
                let port = self.port();
                port..=port
            }
            1 => {
                let (a, b) = (self.port(), self.port());
                a.min(b)..=a.max(b)
            }
            2 => self.one(&[0, 1, 1024])..=u16::MAX - self.one(&[0, 1]),
            3 if self.below(2) == 0 => OPAQUE_PORTS,
            _ => 0..=u16::MAX,
        };
        addresses.with(protocol, ports).unwrap()
    }

    fn protocol(&mut self) -> u8 {
        self.one(&[0, 0, 0, 0, 0, 6, 6, 17, 1, 58, 135, 47, 60])
    }

    /// Ports, and ICMP types with their codes.
    fn port(&mut self) -> u16 {
        self.one(&[0, 1, 53, 80, 81, 443, 0x0800, 0x0303, 0x8000, 1023, 1024, 4500, 65534, 65535])
    }

    pub(super) fn policy(&mut self, ids: u32) -> Policy {
        // Both sides of a policy mostly ask for one protocol, or it would select nothing.
        let usual = self.protocol();
        let side = |random: &mut Self, ipv4: bool, long: bool| {
            let count = if long { 18 } else { random.one(&[1, 1, 1, 2, 3]) };
            let mixed = random.below(8) == 0;
            (0..count).map(|n| random.selector(ipv4 ^ (mixed && n % 2 == 1), usual)).collect()
        };
        let ipv4 = self.below(2) == 0;
        let (long, id, priority) = (self.below(200) == 0, self.below(ids), self.below(6));
        let action = match self.below(3) {
            0 => Action::Bypass,
            1 => Action::Discard,
            _ => Action::Protect(protection()),
        };
        let (local, remote) = (side(self, ipv4, long), side(self, ipv4, long));
        let domain = self.domain();
        Policy {
            id: PolicyId(id),
            name: String::new(),
            domain,
            priority,
            local,
            remote,
            action,
            ways: self.one(&[Ways::Both, Ways::Both, Ways::Outbound, Ways::Inbound]),
        }
    }

    fn domain(&mut self) -> Domain {
        if self.below(12) > 0 { Domain::default() } else { Domain(self.one(&[1, u16::MAX])) }
    }

    pub(super) fn packet(&mut self) -> Seen {
        let ipv4 = self.below(2) == 0;
        let (src, dst) = (self.address(ipv4), self.address(ipv4));
        let protocol = self.one(&[6, 6, 17, 1, 58, 135, 47, 60, 132]);
        let shows = transport::has_ports(protocol) && self.below(4) > 0;
        let ports = shows.then(|| (self.port(), self.port()));
        let (src_port, dst_port) = (ports.map(|p| p.0), ports.map(|p| p.1).filter(|_| !transport::has_type(protocol)));
        let hides_protocol = !shows && is_extension(protocol) && self.below(2) == 0;
        let hides_ports = hides_protocol || (!shows && transport::has_ports(protocol));
        let domain = self.domain();
        Seen { flow: Flow { src, dst, protocol, src_port, dst_port }, domain, hides_ports, hides_protocol }
    }
}

fn protection() -> Protection {
    let (remote, lifetime) = (ip("192.0.2.2"), Lifetime::default());
    Protection {
        mode: Mode::Tunnel,
        local: None,
        remote,
        pfp: Pfp::NONE,
        lifetime,
        replay_window: 64,
        options: SaOptions::default(),
    }
}

/// The flow that a packet which leaves would be remembered as; `None` where none shows just this.
fn key_of(seen: &Seen) -> Option<FlowKey> {
    let Flow { src, dst, protocol, src_port, dst_port } = seen.flow;
    let fragment = if seen.hides_protocol { Fragment::Later } else { Fragment::Whole };
    let header = Header {
        src,
        dst,
        tos: 0,
        ttl: 1,
        protocol,
        protocol_at: 0,
        payload_at: 0,
        total_len: 0,
        fragment,
        dont_fragment: false,
        esp_at: 0,
        esp_protocol: protocol,
        esp_protocol_at: 0,
    };
    let ports = Ports { src: src_port, dst: dst_port };
    let same = Seen::new(&header, ports, seen.domain) == *seen;
    same.then(|| FlowKey::new(&header, ports, seen.domain))
}

/// Some policies come, some are replaced, some go, and packets of both views are looked up in between.
fn agree(limits: Limits, seed: u64, ids: u32, updates: u32, packets: u32) -> (u32, u32) {
    let mut random = Random(seed);
    let (mut spd, mut reference) = (Spd::new(seed, Direction::Outbound, limits, None), Reference::default());
    let (mut looked_up, mut matched) = (0, 0);
    for _ in 0..updates {
        if random.below(4) == 0 {
            let id = PolicyId(random.below(ids));
            assert_eq!(spd.delete(id).is_ok(), reference.delete(id));
        } else {
            let policy = random.policy(ids);
            spd.add(&policy).unwrap();
            reference.add(&policy);
        }
        for _ in 0..packets {
            let packet = random.packet();
            for seen in [packet, packet.swapped()] {
                let expected = reference.lookup(&seen);
                assert_eq!(spd.lookup(&seen), expected, "seed {seed}, {seen:?}, {:#?}", reference.0);
                if let Some(key) = key_of(&seen) {
                    assert_eq!(key.seen(), seen);
                    assert_eq!(spd.lookup_in(&key, spd.fetch(&key)), expected, "fetched ahead: seed {seed}, {seen:?}");
                }
                looked_up += 1;
                matched += u32::from(expected != Match::None);
            }
        }
    }
    for id in 0..ids {
        assert_eq!(spd.delete(PolicyId(id)).is_ok(), reference.delete(PolicyId(id)));
    }
    if let Finder::Tables(tables) = &spd.finder {
        assert!(tables.is_empty(), "what was deleted left areas behind");
    }
    (looked_up, matched)
}

/// Sets of few, of some and of many policies: the nightly run has `SEEDS` of the first kind.
#[test]
fn the_classifiers_agree_with_reading_all_entries_in_order() {
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300).max(300);
    let limits = Limits::default();
    let few = (1..=seeds).map(|seed| agree(limits, seed, 6, 25, 60));
    let more = (1..=seeds / 6).map(|seed| agree(limits, seed << 16, 30, 60, 20));
    let many = (1..=seeds / 300).map(|seed| agree(limits, seed << 32, 500, 800, 4));
    let all = few.chain(more).chain(many);
    let (looked_up, matched) = all.fold((0u64, 0u64), |sum, one| (sum.0 + u64::from(one.0), sum.1 + u64::from(one.1)));
    assert!(looked_up >= 1_000_000, "{looked_up}");
    let tells = looked_up / 8..looked_up / 8 * 7;
    assert!(tells.contains(&matched), "{matched} of {looked_up} packets match anything, which tests little");
}

/// The list of an engine that asks for no memory after its start keeps the order through all that comes and goes.
#[test]
fn a_list_of_entries_agrees_too() {
    const AH: AhSuite = AhSuite { integ: IntegId::HMAC_SHA2_256_128, sn: SnId::SEQUENTIAL_32 };
    let limits = Limits { policies: 64, suites: &[Suite::Ah(AH)], ..Limits::default() };
    let (looked_up, matched) =
        (1..=30).map(|seed| agree(limits, seed, 30, 60, 20)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!((looked_up / 8..looked_up / 8 * 7).contains(&matched), "{matched} of {looked_up}");
}
