//! Waiting for file descriptors and for time.

use std::array;
use std::os::fd::BorrowedFd;

use ravelin_types::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

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
    pub(crate) fn wait(mut self, now: Instant, deadline: Option<Instant>) -> Ready {
        let timeout = deadline.map(|at| {
            let wait = at.since(now);
            let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
            Timespec { tv_sec: seconds, tv_nsec: i64::from(wait.subsec_nanos()) }
        });
        let fds = &mut self.fds[..self.len];
        if poll(fds, timeout.as_ref()).is_err() {
            // Interrupted by a signal: nothing is known to be ready, and the caller comes back.
            return Ready(0);
        }
        Ready(fds.iter().enumerate().fold(0, |all, (i, fd)| all | u64::from(!fd.revents().is_empty()) << i))
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
