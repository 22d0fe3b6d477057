//! From the packets of a batch to super-packets.

use ravelin_wire::ip::checksum::{finish, fold};
use ravelin_wire::ip::protocol;

use super::checksum::{pseudo_header, set_ipv4, sum};
use super::{ACK, ECE, FIN, PSH, TCP_CHECKSUM, TCP_FLAGS, TCP_HEADER, Transport, UDP_CHECKSUM, UDP_HEADER, VnetHeader};
use crate::slots::{BATCH, MAX_PACKET};

/// No packet, where the number of one is expected.
pub(crate) const NONE: usize = usize::MAX;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const DONT_FRAGMENT: u8 = 0x40;

/// Packets of one batch that are written as one, in groups; a packet that nothing goes along with is a group of its
/// own.
///
/// The groups are in the order of their first packets, and all packets of a TCP connection or a UDP flow in the order in
/// which they came: only those of different flows, and other protocols among them, may overtake each other.
pub(crate) struct Merger {
    groups: Vec<Group>,
    /// By packet: the one behind it in its group, or [`NONE`].
    next: [usize; BATCH],
    /// Groups before this one take no more packets.
    barrier: usize,
    /// Whether packets of TCP, and of UDP, are merged at all.
    merging: (bool, bool),
}

/// One packet for the stack, or several that form a super-packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub first: usize,
    pub last: usize,
    /// Bytes of IP and transport header in front of each payload; 0 for what is never merged.
    pub header_len: usize,
    transport: Transport,
    /// Takes no more packets.
    closed: bool,
    /// The first packet's checksums are right.
    checked: bool,
    /// A word of the addresses and ports, to tell flows apart fast.
    key: u64,
    /// The sequence number that goes on here, in TCP.
    sequence: u32,
    /// Payload of the first packet, and of all of them.
    size: usize,
    payload: usize,
    pub count: usize,
}

/// What a packet is to the merger.
enum Kind {
    /// TCP or UDP without IP options or extension headers.
    Segment(Segment),
    /// Nothing that has an order with these.
    Other,
    /// TCP or UDP in a form that is not looked into, or perhaps so.
    Hidden,
}

struct Segment {
    transport: Transport,
    key: u64,
    header_len: usize,
    sequence: u32,
    payload: usize,
    /// Nothing in the header keeps it from being merged.
    plain: bool,
    /// It ends a super-packet.
    ends: bool,
}

impl Merger {
    pub(crate) fn new() -> Self {
        Merger { groups: Vec::with_capacity(BATCH), next: [NONE; BATCH], barrier: 0, merging: (false, false) }
    }

    /// Forgets the groups; `merging` says whether packets of TCP, and of UDP, are merged from now on.
    pub(crate) fn clear(&mut self, merging: (bool, bool)) {
        self.groups.clear();
        self.barrier = 0;
        self.merging = merging;
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The packet behind this one in its group, or [`NONE`].
    pub(crate) fn next(&self, packet: usize) -> usize {
        self.next[packet]
    }

    /// Puts the `i`th packet of the batch into a group. `packet` gives the bytes of this one and of those before.
    pub(crate) fn add<'a>(&mut self, i: usize, packet: impl Fn(usize) -> &'a [u8]) {
        let bytes = packet(i);
        self.next[i] = NONE;
        let kind = if self.merging == (false, false) { Kind::Other } else { classify(bytes) };
        match kind {
            Kind::Other => self.add_alone(i),
            Kind::Hidden => {
                self.add_alone(i);
                self.barrier = self.groups.len();
            }
            Kind::Segment(segment) if !self.merges(segment.transport) => self.add_alone(i),
            Kind::Segment(segment) => {
                let open = self.groups[self.barrier..]
                    .iter_mut()
                    .rev()
                    .find(|group| group.is_of(&segment) && same_flow(packet(group.first), bytes));
                let taken = open.is_some_and(|group| {
                    let fits = !group.closed && group.takes(packet(group.first), bytes, &segment);
                    if fits {
                        self.next[group.last] = i;
                        group.append(i, &segment);
                    } else {
                        group.closed = true;
                    }
                    fits
                });
                if !taken {
                    self.start(i, &segment);
                }
            }
        }
    }

    fn merges(&self, transport: Transport) -> bool {
        match transport {
            Transport::Tcp => self.merging.0,
            Transport::Udp => self.merging.1,
        }
    }

    /// Makes a group of the `i`th packet that nothing else joins.
    fn add_alone(&mut self, i: usize) {
        self.next[i] = NONE;
        self.groups.push(Group {
            first: i,
            last: i,
            header_len: 0,
            transport: Transport::Tcp,
            closed: true,
            checked: false,
            key: 0,
            sequence: 0,
            size: 0,
            payload: 0,
            count: 1,
        });
    }

