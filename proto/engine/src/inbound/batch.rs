//! Many packets at once: memory is fetched ahead, and ciphers that gain by it run side by side.

use ravelin_types::Instant;
use ravelin_wire::esp::EspHeader;
use ravelin_wire::ip::Header;

use super::{Content, Inbound, OuterMeta, content};
use crate::limits::{AHEAD, CACHED_SAS};
use crate::open::{Arrived, open_decrypted, openable};
use crate::packet::PacketBuf;
use crate::sad::Slot;
use crate::together::{Aside, TOGETHER};
use crate::verdict::{DropReason, Verdict};

impl Inbound {
    /// [`Inbound::process`] for many packets at once, which is faster with many SAs, and with ciphers that the provider
    /// runs side by side. Each verdict goes to the same place in `verdicts`; when that is shorter, the packets beyond its
    /// end are left alone.
    pub fn process_batch(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        for (packets, verdicts) in packets.chunks_mut(TOGETHER).zip(verdicts.chunks_mut(TOGETHER)) {
            let count = packets.len().min(verdicts.len());
            let packets = &mut packets[..count];
            self.run_ahead(packets, esp_inside, |half, n, pkt| {
                if half.batched_sas == 0 || !half.set_aside_whole(n, pkt) {
                    verdicts[n] = half.process(pkt, now);
                }
            });
            self.open_together(packets, verdicts, |half, aside, pkt| match Header::parse(pkt.packet()) {
                Ok(header) => {
                    let meta = OuterMeta::of(&header, src_port(&header, pkt.packet()));
                    half.open_aside(aside, pkt, Arrived { at: aside.esp_at, meta: &meta, header: Some(&header) }, now)
                }
                Err(_) => Verdict::Drop(DropReason::BadIpHeader),
            });
        }
    }

