//! The way through received bytes: every step is checked and becomes a field; what is missing becomes a problem, and the
//! caller goes on with what it has.

use crate::field::{Field, Problem, Secrecy, Value};

/// A stretch of a packet that is being read.
pub(crate) struct Scope<'a, 'p> {
    rest: &'a [u8],
    at: usize,
    /// What was read so far.
    pub fields: Vec<Field>,
    /// Shared by all scopes of a layer.
    pub problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Scope<'a, 'p> {
    /// Reads `data`, which begins at offset `at` of the layer.
    pub fn new(data: &'a [u8], at: usize, problems: &'p mut Vec<Problem>) -> Self {
        Scope { rest: data, at, fields: Vec::new(), problems }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is left to read.
    pub fn peek(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Notes that something is wrong at the next byte.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problem_at(self.at, text);
    }

    /// Notes that something is wrong.
    pub fn problem_at(&mut self, at: usize, text: impl Into<String>) {
        self.problems.push(Problem { at, text: text.into() });
    }

    fn take(&mut self, len: usize, name: &str) -> Option<(usize, &'a [u8])> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            let left = self.rest.len();
            let what = name.rsplit('.').next().unwrap_or(name).replace('_', " ");
            self.problem(format!("the field `{what}` takes {len} bytes, and {left} are left"));
            return None;
        };
        let at = self.at;
        (self.rest, self.at) = (rest, at + len);
        Some((at, taken))
    }

    /// A number of `len` bytes, at most 8; `text` makes its line.
    pub fn number(&mut self, name: &'static str, len: usize, text: impl FnOnce(u64) -> String) -> Option<u64> {
        let (at, bytes) = self.take(len, name)?;
        let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        self.push(Field { value: Value::Number(number), ..Field::plain(name, at, bytes, text(number)) });
        Some(number)
    }

    /// `len` bytes.
    pub fn bytes(&mut self, name: &'static str, len: usize, text: impl Into<String>) -> Option<&'a [u8]> {
        let (at, bytes) = self.take(len, name)?;
        self.push(Field::plain(name, at, bytes, text.into()));
        Some(bytes)
    }

    /// `len` bytes that have a meaning as a text, such as an address.
    pub fn text(&mut self, name: &'static str, len: usize, text: impl FnOnce(&[u8]) -> (String, String)) -> Option<()> {
        let (at, bytes) = self.take(len, name)?;
        let (value, line) = text(bytes);
        self.push(Field { value: Value::Text(value), ..Field::plain(name, at, bytes, line) });
        Some(())
    }

    /// The last field gets one more part, which has no line of its own.
    pub fn part(&mut self, name: &'static str, value: Value, bytes: &[u8]) {
        if let Some(last) = self.fields.last_mut() {
            let at = last.at;
            last.children.push(Field { value, ..Field::plain(name, at, bytes, String::new()) });
        }
    }

    /// A part that is a number.
    pub fn bits(&mut self, name: &'static str, number: u64) {
        self.part(name, Value::Number(number), &[]);
    }

    /// Whatever is left.
    pub fn remainder(&mut self, name: &'static str, text: impl Into<String>) -> &'a [u8] {
        self.bytes(name, self.rest.len(), text).unwrap_or_default()
    }

    /// Takes away the line of the field of this name, since its content has lines of its own.
    pub fn hush(&mut self, name: &str) {
        for field in self.fields.iter_mut().filter(|field| field.name == name) {
            field.text.clear();
        }
    }

    /// Passes over bytes that were read in another form.
    pub fn skip(&mut self, len: usize) {
        let (skipped, rest) = self.rest.split_at(len.min(self.rest.len()));
        (self.rest, self.at) = (rest, self.at + skipped.len());
    }

    /// Raises the secrecy of the last field.
    pub fn last_is(&mut self, secrecy: Secrecy) {
        if let Some(last) = self.fields.last_mut() {
            last.secrecy = last.secrecy.max(secrecy);
        }
    }

    /// The next `len` bytes, or what is there of them, as a scope of their own, read by `read` into a group. Where `read`
    /// stops early, it has left a problem behind, and what it did not read becomes one more field.
    pub fn group(
        &mut self,
        name: &'static str,
        value: Value,
        len: usize,
        read: impl FnOnce(&mut Scope<'a, '_>) -> Option<()>,
    ) {
        let (inside, rest) = self.rest.split_at(len.min(self.rest.len()));
        let mut scope = Scope { rest: inside, at: self.at, fields: Vec::new(), problems: self.problems };
        let _ = read(&mut scope);
        if !scope.is_empty() {
            scope.remainder("isakmp.extradata", "Extra data");
        }
        let children = scope.fields;
        let group = Field { value, children, ..Field::plain(name, self.at, &[], String::new()) };
        (self.rest, self.at) = (rest, self.at + inside.len());
        self.fields.push(group);
    }

    /// Adds a field that was put together elsewhere.
    pub fn push(&mut self, field: Field) {
        self.fields.push(field);
    }
}

impl Field {
    /// A group of fields.
    pub(crate) fn group(name: &'static str, at: usize, children: Vec<Field>) -> Field {
        Field { children, ..Field::plain(name, at, &[], String::new()) }
    }

    fn plain(name: &'static str, at: usize, bytes: &[u8], text: String) -> Field {
        Field {
            name,
            at,
            bytes: bytes.to_vec(),
            value: Value::Bytes,
            text,
            secrecy: Secrecy::Open,
            children: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_and_what_is_there_is_kept() {
        let mut problems = Vec::new();
        let mut scope = Scope::new(&[1, 2, 3], 0x10, &mut problems);
        assert_eq!(scope.number("a", 2, |n| format!("A - {n}")), Some(0x0102));
        assert_eq!(scope.number("b", 4, |_| String::new()), None);
        assert_eq!(scope.remainder("c", "rest"), [3]);
        assert_eq!(scope.fields.iter().map(|f| (f.name, f.at)).collect::<Vec<_>>(), [("a", 0x10), ("c", 0x12)]);
        assert_eq!(problems[0].at, 0x12);
        assert_eq!(problems[0].text, "the field `b` takes 4 bytes, and 1 are left");
    }

    #[test]
    fn a_group_never_reaches_beyond_itself() {
        let mut problems = Vec::new();
        let mut scope = Scope::new(&[1, 2, 3, 4], 0, &mut problems);
        scope.group("g", Value::Bytes, 2, |scope| {
            scope.number("one", 1, |_| String::new());
            scope.number("long", 2, |_| String::new()).map(drop)
        });
        scope.group("h", Value::Bytes, 100, |scope| {
            scope.remainder("rest", "");
            Some(())
        });
        assert!(scope.is_empty());
        let inside: Vec<_> = scope.fields.iter().flat_map(|g| g.children.iter().map(|f| f.name)).collect();
        assert_eq!(inside, ["one", "isakmp.extradata", "rest"]);
    }
}
