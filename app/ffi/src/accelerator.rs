//! Hardware of the caller behind the asynchronous form: it gets jobs by callback and says by a call when one is done.
//!
//! ```text
//!  rvl_submit ─► RvlAccelerator.submit ··· hardware ··· rvl_job_done ─► rvl_complete: the checks, and the completion
//! ```
//! What hardware has of a packet is the caller's result buffer. A job is a number of ours, so a wrong one is an error.

use std::collections::VecDeque;
use std::ffi::c_void;

use ravelin_engine::{Accelerator, DropReason, Fault, Job, Outcome, Share};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{SaId, SaParams};
use ravelin_types::transform::SnId;

use crate::RvlStatus;
use crate::protection::mode_number;
use crate::sys::{Buffer, Pieces};
use crate::traffic::{RvlAddress, number};

/// Hardware does nothing for the packets of an SA.
pub const RVL_SHARE_NOTHING: u32 = 0;
/// Hardware encrypts and authenticates ESP packets that are ready for it, or verifies and decrypts them.
pub const RVL_SHARE_CIPHER: u32 = 1;
/// Hardware protects and opens whole packets: headers, padding, cipher, ICV.
pub const RVL_SHARE_WHOLE: u32 = 2;

const _: () = assert!(Share::Whole as u32 == RVL_SHARE_WHOLE && Share::Cipher as u32 == RVL_SHARE_CIPHER);

/// The packet of a job is as it should be.
pub const RVL_JOB_OK: u32 = 0;
/// The packet does not verify; it is dropped.
pub const RVL_JOB_FORGED: u32 = 1;
/// Hardware did not do the job; software does it, from the pieces of the request.
pub const RVL_JOB_FAILED: u32 = 2;

/// An SA of which hardware may have a share. What it points to is there for the time of the callback.
#[repr(C)]
pub struct RvlAcceleratedSa {
    /// `RVL_OUTBOUND` or `RVL_INBOUND`.
    pub direction: u32,
    /// The label on the wire.
    pub spi: u32,
    /// The most that hardware may have: `RVL_SHARE_...`.
    pub most: u32,
    /// `RVL_TUNNEL` or `RVL_TRANSPORT`.
    pub mode: u32,
    /// The sender's address.
    pub from: RvlAddress,
    /// The receiver's address.
    pub to: RvlAddress,
    /// ESP in UDP: the ports of its header, both 0 for no UDP.
    pub source_port: u16,
    /// See `source_port`.
    pub destination_port: u16,
    /// Number of the cipher among IANA's transforms of type 1 (IKEv2).
    pub encryption: u16,
    /// Number of the integrity algorithm among those of type 3; 0 with a cipher that authenticates.
    pub integrity: u16,
    /// 1 for 64-bit sequence numbers, 0 for 32-bit ones.
    pub extended_sequence: u8,
    /// The key of the cipher, with the salt of counter-mode ciphers at the end.
    pub encryption_key: *const u8,
    /// Bytes of it.
    pub encryption_key_len: usize,
    /// The key of the integrity algorithm.
    pub integrity_key: *const u8,
    /// Bytes of it.
    pub integrity_key_len: usize,
}

/// Work on one packet.
#[repr(C)]
pub struct RvlJob {
    /// Its number, for `rvl_job_done`.
    pub job: u64,
    /// What is to be done of it: `RVL_SHARE_CIPHER` or `RVL_SHARE_WHOLE`, as was taken of the SA.
    pub share: u32,
    /// `RVL_OUTBOUND`: encrypt; `RVL_INBOUND`: decrypt.
    pub direction: u32,
    /// The SA's label.
    pub spi: u32,
    /// The SA's receiver.
    pub to: RvlAddress,
    /// The whole sequence number: the IV of algorithms that have none in the packet, and what the ICV covers with 64-bit
    /// numbers.
    pub sequence: u64,
    /// The result buffer of the request. It is the hardware's until the job is done.
    pub buffer: *mut u8,
    /// Bytes in the buffer.
    pub capacity: usize,
    /// Where the packet begins. `RVL_SHARE_CIPHER`, outbound: the packet as it will be sent, IV in place, text and trailer
    /// in the clear, room for the ICV at its end.
    pub offset: usize,
    /// Bytes of the packet.
    pub length: usize,
    /// Where ESP begins in the packet; it goes to the packet's end. 0 in one that is to be protected whole.
    pub esp_offset: usize,
}

/// The hardware, as callbacks. They are called from within other calls, on their threads, and must not call functions of
/// this library; none may be null.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RvlAccelerator {
    /// Handed to each.
    pub context: *mut c_void,
    /// An SA was added: which share of it hardware takes, at most `most`.
    pub add: Option<unsafe extern "C" fn(context: *mut c_void, sa: *const RvlAcceleratedSa) -> u32>,
    /// The SA is no longer its work. Jobs of it may still finish.
    pub remove: Option<unsafe extern "C" fn(context: *mut c_void, direction: u32, spi: u32, to: *const RvlAddress)>,
    /// Begins with a job and returns 0; anything else: there is no room for it now, and software does it.
    pub submit: Option<unsafe extern "C" fn(context: *mut c_void, job: *const RvlJob) -> i32>,
}

/// The callbacks of the caller's hardware, none of them null.
pub(crate) struct Calls {
    context: *mut c_void,
    add: unsafe extern "C" fn(*mut c_void, *const RvlAcceleratedSa) -> u32,
    remove: unsafe extern "C" fn(*mut c_void, u32, u32, *const RvlAddress),
    submit: unsafe extern "C" fn(*mut c_void, *const RvlJob) -> i32,
}

