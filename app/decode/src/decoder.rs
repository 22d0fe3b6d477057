//! From a captured frame to what is in it.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};

use flate2::read::DeflateDecoder;
use ravelin_types::IkeSpi;
use ravelin_types::transform::{EncrId, PrfId};
use ravelin_wire::udp_encap::{self, NON_ESP_MARKER, Payload, UDP_HEADER_LEN};

use crate::field::{Decoded, Layer};
use crate::ike;
use crate::keys::{BadLine, Keys};
use crate::known::{Known, Options};
use crate::link::Link;
use crate::scope::Scope;
use crate::{aggfrag, esp, ip};

/// Packets inside packets that are opened.
const MAX_DEPTH: usize = 8;
/// The longest IP packet: compressed ones come to no more.
const MAX_PACKET: u64 = 65_535;
/// What opens a TCP stream that carries IKE and ESP (RFC 9329 §4).
const TCP_PREFIX: &[u8] = b"IKETCP";

const TCP: u8 = 6;
const UDP: u8 = 17;
const ESP: u8 = 50;
const AH: u8 = 51;
const IPCOMP: u8 = 108;
const AGGFRAG: u8 = 144;
/// Packets of one payload that are shown; a capture may have a great many small ones.
const MAX_SHARED: usize = 64;
const IPV4: u8 = 4;
const IPV6: u8 = 41;

/// Reads packets in the order of a capture; what an earlier one says opens a later one.
pub struct Decoder {
    known: Known,
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new(keys: Keys, options: Options) -> Self {
        Decoder { known: Known { keys, options, sessions: ike::session::Sessions::default() } }
    }

    /// Adds keys that came to be known, in the form that [`Keys::add`] takes.
    ///
    /// # Errors
    /// As [`Keys::add`].
    pub fn learn(&mut self, text: &str) -> Result<(), BadLine> {
        self.known.keys.add(text)
    }

    /// Tells how phase 1 of an ISAKMP SA ended that was not seen: with these algorithms, and this last block. Nothing changes
    /// where it was seen.
    pub fn learn_phase1(&mut self, cookie: IkeSpi, encr: EncrId, prf: PrfId, last: &[u8]) {
        self.known.sessions.phase1(cookie).assume(encr, prf, last);
    }

    /// Forgets the keys of an IKE SA.
    pub fn forget(&mut self, spis: (IkeSpi, IkeSpi)) {
        self.known.keys.forget(spis);
    }

    /// Reads one frame.
    pub fn packet(&mut self, link: Link, frame: &[u8]) -> Decoded {
        let mut decoded = Decoded::default();
        match link.ip_at(frame).and_then(|at| frame.get(at..).ok_or_else(|| "the frame is cut off".into())) {
            Ok(packet) => self.ip(packet, 0, &mut decoded),
            Err(problem) => decoded.problems.push(problem),
        }
        decoded
    }

    /// Reads an IKE message as it travels in UDP, without a non-ESP marker.
    pub fn ike_message(&mut self, message: &[u8]) -> Layer {
        ike::message(message, &mut self.known)
    }

    fn ip(&mut self, packet: &[u8], depth: usize, decoded: &mut Decoded) {
        let inside = match ip::open(packet) {
            Ok(inside) => inside,
            Err(problem) => return decoded.problems.push(problem),
        };
        decoded.problems.extend(inside.problem);
        let ends = |src_port, dst_port| {
            (Some(SocketAddr::new(inside.src, src_port)), Some(SocketAddr::new(inside.dst, dst_port)))
        };
        if depth == 0 {
            (decoded.src, decoded.dst) = ends(0, 0);
        }
        if inside.later_fragment {
            decoded.problems.push("a later fragment of an IP packet: only the first one has a header to read".into());
            return;
        }
        let payload = inside.payload;
        match inside.protocol {
            UDP => {
                let Some((header, data)) = payload.split_at_checked(UDP_HEADER_LEN) else {
                    return decoded.problems.push("the UDP header is cut off".into());
                };
                let be16 = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
                let ports = (be16(0), be16(2));
                if depth == 0 {
                    (decoded.src, decoded.dst) = ends(ports.0, ports.1);
                }
                let data = &data[..data.len().min(usize::from(be16(4)).saturating_sub(UDP_HEADER_LEN))];
                self.udp(ports, data, (inside.src, inside.dst), depth, decoded);
            }
            TCP => self.tcp(payload, (inside.src, inside.dst), depth, decoded),
            ESP => self.esp(payload, (inside.src, inside.dst), depth, decoded),
            AH => self.ah(payload, depth, (inside.src, inside.dst), decoded),
            IPCOMP => self.ipcomp(payload, (inside.src, inside.dst), depth, decoded),
            other if depth > 0 => decoded.payload = Some(describe(other, payload, inside.src, inside.dst)),
            _ => {}
        }
    }

