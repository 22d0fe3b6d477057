//! The data plane on the running kernel, in network namespaces: what any kernel with XFRM can show. What takes ESP there is in the
//! contract of data planes (`tests/contract`) and the cases of the interop lab, which has a virtual machine for it.
//!
//! Works for ordinary users where user namespaces are allowed.

// The whole program is a test, which the lint cannot see without the standard harness.
#![allow(clippy::unwrap_used)]

mod lab;
mod native;

use std::process::ExitCode;

use ravelin_testkit::namespace::again_inside;
use ravelin_testkit::program::{self, Outcome, Program};

/// Set in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_XFRM_TEST_INSIDE";

/// A case: its name, and what it does.
type Case = (&'static str, fn());

fn main() -> ExitCode {
    let program = Program::this();
    if !program.lists() && std::env::var_os(INSIDE).is_none() {
        return ExitCode::from(u8::from(again_inside(INSIDE, &program.arguments()) == Outcome::Failed));
    }
    program.run(native::CASES.iter().map(|(name, case)| program::Case::new(*name, None, move || Outcome::of(case))))
}
