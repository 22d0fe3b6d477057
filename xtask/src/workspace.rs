//! Where the repository is, and how a command is run in it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::counts::Counts;

/// The repository and the switches that hold for every verb.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
    /// Install no Debian packages.
    pub no_setup: bool,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub fn find(no_setup: bool) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask/ has a parent folder")?.to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Workspace { root, target, no_setup })
    }

    /// The folder with the workspace's Cargo.toml.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The `ravelin` binary of the development profile.
    pub fn ravelin(&self) -> PathBuf {
        self.target.join("debug").join("ravelin")
    }

    /// A `cargo` command in the root folder.
    pub fn cargo<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
    }

    /// Any command in the root folder.
    pub fn command<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root).stdin(Stdio::null());
        command
    }
}

/// Runs a command to its end, its output going where ours goes.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    succeeded(command, status)
}

/// Whether a command can be started and exits with 0; its output is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs a command to its end, passing its output on and adding up the test counts that it prints. A command that fails
/// without having reported a failed test counts as one failure, so that no failure is lost in the sum.
pub fn run_counting(command: &mut Command) -> (Counts, Result<()>) {
    announce(command);
    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            return (Counts::one_failure(), Err(error).with_context(|| format!("cannot start {}", line(command))));
        }
    };
    let stderr = child.stderr.take().map(|pipe| std::thread::spawn(|| tee(pipe, std::io::stderr())));
    let mut counts = child.stdout.take().map_or_else(Counts::default, |pipe| tee(pipe, std::io::stdout()));
    if let Some(Ok(more)) = stderr.map(std::thread::JoinHandle::join) {
        counts += more;
    }
    let result = child.wait().context("cannot wait for a child process").and_then(|status| succeeded(command, status));
    if result.is_err() && counts.failed == 0 {
        counts += Counts::one_failure();
    }
    (counts, result)
}

fn tee(from: impl Read, mut to: impl Write) -> Counts {
    let mut counts = Counts::default();
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        // Our own output may be a closed pipe; the command's counts are still wanted then.
        let _ = to.write_all(&bytes).and_then(|()| to.flush());
        if let Some(more) = Counts::parse(&String::from_utf8_lossy(&bytes)) {
            counts += more;
        }
        bytes.clear();
    }
    counts
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

fn announce(command: &Command) {
    eprintln!("$ {}", line(command));
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
