//! A case: one folder below `cases/`.
//!
//! | file | holds |
//! |---|---|
//! | `topology` | lines `peer userspace|kernel|strongswan6|libreswan|libreswan5|openiked|vpnc`, `nat none|ravelin|swan|both`, `host daemon|smoltcp|lwip|kernel`, `certificates KIND`, `attributes GROUP`, `token`, `netdevsim`, `radius METHOD [NAME=VALUE...]`, `swan-radius METHOD` (the server of the peer; with `sim`, `aka` and `aka-prime` hostapd) and `kernel VERSION|iptfs|no-iptfs`, what the guest's has to be; a first comment says what the case shows |
//! | `ravelin.rc` | the lines given to `ravelin daemon --rc`, with names of the [`Plan`] in braces |
//! | `ravelin.conf` | in its place, what is given to `ravelin daemon --swanctl` |
//! | `swanctl.conf` | in its place, what a step `swanctl --load-all` loads |
//! | `account.conf` | in its place, an account of `ravelin psk`, with `host kernel` |
//! | `swan.conf` | the connections of the peer, in swanctl.conf's syntax, after `cases/common.conf` |
//! | `ipsec.conf` | in its place, where the peer is Libreswan: its connection `net` |
//! | `iked.conf` | in its place, where the peer is OpenIKED: its policy `net`, passive |
//! | `vpnc.conf` | in its place, where the peer is vpnc |
//! | `setkey.conf` | a script of setkey(8), which `ravelin.rc` names as `{setkey}` |
//! | `expect` | the steps, one a line, in the words of [`steps`] |

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::node::example::Stack;
use crate::papers;
use crate::peers::Peer;
use crate::plan::{Nat, Plan};
use crate::radius::Radius;
use crate::steps;

/// One line of `expect`.
#[derive(Clone, Debug)]
pub struct Step {
    /// Line in the file, from 1.
    pub line: usize,
    /// Its words; the first one names the step.
    pub words: Vec<String>,
}

/// A case as its folder describes it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The implementation at the other end.
    pub peer: Peer,
    /// The addresses.
    pub plan: Plan,
    /// What runs Ravelin.
    pub own: Own,
    /// The kind of key of its certificates, if it has some.
    pub papers: Option<papers::Keys>,
    /// The group of both sides, by attribute certificates.
    pub attributes: Option<String>,
    /// Its key is on a PKCS #11 token, and in no file.
    pub token: bool,
    /// A device that takes the cryptography of ESP is in front of Ravelin.
    pub netdevsim: bool,
    /// A RADIUS server is beside Ravelin.
    pub radius: Option<Radius>,
    /// What the guest's kernel has to be for it.
    pub kernel: Option<Need>,
    /// Template of Ravelin's configuration.
    pub ravelin: Configuration,
    /// Template of the peer's configuration.
    pub swan_conf: String,
    /// A script of setkey(8) that the lines of an `ike_rc` name, as a template.
    pub setkey: Option<String>,
    /// What is done and asserted, in order.
    pub steps: Vec<Step>,
}

/// The first two numbers of a version of Linux.
pub type Version = (u32, u32);

/// Reads one: `6.13`, or the whole of what `uname -r` says.
pub fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split(['.', '-', '+']).map_while(|word| word.parse().ok());
    numbers.next().zip(numbers.next())
}

/// What a case needs of the guest's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This Linux or a later one.
    Linux(Version),
    /// Whether it has AGGFRAG payloads (RFC 9347): Linux 6.14 with `CONFIG_XFRM_IPTFS`.
    Iptfs(bool),
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Need::Linux((major, minor)) => write!(f, "Linux {major}.{minor}"),
            Need::Iptfs(true) => f.write_str("a kernel with CONFIG_XFRM_IPTFS"),
            Need::Iptfs(false) => f.write_str("a kernel without CONFIG_XFRM_IPTFS"),
        }
    }
}

