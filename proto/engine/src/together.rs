//! Packets of a batch that are encrypted or decrypted together ([`BatchCrypto`]).
//!
//! ```text
//!  packet by packet: all but the cipher ──► set aside ──► the cipher, for all at once ──► (inbound) the rest, in order
//! ```
//! Only where the provider is faster so: pairs of cipher and integrity algorithm, and AES-CCM. Nothing else sees a difference: numbers are
//! given out, and what arrived is recorded, in the order of the packets.

use alloc::boxed::Box;
use core::array;

use ravelin_crypto::{BatchCrypto, BatchPacket, CryptoProvider};

use crate::esp::Esp;
use crate::packet::PacketBuf;
use crate::sad::Slot;

/// So many packets are looked at before those that were set aside go on.
pub(crate) const TOGETHER: usize = 64;

/// A packet that was set aside.
#[derive(Clone, Copy, Default)]
pub(crate) struct Aside {
    /// Its place in the batch.
    pub index: usize,
    /// Its SA.
    pub slot: Slot,
    /// Where ESP begins in it.
    pub esp_at: usize,
    pub sequence: u64,
    /// Inbound: it did not verify.
    pub forged: bool,
}

/// The packets of a batch that were set aside, in its order.
pub(crate) struct Together {
    batch: &'static dyn BatchCrypto,
    packets: [Aside; TOGETHER],
    count: usize,
}

impl Together {
    /// `None` when the provider takes packets one at a time only.
    pub fn new(crypto: &CryptoProvider) -> Option<Box<Self>> {
        let batch = crypto.batch?;
        Some(Box::new(Together { batch, packets: [Aside::default(); TOGETHER], count: 0 }))
    }

    /// The next packet, of at most [`TOGETHER`].
    pub fn push(&mut self, aside: Aside) {
        self.packets[self.count] = aside;
        self.count += 1;
    }

    /// Whether nothing was set aside.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Encrypts what was set aside of `packets`. `esp` gives the keys of an SA.
    pub fn seal<'s>(&mut self, packets: &mut [PacketBuf<'_>], esp: impl Fn(Slot) -> &'s Esp) {
        let count = core::mem::take(&mut self.count);
        let asides = &self.packets[..count];
        if count >= self.batch.least() {
            with_jobs(asides, packets, esp, |jobs| self.batch.seal(jobs));
        } else {
            for aside in asides {
                let packet = &mut packets[aside.index].packet_mut()[aside.esp_at..];
                esp(aside.slot).encrypt(packet, aside.sequence);
            }
        }
    }

    /// Verifies and decrypts what was set aside of `packets`, and says what it was.
    pub fn open<'s>(
        &mut self,
        packets: &mut [PacketBuf<'_>],
        esp: impl Fn(Slot) -> &'s Esp,
    ) -> ([Aside; TOGETHER], usize) {
        let count = core::mem::take(&mut self.count);
        let asides = &mut self.packets[..count];
        if count >= self.batch.least() {
            let mut forged = [false; TOGETHER];
            with_jobs(asides, packets, esp, |jobs| {
                self.batch.open(jobs);
                forged.iter_mut().zip(jobs).for_each(|(forged, job)| *forged = job.forged);
            });
            asides.iter_mut().zip(forged).for_each(|(aside, forged)| aside.forged = forged);
        } else {
            for aside in asides {
                let packet = &mut packets[aside.index].packet_mut()[aside.esp_at..];
                aside.forged = esp(aside.slot).open(packet, aside.sequence).is_err();
            }
        }
        (self.packets, count)
    }
}

/// Runs `run` on the ESP packets of `asides`.
fn with_jobs<'s>(
    asides: &[Aside],
    packets: &mut [PacketBuf<'_>],
    esp: impl Fn(Slot) -> &'s Esp,
    run: impl FnOnce(&mut [BatchPacket<'_>]),
) {
    let key = |aside: &Aside| esp(aside.slot).batch_key().expect("only packets with such a key are set aside");
    let Some(filler) = asides.first().map(key) else { return };
    let mut next = asides.iter().peekable();
    let mut jobs = packets.iter_mut().enumerate().filter_map(|(index, pkt)| {
        let aside = next.next_if(|aside| aside.index == index)?;
        let high = esp(aside.slot).extended.then_some((aside.sequence >> 32) as u32);
        Some(BatchPacket::new(key(aside), &mut pkt.packet_mut()[aside.esp_at..], high))
    });
    let mut jobs: [BatchPacket<'_>; TOGETHER] =
        array::from_fn(|_| jobs.next().unwrap_or_else(|| BatchPacket::new(filler, &mut [], None)));
    run(&mut jobs[..asides.len()]);
}
