//! The flags of `ike remote` beyond RFC 7296.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ravelin_ike::Tcp;
use ravelin_types::Identity;

use super::Conflict;
use crate::value::identity;

/// The registered port (RFC 9329 §2).
pub const TCP_PORT: u16 = 4500;

/// When an IKE SA that we begin goes in TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TcpWhen {
    /// When UDP gets no answer
    Fallback,
    /// At once
    Always,
}

/// What a remote does only when it is asked for.
#[derive(Clone, Debug, Args)]
pub struct ExtensionArgs {
    /// Stay connected when an address of either side changes (MOBIKE, RFC 4555); ours changes only without --local
    #[arg(long)]
    mobike: bool,
    /// Begin IKE, and ESP after it, in TCP (RFC 9329): fallback, when UDP gets no answer; or always
    #[arg(long, value_name = "WHEN", value_enum)]
    tcp: Option<TcpWhen>,
    /// The TCP port on which the peer listens
    #[arg(long, value_name = "PORT", requires = "tcp", default_value_t = TCP_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    tcp_port: u16,
    /// Name of a post-quantum pre-shared key (RFC 8784) that both sides have, as fqdn:NAME or keyid:TEXT
    #[arg(long, value_name = "ID", value_parser = identity::identity, requires = "ppk_file")]
    ppk_id: Option<Identity>,
    /// File with the post-quantum pre-shared key, readable by its owner only
    #[arg(long, value_name = "FILE", requires = "ppk_id")]
    ppk_file: Option<PathBuf>,
    /// No IKE SA without the post-quantum pre-shared key
    #[arg(long, requires = "ppk_id")]
    ppk_required: bool,
}

/// What a remote does beyond RFC 7296, as an operator described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionSpec {
    /// MOBIKE.
    pub mobike: bool,
    /// TCP.
    pub tcp: Option<Tcp>,
    /// Whose name the post-quantum pre-shared key has that we use.
    pub ppk_id: Option<Identity>,
    /// Where it is, as written; `None`: among the secrets that were loaded.
    pub ppk_file: Option<PathBuf>,
    /// Whether there is no IKE SA without one.
    pub ppk_required: bool,
}

impl ExtensionArgs {
    /// What they come to for this version of IKE.
    pub(super) fn interpret(&self, version: u8) -> Result<ExtensionSpec, Conflict> {
        let given = [
            (self.mobike, "mobike", "MOBIKE"),
            (self.tcp.is_some(), "tcp", "IKE in TCP"),
            (self.ppk_id.is_some(), "ppk-id", "a post-quantum pre-shared key"),
        ];
        if let Some((_, flag, what)) = given.into_iter().find(|(given, ..)| *given && version == 1) {
            return Err(Conflict::at(('\0', flag), format!("{what} is of IKEv2; say -z 2")));
        }
        let ExtensionArgs { mobike, tcp, tcp_port, ppk_id, ppk_file, ppk_required } = self.clone();
        let tcp = tcp.map(|when| Tcp { port: tcp_port, at_once: when == TcpWhen::Always });
        Ok(ExtensionSpec { mobike, tcp, ppk_id, ppk_file, ppk_required })
    }
}
