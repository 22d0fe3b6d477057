//! From the packets of a batch to super-packets.

use ravelin_wire::ip::checksum::{finish, fold};
use ravelin_wire::ip::protocol;

use super::checksum::{pseudo_header, set_ipv4, sum};
use super::{ACK, ECE, FIN, PSH, TCP_CHECKSUM, TCP_FLAGS, VnetHeader};
use crate::slots::{BATCH, MAX_PACKET};

/// No packet, where the number of one is expected.
pub(crate) const NONE: usize = usize::MAX;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const DONT_FRAGMENT: u8 = 0x40;

/// Packets of one batch that are written as one, in groups; a packet that nothing goes along with is a group of its
/// own.
///
/// The groups are in the order of their first packets, and all packets of a TCP connection in the order in which they
/// came: only those of different connections, and other protocols among them, may overtake each other.
pub(crate) struct Merger {
    groups: Vec<Group>,
    /// By packet: the one behind it in its group, or [`NONE`].
    next: [usize; BATCH],
    /// Groups before this one take no more packets.
    barrier: usize,
}

/// One packet for the stack, or several that form a super-packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub first: usize,
    pub last: usize,
    /// Bytes of IP and TCP header in front of each payload; 0 for what is not TCP.
    pub header_len: usize,
    /// Takes no more packets.
    closed: bool,
    /// The first packet's checksums are right.
    checked: bool,
    /// A word of the addresses and ports, to tell flows apart fast.
    key: u64,
    /// The sequence number that goes on here.
    sequence: u32,
    /// Payload of the first packet, and of all of them.
    size: usize,
    payload: usize,
    pub count: usize,
}

impl Group {
    fn is_tcp(&self) -> bool {
        self.header_len > 0
    }
}

/// What a packet is to the merger.
enum Kind {
    /// TCP without IP options or extension headers.
    Tcp(Segment),
    /// Nothing that has an order with TCP.
    Other,
    /// TCP in a form that is not looked into, or perhaps TCP.
    Hidden,
}

