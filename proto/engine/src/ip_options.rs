//! The options of IP headers, for a stack that does nothing about them before it calls the engine: those of IPv4
//! (RFC 791 §3.1, RFC 1122 §3.2.1.8), and hop-by-hop options, destination options and routing headers of IPv6 (RFC 8200 §4).
//!
//! ```text
//! packet that arrived for this host ──► check ──► Ok: on to the engine
//!                                          └────► Refused: drop it; answer where `Refused::answer` says so
//! ```
//! What is known is skipped, not carried out: no option is needed to receive a packet, and none of them is authentic
//! before the engine has seen it. After [`Verdict::Deliver`](crate::Verdict::Deliver) the packet is another, and is checked
//! again.

use core::net::IpAddr;

use ravelin_types::ErrorCode;
use ravelin_wire::ip::{Fragment, Header, icmp, protocol, v4, v6};

use crate::packet::PacketBuf;

/// What a stack takes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A packet whose source route ends here may pass: RFC 1122 §3.2.1.8 (c) has hosts take it, and most sites do not want
    /// it, since whoever can set a route can pretend an address. One whose route leads elsewhere never passes.
    pub ended_source_routes: bool,
    /// Whether the stack knows this type of option of IPv6, all of its bits. Others are judged by their upper two.
    pub knows: fn(u8) -> bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { ended_source_routes: false, knows: |_| false }
    }
}

/// Why a packet must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is no whole packet, or the options do not fit their own lengths.
    Malformed,
    /// It has a source route, or a route of IPv6 that does not end here.
    SourceRoute,
    /// It has an option that nobody knows and that says that such packets are to be dropped.
    Unknown,
}

impl Reason {
    /// The code of document 003 §3.15.
    pub fn code(self) -> ErrorCode {
        match self {
            Reason::Malformed => ErrorCode::SrcOutOfData,
            Reason::SourceRoute | Reason::Unknown => ErrorCode::BadParam,
        }
    }
}

/// A packet that is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// What its sender is told, if it is. A stack bounds the rate of such messages (RFC 4443 §2.4 (f)).
    pub answer: Option<Problem>,
}

/// The "parameter problem" of ICMP and ICMPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// 0: an erroneous field. IPv6: 2: an option that is not known.
    pub code: u8,
    /// The byte of the packet that it is about.
    pub pointer: u16,
}

impl Problem {
    /// Makes the message out of the packet in its buffer, from `from`, an address of this host; false when there is too
    /// little room before the packet.
    pub fn write(self, pkt: &mut PacketBuf<'_>, from: IpAddr) -> bool {
        let Ok(header) = Header::parse(pkt.packet()) else { return false };
        let ipv4 = header.src.is_ipv4();
        if from.is_ipv4() != ipv4 || pkt.headroom() < icmp::overhead(ipv4) {
            return false;
        }
        pkt.truncate(icmp::quoted(ipv4, header.total_len));
        let written = pkt.grow_front(icmp::overhead(ipv4));
        icmp::emit_problem(pkt.packet_mut(), from, header.src, self.code, self.pointer);
        written
    }
}

/// Looks at the options of a packet that arrived for this host. The header's checksum was checked before. A fragment's are
/// looked at as far as it has them; the whole packet is checked once more.
///
/// # Errors
/// When the packet must be dropped.
pub fn check(packet: &[u8], rules: &Rules) -> Result<(), Refused> {
    let silent = |reason| Refused { reason, answer: None };
    let header = Header::parse(packet).map_err(|_| silent(Reason::Malformed))?;
    if header.payload_at == minimum(&header) {
        return Ok(());
    }
    let found = if header.src.is_ipv4() {
        check_v4(&packet[v4::HEADER_LEN..header.payload_at], rules)
    } else {
        check_v6(packet, &header, rules)
    };
    found.map_err(|Found { reason, answer, to_groups }| {
        let one_host = !header.dst.is_multicast() || to_groups;
        let answer = answer.filter(|_| one_host && icmp::may_answer(&header, packet));
        Refused { reason, answer }
    })
}

fn minimum(header: &Header) -> usize {
    if header.src.is_ipv4() { v4::HEADER_LEN } else { v6::HEADER_LEN }
}

/// What [`Refused`] is made of, before it is known whether the sender may be answered.
struct Found {
    reason: Reason,
    answer: Option<Problem>,
    /// Though the packet was for a group.
    to_groups: bool,
}

