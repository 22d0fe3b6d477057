//! Policies and SAs of all kinds, made from numbers without a pattern.

use ravelin_types::lifetime::Lifetime;
use ravelin_types::policy::{Action, Mode, Policy, PolicyId};
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Spi, lifetime};

use crate::common::*;

const AH: AhSuite = AhSuite { integ: IntegId::HMAC_SHA2_256_128, sn: SnId::SEQUENTIAL_32 };
const CBC: EspSuite =
    EspSuite { encr: EncrId::AES_CBC, encr_key_bits: 128, integ: IntegId::HMAC_SHA1_96, sn: SnId::SEQUENTIAL_32 };
/// Every kind.
pub const SUITES: [Suite; 4] =
    [Suite::Esp(CBC), Suite::Ah(AH), Suite::AhEsp { ah: AH, ah_spi: Spi(0), esp: CBC }, Suite::Esp(AES_GCM)];

/// Numbers without a pattern, the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % bound
    }

    fn selectors(&mut self, n: u32) -> Vec<TrafficSelector> {
        let host = TrafficSelector::host([10, 0, 0, n as u8].into());
        match self.below(4) {
            0 => vec![TrafficSelector::prefix(ip("10.0.0.0"), 8 + self.below(17) as u8).unwrap()],
            1 => vec![host, TrafficSelector::host(ip("2001:db8::1"))],
            2 => vec![host.with(17, 1000..=u16::MAX).unwrap()],
            _ => vec![host],
        }
    }

    pub fn policy(&mut self, n: u32) -> Policy {
        let action = if self.below(4) == 0 { Action::Bypass } else { protect() };
        policy(n, self.below(9), &self.selectors(n), &self.selectors(n + 100), action)
    }

    pub fn sa(&mut self, n: u32, direction: Direction) -> SaParams {
        let spi = Spi(0x1000 + n);
        let suite = SUITES[self.below(4) as usize].labelled(spi);
        let hard = lifetime::Limits { time: Some(std::time::Duration::from_secs(60)), ..lifetime::Limits::default() };
        let params = SaParams {
            spi,
            policy: PolicyId(self.below(64)),
            local_ts: self.selectors(n).into(),
            remote_ts: [TrafficSelector::any_v4()].into(),
            replay_window: 32 << self.below(8),
            lifetime: Lifetime { hard, ..Lifetime::default() },
            ..sa(direction, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
        };
        with_suite(params, suite)
    }
}
