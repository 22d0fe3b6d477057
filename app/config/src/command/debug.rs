//! `ike debug`: what the daemon tells while it happens.

use clap::{Args, ValueEnum};

/// `ike debug`
#[derive(Clone, Debug, Args)]
pub struct DebugArgs {
    /// Show every IKE message that comes or goes, field by field, opened with the daemon's keys
    #[arg(short = 't', long)]
    pub trace: bool,
    /// Show what the daemon says of its negotiations
    #[arg(short = 'd', long)]
    pub debug: bool,
    /// The most secret content that a trace shows
    #[arg(long, value_enum, default_value_t = Shown::Identities, requires = "trace")]
    pub show: Shown,
}

impl DebugArgs {
    /// Whether anything is to be shown. Without an option, `ike debug` ends what others have begun.
    pub fn is_on(&self) -> bool {
        self.trace || self.debug
    }
}

/// How much of decrypted content is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Shown {
    /// Neither identities nor secrets
    Public,
    /// Identities too: names, inner addresses
    Identities,
    /// Everything: passwords, and what proves who a peer is
    Secrets,
}
