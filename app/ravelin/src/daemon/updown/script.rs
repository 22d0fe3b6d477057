//! Commands of the operator, run beside everything else: nobody waits for one but those that must come after it.
//!
//! ```text
//!   updown.rs ─► Runner::add(Job) ─► queue ─► at most WORKERS threads: /bin/sh -c ─► log
//! ```
//! Jobs of one key are carried out one after the other, in the order in which they came; those of other keys beside them.
//! A thread is begun when there is something to do for it, so a daemon without scripts has none.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, PipeReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Jobs that are carried out at the same time.
const WORKERS: usize = 8;
/// How long a job may take in all; then its commands are killed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Jobs that wait. Beyond, only those are taken that undo what others have done.
const MAX_WAITING: usize = 1024;
/// How much of what a command says goes to the log.
const MAX_SAID: usize = 4096;
/// Reads of what a command said that are made once it has ended: what it left running may say more for ever.
const LAST_READS: usize = 16;
/// Where programs are, if nobody told the daemon.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a command finds in its environment, beside `PATH`.
pub type Environment = Vec<(String, String)>;

/// One command, run once for each of several environments.
#[derive(Clone, Debug)]
pub struct Job {
    /// Jobs with the same are carried out one after the other.
    pub key: String,
    /// What the log calls it.
    pub name: String,
    /// For `/bin/sh -c`.
    pub command: String,
    /// One after the other.
    pub runs: Vec<Environment>,
}

/// The queue and its threads.
#[derive(Clone)]
pub struct Runner {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// A job came, or one was carried out.
    changed: Condvar,
    patience: Duration,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Jobs that are being carried out, by key, with the process group of the command that runs. It is away before the
    /// process is waited for, so that the number is still its own.
    busy: BTreeMap<String, Option<Pid>>,
    workers: usize,
    closed: bool,
}

impl Default for Runner {
    fn default() -> Self {
        Runner::new(PATIENCE)
    }
}

impl Runner {
    fn new(patience: Duration) -> Self {
        Runner { shared: Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), patience }) }
    }

    /// Takes a job, unless too many wait already.
    pub fn add(&self, job: Job) -> bool {
        if self.shared.lock().waiting.len() >= MAX_WAITING {
            return false;
        }
        self.always_add(job);
        true
    }

    /// Takes a job that undoes what one has done that was taken before.
    pub fn always_add(&self, job: Job) {
        let mut state = self.shared.lock();
        state.waiting.push_back(job);
        let idle = state.workers - state.busy.len();
        if state.workers < WORKERS && idle < state.waiting.len() {
            let shared = self.shared.clone();
            match thread::Builder::new().name("script".into()).spawn(move || shared.work()) {
                Ok(_) => state.workers += 1,
                Err(error) => tracing::error!("a script waits: there is no thread to run it: {error}"),
            }
        }
        self.shared.changed.notify_all();
    }

    /// Waits until everything is carried out; what is not by then is killed or left out.
    pub fn finish(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut state = self.shared.lock();
        while !(state.waiting.is_empty() && state.busy.is_empty()) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.wait(state, left);
        }
        state.closed = true;
        for job in state.waiting.drain(..) {
            tracing::error!("{}: not run, the daemon ends", job.name);
        }
        for (_, pid) in std::mem::take(&mut state.busy) {
            pid.into_iter().for_each(kill);
        }
        self.shared.changed.notify_all();
    }
}

