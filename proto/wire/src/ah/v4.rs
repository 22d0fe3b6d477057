//! What of an IPv4 header may change on the way (RFC 4302 §3.3.3.1.1 and Appendix A1).

use super::Uncoverable;
use crate::ip::v4::{CHECKSUM_AT, HEADER_LEN, TOS_AT};

const FLAGS_AT: usize = 6;
const TTL_AT: usize = 8;
const DESTINATION_AT: usize = 16;

/// Option types, with the copy bit and the class as on the wire.
mod option {
    pub const END: u8 = 0;
    pub const NO_OPERATION: u8 = 1;
    pub const SECURITY: u8 = 130;
    pub const LOOSE_ROUTE: u8 = 131;
    pub const EXTENDED_SECURITY: u8 = 133;
    pub const COMMERCIAL_SECURITY: u8 = 134;
    pub const STRICT_ROUTE: u8 = 137;
    pub const ROUTER_ALERT: u8 = 148;
    pub const MULTI_DESTINATION: u8 = 149;
}

/// Sets what may change to zero and the destination to the last of a source route. False when the packet has not
/// reached that one yet.
pub(super) fn cover(header: &mut [u8]) -> Result<bool, Uncoverable> {
    header[TOS_AT] = 0;
    header[FLAGS_AT..FLAGS_AT + 2].fill(0);
    header[TTL_AT] = 0;
    header[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
    let (fixed, mut options) = header.split_at_mut(HEADER_LEN);
    let mut route = None;
    while let Some(&kind) = options.first() {
        let len = match kind {
            // What stands behind the end is padding and stays as it is.
            option::END => break,
            option::NO_OPERATION => 1,
            _ => usize::from(*options.get(1).ok_or(Uncoverable::Malformed)?),
        };
        if kind != option::NO_OPERATION && len < 2 || len > options.len() {
            return Err(Uncoverable::Malformed);
        }
        let (option, rest) = options.split_at_mut(len);
        match kind {
            option::NO_OPERATION
            | option::SECURITY
            | option::EXTENDED_SECURITY
            | option::COMMERCIAL_SECURITY
            | option::ROUTER_ALERT
            | option::MULTI_DESTINATION => {}
            option::LOOSE_ROUTE | option::STRICT_ROUTE => {
                // RFC 791 §3.1: at most one of the two, and at most once.
                let last = last_of_route(option)?;
                if route.replace(last).is_some() {
                    return Err(Uncoverable::Malformed);
                }
                option.fill(0);
            }
            // RFC 4302 §3.3.3.1: mutable, experimental or unknown, the whole option is zero.
            _ => option.fill(0),
        }
        options = rest;
    }
    if let Some(Some(last)) = route {
        fixed[DESTINATION_AT..].copy_from_slice(&last);
        return Ok(false);
    }
    Ok(true)
}

/// The address at which a source route ends; `None` when it was used up and that is the destination already.
fn last_of_route(option: &[u8]) -> Result<Option<[u8; 4]>, Uncoverable> {
    let (&[_, _, pointer], addresses) = option.split_first_chunk().ok_or(Uncoverable::Malformed)?;
    // RFC 791 §3.1: it counts from 1, at the option's start, and points to the next address, 4 for the first.
    let used = usize::from(pointer).checked_sub(4).ok_or(Uncoverable::Malformed)?;
    if used >= addresses.len() {
        return Ok(None);
    }
    if used % 4 != 0 || addresses.len() % 4 != 0 {
        return Err(Uncoverable::Malformed);
    }
    Ok(addresses.last_chunk().copied())
}
