//! What earlier messages of a capture tell about later ones.
//!
//! IKEv2: fragments of a message that wait for the others (RFC 7383 §2.6). IKEv1: the cipher and the hash that were
//! chosen, the public values from which the first IV is made, and the last block of each exchange, which is the next IV
//! (RFC 2409 appendix B).

use std::collections::{BTreeMap, VecDeque};

use ravelin_types::IkeSpi;

use super::numbers::Numbers;
use super::phase1::Phase1;

/// Sessions that are remembered; the oldest is forgotten.
const MAX_SESSIONS: usize = 10_000;
/// Messages of which fragments are kept.
const MAX_FRAGMENTED: usize = 1_000;
/// Bytes of one message in fragments.
const MAX_MESSAGE: usize = 1 << 20;

/// Which message a fragment is of.
type MessageKey = (IkeSpi, IkeSpi, u8, u8, u32);

/// All that is remembered.
#[derive(Default)]
pub(crate) struct Sessions {
    v1: BTreeMap<IkeSpi, Phase1>,
    order: VecDeque<IkeSpi>,
    fragments: BTreeMap<MessageKey, Fragments>,
}

/// The parts of one message.
#[derive(Default)]
pub(super) struct Fragments {
    parts: BTreeMap<u16, Vec<u8>>,
    bytes: usize,
    first: u8,
}

impl Sessions {
    /// The phase 1 of an initiator's cookie, begun when it is new.
    pub(crate) fn phase1(&mut self, cookie: IkeSpi) -> &mut Phase1 {
        if !self.v1.contains_key(&cookie) {
            if self.order.len() == MAX_SESSIONS
                && let Some(oldest) = self.order.pop_front()
            {
                self.v1.remove(&oldest);
            }
            self.order.push_back(cookie);
        }
        self.v1.entry(cookie).or_default()
    }

    /// Adds the plaintext of fragment `number` of `total`. The whole, with the type of its first payload, once all are
    /// there; `Err`: how many are.
    pub(super) fn fragment(
        &mut self,
        numbers: &Numbers,
        (number, total): (u16, u16),
        first: u8,
        plain: &[u8],
    ) -> Result<(u8, Vec<u8>), usize> {
        let key = (numbers.initiator, numbers.responder, numbers.exchange, numbers.flags, numbers.message_id);
        if self.fragments.len() == MAX_FRAGMENTED && !self.fragments.contains_key(&key) {
            self.fragments.pop_first();
        }
        let message = self.fragments.entry(key).or_default();
        if message.bytes + plain.len() <= MAX_MESSAGE && !message.parts.contains_key(&number) {
            message.bytes += plain.len();
            message.parts.insert(number, plain.to_vec());
        }
        if number == 1 {
            message.first = first;
        }
        // Every part counts once, and none lies beyond the total.
        let there = message.parts.range(1..=total).count();
        if there < usize::from(total) {
            return Err(there);
        }
        let whole = self.fragments.remove(&key).unwrap_or_default();
        Ok((whole.first, whole.parts.into_values().flatten().collect()))
    }
}