fn kill(group: Pid) {
    if let Err(error) = kill_process_group(group, Signal::KILL) {
        tracing::warn!("a script cannot be killed: {error}");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// A thread's life.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            let next = state.waiting.iter().position(|job| !state.busy.contains_key(&job.key));
            let Some(job) = next.and_then(|at| state.waiting.remove(at)) else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.busy.insert(job.key.clone(), None);
            drop(state);
            self.carry_out(&job);
            state = self.lock();
            state.busy.remove(&job.key);
            self.changed.notify_all();
        }
    }

    fn carry_out(&self, job: &Job) {
        let end = Instant::now() + self.patience;
        for (done, run) in job.runs.iter().enumerate() {
            let name = &job.name;
            if self.lock().closed {
                return;
            }
            match self.run(job, run, end) {
                Ok(Some(status)) if status.success() => tracing::info!("{name}: exit status 0"),
                Ok(Some(status)) => match (status.code(), status.signal()) {
                    (Some(code), _) => tracing::warn!("{name}: exit status {code} of `{}`", job.command),
                    (None, signal) => {
                        tracing::warn!("{name}: `{}` was ended by signal {}", job.command, signal.unwrap_or_default());
                    }
                },
                Ok(None) => {
                    let left_out = job.runs.len() - done - 1;
                    let seconds = self.patience.as_secs();
                    tracing::error!(
                        "{name}: `{}` did not end within {seconds} s and was killed; {left_out} more runs are left out",
                        job.command
                    );
                    return;
                }
                Err(error) => tracing::error!("{name}: `{}` cannot be run: {error}", job.command),
            }
        }
    }

    /// Runs a command once; `None`: it was killed.
    fn run(&self, job: &Job, environment: &Environment, end: Instant) -> io::Result<Option<ExitStatus>> {
        let (mut said, mouth) = io::pipe()?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&job.command).current_dir("/").env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        // What it leaves behind is killed with it.
        command.process_group(0).stdin(Stdio::null()).stdout(mouth.try_clone()?).stderr(mouth);
        let mut child = command.spawn()?;
        // Our copies of its end.
        drop(command);
        let pid = Pid::from_child(&child);
        let is_ours = self.set_running(&job.key, Some(pid));
        if !is_ours {
            kill(pid);
        }
        let mut heard = Heard { name: &job.name, line: Vec::new(), room: MAX_SAID };
        let ended = watch(pid, &mut said, &mut heard, end);
        if !matches!(ended, Ok(true)) {
            kill(pid);
        }
        self.set_running(&job.key, None);
        let status = child.wait()?;
        last_words(&mut said, &mut heard);
        Ok(ended?.then_some(status))
    }

    /// Notes what runs for a key; `false`: it shall not, the daemon ends.
    fn set_running(&self, key: &str, pid: Option<Pid>) -> bool {
        match self.lock().busy.get_mut(key) {
            Some(running) => {
                *running = pid;
                true
            }
            None => false,
        }
    }
}

/// Listens to a process until it ends; `false`: it took too long.
fn watch(pid: Pid, said: &mut PipeReader, heard: &mut Heard<'_>, end: Instant) -> io::Result<bool> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut listening = true;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
        if listening {
            fds.push(PollFd::new(&*said, PollFlags::IN));
        }
        match poll(&mut fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => continue,
            result => _ = result?,
        }
        let [ended, speaks] = [0, 1].map(|at| fds.get(at).is_some_and(|fd| !fd.revents().is_empty()));
        if speaks {
            listening = heard.listen(said)?;
        }
        if ended {
            return Ok(true);
        }
        // Also when it never stops talking.
        if left.is_zero() {
            return Ok(false);
        }
    }
}

/// What is left in the pipe, without waiting for what may be running on.
fn last_words(said: &mut PipeReader, heard: &mut Heard<'_>) {
    for _ in 0..LAST_READS {
        let mut fds = [PollFd::new(&*said, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        if !ready || !heard.listen(said).unwrap_or(false) {
            break;
        }
    }
    heard.end_line();
}

/// What a command says, on its way to the log.
struct Heard<'a> {
    name: &'a str,
    line: Vec<u8>,
    room: usize,
}

impl Heard<'_> {
    /// Reads what is there; `false`: nothing more will come.
    fn listen(&mut self, said: &mut PipeReader) -> io::Result<bool> {
        let mut bytes = [0; 1024];
        let len = said.read(&mut bytes)?;
        for byte in &bytes[..len.min(self.room)] {
            match byte {
                b'\n' => self.end_line(),
                byte => self.line.push(*byte),
            }
        }
        self.room -= len.min(self.room);
        Ok(len > 0)
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            tracing::info!("{}: {}", self.name, harmless(&String::from_utf8_lossy(&line)));
        }
    }
}

/// Without what would write over a terminal, or end a text early.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
