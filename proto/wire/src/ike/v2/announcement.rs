//! The data of SUPPORTED_AUTH_METHODS (RFC 9593 §3.2): announcements, one behind the other, best first.
//!
//! ```text
//!   | length | method |                                        RFC 9593 §3.2.1: without public keys
//!   | length | method | link |                                 RFC 9593 §3.2.2: with public keys
//!   | length | method | link | AlgorithmIdentifier in DER |    RFC 9593 §3.2.3: digital signature (RFC 7427)
//! ```
//! The length is in octets and counts itself. The link is the place, from 1, of an authority in the sender's CERTREQ payloads,
//! or 0 for whichever.

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::header::PayloadType;
use super::super::reader::Reader;
use super::numbers::AuthMethod;

/// One method by which the sender lets its peer authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement<'a> {
    /// The method.
    pub method: AuthMethod,
    /// What follows it: the link and the algorithm, as far as the method has them.
    pub rest: &'a [u8],
}

impl<'a> Announcement<'a> {
    /// The authority for which it holds; 0, or nothing: all.
    pub fn link(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    /// The AlgorithmIdentifier, empty where there is none.
    pub fn algorithm(&self) -> &'a [u8] {
        self.rest.get(1..).unwrap_or_default()
    }

    /// Adds it to the data of the notify. What is too long for its length field is left out.
    pub fn emit(&self, out: &mut Vec<u8>) {
        if let Ok(len) = u8::try_from(2 + self.rest.len()) {
            out.extend_from_slice(&[len, self.method.0]);
            out.extend_from_slice(self.rest);
        }
    }

    /// Reads the data of the notify, one at a time.
    ///
    /// # Errors
    /// At the first whose length is not true; nothing follows that.
    pub fn parse_all(data: &'a [u8]) -> impl Iterator<Item = Result<Self, Malformed>> {
        let mut reader = Some(Reader::new(data, 0, PayloadType::NOTIFY));
        core::iter::from_fn(move || {
            let at = reader.as_mut().filter(|reader| !reader.is_empty())?;
            let one = Self::parse(at);
            if one.is_err() {
                reader = None;
            }
            Some(one)
        })
    }

    fn parse(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let at = r.clone();
        let len = usize::from(r.u8()?);
        let method = AuthMethod(r.u8()?);
        let rest = len.checked_sub(2).ok_or_else(|| at.malformed("an announcement that does not count itself"))?;
        Ok(Announcement { method, rest: r.take(rest)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9593 §3.2: the three forms, and one of a method that nobody knows.
    #[test]
    fn the_length_says_the_form() {
        let data = [2, 2, 3, 1, 0, 8, 14, 1, 0x30, 3, 6, 1, 1, 4, 200, 9, 9];
        let all: Result<Vec<_>, _> = Announcement::parse_all(&data).collect();
        let all = all.unwrap();
        let seen: Vec<_> = all.iter().map(|one| (one.method.0, one.link(), one.algorithm())).collect();
        assert_eq!(seen, [(2, 0, &[][..]), (1, 0, &[]), (14, 1, &[0x30, 3, 6, 1, 1]), (200, 9, &[9])],);
        let mut again = Vec::new();
        all.iter().for_each(|one| one.emit(&mut again));
        assert_eq!(again, data);
        assert_eq!(Announcement::parse_all(&[]).count(), 0);
    }

    #[test]
    fn a_length_that_is_not_true_ends_the_list() {
        for bad in [&[0][..], &[0, 2], &[1, 2], &[2], &[3, 1], &[255, 14, 0]] {
            let data = [&[2, 2][..], bad].concat();
            let all: Vec<_> = Announcement::parse_all(&data).collect();
            assert!(matches!(&all[..], [Ok(_), Err(_)]), "{bad:?}: {all:?}");
        }
    }

    #[test]
    fn what_no_length_can_tell_is_left_out() {
        let mut out = Vec::new();
        Announcement { method: AuthMethod::DIGITAL_SIGNATURE, rest: &[0; 254] }.emit(&mut out);
        assert_eq!(out, []);
    }
}