impl Found {
    fn silent(reason: Reason) -> Self {
        Found { reason, answer: None, to_groups: false }
    }

    fn at(reason: Reason, code: u8, at: usize) -> Self {
        Found { reason, answer: Some(Problem { code, pointer: at as u16 }), to_groups: false }
    }
}

/// RFC 1122 §3.2.1.8: what is not known is ignored. RFC 1122 §3.2.2.5: what is wrong is told of.
fn check_v4(options: &[u8], rules: &Rules) -> Result<(), Found> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const RECORD_ROUTE: u8 = 7;
    const TIMESTAMP: u8 = 68;
    const LOOSE_ROUTE: u8 = 131;
    const STRICT_ROUTE: u8 = 137;
    let (mut at, mut routes) = (0, 0);
    let wrong = |at: usize| Found::at(Reason::Malformed, 0, v4::HEADER_LEN + at);
    while let Some(&kind) = options.get(at) {
        match kind {
            END => break,
            NO_OPERATION => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let len = usize::from(*options.get(at + 1).ok_or_else(|| wrong(at))?);
        let option = options.get(at..at + len).filter(|option| option.len() >= 2).ok_or_else(|| wrong(at + 1))?;
        // RFC 791 §3.1: it counts from 1, at the option's start.
        let pointer = |least: u8| match option.get(2) {
            Some(&pointer) if pointer >= least => Ok(usize::from(pointer)),
            Some(_) => Err(wrong(at + 2)),
            None => Err(wrong(at + 1)),
        };
        match kind {
            LOOSE_ROUTE | STRICT_ROUTE => {
                routes += 1;
                let ended = pointer(4)? > len;
                if routes > 1 {
                    return Err(wrong(at));
                }
                if !(ended && rules.ended_source_routes) {
                    return Err(Found::silent(Reason::SourceRoute));
                }
            }
            RECORD_ROUTE => _ = pointer(4)?,
            TIMESTAMP => _ = pointer(5)?,
            _ => {}
        }
        at += len;
    }
    Ok(())
}

/// The headers before what is carried, in their order. [`Header::parse`] saw that they fit into the packet.
fn check_v6(packet: &[u8], header: &Header, rules: &Rules) -> Result<(), Found> {
    let (mut kind, mut at) = (packet[v6::NEXT_HEADER_AT], v6::HEADER_LEN);
    while at < header.payload_at {
        let &[next, units, ..] = &packet[at..header.payload_at] else { break };
        let len = if kind == protocol::FRAGMENT { v6::FRAGMENT_HEADER_LEN } else { (usize::from(units) + 1) * 8 };
        let end = (at + len).min(header.payload_at);
        match kind {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => check_options(&packet[at..end], at, rules)?,
            protocol::ROUTING => check_route(&packet[at..end], at)?,
            // What stands behind belongs to the datagram.
            protocol::FRAGMENT if header.fragment != Fragment::Whole => break,
            _ => {}
        }
        (kind, at) = (next, end);
    }
    Ok(())
}

/// RFC 8200 §4.2. `header` begins at `start` in the packet.
fn check_options(header: &[u8], start: usize, rules: &Rules) -> Result<(), Found> {
    const PAD_1: u8 = 0;
    const PAD_N: u8 = 1;
    let mut at = 2;
    while let Some(&kind) = header.get(at) {
        if kind == PAD_1 {
            at += 1;
            continue;
        }
        let wrong = || Found::at(Reason::Malformed, 0, start + at);
        let len = usize::from(*header.get(at + 1).ok_or_else(wrong)?);
        let end = at + 2 + len;
        if end > header.len() {
            return Err(wrong());
        }
        if kind != PAD_N && !(rules.knows)(kind) {
            let unknown = Found::at(Reason::Unknown, 2, start + at);
            match kind >> 6 {
                0b00 => {}
                0b01 => return Err(Found { answer: None, ..unknown }),
                0b10 => return Err(Found { to_groups: true, ..unknown }),
                _ => return Err(unknown),
            }
        }
        at = end;
    }
    Ok(())
}

/// RFC 8200 §4.4: a route that is used up is skipped, whatever its type; no other is followed (RFC 5095 §3).
fn check_route(header: &[u8], start: usize) -> Result<(), Found> {
    const TYPE_AT: usize = 2;
    match header.get(3) {
        Some(0) => Ok(()),
        _ => Err(Found::at(Reason::SourceRoute, 0, start + TYPE_AT)),
    }
}

#[cfg(test)]
mod tests;
