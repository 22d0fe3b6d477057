//! What can be written behind `ravelin`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use ravelin_config::Verb;
use ravelin_config::command::Shown;

#[cfg(any(feature = "kernel", feature = "tun"))]
use crate::daemon::host::resolver::Way;
#[cfg(any(feature = "kernel", feature = "tun"))]
use crate::daemon::plane::Choice;

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/ravelin/ravelin.sock";

/// IPsec for Linux: IKEv2 and ESP in user space.
#[derive(Debug, Parser)]
#[command(name = "ravelin", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// The control socket.
    #[arg(long, global = true, value_name = "PATH", env = "RAVELIN_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[cfg(any(feature = "kernel", feature = "tun"))]
    /// Run the daemon in the foreground until SIGTERM or SIGINT
    Daemon(DaemonArgs),
    #[cfg(all(feature = "tun", feature = "ikev2"))]
    /// Show a protected TCP connection between two network namespaces of this machine
    Demo(DemoArgs),
    #[cfg(any(feature = "kernel", feature = "tun"))]
    /// Keep connections encrypted by login and password: the PSK manager of document 000
    #[command(subcommand)]
    Psk(PskVerb),
    /// Type commands behind a prompt, with completion and history; the words are those of an ike_rc
    Shell,
    /// Watch peers, rates, rekeys and failures on the terminal
    Top {
        /// Seconds from one look to the next
        #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
    },
    /// Print what a shell completes command lines of ravelin by
    Completion {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: Shell,
    },
    /// Write manual pages
    Man {
        /// The directory for them, such as /usr/local/share/man/man1
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Say what is in a capture of IPsec traffic, field by field
    Decode(DecodeArgs),
    #[cfg(feature = "tun")]
    /// Validate configurations without a daemon; a name that begins with ipsec and ends with .conf is an ipsec.conf, one
    /// that ends with .conf a swanctl.conf, any other an ike_rc
    Check(CheckArgs),
    #[cfg(feature = "kernel")]
    /// List the algorithms of IPsec
    Algorithms(AlgorithmsArgs),
    /// Document 003's grammar.
    #[command(flatten)]
    Control(Verb),
}

/// `ravelin daemon`
#[cfg(any(feature = "kernel", feature = "tun"))]
#[derive(Clone, Debug, Args)]
pub struct DaemonArgs {
    /// File of `ipsec policy` and `ike remote` lines to start with
    #[arg(long, value_name = "FILE")]
    pub rc: Option<PathBuf>,
    /// Configuration of strongSwan to start with: a swanctl.conf, or where the name begins with ipsec an ipsec.conf with the
    /// ipsec.secrets beside it
    #[arg(long, value_name = "FILE")]
    pub swanctl: Option<PathBuf>,
    /// For tests: behind all other policies, let everything pass in the clear (document 003's IKE_ADD_TEST_BYPASS_POLICIES)
    #[arg(long)]
    pub test_bypass_policies: bool,
    /// Socket for external keying programs (docs/management.md); without this option there is none
    #[arg(long, value_name = "PATH")]
    pub keying_socket: Option<PathBuf>,
    /// Where the daemon remembers what it changed in the system, and keeps the secret of its tokens (RFC 6290)
    #[arg(long, value_name = "DIR", env = "RAVELIN_STATE_DIR", default_value = "/var/lib/ravelin")]
    pub state_dir: PathBuf,
    /// What protects packets
    #[arg(long, value_name = "WHICH", env = "RAVELIN_DATA_PLANE", value_enum, default_value_t)]
    pub data_plane: Choice,
    /// Name of the TUN device
    #[cfg(feature = "tun")]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Threads for each direction, among which the SAs are dealt out (with --data-plane tun), 1 to 8 [default: as many as there
    /// are processors; one where there are two, which each have a direction then]
    #[cfg(feature = "tun")]
    #[arg(long, value_name = "NUMBER", env = "RAVELIN_WORKERS", value_parser = clap::value_parser!(u8).range(1..=ravelin_tun::MAX_WORKERS as i64))]
    pub workers: Option<u8>,
    /// How long the first packet of a flow keeps others of it from asking for an SA again (with --data-plane kernel), whatever
    /// net.core.xfrm_acq_expires says; longer than a negotiation takes [default: 165s]
    #[cfg(feature = "kernel")]
    #[arg(long, value_name = "TIME", value_parser = ravelin_config::value::quantity::duration)]
    pub acquire_time: Option<std::time::Duration>,
    /// Let peers in by TCP too (RFC 9329), where UDP does not reach; the registered port is 4500. Without this option TCP is
    /// only used towards peers that are to be reached by it
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "4500", value_parser = clap::value_parser!(u16).range(1..))]
    pub tcp_port: Option<u16>,
    /// While very many strangers begin IKE SAs at once, have them solve puzzles of up to so many bits first (RFC 8019), 14 to 20
    /// [default: without this option none; without a number 20]
    #[arg(long, value_name = "BITS", num_args = 0..=1, default_missing_value = "20", value_parser = clap::value_parser!(u8).range(14..=20))]
    pub puzzles: Option<u8>,
    /// The device that gets the internal addresses which peers give to this host (default: the TUN device, or lo with the
    /// kernel's IPsec)
    #[arg(long, value_name = "NAME")]
    pub address_device: Option<String>,
    /// Who is told of the DNS servers that come with such addresses: resolvectl, or a file in the form of resolv.conf;
    /// without this option nobody
    #[arg(long, value_name = "FILE", value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Way::parse(text)))]
    pub resolver: Option<Way>,
    /// Write the keys of all negotiated SAs there, in the form of Wireshark's tables: whoever can read them can read what is
    /// protected. The directory serves as WIRESHARK_CONFIG_DIR and for `ravelin decode --keys`
    #[arg(long, value_name = "DIR")]
    pub key_log: Option<PathBuf>,
    /// What to log to standard error: error, warn, info, debug, trace, or a filter like info,ravelin_tun=debug
    #[arg(long, value_name = "FILTER", env = "RAVELIN_LOG", default_value = "info")]
    pub log: String,
}

