//! The layout of an ESP packet (RFC 4303 §2).
//!
//! ```text
//! SPI 4 | sequence number 4 | IV | payload | padding 0-255 | pad length 1 | next header 1 | ICV
//!                                  `------------- encrypted --------------'
//! ```

use ravelin_types::Spi;

/// SPI and sequence number.
pub const HEADER_LEN: usize = 8;
/// Pad length and next header.
pub const TRAILER_LEN: usize = 2;
/// Ciphertext ends on a multiple of this, whatever the cipher (RFC 4303 §2.4).
pub const ALIGNMENT: usize = 4;

/// The clear header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EspHeader {
    /// The receiver's label of the SA.
    pub spi: Spi,
    /// The low 32 bits of the sequence number.
    pub sequence: u32,
}

impl EspHeader {
    /// Reads the header at the start of `bytes`; `None` when they are too few.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<EspHeader> {
        let &[a, b, c, d, e, f, g, h] = bytes.first_chunk()?;
        Some(EspHeader { spi: Spi(u32::from_be_bytes([a, b, c, d])), sequence: u32::from_be_bytes([e, f, g, h]) })
    }

    /// Writes the header.
    #[inline]
    pub fn emit(self, out: &mut [u8; HEADER_LEN]) {
        // One store: a cipher reads it as one piece right after, and would wait for two to be put together.
        *out = (u64::from(self.spi.0) << 32 | u64::from(self.sequence)).to_be_bytes();
    }
}

/// Bytes of padding for a payload of `len` bytes under a cipher with blocks of `block` bytes, a power of two.
#[inline]
pub fn padding(len: usize, block: usize) -> usize {
    debug_assert!(block.is_power_of_two());
    (len + TRAILER_LEN).wrapping_neg() & (block.max(ALIGNMENT) - 1)
}

/// Writes the default padding 1, 2, 3, ... (RFC 4303 §2.4) and the trailer, both together `len` bytes, at the start of
/// `out`. What stands behind them there, as the place of the ICV does, is written over where that is quicker.
#[inline]
pub fn emit_trailer(out: &mut [u8], len: usize, next_header: u8) {
    debug_assert!(len >= TRAILER_LEN && len <= (255 + TRAILER_LEN).min(out.len()));
    let pad = len - TRAILER_LEN;
    if pad <= 6
        && let Some(out) = out.first_chunk_mut()
    {
        let at = pad as u32 * 8;
        let padding = 0x06_05_04_03_02_01 & ((1 << at) - 1);
        *out = (padding | (u64::from(next_header) << 8 | pad as u64) << at).to_le_bytes();
        return;
    }
    for (i, byte) in out[..pad].iter_mut().enumerate() {
        *byte = i as u8 + 1;
    }
    out[pad] = pad as u8;
    out[pad + 1] = next_header;
}

/// What stands at the end of a decrypted payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Length of the payload without padding and trailer.
    pub payload_len: usize,
    /// Protocol of the payload.
    pub next_header: u8,
}

/// Reads padding and trailer of a decrypted (and verified) payload. `None` for every kind of fault alike: a pad
/// length beyond the payload, or with `check`, bytes that are not 1, 2, 3, ...
#[inline]
pub fn parse_trailer(plain: &[u8], check: bool) -> Option<Trailer> {
    let (rest, &[pad_len, next_header]) = plain.split_last_chunk::<TRAILER_LEN>()?;
    let payload_len = rest.len().checked_sub(usize::from(pad_len))?;
    (!check || is_default(&rest[payload_len..], rest)).then_some(Trailer { payload_len, next_header })
}

/// Whether the bytes of `padding`, which ends `rest`, are 1, 2, 3, ... All of them are looked at, so the time does not tell
/// which one was wrong.
#[inline]
fn is_default(padding: &[u8], rest: &[u8]) -> bool {
    if let (1..=8, Some(last)) = (padding.len(), rest.last_chunk()) {
        let behind = 64 - padding.len() as u32 * 8;
        return u64::from_le_bytes(*last) >> behind == 0x08_07_06_05_04_03_02_01 & (u64::MAX >> behind);
    }
    padding.iter().zip(1..=u8::MAX).fold(0, |wrong, (&byte, expected)| wrong | (byte ^ expected)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_ends_on_blocks_and_words() {
        for len in 0..64 {
            for block in [1, 4, 8, 16] {
                let pad = padding(len, block);
                assert_eq!((len + pad + TRAILER_LEN) % block.max(4), 0);
                assert!(pad < block.max(4));
            }
        }
    }

    #[test]
    fn trailer_round_trip() {
        for pad in 0..=255usize {
            let mut plain = [0xaa; 300];
            let plain = &mut plain[..10 + pad + TRAILER_LEN];
            emit_trailer(&mut plain[10..], pad + TRAILER_LEN, 4);
            assert_eq!(parse_trailer(plain, true), Some(Trailer { payload_len: 10, next_header: 4 }));
        }
    }

    // docs/HISTORY.md, rows 116 and 117.
    #[test]
    fn bad_padding_is_one_fault() {
        assert_eq!(parse_trailer(&[], true), None);
        assert_eq!(parse_trailer(&[4], true), None);
        assert_eq!(parse_trailer(&[1, 4], true), None, "pad length beyond the payload");
        assert_eq!(parse_trailer(&[0xff, 4], true), None);
        assert_eq!(parse_trailer(&[9, 1, 2, 4, 3, 4], true), None, "wrong padding byte");
        for (pad, wrong) in (1..=255).flat_map(|pad| [(pad, 0), (pad, pad / 2), (pad, pad - 1)]) {
            let mut plain = [0xaa; 300];
            let plain = &mut plain[..10 + pad + TRAILER_LEN];
            emit_trailer(&mut plain[10..], pad + TRAILER_LEN, 4);
            plain[10 + wrong] ^= 0x80;
            assert_eq!(parse_trailer(plain, true), None, "byte {wrong} of {pad}");
        }
        let unusual = Trailer { payload_len: 2, next_header: 4 };
        assert_eq!(parse_trailer(&[9, 9, 0, 0, 2, 4], false), Some(unusual), "not looked at");
        assert_eq!(parse_trailer(&[1, 4], false), None, "beyond the payload all the same");
        assert_eq!(parse_trailer(&[0, 59], true), Some(Trailer { payload_len: 0, next_header: 59 }));
    }
}
