//! Capture files: pcap and pcapng, also compressed with gzip.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::read::GzDecoder;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

use crate::link::Link;

/// The largest record of a capture that is read: a jumbo frame in the block around it fits many times.
const MAX_RECORD: usize = 1 << 20;
/// Interfaces of one section.
const MAX_INTERFACES: usize = 4096;
/// The most a compressed capture may become.
const MAX_EXPANDED: u64 = 4 << 30;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Microseconds since 1970, where the capture says.
    pub time: Option<u64>,
    /// What the frame begins with.
    pub link: Link,
    /// Its bytes, as far as they were captured.
    pub data: Vec<u8>,
}

/// Why a capture cannot be read on.
#[derive(Debug)]
pub enum CaptureError {
    /// The file cannot be read.
    Io(io::Error),
    /// It is no capture, or damaged; the text says where.
    Malformed(String),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Io(error) => error.fmt(f),
            CaptureError::Malformed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CaptureError {}

/// Gives each frame of a capture to `each`, in order, with its number from 1.
///
/// # Errors
/// When the input is no capture or ends inside a record; the frames before have been given.
pub fn frames(input: impl Read + Send, mut each: impl FnMut(usize, Frame)) -> Result<(), CaptureError> {
    let mut input = BufReader::new(input);
    if input.fill_buf().map_err(CaptureError::Io)?.starts_with(&GZIP) {
        records(BufReader::new(GzDecoder::new(input).take(MAX_EXPANDED)), &mut each)
    } else {
        records(input, &mut each)
    }
}

/// What a section says of its interfaces: link type, and units of time in a second.
struct Interface {
    link: Link,
    units: u64,
    offset: i64,
}

fn records(input: impl Read + Send, each: &mut impl FnMut(usize, Frame)) -> Result<(), CaptureError> {
    let malformed = |text: String| Err(CaptureError::Malformed(text));
    let mut reader = match create_reader(MAX_RECORD, input) {
        Ok(reader) => reader,
        Err(PcapError::Eof) => return malformed("the file is empty".into()),
        Err(_) => return malformed("the file is no capture: expected pcap or pcapng, also in gzip".into()),
    };
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut legacy = (Link(0), false);
    let mut number = 0;
    let mut starved = false;
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                starved = false;
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        legacy = (Link(header.network.0 as u32 & 0xffff), header.is_nanosecond_precision());
                    }
                    PcapBlockOwned::Legacy(record) => {
                        number += 1;
                        let fraction = u64::from(record.ts_usec) / if legacy.1 { 1000 } else { 1 };
                        let time = Some(u64::from(record.ts_sec) * 1_000_000 + fraction);
                        let have = record.data.len().min(record.caplen as usize);
                        each(number, Frame { time, link: legacy.0, data: record.data[..have].to_vec() });
                    }
                    PcapBlockOwned::NG(block) => ng(&block, &mut interfaces, &mut number, each)?,
                }
                reader.consume(consumed);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) if !starved => {
                starved = true;
                match reader.refill() {
                    Ok(()) => {}
                    Err(_) => return malformed(format!("after frame {number}: the file cannot be read on")),
                }
            }
            Err(PcapError::Incomplete(_) | PcapError::UnexpectedEof) => {
                return malformed(format!(
                    "after frame {number}: the file ends inside a record, or a record is longer than {MAX_RECORD} bytes"
                ));
            }
            Err(_) => return malformed(format!("after frame {number}: the next record is damaged")),
        }
    }
}

fn ng(
    block: &Block<'_>,
    interfaces: &mut Vec<Interface>,
    number: &mut usize,
    each: &mut impl FnMut(usize, Frame),
) -> Result<(), CaptureError> {
    match block {
        Block::SectionHeader(_) => interfaces.clear(),
        Block::InterfaceDescription(interface) => {
            if interfaces.len() == MAX_INTERFACES {
                return Err(CaptureError::Malformed(format!("more than {MAX_INTERFACES} interfaces in one section")));
            }
            interfaces.push(Interface {
                link: Link(interface.linktype.0 as u32),
                units: interface.ts_resolution().unwrap_or(1_000_000),
                offset: interface.ts_offset(),
            });
        }
        Block::EnhancedPacket(packet) => {
            *number += 1;
            let Some(interface) = interfaces.get(packet.if_id as usize) else {
                return Err(CaptureError::Malformed(format!(
                    "frame {number} names an interface that is not described"
                )));
            };
            let ticks = u128::from(packet.ts_high) << 32 | u128::from(packet.ts_low);
            let micros = ticks * 1_000_000 / u128::from(interface.units.max(1));
            let offset = i128::from(interface.offset) * 1_000_000;
            let time = u64::try_from(micros.cast_signed() + offset).ok();
            let have = packet.data.len().min(packet.caplen as usize);
            each(*number, Frame { time, link: interface.link, data: packet.data[..have].to_vec() });
        }
        Block::SimplePacket(packet) => {
            *number += 1;
            let link = interfaces.first().map_or(Link(1), |interface| interface.link);
            let have = packet.data.len().min(packet.origlen as usize);
            each(*number, Frame { time: None, link, data: packet.data[..have].to_vec() });
        }
        _ => {}
    }
    Ok(())
}
