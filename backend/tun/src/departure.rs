//! Packets that are ready to leave, by the socket that sends them. What finds no room there waits here.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use ravelin_engine::Outer;
use ravelin_types::sa::Encap;
use ravelin_types::{Carrier, Way};
use ravelin_wire::ip::fragment::Fragments;
use ravelin_wire::ip::{protocol, v4};
use ravelin_wire::udp_encap::KEEPALIVE;

use crate::slots::{BATCH, Slots};
use crate::sockets::{Sockets, Use};
use crate::streams::Streams;
use crate::sys::{HOPS, Messages, Sending};
use crate::wait::Watch;

/// The ways out.
const WAYS: [(Use, bool); 6] =
    [(Use::Esp, true), (Use::Esp, false), (Use::Nat, true), (Use::Nat, false), (Use::Clear, true), (Use::Clear, false)];

pub(crate) struct Departure {
    sockets: Arc<Sockets>,
    streams: Arc<Streams>,
    messages: Messages,
    /// Packets to send, by [`WAYS`]; between batches, those for which there was no room.
    ways: [Vec<Sending>; WAYS.len()],
    /// The longest packet that surely passes the path without being cut.
    longest: usize,
    /// Of the last IPv6 packet that was cut.
    fragment_id: u32,
    no_family: u64,
    /// By the system's error number.
    send_failed: BTreeMap<i32, u64>,
}

impl Departure {
    pub(crate) fn new(sockets: Arc<Sockets>, streams: Arc<Streams>, longest: usize) -> Self {
        Departure {
            sockets,
            streams,
            messages: Messages::new(),
            ways: std::array::from_fn(|_| Vec::with_capacity(BATCH)),
            longest,
            fragment_id: 0,
            no_family: 0,
            send_failed: BTreeMap::new(),
        }
    }

