//! `ravelin demo`

use std::process::ExitCode;

use super::fail;
use crate::cli::DemoArgs;
use crate::demo;

/// Runs the demonstration.
pub fn run(args: &DemoArgs) -> ExitCode {
    match demo::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(failure),
    }
}
