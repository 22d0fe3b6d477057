//! The command line of the lab.

use anyhow::{Context, Result, bail};

use crate::contract;
use crate::matrix::{self, Combination};
use crate::peers::Peer;

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

    /// Whether a case was asked for.
    pub fn wants(&self, name: &str, peer: Peer) -> bool {
        let named = self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()));
        named && !(self.quick && peer.needs_guest())
    }

    /// The cases of the contract of data planes.
    pub fn contract(&self) -> Vec<String> {
        contract::names().filter(|name| !self.stand_in && self.wants(name, Peer::Kernel)).collect()
    }

    /// The combinations of the matrix. Nothing in it can stand in for the engine.
    pub fn matrix(&self) -> Vec<Combination> {
        let mut combinations = if self.stand_in { Vec::new() } else { matrix::combinations(self.full) };
        combinations.retain(|combination| self.wants(&combination.name, Peer::Kernel));
        combinations
    }
}
