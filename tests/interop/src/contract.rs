//! The contract of all data planes (`tests/contract`) on the guest's kernel, between two namespaces there.

use std::path::Path;

use anyhow::{Context, Result};
use ravelin_contract::cases::CASES;
use ravelin_contract::hosts;

use crate::guest::Guest;

/// What the names of these cases begin with.
const PREFIX: &str = "contract-";

/// The names of the cases, as the lab shows them.
pub fn names() -> impl Iterator<Item = String> {
    CASES.iter().map(|(name, _)| format!("{PREFIX}{}", name.replace('_', "-")))
}

/// Runs one in the guest, by this lab's own program.
pub fn run(guest: &Guest, helper: &Path, name: &str) -> Result<()> {
    guest.sh(&format!("{} contract {name}", helper.display())).map(drop)
}

/// Runs one here: the helper's program in the guest.
pub fn case(name: &str) -> Result<()> {
    let known = names().zip(CASES).find(|(known, _)| known == name);
    let (_, (_, run)) = known.with_context(|| format!("the contract has no case `{name}`"))?;
    run(&mut hosts::kernel());
    Ok(())
}
