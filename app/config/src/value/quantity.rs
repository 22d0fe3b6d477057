//! Numbers with units: times, bytes, packets, and names for numbers of protocols.

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

const PROTOCOLS: &[(&str, u8)] = &[("any", 0), ("icmp", 1), ("tcp", 6), ("udp", 17), ("icmp6", 58), ("sctp", 132)];

/// An IP protocol: a name of document 003, or a number.
///
/// # Errors
/// When it is neither.
pub fn protocol(text: &str) -> Result<u8, BadValue> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number);
    named.or_else(|| text.parse().ok()).ok_or_else(|| {
        let hint = super::did_you_mean(text, PROTOCOLS.iter().map(|(name, _)| *name));
        BadValue::new(format!("expected udp, tcp, icmp, icmp6, any or a number from 0 to 255{hint}"))
    })
}

/// The name of a protocol, or its number; `0` for any, as document 003 lists it.
pub fn protocol_name(number: u8) -> String {
    let named = PROTOCOLS.iter().find(|(_, known)| *known == number && number != 0);
    named.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
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

    #[test]
    fn protocols_by_name_and_number() {
        assert_eq!(protocol("TCP"), Ok(6));
        assert_eq!(protocol("89"), Ok(89));
        assert!(protocol("256").is_err());
        assert!(protocol("tpc").unwrap_err().message.ends_with("did you mean tcp?"));
        assert_eq!(protocol_name(58), "icmp6");
        assert_eq!(protocol_name(0), "0");
        assert_eq!(protocol_name(89), "89");
    }
}
