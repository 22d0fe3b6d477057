//! The command line without a daemon: exit status, and where a message goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        fs::write(self.0.join(name), content).expect("a file");
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// Runs `ravelin` here; the control socket would be here too.
    fn ravelin(&self, line: &str) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_ravelin"))
            .args(line.split_whitespace())
            .current_dir(&self.0)
            .env("RAVELIN_SOCKET", self.0.join("socket"))
            .env("RAVELIN_STATE_DIR", self.0.join("state"))
            .output()
            .expect("ravelin runs");
        Answer::from(output)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Answer {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

const POLICY: &str = "ipsec policy -n p1 -g gw -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16";

#[test]
fn mistakes_end_with_status_2_and_speak_on_standard_error() {
    let scratch = Scratch::new("usage");
    for (line, words) in [
        ("ipsec netstart", "netstat"),
        ("ipsec policy -n p1 -e AES128-GMC", "did you mean AES128-GCM?"),
        ("ike remote -n p1 -e NULL_ENC", "NULL_ENC does not encrypt"),
        ("ipsec policy -n p1 -t AH -e AES128-GCM", "AH does not encrypt"),
        ("ipsec policy -n p1 -s any", "expected -d DESTINATION"),
        ("ipsec policy -n p1 -s any -d any -y", "expected -g REMOTE"),
        ("ike remote -n gw -z 1", "expected -w (start negotiations)"),
        ("", "Usage"),
    ] {
        let answer = scratch.ravelin(line);
        assert_eq!(answer.status, Some(2), "{line}: {}", answer.stderr);
        assert!(answer.stderr.contains(words), "{line}: {}", answer.stderr);
        assert_eq!(answer.stdout, "", "{line}");
    }
}

#[test]
fn help_is_no_mistake() {
    let scratch = Scratch::new("help");
    for (line, words) in [
        ("--help", "daemon"),
        ("ipsec policy --help", "--replay-window"),
        ("ike remote --help", "--liveness"),
        ("ike initiate -h", "--timeout"),
        ("--version", "ravelin 0."),
    ] {
        let answer = scratch.ravelin(line);
        assert_eq!(answer.status, Some(0), "{line}: {}", answer.stderr);
        assert!(answer.stdout.contains(words), "{line}: {}", answer.stdout);
    }
}

// `ravelin algorithms | head -1`, and a disk that is full.
#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let run = |line: &str, stdout: std::process::Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ravelin"));
        let output = command.args(line.split(' ')).stdout(stdout).output().expect("ravelin runs");
        Answer::from(output)
    };
    for line in ["algorithms", "algorithms --json", "completion bash"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let answer = run(line, writer.into());
        assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{line}");
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
        let answer = run(line, full.into());
        assert_eq!(answer.status, Some(1), "{line}");
        assert!(answer.stderr.starts_with("error: cannot write to the standard output: "), "{}", answer.stderr);
    }
}

#[test]
fn a_missing_daemon_is_named_with_its_socket() {
    let scratch = Scratch::new("missing");
    let answer = scratch.ravelin("ipsec netstat");
    assert_eq!(answer.status, Some(1));
    let socket = scratch.0.join("socket");
    let expected = format!("error: no daemon listens on {}: start one with `ravelin daemon`\n", socket.display());
    assert_eq!(answer.stderr, expected);
}

#[test]
fn a_daemon_does_not_start_with_a_bad_file() {
    let scratch = Scratch::new("rc");
    scratch.write("open", "secret", 0o644);
    scratch.write(
        "ike_rc",
        &format!("# comment\n{POLICY} -e AES128-GCM,IDEA\nike remote -n gw -w -r 10.0.0.2 -g a \\\n  -h open\nike\n"),
        0o644,
    );
    let answer = scratch.ravelin("daemon --rc ike_rc");
    assert_eq!(answer.status, Some(1));
    let lines: Vec<&str> = answer.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{}", answer.stderr);
    assert!(lines[0].starts_with("error: ike_rc:2:92: ") && lines[0].contains("`IDEA` is not"), "{}", lines[0]);
    let open = scratch.0.join("open");
    let words = format!("mend it: chmod 600 {}", open.display());
    assert!(lines[1].starts_with("ike_rc:4:6: ") && lines[1].contains(&words), "{}", lines[1]);
    assert!(lines[2].starts_with("ike_rc:5:4: expected a whole command"), "{}", lines[2]);
    assert!(!answer.stderr.contains("secret\n"));
    assert!(!scratch.0.join("socket").exists(), "nothing is left of a daemon that did not start");
}

#[test]
fn a_file_that_names_a_missing_remote_is_refused() {
    let scratch = Scratch::new("unresolved");
    scratch.write("ike_rc", &format!("{POLICY}\n"), 0o644);
    let answer = scratch.ravelin("daemon --rc ike_rc");
    assert_eq!(answer.status, Some(1));
    let expected = "error: ike_rc:1:23: the policy p1 names the remote gw, which is not configured: \
                    add `ike remote -n gw`, or name another with -g\n";
    assert_eq!(answer.stderr, expected);
    assert!(Path::new(&scratch.0).exists());
}

#[test]
fn a_bad_log_filter_is_a_mistake() {
    let answer = Scratch::new("filter").ravelin("daemon --log =,=");
    assert_eq!(answer.status, Some(2), "{}", answer.stderr);
    assert!(answer.stderr.contains("log filter"), "{}", answer.stderr);
}
