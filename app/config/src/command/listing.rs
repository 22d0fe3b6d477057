//! The verbs that list, flush and act on what is already configured.

use std::time::Duration;

use clap::Args;

use super::Conflict;
use crate::value::{name, quantity};

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

/// `ike netstat`
#[derive(Clone, Debug, Default, Args)]
pub struct IkeNetstatArgs {
    /// IKE security associations: 3 for IKEv2 (1 and 2 are the phases of IKEv1)
    #[arg(short = 'p', long, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub phase: Option<u8>,
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
        no_phases_of_ikev1(self.phase)?;
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
    /// IKE security associations: 3 for IKEv2 (1 and 2 are the phases of IKEv1)
    #[arg(short = 'p', long, value_parser = clap::value_parser!(u8).range(1..=3))]
    phase: Option<u8>,
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
    /// Every IKE SA.
    pub sas: bool,
    /// Remotes: none, one, or (`Some(None)`) all.
    pub remotes: Option<Option<String>>,
}

impl IkeFlushArgs {
    pub(super) fn interpret(&self) -> Result<FlushIke, Conflict> {
        no_phases_of_ikev1(self.phase)?;
        if self.name.is_some() && !self.remotes {
            return Err(Conflict::at(('n', "name"), "-n NAME goes with -r"));
        }
        let everything = self.phase.is_none() && !self.remotes;
        Ok(FlushIke {
            sas: everything || self.phase.is_some(),
            remotes: (everything || self.remotes).then(|| self.name.clone()),
        })
    }
}

fn no_phases_of_ikev1(phase: Option<u8>) -> Result<(), Conflict> {
    match phase {
        Some(1 | 2) => Err(Conflict::at(('p', "phase"), "IKEv1 is not there yet; use -p 3 for IKEv2")),
        _ => Ok(()),
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