    fn udp(&mut self, ports: (u16, u16), data: &[u8], ends: (IpAddr, IpAddr), depth: usize, decoded: &mut Decoded) {
        if [ports.0, ports.1].contains(&udp_encap::PORT) {
            self.encapsulated(data, ends, depth, decoded);
        } else if [ports.0, ports.1].contains(&500) || ike::looks_like(data) {
            decoded.layers.push(ike::message(data, &mut self.known));
        } else if data.strip_prefix(&NON_ESP_MARKER).is_some_and(ike::looks_like) {
            self.encapsulated(data, ends, depth, decoded);
        } else if depth > 0 {
            decoded.payload = Some(describe_ports("UDP", ports, data.len(), ends));
        }
    }

    /// The payload of port 4500 (RFC 3948 §2), or a frame of a TCP stream (RFC 9329 §3).
    fn encapsulated(&mut self, data: &[u8], ends: (IpAddr, IpAddr), depth: usize, decoded: &mut Decoded) {
        let mut layer = Layer { name: "udpencap", ..Layer::default() };
        let mut scope = Scope::new(data, 0, &mut layer.problems);
        match udp_encap::classify(data) {
            Payload::Ike(message) => {
                scope.bytes("udpencap.non_esp_marker", NON_ESP_MARKER.len(), "Non-ESP Marker");
                layer.fields = scope.fields;
                decoded.layers.push(layer);
                decoded.layers.push(ike::message(message, &mut self.known));
            }
            Payload::Esp(packet) => {
                decoded.layers.push(layer);
                self.esp(packet, ends, depth, decoded);
            }
            Payload::Keepalive => {
                scope.bytes("udpencap.nat_keepalive", 1, "NAT-keepalive packet");
                layer.fields = scope.fields;
                decoded.layers.push(layer);
            }
            Payload::Malformed => {
                scope.problem(
                    "neither an IKE message, which has a marker of four zero bytes, nor an ESP packet, which has \
                               eight bytes at least, nor a NAT keepalive, the one byte ff",
                );
                let short = data.len() >= 4;
                scope.fields.clear();
                decoded.layers.push(layer);
                if short {
                    self.esp(data, ends, depth, decoded);
                }
            }
        }
    }

    /// A TCP segment. Frames that lie in one segment as a whole are read (RFC 9329 §3).
    fn tcp(&mut self, segment: &[u8], ends: (IpAddr, IpAddr), depth: usize, decoded: &mut Decoded) {
        let Some(header_len) = segment.get(12).map(|byte| usize::from(byte >> 4) * 4) else { return };
        let (Some(ports), Some(mut data)) = (segment.first_chunk::<4>(), segment.get(header_len..)) else { return };
        let ports = (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]]));
        if depth == 0 {
            decoded.src = Some(SocketAddr::new(ends.0, ports.0));
            decoded.dst = Some(SocketAddr::new(ends.1, ports.1));
        }
        if ![ports.0, ports.1].contains(&udp_encap::PORT) {
            if depth > 0 {
                decoded.payload = Some(describe_ports("TCP", ports, data.len(), ends));
            }
            return;
        }
        data = data.strip_prefix(TCP_PREFIX).unwrap_or(data);
        while let Some((len, rest)) = data.split_first_chunk::<2>() {
            let len = usize::from(u16::from_be_bytes(*len));
            let frame = len.checked_sub(2).and_then(|len| rest.split_at_checked(len));
            let Some((frame, rest)) = frame else {
                decoded.problems.push(format!(
                    "a frame of {len} bytes does not lie in this TCP segment as a whole: it is read where one segment has \
                     all of it"
                ));
                return;
            };
            self.encapsulated(frame, ends, depth, decoded);
            data = rest;
        }
    }

    fn esp(&mut self, packet: &[u8], ends: (IpAddr, IpAddr), depth: usize, decoded: &mut Decoded) {
        let (layer, opened) = esp::esp(packet, ends, &self.known.keys, self.known.options);
        decoded.layers.push(layer);
        if let Some((protocol, inner)) = opened {
            self.inside(protocol, &inner, ends, depth, decoded);
        }
    }

    fn ah(&mut self, packet: &[u8], depth: usize, ends: (IpAddr, IpAddr), decoded: &mut Decoded) {
        let (layer, inside) = esp::ah(packet);
        decoded.layers.push(layer);
        if let Some((protocol, payload)) = inside {
            self.inside(protocol, payload, ends, depth, decoded);
        }
    }

    /// What ESP or AH carries.
    fn inside(&mut self, protocol: u8, payload: &[u8], ends: (IpAddr, IpAddr), depth: usize, decoded: &mut Decoded) {
        if depth == MAX_DEPTH {
            return decoded.problems.push(format!("more than {MAX_DEPTH} packets inside one another"));
        }
        match protocol {
            IPV4 | IPV6 => self.ip(payload, depth + 1, decoded),
            ESP => self.esp(payload, ends, depth + 1, decoded),
            AH => self.ah(payload, depth + 1, ends, decoded),
            IPCOMP => self.ipcomp(payload, ends, depth + 1, decoded),
            AGGFRAG => self.aggfrag(payload, depth + 1, decoded),
            UDP | TCP => {
                if let Some(ports) = payload.first_chunk::<4>() {
                    let ports = (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]]));
                    let name = if protocol == UDP { "UDP" } else { "TCP" };
                    decoded.payload = Some(describe_ports(name, ports, payload.len(), ends));
                }
            }
            other => decoded.payload = Some(describe(other, payload, ends.0, ends.1)),
        }
    }

    /// Several packets, whole or in part (RFC 9347). Only the whole ones are looked into.
    fn aggfrag(&mut self, payload: &[u8], depth: usize, decoded: &mut Decoded) {
        let (layer, packets) = aggfrag::aggfrag(payload);
        decoded.layers.push(layer);
        let mut inside = Vec::new();
        for packet in packets.into_iter().take(MAX_SHARED) {
            self.ip(packet, depth, decoded);
            inside.extend(decoded.payload.take());
        }
        if !inside.is_empty() {
            decoded.payload = Some(inside.join("; "));
        }
    }

    /// RFC 3173 §3: the header, and what the rest says, where DEFLATE was what it was compressed with.
    fn ipcomp(&mut self, packet: &[u8], ends: (IpAddr, IpAddr), depth: usize, decoded: &mut Decoded) {
        let mut layer = Layer { name: "ipcomp", ..Layer::default() };
        let mut scope = Scope::new(packet, 0, &mut layer.problems);
        let header = (|| {
            let next = scope.number("ipcomp.next_header", 1, |n| format!("Next Header - {n}"))?;
            scope.number("ipcomp.flags", 1, |n| format!("Flags - {n}"))?;
            scope.number("ipcomp.cpi", 2, |n| format!("Compression Parameter Index - {n:#06x}"))?;
            Some((next as u8, scope.remainder("ipcomp.data", "Compressed data")))
        })();
        layer.fields = scope.fields;
        decoded.layers.push(layer);
        if let Some((protocol, data)) = header {
            let mut expanded = Vec::new();
            if DeflateDecoder::new(data).take(MAX_PACKET).read_to_end(&mut expanded).is_ok() {
                self.inside(protocol, &expanded, ends, depth, decoded);
            }
        }
    }
}

