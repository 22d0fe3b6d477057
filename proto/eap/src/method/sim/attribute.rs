//! Messages of the three methods: a subtype and attributes (RFC 4187 §8.1; RFC 4186 §8.1 is the same).
//!
//! ```text
//!   | subtype | 0 0 | type | length in words | value ... | type | length | value ... |
//! ```
//! Types above 127 may be skipped by who does not know them.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::Kind;
use super::keys::{Keys, same};
use crate::limits;

pub(super) const RAND: u8 = 1;
pub(super) const AUTN: u8 = 2;
pub(super) const RES: u8 = 3;
pub(super) const AUTS: u8 = 4;
pub(super) const PADDING: u8 = 6;
pub(super) const NONCE_MT: u8 = 7;
pub(super) const PERMANENT_ID_REQ: u8 = 10;
pub(super) const MAC: u8 = 11;
pub(super) const NOTIFICATION: u8 = 12;
pub(super) const ANY_ID_REQ: u8 = 13;
pub(super) const IDENTITY: u8 = 14;
pub(super) const VERSION_LIST: u8 = 15;
pub(super) const SELECTED_VERSION: u8 = 16;
pub(super) const FULLAUTH_ID_REQ: u8 = 17;
pub(super) const COUNTER: u8 = 19;
pub(super) const COUNTER_TOO_SMALL: u8 = 20;
pub(super) const NONCE_S: u8 = 21;
pub(super) const CLIENT_ERROR_CODE: u8 = 22;
pub(super) const KDF_INPUT: u8 = 23;
pub(super) const KDF: u8 = 24;
pub(super) const IV: u8 = 129;
pub(super) const ENCR_DATA: u8 = 130;
pub(super) const NEXT_PSEUDONYM: u8 = 132;
pub(super) const NEXT_REAUTH_ID: u8 = 133;
pub(super) const CHECKCODE: u8 = 134;
pub(super) const RESULT_IND: u8 = 135;
pub(super) const BIDDING: u8 = 136;

const SKIPPABLE: u8 = 128;
const HEADER: usize = 3;
const BLOCK: usize = 16;
const KNOWN_SKIPPABLE: [u8; 7] = [IV, ENCR_DATA, NEXT_PSEUDONYM, NEXT_REAUTH_ID, CHECKCODE, RESULT_IND, BIDDING];

/// A message that was heard: its code and identifier, and its data.
#[derive(Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) code: u8,
    pub(super) identifier: u8,
    pub(super) data: &'a [u8],
}

/// What is in it.
pub(super) struct Message<'a> {
    pub(super) subtype: u8,
    attributes: Attributes<'a>,
    heard: Heard<'a>,
}

/// Attributes by type: where their values are.
pub(super) struct Attributes<'a>(Vec<(u8, usize, &'a [u8])>);

impl<'a> Message<'a> {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(heard: Heard<'a>) -> Result<Self, String> {
        let [subtype, _, _, ..] = heard.data else { return Err("a message that is cut short".into()) };
        let attributes = Attributes::parse(heard.data, HEADER)?;
        Ok(Message { subtype: *subtype, attributes, heard })
    }

    /// Whether its MAC is right; `more` is what it covers behind the message.
    pub(super) fn is_authentic(&self, keys: &Keys, kind: Kind, more: &[u8]) -> bool {
        let Some((at, value)) = self.attributes.0.iter().find(|(number, ..)| *number == MAC).map(|it| (it.1, it.2))
        else {
            return false;
        };
        let Some(mac) = value.get(2..).filter(|mac| mac.len() == BLOCK) else { return false };
        let mut data = self.heard.data.to_vec();
        if let Some(value) = data.get_mut(at..at + value.len()) {
            value.fill(0);
        }
        let header = header(self.heard.code, self.heard.identifier, kind, data.len());
        same(&keys.mac(&[&header, &data, more]), mac)
    }

