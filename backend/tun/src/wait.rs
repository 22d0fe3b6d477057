//! Waiting for file descriptors and for time.

use std::os::fd::BorrowedFd;

use ravelin_types::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A descriptor to wait for.
pub(crate) fn on(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// Whether the last [`until`] found this descriptor readable, or failed.
pub(crate) fn is_ready(fd: &PollFd<'_>) -> bool {
    !fd.revents().is_empty()
}

/// Waits until one of the descriptors is readable or `deadline` has come.
pub(crate) fn until(fds: &mut [PollFd<'_>], now: Instant, deadline: Option<Instant>) {
    let timeout = deadline.map(|at| {
        let wait = at.since(now);
        Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(wait.subsec_nanos()) }
    });
    if poll(fds, timeout.as_ref()).is_err() {
        // Interrupted by a signal: nothing is known to be readable, and the caller comes back.
        fds.iter_mut().for_each(PollFd::clear_revents);
    }
}

/// The earliest of some deadlines.
pub(crate) fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}
