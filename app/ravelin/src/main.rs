//! `ravelin`, the one binary: the daemon, and the command line that talks to it over the control socket.
//!
//! ```text
//! main ── cmd/daemon ──► daemon/event_loop (the only place that waits) ──► daemon/core (endpoint, data plane, model)
//!    └─── cmd/{ipsec,ike} ──► control socket ──► the daemon's answer ──► render/ (tables, JSON)
//! ```
//!
//! Nothing here decides anything about the protocol: `ravelin-ike` and `ravelin-engine` do, and this connects them to
//! the clock, the sockets and the operator. Read `daemon/mod.rs` first.
//!
//! Versions of IKE and data planes are features. A program without a data plane has no daemon in it.

// A closed pipe would be a panic.
#![deny(clippy::print_stdout)]

mod cli;
mod cmd;
#[cfg(any(feature = "kernel", feature = "tun"))]
mod daemon;
#[cfg(all(feature = "tun", feature = "ikev2"))]
mod demo;
mod process;
mod render;
mod top;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => cmd::run(cli),
        Err(error) => {
            // Help and version go to standard output with status 0, mistakes to standard error with status 2.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(process::USAGE))
        }
    }
}
