//! `cargo xtask fuzz TARGET`: coverage-guided fuzzing with libFuzzer, on the stable toolchain.
//!
//! The compiler flags are those that cargo-fuzz passes with `--sanitizer none`: they instrument for coverage and need
//! no nightly compiler. Inputs that reach new code collect under the target folder; crashes land in the committed
//! corpus of the target, where `cargo xtask test` replays them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::workspace::{Workspace, run};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
                        -Cdebug-assertions -Coverflow-checks --cfg fuzzing -Ccodegen-units=1";

/// What to fuzz.
#[derive(clap::Args)]
pub struct Args {
    /// A target; without one the targets are listed.
    target: Option<String>,
    /// How long.
    #[arg(default_value_t = 60)]
    seconds: u64,
}

/// Fuzzes the target, or lists what there is.
///
/// # Errors
/// When there is no such target, or it crashed.
pub fn run_verb(workspace: &Workspace, args: &Args) -> Result<()> {
    let targets = targets(workspace)?;
    let Some(target) = &args.target else {
        targets.iter().for_each(|target| println!("{target}"));
        return Ok(());
    };
    if !targets.contains(target) {
        bail!("there is no fuzz target {target}; there are: {}", targets.join(", "));
    }
    fuzz(workspace, target, args.seconds)
}

/// Every target: each has a folder in the corpus.
///
/// # Errors
/// When the corpus cannot be read.
pub fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let corpus = corpus(workspace);
    let mut targets = Vec::new();
    for entry in fs::read_dir(&corpus).with_context(|| format!("cannot read {}", corpus.display()))? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    Ok(targets)
}

/// Builds the one program with instrumentation, in a target folder of its own so that nothing else is rebuilt, and runs
/// it. New inputs are kept there; what crashed goes into the committed corpus.
///
/// # Errors
/// When the build fails or an input crashed the target.
pub fn fuzz(workspace: &Workspace, target: &str, seconds: u64) -> Result<()> {
    packages::install(workspace, packages::FUZZ)?;
    let build = workspace.target().join("fuzz");
    run(workspace
        .cargo(["build", "--package", "ravelin-fuzz", "--features", "libfuzzer", "--bin", "fuzz", "--release"])
        .args(["--locked", "--target", TRIPLE, "--target-dir"])
        .arg(&build)
        .env("RUSTFLAGS", COVERAGE))?;
    let committed = corpus(workspace).join(target);
    let found = build.join("corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    let time = format!("-max_total_time={seconds}");
    let crashes = format!("-artifact_prefix={}/", committed.display());
    run(workspace
        .command(build.join(TRIPLE).join("release").join("fuzz"), [&time, &crashes, "-print_final_stats=1"])
        .args([&found, &committed])
        .env("RAVELIN_FUZZ_TARGET", target))
}

fn corpus(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests/fuzz/corpus")
}