/// How Ravelin is configured, each as a template.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// Lines of an `ike_rc`.
    Rc(String),
    /// A `swanctl.conf` that the daemon reads.
    Swanctl(String),
    /// An `ipsec.conf` that the daemon reads.
    Ipsec(String),
    /// A `swanctl.conf` that Debian's `swanctl` loads.
    Loaded(String),
    /// An `account.conf` of `ravelin psk`, or several with lines `# another` between them. With a line `# server` it is the server.
    Account(String),
}

impl Configuration {
    /// The template.
    pub fn template(&self) -> &str {
        match self {
            Configuration::Rc(text)
            | Configuration::Swanctl(text)
            | Configuration::Ipsec(text)
            | Configuration::Loaded(text)
            | Configuration::Account(text) => text,
        }
    }

    /// The same kind with another text.
    pub fn with(&self, text: String) -> Self {
        match self {
            Configuration::Rc(_) => Configuration::Rc(text),
            Configuration::Swanctl(_) => Configuration::Swanctl(text),
            Configuration::Ipsec(_) => Configuration::Ipsec(text),
            Configuration::Loaded(_) => Configuration::Loaded(text),
            Configuration::Account(_) => Configuration::Account(text),
        }
    }
}

/// What runs Ravelin at the near end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The daemon, on the system's IP stack.
    Daemon,
    /// An example that carries the engine under a stack which is not the system's.
    Example(Stack),
    /// The daemon in the guest, with the kernel there as its data plane.
    Kernel,
}

/// Reads every case below `folder`, in the order of their names.
pub fn load_all(folder: &Path) -> Result<Vec<Case>> {
    let common = read(&folder.join("common.conf"))?;
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders.iter().map(|path| load(path, &common).with_context(|| format!("case {}", path.display()))).collect()
}

