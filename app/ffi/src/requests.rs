//! The asynchronous form: packets in pieces, submitted and completed.

use ravelin_engine::{Chain, Completion, Label, Request};
use ravelin_types::policy::Domain;

use crate::RvlStatus;
use crate::engine::{Engine, instant};
use crate::handle::{self, RvlHandle, call};
use crate::packet::{RvlResult, mark, mark_number};
use crate::sys::{self, Buffer, Out, Pieces};
use crate::traffic::{self, RvlPiece};

/// A packet to be processed. The pieces and the result buffer belong to the library until the completion is polled or the
/// engine is freed.
#[repr(C)]
pub struct RvlRequest {
    /// `RVL_OUTBOUND` or `RVL_INBOUND`.
    pub direction: u32,
    /// Whose SPD decides about it, 0 where there is only one.
    pub domain: u16,
    /// As in `RvlPacket`.
    pub mark: u32,
    /// Whatever tells the caller which packet it is.
    pub token: u64,
    /// The packet: buffers of any size, read and never written.
    pub pieces: *const RvlPiece,
    /// Number of pieces.
    pub piece_count: usize,
    /// Room for the packet, `RVL_HEADROOM` and `RVL_TAILROOM`.
    pub result: *mut u8,
    /// Bytes there.
    pub result_capacity: usize,
}

/// A packet that was processed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RvlCompletion {
    /// As in the request.
    pub token: u64,
    /// The pieces of the request, which are as they were.
    pub pieces: *const RvlPiece,
    /// Number of pieces.
    pub piece_count: usize,
    /// The result buffer of the request.
    pub result: *mut u8,
    /// Where the new packet begins in it, when it was secured.
    pub offset: usize,
    /// Bytes of the new packet.
    pub length: usize,
    /// The domain of the new packet.
    pub domain: u16,
    /// The mark of the new packet.
    pub mark: u32,
    /// The policy applied, and the status.
    pub applied: RvlResult,
}

/// Takes a packet. `OUT_OF_REQS` when as many are open as the engine may have.
///
/// # Safety
/// `request` is null or points to such a struct, whose pieces and buffer are as it says until the completion.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_submit(engine: RvlHandle, request: *const RvlRequest, now: u64) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let given = unsafe { sys::read(request)? };
        // SAFETY: the caller's promise.
        let (source, result) = unsafe {
            (Pieces::new(given.pieces, given.piece_count)?, Buffer::new(given.result, given.result_capacity)?)
        };
        let label = Label { token: given.token, domain: Domain(given.domain), mark: mark(given.mark)? };
        let request = Request { direction: traffic::direction(given.direction)?, source, result, label };
        handle::with(engine, |engine: &mut Engine| {
            engine.submit(request, instant(now)).map_err(|_| RvlStatus::OutOfReqs)
        })
    })
}

/// Takes the next packet that is done; `EMPTY` when there is none.
///
/// # Safety
/// `completion` is null or points to such a struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_complete(engine: RvlHandle, now: u64, completion: *mut RvlCompletion) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(completion)? };
        let done = handle::with(engine, |engine: &mut Engine| engine.poll(instant(now)).ok_or(RvlStatus::Empty))?;
        let Completion { label, source, result, packet, verdict } = done;
        let (pieces, piece_count) = source.raw();
        out.set(RvlCompletion {
            token: label.token,
            pieces,
            piece_count,
            result: result.raw(),
            offset: packet.start,
            length: packet.len(),
            domain: label.domain.0,
            mark: mark_number(label.mark),
            applied: RvlResult::new(verdict, label.mark),
        });
        Ok(())
    })
}

impl Chain for Pieces {
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.iter()
    }
}
