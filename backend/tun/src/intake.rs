//! Sorts ESP packets by whose they are: own ones are opened, those of another worker's SAs go to him.

use ravelin_engine::OuterMeta;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::sa::Direction;
use ravelin_types::{Instant, Spi};

use crate::deal::Deal;
use crate::opener::Opener;
use crate::parcel::{Parcel, Parcels};
use crate::slots::{BATCH, FRONT};

/// Parcels taken from other workers before the sockets are looked at.
const MOST_TAKEN: usize = 16;

pub(crate) struct Intake {
    pub opener: Opener,
    deal: Deal,
    /// Packets of own SAs.
    pub own: Parcel,
    /// Those of others.
    pub parcels: Parcels,
    /// Packets of others for which there was no parcel.
    pub crowded: u64,
}

impl Intake {
    pub(crate) fn new(opener: Opener, deal: Deal, parcels: Parcels) -> Self {
        Intake { opener, deal, own: Parcel::new(parcels.own()), parcels, crowded: 0 }
    }

    /// Takes one ESP packet that came with this around it; false when it has no room in a slot.
    pub(crate) fn put(&mut self, esp: &[u8], meta: OuterMeta, now: Instant) -> bool {
        let spi = first_word(esp);
        let worker = self.deal.spi(spi);
        let parcel = if worker == self.parcels.own() {
            if self.own.batch.len() == BATCH {
                self.opener.open(&mut self.own, now);
            }
            &mut self.own
        } else if let Some(parcel) = self.parcels.towards(worker) {
            parcel
        } else {
            self.crowded += 1;
            return true;
        };
        let place = parcel.batch.len();
        let Some(room) = parcel.slots.room(place).get_mut(..esp.len()) else { return false };
        room.copy_from_slice(esp);
        parcel.batch.push(place, FRONT..FRONT + esp.len(), meta, spi);
        true
    }

    /// An operation was carried out: a packet may come before an SA that is on offer, and is opened when that is there.
    pub(crate) fn follow(&mut self, op: &DataPlaneOp, now: Instant) {
        match op {
            DataPlaneOp::OfferSa(spi) => self.opener.early.offer(*spi, now),
            DataPlaneOp::AddSa(params) if params.direction == Direction::Inbound => {
                for held in self.opener.early.take(params.spi) {
                    self.put(&held.esp, held.meta, now);
                }
                self.opener.open(&mut self.own, now);
            }
            _ => {}
        }
    }

    /// Opens own packets, and lets others have theirs.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.opener.open(&mut self.own, now);
        self.parcels.send_all();
    }

    /// Does for packets in AGGFRAG payloads what is due.
    pub(crate) fn on_time(&mut self, now: Instant) {
        self.opener.open(&mut self.own, now);
        self.opener.deliver_shared(&mut self.own.slots, now);
    }

    /// Opens what other workers received.
    pub(crate) fn take_over(&mut self, now: Instant) {
        for taken in 0.. {
            if taken == MOST_TAKEN {
                self.parcels.come_back();
                break;
            }
            let Some(mut parcel) = self.parcels.next() else { break };
            self.opener.open(&mut parcel, now);
            self.parcels.give_back(parcel);
        }
        self.parcels.wake();
    }
}

/// The SPI of an ESP packet; of one too short for it, which the engine will drop, whatever is there.
pub(crate) fn first_word(esp: &[u8]) -> Spi {
    Spi(esp.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)))
}
