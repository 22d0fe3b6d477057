//! Messages in parts, between peers that saw each other's vendor ID "FRAGMENTATION". No RFC describes it.
//!
//! What is longer than [`LARGE`] leaves in parts of at most that, and of at most [`SMALL`] from the third transmission on, as
//! with IKEv2. The parts carry the message as it is, header and all.
//!
//! Nothing vouches for a part: only the message that they make together is protected. So parts are taken for SAs that are
//! there, from the address of their peer, one message at a time, within bounds (history rows 27, 43, 44).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use core::net::SocketAddr;

use ravelin_types::{IkeSpi, Instant, Way};
use ravelin_wire::ike::header::{Flags, Header};
use ravelin_wire::ike::v1::{Chain, Fragment, Payload, emit};

use super::vendor::Abilities;
use crate::context::Core;
use crate::limits;
use crate::sealed::{LARGE, SMALL};

/// Octets of a part beside its piece of the message: the header, and the payload's own and the generic one.
const OVERHEAD: usize = Header::LEN + 4 + 4;
/// How often [`LARGE`] is tried.
const TRIES_OF_LARGE: u32 = 2;

impl Core {
    /// Sends a message as the transmission after `sent` others, in parts where it is long and the peer takes parts.
    pub(crate) fn transmit_v1(
        &mut self,
        (local, peer): (SocketAddr, SocketAddr),
        message: Vec<u8>,
        abilities: Abilities,
        sent: u32,
    ) {
        let len = if sent < TRIES_OF_LARGE { LARGE } else { SMALL };
        if message.len() <= len || !abilities.fragmentation {
            self.transmit(Way::udp(local, peer), message);
            return;
        }
        for part in parts(&message, len) {
            self.transmit(Way::udp(local, peer), part);
        }
    }
}

/// A message in parts of at most `len` octets. Repeated in other sizes it has another number.
fn parts(message: &[u8], len: usize) -> Vec<Vec<u8>> {
    let Ok((header, _)) = Header::parse(message) else { return Vec::new() };
    // Parts belong to no exchange and are not encrypted.
    let header = Header { flags: Flags::NONE, message_id: 0, ..header };
    let tail = message.last_chunk().map_or(0, |tail| u16::from_be_bytes(*tail));
    let id = tail ^ u16::try_from(len).unwrap_or(0);
    let pieces: Vec<&[u8]> = message.chunks(len - OVERHEAD).collect();
    let last = pieces.len();
    let part = |(number, piece): (u8, &&[u8])| {
        let fragment = Fragment { id, number, last: usize::from(number) == last, data: piece.to_vec() };
        Some(emit(&header, &Chain::new([&Payload::Fragment(fragment)]).ok()?))
    };
    (1u8..).zip(&pieces).filter_map(part).collect()
}

/// What has come of messages that are not whole, by our SPI of their SA.
#[derive(Default)]
pub(crate) struct Fragments(BTreeMap<IkeSpi, Parts>);

struct Parts {
    id: u16,
    /// By number.
    parts: BTreeMap<u8, Vec<u8>>,
    last: Option<u8>,
    len: usize,
    until: Instant,
}

