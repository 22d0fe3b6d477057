//! The AGGFRAG payload of ESP (RFC 9347 §6.1): IP packets behind each other, of which the first may have begun in the payload
//! before and the last may end in the next one.
//!
//! ```text
//! sub-type 1 | reserved 1 | block offset 2 | [what congestion control says 20] | data blocks
//! ```
//! A data block is an IPv4 packet, an IPv6 packet, or padding, which goes to the end.

use crate::ip::{v4, v6};

/// Sub-type, reserved octet and block offset.
pub const HEADER_LEN: usize = 4;
/// What follows them in sub-type 1.
pub const CONGESTION_LEN: usize = 20;

/// Sub-types (RFC 9347 §7.2).
const PLAIN: u8 = 0;
const CONGESTION_CONTROL: u8 = 1;

/// What an AGGFRAG payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggFrag<'a> {
    /// Bytes of the blocks before a new one begins, which belong to that of an earlier payload; it may point behind the end.
    pub offset: usize,
    /// The data blocks.
    pub blocks: &'a [u8],
}

impl<'a> AggFrag<'a> {
    /// Reads a payload of either sub-type; what congestion control says in it is skipped. `None` for another sub-type, or too
    /// few bytes.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (&[sub_type, _, high, low], rest) = payload.split_first_chunk::<HEADER_LEN>()?;
        let blocks = match sub_type {
            PLAIN => rest,
            CONGESTION_CONTROL => rest.get(CONGESTION_LEN..)?,
            _ => return None,
        };
        Some(AggFrag { offset: usize::from(u16::from_be_bytes([high, low])), blocks })
    }

    /// Whether it carries padding alone, or nothing: such a payload may come between two that share a packet (RFC 9347
    /// §2.2.3).
    pub fn is_all_pad(&self) -> bool {
        self.offset == 0 && self.blocks.first().is_none_or(|first| first >> 4 == 0)
    }
}

/// Writes the header of a payload without congestion control.
pub fn emit_header(out: &mut [u8; HEADER_LEN], offset: u16) {
    let [high, low] = offset.to_be_bytes();
    *out = [PLAIN, 0, high, low];
}

/// What a data block is (RFC 9347 §6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// An IP packet of this length, which need not be there wholly.
    Packet(usize),
    /// The beginning of an IP packet that does not say yet how long it is.
    Stump,
    /// Padding, to the end of the payload.
    Pad,
}

impl Block {
    /// The block that begins with `bytes`. `None` where that is none, or a packet shorter than its header.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let word = bytes.get(at..at + 2)?;
            Some(usize::from(word[0]) << 8 | usize::from(word[1]))
        };
        match bytes.first()? >> 4 {
            0 => Some(Block::Pad),
            4 => match word(v4::TOTAL_LEN_AT) {
                Some(len) => (len >= v4::HEADER_LEN).then_some(Block::Packet(len)),
                None => Some(Block::Stump),
            },
            6 => Some(word(v6::PAYLOAD_LEN_AT).map_or(Block::Stump, |len| Block::Packet(v6::HEADER_LEN + len))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn both_sub_types_are_read() {
        let mut payload = vec![0, 0, 1, 2, 0x45];
        assert_eq!(AggFrag::parse(&payload), Some(AggFrag { offset: 258, blocks: &[0x45] }));
        payload[0] = 1;
        assert_eq!(AggFrag::parse(&payload), None);
        payload.extend([7; CONGESTION_LEN]);
        assert_eq!(AggFrag::parse(&payload), Some(AggFrag { offset: 258, blocks: &[7] }));
        payload[0] = 2;
        assert_eq!(AggFrag::parse(&payload), None);
        assert_eq!(AggFrag::parse(&[0, 0, 0]), None);
        let mut header = [9; HEADER_LEN];
        emit_header(&mut header, 258);
        assert_eq!(header, [0, 0, 1, 2]);
    }

    #[test]
    fn a_payload_without_packets_is_told_from_others() {
        let all_pad = |offset, blocks| AggFrag { offset, blocks }.is_all_pad();
        assert!(all_pad(0, &[0, 0]) && all_pad(0, &[]));
        assert!(!all_pad(0, &[0x45]) && !all_pad(1, &[0]));
    }

    #[test]
    fn a_block_tells_its_length() {
        assert_eq!(Block::parse(&[0, 1]), Some(Block::Pad));
        assert_eq!(Block::parse(&[0x45, 0, 2]), Some(Block::Stump));
        assert_eq!(Block::parse(&[0x45, 0, 2, 1]), Some(Block::Packet(513)));
        assert_eq!(Block::parse(&[0x45, 0, 0, 19]), None);
        assert_eq!(Block::parse(&[0x60, 0, 0, 0, 1]), Some(Block::Stump));
        assert_eq!(Block::parse(&[0x60, 0, 0, 0, 1, 0]), Some(Block::Packet(296)));
        assert_eq!(Block::parse(&[0x50]), None);
        assert_eq!(Block::parse(&[]), None);
    }
}
