//! Fragmentation of messages (RFC 7383): what is too long for a datagram goes out in parts, each protected by itself.
//!
//! 1. Both IKE_SA_INIT messages carry IKEV2_FRAGMENTATION_SUPPORTED. We always send it, and answer it.
//! 2. A protected message longer than [`LARGE`](crate::sealed::LARGE) leaves as fragments of at most that. It is also made in fragments of at
//!    most [`SMALL`](crate::sealed::SMALL), which are sent from the third transmission on: some path may take no more. The number of fragments
//!    tells the receiver which set one belongs to (§2.5.2). Once small ones were sent, or the peer's are small (§2.5.1), all later messages
//!    of the IKE SA and of those that follow it begin with them.
//! 3. What arrives is verified part by part and kept until all are there. Only messages that are awaited are put
//!    together, as many in each direction as the window has room for, within [`limits::FRAGMENTS`] each and
//!    [`limits::REASSEMBLED`] in all.
//!
//! Payloads outside of the protected one are in the first fragment (RFC 7383 §2.5.3) and are passed over, but for one that has
//! to be understood.
//! Read RFC 7383 §2.3, §2.5 and §2.6 before changing this file.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::Instant;
use ravelin_wire::ike::header::{Header, PayloadType};
use ravelin_wire::ike::v2::{Fragment, Notify, NotifyType, Payload};

use crate::ike_sa::Ends;
use crate::limits;
use crate::v2::message::{Payloads, Whole};

/// The notify.
pub(crate) fn notify() -> Payload {
    Payload::Notify(Notify::new(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, Vec::new()))
}

/// Whether the peer of an IKE_SA_INIT message takes fragments.
fn supported(payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED).is_some()
}

/// The fragments in which messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fragments {
    /// None: the peer takes no fragments.
    None,
    /// Large ones, and small ones where these do not arrive.
    Large,
    /// Small ones.
    Small,
}

impl Fragments {
    /// What both sides of IKE_SA_INIT take, on this way. RFC 9329 §7.5: a stream needs none.
    pub(crate) fn agreed(payloads: &Payloads, ends: &Ends) -> Self {
        if ends.stream.is_none() && supported(payloads) { Fragments::Large } else { Fragments::None }
    }

    /// Whether there are any.
    pub(crate) fn any(self) -> bool {
        self != Fragments::None
    }

    /// The path takes no large ones, or the peer knows of one that does not.
    pub(crate) fn narrow(&mut self) {
        if self.any() {
            *self = Fragments::Small;
        }
    }
}

/// The fragments of messages that are awaited in one direction, by message ID.
#[derive(Default)]
pub(crate) struct Reassemblies(BTreeMap<u32, Reassembly>);

impl Reassemblies {
    /// Takes a part of a message that verified, or all of it. Once all is there: the message.
    pub(crate) fn take(
        &mut self,
        header: &Header,
        fragment: Option<Fragment>,
        received: Whole,
        now: Instant,
    ) -> Option<Whole> {
        let mut slot = self.0.remove(&header.message_id);
        let Some(fragment) = fragment else { return Some(received) };
        let room = limits::REASSEMBLED.saturating_sub(self.0.values().map(|kept| kept.len).sum());
        let whole = Reassembly::take(&mut slot, header, fragment, received, room, now);
        self.0.extend(slot.map(|kept| (kept.id, kept)));
        whole
    }

    /// Takes a message back: it is whole again with the next of its fragments that comes, whichever that is.
    pub(crate) fn put_back(&mut self, id: u32, whole: Whole, now: Instant) {
        self.0.insert(id, Reassembly::of(id, whole, now));
    }

    /// When some are to be dropped.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|kept| kept.until).min()
    }

    /// Drops those that waited too long.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.0.retain(|_, kept| now < kept.until);
    }
}

/// Those of one message.
struct Reassembly {
    id: u32,
    parts: Vec<Option<Vec<u8>>>,
    missing: usize,
    len: usize,
    first: PayloadType,
    head: Vec<u8>,
    critical: Option<PayloadType>,
    until: Instant,
}

impl Reassembly {
    /// Takes a fragment that verified. Once all are there: the message.
    fn take(
        slot: &mut Option<Reassembly>,
        header: &Header,
        fragment: Fragment,
        received: Whole,
        room: usize,
        now: Instant,
    ) -> Option<Whole> {
        if let Some(whole) = slot.take_if(|kept| kept.missing == 0 && now < kept.until) {
            return Some(whole.put_together());
        }
        let Whole { head, critical, first, content } = received;
        let total = usize::from(fragment.total());
        if total > limits::FRAGMENTS {
            return None;
        }
        let same = slot.as_ref().filter(|kept| kept.id == header.message_id && now < kept.until);
        match same.map(|kept| kept.parts.len()) {
            // RFC 7383 §2.6: a set of fewer fragments is older than what is here.
            Some(kept) if total < kept => return None,
            Some(kept) if total == kept => {}
            _ => *slot = Some(Reassembly::new(header.message_id, total, now)),
        }
        let kept = slot.as_mut()?;
        let part = kept.parts.get_mut(usize::from(fragment.number()).checked_sub(1)?)?;
        if part.is_some() {
            return None;
        }
        if kept.len + content.len() > room {
            *slot = None;
            return None;
        }
        if fragment.number() == 1 {
            kept.first = first;
            kept.head = head;
            kept.critical = critical;
        }
        kept.len += content.len();
        kept.missing -= 1;
        *part = Some(content);
        if kept.missing > 0 {
            return None;
        }
        slot.take().map(Reassembly::put_together)
    }

    /// All are there.
    fn put_together(self) -> Whole {
        let content = self.parts.into_iter().flatten().flatten().collect();
        Whole { head: self.head, critical: self.critical, first: self.first, content }
    }

