//! Cutting a datagram into fragments (RFC 791 §3.2, RFC 8200 §4.5): before it is protected where its policy says so
//! (RFC 4301 §7), or behind, as any IP stack does.
//!
//! ```text
//! packet ──► Fragments::new(packet, mtu) ──► next(out) ──► next(out) ──► ... ──► None
//! ```

use super::v4::{DONT_FRAGMENT, FLAGS_AT, FRAGMENT_OFFSET, MORE_FRAGMENTS};
use super::{Fragment, Header, Malformed, be16, protocol, v4, v6};

/// Length of the IPv6 fragment header.
pub const V6_HEADER_LEN: usize = 8;
/// Fragments but the last carry a multiple of this.
pub const UNIT: usize = 8;
/// An IPv4 option that every fragment repeats has this bit.
const COPIED: u8 = 0x80;
const MAX_V4_HEADER_LEN: usize = 60;

/// Why a packet was not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncut {
    /// It is no whole IP packet.
    Malformed(Malformed),
    /// IPv4 forbids it, or it is an IPv6 fragment, which only its source may make.
    DontFragment,
    /// The size leaves no room for payload behind the headers.
    TooSmall,
    /// The next fragment is longer than the room that was given for it.
    NoRoom,
}

/// The fragments of a packet, in order. The packet stays as it is.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    packet: &'a [u8],
    header: Header,
    mtu: usize,
    id: u32,
    /// How much of the payload is out.
    sent: usize,
    done: bool,
}

impl<'a> Fragments<'a> {
    /// Fragments of at most `mtu` bytes. In IPv6 `id` names the datagram and must not be soon repeated between these
    /// addresses (RFC 8200 §4.5); IPv4 has its own. A packet that fits is one fragment, itself.
    ///
    /// # Errors
    /// Any but [`Uncut::NoRoom`].
    pub fn new(packet: &'a [u8], mtu: usize, id: u32) -> Result<Self, Uncut> {
        let header = Header::parse(packet).map_err(Uncut::Malformed)?;
        let fragments = Fragments { packet, header, mtu, id, sent: 0, done: false };
        if header.total_len <= mtu {
            return Ok(fragments);
        }
        let v6_fragment = header.fragment != Fragment::Whole || header.esp_protocol == protocol::FRAGMENT;
        if header.src.is_ipv4() && header.dont_fragment || header.src.is_ipv6() && v6_fragment {
            return Err(Uncut::DontFragment);
        }
        let own = if header.src.is_ipv6() { V6_HEADER_LEN } else { 0 };
        if mtu < header.esp_at + own + UNIT {
            return Err(Uncut::TooSmall);
        }
        Ok(fragments)
    }

    /// Whether all fragments were written.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Writes the next fragment to the start of `out`; its length, or `None` when all were written.
    ///
    /// # Errors
    /// [`Uncut::NoRoom`]; as many bytes as the size given to [`Fragments::new`] always suffice.
    pub fn next(&mut self, out: &mut [u8]) -> Result<Option<usize>, Uncut> {
        if self.done {
            return Ok(None);
        }
        if self.header.total_len <= self.mtu {
            let out = out.get_mut(..self.header.total_len).ok_or(Uncut::NoRoom)?;
            out.copy_from_slice(&self.packet[..self.header.total_len]);
            self.done = true;
            return Ok(Some(out.len()));
        }
        let payload = &self.packet[self.header.esp_at + self.sent..self.header.total_len];
        let ipv4 = self.header.src.is_ipv4();
        let (room, head_len) = if ipv4 { self.head_v4(out)? } else { self.head_v6(out)? };
        let last = payload.len() <= room;
        let len = if last { payload.len() } else { room / UNIT * UNIT };
        let out = out.get_mut(..head_len + len).ok_or(Uncut::NoRoom)?;
        out[head_len..].copy_from_slice(&payload[..len]);
        if ipv4 {
            self.finish_v4(out, head_len, last);
        } else {
            self.finish_v6(out, head_len, last);
        }
        self.sent += len;
        self.done = last;
        Ok(Some(head_len + len))
    }

