//! A VICI message: an ordered tree of sections, lists and key-value pairs.
//!
//! On the wire it is a flat run of elements, one type byte each:
//!
//! ```text
//! 1 SECTION_START  name          2 SECTION_END
//! 3 KEY_VALUE      name value
//! 4 LIST_START     name          5 LIST_ITEM value     6 LIST_END
//! ```
//!
//! A name has an 8-bit length, a value a 16-bit one. Values are bytes; what they mean is up to the command.

use std::fmt;

use zeroize::Zeroize;

use crate::limits::{MAX_DEPTH, MAX_ELEMENTS};

const SECTION_START: u8 = 1;
const SECTION_END: u8 = 2;
const KEY_VALUE: u8 = 3;
const LIST_START: u8 = 4;
const LIST_ITEM: u8 = 5;
const LIST_END: u8 = 6;

/// A section, or a whole message.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    items: Vec<(String, Value)>,
}

/// What a name stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A single value.
    Data(Vec<u8>),
    /// Several values.
    List(Vec<Vec<u8>>),
    /// A section.
    Section(Message),
}

/// Why bytes are not a message or packet, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset of the byte that does not fit.
    pub offset: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A name of more than 255 bytes or a value of more than 65535.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong(pub String);

/// Keys and passwords may be among the values.
impl Drop for Message {
    fn drop(&mut self) {
        for (_, value) in &mut self.items {
            match value {
                Value::Data(data) => data.zeroize(),
                Value::List(items) => items.zeroize(),
                Value::Section(_) => {}
            }
        }
    }
}

impl Message {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a key-value pair at its end.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.put(name, value);
        self
    }

    /// Adds a key-value pair at the end.
    pub fn put(&mut self, name: &str, value: impl ToString) {
        self.items.push((name.to_owned(), Value::Data(value.to_string().into_bytes())));
    }

    /// The same with bytes at its end.
    #[must_use]
    pub fn with_data(mut self, name: &str, data: &[u8]) -> Self {
        self.items.push((name.to_owned(), Value::Data(data.to_vec())));
        self
    }

    /// Adds a list at the end.
    pub fn put_list<T: ToString>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        let values = values.into_iter().map(|value| value.to_string().into_bytes()).collect();
        self.items.push((name.to_owned(), Value::List(values)));
    }

    /// Adds values to the list of this name, which is made at the end if there is none.
    pub fn extend_list<T: ToString>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        let mut lists = self.items.iter_mut().filter(|(known, _)| known == name);
        match lists.find_map(|(_, value)| if let Value::List(items) = value { Some(items) } else { None }) {
            Some(items) => items.extend(values.into_iter().map(|value| value.to_string().into_bytes())),
            None => self.put_list(name, values),
        }
    }

    /// Adds a section at the end.
    pub fn put_section(&mut self, name: &str, section: Message) {
        self.items.push((name.to_owned(), Value::Section(section)));
    }

    /// Everything, in order.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.items.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The first key-value pair of this name as text; `None` also when it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.data(name)?).ok()
    }

    /// The first key-value pair of this name as bytes.
    pub fn data(&self, name: &str) -> Option<&[u8]> {
        self.items().find_map(|(n, value)| match value {
            Value::Data(data) if n == name => Some(&data[..]),
            _ => None,
        })
    }

    /// The first list of this name as text; `None` also when an item is not UTF-8.
    pub fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.items().find_map(|(n, value)| match value {
            Value::List(items) if n == name => items.iter().map(|item| std::str::from_utf8(item).ok()).collect(),
            _ => None,
        })
    }

    /// The first section of this name.
    pub fn section(&self, name: &str) -> Option<&Message> {
        self.sections().find_map(|(n, section)| (n == name).then_some(section))
    }

    /// Every section, in order.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Message)> {
        self.items().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name, section)),
            _ => None,
        })
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// When an element is unknown, cut short or out of place, or a bound is passed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, offset: 0 };
        // The innermost open section is last; each comes with the name under which its parent takes it.
        let mut open: Vec<(String, Message)> = vec![(String::new(), Message::new())];
        let mut elements = 0;
        while let Some(kind) = reader.byte() {
            let start = reader.offset - 1;
            let malformed = |what| Malformed { offset: start, what };
            elements += 1;
            if elements > MAX_ELEMENTS {
                return Err(malformed("too many elements"));
            }
            let (_, current) = open.last_mut().ok_or(malformed("a section ends that was not begun"))?;
            match kind {
                SECTION_START => {
                    if open.len() > MAX_DEPTH {
                        return Err(malformed("sections are nested too deeply"));
                    }
                    open.push((reader.name()?, Message::new()));
                }
                SECTION_END => {
                    let (name, section) = open.pop().ok_or(malformed("a section ends that was not begun"))?;
                    let (_, parent) = open.last_mut().ok_or(malformed("a section ends that was not begun"))?;
                    parent.items.push((name, Value::Section(section)));
                }
                KEY_VALUE => {
                    let name = reader.name()?;
                    current.items.push((name, Value::Data(reader.value()?)));
                }
                LIST_START => {
                    let name = reader.name()?;
                    current.items.push((name, Value::List(reader.list_items(&mut elements)?)));
                }
                LIST_ITEM | LIST_END => return Err(malformed("a list element outside of a list")),
                _ => return Err(malformed("unknown element type")),
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some((_, message)), true) => Ok(message),
            _ => Err(Malformed { offset: bytes.len(), what: "a section is not ended" }),
        }
    }

    /// Appends the elements to `out`.
    ///
    /// # Errors
    /// When a name or value is longer than its length field can say; `out` then holds a part of the message.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        for (name, value) in &self.items {
            match value {
                Value::Data(data) => {
                    emit_name(out, KEY_VALUE, name)?;
                    emit_value(out, name, data)?;
                }
                Value::List(items) => {
                    emit_name(out, LIST_START, name)?;
                    for item in items {
                        out.push(LIST_ITEM);
                        emit_value(out, name, item)?;
                    }
                    out.push(LIST_END);
                }
                Value::Section(section) => {
                    emit_name(out, SECTION_START, name)?;
                    section.emit(out)?;
                    out.push(SECTION_END);
                }
            }
        }
        Ok(())
    }
}

