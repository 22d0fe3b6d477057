//! C programs against the header: compiled by the system's compiler, linked to the static and to the shared library, run
//! alone and under valgrind.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod radius;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ravelin_testkit::papers::{self, Kind};

/// Where cargo put the libraries beside this program.
fn libraries() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// What pkg-config says of a library installed as `cargo xtask capi` does it, or `None` where there is none.
fn flags() -> Option<Vec<String>> {
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prefix");
    let (crate_root, lib) = (Path::new(env!("CARGO_MANIFEST_DIR")), prefix.join("lib"));
    fs::create_dir_all(prefix.join("include")).unwrap();
    fs::create_dir_all(&lib).unwrap();
    fs::copy(crate_root.join("include/ravelin.h"), prefix.join("include/ravelin.h")).unwrap();
    fs::copy(libraries().join("libravelin_ffi.so"), lib.join("libravelin_ffi.so")).unwrap();
    let template = fs::read_to_string(crate_root.join("ravelin.pc.in")).unwrap();
    let found_by =
        template.replace("@PREFIX@", prefix.to_str().unwrap()).replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    fs::write(lib.join("ravelin.pc"), found_by).unwrap();
    let mut pkg_config = Command::new("pkg-config");
    let output = pkg_config.args(["--cflags", "--libs", "ravelin"]).env("PKG_CONFIG_PATH", &lib).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect())
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
    // Cargo's path for libraries begins where an earlier build may have left one; the program knows its own.
    let output = command.env("RUST_BACKTRACE", "0").env_remove("LD_LIBRARY_PATH").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == b"done\n", "{:?}: {stderr}", output.status);
}

/// Without any error, and with nothing left in memory but what is made once.
fn run_under_valgrind(program: &Path, environment: &[(&str, &Path)]) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: there is no valgrind");
        return;
    }
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/valgrind.supp");
    run(Command::new("valgrind")
        .envs(environment.iter().copied())
        .arg(format!("--suppressions={}", known.display()))
        .args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--num-callers=40"])
        .args(["--show-leak-kinds=all", "--errors-for-leak-kinds=all"])
        .arg(program));
}

fn test(program: &str) {
    for link in [Link::Static, Link::Shared] {
        let program = compile(program, link);
        run(&mut Command::new(&program));
        run_under_valgrind(&program, &[]);
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

/// Certificates and passwords for both ends.
fn papers(of: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(of);
    fs::create_dir_all(&folder).unwrap();
    let root = papers::root("ca", Kind::P256);
    let (left, right) =
        (root.peer("left", &["left.example"], Kind::P256), root.peer("right", &["right.example"], Kind::P256));
    for (name, text) in [
        ("ca.pem", root.pem.as_str()),
        ("left.pem", &left.pem),
        ("left.key", &left.key_pem),
        ("right.pem", &right.pem),
        ("right.key", &right.key_pem),
        ("users", "carol : EAP \"her password\"\n"),
        ("password", "her password\n"),
        ("wrong", "another password\n"),
        ("secret", "a secret of two\n"),
        ("shared", "shared with the server\n"),
    ] {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

#[test]
fn certificates_and_logins_key_two_engines() {
    let folder = papers("papers");
    for link in [Link::Static, Link::Shared] {
        let program = compile("papers", link);
        run(Command::new(&program).env("RAVELIN_PAPERS", &folder).env("RAVELIN_TLS", "1"));
        run_under_valgrind(&program, &[("RAVELIN_PAPERS", &folder)]);
    }
}

#[test]
fn roaming_peers_get_addresses_and_radius_knows_users() {
    let folder = papers("inside");
    let server = radius::Server::start(&folder);
    let port = server.as_ref().map(|server| PathBuf::from(server.port.to_string()));
    let mut environment = vec![("RAVELIN_PAPERS", folder.as_path())];
    match &port {
        Some(port) => environment.push(("RAVELIN_RADIUS", port)),
        None => eprintln!("skipped: there is no freeradius"),
    }
    for link in [Link::Static, Link::Shared] {
        let program = compile("inside", link);
        run(Command::new(&program).envs(environment.iter().copied()));
        run_under_valgrind(&program, &environment);
    }
}

#[test]
fn names_are_looked_up_by_the_program() {
    let folder = papers("names");
    for link in [Link::Static, Link::Shared] {
        let program = compile("names", link);
        run(Command::new(&program).env("RAVELIN_PAPERS", &folder));
        run_under_valgrind(&program, &[("RAVELIN_PAPERS", &folder)]);
    }
}

#[test]
fn packets_in_pieces_are_submitted_and_completed() {
    test("requests");
}

#[test]
fn a_cipher_of_the_caller_is_done_later_and_the_checks_come_behind_it() {
    test("accelerator");
}

#[test]
fn chains_of_mbufs_cross_by_the_template() {
    test("mbuf");
}

#[test]
fn an_engine_that_names_its_suites_asks_for_no_memory() {
    test("reserved");
}

#[test]
fn policies_become_messages() {
    test("admin");
}

#[test]
fn pkg_config_finds_what_is_installed() {
    let Some(flags) = flags() else {
        eprintln!("skipped: there is no pkg-config");
        return;
    };
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("by-pkg-config");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/hostile.c");
    let lib = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prefix/lib");
    let mut cc = Command::new("cc");
    cc.arg("-std=c11").arg(source).arg("-o").arg(&out).args(flags).arg(format!("-Wl,-rpath,{}", lib.display()));
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run(&mut Command::new(out));
}
