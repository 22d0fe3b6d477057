//! Retransmission of a message until it is answered (RFC 7296 §2.1, §2.4; RFC 2408 §5.1).

use core::time::Duration;

use ravelin_types::Instant;

use crate::config::Retransmission;
use crate::sealed::Sealed;

/// What a retransmission timer wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due<'a> {
    /// Nothing yet.
    Later,
    /// Send this again, after so many times.
    Again(&'a Sealed, u32),
    /// All transmissions went unanswered.
    GiveUp,
}

/// A request that waits for its response.
#[derive(Debug)]
pub(crate) struct Retry {
    message: Sealed,
    schedule: Retransmission,
    sent: u32,
    wait: Duration,
    at: Instant,
}

impl Retry {
    /// A request sent now for the first time.
    pub(crate) fn new(message: Sealed, schedule: Retransmission, now: Instant) -> Self {
        Retry { message, schedule, sent: 1, wait: schedule.initial, at: now + schedule.initial }
    }

    /// When to call [`Retry::due`].
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// The request, bit by bit as it was sent; of one in fragments the first.
    pub(crate) fn message(&self) -> &[u8] {
        self.message.first()
    }

    /// From the start again, as now sent somewhere else; gives what to send.
    pub(crate) fn restart(&mut self, now: Instant) -> &Sealed {
        (self.sent, self.wait, self.at) = (1, self.schedule.initial, now + self.schedule.initial);
        &self.message
    }

    /// At most two more transmissions: somebody answered, but with a refusal that nobody vouches for.
    pub(crate) fn hurry(&mut self) {
        self.schedule.tries = self.schedule.tries.min(self.sent.saturating_add(2));
    }

    /// Judges the time.
    pub(crate) fn due(&mut self, now: Instant) -> Due<'_> {
        if now < self.at {
            return Due::Later;
        }
        if self.sent >= self.schedule.tries {
            return Due::GiveUp;
        }
        self.sent += 1;
        self.wait = (self.wait * 2).min(self.schedule.max_interval);
        self.at = now + self.wait;
        Due::Again(&self.message, self.sent - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    const SCHEDULE: Retransmission =
        Retransmission { initial: Duration::from_secs(1), max_interval: Duration::from_secs(3), tries: 4 };

    fn at(secs: u64) -> Instant {
        Instant::from_duration(Duration::from_secs(secs))
    }

    #[test]
    fn backs_off_and_gives_up() {
        let mut retry = Retry::new(Sealed::whole(vec![7]), SCHEDULE, at(0));
        let mut sent = Vec::new();
        for second in 0..20 {
            match retry.due(at(second)) {
                Due::Later => {}
                Due::Again(message, times) => {
                    assert_eq!((message.first(), times as usize), (&[7][..], sent.len() + 1));
                    sent.push(second);
                }
                Due::GiveUp => {
                    sent.push(second);
                    break;
                }
            }
        }
        // Waits of 1, 2, 3 and 3 seconds; the last runs out.
        assert_eq!(sent, [1, 3, 6, 9]);
    }
}
