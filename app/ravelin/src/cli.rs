//! What can be written behind `ravelin`.

mod examples;

use std::num::NonZeroUsize;
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

/// IPsec for Linux: IKEv2, IKEv1, ESP and AH, in user space or by the kernel
#[derive(Debug, Parser)]
#[command(name = "ravelin", version, about, disable_help_subcommand = true, after_help = examples::FIRST_STEPS)]
pub struct Cli {
    /// The control socket of the daemon
    #[arg(long, global = true, display_order = 1000, value_name = "PATH", env = "RAVELIN_SOCKET", default_value = DEFAULT_SOCKET)]
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
    #[command(after_help = examples::DAEMON)]
    Daemon(DaemonArgs),
    #[cfg(all(feature = "tun", feature = "ikev2"))]
    /// Show a protected TCP connection between two network namespaces of this machine
    #[command(after_help = examples::DEMO)]
    Demo(DemoArgs),
    #[cfg(any(feature = "kernel", feature = "tun"))]
    /// Keep connections encrypted by login and password: the PSK manager of document 000
    #[command(subcommand)]
    Psk(PskVerb),
    /// Type commands behind a prompt, with completion and history; the words are those of an ike_rc
    #[command(after_help = examples::SHELL)]
    Shell,
    /// Watch peers, rates, rekeys and failures on the terminal
    #[command(after_help = examples::TOP)]
    Top {
        /// Seconds from one look to the next
        #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
    },
    /// Print the script by which a shell completes command lines of ravelin
    #[command(after_help = examples::COMPLETION)]
    Completion {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: Shell,
    },
    /// Write the manual pages, one for each command
    #[command(after_help = examples::MAN)]
    Man {
        /// The directory for them, such as /usr/local/share/man/man1
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Say what is in a capture of IPsec traffic, field by field
    #[command(after_help = examples::DECODE)]
    Decode(DecodeArgs),
    #[cfg(feature = "tun")]
    /// Validate configurations without a daemon; a name that begins with ipsec and ends with .conf is an ipsec.conf, one
    /// that ends with .conf a swanctl.conf, any other an ike_rc
    #[command(after_help = examples::CHECK)]
    Check(CheckArgs),
    #[cfg(feature = "kernel")]
    /// List the algorithms that are built in, by the names that -e, -a, -p and -d take
    #[command(after_help = examples::ALGORITHMS)]
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
    /// Name of the TUN device [default: ravelin0]
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
    #[command(after_help = examples::PSK_START)]
    Start(Box<PskStartArgs>),
    /// End the running manager, and wait until nothing of it is left
    #[command(after_help = examples::PSK_STOP)]
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
    pub frame: Option<NonZeroUsize>,
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

    /// The commands that have no commands below them, with their path.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        if !command.has_subcommands() {
            found.push((path.to_owned(), command.clone()));
        }
        command.get_subcommands().for_each(|next| leaves(next, &format!("{path} {}", next.get_name()), found));
    }

    // Whoever asks for help copies what stands there.
    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "ravelin", &mut found);
        assert!(found.len() > 25, "{}", found.len());
        for (path, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{path} has no examples"));
            let lines: Vec<&str> = examples.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
            assert!(lines.iter().any(|line| line.starts_with(&path)), "{path}: {examples}");
            for line in lines {
                let line = line.split(" > ").next().unwrap_or(line);
                let words = ravelin_config::rc::split(line).expect("words");
                let cli = Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
                if let Command::Control(verb) = cli.command {
                    verb.interpret(&words[1..]).unwrap_or_else(|error| panic!("{line}: {error}"));
                }
            }
        }
    }

    #[test]
    fn every_option_says_what_it_does_and_how_a_time_is_written() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "ravelin", &mut found);
        for (path, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{path}: {id}");
                let is_time = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "TIME"));
                assert!(!is_time || help.contains("TIME: seconds"), "{path}: {id}");
            }
        }
    }

    #[test]
    fn the_socket_may_be_named_anywhere() {
        let cli = Cli::try_parse_from(["ravelin", "ipsec", "netstat", "--socket", "/tmp/s"]).unwrap();
        assert_eq!(cli.socket, PathBuf::from("/tmp/s"));
        assert!(matches!(cli.command, Command::Control(Verb::Ipsec(_))));
    }
}
