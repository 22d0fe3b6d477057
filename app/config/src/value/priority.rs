//! Priorities behind `-l`: the seven levels of document 003, and what lies between them.

use std::fmt;

use ravelin_types::policy::PriorityLevel;

use super::BadValue;

/// A place in the order of the SPD: a level, or a number between two levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u32);

const NAMES: [&str; 7] = ["highest", "high", "med-high", "medium", "med-low", "low", "lowest"];

impl Priority {
    /// As the SPD takes it: lower numbers are consulted first.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl From<u32> for Priority {
    fn from(number: u32) -> Self {
        Priority(number)
    }
}

impl From<PriorityLevel> for Priority {
    fn from(level: PriorityLevel) -> Self {
        Priority(level.priority())
    }
}

/// A priority: 1 to 7, the name of a level, or a number from 1000 on, where level n is n thousand.
///
/// # Errors
/// When it is none of these.
pub fn priority(text: &str) -> Result<Priority, BadValue> {
    let named = NAMES.iter().zip(PriorityLevel::ALL).find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, level)) = named {
        return Ok(level.into());
    }
    let number = text.parse::<u32>().ok();
    let level = number.and_then(PriorityLevel::from_number).map(Priority::from);
    level.or(number.filter(|number| *number >= PriorityLevel::STEP).map(Priority)).ok_or_else(|| {
        BadValue::new(
            "expected 1 (consulted first) to 7, highest to lowest, or a number from 1000 on: 4500 is between 4 and 5",
        )
    })
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PriorityLevel::ALL.into_iter().find(|level| level.priority() == self.0) {
            Some(level) => write!(f, "{}", level as u32),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_numbers_and_names_and_room_between_them() {
        for (text, number, shown) in [
            ("1", 1000, "1"),
            ("7", 7000, "7"),
            ("Highest", 1000, "1"),
            ("med-high", 3000, "3"),
            ("lowest", 7000, "7"),
            ("4500", 4500, "4500"),
            ("4000", 4000, "4"),
            ("4294967295", u32::MAX, "4294967295"),
        ] {
            let parsed = priority(text).unwrap();
            assert_eq!((parsed.number(), parsed.to_string().as_str()), (number, shown), "{text}");
        }
        for text in ["0", "8", "999", "4294967296", "-1", "middle", ""] {
            assert!(priority(text).is_err(), "{text}");
        }
    }
}
