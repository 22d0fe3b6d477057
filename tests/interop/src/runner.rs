//! Runs the cases and reports: what passed, what failed and why, what was skipped for want of what.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::capture::Capture;
use crate::case::{self, Case, Own};
use crate::device::{self, Device};
use crate::guest::{Guest, Recipe};
use crate::lab::{self, Host, Lab};
use crate::matrix::{self, Combination};
use crate::node::Node;
use crate::node::example::{Example, Stack};
use crate::node::guest_ravelin::GuestRavelin;
use crate::node::libreswan::Libreswan;
use crate::node::openiked::OpenIked;
use crate::node::ravelin::Ravelin;
use crate::node::swan::Swan;
use crate::node::vpnc::Vpnc;
use crate::page;
use crate::papers;
use crate::peers::Peer;
use crate::plan::SECRET;
use crate::process::wait_for;
use crate::radius::{self, Radius};
use crate::steps::{self, Scene};
use crate::{contract, hostapd, lwip, peers, sandbox, token, traffic};

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

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only cases whose name holds one of these.
    pub filters: Vec<String>,
    /// Name the cases, run none.
    pub list: bool,
    /// Print docs/INTEROP.md, run none.
    pub page: bool,
    /// Only the peer that runs natively.
    pub quick: bool,
    /// A skipped case is a failure.
    pub require_peers: bool,
    /// Keep the folders of cases that passed.
    pub keep: bool,
    /// What fails is tried a second time; that it needed it is reported.
    pub retry: bool,
    /// Every combination of the matrix, not only each row and each column once.
    pub full: bool,
    /// The guest's kernel, such as 6.12, which is one of Debian's backports; `None`: that of this Debian.
    pub kernel: Option<String>,
    /// A second strongSwan takes Ravelin's place: tries the lab itself.
    pub stand_in: bool,
    /// No cases, but this program with its arguments, in the guest.
    pub in_guest: Vec<String>,
}

const USAGE: &str =
    "usage: interop [--list] [--page] [--quick] [--full] [--require-peers] [--keep] [--retry] [--kernel 6.12] [--stand-in] [FILTER...]
  --list           name the cases and run none
  --page           print docs/INTEROP.md, which says what is tested against whom, and run none
  --quick          only the cases against the peer that runs natively (no guest)
  --full           every combination of algorithm, mode, family and sequence numbers, and every flow, not a part of them
  --require-peers  a case that is skipped counts as failed
  --keep           keep logs and captures of passing cases, too
  --retry          try what fails a second time, and say so: the guest is emulated, and its clock stumbles
  --kernel 6.12    a guest with that kernel of Debian's backports, not with that of this Debian
  --in-guest PROGRAM ARGUMENT...
                   run no case, but this program of this machine in the guest, and show what it says
  --stand-in       put a second strongSwan in Ravelin's place, to try the lab itself (native tunnels only)";

impl Options {
    /// Reads the arguments. Options of the standard test harness that change nothing here are accepted.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => options.list = true,
                "--page" => options.page = true,
                "--quick" => options.quick = true,
                "--full" => options.full = true,
                "--require-peers" => options.require_peers = true,
                "--keep" => options.keep = true,
                "--retry" => options.retry = true,
                "--stand-in" => options.stand_in = true,
                "--kernel" => {
                    options.kernel = Some(arguments.next().context("--kernel takes a version, such as 6.12")?)
                }
                "--in-guest" => options.in_guest.extend(arguments.by_ref()),
                "-q" | "--quiet" | "--nocapture" | "--no-capture" | "--show-output" | "--include-ignored" => {}
                "--test-threads" | "--color" | "--format" => drop(arguments.next()),
                known if ["--test-threads=", "--color=", "--format="].iter().any(|start| known.starts_with(start)) => {}
                unknown if unknown.starts_with('-') => bail!("`{unknown}` is no option\n{USAGE}"),
                filter => options.filters.push(filter.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str, peer: Peer) -> bool {
        let named = self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()));
        named && !(self.quick && peer.needs_guest())
    }

    /// The cases of the contract of data planes.
    fn contract(&self) -> Vec<String> {
        contract::names().filter(|name| !self.stand_in && self.wants(name, Peer::Kernel)).collect()
    }

    /// The combinations of the matrix. Nothing in it can stand in for the engine.
    fn matrix(&self) -> Vec<Combination> {
        let mut combinations = if self.stand_in { Vec::new() } else { matrix::combinations(self.full) };
        combinations.retain(|combination| self.wants(&combination.name, Peer::Kernel));
        combinations
    }
}