struct Segment {
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
        Merger { groups: Vec::with_capacity(BATCH), next: [NONE; BATCH], barrier: 0 }
    }

    /// Forgets the groups.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
        self.barrier = 0;
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
        match classify(bytes) {
            Kind::Other => self.add_alone(i),
            Kind::Hidden => {
                self.add_alone(i);
                self.barrier = self.groups.len();
            }
            Kind::Tcp(segment) => {
                let open = self.groups[self.barrier..]
                    .iter_mut()
                    .rev()
                    .find(|group| group.is_tcp() && group.key == segment.key && same_flow(packet(group.first), bytes));
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

    /// Makes a group of the `i`th packet that nothing else joins.
    pub(crate) fn add_alone(&mut self, i: usize) {
        self.next[i] = NONE;
        self.groups.push(Group {
            first: i,
            last: i,
            header_len: 0,
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
    /// Whether the packet goes on where this group ends, and differs in nothing else.
    fn takes(&mut self, first: &[u8], packet: &[u8], segment: &Segment) -> bool {
        let fits = segment.plain
            && segment.sequence == self.sequence
            && segment.header_len == self.header_len
            && segment.payload <= self.size
            && self.header_len + self.payload + segment.payload <= MAX_PACKET
            && same_header(first, packet, self.header_len, self.count as u16)
            && is_intact(packet);
        if fits && !self.checked {
            self.checked = is_intact(first);
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

    /// Makes the first packet of a merged group the head of the super-packet, as the kernel wants to have it from a
    /// driver; `last_flags` are the TCP flags of the last packet.
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
        let (ip, tcp) = first.split_at_mut(ip_len);
        tcp[TCP_FLAGS] |= last_flags & (FIN | PSH);
        let pseudo = fold(pseudo_header(ip, protocol::TCP, total_len - ip_len));
        tcp[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&pseudo.to_be_bytes());
        VnetHeader {
            flags: VnetHeader::NEEDS_CSUM,
            gso_type: if v4 { VnetHeader::GSO_TCPV4 } else { VnetHeader::GSO_TCPV6 },
            hdr_len: self.header_len as u16,
            gso_size: self.size as u16,
            csum_start: ip_len as u16,
            csum_offset: TCP_CHECKSUM as u16,
        }
    }
}

/// The TCP flags of a packet of a merged group.
pub(crate) fn tcp_flags(packet: &[u8]) -> u8 {
    packet[ip_header_len(packet) + TCP_FLAGS]
}

fn ip_header_len(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { IPV4_HEADER } else { IPV6_HEADER }
}

fn classify(packet: &[u8]) -> Kind {
    let (ip_len, key) = match packet.first().map(|byte| byte >> 4) {
        Some(4) if packet.len() >= IPV4_HEADER => {
            let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
            match packet[9] {
                protocol::TCP if packet[0] == 0x45 && !fragment && stated(packet, 2) == packet.len() => {}
                protocol::TCP => return Kind::Hidden,
                _ => return Kind::Other,
            }
            (IPV4_HEADER, word(packet, 12) ^ word(packet, 16).rotate_left(16))
        }
        Some(6) if packet.len() >= IPV6_HEADER => {
            match packet[6] {
                protocol::TCP if IPV6_HEADER + stated(packet, 4) == packet.len() => {}
                protocol::UDP | protocol::ICMPV6 | protocol::ESP => return Kind::Other,
                _ => return Kind::Hidden,
            }
            (IPV6_HEADER, word(packet, 20) ^ word(packet, 36).rotate_left(16))
        }
        _ => return Kind::Hidden,
    };
    let tcp = &packet[ip_len..];
    if tcp.len() < 20 {
        return Kind::Hidden;
    }
    let header_len = ip_len + usize::from(tcp[12] >> 4) * 4;
    if header_len < ip_len + 20 || header_len > packet.len() {
        return Kind::Hidden;
    }
    let (flags, payload) = (tcp[TCP_FLAGS], packet.len() - header_len);
    let plain = payload > 0 && flags & ACK != 0 && flags & !(ACK | PSH | FIN | ECE) == 0 && tcp[12] & 0x0f == 0;
    Kind::Tcp(Segment {
        key: u64::from(key) << 32 | u64::from(word(tcp, 0)),
        header_len,
        sequence: word(tcp, 4),
        payload,
        plain,
        ends: flags & (PSH | FIN) != 0,
    })
}

/// The length that a header states at this place.
fn stated(packet: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether two packets of [`Kind::Tcp`] have the same addresses and ports.
fn same_flow(a: &[u8], b: &[u8]) -> bool {
    let flow = |packet: &[u8]| if packet[0] >> 4 == 4 { 12..24 } else { 8..44 };
    a[0] >> 4 == b[0] >> 4 && a[flow(a)] == b[flow(b)]
}

/// Whether the headers of two packets of a flow differ only as those of a super-packet's parts do; `b` is the
/// `distance`th behind `a`.
fn same_header(a: &[u8], b: &[u8], header_len: usize, distance: u16) -> bool {
    let ip_len = ip_header_len(a);
    let same_ip = if ip_len == IPV4_HEADER {
        // The identification of what is never fragmented means nothing (RFC 6864 §4.1).
        let id = |packet: &[u8]| u16::from_be_bytes([packet[4], packet[5]]);
        let in_order = a[6] & DONT_FRAGMENT != 0 || id(b) == id(a).wrapping_add(distance);
        in_order && a[..2] == b[..2] && a[6..10] == b[6..10]
    } else {
        a[..4] == b[..4] && a[6..8] == b[6..8]
    };
    let (a, b) = (&a[ip_len..header_len], &b[ip_len..header_len]);
    same_ip
        && a[8..13] == b[8..13]
        && (a[TCP_FLAGS] ^ b[TCP_FLAGS]) & !(PSH | FIN) == 0
        && a[14..16] == b[14..16]
        && a[18..] == b[18..]
}

/// Whether the checksums of a packet of [`Kind::Tcp`] are right. The stack does not look at those of a super-packet.
fn is_intact(packet: &[u8]) -> bool {
    let (ip, tcp) = packet.split_at(ip_header_len(packet));
    let header = ip.len() == IPV6_HEADER || finish(sum(ip)) == 0;
    header && finish(pseudo_header(ip, protocol::TCP, tcp.len()) + sum(tcp)) == 0
}
