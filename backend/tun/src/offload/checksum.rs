//! The Internet checksum over whole payloads, in the byte order of the host (RFC 1071 §2): several times as fast
//! as word by word in network order.

use ravelin_wire::ip::checksum::{self, fold};

/// The ones' complement sum of `bytes`, folded.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let sum = words.by_ref().map(|word| u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))).sum();
    u64::from(fold(sum).to_be()) + checksum::sum(words.remainder())
}

/// The checksum for a sum as it is stored: what comes out as zero is stored as its other form, which UDP needs
/// (RFC 768) and others do not mind.
pub(super) fn stored(sum: u64) -> [u8; 2] {
    match checksum::finish(sum) {
        0 => [0xff; 2],
        checksum => checksum.to_be_bytes(),
    }
}

/// The sum of the pseudo header of the IP packet that starts with this header, which has no routing header.
pub(super) fn pseudo_header(header: &[u8], protocol: u8, payload_len: usize) -> u64 {
    let addresses = if header[0] >> 4 == 4 { &header[12..20] } else { &header[8..40] };
    sum(addresses) + u64::from(protocol) + payload_len as u64
}

/// Computes the checksum of an IPv4 header.
pub(super) fn set_ipv4(header: &mut [u8]) {
    header[10..12].fill(0);
    let checksum = checksum::finish(sum(header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_sum_word_by_word() {
        let bytes: Vec<u8> = (0..2000u32).map(|i| ((i * 7919) >> 3) as u8).collect();
        for start in 0..9 {
            for len in (0..70).chain([1348, 1349, 1350, 1351]) {
                let bytes = &bytes[start..start + len];
                assert_eq!(fold(sum(bytes)), fold(checksum::sum(bytes)), "{start} {len}");
            }
        }
        assert_eq!((fold(sum(&[0; 8])), fold(sum(&[0xff; 8]))), (0, 0xffff));
    }
}
