//! Packets in pieces: the two calls for stacks that keep packets in chains of buffers.

use ravelin_engine::{ChainBuf, Layout};
use ravelin_types::policy::Domain;
use ravelin_types::sa::Direction;

use crate::RvlStatus;
use crate::engine::{Engine, instant};
use crate::handle::{self, RvlHandle, call};
use crate::packet::{RvlResult, mark, mark_number};
use crate::sys::{self, Out, PiecesInPlace};
use crate::traffic::RvlPiece;

/// A packet in pieces, and a buffer that it would fit in. What is protected or opened stays in its pieces, whose bytes are
/// changed there; of the buffer only what stands at both ends of the packet is used: its headers before, its trailer behind.
/// The packet is then `front_length` bytes of the buffer, `middle_length` bytes of the pieces, `back_length` bytes of the
/// buffer. Where the engine has to have it in one piece (compression, headers beyond the first 256 bytes), all of it is in front.
#[repr(C)]
pub struct RvlChain {
    /// The packet: buffers of any size.
    pub pieces: *const RvlPiece,
    /// Number of pieces.
    pub piece_count: usize,
    /// Room for `RVL_HEADROOM`, the packet and `RVL_TAILROOM`. Nothing need be there.
    pub buffer: *mut u8,
    /// Bytes in the buffer.
    pub capacity: usize,
    /// As in `RvlPacket`.
    pub domain: u16,
    /// As in `RvlPacket`.
    pub mark: u32,
    /// Result: where the packet begins in the buffer.
    pub front_offset: usize,
    /// Result: so many bytes stand there.
    pub front_length: usize,
    /// Result: so many bytes of the pieces, counted from the first byte of the first, are not of the packet any more.
    pub middle_offset: usize,
    /// Result: so many bytes behind those are.
    pub middle_length: usize,
    /// Result: where the end of the packet stands in the buffer.
    pub back_offset: usize,
    /// Result: its length.
    pub back_length: usize,
}

/// `rvl_encapsulate` for a packet in pieces. After a verdict that leaves the packet as it was, so are the pieces.
///
/// # Safety
/// `chain` and `result` are null or point to such structs; `buffer` has `capacity` bytes and the pieces have theirs, and
/// nobody else uses them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_encapsulate_chain(
    engine: RvlHandle,
    chain: *mut RvlChain,
    now: u64,
    result: *mut RvlResult,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { process(engine, Direction::Outbound, chain, now, result) }
}

/// `rvl_decapsulate` for a packet in pieces. Of a packet that is dropped the pieces are of no use.
///
/// # Safety
/// As [`rvl_encapsulate_chain`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_decapsulate_chain(
    engine: RvlHandle,
    chain: *mut RvlChain,
    now: u64,
    result: *mut RvlResult,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { process(engine, Direction::Inbound, chain, now, result) }
}

/// # Safety
/// As [`rvl_encapsulate_chain`].
unsafe fn process(
    engine: RvlHandle,
    direction: Direction,
    chain: *mut RvlChain,
    now: u64,
    result: *mut RvlResult,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (chain, result) = unsafe { (sys::write(chain)?, Out::new(result)?) };
        // SAFETY: the caller's promise.
        let buffer = unsafe { sys::slice_mut(chain.buffer, chain.capacity)? };
        // SAFETY: the caller's promise.
        let mut pieces = unsafe { PiecesInPlace::new(chain.pieces, chain.piece_count)? };
        let packet = ChainBuf::new(&mut pieces, buffer).ok_or(RvlStatus::BadParam)?;
        let mut packet = packet.with_mark(mark(chain.mark)?).in_domain(Domain(chain.domain));
        let verdict =
            handle::with(engine, |engine: &mut Engine| Ok(engine.process_chain(direction, &mut packet, instant(now))))?;
        let Layout { front, middle, back } = packet.layout();
        (chain.front_offset, chain.front_length) = (front.start, front.len());
        (chain.middle_offset, chain.middle_length) = (middle.start, middle.len());
        (chain.back_offset, chain.back_length) = (back.start, back.len());
        (chain.domain, chain.mark) = (packet.domain().0, mark_number(packet.mark()));
        result.set(RvlResult::new(verdict, packet.mark()));
        Ok(())
    })
}
