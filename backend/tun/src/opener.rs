//! Opens batches of ESP packets, and whole packets of AH, and delivers what is authentic.

use std::collections::HashSet;
use std::ops::Range;

use ravelin_engine::{DropReason, Inbound, PacketBuf, Verdict};
use ravelin_types::{Instant, Spi};

use crate::device::Device;
use crate::devices::Devices;
use crate::early::Early;
use crate::offload::{Merger, NONE, VnetHeader};
use crate::parcel::Parcel;
use crate::slots::{BATCH, FRONT, Slots};

pub(crate) struct Opener {
    pub engine: Inbound,
    pub devices: Devices,
    /// Packets that came before their SA.
    pub early: Early,
    merger: Merger,
    /// SAs with authentic packets, until that is told.
    pub alive: HashSet<Spi>,
    /// Packets since the last count of them.
    pub moved: usize,
    /// Packets that a device refused.
    pub refused: u64,
}

impl Opener {
    pub(crate) fn new(engine: Inbound, devices: Devices) -> Self {
        let (early, merger, alive) = (Early::default(), Merger::new(), HashSet::new());
        Opener { engine, devices, early, merger, alive, moved: 0, refused: 0 }
    }

    /// Opens the packets of the parcel and delivers what is authentic; it is empty then.
    pub(crate) fn open(&mut self, parcel: &mut Parcel, now: Instant) {
        let Parcel { slots, batch, .. } = parcel;
        let count = batch.len();
        if count == 0 {
            return;
        }
        self.moved += count;
        let mut verdicts = [Verdict::Drop(DropReason::UnknownSpi); BATCH];
        let mut packets = slots.packets(&batch.ranges);
        for (place, &slot) in batch.slots.iter().enumerate() {
            packets.swap(place, slot);
        }
        self.engine.process_esp_batch(&mut packets[..count], &batch.metas, now, &mut verdicts[..count]);
        let packets = &mut packets[..count];
        if self.early.is_awaiting() {
            // What has no SA is as it came.
            let unknown = |i: &usize| verdicts[*i] == Verdict::Drop(DropReason::UnknownSpi);
            for i in (0..count).filter(unknown) {
                self.early.hold(batch.spis[i], batch.metas[i], packets[i].packet(), now);
            }
        }
        let authentic = |i: &usize| matches!(verdicts[*i], Verdict::Deliver | Verdict::Taken);
        self.alive.extend((0..count).filter(authentic).map(|i| batch.spis[i]));
        self.deliver(packets, |i| verdicts[i] == Verdict::Deliver);
        batch.clear();
        self.deliver_shared(slots, now);
    }

    /// Delivers what has come out of AGGFRAG payloads. The slots are free.
    pub(crate) fn deliver_shared(&mut self, slots: &mut Slots, now: Instant) {
        while self.engine.packet_deadline().is_some_and(|at| at <= now) {
            let empty: [Range<usize>; BATCH] = std::array::from_fn(|_| FRONT..FRONT);
            let mut packets = slots.packets(&empty);
            let mut count = 0;
            while count < BATCH
                && let Some(verdict) = self.engine.poll_packet(&mut packets[count], now)
            {
                count += usize::from(verdict == Verdict::Deliver);
            }
            self.deliver(&mut packets[..count], |_| true);
        }
    }

    /// Writes packets to the devices of their domains.
    fn deliver(&mut self, packets: &mut [PacketBuf<'_>], delivered: impl Fn(usize) -> bool) {
        // Packets of different domains have nothing to do with each other, even where they look alike.
        for (domain, device) in self.devices.iter() {
            self.merger.clear(device.takes_super_packets());
            for i in (0..packets.len()).filter(|i| delivered(*i)) {
                if packets[i].domain() == domain {
                    self.merger.add(i, |i| packets[i].packet());
                }
            }
            self.refused += write_groups(device, &self.merger, packets);
        }
    }

    /// Opens the whole packet in this range of the slot, and delivers it if it is authentic.
    pub(crate) fn open_whole(&mut self, slot: &mut [u8], range: Range<usize>, spi: Spi, now: Instant) {
        self.moved += 1;
        let mut packet = PacketBuf::new(slot, range).expect("the packet was found in the slot");
        if self.engine.process(&mut packet, now) == Verdict::Deliver {
            self.alive.insert(spi);
            let write = |device: &Device| device.write(&VnetHeader::default(), packet.packet(), std::iter::empty());
            let refused = self.devices.get(packet.domain()).is_none_or(|device| write(device).is_err());
            self.refused += u64::from(refused);
        }
    }
}

/// Writes the groups of packets to the device. The number of packets that it refused.
fn write_groups(device: &Device, merger: &Merger, packets: &mut [PacketBuf<'_>]) -> u64 {
    let mut refused = 0;
    for group in merger.groups() {
        let header = if group.count > 1 {
            let last_flags = group.flags(packets[group.last].packet());
            group.finish(packets[group.first].packet_mut(), last_flags)
        } else {
            VnetHeader::default()
        };
        let mut at = group.first;
        let payloads = std::iter::from_fn(|| {
            at = merger.next(at);
            (at != NONE).then(|| &packets[at].packet()[group.header_len..])
        });
        if device.write(&header, packets[group.first].packet(), payloads).is_err() {
            refused += group.count as u64;
        }
    }
    refused
}
