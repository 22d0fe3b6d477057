//! Runs the cases and reports: what passed, what failed and why, what was skipped for want of what.
//!
//! 1. [`run`] makes ready what needs the machine's own network, and starts the lanes side by side.
//! 2. `lane`: each is this program again, in a sandbox of its own; it takes one task after the other.
//! 3. `machine`: the guest of a lane, and the next one when it is gone.
//! 4. `attempt`: what a case is made of.
//! 5. `tally`: how all went, put together from those of the lanes, and that a failing one may have a second try.

mod attempt;
mod lane;
mod machine;
mod options;
mod tally;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use self::lane::Lane;
pub use self::options::Options;
use self::tally::{Outcome, Tally};
use crate::case::{self, Case, Own};
use crate::guest::{Guest, Recipe};
use crate::matrix::Combination;
use crate::node::example::Stack;
use crate::peers::Peer;
use crate::process::wait_for;
use crate::{device, lab, lwip, page, sandbox, traffic};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// This crate's folder.
    pub source: PathBuf,
    /// Logs and captures of failing cases, one folder a case.
    pub results: PathBuf,
    /// What is kept between runs: the guest's kernel.
    pub cache: PathBuf,
    /// The daemon under test.
    pub ravelin: PathBuf,
    /// The example that carries the engine under smoltcp.
    pub smoltcp: PathBuf,
    /// The one under lwIP, which the lab builds from C.
    pub lwip: PathBuf,
    /// This program, which also serves as the helper that sends payload.
    pub helper: PathBuf,
}

/// Seconds that a program in the guest may take.
const PROGRAM: u64 = 1800;

/// All that is to be done.
struct Work {
    cases: Vec<Case>,
    matrix: Vec<Combination>,
    contract: Vec<String>,
}

impl Work {
    fn names(&self) -> impl Iterator<Item = &String> {
        let cases = self.cases.iter().map(|case| &case.name);
        cases.chain(self.matrix.iter().map(|combination| &combination.name)).chain(&self.contract)
    }
}

/// Lists or runs the cases. Outside the sandbox, this starts the same again inside.
pub fn run(options: &Options, places: &Places) -> Result<ExitCode> {
    if !options.in_guest.is_empty() {
        return in_guest(options, places);
    }
    let mut cases = case::load_all(&places.source.join("cases"))?;
    if options.page {
        print!("{}", page::markdown(&cases));
        return Ok(ExitCode::SUCCESS);
    }
    cases.retain(|case| options.wants(&case.name, case.peer));
    cases.sort_by(|a, b| (a.peer, &a.name).cmp(&(b.peer, &b.name)));
    let work = Work { cases, matrix: options.matrix(), contract: options.contract() };
    if options.list {
        for case in &work.cases {
            println!("{}: {}", case.name, case.about);
        }
        for combination in &work.matrix {
            println!("{}: engine and kernel open what the other sealed", combination.name);
        }
        work.contract.iter().for_each(|name| println!("{name}: the kernel does as every data plane"));
        return Ok(ExitCode::SUCCESS);
    }
    if sandbox::inside() {
        Lane::this()?.run(options, places, &work)?;
        return Ok(ExitCode::SUCCESS);
    }
    let needed = [
        (&places.ravelin, Own::Daemon, "ravelin"),
        (&places.ravelin, Own::Kernel, "ravelin"),
        (&places.smoltcp, Own::Example(Stack::Smoltcp), "ravelin-smoltcp"),
    ];
    for (program, own, package) in needed {
        if !options.stand_in && work.cases.iter().any(|case| case.own == own) && !program.is_file() {
            bail!("there is no {}: `cargo build -p {package}` makes it", program.display());
        }
    }
    if work.cases.iter().any(|case| case.own == Own::Example(Stack::Lwip)) {
        lwip::build(places)?;
    }
    let tally = match sandbox::obstacle() {
        None => {
            let guests = lane::guests(&work);
            let no_guest = if guests > 0 { make_guest(options, places, &work.cases) } else { String::new() };
            lane::side_by_side(guests, places, &no_guest)?
        }
        Some(obstacle) => {
            let mut tally = Tally::default();
            for name in work.names() {
                tally.report(name, Instant::now(), Outcome::Skipped(obstacle.clone()), &places.results);
            }
            tally
        }
    };
    println!("\n{}", page::results(&work.cases, &tally.cases));
    Ok(finish(&tally, options))
}

/// Makes ready what guests are built from, which takes the machine's own network; says why there can be none, if there cannot.
fn make_guest(options: &Options, places: &Places, cases: &[Case]) -> String {
    let missing = Peer::Kernel.missing(&places.cache);
    if !missing.is_empty() {
        return format!("missing: {}", missing.join(", "));
    }
    let recipe = recipe(options, places);
    if let Err(error) = recipe.build() {
        return format!("no kernel for it: {error:#}");
    }
    let peers: BTreeSet<Peer> = cases.iter().map(|case| case.peer).collect();
    peers.into_iter().for_each(|peer| peer.unpack(&recipe.scripts, &places.cache));
    if cases.iter().any(|case| case.netdevsim) {
        device::build(&recipe.scripts, &recipe.cache);
    }
    String::new()
}

fn recipe(options: &Options, places: &Places) -> Recipe {
    let mut cache = places.cache.clone().into_os_string();
    if let Some(kernel) = &options.kernel {
        cache.push(format!("-{kernel}"));
    }
    let (scripts, share) = (places.source.join("guest"), places.results.clone());
    Recipe { scripts, cache: cache.into(), share, kernel: options.kernel.clone() }
}

/// Runs one program in the guest. What it writes comes when it has ended.
fn in_guest(options: &Options, places: &Places) -> Result<ExitCode> {
    let recipe = recipe(options, places);
    if !sandbox::inside() {
        let missing = Peer::Kernel.missing(&places.cache);
        ensure!(missing.is_empty(), "no guest: missing: {}", missing.join(", "));
        recipe.build()?;
        return sandbox::enter(&[]);
    }
    sandbox::prepare()?;
    lab::lay_wire()?;
    std::fs::create_dir_all(&places.results)?;
    let mut guest = Guest::boot(recipe, &places.results.join("in-guest-machine"))?;
    guest.ready(&places.helper, traffic::PORT)?;
    println!("in a guest ({}) with Linux {}", guest.accelerator(), guest.sh("uname -r")?.trim());
    let output = places.results.join("in-guest");
    let quoted: Vec<String> =
        options.in_guest.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    // A command line of the guest has not the time that a program may take.
    let (out, words) = (output.display(), quoted.join(" "));
    let _ = std::fs::remove_file(output.with_extension("status"));
    guest.sh(&format!("({words} >{out} 2>&1; echo $? >{out}.new; mv {out}.new {out}.status) &"))?;
    let status =
        wait_for(PROGRAM, "the program to end", || Ok(std::fs::read_to_string(output.with_extension("status"))?))?;
    print!("{}", std::fs::read_to_string(&output)?);
    Ok(ExitCode::from(status.trim().parse::<u8>().unwrap_or(1)))
}

fn finish(tally: &Tally, options: &Options) -> ExitCode {
    // Once more where they are seen: of a long run often only the end is kept.
    for (name, reason) in &tally.failures {
        println!("FAILED {name}:\n    {reason}");
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    let bad = tally.failed > 0 || (options.require_peers && tally.missing > 0);
    if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
