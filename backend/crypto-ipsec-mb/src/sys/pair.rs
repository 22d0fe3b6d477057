//! AES-CBC with HMAC, many packets side by side.

use std::any::Any;
use std::ffi::c_void;
use std::ptr;

use ravelin_crypto::BatchPacket;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::layout::{
    AUTH_HMAC_SHA_1, AUTH_HMAC_SHA_256, AUTH_HMAC_SHA_384, AUTH_HMAC_SHA_512, CIPHER_CBC, DIR_DECRYPT, DIR_ENCRYPT,
    Hmac, Job, MAX_JOBS, ORDER_CIPHER_HASH, ORDER_HASH_CIPHER, OfHash,
};
use super::load::Library;
use super::manager;

/// Packets that [`seal`] and [`open`] take at most; then the ring of a manager is never full.
pub(crate) const MAX_PACKETS: usize = MAX_JOBS / 4;

// The packet: `ESP header 8 | IV 16 | text | ICV`.
const IV_AT: usize = 8;
const TEXT_AT: usize = IV_AT + BLOCK_LEN;

/// The lanes of a manager count in 16 bits. No ESP packet of whole blocks is longer.
const MAX_LEN: usize = u16::MAX as usize - 1;
const BLOCK_LEN: usize = 16;
const SCHEDULE_LEN: usize = 15 * 16;
const MAX_STATE: usize = 64;
const MAX_HASH_BLOCK: usize = 128;
const MAX_ICV: usize = 32;
/// The upper half of an extended sequence number.
const HIGH_LEN: usize = 4;

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn block_len(self) -> usize {
        match self {
            Hash::Sha1 | Hash::Sha256 => 64,
            Hash::Sha384 | Hash::Sha512 => MAX_HASH_BLOCK,
        }
    }

    fn number(self) -> u32 {
        match self {
            Hash::Sha1 => AUTH_HMAC_SHA_1,
            Hash::Sha256 => AUTH_HMAC_SHA_256,
            Hash::Sha384 => AUTH_HMAC_SHA_384,
            Hash::Sha512 => AUTH_HMAC_SHA_512,
        }
    }
}

/// Schedules of both directions and the hash states behind the padded keys, aligned as the library wants them.
#[repr(C, align(64))]
pub(crate) struct PairKey {
    encrypt: [u8; SCHEDULE_LEN],
    decrypt: [u8; SCHEDULE_LEN],
    inner: [u8; MAX_STATE],
    outer: [u8; MAX_STATE],
    key_len: u64,
    hash: Hash,
    icv_len: usize,
}

impl PairKey {
    /// `None` unless the cipher's key has 16, 24 or 32 bytes, and that of the HMAC at most its block.
    pub(crate) fn new(library: &Library, key: &[u8], hash: Hash, mac_key: &[u8], icv_len: usize) -> Option<Box<Self>> {
        let size = match key.len() {
            16 => 0,
            24 => 1,
            32 => 2,
            _ => return None,
        };
        if mac_key.len() > hash.block_len() || icv_len > MAX_ICV {
            return None;
        }
        let mut this = Box::new(PairKey {
            encrypt: [0; _],
            decrypt: [0; _],
            inner: [0; _],
            outer: [0; _],
            key_len: key.len() as u64,
            hash,
            icv_len,
        });
        let (encrypt, decrypt) = (this.encrypt.as_mut_ptr().cast(), this.decrypt.as_mut_ptr().cast());
        // SAFETY: the function is the one for this key length; both schedules have room for the longest and are aligned
        // to 16.
        unsafe { (library.keyexp[size])(key.as_ptr().cast(), encrypt, decrypt) };
        let one_block = library.one_block[hash as usize];
        let mut block = Zeroizing::new([0; MAX_HASH_BLOCK]);
        block[..mac_key.len()].copy_from_slice(mac_key);
        let mut after = |pad: u8, state: &mut [u8; MAX_STATE]| {
            block.iter_mut().for_each(|byte| *byte ^= pad);
            // SAFETY: the block has the length of the longest block and the state that of the longest state.
            unsafe { one_block(block.as_ptr().cast(), state.as_mut_ptr().cast()) };
        };
        // RFC 2104 §2. The second time the block still carries the inner pad.
        after(0x36, &mut this.inner);
        after(0x36 ^ 0x5c, &mut this.outer);
        Some(this)
    }

