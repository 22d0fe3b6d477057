//! strongSwan's own examples connect, or do not, as they say: each half as it stands in the test suite of its source, which is not in
//! this repository, Ravelin with the one and strongSwan with the other, and the other way round.
//!
//! ```text
//!   STRONGSWAN_TESTS=/path/to/testing/tests cargo test -p ravelin-interop --test strongswan [EXAMPLE...]
//!
//!   alice 10.1.0.10 ─ moon 192.168.0.1 ═════ 192.168.0.2 sun ─ 10.2.0.10 bob
//!                                      ═════ 192.168.0.100 carol
//! ```
//! What strongSwan's build makes is made here: addresses that are filled in, certificates and keys, and the servers that have revocation
//! lists, tell whether a certificate was revoked, and know users. Hosts behind a gateway are addresses of its own. strongSwan has ESP in user space, so the examples are those in tunnel mode. Without the folder the
//! test says that it was skipped.

mod examples;
mod hosts;
mod papers;
mod servers;
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use ravelin_interop::case::Configuration;
use ravelin_interop::lab::{Host, RAVELIN, SWAN};
use ravelin_interop::node::{Child, Node, View, ravelin::Ravelin, swan::STARTER, swan::Swan};
use ravelin_interop::peers::{self, Peer};
use ravelin_interop::process::wait_for;
use ravelin_interop::sandbox;

use self::examples::{Begin, Example, PLAIN, STROKE, TRUST, USERS};
use self::papers::Papers;

