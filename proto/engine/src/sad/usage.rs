//! How much of an SA's lifetime is used up (RFC 4301 §4.4.2.1).

use ravelin_types::dataplane::DataPlaneEvent;
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::sa::SaId;

use crate::events::Events;

/// Packets and bytes so far, and the nearest limit of each: all that a packet needs.
///
/// A limit in packets or bytes is passed by the packet that reaches it: that packet still goes through, the hard
/// limit stops the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub packets: u64,
    pub bytes: u64,
    /// `u64::MAX` for none; 0 once the SA is out of use.
    next_packets: u64,
    next_bytes: u64,
}

/// The limits in packets and bytes, and which of them are passed; and whether the next packet is to be told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    soft: Bound,
    hard: Bound,
    next: Next,
}

/// What is wanted of the next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// That it is told of.
    Told,
    /// It has passed, and the event is still to be queued.
    Unreported,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    packets: u64,
    bytes: u64,
    passed: Passed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    No,
    /// Yes, and the event is still to be queued.
    Unreported,
    Reported,
}

impl Usage {
    /// Nothing used yet.
    pub fn new(bounds: &Bounds) -> Self {
        let mut usage = Usage { packets: 0, bytes: 0, next_packets: 0, next_bytes: 0 };
        usage.aim(bounds);
        usage
    }

    /// Out of use: a hard limit was passed.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.next_packets == 0
    }

    /// Counts one packet. True when it reaches a limit; [`Bounds::cross`] is to be called then.
    #[inline]
    #[must_use]
    pub fn record(&mut self, bytes: usize) -> bool {
        self.packets += 1;
        self.bytes += bytes as u64;
        self.packets >= self.next_packets || self.bytes >= self.next_bytes
    }

    fn aim(&mut self, bounds: &Bounds) {
        let open = |bound: &Bound, limit| if bound.passed == Passed::No { limit } else { u64::MAX };
        let Bounds { soft, hard, next } = bounds;
        let told = if *next == Next::Told { self.packets + 1 } else { u64::MAX };
        self.next_packets = open(soft, soft.packets).min(open(hard, hard.packets)).min(told).max(1);
        self.next_bytes = open(soft, soft.bytes).min(open(hard, hard.bytes));
        if hard.passed != Passed::No {
            self.next_packets = 0;
        }
    }
}

impl Bounds {
    pub fn new(lifetime: &Lifetime) -> Self {
        let bound = |limits: &Limits| Bound {
            packets: limits.packets.unwrap_or(u64::MAX),
            bytes: limits.bytes.unwrap_or(u64::MAX),
            passed: Passed::No,
        };
        Bounds { soft: bound(&lifetime.soft), hard: bound(&lifetime.hard), next: Next::Nothing }
    }

    /// The next packet is to be told of. It is a limit like the others, so packets that are not cost nothing.
    pub fn tell_use(&mut self, usage: &mut Usage) {
        self.next = Next::Told;
        usage.aim(self);
    }

    /// Makes `packets` a further soft limit.
    pub fn limit_soft_packets(&mut self, packets: u64) {
        self.soft.packets = self.soft.packets.min(packets);
    }

    /// Notes which limits `usage` has reached with a packet. True when a hard one is among them.
    pub fn cross(&mut self, usage: &mut Usage) -> bool {
        for bound in [&mut self.soft, &mut self.hard] {
            if usage.packets >= bound.packets || usage.bytes >= bound.bytes {
                bound.pass();
            }
        }
        if self.next == Next::Told {
            self.next = Next::Unreported;
        }
        usage.aim(self);
        usage.is_dead()
    }

    /// The soft limit in time is over.
    pub fn pass_soft(&mut self, usage: &mut Usage) {
        self.soft.pass();
        usage.aim(self);
    }

    /// The SA goes out of use.
    pub fn pass_hard(&mut self, usage: &mut Usage) {
        self.hard.pass();
        usage.aim(self);
    }

    /// Queues what was passed and not yet reported; false when something found no room.
    pub fn report(&mut self, id: SaId, events: &mut Events) -> bool {
        for (bound, event) in
            [(&mut self.soft, DataPlaneEvent::SoftExpire(id)), (&mut self.hard, DataPlaneEvent::HardExpire(id))]
        {
            if bound.passed == Passed::Unreported {
                if !events.push(event) {
                    return false;
                }
                bound.passed = Passed::Reported;
            }
        }
        if self.next == Next::Unreported {
            if !events.push(DataPlaneEvent::Used(id)) {
                return false;
            }
            self.next = Next::Nothing;
        }
        true
    }
}

impl Bound {
    fn pass(&mut self) {
        if self.passed == Passed::No {
            self.passed = Passed::Unreported;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use ravelin_types::Spi;
    use ravelin_types::sa::Direction;

    use super::*;

    #[test]
    fn each_limit_is_crossed_once() {
        let soft = Limits { packets: Some(2), bytes: Some(1000), time: None };
        let hard = Limits { packets: Some(4), bytes: None, time: None };
        let mut bounds = Bounds::new(&Lifetime { soft, hard, idle: None });
        let mut usage = Usage::new(&bounds);
        assert!(!usage.record(10));
        assert!(usage.record(10) && !bounds.cross(&mut usage));
        assert!(!usage.record(5000), "the soft limit in bytes is the same event");
        assert!(!usage.is_dead());
        assert!(usage.record(10) && bounds.cross(&mut usage));
        assert!(usage.is_dead());
        assert_eq!((usage.packets, usage.bytes), (4, 5030));
    }

    #[test]
    fn the_next_packet_is_told_of_once_and_limits_stay_what_they_are() {
        let soft = Limits { packets: Some(3), ..Limits::default() };
        let mut bounds = Bounds::new(&Lifetime { soft, ..Lifetime::default() });
        let mut usage = Usage::new(&bounds);
        let id = SaId { direction: Direction::Outbound, dst: Ipv4Addr::LOCALHOST.into(), src: None, spi: Spi(256) };
        let mut events = Events::new(8);
        assert!(!usage.record(10));
        bounds.tell_use(&mut usage);
        assert!(usage.record(10) && !bounds.cross(&mut usage));
        assert!(bounds.report(id, &mut events) && events.pop() == Some(DataPlaneEvent::Used(id)));
        assert!(usage.record(10) && !bounds.cross(&mut usage), "the soft limit");
        assert!(bounds.report(id, &mut events) && events.pop() == Some(DataPlaneEvent::SoftExpire(id)));
        assert!(!usage.record(10) && events.pop().is_none());
    }

    #[test]
    fn bytes_alone_end_an_sa() {
        let hard = Limits { bytes: Some(100), ..Limits::default() };
        let mut bounds = Bounds::new(&Lifetime { hard, ..Lifetime::default() });
        let mut usage = Usage::new(&bounds);
        assert!(!usage.record(99));
        assert!(usage.record(1) && bounds.cross(&mut usage));
    }

    #[test]
    fn a_limit_of_nothing_lets_one_packet_through() {
        let hard = Limits { packets: Some(0), ..Limits::default() };
        let mut bounds = Bounds::new(&Lifetime { hard, ..Lifetime::default() });
        let mut usage = Usage::new(&bounds);
        assert!(!usage.is_dead());
        assert!(usage.record(1) && bounds.cross(&mut usage));
    }
}
