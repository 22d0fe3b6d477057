//! What is made from the grammar: completion, manual pages, the interactive shell, and hints for mistyped words.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn ravelin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ravelin"));
    command.env("RAVELIN_SOCKET", "/nonexistent/ravelin.sock");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a program that reads `input`.
fn fed(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

// Bash itself completes what was typed.
#[test]
fn bash_completes_by_the_script() {
    let script = ravelin().args(["completion", "bash"]).output().expect("ravelin runs");
    assert!(script.status.success());
    let completed = |words: &str, last: usize| {
        let line = format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD={last}; _ravelin ravelin \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; \
             echo \"${{COMPREPLY[*]}}\"",
            text(&script.stdout),
            last - 1
        );
        text(&Command::new("bash").args(["-c", &line]).output().expect("bash").stdout).trim().to_owned()
    };
    assert_eq!(completed("ravelin ips", 1), "ipsec");
    assert_eq!(completed("ravelin ike de", 2), "debug");
    assert_eq!(completed("ravelin setkey --du", 2), "--dump");
    assert_eq!(completed("ravelin ike debug --tr", 3), "--trace");
    for shell in ["zsh", "fish"] {
        let script = ravelin().args(["completion", shell]).output().expect("ravelin runs");
        assert!(text(&script.stdout).contains("netstat"), "{shell}");
    }
}

#[test]
fn every_command_has_a_page() {
    let directory = std::env::temp_dir().join(format!("ravelin-man-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let status = ravelin().arg("man").arg(&directory).status().expect("ravelin runs");
    assert!(status.success());
    for (page, word) in [
        ("ravelin.1", "decode"),
        ("ravelin-daemon.1", "key\\-log"),
        ("ravelin-ipsec-policy.1", "outer header"),
        ("ravelin-ike-debug.1", "trace"),
        ("ravelin-ce-x509.1", "certificate"),
        ("ravelin-setkey.1", "standard input"),
    ] {
        let read = fs::read_to_string(directory.join(page)).expect(page);
        assert!(read.contains(".SH NAME") && read.contains(word), "{page}: {read}");
    }
    fs::remove_dir_all(&directory).expect("a directory");
    let refused = ravelin().args(["man", "/nonexistent"]).output().expect("ravelin runs");
    assert!(!refused.status.success() && text(&refused.stderr).contains("cannot write pages to /nonexistent"));
}

#[test]
fn mistyped_words_are_answered_with_a_likely_one() {
    for (line, hint) in [
        ("ipsce netstat", "'ipsec'"),
        ("ike remot -v", "'remote'"),
        ("ike debug --trase", "'--trace'"),
        ("setky -D", "'setkey'"),
        ("setkey -D --show-key", "'--show-keys'"),
        ("ike debug -t --show publik", "'public'"),
        ("ipsec policy -n p -m tunel -r 10.0.0.1", "tunnel"),
        ("ike remote -n gw -r 10.0.0.1 -d CURVE2519", "CURVE25519"),
    ] {
        let output = ravelin().args(line.split(' ')).output().expect("ravelin runs");
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(text(&output.stderr).contains(hint), "{line}: {}", text(&output.stderr));
    }
}

// The lines of an ike_rc, one after the other; the status is that of the last.
#[test]
fn the_shell_reads_lines_from_a_pipe() {
    let mut command = ravelin();
    command.arg("shell");
    let output = fed(command, "# a comment\n\nhelp ike\nike remot\nipsec netstat # nobody is there\nquit\nike never\n");
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(out.contains("debug ") && out.contains("terminate "), "{out}");
    assert!(error.contains("'remote'") && error.contains("no daemon listens on /nonexistent/ravelin.sock"), "{error}");
    assert!(!error.contains("never"), "{error}");
    assert_eq!(output.status.code(), Some(1));
    let mut command = ravelin();
    command.arg("shell");
    let output = fed(command, "ipsec policy -n 'open\n");
    assert!(text(&output.stderr).contains("error: column 17: the quote ' is not closed"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
}

// On a terminal, which `script` makes: the prompt of document 003, completion by the tabulator, and a line called back.
#[test]
fn the_shell_has_the_prompt_and_completes() {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} shell", env!("CARGO_BIN_EXE_ravelin")), "/dev/null"]);
    command.env("RAVELIN_SOCKET", "/nonexistent/ravelin.sock").env("TERM", "xterm");
    let mut child = match command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: the program script cannot be run: {error}");
            return;
        }
    };
    let mut input = child.stdin.take().expect("its input");
    // A tabulator after a unique beginning, a line, and the same called back by the arrow upwards.
    for typed in ["hel\t", "vti\r", "\u{1b}[A\r", "exit\r"] {
        std::thread::sleep(std::time::Duration::from_millis(300));
        input.write_all(typed.as_bytes()).expect("it reads");
        input.flush().expect("it reads");
    }
    let output = child.wait_with_output().expect("it ends");
    let out = text(&output.stdout);
    assert!(out.contains("-> ") && out.contains("help vti"), "{out:?}");
    assert_eq!(out.matches("show ").count(), 2, "{out:?}");
}