    /// Writes the header that the next IPv4 fragment has; room for payload, and length of the header.
    fn head_v4(&self, out: &mut [u8]) -> Result<(usize, usize), Uncut> {
        let own = &self.packet[..self.header.esp_at];
        let mut head = [0; MAX_V4_HEADER_LEN];
        let mut len = own.len();
        head[..len].copy_from_slice(own);
        if self.sent > 0 {
            len = v4::HEADER_LEN + copied_options(&own[v4::HEADER_LEN..], &mut head[v4::HEADER_LEN..]);
            head[0] = 0x40 | (len / 4) as u8;
        }
        out.get_mut(..len).ok_or(Uncut::NoRoom)?.copy_from_slice(&head[..len]);
        Ok((self.mtu - len, len))
    }

    fn finish_v4(&self, out: &mut [u8], head_len: usize, last: bool) {
        let was = be16(self.packet, FLAGS_AT).unwrap_or_default();
        let offset = (was & FRAGMENT_OFFSET) + (self.sent / UNIT) as u16;
        let more = if last { was & MORE_FRAGMENTS } else { MORE_FRAGMENTS };
        let flags = was & !(FRAGMENT_OFFSET | MORE_FRAGMENTS | DONT_FRAGMENT) | more | offset;
        out[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&flags.to_be_bytes());
        let total_len = out.len() as u16;
        v4::rewrite(&mut out[..head_len], total_len, self.packet[v4::PROTOCOL_AT]);
    }

    /// RFC 8200 §4.5: the headers that routers look at stand before the fragment header, in every fragment.
    fn head_v6(&self, out: &mut [u8]) -> Result<(usize, usize), Uncut> {
        let Header { esp_at, esp_protocol, esp_protocol_at, .. } = self.header;
        let len = esp_at + V6_HEADER_LEN;
        let out = out.get_mut(..len).ok_or(Uncut::NoRoom)?;
        out[..esp_at].copy_from_slice(&self.packet[..esp_at]);
        out[esp_protocol_at] = protocol::FRAGMENT;
        out[esp_at..esp_at + 4].copy_from_slice(&[esp_protocol, 0, 0, 0]);
        out[esp_at + 4..].copy_from_slice(&self.id.to_be_bytes());
        Ok((self.mtu - len, len))
    }

    fn finish_v6(&self, out: &mut [u8], head_len: usize, last: bool) {
        let at = head_len - V6_HEADER_LEN + 2;
        let offset = self.sent as u16 | u16::from(!last);
        out[at..at + 2].copy_from_slice(&offset.to_be_bytes());
        let payload_len = (out.len() - v6::HEADER_LEN) as u16;
        out[v6::PAYLOAD_LEN_AT..v6::PAYLOAD_LEN_AT + 2].copy_from_slice(&payload_len.to_be_bytes());
    }
}

