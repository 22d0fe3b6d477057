//! Sections and settings with their places: what a file in strongSwan's syntax comes to, and a message of VICI too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroize;

use crate::remark::{Place, Remark};

/// A place in a file, or in a message, which has no lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file; of a message it is `vici`.
    pub file: Arc<Path>,
    /// Where in it; `None`: a message.
    pub place: Option<Place>,
}

impl At {
    /// Somewhere in a message.
    pub fn message() -> Self {
        At { file: Arc::from(Path::new("vici")), place: None }
    }

    /// A remark about this place.
    pub fn remark(&self, message: impl Into<String>) -> Remark {
        let place = self.place.unwrap_or(Place { line: 0, column: 0 });
        Remark { file: PathBuf::from(&*self.file), place, message: message.into() }
    }
}

/// A named value, or a list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub name: String,
    /// Bytes, since a key or a certificate may be among them. A file has one value, which may be a list for who reads it.
    pub values: Values,
    /// Where the value begins.
    pub at: At,
}

/// What stands behind a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// One value: of a list, the items are separated by commas.
    One(Vec<u8>),
    /// A list of values.
    List(Vec<Vec<u8>>),
}

/// Settings and sections, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The settings, no two of one name.
    pub settings: Vec<Setting>,
    /// The sections inside, no two of one name.
    pub sections: Vec<Named>,
}

/// A section with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Where it begins first.
    pub at: At,
    /// What is in it.
    pub section: Section,
}

/// Keys and passwords may be among the values.
impl Drop for Setting {
    fn drop(&mut self) {
        match &mut self.values {
            Values::One(value) => value.zeroize(),
            Values::List(values) => values.zeroize(),
        }
    }
}

impl Setting {
    /// The value as text.
    ///
    /// # Errors
    /// When it is a list, or not UTF-8.
    pub fn text(&self) -> Result<&str, Remark> {
        match &self.values {
            Values::One(value) => {
                std::str::from_utf8(value).map_err(|_| self.at.remark(format!("`{}` is not UTF-8 text", self.name)))
            }
            Values::List(_) => Err(self.at.remark(format!("`{}` takes one value, not a list", self.name))),
        }
    }

    /// The value as bytes.
    ///
    /// # Errors
    /// When it is a list.
    pub fn bytes(&self) -> Result<&[u8], Remark> {
        match &self.values {
            Values::One(value) => Ok(value),
            Values::List(_) => Err(self.at.remark(format!("`{}` takes one value, not a list", self.name))),
        }
    }

    /// The items of a list as texts without blanks around them.
    ///
    /// # Errors
    /// When one is not UTF-8.
    pub fn items(&self) -> Result<Vec<String>, Remark> {
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map(|text| text.trim().to_owned());
            text.map_err(|_| self.at.remark(format!("`{}` is not UTF-8 text", self.name)))
        };
        let items: Result<Vec<String>, Remark> = match &self.values {
            Values::One(value) => value.split(|byte| *byte == b',').map(text).collect(),
            Values::List(values) => values.iter().map(|value| text(value)).collect(),
        };
        Ok(items?.into_iter().filter(|item| !item.is_empty()).collect())
    }

    /// The items of a list as bytes, each a file as it is. A file is one value, whatever is in it.
    pub fn blobs(&self) -> Vec<&[u8]> {
        match &self.values {
            Values::One(value) => vec![value],
            Values::List(values) => values.iter().map(Vec::as_slice).collect(),
        }
    }

    /// A remark about this setting.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Remark {
        self.at.remark(format!("invalid value for: {}, {what}", self.name))
    }
}

impl Section {
    /// The setting of this name.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Named> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Sets a value; an earlier one of this name is replaced in its place.
    pub fn set(&mut self, setting: Setting) {
        match self.settings.iter_mut().find(|known| known.name == setting.name) {
            Some(known) => *known = setting,
            None => self.settings.push(setting),
        }
    }

    /// Adds a setting of one value at the end.
    pub fn add(&mut self, name: &str, value: &str, at: &At) {
        let values = Values::One(value.as_bytes().to_vec());
        self.settings.push(Setting { name: name.to_owned(), values, at: at.clone() });
    }

    /// The section of this name, made at the end if there is none.
    pub fn open(&mut self, name: &str, at: &At) -> &mut Section {
        let index = self.sections.iter().rposition(|section| section.name == name).unwrap_or_else(|| {
            self.sections.push(Named { name: name.to_owned(), at: at.clone(), section: Section::default() });
            self.sections.len() - 1
        });
        &mut self.sections[index].section
    }

    /// Settings and sections in it and below.
    pub fn count(&self) -> usize {
        self.settings.len() + self.sections.iter().map(|named| 1 + named.section.count()).sum::<usize>()
    }
}