/// Seconds that a program in the guest may take.
const PROGRAM: u64 = 1800;

/// Tells the process in the sandbox why there can be no guest; empty when there can.
const NO_GUEST: &str = "RAVELIN_INTEROP_NO_GUEST";

enum Outcome {
    Passed,
    Failed(anyhow::Error),
    /// Something that it needs is missing on this machine.
    Skipped(String),
    /// It is about another kernel than that which was asked for.
    OtherKernel(String),
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Of those, the ones for which something is missing.
    missing: usize,
    /// How each case went.
    cases: BTreeMap<String, &'static str>,
    /// What failed, with its reason, in the order of the run.
    failures: Vec<(String, String)>,
}

impl Tally {
    fn report(&mut self, name: &str, started: Instant, outcome: Outcome, results: &Path) {
        let seconds = started.elapsed().as_secs_f32();
        let is_missing = matches!(outcome, Outcome::Skipped(_));
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                self.cases.insert(name.to_owned(), "ok");
                println!("{name:<44} ok       {seconds:5.1} s");
            }
            Outcome::Skipped(reason) | Outcome::OtherKernel(reason) => {
                self.skipped += 1;
                self.missing += usize::from(is_missing);
                self.cases.insert(name.to_owned(), "SKIPPED");
                println!("{name:<44} SKIPPED  ({reason})");
            }
            Outcome::Failed(error) => {
                self.failed += 1;
                self.cases.insert(name.to_owned(), "FAILED");
                let reason = format!("{error:#}").replace('\n', "\n    ");
                println!("{name:<44} FAILED   {seconds:5.1} s");
                println!("    {reason}");
                println!("    logs, keys and capture: {}", results.join(name).display());
                self.failures.push((name.to_owned(), reason));
            }
        }
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
    let matrix = options.matrix();
    let contract = options.contract();
    cases.sort_by(|a, b| (a.peer, &a.name).cmp(&(b.peer, &b.name)));
    if options.list {
        for case in &cases {
            println!("{}: {}", case.name, case.about);
        }
        for combination in &matrix {
            println!("{}: engine and kernel open what the other sealed", combination.name);
        }
        contract.iter().for_each(|name| println!("{name}: the kernel does as every data plane"));
        return Ok(ExitCode::SUCCESS);
    }
    if sandbox::inside() {
        sandbox::prepare()?;
        lab::lay_wire()?;
        let tally = run_all(options, places, &cases, &matrix, &contract)?;
        println!("\n{}", page::results(&cases, &tally.cases));
        return Ok(finish(&tally, options));
    }
    let needed = [
        (&places.ravelin, Own::Daemon, "ravelin"),
        (&places.ravelin, Own::Kernel, "ravelin"),
        (&places.smoltcp, Own::Example(Stack::Smoltcp), "ravelin-smoltcp"),
    ];
    for (program, own, package) in needed {
        if !options.stand_in && cases.iter().any(|case| case.own == own) && !program.is_file() {
            bail!("there is no {}: `cargo build -p {package}` makes it", program.display());
        }
    }
    if cases.iter().any(|case| case.own == Own::Example(Stack::Lwip)) {
        lwip::build(places)?;
    }
    match sandbox::obstacle() {
        None => {
            let guest = !matrix.is_empty() || !contract.is_empty() || cases.iter().any(|case| case.peer.needs_guest());
            let wanted = guest && Peer::Kernel.missing(&places.cache).is_empty();
            let built = if wanted { recipe(options, places).build() } else { Ok(()) };
            let peers: BTreeSet<Peer> = cases.iter().map(|case| case.peer).filter(|_| wanted).collect();
            peers.into_iter().for_each(|peer| peer.unpack(&places.source.join("guest"), &places.cache));
            if built.is_ok() && cases.iter().any(|case| case.netdevsim && wanted) {
                let recipe = recipe(options, places);
                device::build(&recipe.scripts, &recipe.cache);
            }
            sandbox::enter(NO_GUEST, &built.err().map_or_else(String::new, |error| format!("{error:#}")))
        }
        Some(obstacle) => {
            let mut tally = Tally::default();
            let names = cases.iter().map(|case| &case.name);
            for name in names.chain(matrix.iter().map(|combination| &combination.name)).chain(&contract) {
                tally.report(name, Instant::now(), Outcome::Skipped(obstacle.clone()), &places.results);
            }
            Ok(finish(&tally, options))
        }
    }
}