    /// A message that was put together before.
    fn of(id: u32, whole: Whole, now: Instant) -> Self {
        let Whole { head, critical, first, content } = whole;
        let len = content.len();
        Reassembly { len, missing: 0, first, head, critical, parts: vec![Some(content)], ..Reassembly::new(id, 0, now) }
    }

    fn new(id: u32, total: usize, now: Instant) -> Self {
        Reassembly {
            id,
            parts: vec![None; total],
            missing: total,
            len: 0,
            first: PayloadType::NONE,
            head: Vec::new(),
            critical: None,
            until: now + limits::REASSEMBLY_TIME,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    use ravelin_types::IkeSpi;
    use ravelin_wire::ike::header::{ExchangeType, Flags, Version};

    fn header(message_id: u32) -> Header {
        Header {
            initiator_spi: IkeSpi(1),
            responder_spi: IkeSpi(2),
            version: Version::V2,
            exchange: ExchangeType::IKE_AUTH,
            flags: Flags::NONE,
            message_id,
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::from_duration(Duration::from_secs(secs))
    }

    fn give(slot: &mut Option<Reassembly>, id: u32, number: u16, total: u16, secs: u64) -> Option<Vec<u8>> {
        let fragment = Fragment::new(number, total).unwrap();
        let first = if number == 1 { PayloadType::IDI } else { PayloadType::NONE };
        let part = Whole { head: vec![number as u8], critical: None, first, content: vec![number as u8; 2] };
        Reassembly::take(slot, &header(id), fragment, part, limits::REASSEMBLED, at(secs)).map(|whole| {
            assert_eq!((whole.first, whole.head), (PayloadType::IDI, vec![1]));
            whole.content
        })
    }

    #[test]
    fn any_order_and_repetition_give_the_message() {
        let mut slot = None;
        for (number, done) in [(3, false), (1, false), (3, false), (1, false), (2, true)] {
            let whole = give(&mut slot, 1, number, 3, 0);
            assert_eq!(whole, done.then(|| vec![1, 1, 2, 2, 3, 3]));
        }
        assert!(slot.is_none());
    }

    // RFC 7383 §2.6.
    #[test]
    fn a_newer_set_replaces_an_older_one_and_never_the_reverse() {
        let mut slot = None;
        assert_eq!(give(&mut slot, 1, 1, 2, 0), None);
        assert_eq!(give(&mut slot, 1, 2, 3, 0), None);
        assert_eq!(give(&mut slot, 1, 2, 2, 0), None, "of the older set");
        assert_eq!(give(&mut slot, 1, 1, 3, 0), None);
        assert_eq!(give(&mut slot, 1, 3, 3, 0), Some(vec![1, 1, 2, 2, 3, 3]));
    }

    #[test]
    fn what_is_never_completed_is_forgotten() {
        let mut slot = None;
        assert_eq!(give(&mut slot, 1, 1, 2, 0), None);
        assert_eq!(give(&mut slot, 1, 2, 2, limits::REASSEMBLY_TIME.as_secs()), None);
        assert_eq!(give(&mut slot, 2, 1, 2, 100), None, "another message");
        assert_eq!(give(&mut slot, 2, 2, 2, 100), Some(vec![1, 1, 2, 2]));
    }

    // Messages of one window come mixed, and together have the bound of one.
    #[test]
    fn messages_are_told_apart_by_their_ids() {
        let mut all = Reassemblies::default();
        let mut give = |id, number, len, secs| {
            let part =
                Whole { head: Vec::new(), critical: None, first: PayloadType::IDI, content: vec![number as u8; len] };
            let whole = all.take(&header(id), Fragment::new(number, 2), part, at(secs));
            (whole.map(|whole| whole.content), all.0.values().map(|kept| kept.len).sum::<usize>())
        };
        assert_eq!(give(1, 1, 2, 0), (None, 2));
        assert_eq!(give(2, 2, 2, 0), (None, 4));
        assert_eq!(give(1, 2, 2, 0), (Some(vec![1, 1, 2, 2]), 2));
        assert_eq!(give(2, 1, 2, 0), (Some(vec![1, 1, 2, 2]), 0));
        for id in 3..100 {
            assert!(give(id, 1, 3000, 0).1 <= limits::REASSEMBLED);
        }
        all.forget(at(limits::REASSEMBLY_TIME.as_secs()));
        assert!(all.0.is_empty() && all.deadline().is_none());
        // Without fragments nothing is kept of those that came before.
        let part =
            |number| Whole { head: Vec::new(), critical: None, first: PayloadType::IDI, content: vec![number; 2] };
        assert_eq!(all.take(&header(1), Fragment::new(1, 2), part(1), at(0)), None);
        assert_eq!(all.take(&header(1), None, part(7), at(0)), Some(part(7)));
        assert!(all.0.is_empty());
    }

    // What is kept has a bound, however the parts are made.
    #[test]
    fn numbers_and_lengths_are_bounded() {
        let mut slot = None;
        let most = limits::FRAGMENTS as u16;
        assert_eq!(give(&mut slot, 1, 1, most + 1, 0), None);
        assert!(slot.is_none());
        let mut kept = 0;
        for number in 1..=most {
            let fragment = Fragment::new(number, most).unwrap();
            let part = Whole { head: Vec::new(), critical: None, first: PayloadType::IDI, content: vec![0; 60_000] };
            assert_eq!(Reassembly::take(&mut slot, &header(1), fragment, part, limits::REASSEMBLED, at(0)), None);
            kept = kept.max(slot.as_ref().map_or(0, |slot| slot.len));
        }
        assert!(kept <= limits::REASSEMBLED);
    }
}
