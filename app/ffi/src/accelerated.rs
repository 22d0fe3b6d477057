//! What the caller's hardware says of its jobs, which [`accelerator`](crate::accelerator) gave it.

use crate::RvlStatus;
use crate::engine::Engine;
use crate::handle::{self, RvlHandle, call};

/// Says that a job is done: `outcome` is `RVL_JOB_...`, and with `RVL_JOB_OK` the packet stands at `offset` with `length`
/// bytes; a cipher leaves it where it was. What is checked of a packet behind its cipher (padding, headers, selectors) is
/// checked when `rvl_complete` comes to it. `BAD_PARAM` for a job that is not open, and a place outside of the buffer. All
/// jobs are to be done, or given up by the hardware, before the engine is freed.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_job_done(engine: RvlHandle, job: u64, outcome: u32, offset: usize, length: usize) -> RvlStatus {
    call(|| handle::with(engine, |engine: &mut Engine| engine.accelerator().done(job, outcome, offset, length)))
}
