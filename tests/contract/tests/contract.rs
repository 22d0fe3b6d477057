//! The suite on every data plane that this machine has. Works for ordinary users where user namespaces are allowed; what
//! cannot run is counted as skipped, with the reason.

// The whole program is a test, which the lint cannot see without the standard harness.
#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use ravelin_contract::Pair;
use ravelin_contract::cases::CASES;
use ravelin_contract::hosts;
use ravelin_contract::memory::Memory;
use ravelin_testkit::namespace::again_inside;
use ravelin_testkit::program::{Case, Outcome, Program};

/// Set in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_CONTRACT_INSIDE";

/// A data plane: its name, why it cannot run here, and two hosts with it.
type Plane = (&'static str, fn() -> Option<String>, fn() -> Box<dyn Pair>);

const PLANES: [Plane; 5] = [
    ("memory", || None, || Box::new(Memory::default())),
    ("tun", no_tun, || Box::new(hosts::tun::<1>())),
    ("tun-of-two", no_tun, || Box::new(hosts::tun::<2>())),
    ("tun-of-four", no_tun, || Box::new(hosts::tun::<4>())),
    ("kernel", no_kernel, || Box::new(hosts::kernel())),
];

fn no_tun() -> Option<String> {
    (!std::path::Path::new("/dev/net/tun").exists()).then(|| "no /dev/net/tun".to_owned())
}

fn no_kernel() -> Option<String> {
    match ravelin_xfrm::probe() {
        Ok(found) if found.is_usable() => None,
        Ok(_) => Some("this kernel has no ESP; `cargo xtask interop contract` runs it in a guest".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

fn main() -> ExitCode {
    let program = Program::this();
    if !program.lists() && std::env::var_os(INSIDE).is_none() {
        return ExitCode::from(u8::from(again_inside(INSIDE, &program.arguments()) == Outcome::Failed));
    }
    program.run(PLANES.into_iter().flat_map(|(plane, missing, pair)| {
        // What a list is made of outside says nothing about the namespace.
        let missing = if program.lists() { None } else { missing() };
        CASES.iter().map(move |(name, case)| {
            Case::new(format!("{plane}::{name}"), missing.clone(), move || Outcome::of(|| case(&mut *pair())))
        })
    }))
}