impl Fragments {
    /// Takes a part; the message once all are there.
    pub(crate) fn take(&mut self, spi: IkeSpi, fragment: &Fragment, now: Instant) -> Option<Vec<u8>> {
        self.0.retain(|_, parts| now < parts.until);
        let same = self.0.get(&spi).is_some_and(|parts| parts.id == fragment.id);
        if !same {
            if !self.0.contains_key(&spi) && self.0.len() >= limits::V1_REASSEMBLIES {
                return None;
            }
            let until = now + limits::REASSEMBLY_TIME;
            let fresh = Parts { id: fragment.id, parts: BTreeMap::new(), last: None, len: 0, until };
            self.0.insert(spi, fresh);
        }
        let parts = self.0.get_mut(&spi)?;
        let known_last = parts.last.filter(|last| fragment.last && *last != fragment.number);
        let beyond = parts.last.is_some_and(|last| fragment.number > last);
        let behind = fragment.last && parts.parts.keys().any(|number| *number > fragment.number);
        let grown = parts.len + fragment.data.len();
        let contradicts = known_last.is_some() || beyond || behind;
        if contradicts || grown > limits::REASSEMBLED || usize::from(fragment.number) > limits::FRAGMENTS {
            self.0.remove(&spi);
            return None;
        }
        if parts.parts.contains_key(&fragment.number) {
            return None;
        }
        parts.parts.insert(fragment.number, fragment.data.clone());
        parts.len = grown;
        if fragment.last {
            parts.last = Some(fragment.number);
        }
        if parts.last.map(usize::from) != Some(parts.parts.len()) {
            return None;
        }
        self.0.remove(&spi).map(|parts| parts.parts.into_values().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use core::time::Duration;
    use ravelin_wire::ike::v1::{Content, Message};

    const SPI: IkeSpi = IkeSpi(7);

    fn part(id: u16, number: u8, last: bool) -> Fragment {
        Fragment { id, number, last, data: vec![number; 3] }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_duration(Duration::from_secs(seconds))
    }

    #[test]
    fn what_leaves_in_parts_is_put_together_again() {
        let mut message = vec![7; 3000];
        message[17] = 0x10;
        message[24..28].copy_from_slice(&3000u32.to_be_bytes());
        for len in [LARGE, SMALL] {
            let mut fragments = Fragments::default();
            let mut whole = None;
            let parts = parts(&message, len);
            assert_eq!(parts.len(), 3000usize.div_ceil(len - OVERHEAD));
            for part in &parts {
                assert!(whole.is_none() && part.len() <= len);
                let parsed = Message::parse(part).unwrap();
                let Content::Clear(payloads) = parsed.content else { panic!() };
                let [Payload::Fragment(fragment)] = payloads.all() else { panic!() };
                whole = fragments.take(SPI, fragment, at(0));
            }
            assert_eq!(whole.as_deref(), Some(&message[..]));
        }
    }

    #[test]
    fn parts_in_any_order_make_the_message() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let mut fragments = Fragments::default();
            let mut whole = None;
            for number in order {
                assert!(whole.is_none());
                whole = fragments.take(SPI, &part(1, number, number == 3), at(0));
                if number != order[2] {
                    // The same again changes nothing.
                    assert!(fragments.take(SPI, &part(1, number, number == 3), at(0)).is_none());
                }
            }
            assert_eq!(whole, Some(vec![1, 1, 1, 2, 2, 2, 3, 3, 3]));
            assert!(fragments.0.is_empty());
        }
    }

    // History rows 27 and 44: two last ones, one behind the last, another message in between.
    #[test]
    fn contradictions_begin_anew() {
        let mut fragments = Fragments::default();
        assert!(fragments.take(SPI, &part(1, 2, true), at(0)).is_none());
        assert!(fragments.take(SPI, &part(1, 3, true), at(0)).is_none());
        assert!(fragments.0.is_empty());
        assert!(fragments.take(SPI, &part(1, 3, false), at(0)).is_none());
        assert!(fragments.take(SPI, &part(1, 2, true), at(0)).is_none());
        assert!(fragments.0.is_empty());
        assert!(fragments.take(SPI, &part(1, 1, false), at(0)).is_none());
        assert!(fragments.take(SPI, &part(2, 2, true), at(0)).is_none());
        assert_eq!(fragments.take(SPI, &part(2, 1, false), at(0)), Some(vec![1, 1, 1, 2, 2, 2]));
    }

    // History row 43: what is never completed is bounded in number, size and time.
    #[test]
    fn what_is_kept_is_bounded() {
        let mut fragments = Fragments::default();
        for spi in 0..1000 {
            fragments.take(IkeSpi(spi), &part(1, 1, false), at(0));
        }
        assert_eq!(fragments.0.len(), limits::V1_REASSEMBLIES);
        assert!(fragments.take(IkeSpi(0), &Fragment { data: vec![0; 70_000], ..part(1, 2, false) }, at(0)).is_none());
        assert!(!fragments.0.contains_key(&IkeSpi(0)));
        fragments.take(IkeSpi(5000), &part(1, 1, false), at(100));
        assert_eq!(fragments.0.len(), 1);
    }
}
