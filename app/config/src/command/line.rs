//! A command line that is being written.

use std::fmt::{self, Display};
use std::time::Duration;

/// A command line, argument by argument. It prints as a file of commands has it, with quotes where they are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<String>);

impl Line {
    pub(super) fn of(words: &str) -> Self {
        Line(words.split_whitespace().map(str::to_owned).collect())
    }

    pub(super) fn flag(&mut self, flag: &str, when: bool) {
        if when {
            self.0.push(flag.to_owned());
        }
    }

    pub(super) fn value(&mut self, flag: &str, value: impl Display) {
        self.0.extend([flag.to_owned(), value.to_string()]);
    }

    pub(super) fn optional(&mut self, flag: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(flag, value);
        }
    }

    /// Words that stand between spaces.
    pub(super) fn words(&mut self, words: &str) {
        self.0.extend(words.split_whitespace().map(str::to_owned));
    }

    /// Names that stand between commas, unless there are none.
    pub(super) fn list(&mut self, flag: &str, names: &[String]) {
        if !names.is_empty() {
            self.value(flag, names.join(","));
        }
    }

    /// The arguments.
    pub fn arguments(&self) -> &[String] {
        &self.0
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

/// As [`crate::rc`] reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.,:;=/@+%".contains(c);
    match word.contains('\'') {
        _ if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
        false => format!("'{word}'"),
        true => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// A time without loss: the shortest number that stands for the same.
pub(super) fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}
