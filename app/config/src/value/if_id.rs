//! `if_id`: the number of a virtual interface.

use ravelin_types::if_id::{IfId, IfIds, MAX_IF_ID};

use super::BadValue;

const EXPECTED: &str = "expected a number, %unique, or %unique-dir for one in each direction";

/// `42`, `0x2a`, `%unique`, `%unique-dir`; 0 is none.
///
/// # Errors
/// What was expected.
pub fn if_id(text: &str) -> Result<IfId, BadValue> {
    match text {
        "%unique" => Ok(IfId::Unique),
        "%unique-dir" => Ok(IfId::UniqueDir),
        text => {
            let number = match text.strip_prefix("0x") {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            };
            let number = number.filter(|number| *number <= MAX_IF_ID);
            number.map(IfId::from).ok_or_else(|| BadValue::new(EXPECTED))
        }
    }
}

/// `ID` for both directions, or `IN/OUT`.
///
/// # Errors
/// What was expected.
pub fn if_ids(text: &str) -> Result<IfIds, BadValue> {
    match text.split_once('/') {
        None => if_id(text).map(IfIds::both),
        Some((inbound, outbound)) => Ok(IfIds { inbound: if_id(inbound)?, outbound: if_id(outbound)? }),
    }
}

/// The numbers of a policy: as [`if_ids`], or `%ike` for those of its remote.
///
/// # Errors
/// What was expected.
pub fn of_policy(text: &str) -> Result<IfIds, BadValue> {
    match text {
        "%ike" => Ok(IfIds::both(IfId::OfIkeSa)),
        text => if_ids(text).map_err(|_| BadValue::new(format!("{EXPECTED}; or %ike for that of the remote"))),
    }
}

/// As [`of_policy`] reads it.
pub fn written(ids: IfIds) -> String {
    let one = |id: IfId| match id {
        IfId::Unique => "%unique".to_owned(),
        IfId::OfIkeSa => "%ike".to_owned(),
        IfId::UniqueDir => "%unique-dir".to_owned(),
        IfId::None | IfId::Number(_) => id.number().to_string(),
    };
    if ids.inbound == ids.outbound { one(ids.inbound) } else { format!("{}/{}", one(ids.inbound), one(ids.outbound)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_for_both_directions() {
        for text in ["42", "42/43", "%unique", "%unique-dir", "0/7", "7/%unique"] {
            assert_eq!(if_ids(text).map(written), Ok(text.to_owned()));
        }
        assert_eq!(of_policy("%ike").map(written), Ok("%ike".to_owned()));
        assert_eq!(of_policy("7/%unique"), if_ids("7/%unique"));
        assert_eq!(if_ids("0x2a"), Ok(IfIds::both(IfId::Number(42))));
        assert_eq!(if_ids("0"), Ok(IfIds::default()));
        for bad in ["", "x", "-1", "4294967295", "4294967294", "1/", "%unique_dir", "%ike"] {
            assert!(if_ids(bad).is_err(), "{bad}");
        }
    }
}
