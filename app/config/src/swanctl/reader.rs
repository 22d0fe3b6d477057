//! Reading the options of a section: each is taken, or refused by name; what nobody asks for is unknown.

use std::time::Duration;

use super::tree::{At, Named, Section, Setting};
use crate::remark::Remark;
use crate::value::did_you_mean;

/// Errors beyond this many are not collected.
const MAX_PROBLEMS: usize = 20;

/// What is wrong with a configuration.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Remark>);

impl Problems {
    /// One more.
    pub fn add(&mut self, remark: Remark) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(remark);
        }
    }

    /// The value, unless something is wrong with it.
    pub fn take<T>(&mut self, result: Result<T, Remark>) -> Option<T> {
        result.map_err(|remark| self.add(remark)).ok()
    }
}

/// One section whose options are taken one by one.
pub struct Reader<'a> {
    section: &'a Section,
    at: &'a At,
    asked: Vec<&'static str>,
    /// What is wrong so far.
    pub problems: &'a mut Problems,
}

impl<'a> Reader<'a> {
    /// A reader of `section`, which begins at `at`.
    pub fn new(section: &'a Section, at: &'a At, problems: &'a mut Problems) -> Self {
        Reader { section, at, asked: Vec::new(), problems }
    }

    /// An option as it is.
    pub fn setting(&mut self, name: &'static str) -> Option<&'a Setting> {
        self.asked.push(name);
        // An empty assignment clears a value.
        self.section.setting(name).filter(|setting| setting.bytes().map_or(true, |bytes| !bytes.is_empty()))
    }

    /// An option read by `read`, which says what it expected.
    pub fn value<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let setting = self.setting(name)?;
        let value = setting.text().and_then(|text| read(text.trim()).map_err(|what| setting.wrong(what)));
        self.problems.take(value)
    }

    /// A list of which each item is read by `read`.
    pub fn list<T>(&mut self, name: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let setting = self.setting(name)?;
        let items = setting.items().and_then(|items| {
            let items = items.iter().map(|item| read(item).map_err(|what| setting.wrong(what)));
            items.collect::<Result<Vec<T>, Remark>>()
        });
        self.problems.take(items)
    }

    /// Files, each as a whole, read by `read`, which says what is wrong with one.
    pub fn files<T>(&mut self, name: &'static str, read: impl Fn(&[u8]) -> Result<T, String>) -> Vec<T> {
        let Some(setting) = self.setting(name) else { return Vec::new() };
        let read = |bytes: &[u8]| read(bytes).map_err(|what| setting.wrong(what));
        let files = setting.blobs().into_iter().map(read).collect::<Result<Vec<T>, Remark>>();
        self.problems.take(files).unwrap_or_default()
    }

    /// An option that is one of these words.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.value(name, |text| {
            let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
            let known = words.iter().map(|(word, _)| *word);
            found.ok_or_else(|| format!("expected {}", known.collect::<Vec<_>>().join(", ")))
        })
    }

    /// `yes` or `no`.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.value(name, flag)
    }

    /// An option that has a meaning here only with these values; others are refused, with the reason.
    pub fn only(&mut self, name: &'static str, values: &[&str], why: &str) {
        let Some(setting) = self.setting(name) else { return };
        let fits = setting.text().is_ok_and(|text| values.iter().any(|value| value.eq_ignore_ascii_case(text.trim())));
        if !fits {
            self.problems.add(setting.at.remark(format!("`{name}` is not supported with this value: {why}")));
        }
    }

    /// Options that are refused whenever they are there.
    pub fn refuse(&mut self, names: &[&'static str], why: &str) {
        for name in names {
            self.only(name, &[], why);
        }
    }

    /// Something is wrong with the section as a whole.
    pub fn wrong(&mut self, what: impl Into<String>) {
        let remark = self.at.remark(what);
        self.problems.add(remark);
    }

    /// Everything was asked for: what is left is unknown. The sections that are known begin with one of `sections`.
    pub fn finish(self, sections: &[&str]) {
        let known = |name: &str| self.asked.contains(&name);
        for setting in self.section.settings.iter().filter(|setting| !known(&setting.name)) {
            let hint = did_you_mean(&setting.name, self.asked.iter().copied());
            self.problems.add(setting.at.remark(format!("unknown option: {}{hint}", setting.name)));
        }
        let known = |name: &str| sections.iter().any(|prefix| name.starts_with(prefix));
        for named in self.section.sections.iter().filter(|named| !known(&named.name)) {
            self.problems.add(unknown_section(named, sections));
        }
    }
}

/// A section of a name that means nothing.
pub fn unknown_section(named: &Named, known: &[&str]) -> Remark {
    let hint = did_you_mean(&named.name, known.iter().copied());
    named.at.remark(format!("unknown section: {}{hint}", named.name))
}

/// `yes`, `no` and their other spellings.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "enabled" | "1" => Ok(true),
        "no" | "false" | "disabled" | "0" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

/// A time: seconds, or with the unit s, m, h or d.
pub fn time(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time, like 30, 30s, 5m, 2h or 1d".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds: u64 = match unit.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    let total = number.checked_mul(seconds).filter(|total| *total <= 315_360_000);
    total.map(Duration::from_secs).ok_or_else(|| "expected a time of at most ten years".to_owned())
}

/// A number, with the unit k, m or g of 1024.
pub fn count(text: &str) -> Result<u64, String> {
    let expected = || "expected a number".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(1024u64.pow(power)).ok_or_else(expected)
}
