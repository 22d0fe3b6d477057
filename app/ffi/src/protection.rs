//! How packets are protected, and for how long: what a policy asks for and its SAs have.

use std::time::Duration;

use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::Mode;

use crate::RvlStatus;

/// ESP around a whole packet, in a new IP header.
pub const RVL_TUNNEL: u32 = 0;
/// ESP behind the IP header of the packet.
pub const RVL_TRANSPORT: u32 = 1;

/// When an SA is to be replaced and when it goes out of use. 0 is no limit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RvlLifetime {
    /// Replace after this many seconds.
    pub soft_seconds: u64,
    /// Replace after this many bytes of payload.
    pub soft_bytes: u64,
    /// Replace after this many packets.
    pub soft_packets: u64,
    /// End after this many seconds.
    pub hard_seconds: u64,
    /// End after this many bytes of payload.
    pub hard_bytes: u64,
    /// End after this many packets.
    pub hard_packets: u64,
}

pub(crate) fn mode(number: u32) -> Result<Mode, RvlStatus> {
    match number {
        RVL_TUNNEL => Ok(Mode::Tunnel),
        RVL_TRANSPORT => Ok(Mode::Transport),
        _ => Err(RvlStatus::BadParam),
    }
}

pub(crate) fn mode_number(mode: Mode) -> u32 {
    match mode {
        Mode::Tunnel => RVL_TUNNEL,
        Mode::Transport => RVL_TRANSPORT,
    }
}

impl From<RvlLifetime> for Lifetime {
    fn from(given: RvlLifetime) -> Self {
        let some = |limit: u64| (limit > 0).then_some(limit);
        let limits = |seconds, bytes, packets| Limits {
            time: some(seconds).map(Duration::from_secs),
            bytes: some(bytes),
            packets: some(packets),
        };
        Lifetime {
            soft: limits(given.soft_seconds, given.soft_bytes, given.soft_packets),
            hard: limits(given.hard_seconds, given.hard_bytes, given.hard_packets),
            idle: None,
        }
    }
}
