//! Words of a script with their places, statement by statement.

use super::Fault;
use crate::remark::Place;

/// Words in one statement: a policy with two rules has a dozen.
const MAX_WORDS: usize = 64;

/// One word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    /// Without its quotes.
    pub(super) text: &'a str,
    /// Whether it stood in quotes.
    pub(super) quoted: bool,
    pub(super) place: Place,
}

impl Word<'_> {
    /// Something is wrong with it.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        (self.place, message.into())
    }

    /// Something is wrong from this byte of it on.
    pub(super) fn fault_at(&self, offset: usize, message: impl Into<String>) -> Fault {
        let before = self.text.get(..offset).unwrap_or(self.text).chars().count();
        (Place { column: self.place.column + before + usize::from(self.quoted), ..self.place }, message.into())
    }
}

/// The words of one statement, taken one by one.
#[derive(Debug)]
pub(super) struct Words<'a> {
    words: Vec<Word<'a>>,
    at: usize,
    /// Where the statement ends: what is missing should stand there.
    end: Place,
}

impl<'a> Words<'a> {
    /// Where it begins.
    pub(super) fn begin(&self) -> Place {
        self.words.first().map_or(self.end, |word| word.place)
    }

    /// The next word, which must be there.
    pub(super) fn next(&mut self, expected: &str) -> Result<Word<'a>, Fault> {
        let word = self.words.get(self.at).copied().ok_or_else(|| self.missing(expected))?;
        self.at += 1;
        Ok(word)
    }

    /// The next word if it is one that `fits`.
    pub(super) fn next_if(&mut self, fits: impl Fn(&Word<'a>) -> bool) -> Option<Word<'a>> {
        let word = self.words.get(self.at).copied().filter(fits)?;
        self.at += 1;
        Some(word)
    }

    /// Something is missing at the end.
    pub(super) fn missing(&self, expected: &str) -> Fault {
        (self.end, format!("expected {expected}"))
    }

    /// Whether there is a next one.
    pub(super) fn more(&self) -> bool {
        self.at < self.words.len()
    }

    /// There must be no more.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        match self.words.get(self.at) {
            Some(word) if word.quoted => Err(word.fault("expected ; in front of this text")),
            Some(word) => Err(word.fault(format!("expected ; in front of `{}`", word.text))),
            None => Ok(()),
        }
    }
}

/// Splits a script into statements, which end with `;`. `#` begins a comment, `"` a text up to the next one.
pub(super) fn statements(text: &str) -> impl Iterator<Item = Result<Words<'_>, Fault>> {
    let mut scanner = Scanner { rest: text, place: Place { line: 1, column: 1 } };
    std::iter::from_fn(move || scanner.statement())
}

struct Scanner<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self) {
        let mut characters = self.rest.chars();
        self.place = match characters.next() {
            Some('\n') => Place { line: self.place.line + 1, column: 1 },
            Some(_) => Place { column: self.place.column + 1, ..self.place },
            None => self.place,
        };
        self.rest = characters.as_str();
    }

    /// Up to the first character that does not belong.
    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let begin = self.rest;
        while self.peek().is_some_and(&belongs) {
            self.skip();
        }
        begin.get(..begin.len() - self.rest.len()).unwrap_or_default()
    }

    /// The next statement; the end of the script is that of the last one too.
    fn statement(&mut self) -> Option<Result<Words<'a>, Fault>> {
        let mut words = Vec::new();
        let mut fault = None;
        loop {
            self.take_while(char::is_whitespace);
            let place = self.place;
            match self.peek() {
                None if words.is_empty() && fault.is_none() => return None,
                None => {
                    fault.get_or_insert((place, "expected ; at the end of the statement".to_owned()));
                    break;
                }
                Some(';') => {
                    self.skip();
                    if words.is_empty() && fault.is_none() {
                        continue;
                    }
                    return Some(fault.map_or(Ok(Words { words, at: 0, end: place }), Err));
                }
                Some('#') => {
                    self.take_while(|c| c != '\n');
                }
                Some('"') => {
                    self.skip();
                    let text = self.take_while(|c| c != '"' && c != '\n');
                    if self.peek() != Some('"') {
                        fault.get_or_insert((place, "the quote \" is not closed on its line".to_owned()));
                        continue;
                    }
                    self.skip();
                    words.push(Word { text, quoted: true, place });
                }
                Some(_) => {
                    let text = self.take_while(|c| !c.is_whitespace() && !";#\"".contains(c));
                    words.push(Word { text, quoted: false, place });
                }
            }
            if words.len() > MAX_WORDS {
                words.pop();
                fault.get_or_insert((place, format!("a statement has at most {MAX_WORDS} words; is a ; missing?")));
            }
        }
        fault.map(Err)
    }
}