    fn start(&mut self, i: usize, segment: &Segment) {
        self.groups.push(Group {
            first: i,
            last: i,
            header_len: segment.header_len,
            transport: segment.transport,
            closed: !segment.plain || segment.ends,
            checked: false,
            key: segment.key,
            sequence: segment.sequence.wrapping_add(segment.payload as u32),
            size: segment.payload,
            payload: segment.payload,
            count: 1,
        });
    }
}

impl Group {
    /// Whether the packet may be of the flow of this group.
    fn is_of(&self, segment: &Segment) -> bool {
        self.header_len > 0 && self.transport == segment.transport && self.key == segment.key
    }

    /// Whether the packet goes on where this group ends, and differs in nothing else.
    fn takes(&mut self, first: &[u8], packet: &[u8], segment: &Segment) -> bool {
        let fits = segment.plain
            && (segment.sequence == self.sequence || self.transport == Transport::Udp)
            && segment.header_len == self.header_len
            && segment.payload <= self.size
            && self.header_len + self.payload + segment.payload <= MAX_PACKET
            && same_header(first, packet, self.transport, self.header_len, self.count as u16)
            && is_intact(packet, self.transport);
        if fits && !self.checked {
            self.checked = is_intact(first, self.transport);
        }
        fits && self.checked
    }

    fn append(&mut self, i: usize, segment: &Segment) {
        self.last = i;
        self.sequence = self.sequence.wrapping_add(segment.payload as u32);
        self.payload += segment.payload;
        self.count += 1;
        self.closed = segment.ends || segment.payload < self.size;
    }

    /// The TCP flags of a packet of this group; UDP has none.
    pub(crate) fn flags(&self, packet: &[u8]) -> u8 {
        match self.transport {
            Transport::Tcp => packet[ip_header_len(packet) + TCP_FLAGS],
            Transport::Udp => 0,
        }
    }

    /// Makes the first packet of a merged group the head of the super-packet, as the kernel wants to have it from a
    /// driver; `last_flags` are the [`Group::flags`] of the last packet.
    pub(crate) fn finish(&self, first: &mut [u8], last_flags: u8) -> VnetHeader {
        let (total_len, v4) = (self.header_len + self.payload, first[0] >> 4 == 4);
        let ip_len = if v4 {
            first[2..4].copy_from_slice(&(total_len as u16).to_be_bytes());
            set_ipv4(&mut first[..IPV4_HEADER]);
            IPV4_HEADER
        } else {
            first[4..6].copy_from_slice(&((total_len - IPV6_HEADER) as u16).to_be_bytes());
            IPV6_HEADER
        };
        let (ip, header) = first.split_at_mut(ip_len);
        let (protocol, checksum_at, gso_type) = match (self.transport, v4) {
            (Transport::Tcp, true) => (protocol::TCP, TCP_CHECKSUM, VnetHeader::GSO_TCPV4),
            (Transport::Tcp, false) => (protocol::TCP, TCP_CHECKSUM, VnetHeader::GSO_TCPV6),
            (Transport::Udp, _) => (protocol::UDP, UDP_CHECKSUM, VnetHeader::GSO_UDP_L4),
        };
        match self.transport {
            Transport::Tcp => header[TCP_FLAGS] |= last_flags & (FIN | PSH),
            Transport::Udp => header[4..6].copy_from_slice(&((total_len - ip_len) as u16).to_be_bytes()),
        }
        let pseudo = fold(pseudo_header(ip, protocol, total_len - ip_len));
        header[checksum_at..checksum_at + 2].copy_from_slice(&pseudo.to_be_bytes());
        VnetHeader {
            flags: VnetHeader::NEEDS_CSUM,
            gso_type,
            hdr_len: self.header_len as u16,
            gso_size: self.size as u16,
            csum_start: ip_len as u16,
            csum_offset: checksum_at as u16,
        }
    }
}

fn ip_header_len(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { IPV4_HEADER } else { IPV6_HEADER }
}