/// RFC 791 §3.1: of the options only those marked so are in later fragments. Their length, padded to words.
fn copied_options(options: &[u8], out: &mut [u8]) -> usize {
    let mut len = 0;
    let mut rest = options;
    while let &[kind, ref tail @ ..] = rest {
        let size = match (kind, tail.first()) {
            (0, _) => break,
            (1, _) => 1,
            (_, Some(&size)) if (2..=rest.len()).contains(&size.into()) => usize::from(size),
            // What cannot be told apart is left out.
            _ => break,
        };
        if kind & COPIED != 0 {
            out[len..len + size].copy_from_slice(&rest[..size]);
            len += size;
        }
        rest = &rest[size..];
    }
    let padded = len.next_multiple_of(4);
    out[len..padded].fill(0);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn v4(options: &[u8], flags: u16, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; v4::HEADER_LEN];
        packet[0] = 0x45 + (options.len() / 4) as u8;
        packet[4..6].copy_from_slice(&[0xbe, 0xef]);
        packet[6..8].copy_from_slice(&flags.to_be_bytes());
        packet[8] = 9;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(options);
        let head = packet.len();
        packet.extend((0..payload).map(|i| (i * 7) as u8));
        let total_len = packet.len() as u16;
        v4::rewrite(&mut packet[..head], total_len, 17);
        packet
    }

    fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let mut fragments = Fragments::new(packet, mtu, 0x0102_0304).unwrap();
        let mut all = Vec::new();
        let mut out = vec![0xee; mtu];
        while let Some(len) = fragments.next(&mut out).unwrap() {
            all.push(out[..len].to_vec());
        }
        assert_eq!(fragments.next(&mut out), Ok(None));
        all
    }

    #[test]
    fn only_the_first_has_the_options_that_are_not_copied() {
        // Record route (not copied), no-operation, router alert (copied).
        let options = [7, 3, 4, 1, 0x94, 4, 0, 0];
        let all = cut(&v4(&options, 0, 100), 64);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [28 + 32, 24 + 40, 24 + 28]);
        assert_eq!(&all[0][20..28], &options);
        assert_eq!(&all[1][20..24], &[0x94, 4, 0, 0]);
        for (fragment, flags) in all.iter().zip([0x2000, 0x2004, 9]) {
            let head = usize::from(fragment[0] & 15) * 4;
            assert_eq!(super::super::checksum::finish(super::super::checksum::sum(&fragment[..head])), 0);
            assert_eq!(be16(fragment, 6), Some(flags));
            assert_eq!(be16(fragment, 4), Some(0xbeef));
        }
    }

    #[test]
    fn a_fragment_is_cut_again() {
        let all = cut(&v4(&[], MORE_FRAGMENTS | 10, 80), 68);
        let flags: Vec<u16> = all.iter().map(|f| be16(f, 6).unwrap()).collect();
        assert_eq!(flags, [MORE_FRAGMENTS | 10, MORE_FRAGMENTS | 16]);
    }

    #[test]
    fn what_fits_stays_and_what_must_not_be_cut_is_refused() {
        let packet = v4(&[], DONT_FRAGMENT, 100);
        assert_eq!(cut(&packet, 120), std::slice::from_ref(&packet));
        assert_eq!(Fragments::new(&packet, 119, 0).unwrap_err(), Uncut::DontFragment);
        let packet = v4(&[], 0, 100);
        assert_eq!(Fragments::new(&packet, 27, 0).unwrap_err(), Uncut::TooSmall);
        assert_eq!(Fragments::new(&packet[..50], 68, 0).unwrap_err(), Uncut::Malformed(Malformed::Truncated));
        assert_eq!(Fragments::new(&packet, 68, 0).unwrap().next(&mut [0; 30]), Err(Uncut::NoRoom));
    }

    #[test]
    fn ipv6_headers_for_routers_stand_before_the_fragment_header() {
        let mut packet = vec![0; v6::HEADER_LEN];
        packet[0] = 0x60;
        packet[6] = protocol::HOP_BY_HOP;
        packet[7] = 64;
        packet.extend([protocol::DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend([0x5a; 92]);
        packet[4..6].copy_from_slice(&108u16.to_be_bytes());
        let all = cut(&packet, 100);
        assert_eq!(all.len(), 3);
        for (fragment, (offset, len)) in all.iter().zip([(1, 96), (41, 96), (80, 76)]) {
            assert_eq!((fragment.len(), fragment[6], fragment[40]), (len, protocol::HOP_BY_HOP, protocol::FRAGMENT));
            assert_eq!(&fragment[48..56], &[protocol::DESTINATION_OPTIONS, 0, 0, offset, 1, 2, 3, 4]);
            assert_eq!(usize::from(be16(fragment, 4).unwrap()), len - 40);
        }
        let parsed = Header::parse(&all[1]).unwrap();
        assert_eq!(parsed.fragment, Fragment::Later);
        assert_eq!(Fragments::new(&all[0], 90, 0).unwrap_err(), Uncut::DontFragment);
    }
}
