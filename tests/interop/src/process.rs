//! External programs: short ones with a time limit, and daemons that die with their handle.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a short program may take before it is stopped.
const LIMIT: u64 = 90;
/// How long a daemon may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(10);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(100);

/// What a program said and whether it succeeded.
#[derive(Debug)]
pub struct Answer {
    /// Exit status zero.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard output, then standard error.
    pub text: String,
}

/// A network namespace of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// The sandbox's first one, where the wire is.
    Wire,
    /// One made with `ip netns add`.
    Named(&'static str),
}

impl Namespace {
    /// A command that will run in this namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Namespace::Wire => Command::new(program),
            Namespace::Named(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        }
    }

    /// Runs a shell line here, which must succeed.
    pub fn sh(&self, line: &str) -> Result<String> {
        let mut command = self.command("sh");
        command.args(["-ec", line]);
        let answer = run(&mut command)?;
        if !answer.ok {
            bail!("`{line}` failed: {}", answer.text.trim());
        }
        Ok(answer.out)
    }
}

/// Runs a shell line where the wire is; it must succeed.
pub fn sh(line: &str) -> Result<String> {
    Namespace::Wire.sh(line)
}

/// Runs a program to its end, at most [`LIMIT`] seconds.
pub fn run(command: &mut Command) -> Result<Answer> {
    run_for(LIMIT, command)
}

/// Runs a program to its end, at most so many seconds.
pub fn run_for(seconds: u64, command: &mut Command) -> Result<Answer> {
    let mut limited = Command::new("timeout");
    limited.args(["-k", "2", &seconds.to_string()]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let output = limited.stdin(Stdio::null()).output().with_context(|| format!("starting {command:?}"))?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    Ok(Answer { ok: output.status.success(), out, text })
}

/// Looks at `condition` until it gives a value; says `what` was awaited, and what was seen last, when it does not come.
pub fn wait_for<T>(seconds: u64, what: &str, mut condition: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= end => {
                return Err(last.context(format!("waited {seconds} s in vain for {what}")));
            }
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// A running daemon; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a daemon with everything it prints going to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child })
    }

    /// Fails when the daemon has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the daemon has ended: {status}"),
            None => Ok(()),
        }
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process ID")?;
        kill_process(pid, signal).context("sending a signal")
    }

    /// Asks the daemon to end with `signal` and waits for it; kills it when it does not.
    pub fn stop(mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        self.signal(signal)?;
        let end = Instant::now() + GRACE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= end {
                bail!("the daemon did not end {} s after {signal:?}", GRACE.as_secs());
            }
            std::thread::sleep(LOOK / 4);
        }
        Ok(())
    }

    /// Kills the daemon as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
