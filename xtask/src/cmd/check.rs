//! `cargo xtask check`: what can be said about the source without running it.

use anyhow::Result;

use super::requirements;
use crate::report::Report;
use crate::workspace::{Workspace, run};

/// The pages are for the readers of this repository: private items are on them, so links to those are good links.
const DOC_FLAGS: &str = "-D warnings -A rustdoc::private-intra-doc-links";

/// Formatting, lints, also of the program with parts left out, documentation, the proof that the protocol crates need no std,
/// and that the page of requirements is true.
pub fn steps(workspace: &Workspace, report: &mut Report) {
    report.step("fmt", || run(&mut workspace.cargo(["fmt", "--all", "--check"])));
    report.step("clippy", || {
        run(&mut workspace.cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    });
    report.step("doc", || {
        run(workspace
            .cargo(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
            .env("RUSTDOCFLAGS", DOC_FLAGS))
    });
    report.step("features", || features(workspace));
    report.step("no_std", || no_std(workspace));
    report.step("requirements", || requirements::check(workspace));
}

/// What can be left out of the binary: a client of a daemon elsewhere, a daemon without IKE, one without IKEv2, one without
/// IKEv1 and the engine; and IKE without a version, or without IKEv2.
const COMBINATIONS: [(&str, &str); 6] = [
    ("ravelin", ""),
    ("ravelin", "tun"),
    ("ravelin", "ikev1,tun"),
    ("ravelin", "ikev2,kernel"),
    ("ravelin-ike", ""),
    ("ravelin-ike", "ikev1"),
];

fn features(workspace: &Workspace) -> Result<()> {
    for (package, features) in COMBINATIONS {
        let selected = ["clippy", "--package", package, "--no-default-features", "--features", features];
        run(workspace.cargo(selected).args(["--all-targets", "--locked", "--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// `xtask/nostd` brings a panic handler of its own and depends on every no_std crate. Should one of them, or anything
/// below it, link std, the compiler finds two panic handlers and refuses; so this holds without a bare-metal target.
fn no_std(workspace: &Workspace) -> Result<()> {
    run(&mut workspace.cargo(["check", "--package", "ravelin-nostd", "--features", "prove", "--locked"]))
}
