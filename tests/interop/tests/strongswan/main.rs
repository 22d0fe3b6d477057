//! strongSwan's own examples connect: each half as it stands in the test suite of its source, which is not in this repository,
//! Ravelin with the one and strongSwan with the other, and the other way round.
//!
//! ```text
//!   STRONGSWAN_TESTS=/path/to/testing/tests cargo test -p ravelin-interop --test strongswan [EXAMPLE...]
//!
//!   alice 10.1.0.10 ─ moon 192.168.0.1 ═════ 192.168.0.2 sun ─ 10.2.0.10 bob
//!                                      ═════ 192.168.0.100 carol
//! ```
//! What strongSwan's build makes is made here: addresses that are filled in, certificates and keys. Hosts behind a gateway are
//! addresses of its own. strongSwan has ESP in user space, so the examples are those in tunnel mode. Without the folder the
//! test says that it was skipped.

mod examples;
mod hosts;
mod papers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use ravelin_interop::case::Configuration;
use ravelin_interop::lab::{Host, RAVELIN, SWAN};
use ravelin_interop::node::{Child, Node, View, ravelin::Ravelin, swan::STARTER, swan::Swan};
use ravelin_interop::peers::{self, Peer};
use ravelin_interop::process::wait_for;
use ravelin_interop::sandbox;

use self::examples::{Begin, EXAMPLES, Example};
use self::papers::Papers;

/// Where strongSwan's tests are.
const FOLDER: &str = "STRONGSWAN_TESTS";
/// Packets each way.
const PINGS: u64 = 3;

