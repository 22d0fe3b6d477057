//! Lanes: sandboxes side by side, each with its own network and one guest at most. What needs no guest is in one lane, and waits
//! more than it works; guests are as many as there are processors for, and each takes the next task that nobody has taken yet.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::attempt::{attempt, contained};
use super::machine::Machine;
use super::tally::{Outcome, Tally};
use super::{Options, Places, Work};
use crate::guest::Guest;
use crate::lab::{self, Host};
use crate::{contract, matrix, sandbox};

/// Tells a process in a sandbox which lane it is: the path of all that is of the lane, without an extension.
const LANE: &str = "RAVELIN_INTEROP_LANE";
/// Tells it why there can be no guest; empty when there can.
pub const NO_GUEST: &str = "RAVELIN_INTEROP_NO_GUEST";
/// The name of the lane without a guest.
const NATIVE: &str = "native";
/// A guest takes half a minute to boot: for fewer tasks than this none is worth while beside the first.
const WORTH_A_GUEST: usize = 12;
/// More of them would have no processor each on the machines that this runs on.
const GUESTS: usize = 2;

/// How many guests the work takes.
pub fn guests(work: &Work) -> usize {
    let cases = work.cases.iter().filter(|case| case.peer.needs_guest()).count();
    let tasks = cases + work.matrix.len() + work.contract.len();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    tasks.div_ceil(WORTH_A_GUEST).min(GUESTS).min(processors)
}

/// Runs the work in lanes, this program again in each, and puts together what they say.
pub fn side_by_side(guests: usize, places: &Places, no_guest: &str) -> Result<Tally> {
    let began = Instant::now();
    let run = places.results.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(run.join("taken"))?;
    let names = std::iter::once(NATIVE.to_owned()).chain((1..=guests).map(|number| format!("guest-{number}")));
    let lanes: Vec<PathBuf> = names.map(|name| run.join(name)).collect();
    let started = |lane: &PathBuf| {
        let variables = [(LANE, lane.display().to_string()), (NO_GUEST, no_guest.to_owned())];
        let code = sandbox::enter(&variables)?;
        ensure!(code == ExitCode::SUCCESS, "it broke off");
        Tally::read(&lane.with_extension("tally"))
    };
    let tallies: Vec<Result<Tally>> = thread::scope(|scope| {
        let threads: Vec<_> = lanes.iter().map(|lane| scope.spawn(|| started(lane))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("it panicked"))).collect()
    });
    let mut sum = Tally::default();
    for (lane, tally) in lanes.iter().zip(tallies) {
        match tally {
            Ok(tally) => sum.add(tally),
            Err(error) => sum.report(&lane.display().to_string(), began, Outcome::Failed(error), &places.results),
        }
    }
    if sum.failed == 0 {
        fs::remove_dir_all(run)?;
    }
    Ok(sum)
}

/// The lane that this process is.
pub struct Lane(PathBuf);

impl Lane {
    /// As whoever started it said.
    pub fn this() -> Result<Self> {
        std::env::var_os(LANE).map(|path| Self(path.into())).context("a lane is started by the lab")
    }

    /// Does the tasks of this lane, and writes down how they went.
    pub fn run(&self, options: &Options, places: &Places, work: &Work) -> Result<()> {
        sandbox::prepare()?;
        lab::lay_wire()?;
        let mut tally = Tally::default();
        if self.0.ends_with(NATIVE) {
            for case in work.cases.iter().filter(|case| !case.peer.needs_guest()) {
                let run = || attempt(case, options, places, Ok(Host::Namespace(&lab::SWAN)));
                tally.task(&case.name, options, places, run);
            }
        } else {
            self.work(options, places, work, &mut tally)?;
        }
        tally.write(&self.0.with_extension("tally"))
    }

    fn work(&self, options: &Options, places: &Places, work: &Work, tally: &mut Tally) -> Result<()> {
        let mut machine = Machine::boot(options, places, &self.0);
        for case in work.cases.iter().filter(|case| case.peer.needs_guest()) {
            if self.takes(&case.name)? {
                tally.task(&case.name, options, places, || {
                    let outcome = attempt(case, options, places, machine.host());
                    machine.look_after(outcome)
                });
            }
        }
        let mut prepared = None;
        for combination in &work.matrix {
            if self.takes(&combination.name)? {
                tally.task(&combination.name, options, places, || {
                    let number = Some(machine.number());
                    let outcome = in_guest(&machine, |guest| {
                        if prepared != number {
                            matrix::prepare(guest)?;
                            prepared = number;
                        }
                        matrix::run(combination, guest)
                    });
                    machine.look_after(outcome)
                });
            }
        }
        for name in &work.contract {
            if self.takes(name)? {
                tally.task(name, options, places, || {
                    let outcome = in_guest(&machine, |guest| contract::run(guest, &places.helper, name));
                    machine.look_after(outcome)
                });
            }
        }
        Ok(())
    }

    /// Whether this lane does a task: whoever makes the file has it.
    fn takes(&self, task: &str) -> Result<bool> {
        let mark = self.0.with_file_name("taken").join(task);
        match File::create_new(&mark) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error).with_context(|| format!("making {}", mark.display())),
        }
    }
}

fn in_guest(machine: &Machine<'_>, run: impl FnOnce(&Guest) -> Result<()>) -> Outcome {
    match machine.guest() {
        Ok(guest) => contained(|| run(guest)).map_or_else(Outcome::Failed, |()| Outcome::Passed),
        Err(reason) => Outcome::Skipped(reason),
    }
}