    /// The attributes in it that are encrypted; none, when there is nothing encrypted.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn open(&self, keys: &Keys) -> Result<Opened, String> {
        let (iv, encrypted) = match (self.fixed::<BLOCK>(IV)?, self.get(ENCR_DATA)) {
            (Some(iv), Some(encrypted)) => (iv, encrypted.get(2..).unwrap_or_default()),
            (None, None) => return Ok(Opened(Vec::new())),
            _ => return Err("AT_IV and AT_ENCR_DATA, of which one is missing".into()),
        };
        if encrypted.is_empty() || !encrypted.len().is_multiple_of(BLOCK) {
            return Err("AT_ENCR_DATA that is not of whole blocks".into());
        }
        let mut plain = encrypted.to_vec();
        keys.open(&iv, &mut plain);
        Ok(Opened(plain))
    }

    pub(super) fn identifier(&self) -> u8 {
        self.heard.identifier
    }

    /// The whole message, with the head of EAP.
    pub(super) fn packet(&self, kind: Kind) -> Vec<u8> {
        packet(self.heard, kind)
    }
}

impl<'a> core::ops::Deref for Message<'a> {
    type Target = Attributes<'a>;

    fn deref(&self) -> &Self::Target {
        &self.attributes
    }
}

/// What was encrypted.
pub(super) struct Opened(Vec<u8>);

impl Opened {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn attributes(&self) -> Result<Attributes<'_>, String> {
        let attributes = Attributes::parse(&self.0, 0)?;
        // RFC 4187 §10.12: zeros.
        let clean = attributes.get(PADDING).is_none_or(|padding| padding.iter().all(|octet| *octet == 0));
        if clean { Ok(attributes) } else { Err("AT_PADDING that is not of zeros".into()) }
    }
}

impl<'a> Attributes<'a> {
    fn parse(data: &'a [u8], start: usize) -> Result<Self, String> {
        let mut attributes: Vec<(u8, usize, &[u8])> = Vec::new();
        let mut at = start;
        while at < data.len() {
            let (Some(number), Some(words)) = (data.get(at), data.get(at + 1)) else {
                return Err("an attribute that is cut short".into());
            };
            let end = at + usize::from(*words) * 4;
            let value = data.get(at + 2..end).ok_or_else(|| {
                alloc::format!("the attribute {number} is longer than the message, or shorter than its own head")
            })?;
            let known = if *number < SKIPPABLE { number_is_known(*number) } else { KNOWN_SKIPPABLE.contains(number) };
            // RFC 4187 §8.2: what is not known and must not be skipped ends it.
            if !known && *number < SKIPPABLE {
                return Err(alloc::format!("the attribute {number}, which is not known here and must not be skipped"));
            }
            // RFC 4187 §6.3.1, RFC 9048 §3.2: only the functions of keys are a list.
            if known && *number != KDF && attributes.iter().any(|(other, ..)| other == number) {
                return Err(alloc::format!("the attribute {number} twice"));
            }
            if attributes.len() == limits::SIM_ATTRIBUTES {
                return Err("more attributes than any message has".into());
            }
            if known {
                attributes.push((*number, at + 2, value));
            }
            at = end;
        }
        Ok(Attributes(attributes))
    }

    /// Whether nothing else is in it.
    ///
    /// # Errors
    /// What is.
    pub(super) fn only(&self, allowed: &[u8]) -> Result<(), String> {
        match self.0.iter().find(|(number, ..)| !allowed.contains(number)) {
            Some((number, ..)) => Err(alloc::format!("the attribute {number}, which has no place in this message")),
            None => Ok(()),
        }
    }

    pub(super) fn has(&self, number: u8) -> bool {
        self.get(number).is_some()
    }

    /// The value of an attribute.
    pub(super) fn get(&self, number: u8) -> Option<&'a [u8]> {
        self.0.iter().find(|(other, ..)| *other == number).map(|(.., value)| *value)
    }

    /// An octet string of this length, behind two octets that mean nothing.
    ///
    /// # Errors
    /// When it is of another length.
    pub(super) fn fixed<const N: usize>(&self, number: u8) -> Result<Option<[u8; N]>, String> {
        let Some(value) = self.get(number) else { return Ok(None) };
        let octets = value.get(2..).and_then(|octets| octets.try_into().ok());
        octets.map(Some).ok_or_else(|| alloc::format!("the attribute {number} has another length than {N} octets"))
    }

    /// An octet string that says how long it is; the rest is there for the alignment.
    ///
    /// # Errors
    /// When it lies.
    pub(super) fn counted(&self, number: u8) -> Result<Option<&'a [u8]>, String> {
        let Some(value) = self.get(number) else { return Ok(None) };
        let wrong = || alloc::format!("the attribute {number} is not as long as it says");
        let (length, octets) = value.split_first_chunk::<2>().ok_or_else(wrong)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let fits = octets.len() == length.next_multiple_of(4);
        octets.get(..length).filter(|_| fits).map(Some).ok_or_else(wrong)
    }

    /// A number of 16 bits.
    ///
    /// # Errors
    /// When it is of another length.
    pub(super) fn number(&self, number: u8) -> Result<Option<u16>, String> {
        Ok(self.numbers(number)?.first().copied())
    }

    /// Numbers of 16 bits, in all attributes of the type.
    ///
    /// # Errors
    /// When one is of another length.
    pub(super) fn numbers(&self, number: u8) -> Result<Vec<u16>, String> {
        let values = self.0.iter().filter(|(other, ..)| *other == number);
        let number = |value: &[u8]| value.try_into().ok().map(u16::from_be_bytes);
        let numbers = values.map(|(other, _, value)| {
            number(value).ok_or_else(|| alloc::format!("the attribute {other} is not a number of 16 bits"))
        });
        numbers.collect()
    }
}

