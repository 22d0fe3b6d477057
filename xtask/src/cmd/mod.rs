//! The verbs. `setup` makes the machine ready; `check` looks at the source, `test` and `interop` run it, `deny` looks
//! at the dependencies; `ci` is all of these, `nightly` is `ci` and what takes longer.

mod bench;
mod capi;
mod check;
mod ci;
mod demo;
mod deny;
mod fuzz;
mod header;
mod interop;
mod nightly;
mod requirements;
mod rfc;
mod setup;
mod test;

use anyhow::Result;
use clap::Subcommand;

use crate::report::Report;
use crate::workspace::Workspace;

/// What is to be done.
#[derive(Subcommand)]
pub enum Verb {
    /// Install the Debian packages that the other verbs need.
    Setup,
    /// Build Ravelin and run `ravelin demo`.
    Demo,
    /// Formatting, lints, documentation and the no_std build.
    Check,
    /// Unit, exchange and simulation tests, replay of the fuzz corpora, documentation tests.
    Test(test::Args),
    /// The interop lab against strongSwan.
    Interop(interop::Args),
    /// Run the benchmarks.
    Bench(bench::Args),
    /// Fuzz one target.
    Fuzz(fuzz::Args),
    /// List the RFC sections that the source cites into docs/rfc/.
    Rfc(rfc::Args),
    /// Write the C header of app/ffi.
    Header(header::Args),
    /// Build the C interface and install it.
    Capi(capi::Args),
    /// Check licences, sources and bans of the dependencies.
    Deny(deny::Args),
    /// Everything that must pass before a change lands.
    Ci,
    /// `ci`, long fuzzing, more seeds, the benchmarks and every interop case.
    Nightly(nightly::Args),
}

/// Carries out one verb.
///
/// # Errors
/// When a step of it failed.
pub fn run(verb: &Verb, workspace: &Workspace) -> Result<()> {
    let mut report = Report::default();
    match verb {
        Verb::Setup => setup::steps(workspace, &mut report),
        Verb::Demo => return demo::run(workspace),
        Verb::Check => check::steps(workspace, &mut report),
        Verb::Test(args) => test::steps(workspace, &mut report, args),
        Verb::Interop(args) => interop::steps(workspace, &mut report, args),
        Verb::Bench(args) => bench::steps(workspace, &mut report, args),
        Verb::Fuzz(args) => return fuzz::run_verb(workspace, args),
        Verb::Rfc(args) => return rfc::run(workspace, args),
        Verb::Header(args) => return header::run(workspace, args),
        Verb::Capi(args) => return capi::run_verb(workspace, args),
        Verb::Deny(args) => deny::steps(workspace, &mut report, args),
        Verb::Ci => ci::steps(workspace, &mut report),
        Verb::Nightly(args) => nightly::steps(workspace, &mut report, args),
    }
    report.finish()
}
