//! Message IDs, how many requests may be under way, and the answers that are kept for repetition.
//!
//! ```text
//!   ours      the lowest without a response  +  what the peer takes   we ask no further
//!   theirs    the highest that arrived       -  what we take          older answers are not needed any more
//!             the lowest that is missing     +  what we take          nothing further is looked at
//! ```
//! Each side says with SET_WINDOW_SIZE how many requests it takes at once. Without it, in the initial exchanges, and after a
//! rekey of the IKE SA until it is said anew, that is one.
//! Read RFC 7296 §2.1 to §2.3 before changing this file.

use alloc::vec::Vec;

use crate::config::Remote;
use crate::limits;
use crate::sealed::Sealed;
use crate::v2::feature::window_size;
use crate::v2::message::Payloads;

/// What the message ID of a request from the peer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// One that is awaited.
    New,
    /// One that was answered, again.
    Repeated,
    /// Neither: too old to be remembered, or ahead of the window.
    Outside,
}

/// The two message ID counters of an IKE SA, with their windows.
#[derive(Debug)]
pub(crate) struct MessageWindow {
    next_request: u32,
    /// How many of our requests may be under way.
    sends: u32,
    /// How many of the peer's may be.
    takes: u32,
    /// The lowest of the peer's that has not arrived.
    missing: u32,
    /// The last of its numbers that a peer said it would go on with (RFC 6311).
    synchronized: Option<u32>,
    /// The last one that was new.
    latest: u32,
    /// Of those that may come again and those that arrived ahead of others: at most [`MessageWindow::takes`].
    answers: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    id: u32,
    response: Sealed,
    /// How often the request came again.
    repeated: u32,
}

impl Default for MessageWindow {
    fn default() -> Self {
        Self::after_initial(0, 0)
    }
}

impl MessageWindow {
    /// Counters of an IKE SA whose initial exchanges are over: `sent` of ours, `received` of the peer's, the last of which is
    /// being answered.
    pub(crate) fn after_initial(sent: u32, received: u32) -> Self {
        MessageWindow {
            next_request: sent,
            sends: 1,
            takes: 1,
            missing: received,
            synchronized: None,
            latest: received.saturating_sub(1),
            answers: Vec::new(),
        }
    }

    /// With what the two said in IKE_AUTH.
    pub(crate) fn agreed(mut self, remote: &Remote, payloads: &Payloads) -> Self {
        let wanted = window_size::wanted(remote);
        self.told(wanted);
        self.peer_takes(window_size::told(payloads).unwrap_or(1), wanted);
        self
    }

    /// The peer takes so many requests at once; there is no way to take that back. Nor are we obliged to send as many: `most`
    /// is what we do.
    pub(crate) fn peer_takes(&mut self, size: u32, most: u32) {
        self.sends = self.sends.max(size.min(most).min(limits::WINDOW));
    }

    /// We have told the peer that we take so many.
    pub(crate) fn told(&mut self, size: u32) {
        self.takes = self.takes.max(size.min(limits::WINDOW));
    }

    /// Another member of a cluster has taken over, and nothing else counts any more (RFC 6311 §8.1): its next request is
    /// `theirs`, and it expects `ours`. What we use next, or `None`: that is no news, so it was played back (RFC 6311 §5.1).
    pub(crate) fn synchronize(&mut self, theirs: u32, ours: u32) -> Option<u32> {
        let arrived = self.answers.iter().map(|kept| kept.id).chain(self.missing.checked_sub(1));
        if arrived.chain(self.synchronized).any(|seen| theirs <= seen) {
            return None;
        }
        self.next_request = self.next_request.max(ours);
        (self.missing, self.synchronized) = (theirs, Some(theirs));
        self.answers.clear();
        Some(self.next_request)
    }

    /// Whether there is room for another request of ours, `lowest` being the lowest without a response.
    pub(crate) fn has_room(&self, lowest: Option<u32>) -> bool {
        lowest.is_none_or(|lowest| self.next_request.saturating_sub(lowest) < self.sends)
    }

    /// The ID for our next request. `None`: they are used up, the IKE SA must end (RFC 7296 §2.2).
    pub(crate) fn next_request(&mut self) -> Option<u32> {
        let id = self.next_request;
        self.next_request = id.checked_add(1)?;
        Some(id)
    }

    /// The ID of the peer's request that is being answered.
    pub(crate) fn answering(&self) -> u32 {
        self.latest
    }

    /// Judges the ID of a request.
    pub(crate) fn arrived(&self, id: u32) -> Arrival {
        if self.answers.iter().any(|kept| kept.id == id) {
            return Arrival::Repeated;
        }
        match id.checked_sub(self.missing) {
            Some(ahead) if ahead < self.takes => Arrival::New,
            _ => Arrival::Outside,
        }
    }

    /// Notes that an [`Arrival::New`] is complete and is being answered.
    pub(crate) fn answer(&mut self, id: u32) {
        self.latest = id;
    }

