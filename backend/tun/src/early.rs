//! ESP packets that come before their SA.
//!
//! Who answers an offer of a Child SA has the SA before we do, and its first packets may overtake its answer, or come while we
//! still work on that. They wait here for a moment, if their SPI is one that we offered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ravelin_engine::OuterMeta;
use ravelin_types::{Instant, Spi};

/// Offers that are remembered; the oldest goes first.
const MAX_OFFERS: usize = 1024;
/// How long an offer is: as long as a request is sent again.
const OFFER: Duration = Duration::from_secs(120);
/// Packets held for one SPI.
const MAX_PER_SPI: usize = 16;
/// Packets held in all.
const MAX_PACKETS: usize = 256;
/// Bytes held in all.
const MAX_BYTES: usize = 1 << 20;
/// How long a packet waits: a first request that was lost is sent again by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// A packet that waits for its SA.
pub(crate) struct Held {
    spi: Spi,
    since: Instant,
    pub meta: OuterMeta,
    pub esp: Box<[u8]>,
}

/// What was offered, and the packets that came for it, oldest first.
#[derive(Default)]
pub(crate) struct Early {
    offers: BTreeMap<Spi, Instant>,
    packets: VecDeque<Held>,
    bytes: usize,
    /// Packets that were held.
    pub held: u64,
    /// Those of them for which no SA came.
    pub lost: u64,
}

impl Early {
    /// This SPI was offered to a peer.
    pub(crate) fn offer(&mut self, spi: Spi, now: Instant) {
        if self.offers.len() >= MAX_OFFERS {
            self.offers.retain(|_, at| *at + OFFER > now);
        }
        if self.offers.len() >= MAX_OFFERS
            && let Some(oldest) = self.offers.iter().min_by_key(|(_, at)| **at).map(|(spi, _)| *spi)
        {
            self.offers.remove(&oldest);
        }
        self.offers.insert(spi, now);
    }

    /// Whether a packet without an SA may be one that comes early.
    pub(crate) fn is_awaiting(&self) -> bool {
        !self.offers.is_empty()
    }

    /// Keeps a packet that has no SA, if its SPI is on offer and there is room.
    pub(crate) fn hold(&mut self, spi: Spi, meta: OuterMeta, esp: &[u8], now: Instant) {
        let offered = self.offers.get(&spi).is_some_and(|at| *at + OFFER > now);
        if !offered
            || self.packets.len() >= MAX_PACKETS
            || self.bytes + esp.len() > MAX_BYTES
            || self.packets.iter().filter(|held| held.spi == spi).count() >= MAX_PER_SPI
        {
            return;
        }
        self.bytes += esp.len();
        self.held += 1;
        self.packets.push_back(Held { spi, since: now, meta, esp: esp.into() });
    }

    /// The SA is there: its packets, oldest first.
    pub(crate) fn take(&mut self, spi: Spi) -> Vec<Held> {
        self.offers.remove(&spi);
        if self.packets.is_empty() {
            return Vec::new();
        }
        let (taken, kept): (Vec<Held>, Vec<Held>) = self.packets.drain(..).partition(|held| held.spi == spi);
        self.packets = kept.into();
        self.bytes -= taken.iter().map(|held| held.esp.len()).sum::<usize>();
        taken
    }

    /// Drops what has waited too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.packets.front().is_some_and(|held| held.since + PATIENCE <= now)
            && let Some(held) = self.packets.pop_front()
        {
            self.bytes -= held.esp.len();
            self.lost += 1;
        }
    }

    /// When [`Early::expire`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.packets.front().map(|held| held.since + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn hold(early: &mut Early, spi: u32, esp: &[u8], now: Instant) {
        let any = Ipv4Addr::UNSPECIFIED.into();
        early.hold(Spi(spi), OuterMeta { src: any, dst: any, src_port: None, tos: 0, ttl: 64 }, esp, now);
    }

    fn bytes(early: &mut Early, spi: u32) -> Vec<u8> {
        early.take(Spi(spi)).iter().flat_map(|held| held.esp.to_vec()).collect()
    }

    #[test]
    fn packets_of_an_offer_come_in_order_when_its_sa_does_and_no_others_are_kept() {
        let mut early = Early::default();
        assert!(!early.is_awaiting());
        hold(&mut early, 1, &[9], at(0));
        early.offer(Spi(1), at(0));
        early.offer(Spi(2), at(0));
        for (spi, byte) in [(1, 1), (2, 2), (3, 3), (1, 4)] {
            hold(&mut early, spi, &[byte], at(1));
        }
        assert_eq!(bytes(&mut early, 1), [1, 4]);
        hold(&mut early, 1, &[5], at(1));
        assert_eq!(
            (bytes(&mut early, 1), bytes(&mut early, 3)),
            (vec![], vec![]),
            "once it is there, nothing is early"
        );
        assert_eq!(early.deadline(), Some(at(1) + PATIENCE));
        early.expire(at(1) + PATIENCE);
        assert_eq!((bytes(&mut early, 2), early.held, early.lost, early.bytes), (vec![], 3, 1, 0));
        assert!(!early.is_awaiting() && early.deadline().is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_for_one_and_for_all() {
        let mut early = Early::default();
        (0..=MAX_OFFERS as u32).for_each(|spi| early.offer(Spi(spi), at(0) + Duration::from_millis(spi.into())));
        assert_eq!(early.offers.len(), MAX_OFFERS);
        let now = at(2);
        for spi in (0..=MAX_OFFERS as u32).rev() {
            (0..=MAX_PER_SPI).for_each(|_| hold(&mut early, spi, &[0], now));
        }
        assert_eq!(early.packets.len(), MAX_PACKETS);
        let newest = MAX_OFFERS as u32;
        assert_eq!(bytes(&mut early, newest).len(), MAX_PER_SPI);
        hold(&mut early, newest - 20, &[0; MAX_BYTES], now);
        assert_eq!(early.packets.len(), MAX_PACKETS - MAX_PER_SPI);
        // An offer that is long gone is none.
        hold(&mut early, 900, &[0], now + OFFER);
        assert_eq!(early.packets.len(), MAX_PACKETS - MAX_PER_SPI);
    }
}
