//! Network namespaces that exist as long as this process does: nothing is left behind, however it ends.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::thread::UnshareFlags;

use super::sys;

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace and a thread that lives in it: sockets that it opens and programs that it starts are there.
pub struct Namespace {
    jobs: Sender<Job>,
    /// Keeps the namespace, and is the way by which other programs find it.
    file: File,
}

/// Gets the right to make namespaces: as root it is there, another user becomes root of a user namespace. To be called
/// while the process has one thread.
pub fn prepare() -> Result<()> {
    // Probing with a network namespace costs nothing: the process has no use for the one it has.
    if rustix::process::geteuid().is_root() && sys::unshare(UnshareFlags::NEWNET).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).context(
        "user namespaces are not allowed here, so this needs root (try `sudo ravelin demo`, or as root \
         `sysctl kernel.unprivileged_userns_clone=1` where that exists, `sysctl user.max_user_namespaces=1000`)",
    )?;
    let write = |file: &str, text: &str| fs::write(file, text).with_context(|| format!("cannot write {file}"));
    write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/gid_map", &format!("0 {gid} 1"))
}

impl Namespace {
    /// A fresh network namespace.
    pub fn new() -> Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (ready, opened) = channel();
        thread::spawn(move || {
            let made = sys::unshare(UnshareFlags::NEWNET).and_then(|()| File::open("/proc/thread-self/ns/net"));
            if ready.send(made).is_ok() {
                todo.into_iter().for_each(|job| job());
            }
        });
        let file = opened.recv()?.context("cannot make a network namespace")?;
        Ok(Namespace { jobs, file })
    }

    /// Runs `job` in the namespace and waits for it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, outcome) = channel();
        let job = Box::new(move || drop(done.send(job())));
        if self.jobs.send(job).is_err() {
            bail!("the thread of a network namespace has ended");
        }
        outcome.recv().context("the thread of a network namespace has ended")
    }

    /// The path by which `ip link ... netns` finds it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}
