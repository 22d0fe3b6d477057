//! How the cases went: a lane writes it down for the process that started it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Options, Places};

/// How one went.
pub enum Outcome {
    /// It showed what it is about.
    Passed,
    /// It did not, and why.
    Failed(anyhow::Error),
    /// Something that it needs is missing on this machine.
    Skipped(String),
    /// It is about another kernel than that which was asked for.
    OtherKernel(String),
}

/// How all of them went.
#[derive(Default, Serialize, Deserialize)]
pub struct Tally {
    /// So many passed.
    pub passed: usize,
    /// So many failed.
    pub failed: usize,
    /// So many were not run.
    pub skipped: usize,
    /// Of those, the ones for which something is missing.
    pub missing: usize,
    /// How each case went.
    pub cases: BTreeMap<String, String>,
    /// What failed, with its reason, in the order of the run.
    pub failures: Vec<(String, String)>,
}

impl Tally {
    /// Runs one, where `--retry` allows it once more when it failed, and reports how it went.
    pub fn task(&mut self, name: &str, options: &Options, places: &Places, mut run: impl FnMut() -> Outcome) {
        let started = Instant::now();
        let outcome = match run() {
            Outcome::Failed(error) if options.retry => {
                println!("{name:<44} failed at the first attempt:\n    {}", indented(&error));
                run()
            }
            outcome => outcome,
        };
        self.report(name, started, outcome, &places.results);
    }

    /// Says how one went, and keeps it.
    pub fn report(&mut self, name: &str, started: Instant, outcome: Outcome, results: &Path) {
        let seconds = started.elapsed().as_secs_f32();
        let is_missing = matches!(outcome, Outcome::Skipped(_));
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                self.cases.insert(name.to_owned(), "ok".to_owned());
                println!("{name:<44} ok       {seconds:5.1} s");
            }
            Outcome::Skipped(reason) | Outcome::OtherKernel(reason) => {
                self.skipped += 1;
                self.missing += usize::from(is_missing);
                self.cases.insert(name.to_owned(), "SKIPPED".to_owned());
                println!("{name:<44} SKIPPED  ({reason})");
            }
            Outcome::Failed(error) => {
                self.failed += 1;
                self.cases.insert(name.to_owned(), "FAILED".to_owned());
                let reason = indented(&error);
                println!("{name:<44} FAILED   {seconds:5.1} s");
                println!("    {reason}");
                println!("    logs, keys and capture: {}", results.join(name).display());
                self.failures.push((name.to_owned(), reason));
            }
        }
    }

    /// Adds those of another lane.
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.missing += other.missing;
        self.cases.extend(other.cases);
        self.failures.extend(other.failures);
    }

    /// Writes it to a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, serde_json::to_vec(self)?).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads what [`Tally::write`] wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("in {}", path.display()))
    }
}

fn indented(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', "\n    ")
}
