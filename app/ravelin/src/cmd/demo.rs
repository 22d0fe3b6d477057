//! `ravelin demo`

use std::process::ExitCode;

use crate::cli::DemoArgs;
use crate::demo;
use crate::process::fail;

/// Runs the demonstration.
pub fn run(args: &DemoArgs) -> ExitCode {
    match demo::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(failure),
    }
}
