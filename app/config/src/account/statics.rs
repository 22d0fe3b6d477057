//! `KEYS=static`: the SAs that document 000 makes. The login is the SPI both ways, and the password the key both ways.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::mark::Marks;
use ravelin_types::options::{Mark, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, PriorityLevel, Protection};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::SnId;

use super::Account;

/// Packets after which an SA is made anew, before its sequence numbers of 32 bits run out (RFC 4303 §3.3.3).
const MANY_PACKETS: u64 = 0xf000_0000;

impl Account {
    /// The policy of its traffic. `shared`: other logins have the same, so the mark of the host's packets tells which: it is
    /// the login, and a connection that came by an SA of it has it.
    pub fn static_policy(&self, server: bool, shared: bool) -> Policy {
        let any = if self.server.is_ipv4() { TrafficSelector::any_v4() } else { TrafficSelector::any_v6() };
        let bound = |ts: TrafficSelector, ports| vec![ts.with(self.protocol, ports).unwrap_or(ts)];
        let place = bound(TrafficSelector::host(self.server), self.port..=self.port);
        let anybody = bound(any, 0..=u16::MAX);
        let nobody: IpAddr =
            if self.server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let (local, remote) = if server { (place, anybody) } else { (anybody, place) };
        let marks = Marks::both(shared.then_some(Mark { value: self.login.0, mask: u32::MAX }).into());
        let protection = Protection {
            mode: Mode::Transport,
            local: server.then_some(self.server),
            remote: if server { nobody } else { self.server },
            pfp: if server { Pfp { remote: true, ..Pfp::NONE } } else { Pfp { local: true, ..Pfp::NONE } },
            lifetime: Lifetime::default(),
            replay_window: 0,
            options: SaOptions { marks, ..SaOptions::default() },
        };
        Policy {
            id: PolicyId(0),
            name: self.name.clone(),
            domain: Domain::default(),
            priority: PriorityLevel::Medium.priority(),
            local,
            remote,
            action: Action::Protect(protection),
            ways: Default::default(),
        }
    }

    /// One of its SAs: between our address and that of the other end, for all ports of the policy.
    pub fn static_sa(&self, policy: &Policy, direction: Direction, own: IpAddr, other: IpAddr) -> SaParams {
        let outbound = direction == Direction::Outbound;
        let (src, dst) = if outbound { (own, other) } else { (other, own) };
        let narrow = |side: &[TrafficSelector], address: IpAddr| -> Vec<TrafficSelector> {
            let host =
                |ts: &TrafficSelector| TrafficSelector::host(address).with(ts.protocol(), ts.ports()).unwrap_or(*ts);
            side.iter().map(|ts| if address.is_unspecified() { *ts } else { host(ts) }).collect()
        };
        let bits = self.cipher.map_or(0, |cipher| cipher.key_bits(&self.password));
        let encr = self.cipher.map_or(ravelin_types::transform::EncrId::NULL, |cipher| cipher.id);
        let options = match &policy.action {
            Action::Protect(protection) => protection.options,
            _ => SaOptions::default(),
        };
        let soft = Limits { packets: outbound.then_some(MANY_PACKETS), ..Limits::default() };
        SaParams {
            direction,
            spi: self.login,
            pair: self.login,
            lookup: SaLookup::Spi,
            src,
            dst,
            mode: Mode::Transport,
            encap: None,
            original: None,
            suite: EspSuite { encr, encr_key_bits: bits, integ: self.integ(), sn: SnId::SEQUENTIAL_32 }.into(),
            keys: SaKeys { encr: self.password.clone(), integ: self.mac_key.clone(), ..SaKeys::default() },
            policy: policy.id,
            local_ts: narrow(&policy.local, own).into(),
            remote_ts: narrow(&policy.remote, other).into(),
            lifetime: Lifetime { soft, hard: Limits::default(), idle: outbound.then_some(self.idle) },
            // RFC 4303 §3.4.3: a sender that starts anew begins at 1 again, under the same key.
            replay_window: 0,
            options,
        }
    }
}

/// How many accounts there are of each place.
pub fn places(accounts: &[&Account]) -> BTreeMap<(IpAddr, u8, u16), usize> {
    let mut places = BTreeMap::new();
    for account in accounts {
        *places.entry((account.server, account.protocol, account.port)).or_default() += 1;
    }
    places
}
