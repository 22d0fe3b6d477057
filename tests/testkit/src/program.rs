//! A test program without the standard harness, which can neither skip a case with a reason nor count those that it skipped.
//!
//! Words on its command line select cases by name; `--list`, `--ignored` and `--exact` are for test runners that start each
//! case by itself. The closing line has the counts.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Passed,
    /// It did not.
    Failed,
    /// It cannot run here, and has said why.
    Skipped,
}

impl Outcome {
    /// A case fails when it panics.
    pub fn of(case: impl FnOnce()) -> Self {
        Self::when(catch_unwind(AssertUnwindSafe(case)).is_ok())
    }

    /// Passed, or failed.
    pub fn when(passed: bool) -> Self {
        if passed { Outcome::Passed } else { Outcome::Failed }
    }
}

/// A case of a program.
pub struct Case<'a> {
    name: String,
    missing: Option<String>,
    run: Box<dyn FnOnce() -> Outcome + 'a>,
}

impl<'a> Case<'a> {
    /// `missing` is why it cannot run here.
    pub fn new(name: impl Into<String>, missing: Option<String>, run: impl FnOnce() -> Outcome + 'a) -> Self {
        Case { name: name.into(), missing, run: Box::new(run) }
    }
}

/// The command line of the program.
pub struct Program {
    arguments: Vec<String>,
}

impl Program {
    /// The one that runs.
    pub fn this() -> Self {
        Program { arguments: std::env::args().skip(1).collect() }
    }

    /// What it was started with.
    pub fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// Whether it is to list its cases, and to run none.
    pub fn lists(&self) -> bool {
        self.flag("--list")
    }

    /// Lists the cases, or runs those that were selected and counts.
    pub fn run<'a>(&self, cases: impl IntoIterator<Item = Case<'a>>) -> ExitCode {
        if self.lists() {
            // Those that cannot run are the ignored ones.
            let listed = cases.into_iter().filter(|case| case.missing.is_some() || !self.flag("--ignored"));
            listed.for_each(|case| println!("{}: test", case.name));
            return ExitCode::SUCCESS;
        }
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for case in cases.into_iter().filter(|case| self.wants(&case.name)) {
            print!("test {} ... ", case.name);
            if let Some(reason) = case.missing {
                println!("SKIPPED: {reason}");
                skipped += 1;
                continue;
            }
            let _ = std::io::stdout().flush();
            let (said, counter) = match (case.run)() {
                Outcome::Passed => ("ok", &mut passed),
                Outcome::Failed => ("FAILED", &mut failed),
                Outcome::Skipped => ("SKIPPED", &mut skipped),
            };
            println!("{said}");
            *counter += 1;
        }
        println!("test result: {passed} passed, {failed} failed, {skipped} skipped");
        ExitCode::from(u8::from(failed > 0))
    }

    fn flag(&self, name: &str) -> bool {
        self.arguments.iter().any(|argument| argument == name)
    }

    /// Whether it is among those that were asked for: all, when no word asks for some.
    fn wants(&self, name: &str) -> bool {
        let mut words = self.arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        let exact = self.flag("--exact");
        words.peek().is_none() || words.any(|word| if exact { name == word } else { name.contains(word.as_str()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(arguments: &[&str]) -> Program {
        Program { arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
    }

    #[test]
    fn words_select_by_a_part_of_the_name_or_by_all_of_it() {
        let wanted = |arguments: &[&str]| {
            let program = program(arguments);
            ["one", "one_more", "two"].into_iter().filter(|name| program.wants(name)).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[]), ["one", "one_more", "two"]);
        assert_eq!(wanted(&["--nocapture"]), ["one", "one_more", "two"]);
        assert_eq!(wanted(&["one"]), ["one", "one_more"]);
        assert_eq!(wanted(&["one", "--exact"]), ["one"]);
        assert_eq!(wanted(&["more", "two"]), ["one_more", "two"]);
    }

    #[test]
    fn only_what_is_selected_and_not_missing_runs() {
        let run = |arguments: &[&str]| {
            let (first, second) = (std::cell::Cell::new(false), std::cell::Cell::new(false));
            let mark = |cell: &std::cell::Cell<bool>| {
                cell.set(true);
                Outcome::Passed
            };
            program(arguments).run([
                Case::new("first", None, || mark(&first)),
                Case::new("second", Some("no second here".to_owned()), || mark(&second)),
            ]);
            [first.get(), second.get()]
        };
        assert_eq!(run(&[]), [true, false]);
        assert_eq!(run(&["second"]), [false, false]);
        assert_eq!(run(&["--list"]), [false, false]);
    }

    #[test]
    fn a_case_that_panics_has_failed() {
        assert_eq!(Outcome::of(|| {}), Outcome::Passed);
        assert_eq!(Outcome::of(|| panic!("as it should")), Outcome::Failed);
    }
}