fn number_is_known(number: u8) -> bool {
    matches!(number, RAND..=AUTS | PADDING | NONCE_MT | PERMANENT_ID_REQ..=FULLAUTH_ID_REQ | COUNTER..=KDF)
}

/// A message in the making.
pub(super) struct Draft(Vec<u8>);

impl Draft {
    pub(super) fn new(subtype: u8) -> Self {
        Draft(vec![subtype, 0, 0])
    }

    /// Attributes that will be encrypted.
    pub(super) fn inner() -> Self {
        Draft(Vec::new())
    }

    /// An attribute of this value, filled up with zeros.
    pub(super) fn put(mut self, number: u8, value: &[u8]) -> Self {
        let words = (2 + value.len()).div_ceil(4);
        let end = self.0.len() + 4 * words;
        // Names and lists are bounded far below the 1020 octets of an attribute.
        self.0.extend_from_slice(&[number, words as u8]);
        self.0.extend_from_slice(value);
        self.0.resize(end, 0);
        self
    }

    pub(super) fn fixed(self, number: u8, octets: &[u8]) -> Self {
        let value = [&[0, 0][..], octets].concat();
        self.put(number, &value)
    }

    pub(super) fn counted(self, number: u8, octets: &[u8]) -> Self {
        let value = [&(octets.len() as u16).to_be_bytes()[..], octets].concat();
        self.put(number, &value)
    }

    pub(super) fn number(self, number: u8, value: u16) -> Self {
        self.put(number, &value.to_be_bytes())
    }

    pub(super) fn when(self, condition: bool, then: impl FnOnce(Self) -> Self) -> Self {
        if condition { then(self) } else { self }
    }

    /// AT_IV and AT_ENCR_DATA with these attributes; without any, nothing.
    pub(super) fn sealed(self, keys: &Keys, iv: [u8; BLOCK], inner: Draft) -> Self {
        let padding = inner.0.len().next_multiple_of(BLOCK) - inner.0.len();
        let Draft(mut plain) = match padding {
            0 => inner,
            padding => inner.put(PADDING, &vec![0; padding - 2]),
        };
        keys.seal(&iv, &mut plain);
        self.fixed(IV, &iv).fixed(ENCR_DATA, &plain)
    }

    /// With a MAC, which covers `more` behind the message.
    pub(super) fn signed(self, keys: &Keys, kind: Kind, (code, identifier): (u8, u8), more: &[u8]) -> Vec<u8> {
        let Draft(mut data) = self.fixed(MAC, &[0; BLOCK]);
        let mac = keys.mac(&[&header(code, identifier, kind, data.len()), &data, more]);
        let at = data.len() - BLOCK;
        data.truncate(at);
        data.extend_from_slice(&mac);
        data
    }

    pub(super) fn plain(self) -> Vec<u8> {
        self.0
    }
}

/// The head of an EAP message with so much data behind the type.
fn header(code: u8, identifier: u8, kind: Kind, length: usize) -> [u8; 5] {
    let [high, low] = ((5 + length) as u16).to_be_bytes();
    [code, identifier, high, low, kind.number()]
}

/// A whole message, with the head of EAP.
pub(super) fn packet(heard: Heard<'_>, kind: Kind) -> Vec<u8> {
    [&header(heard.code, heard.identifier, kind, heard.data.len())[..], heard.data].concat()
}
