//! Numbers with units: times, bytes, packets.

use std::time::Duration;

use super::BadValue;

/// A time: `30` (seconds), `0.5`, `500ms`, `30s`, `5m`, `2h`, `1d`.
///
/// # Errors
/// When it is not a number with one of these units.
pub fn duration(text: &str) -> Result<Duration, BadValue> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(BadValue::at(digits, "expected the unit ms, s, m, h or d")),
    };
    let number: f64 = number.parse().map_err(|_| BadValue::new("expected a time, like 30, 500ms, 5m or 2h"))?;
    // Ten years: beyond any use, and far from what a timer cannot hold.
    let total = number * seconds;
    if total > 315_360_000.0 {
        return Err(BadValue::new("expected a time of at most ten years"));
    }
    Ok(Duration::from_secs_f64(total))
}

/// A time, or `off`.
///
/// # Errors
/// When it is neither.
pub fn duration_or_off(text: &str) -> Result<Option<Duration>, BadValue> {
    if text.eq_ignore_ascii_case("off") { Ok(None) } else { duration(text).map(Some) }
}

/// A count: `1000`, `10k`, `5M`, `2G`, `1T` (powers of 1024 with bytes, see [`bytes`], of 1000 here).
///
/// # Errors
/// When it is not a number with one of these units, or is zero.
pub fn count(text: &str) -> Result<u64, BadValue> {
    scaled(text, 1000)
}

/// A number of bytes: `1000`, `10k`, `5M`, `2G`, `1T`.
///
/// # Errors
/// When it is not a number with one of these units, or is zero.
pub fn bytes(text: &str) -> Result<u64, BadValue> {
    scaled(text, 1024)
}

fn scaled(text: &str, step: u64) -> Result<u64, BadValue> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit {
        "" => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(BadValue::at(digits, "expected the unit k, M, G or T, or none")),
    };
    let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(step.pow(power)));
    match value {
        Some(value) if value > 0 => Ok(value),
        _ => Err(BadValue::new("expected a number above 0, like 1000, 10k or 2G")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("3600"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("5x").unwrap_err().offset, 1);
        assert!(duration("").is_err());
        assert!(duration("-1").is_err());
        assert!(duration("99999999999999999999999d").is_err());
        assert_eq!(duration_or_off("OFF"), Ok(None));
    }

    #[test]
    fn counts_have_units() {
        assert_eq!(bytes("2k"), Ok(2048));
        assert_eq!(count("2k"), Ok(2000));
        assert!(count("0").is_err());
        assert!(bytes("99999999999T").is_err());
        assert_eq!(bytes("5q").unwrap_err().offset, 1);
    }
}