/// `ravelin algorithms`
#[cfg(feature = "kernel")]
#[derive(Clone, Debug, Args)]
pub struct AlgorithmsArgs {
    /// What the running kernel's IPsec really has, by trial in a network namespace of its own
    #[arg(long)]
    pub kernel: bool,
    /// As JSON
    #[arg(long, conflicts_with = "kernel")]
    pub json: bool,
}

/// `ravelin psk`
#[cfg(any(feature = "kernel", feature = "tun"))]
#[derive(Clone, Debug, Subcommand)]
pub enum PskVerb {
    /// Run the manager in the foreground until SIGTERM, SIGINT or `psk stop`
    Start(Box<PskStartArgs>),
    /// End the running manager, and wait until nothing of it is left
    Stop {
        /// The common.conf that it was started with
        #[arg(value_name = "COMMON")]
        common: PathBuf,
    },
}

/// `ravelin psk start`
#[cfg(any(feature = "kernel", feature = "tun"))]
#[derive(Clone, Debug, Args)]
pub struct PskStartArgs {
    /// common.conf
    #[arg(value_name = "COMMON")]
    pub common: PathBuf,
    /// An account.conf for each login
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<PathBuf>,
    /// The accounts' address is ours; also SERVER=1 in common.conf or the environment
    #[arg(long, env = "SERVER", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub server: bool,
    /// How the daemon runs
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// `ravelin demo`
#[cfg(all(feature = "tun", feature = "ikev2"))]
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Log filter of the two daemons, whose last lines are shown when a step fails
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// `ravelin check`
#[cfg(feature = "tun")]
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `ravelin decode`
#[derive(Clone, Debug, Args)]
pub struct DecodeArgs {
    /// A capture: pcap or pcapng, also compressed with gzip
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Keys: a file in the form of Wireshark's ikev1_decryption_table, ikev2_decryption_table or esp_sa, or a directory of
    /// these, as `ravelin daemon --key-log` writes; may be repeated
    #[arg(long, value_name = "PATH")]
    pub keys: Vec<PathBuf>,
    /// File of a pre-shared key, as `ike remote -h` takes it: says whether the hashes of IKEv1 are of this key. It opens nothing,
    /// and says nothing of IKEv2, where the proof covers a key that no table has; may be repeated
    #[arg(long, value_name = "FILE")]
    pub psk: Vec<PathBuf>,
    /// One JSON object for each frame
    #[arg(long)]
    pub json: bool,
    /// Each frame as bytes in front of its fields
    #[arg(long, conflicts_with = "json")]
    pub hex: bool,
    /// Only this frame, counted from 1
    #[arg(long, value_name = "NUMBER")]
    pub frame: Option<usize>,
    /// The most secret content to show: of what was decrypted, names and inner addresses are identities; passwords, and what
    /// proves who a peer is, secrets
    #[arg(long, value_enum, default_value_t = Shown::Identities)]
    pub show: Shown,
    /// Show what a key decrypts though the integrity check fails
    #[arg(long)]
    pub ignore_icv: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_socket_may_be_named_anywhere() {
        let cli = Cli::try_parse_from(["ravelin", "ipsec", "netstat", "--socket", "/tmp/s"]).unwrap();
        assert_eq!(cli.socket, PathBuf::from("/tmp/s"));
        assert!(matches!(cli.command, Command::Control(Verb::Ipsec(_))));
    }
}
