//! SAs with AGGFRAG payloads: what arrived goes to the SA's receiver, and packets come out of it.

use ravelin_types::Instant;

use super::{Inbound, allow};
use crate::open::{Opened, uncover_packet};
use crate::packet::{Mark, PacketBuf};
use crate::sad::Slot;
use crate::verdict::{DropReason, Verdict};

impl Inbound {
    /// The next packet out of AGGFRAG payloads (RFC 9347), in the room of `pkt`, whose content is lost:
    /// [`Verdict::Deliver`], or why it is dropped. `None`: there is none now. Call this after packets were [`Verdict::Taken`],
    /// until it says `None`, before more are processed, and when [`Inbound::packet_deadline`] has come: what finds no room in the
    /// engine is lost. Give as much room as for the longest packet.
    pub fn poll_packet(&mut self, pkt: &mut PacketBuf<'_>, now: Instant) -> Option<Verdict> {
        loop {
            let slot = self.payloads.take_due(now)?;
            let Some(receiver) = self.sad.get_mut(slot).and_then(|sa| sa.cold.receiver.as_deref_mut()) else {
                continue;
            };
            receiver.on_time(now);
            let next = receiver.next_packet(pkt);
            self.look_again(slot, now);
            let Some(copied) = next else { continue };
            let verdict = match copied.and_then(|()| self.deliver(slot, pkt, now)) {
                Ok(()) => Verdict::Deliver,
                Err(reason) => self.refuse_opened(slot, pkt, reason, now),
            };
            self.counters.count(&verdict);
            return Some(verdict);
        }
    }

    /// When [`Inbound::poll_packet`] has something to do next.
    pub fn packet_deadline(&self) -> Option<Instant> {
        self.payloads.first()
    }

    /// An authentic packet of an SA with such payloads, whose receiver has looked at it.
    #[cold]
    pub(super) fn admit_payload(&mut self, slot: Slot, opened: Opened, now: Instant) -> Verdict {
        if let Some(receiver) = self.sad.get_mut(slot).and_then(|sa| sa.cold.receiver.as_deref_mut()) {
            receiver.on_time(now);
        }
        self.look_again(slot, now);
        match opened.refused {
            None => {
                if let Some(sa) = self.sad.get_mut(slot)
                    && sa.usage.record(opened.payload)
                {
                    self.sad.cross(slot, &mut self.events);
                }
                Verdict::Taken
            }
            Some(reason) => self.sa_drops(slot, reason),
        }
    }

    fn deliver(&mut self, slot: Slot, pkt: &mut PacketBuf<'_>, now: Instant) -> Result<(), DropReason> {
        let sa = self.sad.get(slot).ok_or(DropReason::UnknownSpi)?;
        uncover_packet(sa, pkt)?;
        allow((&self.spd, self.domains), &mut self.fragments, sa, pkt, now)?;
        pkt.set_mark(Mark::Opened(sa.mode));
        Ok(())
    }

    /// When the receiver of the SA is to be looked at again; what it has lost is counted.
    fn look_again(&mut self, slot: Slot, now: Instant) {
        let Some(sa) = self.sad.get_mut(slot) else { return };
        let Some(receiver) = sa.cold.receiver.as_deref_mut() else { return };
        let at = if receiver.has_packet() { Some(now) } else { receiver.deadline() };
        let lost = receiver.take_lost();
        if let Some(counter) = DropReason::Incomplete.of_sa(&mut sa.cold.counters) {
            *counter += lost;
        }
        self.counters.count_drops(DropReason::Incomplete, lost);
        self.payloads.set(slot, at);
    }
}