/// Where strongSwan's tests are.
const FOLDER: &str = "STRONGSWAN_TESTS";
/// Where strongSwan's plugins are, and how their names begin.
const PROGRAMS: &str = "/usr/lib/ipsec/plugins/libstrongswan-";
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
        return sandbox::enter(&[]);
    }
    sandbox::prepare()?;
    hosts::name()?;
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |example: &&Example| words.is_empty() || words.iter().any(|word| example.name.contains(word.as_str()));
    let papers = Papers::new(&cache.join("strongswan/winnetou"))?;
    let (mut passed, mut failed) = (0, 0);
    for example in [PLAIN, STROKE, TRUST, USERS].into_iter().flatten().filter(wanted) {
        let halves = [(true, "Ravelin begins"), (false, "strongSwan begins")].into_iter().zip(example.ours);
        for ((begins, who), _) in halves.filter(|(_, ours)| *ours) {
            let folder = format!("{}-{}", example.name.replace('/', "-"), example.what());
            let results = cache.join("strongswan").join(folder).join(who.replace(' ', "-"));
            match connect(&tests, example, begins, &papers, &results) {
                Ok(()) => {
                    println!("{} {}, {who} ... ok", example.name, example.what());
                    passed += 1;
                }
                Err(error) => {
                    println!(
                        "{} {}, {who} ... FAILED: {error:#}; see {}",
                        example.name,
                        example.what(),
                        results.display()
                    );
                    failed += 1;
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads both halves, and has the one that begins initiate.
fn connect(tests: &Path, example: &Example, begins: bool, papers: &Papers, results: &Path) -> Result<()> {
    let [answering, beginning] = example.hosts;
    let (ours, theirs) = if begins { (beginning, answering) } else { (answering, beginning) };
    let _ = fs::remove_dir_all(results);
    let [own, peer] = [("ravelin", ours), ("swan", theirs)].map(|(side, host)| {
        let folder = results.join(side);
        let half = half(tests, example, host, &folder)?;
        papers.put(example, host, &folder, &half)?;
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
    let daemon = fs::read_to_string(peer.join("strongswan.conf")).unwrap_or_default();
    let mut swan = match &peer_half {
        Half::Swanctl(conf) => Swan::new(Host::Namespace(&SWAN), &peer, conf)?,
        Half::Ipsec { .. } => Swan::by_starter(Host::Namespace(&SWAN), &peer)?,
    };
    settle(&daemon, &peer)?;
    let moon = if ours == "moon" { &RAVELIN } else { &SWAN };
    let _servers = example.servers.start(papers, moon, results)?;
    let mut both = || {
        // Who begins may do so at once.
        if begins {
            start(&mut swan, &peer_half)?;
            ravelin.start()?;
        } else {
            ravelin.start()?;
            start(&mut swan, &peer_half)?;
        }
        match example.refused {
            false => crosses(example, begins, &mut ravelin, &mut swan),
            true => refused(example, begins, &mut ravelin, &mut swan),
        }
    };
    let done = both().and_then(|()| said(example, begins, &ravelin, &swan));
    if done.is_err() {
        ravelin.keep_evidence();
        swan.keep_evidence();
    }
    let stopped = ravelin.stop();
    swan.stop()?;
    let written = fs::read_to_string(results.join("radius/detail")).unwrap_or_default();
    let missing = example.written.iter().find(|text| !written.contains(**text));
    done.and(stopped)
        .and_then(|()| missing.map_or(Ok(()), |text| bail!("the RADIUS server did not write down: {text}")))
}

/// Starts strongSwan, whose starter gives it the connections of an `ipsec.conf` one after the other when it runs.
fn start(swan: &mut Swan<'_>, half: &Half) -> Result<()> {
    swan.start()?;
    let Half::Ipsec { conf, .. } = half else { return Ok(()) };
    // Those without are for others to refer to.
    let by_default = conf.split("\nconn ").any(|section| section.starts_with("%default") && section.contains("auto="));
    let sections = conf.split("\nconn ").skip(1).filter(|section| by_default || section.contains("auto="));
    let names = sections.filter_map(|section| section.split_whitespace().next()).filter(|name| *name != "%default");
    let names: Vec<&str> = names.collect();
    wait_for(20, "strongSwan to have its connections", || {
        let there = swan.command("--list-conns")?;
        let missing = names.iter().find(|name| !there.contains(&format!("{name}: ")));
        missing.map_or(Ok(()), |name| bail!("{name} is not among {there}"))
    })
}

/// What strongSwan reads of its own: what it needs here, and what the example says.
fn settle(said: &str, folder: &Path) -> Result<()> {
    let own = fs::read_to_string(folder.join("strongswan.conf"))?.replace("  plugins {\n", PLUGINS);
    let loaded: Vec<&str> =
        own.lines().filter(|line| line.contains("load =")).flat_map(str::split_whitespace).collect();
    // Plugins are chosen here, but for methods; and sections of the same name are one, where what stands later counts.
    let plugins: String = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("load ="))
        .flat_map(str::split_whitespace)
        .filter(|plugin| plugin.starts_with("eap-") || ["fips-prf", "unity", "xauth-eap"].contains(plugin))
        .filter(|plugin| !loaded.contains(plugin) && Path::new(&format!("{PROGRAMS}{plugin}.so")).exists())
        .map(|plugin| format!("{plugin} "))
        .collect();
    let own = own.replacen("kernel-libipsec kernel-netlink", &format!("{plugins}kernel-libipsec kernel-netlink"), 1);
    // Debian's does not test its own programs, and does not start where it shall.
    let left_out = |line: &str| ["load =", "integrity_test ="].iter().any(|it| line.contains(it));
    let said: String = said.lines().filter(|line| !left_out(line)).map(|line| format!("{line}\n")).collect();
    // Debian's strongSwan has EAP over TLS 1.3 as it was before RFC 9190.
    let said = said.split("libtls {").next().unwrap_or_default().replace("charon-systemd {", "charon {");
    Ok(fs::write(folder.join("strongswan.conf"), format!("{own}\n{said}"))?)
}

/// The one that begins does so.
fn begin(example: &Example, begins: bool, ravelin: &mut Ravelin, swan: &mut Swan<'_>) -> Result<()> {
    let [from, to] = example.packet;
    match (example.begin, begins) {
        (Begin::Told(child), true) => ravelin.command(&format!("ike initiate {child}")).map(drop),
        (Begin::Told(child) | Begin::Packet(child), false) => {
            swan.command(&format!("--initiate --child {child} --timeout 40")).map(drop)
        }
        (Begin::Packet(_), true) => RAVELIN.sh(&format!("ping -c 1 -W 1 -I {from} {to} || true")).map(drop),
        (Begin::Start, _) => Ok(()),
    }
}

/// It is told that it has failed, and nobody has a Child SA.
fn refused(example: &Example, begins: bool, ravelin: &mut Ravelin, swan: &mut Swan<'_>) -> Result<()> {
    ensure!(begin(example, begins, ravelin, swan).is_err(), "the one that begins is told that there is a Child SA");
    wait_for(10, "neither side to have a Child SA", || {
        let (theirs, ours) = (swan.view()?, ravelin.view()?);
        ensure!(theirs.children.is_empty() && ours.children.is_empty(), "listed: {theirs:?} and {ours:?}");
        Ok(())
    })
}

/// Both say what they must.
fn said(example: &Example, begins: bool, ravelin: &Ravelin, swan: &Swan<'_>) -> Result<()> {
    let [begun, answered] = example.said;
    let (ours, theirs) = if begins { (begun, answered) } else { (answered, begun) };
    for (who, log, texts) in [("Ravelin", ravelin.said(), ours.ravelin), ("strongSwan", swan.said(), theirs.swan)] {
        for text in texts {
            ensure!(log.contains(text), "{who} did not say: {text}");
        }
    }
    Ok(())
}

/// One Child SA, and what crosses is believed to strongSwan.
fn crosses(example: &Example, begins: bool, ravelin: &mut Ravelin, swan: &mut Swan<'_>) -> Result<()> {
    begin(example, begins, ravelin, swan)?;
    let [from, to] = example.packet;
    let host = if begins { &RAVELIN } else { &SWAN };
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

/// Copies the half of `host`, and what it says of the daemon one folder above, where Ravelin looks.
fn half(tests: &Path, example: &Example, host: &str, to: &Path) -> Result<Half> {
    let of = |folder: &Path| folder.join("hosts").join(host).join("etc");
    let from = of(&tests.join(example.name));
    if let Ok(said) = fs::read_to_string(from.join("strongswan.conf")) {
        write(&to.join("strongswan.conf"), hosts::filled(&said).as_bytes())?;
    }
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