    /// Whether an ESP packet of this length can be one of this key: its text is in whole blocks, and the library's lanes
    /// can count it.
    fn fits(&self, len: usize) -> bool {
        let text = len.checked_sub(TEXT_AT + self.icv_len);
        len <= MAX_LEN && text.is_some_and(|text| text > 0 && text.is_multiple_of(BLOCK_LEN))
    }
}

impl Drop for PairKey {
    fn drop(&mut self) {
        self.encrypt.zeroize();
        self.decrypt.zeroize();
        self.inner.zeroize();
        self.outer.zeroize();
    }
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
    let mut icvs = [[0; MAX_ICV]; MAX_PACKETS];
    run(packets, &mut icvs, (DIR_ENCRYPT, ORDER_CIPHER_HASH));
    for (packet, icv) in packets.iter_mut().zip(&icvs) {
        let len = key_of(packet).icv_len;
        let at = packet.esp.len() - len;
        packet.esp[at..].copy_from_slice(&icv[..len]);
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
            icv[..key.icv_len].copy_from_slice(&packet.esp[packet.esp.len() - key.icv_len..]);
        }
    }
    let mut icvs = [[0; MAX_ICV]; MAX_PACKETS];
    run(packets, &mut icvs, (DIR_DECRYPT, ORDER_HASH_CIPHER));
    for (packet, (icv, received)) in packets.iter_mut().zip(icvs.iter().zip(&received)) {
        let len = key_of(packet).icv_len;
        packet.forged |= !bool::from(icv[..len].ct_eq(&received[..len]));
        if packet.forged {
            let from = TEXT_AT.min(packet.esp.len());
            packet.esp[from..].fill(0);
        }
    }
}

/// Runs the packets that are not marked; the ICV of each goes to its own place.
fn run(packets: &mut [BatchPacket<'_>], icvs: &mut [[u8; MAX_ICV]; MAX_PACKETS], (direction, order): (u32, u32)) {
    assert!(packets.len() <= MAX_PACKETS, "the caller passes no more");
    let count = packets.iter().filter(|packet| !packet.forged).count();
    let mut each = packets.iter_mut().zip(icvs).filter(|(packet, _)| !packet.forged);
    let fill = |job: &mut Job| {
        let (packet, icv) = each.next().expect("there are as many packets as jobs");
        let key = key_of(packet);
        assert!(key.fits(packet.esp.len()), "the callers above have looked");
        let text_end = packet.esp.len() - key.icv_len;
        let hash_len = append_high(packet, text_end);
        let start = packet.esp.as_mut_ptr();
        job.enc_keys = key.encrypt.as_ptr().cast();
        job.dec_keys = key.decrypt.as_ptr().cast();
        job.key_len = key.key_len;
        job.src = start;
        job.dst = start.wrapping_add(TEXT_AT);
        job.cipher_start = TEXT_AT as u64;
        job.cipher_len = (text_end - TEXT_AT) as u64;
        job.hash_start = 0;
        job.hash_len = hash_len as u64;
        job.iv = start.wrapping_add(IV_AT);
        job.iv_len = BLOCK_LEN as u64;
        job.tag = icv.as_mut_ptr();
        job.tag_len = key.icv_len as u64;
        let unused: *const c_void = ptr::null();
        job.of_hash = OfHash { hmac: Hmac { inner: key.inner.as_ptr(), outer: key.outer.as_ptr(), unused } };
        job.cipher_mode = CIPHER_CBC;
        job.direction = direction;
        job.hash_alg = key.hash.number();
        job.chain_order = order;
    };
    // SAFETY: these are the fields of these algorithms. All offsets and lengths lie within the packet: it fits its key,
    // and the four bytes of the sequence number lie within the ICV, which is longer. Packets and ICVs are borrowed
    // exclusively, keys shared, beyond the call; nothing here looks at a packet between the making of its pointers and
    // the end of the call. Working in place is allowed.
    unsafe { manager::run(count, fill) };
}

/// Puts the upper half of the sequence number behind the text, where the ICV has its place, since the library hashes
/// one piece of memory (RFC 4303 §3.3.2.1: it is hashed there and not sent). Returns how many bytes to hash.
fn append_high(packet: &mut BatchPacket<'_>, text_end: usize) -> usize {
    match packet.high {
        Some(high) => {
            packet.esp[text_end..text_end + HIGH_LEN].copy_from_slice(&high.to_be_bytes());
            text_end + HIGH_LEN
        }
        None => text_end,
    }
}