// SAFETY: the header asks for functions that may be called from whichever thread uses the handle.
unsafe impl Send for Calls {}

impl Calls {
    /// # Safety
    /// The functions keep the promise of [`RvlAccelerator`] for as long as this lives.
    pub unsafe fn new(accelerator: &RvlAccelerator) -> Result<Self, RvlStatus> {
        let RvlAccelerator { context, add, remove, submit } = *accelerator;
        let functions = add.zip(remove).zip(submit).ok_or(RvlStatus::Null)?;
        let ((add, remove), submit) = functions;
        Ok(Calls { context, add, remove, submit })
    }

    pub fn add(&self, sa: &RvlAcceleratedSa) -> u32 {
        // SAFETY: promised where it was made.
        unsafe { (self.add)(self.context, sa) }
    }

    pub fn remove(&self, direction: u32, spi: u32, to: &RvlAddress) {
        // SAFETY: as above.
        unsafe { (self.remove)(self.context, direction, spi, to) }
    }

    pub fn submit(&self, job: &RvlJob) -> i32 {
        // SAFETY: as above.
        unsafe { (self.submit)(self.context, job) }
    }
}

/// What stands between the engine and the callbacks: the jobs that are away.
pub(crate) struct Hardware {
    calls: Option<Calls>,
    places: Vec<Place>,
    free: Vec<u32>,
    done: VecDeque<u32>,
}

#[derive(Default)]
struct Place {
    /// Jobs that stood here, so that each has a number of its own.
    uses: u32,
    job: Option<Job<Pieces, Buffer>>,
    outcome: Option<Outcome>,
}

impl Hardware {
    /// With room for as many jobs as requests may be open. Without `calls`, everything is done in software.
    pub fn new(calls: Option<Calls>, room: usize) -> Self {
        let room = if calls.is_some() { room as u32 } else { 0 };
        let places = (0..room).map(|_| Place::default()).collect();
        Hardware { calls, places, free: (0..room).collect(), done: VecDeque::with_capacity(room as usize) }
    }

    /// What `rvl_job_done` says.
    pub fn done(&mut self, job: u64, outcome: u32, offset: usize, length: usize) -> Result<(), RvlStatus> {
        let at = job as u32;
        let place = self.places.get_mut(at as usize).ok_or(RvlStatus::BadParam)?;
        let open = u64::from(place.uses) == job >> 32 && place.outcome.is_none();
        let job = place.job.as_mut().filter(|_| open).ok_or(RvlStatus::BadParam)?;
        let end = offset.checked_add(length).ok_or(RvlStatus::BadParam)?;
        place.outcome = Some(match outcome {
            RVL_JOB_OK if end <= job.result.as_mut().len() => Ok(offset..end),
            RVL_JOB_FORGED => Err(Fault::Bad(DropReason::Forged)),
            RVL_JOB_FAILED => Err(Fault::Failed),
            _ => return Err(RvlStatus::BadParam),
        });
        self.done.push_back(at);
        Ok(())
    }
}

impl Accelerator<Pieces, Buffer> for Hardware {
    fn add(&mut self, params: &SaParams, most: Share) -> Share {
        let (Some(calls), Suite::Esp(suite)) = (&self.calls, &params.suite) else { return Share::Nothing };
        let (encr, integ) = (params.keys.encr.expose(), params.keys.integ.expose());
        let sa = RvlAcceleratedSa {
            direction: number(params.direction),
            spi: params.spi.0,
            most: most as u32,
            mode: mode_number(params.mode),
            from: params.src.into(),
            to: params.dst.into(),
            source_port: params.encap.map_or(0, |encap| encap.src_port),
            destination_port: params.encap.map_or(0, |encap| encap.dst_port),
            encryption: suite.encr.0,
            integrity: suite.integ.0,
            extended_sequence: (suite.sn == SnId::PARTIAL_64).into(),
            encryption_key: encr.as_ptr(),
            encryption_key_len: encr.len(),
            integrity_key: integ.as_ptr(),
            integrity_key_len: integ.len(),
        };
        match calls.add(&sa) {
            RVL_SHARE_CIPHER => Share::Cipher,
            RVL_SHARE_WHOLE => Share::Whole,
            _ => Share::Nothing,
        }
    }

    fn delete(&mut self, id: SaId) {
        if let Some(calls) = &self.calls {
            calls.remove(number(id.direction), id.spi.0, &id.dst.into());
        }
    }

    fn submit(&mut self, mut job: Job<Pieces, Buffer>) -> Option<Job<Pieces, Buffer>> {
        let (Some(calls), Some(&at)) = (&self.calls, self.free.last()) else { return Some(job) };
        let Some(place) = self.places.get_mut(at as usize) else { return Some(job) };
        let uses = place.uses.wrapping_add(1);
        let told = RvlJob {
            job: u64::from(uses) << 32 | u64::from(at),
            share: job.share as u32,
            direction: number(job.sa.direction),
            spi: job.sa.spi.0,
            to: job.sa.dst.into(),
            sequence: job.sequence,
            buffer: job.result.raw(),
            capacity: job.result.as_mut().len(),
            offset: job.packet.start,
            length: job.packet.len(),
            esp_offset: job.esp_at,
        };
        if calls.submit(&told) != 0 {
            return Some(job);
        }
        self.free.pop();
        *place = Place { uses, job: Some(job), outcome: None };
        None
    }

    fn poll(&mut self) -> Option<(Job<Pieces, Buffer>, Outcome)> {
        let at = self.done.pop_front()?;
        let place = self.places.get_mut(at as usize)?;
        self.free.push(at);
        place.job.take().zip(place.outcome.take())
    }
}