fn classify(packet: &[u8]) -> Kind {
    let (ip_len, transport, key) = match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= IPV4_HEADER => {
            let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
            let plain = packet[0] == 0x45 && !fragment && stated(packet, 2) == packet.len();
            let transport = match (packet[9], plain) {
                (protocol::TCP, true) => Transport::Tcp,
                (protocol::UDP, true) => Transport::Udp,
                (protocol::TCP | protocol::UDP, false) => return Kind::Hidden,
                _ => return Kind::Other,
            };
            (IPV4_HEADER, transport, word(packet, 12) ^ word(packet, 16).rotate_left(16))
        }
        Some(6) if packet.len() >= IPV6_HEADER => {
            let plain = IPV6_HEADER + stated(packet, 4) == packet.len();
            let transport = match (packet[6], plain) {
                (protocol::TCP, true) => Transport::Tcp,
                (protocol::UDP, true) => Transport::Udp,
                (protocol::ICMPV6 | protocol::ESP, _) => return Kind::Other,
                _ => return Kind::Hidden,
            };
            (IPV6_HEADER, transport, word(packet, 20) ^ word(packet, 36).rotate_left(16))
        }
        _ => return Kind::Hidden,
    };
    let segment = match transport {
        Transport::Tcp => tcp_segment(packet, ip_len, key),
        Transport::Udp => udp_segment(packet, ip_len, key),
    };
    segment.map_or(Kind::Hidden, Kind::Segment)
}

/// `None` when it is no whole TCP header.
fn tcp_segment(packet: &[u8], ip_len: usize, key: u32) -> Option<Segment> {
    let tcp = &packet[ip_len..];
    if tcp.len() < TCP_HEADER {
        return None;
    }
    let header_len = ip_len + usize::from(tcp[12] >> 4) * 4;
    if header_len < ip_len + TCP_HEADER || header_len > packet.len() {
        return None;
    }
    let (flags, payload) = (tcp[TCP_FLAGS], packet.len() - header_len);
    let plain = payload > 0 && flags & ACK != 0 && flags & !(ACK | PSH | FIN | ECE) == 0 && tcp[12] & 0x0f == 0;
    Some(Segment {
        transport: Transport::Tcp,
        key: u64::from(key) << 32 | u64::from(word(tcp, 0)),
        header_len,
        sequence: word(tcp, 4),
        payload,
        plain,
        ends: flags & (PSH | FIN) != 0,
    })
}

/// `None` when it is no whole datagram.
fn udp_segment(packet: &[u8], ip_len: usize, key: u32) -> Option<Segment> {
    let udp = &packet[ip_len..];
    if udp.len() < UDP_HEADER || stated(udp, 4) != udp.len() {
        return None;
    }
    let payload = udp.len() - UDP_HEADER;
    // Without a checksum there is nothing to tell whether it is intact, and the kernel would give it one.
    let checksum = udp[UDP_CHECKSUM..UDP_CHECKSUM + 2] != [0, 0];
    Some(Segment {
        transport: Transport::Udp,
        key: u64::from(key) << 32 | u64::from(word(udp, 0)),
        header_len: ip_len + UDP_HEADER,
        sequence: 0,
        payload,
        plain: payload > 0 && checksum,
        ends: false,
    })
}

/// The length that a header states at this place.
fn stated(packet: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether two packets of [`Kind::Segment`] have the same addresses and ports.
fn same_flow(a: &[u8], b: &[u8]) -> bool {
    let flow = |packet: &[u8]| if packet[0] >> 4 == 4 { 12..24 } else { 8..44 };
    a[0] >> 4 == b[0] >> 4 && a[flow(a)] == b[flow(b)]
}

/// Whether the headers of two packets of a flow differ only as those of a super-packet's parts do; `b` is the
/// `distance`th behind `a`.
fn same_header(a: &[u8], b: &[u8], transport: Transport, header_len: usize, distance: u16) -> bool {
    let ip_len = ip_header_len(a);
    let same_ip = if ip_len == IPV4_HEADER {
        // The identification of what is never fragmented means nothing (RFC 6864 §4.1).
        let id = |packet: &[u8]| u16::from_be_bytes([packet[4], packet[5]]);
        let in_order = a[6] & DONT_FRAGMENT != 0 || id(b) == id(a).wrapping_add(distance);
        in_order && a[..2] == b[..2] && a[6..10] == b[6..10]
    } else {
        a[..4] == b[..4] && a[6..8] == b[6..8]
    };
    if transport == Transport::Udp {
        return same_ip;
    }
    let (a, b) = (&a[ip_len..header_len], &b[ip_len..header_len]);
    same_ip
        && a[8..13] == b[8..13]
        && (a[TCP_FLAGS] ^ b[TCP_FLAGS]) & !(PSH | FIN) == 0
        && a[14..16] == b[14..16]
        && a[18..] == b[18..]
}

/// Whether the checksums of a packet of [`Kind::Segment`] are right. The stack does not look at those of a super-packet.
fn is_intact(packet: &[u8], transport: Transport) -> bool {
    let protocol = match transport {
        Transport::Tcp => protocol::TCP,
        Transport::Udp => protocol::UDP,
    };
    let (ip, bytes) = packet.split_at(ip_header_len(packet));
    let header = ip.len() == IPV6_HEADER || finish(sum(ip)) == 0;
    header && finish(pseudo_header(ip, protocol, bytes.len()) + sum(bytes)) == 0
}
