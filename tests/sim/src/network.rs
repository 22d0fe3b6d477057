//! The wire between the nodes: it loses, repeats, delays, reorders and damages what is put on it.

use core::cmp::Ordering;
use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use core::time::Duration;
use std::collections::BinaryHeap;

use ravelin_types::Instant;

use crate::rng::Rng;

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An IKE message in UDP, without the non-ESP marker.
    Ike {
        /// Source.
        from: SocketAddr,
        /// Destination.
        to: SocketAddr,
        /// The message.
        data: Vec<u8>,
    },
    /// An IP packet that an engine made, from its outer header on.
    Packet {
        /// Destination of the outer header.
        to: IpAddr,
        /// All of it.
        data: Vec<u8>,
    },
}

impl Frame {
    /// The host it is sent to.
    pub fn destination(&self) -> IpAddr {
        match self {
            Frame::Ike { to, .. } => to.ip(),
            Frame::Packet { to, .. } => *to,
        }
    }

    /// Its bytes.
    pub fn data(&self) -> &[u8] {
        match self {
            Frame::Ike { data, .. } | Frame::Packet { data, .. } => data,
        }
    }

    fn data_mut(&mut self) -> &mut Vec<u8> {
        match self {
            Frame::Ike { data, .. } | Frame::Packet { data, .. } => data,
        }
    }
}

/// How bad the wire is. Chances are in a thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// A frame is lost.
    pub loss: u64,
    /// A frame comes twice, each copy with a delay of its own.
    pub repeat: u64,
    /// A copy with one bit flipped comes too.
    pub damage: u64,
    /// A frame from the past comes again.
    pub replay: u64,
    /// Milliseconds on the way; a wide range reorders.
    pub delay: Range<u64>,
}

impl Faults {
    /// A wire that loses nothing and keeps the order.
    pub fn none() -> Self {
        Faults { loss: 0, repeat: 0, damage: 0, replay: 0, delay: 5..6 }
    }

    fn keeps_order(&self) -> bool {
        self.delay.end - self.delay.start == 1
    }
}

/// A frame that arrives.
#[derive(Debug)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// What.
    pub frame: Frame,
    order: u64,
}

/// The frames on their way, and what the wire does to new ones.
#[derive(Debug)]
pub struct Network {
    rng: Rng,
    faults: Faults,
    cut_until: Instant,
    /// Octets of the longest IKE message that passes.
    longest: Option<usize>,
    on_the_way: BinaryHeap<Arrival>,
    sent: u64,
    past: Vec<Frame>,
}

/// How many frames of the past can come again.
const REMEMBERED: usize = 64;

impl Network {
    /// An empty wire.
    pub fn new(rng: Rng, faults: Faults) -> Self {
        Network {
            rng,
            faults,
            cut_until: Instant::ZERO,
            longest: None,
            on_the_way: BinaryHeap::new(),
            sent: 0,
            past: Vec::new(),
        }
    }

    /// Lets no longer IKE message pass, now and later.
    pub fn narrow(&mut self, longest: Option<usize>) {
        self.longest = longest;
    }

    /// Changes what happens to frames sent from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Loses everything that is sent before `until`.
    pub fn cut(&mut self, until: Instant) {
        self.cut_until = self.cut_until.max(until);
    }

    /// Mends a cut wire.
    pub fn mend(&mut self) {
        self.cut_until = Instant::ZERO;
    }

    /// Puts a frame on the wire.
    pub fn send(&mut self, frame: Frame, now: Instant) {
        if self.past.len() < REMEMBERED {
            self.past.push(frame.clone());
        } else {
            let place = self.rng.in_range(0..REMEMBERED as u64) as usize;
            self.past[place] = frame.clone();
        }
        if self.rng.chance(self.faults.replay) {
            let old = self.rng.pick(&self.past).clone();
            self.put(old, now);
        }
        if self.rng.chance(self.faults.damage) && !frame.data().is_empty() {
            let mut damaged = frame.clone();
            let bit = self.rng.in_range(0..damaged.data().len() as u64 * 8);
            damaged.data_mut()[bit as usize / 8] ^= 1 << (bit % 8);
            self.put(damaged, now);
        }
        if self.rng.chance(self.faults.repeat) {
            self.put(frame.clone(), now);
        }
        if !self.rng.chance(self.faults.loss) {
            self.put(frame, now);
        }
    }

    /// When the next frame arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.peek().map(|arrival| arrival.at)
    }

    /// Takes the frame that arrives next.
    pub fn take(&mut self) -> Option<Arrival> {
        self.on_the_way.pop()
    }

    fn put(&mut self, frame: Frame, now: Instant) {
        let too_long = |longest| matches!(&frame, Frame::Ike { data, .. } if data.len() > longest);
        if now < self.cut_until || self.longest.is_some_and(too_long) {
            return;
        }
        let delay = if self.faults.keeps_order() {
            Duration::from_millis(self.faults.delay.start)
        } else {
            self.rng.millis(self.faults.delay.clone())
        };
        self.sent += 1;
        self.on_the_way.push(Arrival { at: now + delay, frame, order: self.sent });
    }
}

// The heap gives the greatest first; the earliest arrival is the greatest, of two at one time the one sent first.
impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Arrival {}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u8) -> Frame {
        Frame::Packet { to: IpAddr::from([10, 0, 0, 1]), data: vec![n] }
    }

    fn drain(network: &mut Network) -> Vec<u8> {
        core::iter::from_fn(|| network.take()).map(|arrival| arrival.frame.data()[0]).collect()
    }

    #[test]
    fn a_good_wire_keeps_everything_in_order() {
        let mut network = Network::new(Rng::new(1), Faults::none());
        (0..100).for_each(|n| network.send(frame(n), Instant::ZERO));
        assert_eq!(drain(&mut network), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn each_fault_happens() {
        let faults = |loss, repeat, damage| Faults { loss, repeat, damage, ..Faults::none() };
        for (faults, expected) in [(faults(1000, 0, 0), 0), (faults(0, 1000, 0), 200), (faults(0, 0, 1000), 200)] {
            let mut network = Network::new(Rng::new(1), faults);
            (0..100).for_each(|_| network.send(frame(0), Instant::ZERO));
            assert_eq!(drain(&mut network).len(), expected);
        }
        let mut network = Network::new(Rng::new(1), Faults { delay: 1..1000, ..Faults::none() });
        (0..100).for_each(|n| network.send(frame(n), Instant::ZERO));
        assert_ne!(drain(&mut network), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_cut_wire_carries_nothing_until_it_is_mended() {
        let mut network = Network::new(Rng::new(1), Faults::none());
        network.cut(Instant::ZERO + Duration::from_secs(9));
        network.send(frame(1), Instant::ZERO);
        assert_eq!(network.next_arrival(), None);
        network.mend();
        network.send(frame(2), Instant::ZERO);
        assert_eq!(drain(&mut network), [2]);
    }
}
