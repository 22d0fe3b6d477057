//! A namespace, folders, and daemons that end with their test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command that runs another in a fresh network namespace, as root of it.
fn namespace_command() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--fork", "--kill-child"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// What keeps the cases from running here.
pub fn missing() -> Option<String> {
    for (program, argument) in [("ip", "-V"), ("nft", "--version")] {
        if Command::new(program).arg(argument).output().is_err() {
            return Some(format!("the program {program} is missing"));
        }
    }
    let tried = namespace_command().args(["ip", "tuntap", "add", "dev", "probe", "mode", "tun"]).output();
    match tried {
        Err(error) => Some(format!("the program unshare cannot be run: {error}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "no network namespace with a TUN device can be made: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// Runs this program for one case in a network namespace of its own; its exit status.
pub fn again_inside(name: &str) -> Option<i32> {
    let program = std::env::current_exe().expect("the running program has a path");
    namespace_command().arg(program).env(super::INSIDE, name).status().expect("unshare ran a moment ago").code()
}

/// A second network namespace, joined to the first by a cable.
pub struct Elsewhere(Child);

impl Elsewhere {
    /// `here` and `there` are the addresses at the two ends of the cable.
    pub fn new(here: &str, there: &str) -> Self {
        let mut holder = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().expect("unshare");
        let own = fs::read_link("/proc/self/ns/net").expect("a namespace");
        let end = Instant::now() + PATIENCE;
        let path = format!("/proc/{}/ns/net", holder.id());
        while fs::read_link(&path).is_ok_and(|other| other == own) {
            assert!(Instant::now() < end && holder.try_wait().expect("a child").is_none(), "no second namespace");
            std::thread::sleep(Duration::from_millis(5));
        }
        let elsewhere = Elsewhere(holder);
        let pid = elsewhere.0.id().to_string();
        sh("ip", &["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &pid]);
        for command in [vec!["ip", "address", "add", here, "dev", "cable"], vec!["ip", "link", "set", "cable", "up"]] {
            sh(command[0], &command[1..]);
        }
        for command in [vec!["ip", "address", "add", there, "dev", "cable"], vec!["ip", "link", "set", "cable", "up"]] {
            sh("nsenter", &[&[elsewhere.flag().as_str()], &command[..]].concat());
        }
        elsewhere
    }

    fn flag(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.0.id())
    }

    /// Runs a command in this namespace; its words are apart by blanks.
    #[cfg(all(feature = "ikev2", feature = "tun"))]
    pub fn sh(&self, line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let job = move || sh(&words[0], &words[1..].iter().map(String::as_str).collect::<Vec<_>>());
        self.run(job).join().expect("a command")
    }

    /// Runs `job` in this namespace, on a thread of its own.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
        let file = fs::File::open(format!("/proc/{}/ns/net", self.0.id())).expect("the namespace");
        std::thread::spawn(move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            let file = std::os::fd::AsFd::as_fd(&file);
            move_into_link_name_space(file, Some(LinkNameSpaceType::Network)).expect("the namespace can be entered");
            job()
        })
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of one case, removed at its end.
pub struct Lab {
    path: PathBuf,
    /// What the daemon and its clients are started through.
    through: Vec<String>,
}

/// What a command said.
pub struct Answer {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-daemon-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch directory");
        Lab { path, through: Vec::new() }
    }

    /// The same for a daemon in the other namespace.
    pub fn elsewhere(name: &str, elsewhere: &Elsewhere) -> Self {
        let mut lab = Lab::new(name);
        lab.through(&["nsenter", &elsewhere.flag(), "--"]);
        lab
    }

    /// Starts the daemon and its clients through this command.
    pub fn through(&mut self, command: &[&str]) {
        self.through = command.iter().map(|word| (*word).to_owned()).collect();
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path.join(name), content).expect("a file");
        fs::set_permissions(self.path.join(name), fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    /// `ravelin` with this line, the folder's control socket and state.
    pub fn command(&self, line: &str) -> Command {
        const PROGRAM: &str = env!("CARGO_BIN_EXE_ravelin");
        let mut words = self.through.iter().map(String::as_str).chain([PROGRAM]);
        let mut command = Command::new(words.next().unwrap_or(PROGRAM));
        command.args(words);
        command.args(line.split_whitespace()).current_dir(&self.path);
        command.env("RAVELIN_SOCKET", self.path.join("socket")).env("RAVELIN_STATE_DIR", self.path.join("state"));
        command
    }

    pub fn ravelin(&self, line: &str) -> Answer {
        let output = self.command(line).output().expect("ravelin runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What a successful command prints.
    pub fn ok(&self, line: &str) -> String {
        let answer = self.ravelin(line);
        assert_eq!(answer.status, Some(0), "{line}: {}", answer.stderr);
        answer.stdout
    }

    /// A daemon that answers.
    pub fn daemon(&self, line: &str) -> Daemon {
        self.started(&format!("daemon {line}"))
    }

    /// Whatever this line starts, once it answers.
    pub fn started(&self, line: &str) -> Daemon {
        let log = fs::File::create(self.path.join("log")).expect("a log");
        let mut command = self.command(line);
        let child = command.stdin(Stdio::null()).stderr(log).spawn().expect("a daemon");
        let mut daemon = Daemon(child);
        let end = Instant::now() + PATIENCE;
        while self.ravelin("ipsec netstat").status != Some(0) {
            let ended = daemon.0.try_wait().expect("a child");
            assert!(ended.is_none() && Instant::now() < end, "the daemon does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// Whether the kernel here has ESP.
    #[cfg(all(feature = "kernel", feature = "tun"))]
    pub fn kernel_has_esp(&self) -> bool {
        let has_esp = |line: &str| line.split_whitespace().eq(["ESP", "yes"]);
        self.ravelin("algorithms --kernel").stdout.lines().any(has_esp)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path.join("log")).unwrap_or_default()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A running daemon, stopped with the test that forgets it.
pub struct Daemon(Child);

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal and waits for the end.
    pub fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal).unwrap_or_else(|| panic!("the daemon does not end on {signal:?}"))
    }

    /// Waits for an end that somebody else asked for.
    #[cfg(feature = "ikev2")]
    pub fn wait(mut self) -> ExitStatus {
        self.0.wait().expect("a child")
    }

    fn signal(&mut self, signal: Signal) -> Option<ExitStatus> {
        kill_process(Pid::from_child(&self.0), signal).ok()?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.0.try_wait().ok()? {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The next case finds the namespace as this one did only if the daemon cleans up.
        if matches!(self.0.try_wait(), Ok(None)) && self.signal(Signal::TERM).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A command that is expected to succeed; its output.
pub fn sh(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {error}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a daemon's changes are to be seen in the namespace: packet filter table, routing rules, device.
pub fn traces() -> [bool; 3] {
    [
        !sh("nft", &["list", "tables"]).trim().is_empty(),
        sh("ip", &["rule", "show"]).contains("fwmark"),
        sh("ip", &["-brief", "link", "show"]).contains("ravelin"),
    ]
}
