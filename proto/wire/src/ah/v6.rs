//! What of an IPv6 header and its extension headers may change on the way (RFC 4302 §3.3.3.1.2 and Appendix A2).

use super::Uncoverable;
use crate::ip::protocol;
use crate::ip::v6::{FRAGMENT_HEADER_LEN, HEADER_LEN, NEXT_HEADER_AT, PAYLOAD_LEN_AT};

const HOP_LIMIT_AT: usize = 7;
const DESTINATION_AT: usize = 24;
const ADDRESS_LEN: usize = 16;
/// RFC 8200 §4.2: the third bit of an option's type says that its data may change.
const MAY_CHANGE: u8 = 0x20;
const PAD1: u8 = 0;
/// Routing headers, types of.
const SOURCE_ROUTE: u8 = 0;
/// Of a type 0 routing header, before its addresses.
const ROUTE_HEAD_LEN: usize = 8;

/// Sets what may change to zero, and a source route to what it is at its end. Gives the length of the result, which
/// has no fragment header, and whether the packet had reached the end of the route.
pub(super) fn cover(headers: &mut [u8]) -> Result<(usize, bool), Uncoverable> {
    headers[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    headers[HOP_LIMIT_AT] = 0;
    let mut len = headers.len();
    let mut at_destination = true;
    let (mut named_at, mut at) = (NEXT_HEADER_AT, HEADER_LEN);
    while at < len {
        let kind = headers[named_at];
        let &[next, units, ..] = &headers[at..len] else { return Err(Uncoverable::Malformed) };
        if kind == protocol::FRAGMENT {
            // RFC 4302 Appendix A2: a packet that is whole all the same is covered as if it had no such header.
            let end = at + FRAGMENT_HEADER_LEN;
            if end > len {
                return Err(Uncoverable::Malformed);
            }
            headers[named_at] = next;
            headers.copy_within(end..len, at);
            len -= FRAGMENT_HEADER_LEN;
            shorten_payload(headers);
            continue;
        }
        let end = at + (usize::from(units) + 1) * 8;
        if end > len {
            return Err(Uncoverable::Malformed);
        }
        let (before, header) = headers[..end].split_at_mut(at);
        match kind {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => cover_options(&mut header[2..])?,
            protocol::ROUTING => {
                at_destination &= cover_route(&mut before[DESTINATION_AT..HEADER_LEN], header)?;
            }
            _ => return Err(Uncoverable::Malformed),
        }
        (named_at, at) = (at, end);
    }
    Ok((len, at_destination))
}

fn shorten_payload(headers: &mut [u8]) {
    let field = &mut headers[PAYLOAD_LEN_AT..PAYLOAD_LEN_AT + 2];
    let len = u16::from_be_bytes([field[0], field[1]]).saturating_sub(FRAGMENT_HEADER_LEN as u16);
    field.copy_from_slice(&len.to_be_bytes());
}

/// RFC 4302 §3.3.3.1.2.2: of an option that may change, the data is zero; its type and length stay.
fn cover_options(mut options: &mut [u8]) -> Result<(), Uncoverable> {
    while let Some((&mut kind, rest)) = options.split_first_mut() {
        if kind == PAD1 {
            options = rest;
            continue;
        }
        let (&mut len, rest) = rest.split_first_mut().ok_or(Uncoverable::Malformed)?;
        let (data, rest) = rest.split_at_mut_checked(len.into()).ok_or(Uncoverable::Malformed)?;
        if kind & MAY_CHANGE != 0 {
            data.fill(0);
        }
        options = rest;
    }
    Ok(())
}

/// Arranges a type 0 routing header (RFC 2460 §4.4) and the destination as the last host of the route sees them. False
/// when there were hosts left.
fn cover_route(destination: &mut [u8], header: &mut [u8]) -> Result<bool, Uncoverable> {
    let (head, addresses) = header.split_at_mut_checked(ROUTE_HEAD_LEN).ok_or(Uncoverable::Malformed)?;
    if head[2] != SOURCE_ROUTE {
        return Err(Uncoverable::Routing);
    }
    if addresses.len() % ADDRESS_LEN != 0 {
        return Err(Uncoverable::Malformed);
    }
    let left = usize::from(core::mem::take(&mut head[3])) * ADDRESS_LEN;
    let visited = addresses.len().checked_sub(left).ok_or(Uncoverable::Malformed)?;
    // At each host of the route destination and next address change places; the last address ends up as destination.
    for address in addresses[visited..].chunks_exact_mut(ADDRESS_LEN) {
        address.swap_with_slice(destination);
    }
    Ok(left == 0)
}
