//! Packets of many SAs side by side, each with a cipher and an integrity algorithm.

mod key;

use std::any::Any;
use std::ptr;

use ravelin_crypto::BatchPacket;
use subtle::ConstantTimeEq;

use super::layout::{DIR_DECRYPT, DIR_ENCRYPT, Job, MAX_JOBS, ORDER_CIPHER_HASH, ORDER_HASH_CIPHER};
use super::manager;
use key::{ESP_HEADER_LEN, HIGH_LEN};

pub(crate) use key::{Cipher, Hash, Mac, PairKey, Suite};

/// Packets that [`seal`] and [`open`] take at most; then the ring of a manager is never full.
pub(crate) const MAX_PACKETS: usize = MAX_JOBS / 4;

/// The lanes of a manager count in 16 bits. No ESP packet of whole blocks is longer.
const MAX_LEN: usize = u16::MAX as usize - 1;
const MAX_ICV: usize = 32;

/// What lies beside a packet while its job is in work.
struct Scratch {
    icv: [u8; MAX_ICV],
    nonce: [u8; 16],
    additional: [u8; ESP_HEADER_LEN + HIGH_LEN],
    /// The schedules of 3DES.
    des3: [*const u8; 3],
}

impl Scratch {
    const EMPTY: Scratch = Scratch { icv: [0; _], nonce: [0; _], additional: [0; _], des3: [ptr::null(); _] };
}

/// The key of a packet.
///
/// # Panics
/// When another provider made it.
#[inline]
fn key_of<'a>(packet: &BatchPacket<'a>) -> &'a PairKey {
    let key: &dyn Any = packet.key;
    key.downcast_ref().expect("the caller passes keys of this provider")
}

/// Encrypts all packets in place and writes their ICVs.
///
/// # Panics
/// With more than [`MAX_PACKETS`], or one that does not fit its key.
pub(crate) fn seal(packets: &mut [BatchPacket<'_>]) {
    for packet in &mut *packets {
        assert!(key_of(packet).fits(packet.esp.len()), "the caller passes packets of the algorithm's lengths");
        packet.forged = false;
    }
    let mut scratch = [Scratch::EMPTY; MAX_PACKETS];
    run(packets, &mut scratch, DIR_ENCRYPT);
    for (packet, scratch) in packets.iter_mut().zip(&scratch) {
        let len = key_of(packet).suite.icv_len;
        let at = packet.esp.len() - len;
        packet.esp[at..].copy_from_slice(&scratch.icv[..len]);
    }
}

/// Verifies and decrypts all packets in place. Where the ICV does not verify, or the length fits no packet of the key,
/// everything behind the IV is zeros, and the packet is marked.
///
/// # Panics
/// With more than [`MAX_PACKETS`].
pub(crate) fn open(packets: &mut [BatchPacket<'_>]) {
    let mut received = [[0; MAX_ICV]; MAX_PACKETS];
    for (packet, icv) in packets.iter_mut().zip(&mut received) {
        let key = key_of(packet);
        packet.forged = !key.fits(packet.esp.len());
        if !packet.forged {
            let len = key.suite.icv_len;
            icv[..len].copy_from_slice(&packet.esp[packet.esp.len() - len..]);
        }
    }
    let mut scratch = [Scratch::EMPTY; MAX_PACKETS];
    run(packets, &mut scratch, DIR_DECRYPT);
    for (packet, (scratch, received)) in packets.iter_mut().zip(scratch.iter().zip(&received)) {
        let key = key_of(packet);
        let len = key.suite.icv_len;
        packet.forged |= !bool::from(scratch.icv[..len].ct_eq(&received[..len]));
        if packet.forged {
            let from = key.text_at().min(packet.esp.len());
            packet.esp[from..].fill(0);
        }
    }
}

/// Runs the packets that are not marked; the ICV of each goes to its own place.
fn run(packets: &mut [BatchPacket<'_>], scratch: &mut [Scratch; MAX_PACKETS], direction: u32) {
    assert!(packets.len() <= MAX_PACKETS, "the caller passes no more");
    let count = packets.iter().filter(|packet| !packet.forged).count();
    let mut each = packets.iter_mut().zip(scratch).filter(|(packet, _)| !packet.forged);
    let fill = |job: &mut Job| {
        let (packet, scratch) = each.next().expect("there are as many packets as jobs");
        let key = key_of(packet);
        assert!(key.fits(packet.esp.len()), "the callers above have looked");
        job.direction = direction;
        // CCM authenticates the text, all others what travels (RFC 4303 §3.3.2, RFC 3610 §2.2).
        job.chain_order = if (direction == DIR_ENCRYPT) == (key.suite.mac == Mac::Ccm) {
            ORDER_HASH_CIPHER
        } else {
            ORDER_CIPHER_HASH
        };
        key.fill(job, packet.esp, packet.high, scratch);
    };
    // SAFETY: these are the fields of these algorithms. All offsets and lengths lie within the packet: it fits its key,
    // and the four bytes of the sequence number lie within the ICV, which is longer. Packets and scratch are borrowed
    // exclusively, keys shared, beyond the call; nothing here looks at a packet between the making of its pointers and
    // the end of the call. Working in place is allowed.
    unsafe { manager::run(count, fill) };
}
