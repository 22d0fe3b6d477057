//! Message IDs, the response cache and retransmission: one request of ours and one of the peer's at a time.
//!
//! We never announce SET_WINDOW_SIZE and never use more than one, which every peer allows.
//! Read RFC 7296 §2.1 to §2.3 before changing this file.

use core::time::Duration;

use ravelin_types::Instant;

use crate::config::Retransmission;
use crate::v2::feature::fragmentation::Sealed;

/// What the message ID of a request from the peer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The one expected next.
    New,
    /// The last one again.
    Repeated,
    /// Neither: too old to be remembered, or ahead of the window.
    Outside,
}

/// The two message ID counters of an IKE SA.
#[derive(Debug, Default)]
pub(crate) struct MessageWindow {
    next_request: u32,
    expected: u32,
    response: Option<Sealed>,
    /// How often the last one came again.
    repeated: u32,
}

impl MessageWindow {
    /// Counters of an IKE SA whose initial exchanges are over: `sent` of ours, `received` of the peer's. `response` is
    /// the answer to the last of the latter.
    pub(crate) fn after_initial(sent: u32, received: u32, response: Option<Sealed>) -> Self {
        MessageWindow { next_request: sent, expected: received, response, repeated: 0 }
    }

    /// The ID for our next request. `None`: they are used up, the IKE SA must end (RFC 7296 §2.2).
    pub(crate) fn next_request(&mut self) -> Option<u32> {
        let id = self.next_request;
        self.next_request = id.checked_add(1)?;
        Some(id)
    }

    /// Judges the ID of a request.
    pub(crate) fn arrived(&self, id: u32) -> Arrival {
        if id == self.expected {
            return Arrival::New;
        }
        match &self.response {
            Some(_) if id.checked_add(1) == Some(self.expected) => Arrival::Repeated,
            _ => Arrival::Outside,
        }
    }

    /// The answer to the request that was [`Arrival::Repeated`], and how often it went out.
    pub(crate) fn repeat(&mut self) -> Option<(&Sealed, u32)> {
        self.repeated = self.repeated.saturating_add(1);
        self.response.as_ref().map(|response| (response, self.repeated))
    }

    /// Notes the answer to the request that was [`Arrival::New`].
    pub(crate) fn answered(&mut self, response: Sealed) {
        self.expected = self.expected.saturating_add(1);
        self.response = Some(response);
        self.repeated = 0;
    }
}

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

    #[test]
    fn remembers_one_response() {
        let mut window = MessageWindow::default();
        assert_eq!(window.arrived(0), Arrival::New);
        assert_eq!(window.arrived(1), Arrival::Outside);
        window.answered(Sealed::whole(vec![1]));
        assert_eq!(window.arrived(0), Arrival::Repeated);
        assert_eq!(window.repeat(), Some((&Sealed::whole(vec![1]), 1)));
        assert_eq!(window.repeat(), Some((&Sealed::whole(vec![1]), 2)));
        assert_eq!(window.arrived(1), Arrival::New);
        window.answered(Sealed::whole(vec![2]));
        assert_eq!(window.arrived(0), Arrival::Outside);
        assert_eq!(window.arrived(u32::MAX), Arrival::Outside);
    }

    #[test]
    fn message_ids_end() {
        let mut window = MessageWindow::after_initial(u32::MAX - 1, 0, None);
        assert_eq!(window.next_request(), Some(u32::MAX - 1));
        assert_eq!(window.next_request(), None);
    }
}
