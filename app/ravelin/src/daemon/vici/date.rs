//! The time of day, as strongSwan writes it.

/// The time of day in UTC, as strongSwan writes when it was started: `Nov 21 01:24:31 2026`.
pub fn time_of_day() -> String {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    date(since_epoch)
}

/// The date of a number of seconds since 1970.
fn date(seconds: u64) -> String {
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut name = "";
    for (month, len) in MONTHS {
        let len = len + u64::from(month == "Feb" && leap(year));
        name = month;
        if days < len {
            break;
        }
        days -= len;
    }
    format!("{name} {:02} {:02}:{:02}:{:02} {year}", days + 1, time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "Jan 01 00:00:00 1970");
        assert_eq!(date(951_782_399), "Feb 28 23:59:59 2000");
        assert_eq!(date(951_782_400), "Feb 29 00:00:00 2000");
        assert_eq!(date(1_795_224_271), "Nov 21 01:24:31 2026");
        assert_eq!(date(4_107_542_399), "Feb 28 23:59:59 2100");
        assert_eq!(date(4_107_542_400), "Mar 01 00:00:00 2100");
    }
}
