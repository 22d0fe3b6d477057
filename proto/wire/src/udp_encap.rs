//! ESP and IKE sharing UDP port 4500 (RFC 3948 §2, RFC 7296 §2.23).

/// The port on which ESP and IKE share UDP.
pub const PORT: u16 = 4500;
/// Length of the UDP header.
pub const UDP_HEADER_LEN: usize = 8;
/// Four zero bytes before an IKE message, where ESP has its SPI (RFC 3948 §2.2, RFC 7296 §2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The whole of a NAT keepalive (RFC 3948 §2.3).
pub const KEEPALIVE: [u8; 1] = [0xff];

/// What a datagram on port 4500 carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// An IKE message, without the marker.
    Ike(&'a [u8]),
    /// An ESP packet.
    Esp(&'a [u8]),
    /// A NAT keepalive; to be ignored.
    Keepalive,
    /// Neither; to be dropped.
    Malformed,
}

/// Tells what the payload of a datagram on port 4500 is.
pub fn classify(payload: &[u8]) -> Payload<'_> {
    match payload {
        [0xff] => Payload::Keepalive,
        [0, 0, 0, 0, message @ ..] => Payload::Ike(message),
        // An ESP header alone has eight bytes.
        [_, _, _, _, _, _, _, _, ..] => Payload::Esp(payload),
        _ => Payload::Malformed,
    }
}

/// Writes a UDP header; `len` is header and payload. The checksum is zero: RFC 3948 §2.1 asks for that in IPv4.
#[inline]
pub fn emit_header(out: &mut [u8; UDP_HEADER_LEN], src_port: u16, dst_port: u16, len: u16) {
    out[0..2].copy_from_slice(&src_port.to_be_bytes());
    out[2..4].copy_from_slice(&dst_port.to_be_bytes());
    out[4..6].copy_from_slice(&len.to_be_bytes());
    out[6..8].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    // docs/HISTORY.md, row 124: datagrams of 0 to 8 bytes, the marker alone, a keepalive, SPI 0.
    #[test]
    fn short_datagrams() {
        assert_eq!(classify(&[]), Payload::Malformed);
        assert_eq!(classify(&[0xff]), Payload::Keepalive);
        assert_eq!(classify(&[0xfe]), Payload::Malformed);
        assert_eq!(classify(&[0, 0, 0]), Payload::Malformed);
        assert_eq!(classify(&[0xff; 7]), Payload::Malformed);
        assert_eq!(classify(&[0; 4]), Payload::Ike(&[]));
        assert_eq!(classify(&[0; 8]), Payload::Ike(&[0; 4]));
        assert_eq!(classify(&[0, 0, 1, 0, 0, 0, 0, 1]), Payload::Esp(&[0, 0, 1, 0, 0, 0, 0, 1]));
    }

    #[test]
    fn header_bytes() {
        let mut out = [0xaa; 8];
        emit_header(&mut out, 4500, 61000, 0x1234);
        assert_eq!(out, [0x11, 0x94, 0xee, 0x48, 0x12, 0x34, 0, 0]);
    }
}
