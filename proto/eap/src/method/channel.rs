//! TLS in EAP messages: cut and put together (RFC 5216 §2.1.5 and §3; RFC 5281 §9 and PEAP have the same form).
//!
//! ```text
//!   | flags: L M S, version | length of the whole, with L | records ... |
//! ```
//! A message in pieces has M in all but the last, and L in the first. Each piece is acknowledged by a message without
//! records, so neither side ever has more than one piece under way.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use ravelin_types::Secret;

use crate::Tools;
use crate::limits;
use crate::tls::{Tls, TlsSide};

const LENGTH: u8 = 0x80;
const MORE: u8 = 0x40;
const START: u8 = 0x20;

/// Nothing but flags: an acknowledgement, or nothing to say.
pub(super) const EMPTY: u8 = 0;

/// The first request.
pub(super) fn start() -> Vec<u8> {
    vec![START]
}

/// Whether it is the first request.
pub(super) fn is_start(data: &[u8]) -> bool {
    data.first().is_some_and(|flags| flags & START != 0)
}

/// TLS, and the pieces under way.
pub(super) struct Channel {
    pub(super) tls: Box<dyn Tls>,
    incoming: Vec<u8>,
    /// What the first piece said the whole is.
    length: Option<usize>,
    outgoing: Vec<u8>,
    sent: usize,
}

/// The authenticator's end: a channel from the user's first message on.
pub(super) struct ServerEnd {
    side: TlsSide,
    pub(super) channel: Option<Channel>,
    /// Why TLS is over, while the user is told so.
    pub(super) failed: Option<String>,
}

impl ServerEnd {
    pub(super) fn new(side: TlsSide) -> Self {
        ServerEnd { side, channel: None, failed: None }
    }

    /// Takes a message. `Continue`: all of it is there, and TLS has it. `Break`: say this first.
    ///
    /// # Errors
    /// Why the user is refused.
    pub(super) fn hear(&mut self, data: &[u8], tools: Tools<'_>) -> Result<ControlFlow<Vec<u8>, &mut Channel>, String> {
        if let Some(why) = self.failed.take() {
            return Err(why);
        }
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => Channel::new(tools.tls.accept(&self.side)?),
        };
        let channel = self.channel.insert(channel);
        match channel.hear(data)? {
            Heard::Piece(said) => Ok(ControlFlow::Break(said)),
            Heard::Whole => Ok(ControlFlow::Continue(channel)),
            Heard::Over(why) => {
                // RFC 5216 §2.1.3: the user hears why and acknowledges it, before he is refused.
                let alert = channel.say().ok_or_else(|| why.clone())?;
                self.failed = Some(why);
                Ok(ControlFlow::Break(alert))
            }
        }
    }
}

/// What a message was.
pub(super) enum Heard {
    /// A piece, or the acknowledgement of one: say this.
    Piece(Vec<u8>),
    /// The last or only piece, which TLS has taken.
    Whole,
    /// TLS is over for this reason; it may have an alert to be said.
    Over(String),
}

impl Channel {
    pub(super) fn new(tls: Box<dyn Tls>) -> Self {
        Channel { tls, incoming: Vec::new(), length: None, outgoing: Vec::new(), sent: 0 }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// When it is not one of this form; nobody is told but the operator.
    pub(super) fn hear(&mut self, data: &[u8]) -> Result<Heard, String> {
        let (flags, mut rest) = data.split_first().ok_or("a message without flags")?;
        if flags & START != 0 {
            return Err("a start in the middle".into());
        }
        let length = match flags & LENGTH {
            0 => None,
            _ => {
                let (length, records) = rest.split_first_chunk::<4>().ok_or("a length that is cut short")?;
                rest = records;
                Some(usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX))
            }
        };
        if self.sent < self.outgoing.len() {
            // RFC 5216 §2.1.5: the other side acknowledges before we go on.
            return match rest.is_empty() && flags & MORE == 0 {
                true => Ok(Heard::Piece(self.piece())),
                false => Err("records where a piece should be acknowledged".into()),
            };
        }
        if length.is_some_and(|length| length > limits::TLS_MESSAGE) {
            return Err(alloc::format!("TLS announces more than {} octets at once", limits::TLS_MESSAGE));
        }
        match (self.incoming.is_empty(), length, self.length) {
            (true, length, _) => self.length = length,
            // Some repeat the length in every piece.
            (false, Some(again), Some(first)) if again == first => {}
            (false, None, _) => {}
            (false, Some(_), _) => return Err("pieces of different wholes".into()),
        }
        let more = flags & MORE != 0;
        if more && (rest.is_empty() || self.length.is_none()) {
            return Err("a first piece that does not say how much there is, or an empty one".into());
        }
        let whole = self.incoming.len() + rest.len();
        if self.length.map_or(whole > limits::TLS_MESSAGE, |length| whole > length || !more && whole != length) {
            return Err("pieces that are not as long as the first one said".into());
        }
        self.incoming.extend_from_slice(rest);
        if more {
            return Ok(Heard::Piece(vec![EMPTY]));
        }
        self.length = None;
        let whole = core::mem::take(&mut self.incoming);
        match self.tls.hear(&whole) {
            Ok(()) => Ok(Heard::Whole),
            Err(why) => Ok(Heard::Over(why)),
        }
    }

    /// What TLS has to say, or its first piece.
    pub(super) fn say(&mut self) -> Option<Vec<u8>> {
        self.outgoing = self.tls.say();
        self.sent = 0;
        if self.outgoing.is_empty() { None } else { Some(self.piece()) }
    }

