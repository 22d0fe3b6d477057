//! What the library computes: against published vectors, and against the other providers on random packets.
//!
//! Where the library is missing or does not fit, every case is counted as skipped, with the reason.
#![allow(clippy::unwrap_used)] // a panic is how a case fails

mod allocation;
mod batch;
mod lanes;
mod single;

use std::process::ExitCode;

use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_testkit::program::{self, Outcome, Program};

/// A case: its name, and what it does.
type Case = (&'static str, fn());

const CASES: &[&[Case]] = &[single::CASES, batch::CASES, lanes::CASES, allocation::CASES];

fn main() -> ExitCode {
    let missing = try_provider().err().map(|reason| reason.to_string());
    let cases = CASES.iter().copied().flatten();
    Program::this().run(cases.map(|(name, case)| program::Case::new(*name, missing.clone(), move || Outcome::of(case))))
}
