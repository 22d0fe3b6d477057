//! Packets that wait for an SA, so that the packet that asks for a negotiation is not lost by it.

use std::collections::VecDeque;
use std::time::Duration;

use ravelin_types::Instant;
use ravelin_types::policy::PolicyId;

/// Packets held for one policy.
pub(crate) const MAX_PER_POLICY: usize = 64;
/// Packets held in all.
pub(crate) const MAX_PACKETS: usize = 1024;
/// Bytes held in all.
pub(crate) const MAX_BYTES: usize = 4 << 20;

struct Held {
    policy: PolicyId,
    until: Instant,
    packet: Box<[u8]>,
}

/// The packets, oldest first.
pub(crate) struct HoldQueue {
    patience: Duration,
    packets: VecDeque<Held>,
    bytes: usize,
}

impl HoldQueue {
    pub(crate) fn new(patience: Duration) -> Self {
        HoldQueue { patience, packets: VecDeque::new(), bytes: 0 }
    }

    /// Keeps a copy of the packet; false when there is no room for it.
    pub(crate) fn push(&mut self, policy: PolicyId, packet: &[u8], now: Instant) -> bool {
        let of_policy = self.packets.iter().filter(|held| held.policy == policy).count();
        let full =
            of_policy >= MAX_PER_POLICY || self.packets.len() >= MAX_PACKETS || self.bytes + packet.len() > MAX_BYTES;
        if !full {
            self.bytes += packet.len();
            self.packets.push_back(Held { policy, until: now + self.patience, packet: packet.into() });
        }
        !full
    }

    /// Takes out the oldest packet of the policy.
    pub(crate) fn take(&mut self, policy: PolicyId) -> Option<Box<[u8]>> {
        let at = self.packets.iter().position(|held| held.policy == policy)?;
        let held = self.packets.remove(at)?;
        self.bytes -= held.packet.len();
        Some(held.packet)
    }

    /// Drops what has waited too long, and says how many packets that were.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.packets.front().is_some_and(|held| held.until <= now)
            && let Some(held) = self.packets.pop_front()
        {
            self.bytes -= held.packet.len();
            dropped += 1;
        }
        dropped
    }

    /// When [`HoldQueue::expire`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.packets.front().map(|held| held.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn gives_back_in_order_what_was_held_for_the_policy() {
        let mut queue = HoldQueue::new(PATIENCE);
        for byte in 0..4 {
            assert!(queue.push(PolicyId(u32::from(byte) % 2), &[byte], Instant::ZERO));
        }
        assert_eq!(queue.take(PolicyId(1)).as_deref(), Some(&[1][..]));
        assert_eq!(queue.take(PolicyId(1)).as_deref(), Some(&[3][..]));
        assert_eq!(queue.take(PolicyId(1)), None);
        assert_eq!(queue.take(PolicyId(0)).as_deref(), Some(&[0][..]));
    }

    #[test]
    fn is_bounded_by_policy_and_in_all() {
        let mut queue = HoldQueue::new(PATIENCE);
        for _ in 0..MAX_PER_POLICY {
            assert!(queue.push(PolicyId(1), &[0; 100], Instant::ZERO));
        }
        assert!(!queue.push(PolicyId(1), &[0; 100], Instant::ZERO));
        assert!(queue.push(PolicyId(2), &[0; 100], Instant::ZERO));
        assert!(!queue.push(PolicyId(3), &[0; MAX_BYTES], Instant::ZERO));
        let mut policies = 3..;
        while queue.packets.len() < MAX_PACKETS {
            assert!(queue.push(PolicyId(policies.next().unwrap()), &[0], Instant::ZERO));
        }
        assert!(!queue.push(PolicyId(9999), &[0], Instant::ZERO));
    }

    #[test]
    fn drops_what_waited_too_long() {
        let mut queue = HoldQueue::new(PATIENCE);
        let later = Instant::ZERO + Duration::from_secs(10);
        queue.push(PolicyId(1), &[1], Instant::ZERO);
        queue.push(PolicyId(1), &[2], later);
        assert_eq!(queue.deadline(), Some(Instant::ZERO + PATIENCE));
        assert_eq!(queue.expire(Instant::ZERO + PATIENCE), 1);
        assert_eq!(queue.take(PolicyId(1)).as_deref(), Some(&[2][..]));
        assert_eq!((queue.deadline(), queue.bytes), (None, 0));
    }
}
