//! How many tests passed, as the runners that we start print it.

use std::fmt;
use std::ops::AddAssign;

/// Test results added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed or timed out.
    pub failed: u64,
    /// Tests that were not run.
    pub skipped: u64,
}

impl Counts {
    /// What stands for a command that failed without saying which test did.
    pub fn one_failure() -> Self {
        Counts { failed: 1, ..Counts::default() }
    }

    /// Reads the closing line of nextest (`Summary [ 1.2s] 3 tests run: 3 passed, 0 skipped`), of cargo test
    /// (`test result: ok. 3 passed; 0 failed; 0 ignored; ...`), or the plain `3 passed, 0 failed, 0 skipped` of our own
    /// runners; `None` for any other line.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let tail = if line.starts_with("Summary [") {
            line.split_once("run:")?.1
        } else if let Some(tail) = line.strip_prefix("test result:") {
            tail.split_once(". ").map_or(tail, |(_, counts)| counts)
        } else if line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" passed, ") {
            line
        } else {
            return None;
        };
        let mut counts = Counts::default();
        for part in tail.split([',', ';']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(number)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) else { continue };
            match word {
                "passed" => counts.passed += number,
                "failed" | "exec" | "timed" => counts.failed += number,
                "skipped" | "ignored" => counts.skipped += number,
                _ => {}
            }
        }
        Some(counts)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    fn parse(line: &str) -> Option<(u64, u64, u64)> {
        Counts::parse(line).map(|c| (c.passed, c.failed, c.skipped))
    }

    #[test]
    fn reads_the_closing_line_of_each_runner() {
        assert_eq!(
            parse("     Summary [   0.5s] 12 tests run: 10 passed (1 slow), 2 failed, 3 skipped"),
            Some((10, 2, 3))
        );
        assert_eq!(parse("     Summary [   0.5s] 4/9 tests run: 3 passed, 1 timed out, 0 skipped"), Some((3, 1, 0)));
        assert_eq!(
            parse("test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.1s"),
            Some((3, 1, 2))
        );
        assert_eq!(parse("test result: 3 passed, 1 failed, 2 skipped"), Some((3, 1, 2)));
        assert_eq!(parse("41 passed, 0 failed, 2 skipped\n"), Some((41, 0, 2)));
    }

    #[test]
    fn other_lines_say_nothing() {
        assert_eq!(parse("the packet passed, 3 times"), None);
        assert_eq!(parse("running 3 tests"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn prints_what_it_reads() {
        let counts = Counts { passed: 7, failed: 1, skipped: 2 };
        assert_eq!(Counts::parse(&counts.to_string()), Some(counts));
    }
}