fn describe(protocol: u8, payload: &[u8], src: IpAddr, dst: IpAddr) -> String {
    match (protocol, payload) {
        (1, [kind, code, ..]) => format!("ICMP type {kind} code {code}, {src} to {dst}"),
        (58, [kind, code, ..]) => format!("ICMPv6 type {kind} code {code}, {src} to {dst}"),
        (59, _) => format!("a dummy packet of {} bytes", payload.len()),
        _ => format!("protocol {protocol}, {} bytes, {src} to {dst}", payload.len()),
    }
}

fn describe_ports(name: &str, ports: (u16, u16), len: usize, (src, dst): (IpAddr, IpAddr)) -> String {
    let end = SocketAddr::new;
    format!("{name} {} to {}, {len} bytes", end(src, ports.0), end(dst, ports.1))
}

#[cfg(test)]
mod tests {
    use ravelin_wire::ip::v4;

    use super::*;

    fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = ([10, 1, 0, 1].into(), [10, 2, 0, 1].into());
        let total_len = (v4::HEADER_LEN + payload.len()) as u16;
        let mut header = [0; v4::HEADER_LEN];
        v4::Fields { tos: 0, total_len, id: 1, dont_fragment: false, ttl: 64, protocol, src, dst }.emit(&mut header);
        [&header[..], payload].concat()
    }

    /// IPComp with one stored block, and how many bytes of it are left out at the end.
    fn ipcomp(next: u8, content: &[u8], cut: usize) -> Vec<u8> {
        let len = content.len() as u16;
        let mut all = [&[next, 0, 0x12, 0x34, 1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), content].concat();
        all.truncate(all.len() - cut);
        all
    }

    #[test]
    fn what_is_compressed_is_read_too() {
        let datagram = packet(UDP, &[0x1f, 0x90, 0, 53, 0, 8, 0, 0]);
        let read = |cut: usize| {
            let outer = packet(IPCOMP, &ipcomp(IPV4, &datagram, cut));
            Decoder::new(Keys::default(), Options::default()).packet(Link::IP, &outer)
        };
        let decoded = read(0);
        let text: Vec<&str> = decoded.layers[0].fields.iter().map(|field| field.text.as_str()).collect();
        assert_eq!(decoded.layers[0].name, "ipcomp");
        assert!(text.contains(&"Compression Parameter Index - 0x1234"), "{text:?}");
        assert_eq!(decoded.payload.as_deref(), Some("UDP 10.1.0.1:8080 to 10.2.0.1:53, 0 bytes"));
        // What is damaged is shown as it came.
        assert_eq!(read(1).payload, None);
        assert_eq!(read(1).layers[0].name, "ipcomp");
    }

    #[test]
    fn packets_within_packets_have_an_end() {
        let mut inner = vec![0; 8];
        for _ in 0..20 {
            inner = ipcomp(IPCOMP, &inner, 0);
        }
        let decoded = Decoder::new(Keys::default(), Options::default()).packet(Link::IP, &packet(IPCOMP, &inner));
        assert!(decoded.layers.len() <= MAX_DEPTH + 1);
        assert!(
            decoded.problems.iter().any(|problem| problem.contains("inside one another")),
            "{:?}",
            decoded.problems
        );
    }
}
