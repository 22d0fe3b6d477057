//! Waiting for file descriptors and for time.

use std::array;
use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use ravelin_types::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::busy::Busy;

/// The most descriptors a thread waits for: its wake, the devices, eight sockets to receive from, six to send to.
const MAX: usize = 64;

/// Descriptors to wait for, in the order in which they were added.
pub(crate) struct Watch<'a> {
    fds: [PollFd<'a>; MAX],
    len: usize,
}

/// Which of the descriptors of a [`Watch`], from one of them on, are ready or failed.
#[derive(Clone, Copy)]
pub(crate) struct Ready(u64);

impl<'a> Watch<'a> {
    /// Waits until this one is readable.
    pub(crate) fn new(first: BorrowedFd<'a>) -> Self {
        Watch { fds: array::from_fn(|_| PollFd::from_borrowed_fd(first, PollFlags::IN)), len: 1 }
    }

    /// Also waits until `fd` is readable. Beyond [`MAX`] nothing is added.
    pub(crate) fn readable(&mut self, fd: BorrowedFd<'a>) {
        self.push(fd, PollFlags::IN);
    }

    /// Also waits until `fd` has room for what is sent.
    pub(crate) fn writable(&mut self, fd: BorrowedFd<'a>) {
        self.push(fd, PollFlags::OUT);
    }

    fn push(&mut self, fd: BorrowedFd<'a>, flags: PollFlags) {
        if let Some(place) = self.fds.get_mut(self.len) {
            *place = PollFd::from_borrowed_fd(fd, flags);
            self.len += 1;
        }
    }

    /// How many were added.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Waits until one of the descriptors is ready or `deadline` has come.
    /// So many packets were `moved` since the last wait.
    pub(crate) fn wait(mut self, busy: &mut Busy, moved: usize, now: Instant, deadline: Option<Instant>) -> Ready {
        let wait = deadline.map(|at| at.since(now));
        let fds = RefCell::new(&mut self.fds[..self.len]);
        let poll_for = |wait: Option<Duration>| {
            let timeout = wait.map(|wait| Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            });
            let fds = &mut **fds.borrow_mut();
            if poll(fds, timeout.as_ref()).is_err() {
                // Interrupted by a signal: nothing is known to be ready, and the caller comes back.
                return Ready(0);
            }
            Ready(fds.iter().enumerate().fold(0, |all, (i, fd)| all | u64::from(!fd.revents().is_empty()) << i))
        };
        if wait.is_some_and(|wait| wait.is_zero()) {
            return poll_for(wait);
        }
        let look = || Some(poll_for(Some(Duration::ZERO))).filter(|ready| ready.any());
        busy.wait(moved, look, || poll_for(wait))
    }
}

impl Ready {
    /// Whether the `i`th is.
    pub(crate) fn has(self, i: usize) -> bool {
        self.0 >> i & 1 != 0
    }

    /// Those from the `first` on, without those that were added from `end` on.
    pub(crate) fn part(self, first: usize, end: usize) -> Ready {
        Ready((self.0 & ((1 << end) - 1)) >> first)
    }

    /// Whether any is.
    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }
}

/// The earliest of some deadlines.
pub(crate) fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}