/// Runs one program in the guest. What it writes comes when it has ended.
fn in_guest(options: &Options, places: &Places) -> Result<ExitCode> {
    let recipe = recipe(options, places);
    if !sandbox::inside() {
        let missing = Peer::Kernel.missing(&places.cache);
        ensure!(missing.is_empty(), "no guest: missing: {}", missing.join(", "));
        recipe.build()?;
        return sandbox::enter(NO_GUEST, "");
    }
    sandbox::prepare()?;
    lab::lay_wire()?;
    std::fs::create_dir_all(&places.results)?;
    let mut guest = Guest::boot(recipe)?;
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

fn run_all(
    options: &Options,
    places: &Places,
    cases: &[Case],
    matrix: &[Combination],
    contract: &[String],
) -> Result<Tally> {
    std::fs::create_dir_all(&places.results)?;
    let mut tally = Tally::default();
    let (native, kernel): (Vec<_>, Vec<_>) = cases.iter().partition(|case| !case.peer.needs_guest());
    // The guest boots while the native cases run.
    let wanted = !kernel.is_empty() || !matrix.is_empty() || !contract.is_empty();
    let mut guest = (wanted && Peer::Kernel.missing(&places.cache).is_empty()).then(|| {
        match std::env::var(NO_GUEST).unwrap_or_default().as_str() {
            "" => Guest::boot(recipe(options, places)),
            reason => bail!("no kernel for it: {reason}"),
        }
    });
    for case in native {
        let started = Instant::now();
        let outcome = attempt(case, options, places, || Ok(Host::Namespace(&lab::SWAN)));
        tally.report(&case.name, started, outcome, &places.results);
    }
    if let Some(Ok(booted)) = &mut guest {
        let started = Instant::now();
        match booted.ready(&places.helper, traffic::PORT) {
            Ok(()) => println!(
                "guest ready ({}) after waiting {:.1} s",
                booted.accelerator(),
                started.elapsed().as_secs_f32()
            ),
            Err(error) => guest = Some(Err(error)),
        }
    }
    for case in kernel {
        let started = Instant::now();
        let outcome = attempt(case, options, places, || match &guest {
            Some(Ok(guest)) => Ok(Host::Guest(guest)),
            Some(Err(error)) => Err(format!("no guest: {error:#}")),
            None => Err("no guest".to_owned()),
        });
        tally.report(&case.name, started, outcome, &places.results);
    }
    let mut prepared = false;
    for combination in matrix {
        let started = Instant::now();
        let outcome = match &guest {
            Some(Ok(guest)) => {
                let ready = if prepared { Ok(()) } else { matrix::prepare(guest) };
                prepared = true;
                let run = || ready.and_then(|()| again(&combination.name, options, || matrix::run(combination, guest)));
                run().map_or_else(Outcome::Failed, |()| Outcome::Passed)
            }
            Some(Err(error)) => Outcome::Skipped(format!("no guest: {error:#}")),
            None => Outcome::Skipped(format!("missing: {}", Peer::Kernel.missing(&places.cache).join(", "))),
        };
        tally.report(&combination.name, started, outcome, &places.results);
    }
    for name in contract {
        let started = Instant::now();
        let outcome = match &guest {
            Some(Ok(guest)) => again(name, options, || contract::run(guest, &places.helper, name))
                .map_or_else(Outcome::Failed, |()| Outcome::Passed),
            Some(Err(error)) => Outcome::Skipped(format!("no guest: {error:#}")),
            None => Outcome::Skipped(format!("missing: {}", Peer::Kernel.missing(&places.cache).join(", "))),
        };
        tally.report(name, started, outcome, &places.results);
    }
    Ok(tally)
}

fn recipe(options: &Options, places: &Places) -> Recipe {
    let mut cache = places.cache.clone().into_os_string();
    if let Some(kernel) = &options.kernel {
        cache.push(format!("-{kernel}"));
    }
    let (scripts, share) = (places.source.join("guest"), places.results.clone());
    Recipe { scripts, cache: cache.into(), share, kernel: options.kernel.clone() }
}

fn attempt<'a>(
    case: &Case,
    options: &Options,
    places: &Places,
    host: impl FnOnce() -> Result<Host<'a>, String>,
) -> Outcome {
    let mut missing = case.peer.missing(&places.cache);
    missing.extend(case.radius.as_ref().map(Radius::program).filter(|program| !peers::present(program)));
    if case.attributes.is_some() && !peers::present(papers::PKI) {
        missing.push(papers::PKI);
    }
    if case.netdevsim && !device::present(&recipe(options, places).cache) {
        missing.push("netdevsim of the guest's kernel");
    }
    if case.token && !peers::present(token::PROGRAM) {
        missing.push(token::PROGRAM);
    }
    if !missing.is_empty() {
        return Outcome::Skipped(format!("missing: {}", missing.join(", ")));
    }
    let host = match host() {
        Ok(host) => host,
        Err(reason) => return Outcome::Skipped(reason),
    };
    if let (Some(need), Host::Guest(guest)) = (case.kernel, host) {
        match guest.meets(need) {
            Ok(true) => {}
            Ok(false) => return Outcome::OtherKernel(format!("needs {need}: --kernel")),
            Err(error) => return Outcome::Failed(error),
        }
    }
    let folder = places.results.join(&case.name);
    match again(&case.name, options, || run_case(case, options, places, host, &folder)) {
        Ok(()) => {
            if !options.keep {
                let _ = std::fs::remove_dir_all(&folder);
            }
            Outcome::Passed
        }
        Err(error) => {
            let _ = std::fs::write(folder.join("failure"), format!("{error:#}\n"));
            Outcome::Failed(error)
        }
    }
}

