//! Packets of a batch for which memory is fetched ahead of its use.
//!
//! ```text
//! all of a chunk: parse, fetch the place in the flow cache
//! all of a chunk: look there; fetch the SA, or for a flow not seen before what the SPD has for it
//! all of a chunk: fetch what the SA leads to
//! one by one:     fetch the keys for a later packet; decide, seal
//! ```
//! Each packet's memory is on its way while the others are looked at, and nothing in a round waits for the packet
//! before.

use ravelin_types::Instant;
use ravelin_wire::ip::Header;

use super::{Decision, Outbound};
use crate::limits::{AHEAD, CACHED_POLICIES};
use crate::packet::{Mark, PacketBuf};
use crate::sad::OutboundSa;
use crate::spd::{ALL_TABLES, FlowKey, Place, Tables};
use crate::together::TOGETHER;
use crate::verdict::{DropReason, Verdict};

/// What is known of a packet before its turn comes.
#[derive(Clone, Copy)]
struct Ahead {
    /// `None`: it is not an IP packet.
    flow: Option<(FlowKey, Place)>,
    known: Option<Decision>,
    tables: Tables,
}

impl Outbound {
    pub(super) fn process_ahead(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        let mut first = 0;
        for (packets, verdicts) in packets.chunks_mut(TOGETHER).zip(verdicts.chunks_mut(TOGETHER)) {
            let count = packets.len().min(verdicts.len());
            self.process_chunk(first, &mut packets[..count], now, verdicts);
            first += count;
        }
    }

    /// The first of the packets is the one with number `first` of its batch.
    fn process_chunk(&mut self, first: usize, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        let mut ahead = [Ahead { flow: None, known: None, tables: ALL_TABLES }; TOGETHER];
        for (pkt, ahead) in packets.iter().zip(&mut ahead) {
            if let Ok(header) = &Header::parse(pkt.packet()) {
                let (key, place) = self.place_of(header, pkt, now);
                self.cache.fetch(&key, place);
                ahead.flow = Some((key, place));
            }
        }
        let many_policies = self.spd.len() > CACHED_POLICIES;
        for ahead in &mut ahead[..packets.len()] {
            let Some((key, place)) = &ahead.flow else { continue };
            match self.cache.get(*place, key).map(Decision::unpack) {
                Some(decision) => {
                    if let Decision::Protect(slot) = decision {
                        self.sad.fetch(slot);
                    }
                    ahead.known = Some(decision);
                }
                None if many_policies => ahead.tables = self.spd.fetch(key),
                None => {}
            }
        }
        for ahead in &ahead[..packets.len()] {
            if let Some(sa) = self.known_sa(ahead) {
                sa.fetch();
            }
        }
        // What was known holds while nothing changed since, as it may by a packet that ends an SA.
        let generation = self.cache.generation();
        for n in 0..packets.len() + AHEAD {
            if let Some(later) = packets.get(n)
                && let Some(sa) = self.known_sa(&ahead[n])
            {
                sa.suite.fetch(later.len());
            }
            let Some(n) = n.checked_sub(AHEAD) else { continue };
            self.in_work = Some(first + n);
            let (pkt, verdict) = (&mut packets[n], &mut verdicts[n]);
            let decision = match (&ahead[n].flow, ahead[n].known) {
                (None, _) => Decision::Drop(DropReason::BadIpHeader),
                (Some(_), Some(decision)) if self.cache.generation() == generation => decision,
                (Some(flow), _) => match self.cache.recent(&flow.0) {
                    Some(packed) => Decision::unpack(packed),
                    None => self.classify(flow, ahead[n].tables),
                },
            };
            match (pkt.mark(), decision) {
                (Mark::None | Mark::Opened(_), Decision::Bypass) => *verdict = Verdict::Bypass,
                (Mark::None | Mark::Opened(_), Decision::Drop(reason)) => *verdict = Verdict::Drop(reason),
                _ => match &Header::parse(pkt.packet()) {
                    Ok(header) => self.carry_out(decision, header, pkt, now, verdict),
                    Err(_) => *verdict = Verdict::Drop(DropReason::BadIpHeader),
                },
            }
            self.counters.count(verdict);
        }
    }

    #[inline]
    fn known_sa(&self, ahead: &Ahead) -> Option<&OutboundSa> {
        match ahead.known {
            Some(Decision::Protect(slot)) => self.sad.get(slot),
            _ => None,
        }
    }
}
