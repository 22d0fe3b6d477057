//! `struct virtio_net_hdr`, in the byte order of the host as a TUN device has it.

/// What describes a packet to the stack, in front of each packet read or written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VnetHeader {
    pub flags: u8,
    pub gso_type: u8,
    /// Bytes in front of the payload; a hint.
    pub hdr_len: u16,
    /// Payload of each packet but the last.
    pub gso_size: u16,
    /// From where to the end the checksum goes.
    pub csum_start: u16,
    /// Where it is stored, from `csum_start` on.
    pub csum_offset: u16,
}

impl VnetHeader {
    pub(crate) const LEN: usize = 10;

    /// The checksum is not complete: its field holds the sum of the pseudo header.
    pub(crate) const NEEDS_CSUM: u8 = 1;

    pub(crate) const GSO_NONE: u8 = 0;
    pub(crate) const GSO_TCPV4: u8 = 1;
    pub(crate) const GSO_TCPV6: u8 = 4;
    pub(crate) const GSO_UDP_L4: u8 = 5;
    /// Set beside the type: CWR is set, and means the first packet.
    pub(crate) const GSO_ECN: u8 = 0x80;

    pub(crate) fn parse(bytes: &[u8; Self::LEN]) -> Self {
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        VnetHeader {
            flags: bytes[0],
            gso_type: bytes[1],
            hdr_len: half(2),
            gso_size: half(4),
            csum_start: half(6),
            csum_offset: half(8),
        }
    }

    pub(crate) fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        let halves = [self.hdr_len, self.gso_size, self.csum_start, self.csum_offset];
        for (place, half) in bytes[2..].chunks_exact_mut(2).zip(halves) {
            place.copy_from_slice(&half.to_ne_bytes());
        }
        bytes
    }
}
