//! From one super-packet to packets.

use ravelin_wire::ip::{Fragment, Header, protocol};

use super::checksum::{self, stored};
use super::{CWR, FIN, PSH, TCP_CHECKSUM, TCP_FLAGS, TCP_HEADER, Transport, UDP_CHECKSUM, UDP_HEADER, VnetHeader};
use crate::slots::MAX_PACKET;

/// What was read from the device, with what is left to cut from it. One packet is cut at a time, so a super-packet of
/// many small ones needs no room for all of them at once.
pub(crate) struct Splitter {
    /// The `virtio_net_hdr` and the packet.
    bytes: Box<[u8]>,
    /// Where the packet ends.
    end: usize,
    rest: Rest,
}

/// The description in front of the packet does not fit the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected;

/// What has not been taken yet.
#[derive(Clone, Copy)]
enum Rest {
    Nothing,
    /// One packet, complete.
    Whole,
    Segments(Segments),
}

#[derive(Clone, Copy)]
struct Segments {
    transport: Transport,
    /// Where the transport header begins in the packet, and where the payload.
    transport_at: usize,
    payload_at: usize,
    /// Payload of each packet but the last.
    size: usize,
    /// The sum of the pseudo header without the length; `None`: a datagram without a checksum.
    pseudo: Option<u64>,
    /// Packets taken, and bytes of payload in them.
    taken: usize,
    done: usize,
}

impl Splitter {
    pub(crate) fn new() -> Self {
        // One byte more than can be right, so that what is too long is seen.
        Splitter { bytes: vec![0; VnetHeader::LEN + MAX_PACKET + 1].into(), end: 0, rest: Rest::Nothing }
    }

    /// Where to read a `virtio_net_hdr` and a packet to. What was left of the last one is forgotten.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.rest = Rest::Nothing;
        &mut self.bytes
    }

    /// Whether there is something left to take.
    pub(crate) fn has_more(&self) -> bool {
        !matches!(self.rest, Rest::Nothing)
    }

    /// Takes note that `len` bytes were read to [`Splitter::room`].
    ///
    /// # Errors
    /// When the header describes what the packet is not. Nothing is cut from it then.
    pub(crate) fn load(&mut self, len: usize) -> Result<(), Rejected> {
        self.rest = Rest::Nothing;
        let read = self.bytes.get_mut(..len).ok_or(Rejected)?;
        let (header, packet) = read.split_first_chunk_mut().ok_or(Rejected)?;
        if packet.is_empty() || packet.len() > MAX_PACKET {
            return Err(Rejected);
        }
        let header = VnetHeader::parse(header);
        self.rest = if header.gso_type == VnetHeader::GSO_NONE {
            if header.flags & VnetHeader::NEEDS_CSUM != 0 {
                complete(packet, usize::from(header.csum_start), usize::from(header.csum_offset))?;
            }
            Rest::Whole
        } else {
            Rest::Segments(Segments::of(&header, packet)?)
        };
        self.end = len;
        Ok(())
    }

    /// Puts the next packet at the beginning of `room`, which has [`MAX_PACKET`] bytes. Its length; `None` when all
    /// are taken.
    pub(crate) fn next(&mut self, room: &mut [u8]) -> Option<usize> {
        let packet = &self.bytes[VnetHeader::LEN..self.end.max(VnetHeader::LEN)];
        match &mut self.rest {
            Rest::Nothing => None,
            Rest::Whole => {
                self.rest = Rest::Nothing;
                room[..packet.len()].copy_from_slice(packet);
                Some(packet.len())
            }
            Rest::Segments(segments) => {
                let len = segments.cut(packet, room);
                if segments.payload_at + segments.done == packet.len() {
                    self.rest = Rest::Nothing;
                }
                Some(len)
            }
        }
    }
}

/// Computes the checksum whose field holds the sum of the pseudo header.
fn complete(packet: &mut [u8], start: usize, offset: usize) -> Result<(), Rejected> {
    let covered = packet.get_mut(start..).ok_or(Rejected)?;
    if offset + 2 > covered.len() {
        return Err(Rejected);
    }
    let checksum = stored(checksum::sum(covered));
    covered[offset..offset + 2].copy_from_slice(&checksum);
    Ok(())
}