/// Runs it, and where `--retry` allows it once more when it failed.
fn again(name: &str, options: &Options, mut run: impl FnMut() -> Result<()>) -> Result<()> {
    match run() {
        Err(error) if options.retry => {
            println!("{name:<44} failed at the first attempt:\n    {}", format!("{error:#}").replace('\n', "\n    "));
            run()
        }
        result => result,
    }
}

fn run_case(case: &Case, options: &Options, places: &Places, host: Host<'_>, folder: &Path) -> Result<()> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder)?;
    let near = match (case.own, host) {
        (Own::Kernel, Host::Guest(guest)) => Host::GuestRavelin(guest),
        _ => Host::Namespace(&lab::RAVELIN),
    };
    let _lab = Lab::build(&case.plan, near, host).context("building the network")?;
    let _device = if case.netdevsim { Some(Device::plug(near).context("plugging netdevsim in")?) } else { None };
    // The guest's serves from its start on.
    let mut servers = Vec::new();
    for (side, name) in [(near, "server-ravelin.log"), (host, "server-swan.log")] {
        match side {
            Host::Namespace(namespace) => {
                servers.push(traffic::start_server(namespace, &places.helper, &folder.join(name))?);
            }
            Host::Guest(_) => {}
            Host::GuestRavelin(_) => {
                let helper = places.helper.display();
                side.sh(&format!("setsid {helper} serve {} </dev/null >/run/{name} 2>&1 & sleep 0.2", traffic::PORT))?;
            }
        }
    }
    let capture = Capture::start(near.port(case.plan.nat), &folder.join("wire.pcap"))?;
    if let Some(kind) = case.papers {
        papers::write(folder, &case.plan, kind)?;
    }
    if let Some(group) = &case.attributes {
        papers::attributes(folder, group)?;
    }
    if case.token {
        token::make(folder)?;
    }
    if let Some(radius) = &case.radius {
        servers.extend(radius::start(folder, radius, &places.helper)?);
    }
    let conf = case.plan.fill(&case.swan_conf, &[("psk", SECRET)])?;
    let swan: Box<dyn Node> = match (case.peer, host) {
        (peer @ (Peer::Libreswan | Peer::Libreswan5), Host::Guest(guest)) => {
            let newer = peer == Peer::Libreswan5;
            let certificates = case.papers.is_some();
            Box::new(Libreswan::new(guest, &places.cache, &folder.join("swan"), &conf, certificates, newer)?)
        }
        (Peer::Vpnc, Host::Namespace(_)) => {
            Box::new(Vpnc::new(lab::SWAN, &folder.join("swan"), &conf, case.plan.name("ravelin.net")?)?)
        }
        (Peer::OpenIked, Host::Guest(guest)) => {
            Box::new(OpenIked::new(guest, &places.cache, &folder.join("swan"), &conf)?)
        }
        (Peer::Swan6, host) => {
            Box::new(Swan::newer(host, &folder.join("swan"), &conf, &places.cache.join(peers::SWAN6))?)
        }
        _ => Box::new(Swan::new(host, &folder.join("swan"), &conf)?),
    };
    let ravelin: Box<dyn Node> = if options.stand_in {
        let conf = case.plan.fill(&mirrored(&case.swan_conf), &[("psk", SECRET)])?;
        Box::new(Swan::new(Host::Namespace(&lab::RAVELIN), &folder.join("ravelin"), &conf)?)
    } else {
        let (own, pki) = (folder.join("ravelin"), folder.join("pki").display().to_string());
        let secret = Ravelin::secret(&own).display().to_string();
        let users = Ravelin::users(&own).display().to_string();
        let setkey = Ravelin::setkey(&own, &case.plan, case.setkey.as_deref())?.display().to_string();
        let method = case.radius.as_ref().map_or("", |radius| &radius.method);
        let sim = Ravelin::sim(&own, &hostapd::secret(method))?.display().to_string();
        let more = [
            ("secret", secret.as_str()),
            ("users", &users),
            ("sim", &sim),
            ("psk", SECRET),
            ("pki", &pki),
            ("setkey", &setkey),
        ];
        let text = case.plan.fill(case.ravelin.template(), &more)?;
        match case.own {
            Own::Kernel => Box::new(GuestRavelin::new(near, &places.ravelin, &own, &case.ravelin.with(text))?),
            Own::Daemon => Box::new(Ravelin::new(lab::RAVELIN, &places.ravelin, &own, &case.ravelin.with(text))?),
            Own::Example(stack) => {
                let program = if stack == Stack::Smoltcp { &places.smoltcp } else { &places.lwip };
                Box::new(Example::new(stack, lab::RAVELIN, program, &own, &text)?)
            }
        }
    };
    let mut scene = Scene {
        plan: case.plan,
        ravelin,
        ravelin_host: near,
        swan,
        swan_host: host,
        folder,
        helper: &places.helper,
        program: &places.ravelin,
        gre: None,
        capture: Some(capture),
        full: options.full,
        heard: (0, 0),
    };
    let mut journal = Journal(std::fs::File::create(folder.join("steps"))?);
    let result = perform(&mut scene, case, &mut journal);
    if result.is_err() {
        scene.ravelin.keep_evidence();
        scene.swan.keep_evidence();
    }
    let stopped =
        journal.note("stop ravelin", || scene.ravelin.stop()).and(journal.note("stop swan", || scene.swan.stop()));
    result.and(stopped)
}

