//! IP payload compression (RFC 3173) with DEFLATE (RFC 2394): before a packet is protected, and once it is opened.
//!
//! Each packet is compressed by itself, so one compressor and one expander serve all SAs of a half. They are made with the first
//! SA that has a label, and ask for no memory after that.

use alloc::boxed::Box;
use alloc::vec;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use ravelin_types::Cpi;
use ravelin_wire::ip::{Fragment, Header, protocol, v4};

use crate::extras::inner_mtu;
use crate::packet::PacketBuf;
use crate::sad::OutboundSa;
use crate::template::OuterIp;
use crate::verdict::DropReason;

/// Next header, flags and CPI (RFC 3173 §3.3).
const HEADER_LEN: usize = 4;
/// RFC 3173 §2.2: what is shorter than this is not worth the attempt.
const THRESHOLD: usize = 90;
/// The longest IP packet.
const MAX_PACKET: usize = 65_535;
/// So far a copy points back at most: Linux expands with a window of this size.
const WINDOW: usize = 1 << 11;
/// What is added to a window of which nothing can be said in fewer bytes: where it begins and where it ends.
const PER_WINDOW: usize = 16;
/// Behind the last window: a block without content that says that it is the last.
const END: [u8; 2] = [3, 0];
/// The fastest: it finds what is said again, which is what there is in a packet.
const LEVEL: i32 = 1;
/// Without the header of zlib, as the number below zero has it.
const FLAGS: u32 = create_comp_flags_from_zip_params(LEVEL, -15, 0);
/// A compressor begins anew after so many bytes, long before its counts of what it has seen do.
const RENEWAL: usize = 1 << 30;

/// Compresses packets of all SAs.
pub(crate) struct Compressor {
    state: Box<CompressorOxide>,
    /// What came out.
    out: Box<[u8]>,
    /// Bytes that went in since the state was new.
    fed: usize,
}

impl Compressor {
    pub fn new() -> Self {
        let room = MAX_PACKET + MAX_PACKET.div_ceil(WINDOW) * PER_WINDOW + END.len();
        Compressor { state: Box::new(CompressorOxide::new(FLAGS)), out: vec![0; room].into(), fed: 0 }
    }

    /// The payload in fewer bytes than it has, with those of the header in front of it. `None` where it does not get shorter.
    fn compress(&mut self, payload: &[u8]) -> Option<&[u8]> {
        if self.fed >= RENEWAL {
            (self.fed, *self.state) = (0, CompressorOxide::new(FLAGS));
        }
        self.fed += payload.len();
        let (mut at, mut taken) = (0, 0);
        for window in payload.chunks(WINDOW) {
            // After a full flush nothing points back behind it, in this packet or the one before.
            let (status, read, written) = compress(&mut self.state, window, &mut self.out[at..], TDEFLFlush::Full);
            if status != TDEFLStatus::Okay || read != window.len() {
                // There is room for whatever it makes, so this is never so.
                self.fed = RENEWAL;
                return None;
            }
            (at, taken) = (at + written, taken + read);
            // RFC 3173 §2.2: what does not shrink is left as soon as that is seen.
            if at >= taken {
                return None;
            }
        }
        self.out.get_mut(at..at + END.len())?.copy_from_slice(&END);
        let len = at + END.len();
        if HEADER_LEN + len < payload.len() { self.out.get(..len) } else { None }
    }
}

/// Expands packets of all SAs.
pub(crate) struct Expander {
    state: Box<DecompressorOxide>,
    /// What came out: no packet is longer, whatever a peer has put into it.
    out: Box<[u8]>,
}

impl Expander {
    pub fn new() -> Self {
        Expander { state: Box::default(), out: vec![0; MAX_PACKET].into() }
    }

    /// What `data` says. What stands behind its last block hides its length from others.
    fn expand(&mut self, data: &[u8]) -> Option<&[u8]> {
        self.state.init();
        let whole = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, _, written) = decompress(&mut self.state, data, &mut self.out, 0, whole);
        if status == TINFLStatus::Done { self.out.get(..written) } else { None }
    }
}

/// When an SA tries to compress a packet (RFC 3173 §2.2): not while it carries what does not get shorter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// Attempts in vain since one was not.
    failed: u8,
    /// Packets for which there is no attempt.
    skip: u16,
}

