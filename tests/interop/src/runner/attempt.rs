//! One case: its network, its two ends, its steps.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::tally::Outcome;
use super::{Options, Places, recipe};
use crate::capture::Capture;
use crate::case::{Case, Own};
use crate::device::{self, Device};
use crate::lab::{self, Host, Lab};
use crate::node::Node;
use crate::node::example::{Example, Stack};
use crate::node::guest_ravelin::GuestRavelin;
use crate::node::libreswan::Libreswan;
use crate::node::openiked::OpenIked;
use crate::node::ravelin::Ravelin;
use crate::node::swan::Swan;
use crate::node::vpnc::Vpnc;
use crate::peers::{self, Peer};
use crate::plan::SECRET;
use crate::radius::{self, Radius};
use crate::steps::{self, Scene};
use crate::{hostapd, papers, token, traffic};

/// Runs a case against a peer at `host`, or says why it was not run.
pub fn attempt(case: &Case, options: &Options, places: &Places, host: Result<Host<'_>, String>) -> Outcome {
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
    let host = match host {
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
    match contained(|| run_case(case, options, places, host, &folder)) {
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

/// Runs it. A case that panics takes no other with it.
pub fn contained(run: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| bail!("it panicked, as told above"))
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
    let swan = peer(case, places, host, folder)?;
    let ravelin = ravelin(case, options, places, near, folder)?;
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

/// The other implementation, with its part of the case.
fn peer<'a>(case: &Case, places: &Places, host: Host<'a>, folder: &Path) -> Result<Box<dyn Node + 'a>> {
    let conf = case.plan.fill(&case.swan_conf, &[("psk", SECRET)])?;
    Ok(match (case.peer, host) {
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
    })
}

/// Ravelin, or what stands in for it.
fn ravelin<'a>(
    case: &Case,
    options: &Options,
    places: &Places,
    near: Host<'a>,
    folder: &Path,
) -> Result<Box<dyn Node + 'a>> {
    if options.stand_in {
        let conf = case.plan.fill(&mirrored(&case.swan_conf), &[("psk", SECRET)])?;
        return Ok(Box::new(Swan::new(Host::Namespace(&lab::RAVELIN), &folder.join("ravelin"), &conf)?));
    }
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
    Ok(match case.own {
        Own::Kernel => Box::new(GuestRavelin::new(near, &places.ravelin, &own, &case.ravelin.with(text))?),
        Own::Daemon => Box::new(Ravelin::new(lab::RAVELIN, &places.ravelin, &own, &case.ravelin.with(text))?),
        Own::Example(stack) => {
            let program = if stack == Stack::Smoltcp { &places.smoltcp } else { &places.lwip };
            Box::new(Example::new(stack, lab::RAVELIN, program, &own, &text)?)
        }
    })
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
