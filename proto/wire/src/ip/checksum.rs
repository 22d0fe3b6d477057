//! The Internet checksum (RFC 1071) and its incremental form (RFC 1624 §3).

use core::net::IpAddr;

/// The unfolded ones' complement sum of `bytes` as big-endian 16-bit words; an odd last byte is padded with zero.
/// Sums of parts may be added as long as every part but the last has an even length.
pub fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut sum: u64 = 0;
    for word in &mut words {
        sum += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    match *words.remainder() {
        [] => sum,
        [a] => sum + (u64::from(a) << 8),
        [a, b] => sum + u64::from(u16::from_be_bytes([a, b])),
        [a, b, c, ..] => sum + u64::from(u16::from_be_bytes([a, b])) + (u64::from(c) << 8),
    }
}

/// The sum over an address, as a pseudo header contains it.
pub fn sum_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    }
}

/// Folds a sum to 16 bits without complementing it.
#[inline]
pub fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    let mut sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The checksum for a sum: folded and complemented.
#[inline]
pub fn finish(sum: u64) -> u16 {
    !fold(sum)
}

/// The checksum after a 16-bit word that it covers changed from `old` to `new` (RFC 1624 §3, equation 3).
#[inline]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    finish(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// The checksum after covered bytes whose sums are `old` and `new` were exchanged (RFC 1624 §3 over many words).
pub fn update_sums(checksum: u16, old: u64, new: u64) -> u16 {
    finish(u64::from(!checksum) + u64::from(!fold(old)) + u64::from(fold(new)))
}
