//! A record on disk: `length (u16) | !length (u16) | CRC-32 of the body (u32) | body`, all little-endian.
//!
//! The length is kept with its complement so that a damaged length is seen as damage and not as a record that was
//! cut short. The body is a tag of the record, a tag of the change, and its fields; text fills the rest of the body.

use std::net::IpAddr;

use ravelin_types::record::{Record, SystemChange};

/// The first bytes of the file; the digit counts the versions of this format.
pub(crate) const MAGIC: &[u8; 8] = b"RAVELIN1";

/// Bytes before the body of a record.
pub(crate) const HEADER: usize = 8;

/// The longest body; a name of a table or an interface is far shorter.
pub(crate) const MAX_BODY: usize = 1024;

const CHANGING: u8 = 1;
const UNDONE: u8 = 2;

const FILTER_TABLE: u8 = 1;
const ROUTING_RULES: u8 = 2;
const ADDRESS_V4: u8 = 3;
const ADDRESS_V6: u8 = 4;

/// What stands at one place of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A record and the number of bytes it takes.
    Record(Record, usize),
    /// The end.
    End,
    /// A record that was being written when the process or the machine stopped; nothing follows it.
    Torn,
    /// Anything else.
    Damaged(&'static str),
}

/// Header and body of `record`; `None` when a name in it is longer than the format takes.
pub(crate) fn encode(record: &Record) -> Option<Vec<u8>> {
    let (tag, change) = match record {
        Record::Changing(change) => (CHANGING, change),
        Record::Undone(change) => (UNDONE, change),
    };
    let mut body = vec![tag];
    match change {
        SystemChange::FilterTable(name) => {
            body.push(FILTER_TABLE);
            body.extend_from_slice(name.as_bytes());
        }
        SystemChange::RoutingRules { priority, table } => {
            body.push(ROUTING_RULES);
            body.extend_from_slice(&priority.to_le_bytes());
            body.extend_from_slice(&table.to_le_bytes());
        }
        SystemChange::Address { device, address } => {
            match address {
                IpAddr::V4(address) => {
                    body.push(ADDRESS_V4);
                    body.extend_from_slice(&address.octets());
                }
                IpAddr::V6(address) => {
                    body.push(ADDRESS_V6);
                    body.extend_from_slice(&address.octets());
                }
            }
            body.extend_from_slice(device.as_bytes());
        }
    }
    let length = u16::try_from(body.len()).ok().filter(|&length| usize::from(length) <= MAX_BODY)?;
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    out.extend_from_slice(&body);
    Some(out)
}

/// Reads what stands at the start of `rest`, the log from some record boundary to its end.
pub(crate) fn decode(rest: &[u8]) -> Next {
    if rest.is_empty() {
        return Next::End;
    }
    // A file system may have made the file longer before the bytes arrived.
    if rest.len() < HEADER || rest.iter().all(|&byte| byte == 0) {
        return Next::Torn;
    }
    let length = u16::from_le_bytes([rest[0], rest[1]]);
    if length != !u16::from_le_bytes([rest[2], rest[3]]) || usize::from(length) > MAX_BODY {
        return Next::Damaged("the length of a record is not valid");
    }
    let end = HEADER + usize::from(length);
    let Some(body) = rest.get(HEADER..end) else { return Next::Torn };
    if crc32fast::hash(body) != u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) {
        return if rest.len() == end { Next::Torn } else { Next::Damaged("the checksum of a record does not match") };
    }
    match decode_body(body) {
        Some(record) => Next::Record(record, end),
        None => Next::Damaged("a record of a kind this version does not know"),
    }
}

fn decode_body(body: &[u8]) -> Option<Record> {
    let (&[tag, kind], fields) = body.split_first_chunk()?;
    let text = || String::from_utf8(fields.to_vec()).ok();
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
    let change = match kind {
        FILTER_TABLE => SystemChange::FilterTable(text()?),
        ROUTING_RULES => {
            let (priority, table) = fields.split_at_checked(4)?;
            SystemChange::RoutingRules { priority: number(priority)?, table: number(table)? }
        }
        ADDRESS_V4 => {
            let (address, device) = fields.split_first_chunk::<4>()?;
            SystemChange::Address { device: String::from_utf8(device.to_vec()).ok()?, address: IpAddr::from(*address) }
        }
        ADDRESS_V6 => {
            let (address, device) = fields.split_first_chunk::<16>()?;
            SystemChange::Address { device: String::from_utf8(device.to_vec()).ok()?, address: IpAddr::from(*address) }
        }
        _ => return None,
    };
    match tag {
        CHANGING => Some(Record::Changing(change)),
        UNDONE => Some(Record::Undone(change)),
        _ => None,
    }
}