fn load(folder: &Path, common: &str) -> Result<Case> {
    let name = folder.file_name().context("a folder without a name")?.to_string_lossy().into_owned();
    let Topology { about, peer, nat, own, papers, attributes, token, netdevsim, radius, kernel } =
        parse_topology(&read(&folder.join("topology"))?)?;
    let steps = parse_steps(&read(&folder.join("expect"))?)?;
    let ravelin = match ["ravelin.conf", "swanctl.conf", "account.conf"].map(|name| folder.join(name)) {
        [conf, ..] if conf.exists() => Configuration::Swanctl(read(&conf)?),
        [_, conf, _] if conf.exists() => Configuration::Loaded(read(&conf)?),
        [.., conf] if conf.exists() => Configuration::Account(read(&conf)?),
        _ => Configuration::Rc(read(&folder.join("ravelin.rc"))?),
    };
    let swan_conf = match peer {
        Peer::Libreswan | Peer::Libreswan5 => read(&folder.join("ipsec.conf"))?,
        Peer::OpenIked => read(&folder.join("iked.conf"))?,
        Peer::Vpnc => read(&folder.join("vpnc.conf"))?,
        Peer::Userspace | Peer::Kernel | Peer::Swan6 => format!("{common}\n{}", read(&folder.join("swan.conf"))?),
    };
    let script = folder.join("setkey.conf");
    let setkey = if script.exists() { Some(read(&script)?) } else { None };
    Ok(Case {
        name,
        about,
        peer,
        plan: Plan { nat },
        own,
        papers,
        attributes,
        token,
        netdevsim,
        radius,
        kernel,
        ravelin,
        swan_conf,
        setkey,
        steps,
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// What the file of this name says.
#[derive(Debug)]
struct Topology {
    about: String,
    peer: Peer,
    nat: Nat,
    own: Own,
    papers: Option<papers::Keys>,
    attributes: Option<String>,
    token: bool,
    netdevsim: bool,
    radius: Option<Radius>,
    kernel: Option<Need>,
}

fn parse_topology(text: &str) -> Result<Topology> {
    let about =
        text.lines().next().and_then(|line| line.strip_prefix("# ")).context("topology: first line is no comment")?;
    let (mut peer, mut nat, mut own, mut papers, mut attributes, mut token, mut netdevsim, mut radius, mut kernel) =
        (None, Nat::None, Own::Daemon, None, None, false, false, None, None);
    for line in lines(text).map(|(_, line)| line) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["peer", "userspace"] => peer = Some(Peer::Userspace),
            ["peer", "kernel"] => peer = Some(Peer::Kernel),
            ["peer", "strongswan6"] => peer = Some(Peer::Swan6),
            ["peer", "libreswan"] => peer = Some(Peer::Libreswan),
            ["peer", "libreswan5"] => peer = Some(Peer::Libreswan5),
            ["peer", "openiked"] => peer = Some(Peer::OpenIked),
            ["peer", "vpnc"] => peer = Some(Peer::Vpnc),
            ["nat", "none"] => nat = Nat::None,
            ["nat", "ravelin"] => nat = Nat::Ravelin,
            ["nat", "swan"] => nat = Nat::Swan,
            ["nat", "both"] => nat = Nat::Both,
            ["host", "daemon"] => own = Own::Daemon,
            ["host", "smoltcp"] => own = Own::Example(Stack::Smoltcp),
            ["host", "lwip"] => own = Own::Example(Stack::Lwip),
            ["host", "kernel"] => own = Own::Kernel,
            ["attributes", group] => attributes = Some(group.to_owned()),
            ["token"] => token = true,
            ["netdevsim"] => netdevsim = true,
            ["radius", method, ref reply @ ..] => {
                let reply = reply.iter().map(|it| (*it).to_owned()).collect();
                radius = Some(Radius { method: method.to_owned(), reply, of_peer: false });
            }
            ["swan-radius", method] => {
                radius = Some(Radius { method: method.to_owned(), reply: Vec::new(), of_peer: true });
            }
            ["kernel", "iptfs"] => kernel = Some(Need::Iptfs(true)),
            ["kernel", "no-iptfs"] => kernel = Some(Need::Iptfs(false)),
            ["kernel", text] if let Some(least) = version(text) => kernel = Some(Need::Linux(least)),
            ["certificates", word] if let Some(keys) = papers::keys(word) => papers = Some(keys),
            _ => bail!(
                "topology: `{line}`: expected `peer userspace|kernel|strongswan6|libreswan|libreswan5|openiked|vpnc`, `nat none|ravelin|swan|both`, `host daemon|smoltcp|lwip|kernel`, \
                 `attributes GROUP`, `token`, `netdevsim`, `radius METHOD [NAME=VALUE...]`, `swan-radius METHOD`, `kernel VERSION|iptfs|no-iptfs` or `certificates KIND` with rsa, p256, p384, \
                 p521, ed25519, ed448, brainpool256, brainpool384 or brainpool512"
            ),
        }
    }
    let (about, peer) = (about.to_owned(), peer.context("topology: no line `peer`")?);
    Ok(Topology { about, peer, nat, own, papers, attributes, token, netdevsim, radius, kernel })
}

fn parse_steps(text: &str) -> Result<Vec<Step>> {
    let mut parsed = Vec::new();
    for (line, text) in lines(text) {
        let words = split_words(text).with_context(|| format!("expect:{line}"))?;
        steps::check(&words).with_context(|| format!("expect:{line}"))?;
        parsed.push(Step { line, words });
    }
    Ok(parsed)
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Words are separated by white space; double quotes hold a word with white space together.
fn split_words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').context("a quote that does not end")?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_the_tree_is_well_formed() {
        let cases = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap();
        assert!(cases.len() > 20, "{} cases", cases.len());
        for case in &cases {
            assert!(!case.steps.is_empty(), "{} asserts nothing", case.name);
            let more =
                [("secret", "/s"), ("users", "/u"), ("psk", "x"), ("pki", "/pki"), ("setkey", "/k"), ("sim", "/sim")];
            case.plan.fill(case.ravelin.template(), &more).unwrap();
            case.plan.fill(&case.swan_conf, &more).unwrap();
        }
    }

    #[test]
    fn words_and_quotes() {
        assert_eq!(split_words("log swan \"no proposal\" x").unwrap(), ["log", "swan", "no proposal", "x"]);
        assert!(split_words("log \"no").is_err());
    }

    #[test]
    fn an_unknown_line_says_what_was_expected() {
        assert!(parse_topology("# x\npeer isakmpd").unwrap_err().to_string().contains("expected"));
        assert!(parse_steps("dance now").is_err());
    }
}