fn emit_name(out: &mut Vec<u8>, kind: u8, name: &str) -> Result<(), TooLong> {
    let len = u8::try_from(name.len()).map_err(|_| TooLong(name.to_owned()))?;
    out.extend([kind, len]);
    out.extend(name.as_bytes());
    Ok(())
}

fn emit_value(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), TooLong> {
    let len = u16::try_from(value.len()).map_err(|_| TooLong(name.to_owned()))?;
    out.extend(len.to_be_bytes());
    out.extend(value);
    Ok(())
}

/// A cursor that never reads past the end.
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.offset)?;
        self.offset += 1;
        Some(byte)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.rest().get(..len).ok_or(Malformed { offset: self.offset, what: "cut short" })?;
        self.offset += len;
        Ok(taken)
    }

    pub(crate) fn name(&mut self) -> Result<String, Malformed> {
        let offset = self.offset;
        let len = self.byte().ok_or(Malformed { offset, what: "cut short" })?;
        let name = self.take(usize::from(len))?;
        String::from_utf8(name.to_vec()).map_err(|_| Malformed { offset, what: "a name is not UTF-8" })
    }

    fn value(&mut self) -> Result<Vec<u8>, Malformed> {
        let len = match *self.take(2)? {
            [high, low] => u16::from_be_bytes([high, low]),
            _ => 0,
        };
        Ok(self.take(usize::from(len))?.to_vec())
    }

    fn list_items(&mut self, elements: &mut usize) -> Result<Vec<Vec<u8>>, Malformed> {
        let mut items = Vec::new();
        loop {
            let offset = self.offset;
            *elements += 1;
            match self.byte() {
                _ if *elements > MAX_ELEMENTS => return Err(Malformed { offset, what: "too many elements" }),
                Some(LIST_ITEM) => items.push(self.value()?),
                Some(LIST_END) => return Ok(items),
                Some(_) => return Err(Malformed { offset, what: "not a list item inside of a list" }),
                None => return Err(Malformed { offset, what: "a list is not ended" }),
            }
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.items()).finish()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Data(data) => write!(f, "{:?}", String::from_utf8_lossy(data)),
            Value::List(items) => f.debug_list().entries(items.iter().map(|i| String::from_utf8_lossy(i))).finish(),
            Value::Section(section) => section.fmt(f),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed at byte {}: {}", self.offset, self.what)
    }
}

impl std::error::Error for Malformed {}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name or the value of `{}` is too long for a message", self.0)
    }
}

impl std::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Message {
        let mut message = Message::new().with("success", "yes");
        message.put_list("argv", ["ipsec", "netstat"]);
        let mut inner = Message::new();
        inner.put_section("deeper", Message::new().with("k", ""));
        message.put_section("sas", inner);
        message
    }

    fn bytes(message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        message.emit(&mut out).unwrap();
        out
    }

    #[test]
    fn survives_the_wire() {
        let message = sample();
        assert_eq!(Message::parse(&bytes(&message)), Ok(message));
        assert_eq!(Message::parse(&[]), Ok(Message::new()));
    }

    #[test]
    fn every_cut_is_refused_or_a_shorter_message() {
        let whole = bytes(&sample());
        for len in 0..whole.len() {
            if let Ok(part) = Message::parse(&whole[..len]) {
                assert_eq!(bytes(&part), whole[..len], "a cut at {len} was read as something else");
            }
        }
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let whole = bytes(&sample());
        for at in 0..whole.len() {
            for flip in 1..=u8::MAX {
                let mut bent = whole.clone();
                bent[at] ^= flip;
                if let Ok(message) = Message::parse(&bent) {
                    assert_eq!(bytes(&message), bent);
                }
            }
        }
    }

    #[test]
    fn out_of_place_elements_are_named() {
        let what = |bytes: &[u8]| Message::parse(bytes).unwrap_err().what;
        assert_eq!(what(&[SECTION_END]), "a section ends that was not begun");
        assert_eq!(what(&[SECTION_START, 1, b'a']), "a section is not ended");
        assert_eq!(what(&[LIST_ITEM, 0, 0]), "a list element outside of a list");
        assert_eq!(
            what(&[LIST_START, 1, b'a', KEY_VALUE, 1, b'b', 0, 0, LIST_END]),
            "not a list item inside of a list"
        );
        assert_eq!(what(&[LIST_START, 1, b'a']), "a list is not ended");
        assert_eq!(what(&[9]), "unknown element type");
        assert_eq!(what(&[KEY_VALUE, 1, b'a', 0, 2, b'x']), "cut short");
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |depth: usize| [[SECTION_START, 1, b'a'].repeat(depth), vec![SECTION_END; depth]].concat();
        assert!(Message::parse(&deep(MAX_DEPTH)).is_ok());
        assert_eq!(Message::parse(&deep(MAX_DEPTH + 1)).unwrap_err().what, "sections are nested too deeply");
    }

    #[test]
    fn oversized_values_are_refused_when_emitted() {
        let message = Message::new().with("k", "x".repeat(65536));
        assert_eq!(message.emit(&mut Vec::new()), Err(TooLong("k".into())));
    }
}