    /// Whether packets wait for room in a socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.ways.iter().any(|packets| !packets.is_empty())
    }

    /// Waits for room in the sockets that are full.
    pub(crate) fn watch<'a>(&self, sockets: &'a Sockets, watch: &mut Watch<'a>) {
        let full = WAYS.iter().zip(&self.ways).filter(|(_, packets)| !packets.is_empty());
        full.filter_map(|((what, v4), _)| sockets.get(*what, any(*v4))).for_each(|fd| watch.writable(fd));
    }

    /// Takes a packet that was sealed.
    pub(crate) fn sealed(&mut self, slots: &mut Slots, at: Range<usize>, outer: &Outer) {
        // AH covers the IP header, so the packet travels with the one it has.
        if outer.protocol == protocol::AH {
            return self.cut(slots, at);
        }
        let esp = at.start + outer.esp_at..at.end;
        let (what, port) = match outer.encap {
            Some(Encap { carrier: Carrier::Tcp, src_port, dst_port }) => {
                let way = Way::tcp(SocketAddr::new(outer.src, src_port), SocketAddr::new(outer.dst, dst_port));
                return self.streams.send_esp(way, &slots.bytes()[esp]);
            }
            Some(encap) => (Use::Nat, encap.dst_port),
            None => (Use::Esp, 0),
        };
        self.queue(
            what,
            Sending {
                start: esp.start,
                end: esp.end,
                remote: SocketAddr::new(outer.dst, port),
                local: outer.src,
                tos: outer.tos,
                hops: hops(&slots.bytes()[at]),
            },
        );
    }

    /// Takes a packet that leaves with the IP header that stands before it.
    pub(crate) fn whole(&mut self, slots: &Slots, at: Range<usize>) {
        let Some((destination, any)) = destination(&slots.bytes()[at.clone()]) else { return };
        let remote = SocketAddr::new(destination, 0);
        self.queue(Use::Clear, Sending { start: at.start, end: at.end, remote, local: any, tos: 0, hops: HOPS });
    }

    /// As [`Departure::whole`], but the kernel cuts no packet whose header is given: what is too long for the path is cut into
    /// fragments here, behind the packet in its slot. What leaves no room for them goes as it is, and is refused and counted.
    fn cut(&mut self, slots: &mut Slots, at: Range<usize>) {
        let longest = self.longest;
        if at.len() <= longest {
            return self.whole(slots, at);
        }
        self.fragment_id = self.fragment_id.wrapping_add(1);
        let (packet, mut rest) = slots.packet_and_rest(at.clone());
        if packet[0] >> 4 == 4 {
            // As with ESP: the host's own datagrams have DF, and yet shall be cut; AH does not cover it (RFC 4302
            // §3.3.3.1.1). Forwarded ones met a route with the MTU.
            packet[v4::FLAGS_AT] &= !(v4::DONT_FRAGMENT >> 8) as u8;
        }
        let Ok(mut fragments) = Fragments::new(packet, longest, self.fragment_id) else {
            return self.whole(slots, at);
        };
        let (mut pieces, mut end) = (Vec::new(), at.end);
        while let Ok(Some(len)) = fragments.next(rest) {
            rest = &mut std::mem::take(&mut rest)[len..];
            pieces.push(end..end + len);
            end += len;
        }
        if !fragments.is_done() {
            return self.whole(slots, at);
        }
        pieces.into_iter().for_each(|piece| self.whole(slots, piece));
    }

    fn queue(&mut self, what: Use, sending: Sending) {
        let v4 = sending.remote.is_ipv4();
        if let Some(way) = WAYS.iter().position(|way| *way == (what, v4)) {
            self.ways[way].push(sending);
        }
    }

    /// Sends what there is room for. `too_long` gets packets that nobody may cut, with what the link at hand takes.
    pub(crate) fn send_all(&mut self, slots: &Slots, mut too_long: impl FnMut(&[u8], u16)) {
        for ((what, v4), packets) in WAYS.iter().zip(&mut self.ways) {
            if packets.is_empty() {
                continue;
            }
            let mut refused_as_long = None;
            let done = match self.sockets.get(*what, any(*v4)) {
                Some(socket) => {
                    let failed = &mut self.send_failed;
                    let refused = &mut |place: usize, error: io::Error| {
                        if *what == Use::Clear && error.raw_os_error() == Some(libc::EMSGSIZE) {
                            refused_as_long = Some(packets[place]);
                        }
                        count_refused(failed, &error);
                    };
                    self.messages.send(socket, slots.bytes(), packets, *what == Use::Nat, refused)
                }
                None => {
                    self.no_family += packets.len() as u64;
                    packets.len()
                }
            };
            packets.drain(..done);
            if let Some(Sending { start, end, remote, .. }) = refused_as_long
                && let Ok(mtu) = self.sockets.mtu_towards(remote.ip())
            {
                too_long(&slots.bytes()[start..end], mtu);
            }
        }
    }

    /// Sends a NAT keepalive. Where there is no room, other packets keep the mapping alive.
    pub(crate) fn keep_alive(&mut self, src: IpAddr, dst: IpAddr, port: u16) {
        let remote = SocketAddr::new(dst, port);
        let sending = Sending { start: 0, end: KEEPALIVE.len(), remote, local: src, tos: 0, hops: HOPS };
        if let Some(socket) = self.sockets.get(Use::Nat, dst) {
            let refused = &mut |_, error| count_refused(&mut self.send_failed, &error);
            self.messages.send(socket, &KEEPALIVE, &[sending], false, refused);
        }
    }

    /// What was counted.
    pub(crate) fn count(&self) -> impl Iterator<Item = (String, u64)> {
        let refused = self
            .send_failed
            .iter()
            .map(|(number, count)| (format!("could not be sent: {}", io::Error::from_raw_os_error(*number)), *count));
        std::iter::once(("the host has no IPv6".to_owned(), self.no_family)).chain(refused)
    }
}

fn count_refused(failed: &mut BTreeMap<i32, u64>, error: &io::Error) {
    *failed.entry(error.raw_os_error().unwrap_or_default()).or_default() += 1;
}

/// The unspecified address of IPv4, or of IPv6.
fn any(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// TTL or hop limit of a packet that the engine made.
fn hops(packet: &[u8]) -> u8 {
    let at = if packet[0] >> 4 == 4 { 8 } else { 7 };
    packet.get(at).copied().unwrap_or(HOPS)
}

/// The destination of an IP packet and the unspecified address of its family.
fn destination(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => {
            let bytes: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some((bytes.into(), Ipv4Addr::UNSPECIFIED.into()))
        }
        6 => {
            let bytes: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some((bytes.into(), Ipv6Addr::UNSPECIFIED.into()))
        }
        _ => None,
    }
}
