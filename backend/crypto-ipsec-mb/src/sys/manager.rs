//! A manager per thread: the state in which jobs wait for company.

use std::ffi::c_int;
use std::ptr::NonNull;

use super::layout::{Job, JobFn, Manager, STATUS_COMPLETED};
use super::load::{Library, library};

/// The manager of this thread.
struct Own {
    library: &'static Library,
    manager: NonNull<Manager>,
}

impl Own {
    fn new() -> Self {
        let library = library().expect("keys are made of a library that was found");
        // SAFETY: no flags are wanted; the call returns null or room for a manager.
        let Some(manager) = NonNull::new(unsafe { (library.alloc)(0) }) else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<Manager>());
        };
        let mut arch: c_int = 0;
        // SAFETY: the manager was allocated for this call, which fills it in.
        unsafe { (library.init)(manager.as_ptr(), &raw mut arch) };
        Own { library, manager }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // SAFETY: the manager comes from the library's `alloc`, and all jobs in it are finished.
        unsafe { (self.library.free)(self.manager.as_ptr()) };
    }
}

thread_local! {
    static OWN: Own = Own::new();
}

/// Runs `count` jobs to their end on this thread's manager. `fill` writes each of them.
///
/// # Safety
/// `fill` sets every field of the job that its algorithms read, and does not panic: jobs before would stay in work. All
/// memory that the fields point to stays valid, exclusively so where it is written, until this function returns.
#[inline]
pub(super) unsafe fn run(count: usize, mut fill: impl FnMut(&mut Job)) {
    OWN.with(|own| {
        let (jobs, manager) = (&own.library.jobs, own.manager.as_ptr());
        let mut completed = 0;
        let mut take = |mut job: *mut Job, again: JobFn| {
            while !job.is_null() {
                // SAFETY: the manager hands out a job that it is done with; it stays readable until another is asked
                // for. The manager is initialised and this thread's own.
                unsafe {
                    completed += usize::from((*job).status == STATUS_COMPLETED);
                    job = again(manager);
                }
            }
        };
        for _ in 0..count {
            // SAFETY: the manager is initialised and this thread's own. It hands out a job of its ring, which lies
            // there with plain integers and pointers in it; the caller answers for what `fill` puts in their place.
            let done = unsafe {
                fill(&mut *(jobs.next)(manager));
                (jobs.submit)(manager)
            };
            take(done, jobs.completed);
        }
        // SAFETY: as above. Afterwards no job is in work.
        take(unsafe { (jobs.flush)(manager) }, jobs.flush);
        assert_eq!(completed, count, "jobs of valid lengths complete");
    });
}