impl Segments {
    /// Checks all that [`Segments::cut`] relies on.
    fn of(header: &VnetHeader, packet: &[u8]) -> Result<Self, Rejected> {
        let ip = Header::parse(packet).map_err(|_| Rejected)?;
        let v4 = packet[0] >> 4 == 4;
        let transport = match header.gso_type & !VnetHeader::GSO_ECN {
            VnetHeader::GSO_TCPV4 if v4 && ip.protocol == protocol::TCP => Transport::Tcp,
            VnetHeader::GSO_TCPV6 if !v4 && ip.protocol == protocol::TCP => Transport::Tcp,
            VnetHeader::GSO_UDP_L4 if ip.protocol == protocol::UDP => Transport::Udp,
            _ => return Err(Rejected),
        };
        let transport_at = ip.payload_at;
        let (checksum_at, header_len) = match transport {
            Transport::Tcp => {
                let offset = packet.get(transport_at + 12).ok_or(Rejected)?;
                (TCP_CHECKSUM, usize::from(offset >> 4) * 4)
            }
            Transport::Udp => (UDP_CHECKSUM, UDP_HEADER),
        };
        let payload_at = transport_at + header_len;
        let size = usize::from(header.gso_size);
        let fits = ip.fragment == Fragment::Whole
            && ip.total_len == packet.len()
            && header.flags & VnetHeader::NEEDS_CSUM != 0
            && usize::from(header.csum_start) == transport_at
            && usize::from(header.csum_offset) == checksum_at
            && (transport == Transport::Udp || header_len >= TCP_HEADER)
            && size > 0
            && payload_at < packet.len();
        if !fits {
            return Err(Rejected);
        }
        // The field holds the sum of the pseudo header, with the final destination where there is a routing header.
        // The length in it is that of the super-packet.
        let field = u16::from_be_bytes([packet[transport_at + checksum_at], packet[transport_at + checksum_at + 1]]);
        let length = (packet.len() - transport_at) as u16;
        let without = transport == Transport::Udp && field == 0;
        let pseudo = (!without).then(|| u64::from(field) + u64::from(!length));
        Ok(Segments { transport, transport_at, payload_at, size, pseudo, taken: 0, done: 0 })
    }

    /// Writes the next packet, and returns its length.
    fn cut(&mut self, packet: &[u8], room: &mut [u8]) -> usize {
        let from = self.payload_at + self.done;
        let size = self.size.min(packet.len() - from);
        let len = self.payload_at + size;
        let room = &mut room[..len];
        room[..self.payload_at].copy_from_slice(&packet[..self.payload_at]);
        room[self.payload_at..].copy_from_slice(&packet[from..from + size]);
        let last = from + size == packet.len();

        let (ip, transport) = room.split_at_mut(self.transport_at);
        if ip[0] >> 4 == 4 {
            let id = u16::from_be_bytes([ip[4], ip[5]]).wrapping_add(self.taken as u16);
            ip[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            ip[4..6].copy_from_slice(&id.to_be_bytes());
            let header_len = usize::from(ip[0] & 0x0f) * 4;
            checksum::set_ipv4(&mut ip[..header_len]);
        } else {
            ip[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
        }
        let transport_len = transport.len() as u16;
        let checksum_at = match self.transport {
            Transport::Tcp => {
                let sequence = u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]);
                transport[4..8].copy_from_slice(&sequence.wrapping_add(self.done as u32).to_be_bytes());
                if self.taken > 0 {
                    transport[TCP_FLAGS] &= !CWR;
                }
                if !last {
                    transport[TCP_FLAGS] &= !(FIN | PSH);
                }
                TCP_CHECKSUM
            }
            Transport::Udp => {
                transport[4..6].copy_from_slice(&transport_len.to_be_bytes());
                UDP_CHECKSUM
            }
        };
        if let Some(pseudo) = self.pseudo {
            transport[checksum_at..checksum_at + 2].fill(0);
            let checksum = stored(pseudo + u64::from(transport_len) + checksum::sum(transport));
            transport[checksum_at..checksum_at + 2].copy_from_slice(&checksum);
        }
        self.taken += 1;
        self.done += size;
        len
    }
}