fn perform(scene: &mut Scene<'_>, case: &Case, journal: &mut Journal) -> Result<()> {
    journal.note("start swan", || scene.swan.start())?;
    journal.note("start ravelin", || scene.ravelin.start())?;
    for step in &case.steps {
        journal
            .note(&step.words.join(" "), || steps::run(scene, &step.words))
            .with_context(|| format!("expect:{}", step.line))?;
    }
    // Whatever a case is about, nothing of its payload may be on the wire in the clear.
    if let Some(capture) = scene.capture.take() {
        let seen = capture.stop()?;
        ensure!(seen.clear.is_empty(), "in the clear on the wire: {:#?}", seen.clear);
        ensure!(seen.readable == 0, "payload could be read in {} protected packets", seen.readable);
    }
    Ok(())
}

/// How long each step took.
struct Journal(std::fs::File);

impl Journal {
    fn note(&mut self, what: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let started = Instant::now();
        let result = act();
        writeln!(self.0, "{:6.2} s  {what}", started.elapsed().as_secs_f32())?;
        result.with_context(|| what.to_owned())
    }
}

/// A peer's template with the two sides exchanged.
fn mirrored(template: &str) -> String {
    template.replace("{swan", "{\0").replace("{ravelin", "{swan").replace("{\0", "{ravelin")
}