    fn piece(&mut self) -> Vec<u8> {
        let rest = self.outgoing.get(self.sent..).unwrap_or_default();
        let piece = rest.get(..limits::TLS_PIECE).unwrap_or(rest);
        let more = if piece.len() < rest.len() { MORE } else { 0 };
        let mut message = Vec::with_capacity(piece.len() + 5);
        if self.sent == 0 && more != 0 {
            message.push(LENGTH | more);
            // Bounded by what TLS puts into one flight.
            message.extend_from_slice(&(self.outgoing.len() as u32).to_be_bytes());
        } else {
            message.push(more);
        }
        message.extend_from_slice(piece);
        self.sent += piece.len();
        message
    }

    /// The Master Session Key: the first half of 128 octets of key material.
    ///
    /// # Errors
    /// When the handshake is not done.
    pub(super) fn msk(&self, label: &str, context: Option<&[u8]>) -> Result<Secret, String> {
        let mut material = zeroize::Zeroizing::new([0; 128]);
        self.tls.export(label, context, &mut material[..])?;
        Ok(Secret::from(&material[..64]))
    }
}

#[cfg(test)]
mod tests {
    use ravelin_pki::Certificate;

    use super::*;

    /// Keeps what it hears, and says so much.
    struct Plain(Vec<u8>, usize);

    impl Tls for Plain {
        fn hear(&mut self, records: &[u8]) -> Result<(), String> {
            self.0.extend_from_slice(records);
            Ok(())
        }

        fn say(&mut self) -> Vec<u8> {
            vec![9; core::mem::take(&mut self.1)]
        }

        fn is_established(&self) -> bool {
            false
        }

        fn is_version_13(&self) -> bool {
            false
        }

        fn read(&mut self) -> Vec<u8> {
            core::mem::take(&mut self.0)
        }

        fn write(&mut self, _: &[u8]) {}

        fn export(&self, _: &str, _: Option<&[u8]>, _: &mut [u8]) -> Result<(), String> {
            Err("no".into())
        }

        fn peer(&self) -> Option<Certificate> {
            None
        }
    }

    fn channel(says: usize) -> Channel {
        Channel::new(Box::new(Plain(Vec::new(), says)))
    }

    fn hear_all(messages: &[&[u8]]) -> Result<Vec<u8>, String> {
        let mut channel = channel(0);
        for message in messages {
            channel.hear(message)?;
        }
        Ok(channel.tls.read())
    }

    #[test]
    fn pieces_are_put_together_and_cut() {
        for pieces in [
            &[&[0, 1, 2, 3][..]][..],
            &[&[0x80, 0, 0, 0, 3, 1, 2, 3]],
            &[&[0xc0, 0, 0, 0, 3, 1], &[0x40, 2], &[0, 3]],
            &[&[0xc0, 0, 0, 0, 3, 1], &[0xc0, 0, 0, 0, 3, 2], &[0x80, 0, 0, 0, 3, 3]],
        ] {
            assert_eq!(hear_all(pieces).unwrap(), [1, 2, 3]);
        }
        let mut long = channel(2 * limits::TLS_PIECE + 1);
        let mut message = long.say().unwrap();
        let mut whole = channel(0);
        let mut flags = Vec::new();
        loop {
            flags.push(message[0]);
            match whole.hear(&message).unwrap() {
                Heard::Piece(acknowledged) => match long.hear(&acknowledged).unwrap() {
                    Heard::Piece(next) => message = next,
                    _ => panic!("the next piece"),
                },
                _ => break,
            }
        }
        assert_eq!((flags, whole.tls.read().len()), (vec![0xc0, 0x40, 0], 2 * limits::TLS_PIECE + 1));
    }

    // Bombs: what announces much, grows without end, or never gets on.
    #[test]
    fn pieces_that_lie_about_their_length_are_refused() {
        let much = ((limits::TLS_MESSAGE + 1) as u32).to_be_bytes();
        let bomb = [&[0xc0][..], &much, &[1]].concat();
        let unannounced = [&[0][..], &vec![0; limits::TLS_MESSAGE + 1]].concat();
        let cases: [&[&[u8]]; 14] = [
            &[&[]],
            &[&[0x80, 0, 0, 3]],
            &[&bomb],
            &[&[0xc0, 0xff, 0xff, 0xff, 0xff, 1]],
            &[&unannounced],
            // M without L, M without records, more than was announced, less, another announcement.
            &[&[0x40, 1]],
            &[&[0xc0, 0, 0, 0, 3]],
            &[&[0xc0, 0, 0, 0, 3, 1, 2, 3, 4]],
            &[&[0xc0, 0, 0, 0, 3, 1], &[0x40, 2, 3, 4]],
            &[&[0xc0, 0, 0, 0, 3, 1], &[0x40]],
            &[&[0xc0, 0, 0, 0, 3, 1], &[0]],
            &[&[0xc0, 0, 0, 0, 3, 1], &[0, 2]],
            &[&[0xc0, 0, 0, 0, 3, 1], &[0xc0, 0, 0, 0, 4, 2]],
            &[&[0, 1], &[0x20]],
        ];
        for case in cases {
            assert!(hear_all(case).is_err(), "{case:02x?}");
        }
        // Records, where a piece of ours should be acknowledged.
        let mut channel = channel(limits::TLS_PIECE + 1);
        channel.say().unwrap();
        assert!(channel.hear(&[0, 1]).is_err());
    }
}
