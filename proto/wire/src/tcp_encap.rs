//! ESP and IKE in one TCP stream (RFC 9329 §3, §4).
//!
//! ```text
//!   originator -> responder    "IKETCP"  message*
//!   responder -> originator              message*
//!   message = length of length and content (2, big-endian) | 0 0 0 0 | IKE message
//!                                                          | ESP packet
//!                                                          | 0xff, a keepalive
//! ```

use alloc::vec::Vec;

use crate::udp_encap::{self, Payload};

/// The port on which every responder that offers it listens (RFC 9329 §2).
pub const PORT: u16 = 4500;
/// The first octets of the originator, once in a connection (RFC 9329 §4).
pub const PREFIX: [u8; 6] = *b"IKETCP";
/// Octets of the length field.
pub const LENGTH_LEN: usize = 2;
/// The longest content that the length field can tell (RFC 9329 §3).
pub const MAX_CONTENT: usize = u16::MAX as usize - LENGTH_LEN;

/// Writes what goes before `content` octets of content. `None`: too long for a message.
pub fn emit_length(content: usize) -> Option<[u8; LENGTH_LEN]> {
    let content = Some(content).filter(|content| *content <= MAX_CONTENT)?;
    u16::try_from(content + LENGTH_LEN).ok().map(u16::to_be_bytes)
}

/// Why a stream cannot be read on: the connection must be closed (RFC 9329 §3.1, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It does not begin with [`PREFIX`].
    Prefix,
    /// A length field of 0 or 1, which cannot even count itself (RFC 9329 §3.1, RFC 9329 §3.2).
    Length,
}

/// Takes a stream apart. It keeps one message that is not complete, and what came with its end: at most 64 KiB more than
/// what is given at once.
#[derive(Debug)]
pub struct Reader {
    kept: Vec<u8>,
    /// Where in `kept` the next message begins.
    at: usize,
    awaits_prefix: bool,
}

impl Reader {
    /// Of the originator's half, which begins with the prefix, or of the responder's.
    pub fn new(from_originator: bool) -> Self {
        Reader { kept: Vec::new(), at: 0, awaits_prefix: from_originator }
    }

    /// Takes octets in, in any portions.
    pub fn feed(&mut self, octets: &[u8]) {
        self.kept.drain(..self.at);
        self.at = 0;
        self.kept.extend_from_slice(octets);
    }

    /// Whether the prefix has come, or none is awaited.
    pub fn has_begun(&self) -> bool {
        !self.awaits_prefix
    }

    /// Whether part of a message, or of the prefix, is here.
    pub fn is_partial(&self) -> bool {
        self.at < self.kept.len()
    }

    /// The next message; `None` until more octets come. Empty messages are passed over (RFC 9329 §3).
    ///
    /// # Errors
    /// The stream makes no sense.
    #[allow(clippy::should_implement_trait)] // It borrows from itself.
    pub fn next(&mut self) -> Result<Option<Payload<'_>>, Broken> {
        if self.awaits_prefix {
            let seen = self.kept.len().min(PREFIX.len());
            // What cannot become the prefix need not be waited for.
            if self.kept[..seen] != PREFIX[..seen] {
                return Err(Broken::Prefix);
            }
            if seen < PREFIX.len() {
                return Ok(None);
            }
            self.awaits_prefix = false;
            self.at = PREFIX.len();
        }
        loop {
            let rest = &self.kept[self.at..];
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let Some(content) = usize::from(u16::from_be_bytes(*length)).checked_sub(LENGTH_LEN) else {
                return Err(Broken::Length);
            };
            if rest.len() < content {
                return Ok(None);
            }
            let from = self.at + LENGTH_LEN;
            self.at = from + content;
            if content > 0 {
                return Ok(Some(udp_encap::classify(&self.kept[from..self.at])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn all(reader: &mut Reader) -> Result<Vec<Vec<u8>>, Broken> {
        let mut found = Vec::new();
        while let Some(payload) = reader.next()? {
            found.push(match payload {
                Payload::Ike(ike) => [b"ike ", ike].concat(),
                Payload::Esp(esp) => [b"esp ", esp].concat(),
                Payload::Keepalive => b"keepalive".to_vec(),
                Payload::Malformed => b"malformed".to_vec(),
            });
        }
        Ok(found)
    }

    const STREAM: &[u8] = b"IKETCP\0\x09\0\0\0\0abc\0\x02\0\x03\xff\0\x0a\0\0\x01\0\0\0\0\x07\0\x03z";

    fn expected() -> Vec<Vec<u8>> {
        vec![b"ike abc".to_vec(), b"keepalive".to_vec(), b"esp \0\0\x01\0\0\0\0\x07".to_vec(), b"malformed".to_vec()]
    }

    // RFC 9329 §3 and §4: whatever the portions are in which TCP delivers.
    #[test]
    fn portions_do_not_matter() {
        for portion in 1..=STREAM.len() {
            let mut reader = Reader::new(true);
            let mut found = Vec::new();
            for octets in STREAM.chunks(portion) {
                reader.feed(octets);
                found.extend(all(&mut reader).unwrap());
            }
            assert_eq!(found, expected(), "in portions of {portion}");
            assert!(!reader.is_partial());
        }
    }

    #[test]
    fn the_responder_sends_no_prefix_and_a_partial_message_waits() {
        let mut reader = Reader::new(false);
        reader.feed(&STREAM[6..9]);
        assert_eq!(all(&mut reader).unwrap(), Vec::<Vec<u8>>::new());
        assert!(reader.is_partial());
        reader.feed(&STREAM[9..]);
        assert_eq!(all(&mut reader).unwrap(), expected());
    }

    // RFC 9329 §3.1, RFC 9329 §3.2.
    #[test]
    fn another_prefix_or_an_impossible_length_breaks_the_stream() {
        for (stream, why) in [
            (&b"GET / HTTP/1.1"[..], Broken::Prefix),
            (b"IKETC\0", Broken::Prefix),
            (b"I K", Broken::Prefix),
            (b"IKETCP\0\0", Broken::Length),
            (b"IKETCP\0\x01rest", Broken::Length),
        ] {
            let mut reader = Reader::new(true);
            reader.feed(stream);
            assert_eq!(reader.next(), Err(why), "{stream:?}");
        }
        assert_eq!(emit_length(65_533), Some([0xff, 0xff]));
        assert_eq!(emit_length(65_534), None);
    }
}
