//! Marks of the host on packets.

use ravelin_types::mark::{Marks, PolicyMark};
use ravelin_types::options::Mark;

use super::BadValue;

/// `42`, `0x2a`, `0x2a/0xff`: with a mask only its bits are meant.
///
/// # Errors
/// What was expected.
pub fn mark(text: &str) -> Result<Mark, BadValue> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let (value, mask) = text.split_once('/').map_or((number(text), Some(u32::MAX)), |(v, m)| (number(v), number(m)));
    match (value, mask) {
        (Some(value), Some(mask)) if value & !mask == 0 => Ok(Mark { value, mask }),
        (Some(_), Some(_)) => Err(BadValue::new("the mark has bits that its mask leaves out")),
        _ => Err(BadValue::new("expected a mark: 42, 0x2a, or 0x2a/0xff")),
    }
}

/// A mark, `%unique`, or `%unique-dir`; one without bits is any.
///
/// # Errors
/// What was expected.
pub fn of_policy(text: &str) -> Result<PolicyMark, BadValue> {
    match text {
        "%unique" => Ok(PolicyMark::Unique),
        "%unique-dir" => Ok(PolicyMark::UniqueDir),
        masked if masked.starts_with("%unique") && masked.contains('/') => {
            Err(BadValue::new("a unique mark is told apart by all of its bits: leave the mask out"))
        }
        text => mark(text).map(|mark| Some(mark).filter(|mark| mark.mask != 0).into()).map_err(|error| {
            BadValue::new(format!("{}; or %unique, or %unique-dir for one in each direction", error.message))
        }),
    }
}

/// `MARK` for both directions, or `IN,OUT`.
///
/// # Errors
/// What was expected.
pub fn marks(text: &str) -> Result<Marks, BadValue> {
    match text.split_once(',') {
        None => of_policy(text).map(Marks::both),
        Some((inbound, outbound)) => Ok(Marks { inbound: of_policy(inbound)?, outbound: of_policy(outbound)? }),
    }
}

/// As [`mark`] reads it.
pub fn written(mark: Mark) -> String {
    format!("{:#x}/{:#x}", mark.value, mark.mask)
}

/// As [`marks`] reads it. A direction without one has a mark without bits.
pub fn marks_written(marks: Marks) -> String {
    let one = |mark: PolicyMark| match mark {
        PolicyMark::Any => "0/0".to_owned(),
        PolicyMark::Is(mark) => written(mark),
        PolicyMark::Unique => "%unique".to_owned(),
        PolicyMark::UniqueDir => "%unique-dir".to_owned(),
    };
    let (inbound, outbound) = (one(marks.inbound), one(marks.outbound));
    if inbound == outbound { inbound } else { format!("{inbound},{outbound}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_is_for_both_directions() {
        for text in
            ["0x2a/0xff", "%unique", "%unique-dir", "0x1/0xffffffff,0x2/0xffffffff", "%unique,0x7/0xf", "0/0,0x7/0xf"]
        {
            assert_eq!(marks(text).map(marks_written), Ok(text.to_owned()));
        }
        assert_eq!(marks("0/0,7").unwrap().inbound, PolicyMark::Any);
        assert_eq!(marks("42"), Ok(Marks::both(PolicyMark::Is(Mark { value: 42, mask: u32::MAX }))));
        for bad in ["", "x", "3/1", "%unique/0xff", "%same", "1,", "1,2,3"] {
            assert!(marks(bad).is_err(), "{bad}");
        }
    }
}
