//! Packets that wait for an SA, so that the packet that asks for a negotiation is not lost by it.

use std::collections::VecDeque;
use std::time::Duration;

use ravelin_types::Instant;
use ravelin_types::dataplane::Flow;
use ravelin_types::policy::{Domain, PolicyId};
use ravelin_wire::ip::Header;

/// Packets held of one flow.
pub(crate) const MAX_PER_FLOW: usize = 64;
/// Packets held for one policy, whose flows may each wait for an SA of their own.
pub(crate) const MAX_PER_POLICY: usize = 512;
/// Packets held in all.
pub(crate) const MAX_PACKETS: usize = 1024;
/// Bytes held in all.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// A packet that waits for an SA.
pub(crate) struct Held {
    policy: PolicyId,
    pub domain: Domain,
    flow: Option<Flow>,
    pub since: Instant,
    pub packet: Box<[u8]>,
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

    /// Keeps a copy of a packet that has waited since then; false when there is no room for it.
    pub(crate) fn push(&mut self, policy: PolicyId, domain: Domain, packet: &[u8], since: Instant) -> bool {
        let flow = Header::parse(packet).ok().map(|header| header.flow(packet));
        let of_policy = || self.packets.iter().filter(|held| held.policy == policy);
        let full = of_policy().count() >= MAX_PER_POLICY
            || of_policy().filter(|held| held.flow == flow).count() >= MAX_PER_FLOW
            || self.packets.len() >= MAX_PACKETS
            || self.bytes + packet.len() > MAX_BYTES;
        if !full {
            self.bytes += packet.len();
            let at = self.packets.partition_point(|other| other.since <= since);
            self.packets.insert(at, Held { policy, domain, flow, since, packet: packet.into() });
        }
        !full
    }

    /// Takes out the packets of the policy, oldest first.
    pub(crate) fn take(&mut self, policy: PolicyId) -> Vec<Held> {
        let (taken, kept) = self.packets.drain(..).partition(|held| held.policy == policy);
        self.packets = kept;
        let taken: VecDeque<Held> = taken;
        self.bytes -= taken.iter().map(|held| held.packet.len()).sum::<usize>();
        taken.into()
    }

    /// Drops what has waited too long, and says how many packets that were.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.packets.front().is_some_and(|held| held.since + self.patience <= now)
            && let Some(held) = self.packets.pop_front()
        {
            self.bytes -= held.packet.len();
            dropped += 1;
        }
        dropped
    }

    /// When [`HoldQueue::expire`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.packets.front().map(|held| held.since + self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn bytes(held: Vec<Held>) -> Vec<u8> {
        held.iter().flat_map(|held| held.packet.to_vec()).collect()
    }

    /// An IPv4 header and the ports.
    fn udp(src_port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend(src_port.to_be_bytes());
        packet.extend([0x13, 0x89, 0, 8, 0, 0]);
        packet
    }

    #[test]
    fn gives_back_in_order_what_was_held_for_the_policy() {
        let mut queue = HoldQueue::new(PATIENCE);
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        for byte in 0..6 {
            assert!(queue.push(PolicyId(u32::from(byte) % 2), Domain::default(), &[byte], at(u64::from(byte))));
        }
        let taken = queue.take(PolicyId(1));
        assert_eq!(taken.iter().map(|held| held.packet[0]).collect::<Vec<_>>(), [1, 3, 5]);
        assert!(queue.take(PolicyId(1)).is_empty());
        // What must wait on has waited already.
        taken.iter().for_each(|held| assert!(queue.push(PolicyId(1), Domain::default(), &held.packet, held.since)));
        assert_eq!(queue.expire(at(31)), 2);
        assert_eq!(bytes(queue.take(PolicyId(1))), [3, 5]);
        assert_eq!(bytes(queue.take(PolicyId(0))), [2, 4]);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn is_bounded_by_flow_by_policy_and_in_all() {
        let mut queue = HoldQueue::new(PATIENCE);
        for _ in 0..MAX_PER_FLOW {
            assert!(queue.push(PolicyId(1), Domain::default(), &udp(1), Instant::ZERO));
        }
        assert!(!queue.push(PolicyId(1), Domain::default(), &udp(1), Instant::ZERO));
        assert!(queue.push(PolicyId(2), Domain::default(), &udp(1), Instant::ZERO));
        let mut ports = 2..;
        while queue.push(PolicyId(1), Domain::default(), &udp(ports.next().unwrap()), Instant::ZERO) {}
        assert_eq!(queue.packets.len(), MAX_PER_POLICY + 1, "one flow leaves room for others");
        assert!(!queue.push(PolicyId(3), Domain::default(), &[0; MAX_BYTES], Instant::ZERO));
        let mut policies = 3..;
        while queue.packets.len() < MAX_PACKETS {
            assert!(queue.push(PolicyId(policies.next().unwrap()), Domain::default(), &[0], Instant::ZERO));
        }
        assert!(!queue.push(PolicyId(9999), Domain::default(), &[0], Instant::ZERO));
    }

    #[test]
    fn drops_what_waited_too_long() {
        let mut queue = HoldQueue::new(PATIENCE);
        let later = Instant::ZERO + Duration::from_secs(10);
        queue.push(PolicyId(1), Domain::default(), &[1], Instant::ZERO);
        queue.push(PolicyId(1), Domain::default(), &[2], later);
        assert_eq!(queue.deadline(), Some(Instant::ZERO + PATIENCE));
        assert_eq!(queue.expire(Instant::ZERO + PATIENCE), 1);
        assert_eq!(bytes(queue.take(PolicyId(1))), [2]);
        assert_eq!((queue.deadline(), queue.bytes), (None, 0));
    }
}
