//! One file per verb.

#[cfg(feature = "kernel")]
mod algorithms;
#[cfg(feature = "tun")]
mod check;
mod completion;
mod control;
#[cfg(any(feature = "kernel", feature = "tun"))]
mod daemon;
mod debug;
mod decode;
#[cfg(all(feature = "tun", feature = "ikev2"))]
mod demo;
#[cfg(any(feature = "kernel", feature = "tun"))]
mod psk;
mod shell;

use std::process::ExitCode;
use std::time::Duration;

use ravelin_config::Verb;

use crate::cli::{Cli, Command};
use crate::top;

/// Carries out the command line.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        #[cfg(any(feature = "kernel", feature = "tun"))]
        Command::Daemon(args) => daemon::run(cli.socket, args),
        Command::Shell => shell::run(&cli.socket),
        Command::Top { interval } => top::run(&cli.socket, Duration::from_secs(interval)),
        Command::Completion { shell } => completion::completion(shell),
        Command::Man { directory } => completion::man(&directory),
        Command::Decode(args) => decode::run(&args),
        #[cfg(all(feature = "tun", feature = "ikev2"))]
        Command::Demo(args) => demo::run(&args),
        #[cfg(feature = "tun")]
        Command::Check(args) => check::run(&args),
        #[cfg(feature = "kernel")]
        Command::Algorithms(args) => algorithms::run(&args),
        #[cfg(any(feature = "kernel", feature = "tun"))]
        Command::Psk(verb) => psk::run(cli.socket, verb),
        Command::Control(verb) => control::run(&cli.socket, &verb),
    }
}

/// Whether the listing of a verb shall be JSON.
fn wants_json(verb: &Verb) -> bool {
    use ravelin_config::command::{CeVerb, IkeVerb, IpsecVerb};
    match verb {
        Verb::Ipsec(IpsecVerb::Policy(args)) => args.json(),
        Verb::Ipsec(IpsecVerb::Netstat(args)) => args.json,
        Verb::Ike(IkeVerb::Remote(args)) => args.json(),
        Verb::Ce(CeVerb::X509(args)) => args.json(),
        Verb::Ike(IkeVerb::Netstat(args)) => args.json,
        Verb::Ike(IkeVerb::Pool(args)) => args.json,
        Verb::Vti(verb) => verb.json(),
        Verb::Why(args) => args.json,
        Verb::Diff(args) => args.json,
        Verb::Reload(args) | Verb::Ike(IkeVerb::Reload(args)) => args.json,
        _ => false,
    }
}
