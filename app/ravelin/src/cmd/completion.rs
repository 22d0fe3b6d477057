//! `ravelin completion` and `ravelin man`: made from the grammar that reads the command line.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::process::{fail, print};

/// Prints what a shell completes by.
pub fn completion(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ravelin", &mut script);
    ExitCode::from(print(&String::from_utf8_lossy(&script)))
}

/// Writes a page for each command into a directory that is there.
pub fn man(directory: &Path) -> ExitCode {
    match clap_mangen::generate_to(Cli::command(), directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("cannot write pages to {}: {error}", directory.display())),
    }
}
