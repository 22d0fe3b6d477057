//! `ravelin completion` and `ravelin man`: made from the grammar that reads the command line.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::fail;
use crate::cli::Cli;

/// Prints what a shell completes by.
pub fn completion(shell: Shell) -> ExitCode {
    // Whoever reads our output may have seen enough.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ravelin", &mut script);
    match io::Write::write_all(&mut io::stdout().lock(), &script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(error),
        _ => ExitCode::SUCCESS,
    }
}

/// Writes a page for each command into a directory that is there.
pub fn man(directory: &Path) -> ExitCode {
    match clap_mangen::generate_to(Cli::command(), directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("cannot write pages to {}: {error}", directory.display())),
    }
}
