//! Steps, how long each took, and what came of it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::counts::Counts;

/// Runs steps one after the other and sums them up. A step that fails does not stop the ones after it: one run shows
/// all that is wrong.
#[derive(Default)]
pub struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    failure: Option<String>,
    counts: Counts,
}

impl Report {
    /// Runs one step that has no tests to count.
    pub fn step(&mut self, name: &str, body: impl FnOnce() -> Result<()>) {
        self.tests(name, || (Counts::default(), body()));
    }

    /// Runs one step that counts tests.
    pub fn tests(&mut self, name: &str, body: impl FnOnce() -> (Counts, Result<()>)) {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let (counts, result) = body();
        let failure = result.err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            eprintln!("== {name} failed: {failure}");
        }
        self.steps.push(Step { name: name.to_owned(), took: start.elapsed(), failure, counts });
    }

    /// Prints the table of steps and, last and alone on its line, the sum of all test counts.
    ///
    /// # Errors
    /// When a step failed.
    pub fn finish(self) -> Result<()> {
        let mut counts = Counts::default();
        let mut total = Duration::ZERO;
        println!("\n{:<12} {:>9}  result", "step", "seconds");
        for step in &self.steps {
            let result = step.failure.as_deref().map_or_else(|| "ok".to_owned(), |why| format!("FAILED: {why}"));
            println!("{:<12} {:>9.1}  {result}", step.name, step.took.as_secs_f64());
            counts += step.counts;
            total += step.took;
        }
        println!("{:<12} {:>9.1}", "all", total.as_secs_f64());
        if counts != Counts::default() {
            println!("{counts}");
        }
        let failed: Vec<_> = self.steps.iter().filter(|step| step.failure.is_some()).map(|s| s.name.as_str()).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::counts::Counts;

    #[test]
    fn a_failed_step_fails_the_whole_and_does_not_stop_the_rest() {
        let mut report = Report::default();
        let mut ran = false;
        report.step("first", || anyhow::bail!("no"));
        report.tests("second", || {
            ran = true;
            (Counts { passed: 1, ..Counts::default() }, Ok(()))
        });
        assert!(ran);
        assert_eq!(report.finish().unwrap_err().to_string(), "failed: first");
    }
}