impl Patience {
    /// So many attempts in vain before packets go without one.
    const ATTEMPTS: u8 = 4;
    /// The first time so many, and each time twice as many as the time before, up to [`Patience::MOST`].
    const FEWEST: u16 = 8;
    const MOST: u16 = 1024;

    /// Whether to try with the next packet.
    fn tries(&mut self) -> bool {
        let tries = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        tries
    }

    fn note(&mut self, shrank: bool) {
        if shrank {
            *self = Patience::default();
            return;
        }
        self.failed = self.failed.saturating_add(1);
        if let Some(times) = self.failed.checked_sub(Self::ATTEMPTS) {
            self.skip = Self::FEWEST.checked_shl(times.into()).unwrap_or(0).clamp(Self::FEWEST, Self::MOST);
            // Another half of them would come to no more.
            self.failed = self.failed.min(Self::ATTEMPTS + 8);
        }
    }
}

/// Puts IPComp in the place of the payload of a packet of this SA, where that makes it shorter: its header then, as
/// [`seal`](crate::seal::seal) is to see it.
pub(crate) fn shorten(
    sa: &mut OutboundSa,
    compressor: &mut Option<Box<Compressor>>,
    pkt: &mut PacketBuf<'_>,
    header: &Header,
) -> Option<Header> {
    let cpi = sa.cold.params.options.ipcomp.cpi()?;
    let tunnel = sa.template.ip() != OuterIp::None;
    let clear = if tunnel { 0 } else { header.esp_at };
    let fits =
        header.total_len <= inner_mtu(&sa.cold, &sa.suite, sa.template.udp_len(), sa.template.mtu(), header).into();
    // What is too long for the path is so whatever it holds: its sender is told, or it is cut. And RFC 3173 §2: compression comes
    // before fragmentation, so that a fragment has no payload of its own, but in a tunnel, where all of it is payload.
    if !fits
        || header.total_len - clear < THRESHOLD
        || !tunnel && header.fragment != Fragment::Whole
        || !sa.cold.patience.tries()
    {
        return None;
    }
    if tunnel && header.src.is_ipv4() && pkt.packet()[v4::CHECKSUM_AT..].starts_with(&[0; 2]) {
        // A stack that leaves the checksum to its link may leave it open; nobody can fill it in behind this.
        v4::rewrite(&mut pkt.packet_mut()[..header.payload_at], header.total_len as u16, header.protocol);
    }
    let shorter = compressor.as_mut()?.compress(&pkt.packet()[clear..header.total_len]);
    sa.cold.patience.note(shorter.is_some());
    let shorter = shorter?;
    let inside = match (tunnel, header.src.is_ipv4()) {
        (true, true) => protocol::IPV4,
        (true, false) => protocol::IPV6,
        (false, _) => header.esp_protocol,
    };
    let [high, low] = cpi.0.to_be_bytes();
    let total_len = clear + HEADER_LEN + shorter.len();
    let place = &mut pkt.packet_mut()[clear..total_len];
    let (head, rest) = place.split_at_mut(HEADER_LEN);
    head.copy_from_slice(&[inside, 0, high, low]);
    rest.copy_from_slice(shorter);
    Some(Header { total_len, esp_protocol: protocol::IPCOMP, ..*header })
}

/// Puts what a compressed payload, at `at` to the end of the packet, says in its place, and tells its protocol.
#[cold]
pub(crate) fn expand(
    cpi: Cpi,
    expander: &mut Option<Box<Expander>>,
    pkt: &mut PacketBuf<'_>,
    at: usize,
) -> Result<u8, DropReason> {
    // RFC 3173 §3.3: whatever the flags are.
    let [inside, _, high, low, ref data @ ..] = pkt.packet()[at..] else { return Err(DropReason::BadCompression) };
    // Nobody compresses twice, and a packet that says so would never end.
    if [high, low] != cpi.0.to_be_bytes() || inside == protocol::IPCOMP {
        return Err(DropReason::BadCompression);
    }
    let expander = expander.as_mut().ok_or(DropReason::BadCompression)?;
    let out = expander.expand(data).ok_or(DropReason::BadCompression)?;
    pkt.truncate(at);
    if !pkt.grow_back(out.len()) {
        return Err(DropReason::NoRoom);
    }
    pkt.packet_mut()[at..].copy_from_slice(out);
    Ok(inside)
}

#[cfg(test)]
mod tests;
