//! Message IDs and the response cache: one request of ours and one of the peer's at a time.
//!
//! We never announce SET_WINDOW_SIZE and never use more than one, which every peer allows.
//! Read RFC 7296 §2.1 to §2.3 before changing this file.

use crate::sealed::Sealed;

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

    /// The ID of the peer's next request, or of the one that is being answered.
    pub(crate) fn expected(&self) -> u32 {
        self.expected
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

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