/// ESP of strongSwan's has its traffic by a route, which its own packets pass by: a road warrior's network is its address.
const PLUGINS: &str = "  plugins {
    kernel-netlink {
      fwmark = !0x42
    }
    socket-default {
      fwmark = 0x42
    }
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let Some(tests) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        println!("SKIPPED: {FOLDER} names no folder with strongSwan's testing/tests");
        return Ok(ExitCode::SUCCESS);
    };
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let starter = (!peers::present(STARTER)).then_some(STARTER);
    let missing: Vec<&str> = Peer::Userspace.missing(cache).into_iter().chain(starter).collect();
    if let Some(why) = sandbox::obstacle().or((!missing.is_empty()).then(|| format!("missing: {}", missing.join(", "))))
    {
        println!("SKIPPED: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    if !sandbox::inside() {
        return sandbox::enter("RAVELIN_STRONGSWAN_INSIDE", "1");
    }
    sandbox::prepare()?;
    hosts::name()?;
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |example: &&Example| words.is_empty() || words.iter().any(|word| example.name.contains(word.as_str()));
    let papers = Papers::new();
    let (mut passed, mut failed) = (0, 0);
    for example in EXAMPLES.iter().filter(wanted) {
        let halves = [(true, "Ravelin begins"), (false, "strongSwan begins")].into_iter().zip(example.ours);
        for ((begins, who), _) in halves.filter(|(_, ours)| *ours) {
            let results = cache.join("strongswan").join(example.name.replace('/', "-")).join(who.replace(' ', "-"));
            match connect(&tests, example, begins, &papers, &results) {
                Ok(()) => {
                    println!("{}, {who} ... ok", example.name);
                    passed += 1;
                }
                Err(error) => {
                    println!("{}, {who} ... FAILED: {error:#}; see {}", example.name, results.display());
                    failed += 1;
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads both halves, and has the one that begins initiate. What crosses is believed to strongSwan.
fn connect(tests: &Path, example: &Example, begins: bool, papers: &Papers, results: &Path) -> Result<()> {
    let [answering, beginning] = example.hosts;
    let (ours, theirs) = if begins { (beginning, answering) } else { (answering, beginning) };
    let _ = fs::remove_dir_all(results);
    let [own, peer] = [("ravelin", ours), ("swan", theirs)].map(|(side, host)| {
        let folder = results.join(side);
        let half = half(tests, example, host, &folder)?;
        papers.put(example.kept, host, &folder, &half)?;
        anyhow::Ok((folder, half))
    });
    let ((own, own_half), (peer, peer_half)) = (own?, peer?);
    hosts::lay(ours, theirs)?;
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug").join("ravelin");
    let own_conf = match own_half {
        Half::Swanctl(conf) => Configuration::Swanctl(conf),
        Half::Ipsec { conf, .. } => Configuration::Ipsec(conf),
    };
    let mut ravelin = Ravelin::new(RAVELIN, &program, &own, &own_conf)?;
    let mut swan = match &peer_half {
        Half::Swanctl(conf) => Swan::new(Host::Namespace(&SWAN), &peer, conf)?,
        Half::Ipsec { .. } => Swan::by_starter(Host::Namespace(&SWAN), &peer)?,
    };
    let conf = fs::read_to_string(peer.join("strongswan.conf"))?.replace("  plugins {\n", PLUGINS);
    fs::write(peer.join("strongswan.conf"), conf)?;
    // Who begins may do so at once.
    if begins {
        swan.start()?;
        ravelin.start()?;
    } else {
        ravelin.start()?;
        swan.start()?;
    }
    let done = crosses(example, begins, &mut ravelin, &mut swan);
    if done.is_err() {
        ravelin.keep_evidence();
        swan.keep_evidence();
    }
    let stopped = ravelin.stop();
    swan.stop()?;
    done.and(stopped)
}

fn crosses(example: &Example, begins: bool, ravelin: &mut Ravelin, swan: &mut Swan<'_>) -> Result<()> {
    let [from, to] = example.packet;
    let host = if begins { &RAVELIN } else { &SWAN };
    match (example.begin, begins) {
        (Begin::Told(child), true) => drop(ravelin.command(&format!("ike initiate {child}"))?),
        (Begin::Told(child) | Begin::Packet(child), false) => {
            drop(swan.command(&format!("--initiate --child {child} --timeout 40"))?);
        }
        (Begin::Packet(_), true) => drop(host.sh(&format!("ping -c 1 -W 1 -I {from} {to} || true"))?),
        (Begin::Start, _) => {}
    }
    let (theirs, ours) =
        wait_for(10, "one Child SA on both sides", || Ok((one(swan.view()?)?, one(ravelin.view()?)?)))?;
    ensure!(theirs.spi_in == ours.spi_out && theirs.spi_out == ours.spi_in, "{theirs:?} is not {ours:?}");
    host.sh(&format!("ping -c {PINGS} -i 0.2 -W 5 -I {from} {to}"))?;
    let child = one(swan.view()?)?;
    ensure!(child.packets.0 >= PINGS && child.packets.1 >= PINGS, "strongSwan counted {:?} packets", child.packets);
    Ok(())
}

fn one(view: View) -> Result<Child> {
    ensure!(view.ike.len() == 1 && view.children.len() == 1, "listed: {view:?}");
    view.children.into_iter().next().context("a Child SA")
}

/// What a host of an example reads.
enum Half {
    Swanctl(String),
    Ipsec { conf: String, secrets: String },
}

/// Copies the half of `host`.
fn half(tests: &Path, example: &Example, host: &str, to: &Path) -> Result<Half> {
    let of = |folder: &Path| folder.join("hosts").join(host).join("etc");
    let from = of(&tests.join(example.name));
    if !from.join("ipsec.conf").exists() {
        copy(&from.join("swanctl"), to)?;
        return Ok(Half::Swanctl(fs::read_to_string(to.join("swanctl.conf"))?));
    }
    // Without secrets of its own it has those that every example has.
    let secrets = [from.join("ipsec.secrets"), of(&tests.join("..")).join("ipsec.secrets")];
    let secrets = secrets.iter().find(|file| file.exists()).context("ipsec.secrets")?;
    let [conf, secrets] = [&from.join("ipsec.conf"), secrets].map(|file| -> Result<String> {
        let text = hosts::filled(&fs::read_to_string(file)?);
        write(&to.join(file.file_name().context("a file")?), text.as_bytes())?;
        Ok(text)
    });
    Ok(Half::Ipsec { conf: conf?, secrets: secrets? })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let text = hosts::filled(&fs::read_to_string(entry.path())?);
            write(&to.join(entry.file_name()), text.as_bytes())?;
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}
