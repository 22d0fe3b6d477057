//! Policies and SAs between the two hosts.

use std::net::{IpAddr, SocketAddr};

use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Secret, Spi};

use crate::End;

/// How the two hosts are to be protected.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Transport or tunnel.
    pub mode: Mode,
    /// IPv6 between the hosts.
    pub outer6: bool,
    /// IPv6 inside.
    pub inner6: bool,
}

/// A tunnel, all IPv4.
pub const TUNNEL: Shape = Shape { mode: Mode::Tunnel, outer6: false, inner6: false };

impl Shape {
    /// The address of an end on the wire.
    pub fn outer(self, end: End) -> IpAddr {
        let number = if end == End::A { 1 } else { 2 };
        match self.outer6 {
            true => [0x2001, 0xdb8, 0xf, 0, 0, 0, 0, number].into(),
            false => [192, 0, 2, number as u8].into(),
        }
    }

    /// The address of an end that payload comes from.
    pub fn inner(self, end: End) -> IpAddr {
        let number = if end == End::A { 1 } else { 2 };
        match (self.mode, self.inner6) {
            (Mode::Transport, _) => self.outer(end),
            (Mode::Tunnel, true) => [0x2001, 0xdb8, number, 0, 0, 0, 0, 1].into(),
            (Mode::Tunnel, false) => [10, number as u8, 0, 1].into(),
        }
    }

    /// Payload from one end: with these ports.
    pub fn flow(self, from: End, src: u16, dst: u16) -> (SocketAddr, SocketAddr) {
        ((self.inner(from), src).into(), (self.inner(from.other()), dst).into())
    }

    /// What an end sends, as selectors: everything from its address to the other's.
    fn selectors(self, end: End) -> (Vec<TrafficSelector>, Vec<TrafficSelector>) {
        let side = |end: End| {
            let bits = match (self.mode, self.inner(end).is_ipv4()) {
                (Mode::Transport, true) => 32,
                (Mode::Transport, false) => 128,
                (Mode::Tunnel, true) => 16,
                (Mode::Tunnel, false) => 48,
            };
            vec![TrafficSelector::prefix(self.inner(end), bits).unwrap()]
        };
        (side(end), side(end.other()))
    }
}

/// The policy of an end.
pub fn policy(end: End, number: u32, shape: Shape) -> Policy {
    let (local, remote) = shape.selectors(end);
    let protection = Protection {
        mode: shape.mode,
        local: Some(shape.outer(end)),
        remote: shape.outer(end.other()),
        pfp: Pfp::NONE,
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    };
    Policy {
        id: PolicyId(number),
        name: format!("policy{number}"),
        domain: Domain::default(),
        priority: 4000,
        local,
        remote,
        action: Action::Protect(protection),
        ways: Ways::default(),
    }
}

/// The same policy with its protection changed.
pub fn with(mut policy: Policy, change: impl FnOnce(&mut Protection)) -> Policy {
    if let Action::Protect(protection) = &mut policy.action {
        change(protection);
    }
    policy
}

/// AES-GCM with 128 bits.
pub fn gcm(sn: SnId) -> Suite {
    EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn }.into()
}

/// AH with HMAC-SHA-2-256 around AES-CBC with the same.
pub fn ah_esp(ah_spi: u32) -> Suite {
    let (integ, sn) = (IntegId::HMAC_SHA2_256_128, SnId::SEQUENTIAL_32);
    let esp = EspSuite { encr: EncrId::AES_CBC, encr_key_bits: 128, integ, sn };
    Suite::AhEsp { ah: AhSuite { integ, sn }, ah_spi: Spi(ah_spi), esp }
}

/// One direction at one end, for its policy. `spis` are those that A and B receive; the key follows from the SPI.
pub fn sa(end: End, direction: Direction, policy: &Policy, spis: (u32, u32), suite: Suite) -> SaParams {
    let Action::Protect(protection) = &policy.action else { panic!("such a policy has no SAs") };
    let (here, there) = (protection.local.unwrap(), protection.remote);
    let (own, others) = if end == End::A { spis } else { (spis.1, spis.0) };
    let (spi, pair, src, dst) = match direction {
        Direction::Inbound => (own, others, there, here),
        Direction::Outbound => (others, own, here, there),
    };
    let key = |length: u8| Secret::new((0..length).map(|i| (spi as u8).wrapping_mul(7).wrapping_add(i)).collect());
    let keys = match suite {
        Suite::Esp(_) => SaKeys { encr: key(20), ..SaKeys::default() },
        Suite::Ah(_) => SaKeys { ah: key(32), ..SaKeys::default() },
        Suite::AhEsp { .. } => SaKeys { encr: key(16), integ: key(32), ah: key(32) },
    };
    let suite = match suite {
        Suite::AhEsp { ah, esp, .. } => Suite::AhEsp { ah, ah_spi: Spi(spi), esp },
        other => other,
    };
    SaParams {
        direction,
        spi: Spi(spi),
        pair: Spi(pair),
        lookup: SaLookup::Spi,
        src,
        dst,
        mode: protection.mode,
        encap: None,
        original: None,
        suite,
        keys,
        policy: policy.id,
        local_ts: policy.local.as_slice().into(),
        remote_ts: policy.remote.as_slice().into(),
        lifetime: protection.lifetime,
        replay_window: if direction == Direction::Inbound { protection.replay_window } else { 0 },
        options: protection.options,
    }
}