    /// The answer to a request that was [`Arrival::Repeated`], and how often it went out.
    pub(crate) fn repeat(&mut self, id: u32) -> Option<(&Sealed, u32)> {
        let kept = self.answers.iter_mut().find(|kept| kept.id == id)?;
        kept.repeated = kept.repeated.saturating_add(1);
        Some((&kept.response, kept.repeated))
    }

    /// Notes the answer to the request that is being answered.
    pub(crate) fn answered(&mut self, response: Sealed) {
        // One is kept, as a rule, and of very many IKE SAs: no room for more.
        self.answers.reserve_exact(1);
        self.answers.push(Kept { id: self.latest, response, repeated: 0 });
        while self.answers.iter().any(|kept| kept.id == self.missing) {
            let Some(next) = self.missing.checked_add(1) else { break };
            self.missing = next;
        }
        // The peer asked for the highest only once it had the answers to all before the window (RFC 7296 §2.3).
        let highest = self.answers.iter().map(|kept| kept.id).max().unwrap_or_default();
        self.answers.retain(|kept| highest - kept.id < self.takes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn answer(window: &mut MessageWindow, id: u32) {
        assert_eq!(window.arrived(id), Arrival::New, "{id}");
        window.answer(id);
        assert_eq!(window.answering(), id);
        window.answered(Sealed::whole(vec![u8::try_from(id).unwrap()]));
        assert!(window.answers.len() <= window.takes as usize, "{window:?}");
    }

    #[test]
    fn remembers_one_response() {
        let mut window = MessageWindow::default();
        assert_eq!(window.arrived(1), Arrival::Outside);
        answer(&mut window, 0);
        assert_eq!(window.arrived(0), Arrival::Repeated);
        assert_eq!(window.repeat(0), Some((&Sealed::whole(vec![0]), 1)));
        assert_eq!(window.repeat(0), Some((&Sealed::whole(vec![0]), 2)));
        answer(&mut window, 1);
        assert_eq!(window.arrived(0), Arrival::Outside);
        assert_eq!(window.arrived(u32::MAX), Arrival::Outside);
    }

    #[test]
    fn answers_in_any_order_and_keeps_as_many_as_it_takes() {
        let mut window = MessageWindow::after_initial(0, 2);
        window.answered(Sealed::whole(vec![1]));
        window.told(3);
        assert_eq!(window.arrived(1), Arrival::Repeated);
        assert_eq!(window.arrived(5), Arrival::Outside);
        answer(&mut window, 4);
        // Whoever asked for 4 has the answer to 1.
        assert_eq!(window.arrived(1), Arrival::Outside);
        assert_eq!(window.arrived(5), Arrival::Outside);
        answer(&mut window, 2);
        assert_eq!(window.arrived(4), Arrival::Repeated);
        answer(&mut window, 5);
        assert_eq!(window.arrived(2), Arrival::Outside);
        answer(&mut window, 3);
        assert_eq!([3, 4, 5].map(|id| window.repeat(id).unwrap().1), [1; 3]);
        answer(&mut window, 8);
        assert_eq!(window.arrived(4), Arrival::Outside);
        // What was said is not taken back.
        window.told(1);
        assert_eq!((window.sends, window.takes), (1, 3));
    }

    #[test]
    fn asks_no_further_than_the_peer_takes() {
        let mut window = MessageWindow::default();
        assert_eq!(window.next_request(), Some(0));
        assert!(!window.has_room(Some(0)) && window.has_room(None));
        window.peer_takes(2, 8);
        window.peer_takes(1, 8);
        assert!(window.has_room(Some(0)));
        assert_eq!(window.next_request(), Some(1));
        // The response to 1 makes no room while 0 is open, that to 0 does.
        assert!(!window.has_room(Some(0)) && window.has_room(Some(1)));
        window.peer_takes(u32::MAX, 3);
        assert_eq!(window.sends, 3);
        window.peer_takes(u32::MAX, u32::MAX);
        assert_eq!(window.sends, limits::WINDOW);
    }

    // RFC 6311 §5.1 and the examples of §9.
    #[test]
    fn a_new_member_of_a_cluster_goes_on_where_nobody_was() {
        let mut window = MessageWindow::after_initial(8, 3);
        window.told(5);
        for id in [4, 5, 6, 7] {
            answer(&mut window, id);
        }
        assert_eq!(window.synchronize(7, 20), None);
        assert_eq!(window.synchronize(8, 3), Some(8));
        assert_eq!(window.arrived(3), Arrival::Outside);
        assert_eq!(window.arrived(7), Arrival::Outside);
        assert_eq!(window.arrived(8), Arrival::New);
        // Played back, before and after it was used.
        assert_eq!(window.synchronize(8, 3), None);
        answer(&mut window, 8);
        assert_eq!(window.synchronize(8, 3), None);
        assert_eq!(window.synchronize(100, 50), Some(50));
        assert_eq!(window.next_request(), Some(50));
    }

    #[test]
    fn message_ids_end() {
        let mut window = MessageWindow::after_initial(u32::MAX - 1, 0);
        assert_eq!(window.next_request(), Some(u32::MAX - 1));
        assert_eq!(window.next_request(), None);
    }
}
