//! The verbs that list, flush and act on what is already configured, and those of whole files.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Conflict;
use crate::value::{BadValue, name, quantity};

/// `ipsec netstat`
#[derive(Clone, Debug, Default, Args)]
pub struct IpsecNetstatArgs {
    /// Everything, the counters of dummy packets included
    #[arg(short = 'a', long)]
    pub all: bool,
    /// Security associations only
    #[arg(short = 'c', long)]
    pub sas: bool,
    /// Policies only
    #[arg(short = 'p', long)]
    pub policies: bool,
    /// In the layout of OpenBSD's `ipsecctl -s all`: policies as flows of each direction, then the SAs
    #[arg(long, conflicts_with_all = ["all", "show_keys"])]
    pub flows: bool,
    /// Show the keys of security associations (whoever sees them can read the traffic)
    #[arg(long)]
    pub show_keys: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl IpsecNetstatArgs {
    /// Whether security associations are wanted: no option means both.
    pub fn wants_sas(&self) -> bool {
        self.all || self.sas || !self.policies
    }

    /// Whether policies are wanted.
    pub fn wants_policies(&self) -> bool {
        self.all || self.policies || !self.sas
    }
}

/// `ipsec flush`
#[derive(Clone, Debug, Args)]
pub struct IpsecFlushArgs {
    /// Security associations and policies
    #[arg(short = 'a', long)]
    all: bool,
    /// Security associations
    #[arg(short = 'c', long)]
    sas: bool,
    /// Policies (and with them the security associations they asked for)
    #[arg(short = 'p', long)]
    policies: bool,
}

/// What `ipsec flush` deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushIpsec {
    /// Every Child SA.
    pub sas: bool,
    /// Every policy.
    pub policies: bool,
}

impl IpsecFlushArgs {
    pub(super) fn interpret(&self) -> Result<FlushIpsec, Conflict> {
        if !(self.all || self.sas || self.policies) {
            return Err(Conflict::missing("expected -a (both), -c (security associations) or -p (policies)"));
        }
        Ok(FlushIpsec { sas: self.all || self.sas, policies: self.all || self.policies })
    }
}

/// What `-p` of `ike netstat` and `ike flush` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The IKE SAs of IKEv1.
    V1Ike,
    /// What was negotiated in quick mode.
    V1Quick,
    /// IKEv2: IKE SAs with their Child SAs.
    V2,
}

fn phase(text: &str) -> Result<Phase, BadValue> {
    match text {
        "1" => Ok(Phase::V1Ike),
        "2" => Ok(Phase::V1Quick),
        "3" => Ok(Phase::V2),
        _ => Err(BadValue::new("expected 1 or 2, the phases of IKEv1, or 3, IKEv2")),
    }
}

/// `ike netstat`
#[derive(Clone, Debug, Default, Args)]
pub struct IkeNetstatArgs {
    /// Security associations of IKE: 1 and 2 for the phases of IKEv1, 3 for IKEv2
    #[arg(short = 'p', long, value_name = "NUMBER", value_parser = phase)]
    pub phase: Option<Phase>,
    /// Remotes
    #[arg(short = 'r', long)]
    pub remotes: bool,
    /// Only the remote of this name (with -r)
    #[arg(short = 'n', long, value_parser = name)]
    pub name: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl IkeNetstatArgs {
    pub(super) fn interpret(&self) -> Result<Self, Conflict> {
        if self.name.is_some() && !self.remotes {
            return Err(Conflict::at(('n', "name"), "-n NAME goes with -r"));
        }
        Ok(self.clone())
    }

    /// Whether IKE SAs are wanted: no option means both.
    pub fn wants_sas(&self) -> bool {
        self.phase.is_some() || !self.remotes
    }

    /// Whether remotes are wanted.
    pub fn wants_remotes(&self) -> bool {
        self.remotes || self.phase.is_none()
    }
}

/// `ike flush`
#[derive(Clone, Debug, Args)]
pub struct IkeFlushArgs {
    /// Security associations of IKE: 1 and 2 for the phases of IKEv1, 3 for IKEv2
    #[arg(short = 'p', long, value_name = "NUMBER", value_parser = phase)]
    phase: Option<Phase>,
    /// Remotes
    #[arg(short = 'r', long)]
    remotes: bool,
    /// Only the remote of this name (with -r)
    #[arg(short = 'n', long, value_parser = name)]
    name: Option<String>,
}

/// What `ike flush` deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushIke {
    /// SAs: none, those of a phase, or (`Some(None)`) all.
    pub sas: Option<Option<Phase>>,
    /// Remotes: none, one, or (`Some(None)`) all.
    pub remotes: Option<Option<String>>,
}

impl IkeFlushArgs {
    pub(super) fn interpret(&self) -> Result<FlushIke, Conflict> {
        if self.name.is_some() && !self.remotes {
            return Err(Conflict::at(('n', "name"), "-n NAME goes with -r"));
        }
        let everything = self.phase.is_none() && !self.remotes;
        Ok(FlushIke {
            sas: (everything || self.phase.is_some()).then_some(self.phase),
            remotes: (everything || self.remotes).then(|| self.name.clone()),
        })
    }
}

/// How long a verb that starts an exchange waits for its end.
#[derive(Clone, Copy, Debug, Args)]
pub struct Wait {
    /// Wait this long for the outcome; 0 does not wait
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = quantity::duration)]
    pub timeout: Duration,
}

/// `ike initiate`
#[derive(Clone, Debug, Args)]
pub struct InitiateArgs {
    /// Name of the policy
    #[arg(value_parser = name)]
    pub policy: String,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// `ike rekey`
#[derive(Clone, Debug, Args)]
pub struct RekeyArgs {
    /// Name of the remote; with --child, of the policy
    #[arg(value_parser = name)]
    pub name: String,
    /// Rekey the security association of a policy instead of the IKE SA
    #[arg(long)]
    pub child: bool,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// `ike terminate`
#[derive(Clone, Debug, Args)]
pub struct TerminateArgs {
    /// Name of the remote; with --child, of the policy
    #[arg(value_parser = name)]
    pub name: String,
    /// Delete the security association of a policy instead of the IKE SA
    #[arg(long)]
    pub child: bool,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// `ike commands`
#[derive(Clone, Debug, Args)]
pub struct CommandsArgs {
    /// The file to write, for its owner only; - prints
    #[arg(short = 'f', long, value_name = "FILE", default_value = "ike_dump_cmds.txt")]
    pub file: PathBuf,
}

/// `ike reload`
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// A swanctl.conf in the place of what was loaded; without one, the files that the daemon was started with, in the
    /// place of everything
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `call`
#[derive(Clone, Debug, Args)]
pub struct CallArgs {
    /// The file of commands
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `why`
#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// Name of the remote or of a policy, or an address
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `diff`
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