    /// [`Inbound::process_esp`] for many packets at once, which is faster with many SAs, and with ciphers that the
    /// provider runs side by side; the shortest of the three slices says how many.
    pub fn process_esp_batch(
        &mut self,
        packets: &mut [PacketBuf<'_>],
        metas: &[OuterMeta],
        now: Instant,
        verdicts: &mut [Verdict],
    ) {
        let chunks = packets.chunks_mut(TOGETHER).zip(metas.chunks(TOGETHER)).zip(verdicts.chunks_mut(TOGETHER));
        for ((packets, metas), verdicts) in chunks {
            let count = packets.len().min(metas.len()).min(verdicts.len());
            let packets = &mut packets[..count];
            self.run_ahead(packets, EspHeader::parse, |half, n, pkt| {
                if half.batched_sas == 0 || !half.set_aside(n, pkt, 0) {
                    verdicts[n] = half.process_esp(pkt, &metas[n], now);
                }
            });
            self.open_together(packets, verdicts, |half, aside, pkt| {
                half.open_aside(aside, pkt, Arrived { at: 0, meta: &metas[aside.index], header: None }, now)
            });
        }
    }

    /// [`Inbound::set_aside`] for a packet with its outer headers.
    fn set_aside_whole(&mut self, index: usize, pkt: &mut PacketBuf<'_>) -> bool {
        let Ok(header) = Header::parse(pkt.packet()) else { return false };
        let Content::Esp { esp_at, .. } = content(&header, pkt.packet()) else { return false };
        pkt.truncate(header.total_len);
        self.set_aside(index, pkt, esp_at)
    }

    /// Leaves the packet with ESP at `esp_at` for later, if its SA has a cipher that is faster in company and nothing
    /// else speaks against opening it.
    fn set_aside(&mut self, index: usize, pkt: &PacketBuf<'_>, esp_at: usize) -> bool {
        let esp = &pkt.packet()[esp_at..];
        let found = EspHeader::parse(esp).and_then(|header| Some((header, self.spis.alone(header.spi)?)));
        let Some((header, slot)) = found else { return false };
        let Some(sa) = self.sad.get(slot) else { return false };
        if sa.usage.is_dead() || !sa.suite.is_batched() {
            return false;
        }
        match (&mut self.together, openable(sa, esp, header)) {
            (Some(together), Some(sequence)) => {
                together.push(Aside { index, slot, esp_at, sequence, forged: false });
                true
            }
            _ => false,
        }
    }

    /// Decrypts what was set aside, and has `open` go on with each.
    fn open_together(
        &mut self,
        packets: &mut [PacketBuf<'_>],
        verdicts: &mut [Verdict],
        mut open: impl FnMut(&mut Self, &Aside, &mut PacketBuf<'_>) -> Verdict,
    ) {
        let Some(together) = self.together.as_mut().filter(|together| !together.is_empty()) else { return };
        let (asides, count) = together.open(packets, |slot| {
            let sa = self.sad.get(slot);
            sa.and_then(|sa| sa.suite.esp()).expect("no SA goes while its packets wait")
        });
        for aside in &asides[..count] {
            let verdict = open(self, aside, &mut packets[aside.index]);
            self.counters.count(&verdict);
            verdicts[aside.index] = verdict;
        }
    }

    pub(super) fn open_aside(
        &mut self,
        aside: &Aside,
        pkt: &mut PacketBuf<'_>,
        arrived: Arrived<'_>,
        now: Instant,
    ) -> Verdict {
        let Some(sa) = self.sad.get_mut(aside.slot) else { return Verdict::Drop(DropReason::UnknownSpi) };
        if sa.usage.is_dead() {
            return self.sa_drops(aside.slot, DropReason::Expired);
        }
        match open_decrypted(sa, &mut self.expander, pkt, aside.sequence, aside.forged, arrived) {
            Ok(opened) => self.admit(aside.slot, pkt, arrived.meta, opened, now),
            Err(reason) => self.sa_drops(aside.slot, reason),
        }
    }

    /// Processes each of at most [`TOGETHER`] packets in turn. First what they need is fetched, for all of them one thing
    /// after the other: the place of the SPI that `esp` finds, the SA, what it leads to; then, while one is opened, the
    /// keys of the one that is [`AHEAD`] of it.
    #[inline]
    fn run_ahead(
        &mut self,
        packets: &mut [PacketBuf<'_>],
        esp: impl Fn(&[u8]) -> Option<EspHeader>,
        mut process: impl FnMut(&mut Self, usize, &mut PacketBuf<'_>),
    ) {
        let count = packets.len();
        if self.sad.len() <= CACHED_SAS {
            return packets.iter_mut().enumerate().for_each(|(n, pkt)| process(self, n, pkt));
        }
        let mut spis: [Option<u32>; TOGETHER] = [None; TOGETHER];
        for (pkt, spi) in packets.iter().zip(&mut spis) {
            *spi = esp(pkt.packet()).map(|esp| esp.spi.0);
            spi.iter().for_each(|spi| self.spis.fetch(*spi));
        }
        let mut slots: [Option<Slot>; TOGETHER] = [None; TOGETHER];
        for (spi, slot) in spis.iter().zip(&mut slots) {
            *slot = spi.and_then(|spi| self.spis.likely(spi));
            slot.iter().for_each(|slot| self.sad.fetch(*slot));
        }
        for sa in slots.iter().flatten().filter_map(|slot| self.sad.get(*slot)) {
            sa.fetch();
        }
        for n in 0..count + AHEAD {
            if let Some(later) = packets.get(n)
                && let Some(sa) = slots.get(n).copied().flatten().and_then(|slot| self.sad.get(slot))
            {
                sa.suite.fetch(later.len());
            }
            if let Some(n) = n.checked_sub(AHEAD) {
                process(self, n, &mut packets[n]);
            }
        }
    }
}

/// The ESP header in a whole IP packet.
fn esp_inside(packet: &[u8]) -> Option<EspHeader> {
    let header = Header::parse(packet).ok()?;
    match content(&header, packet) {
        Content::Esp { esp_at, .. } => EspHeader::parse(&packet[esp_at..]),
        Content::Ah | Content::Clear | Content::Refused(_) => None,
    }
}

/// The source port of ESP in UDP.
fn src_port(header: &Header, packet: &[u8]) -> Option<u16> {
    match content(header, packet) {
        Content::Esp { src_port, .. } => src_port,
        _ => None,
    }
}
