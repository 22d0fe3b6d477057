//! A sentence that needs no allocator, unless it is long.

use alloc::string::{String, ToString};
use core::fmt::{self, Write};
use core::ops::Deref;

/// Bytes of words that are kept where they are.
const ROOM: usize = 94;

/// Words for people, such as why something was refused.
#[derive(Clone)]
pub struct Words(Kept);

#[derive(Clone)]
enum Kept {
    Fixed(&'static str),
    Here(Here),
    /// What is longer than there is room here.
    Long(String),
}

#[derive(Clone)]
struct Here {
    bytes: [u8; ROOM],
    len: u8,
}

impl Words {
    /// What `format_args!` makes. Up to 94 bytes ask for no memory.
    pub fn of(args: fmt::Arguments<'_>) -> Self {
        if let Some(fixed) = args.as_str() {
            return Words(Kept::Fixed(fixed));
        }
        let mut here = Here { bytes: [0; ROOM], len: 0 };
        Words(if here.write_fmt(args).is_ok() { Kept::Here(here) } else { Kept::Long(args.to_string()) })
    }
}

impl Write for Here {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let end = start + text.len();
        self.bytes.get_mut(start..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end as u8;
        Ok(())
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Kept::Fixed(text) => text,
            // Whole strings were put there.
            Kept::Here(here) => str::from_utf8(&here.bytes[..usize::from(here.len)]).unwrap_or_default(),
            Kept::Long(text) => text,
        }
    }
}

impl From<&'static str> for Words {
    fn from(text: &'static str) -> Self {
        Words(Kept::Fixed(text))
    }
}

impl From<String> for Words {
    fn from(text: String) -> Self {
        Words(Kept::Long(text))
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Words {}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_wherever_they_are_kept() {
        for len in [0, 1, 93, 94, 95, 300] {
            let text = "é".repeat(len / 2) + if len % 2 == 1 { "x" } else { "" };
            let words = Words::of(format_args!("{text}"));
            assert_eq!((&*words, words.to_string()), (&*text, text.clone()));
            assert_eq!(matches!(words.0, Kept::Long(_)), len > ROOM, "{len}");
            assert_eq!(words, Words::from(text));
        }
        assert!(matches!(Words::of(format_args!("no numbers")).0, Kept::Fixed("no numbers")));
    }
}
