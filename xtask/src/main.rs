//! Every developer and CI command of this repository: `cargo xtask VERB`.
//!
//! One file per verb in `cmd/`; a verb is a list of steps, and `ci` and `nightly` are lists of verbs, so that what CI
//! runs is what a developer runs. Nothing here is part of the product. Read `cmd/mod.rs` first.

mod cmd;
mod counts;
mod packages;
mod python;
mod report;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Ravelin's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = false)]
struct Cli {
    /// Install no Debian packages; what is missing then fails where it is used.
    #[arg(long, global = true)]
    no_setup: bool,
    #[command(subcommand)]
    verb: cmd::Verb,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = workspace::Workspace::find(cli.no_setup).and_then(|workspace| cmd::run(&cli.verb, &workspace));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
