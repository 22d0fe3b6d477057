//! How much of an SA's lifetime is used up (RFC 4301 §4.4.2.1).

use ravelin_types::dataplane::DataPlaneEvent;
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::sa::SaId;

use crate::events::Events;

/// Packets and bytes so far, and the limits passed. A limit in packets or bytes is passed by the packet that reaches
/// it: that packet still goes through, the hard limit stops the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub packets: u64,
    pub bytes: u64,
    /// The nearest limit of either kind; `u64::MAX` for none.
    next_packets: u64,
    next_bytes: u64,
    soft: Passed,
    hard: Passed,
    soft_limit: (u64, u64),
    hard_limit: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    No,
    /// Yes, and the event is still to be queued.
    Unreported,
    Reported,
}

/// What a packet did to the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crossed {
    Nothing,
    Soft,
    Hard,
}

impl Usage {
    pub fn new(lifetime: &Lifetime) -> Self {
        let pair = |limits: &Limits| (limits.packets.unwrap_or(u64::MAX), limits.bytes.unwrap_or(u64::MAX));
        let mut usage = Usage {
            packets: 0,
            bytes: 0,
            next_packets: 0,
            next_bytes: 0,
            soft: Passed::No,
            hard: Passed::No,
            soft_limit: pair(&lifetime.soft),
            hard_limit: pair(&lifetime.hard),
        };
        usage.aim();
        usage
    }

    /// Makes `packets` a further soft limit.
    pub fn limit_soft_packets(&mut self, packets: u64) {
        self.soft_limit.0 = self.soft_limit.0.min(packets);
        self.aim();
    }

    /// Out of use: a hard limit was passed.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.hard != Passed::No
    }

    /// Counts one packet.
    #[inline]
    pub fn record(&mut self, bytes: usize) -> Crossed {
        self.packets += 1;
        self.bytes += bytes as u64;
        if self.packets < self.next_packets && self.bytes < self.next_bytes { Crossed::Nothing } else { self.cross() }
    }

    #[cold]
    fn cross(&mut self) -> Crossed {
        let reached = |limit: (u64, u64)| self.packets >= limit.0 || self.bytes >= limit.1;
        let (soft, hard) = (reached(self.soft_limit), reached(self.hard_limit));
        if soft {
            self.pass_soft();
        }
        if hard {
            self.pass_hard();
        }
        self.aim();
        match (soft, hard) {
            (_, true) => Crossed::Hard,
            (true, false) => Crossed::Soft,
            (false, false) => Crossed::Nothing,
        }
    }

    pub fn pass_soft(&mut self) {
        if self.soft == Passed::No {
            self.soft = Passed::Unreported;
            self.aim();
        }
    }

    pub fn pass_hard(&mut self) {
        if self.hard == Passed::No {
            self.hard = Passed::Unreported;
            self.aim();
        }
    }

    /// Queues what was passed and not yet reported; false when something found no room.
    pub fn report(&mut self, id: SaId, events: &mut Events) -> bool {
        for (passed, event) in
            [(&mut self.soft, DataPlaneEvent::SoftExpire(id)), (&mut self.hard, DataPlaneEvent::HardExpire(id))]
        {
            if *passed == Passed::Unreported {
                if !events.push(event) {
                    return false;
                }
                *passed = Passed::Reported;
            }
        }
        true
    }

    fn aim(&mut self) {
        let open = |passed, limit| if passed == Passed::No { limit } else { (u64::MAX, u64::MAX) };
        let (soft, hard) = (open(self.soft, self.soft_limit), open(self.hard, self.hard_limit));
        self.next_packets = soft.0.min(hard.0);
        self.next_bytes = soft.1.min(hard.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_crossed_once() {
        let soft = Limits { packets: Some(2), bytes: Some(1000), time: None };
        let hard = Limits { packets: Some(4), bytes: None, time: None };
        let mut usage = Usage::new(&Lifetime { soft, hard });
        assert_eq!(usage.record(10), Crossed::Nothing);
        assert_eq!(usage.record(10), Crossed::Soft);
        assert_eq!(usage.record(5000), Crossed::Nothing, "the soft limit in bytes is the same event");
        assert!(!usage.is_dead());
        assert_eq!(usage.record(10), Crossed::Hard);
        assert!(usage.is_dead());
        assert_eq!((usage.packets, usage.bytes), (4, 5030));
    }

    #[test]
    fn bytes_alone_end_an_sa() {
        let hard = Limits { bytes: Some(100), ..Limits::default() };
        let mut usage = Usage::new(&Lifetime { hard, ..Lifetime::default() });
        assert_eq!(usage.record(99), Crossed::Nothing);
        assert_eq!(usage.record(1), Crossed::Hard);
    }
}
