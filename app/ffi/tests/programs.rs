//! C programs against the header: compiled by the system's compiler, linked to the static and to the shared library, run
//! alone and under valgrind.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo put the libraries beside this program.
fn libraries() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

#[derive(Clone, Copy, Debug)]
enum Link {
    Static,
    Shared,
}

fn compile(program: &str, link: Link) -> PathBuf {
    let (source, libraries) = (Path::new(env!("CARGO_MANIFEST_DIR")), libraries());
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{program}-{link:?}"));
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror", "-pedantic", "-g", "-O1"])
        .arg("-I")
        .arg(source.join("include"))
        .arg(source.join("tests/c").join(program).with_extension("c"))
        .arg("-o")
        .arg(&out);
    match link {
        Link::Static => cc.arg(libraries.join("libravelin_ffi.a")).args(["-lgcc_s", "-lpthread", "-ldl", "-lm"]),
        Link::Shared => {
            cc.arg("-L").arg(&libraries).arg("-lravelin_ffi").arg(format!("-Wl,-rpath,{}", libraries.display()))
        }
    };
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

fn run(command: &mut Command) {
    // The panics that the programs provoke are not worth a backtrace.
    let output = command.env("RUST_BACKTRACE", "0").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == b"done\n", "{:?}: {stderr}", output.status);
}

/// Without any error, and with nothing left in memory.
fn run_under_valgrind(program: &Path) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: there is no valgrind");
        return;
    }
    run(Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=9", "--leak-check=full"])
        .args(["--show-leak-kinds=all", "--errors-for-leak-kinds=all"])
        .arg(program));
}

fn test(program: &str) {
    for link in [Link::Static, Link::Shared] {
        let program = compile(program, link);
        run(&mut Command::new(&program));
        run_under_valgrind(&program);
    }
}

#[test]
fn packets_cross_between_two_engines() {
    test("packets");
}

#[test]
fn wrong_arguments_give_a_status_each() {
    test("hostile");
}

#[test]
fn ike_keys_two_engines_in_one_program() {
    test("ike");
}

#[test]
fn packets_in_pieces_are_submitted_and_completed() {
    test("requests");
}
