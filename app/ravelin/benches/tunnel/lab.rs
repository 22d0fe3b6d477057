//! Two hosts and the link between them.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Says in the environment that we are in namespaces of our own.
const INSIDE: &str = "RAVELIN_BENCH_INSIDE";

/// Runs this program again in namespaces of its own, which end with it; true when it is that one.
pub fn enter() -> bool {
    if std::env::var_os(INSIDE).is_some() {
        sh("mount -t tmpfs tmpfs /run");
        return true;
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--net", "--"]).arg(std::env::current_exe().unwrap()).args(std::env::args_os().skip(1));
    let path = std::env::var("PATH").unwrap_or_default();
    let status = command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env(INSIDE, "yes").status().unwrap();
    assert!(status.success(), "ended with {status}");
    false
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name of the namespace.
    pub name: &'static str,
    /// Number of the processor for its daemon.
    pub processor: &'static str,
    /// Address on the link.
    pub link: &'static str,
    /// Address in the tunnel.
    pub inner: &'static str,
}

pub const LEFT: Host = Host { name: "left", processor: "0", link: "192.168.77.1", inner: "10.77.1.1" };
pub const RIGHT: Host = Host { name: "right", processor: "1", link: "192.168.77.2", inner: "10.77.2.1" };

impl Host {
    /// The other end.
    pub fn peer(self) -> Host {
        if self == LEFT { RIGHT } else { LEFT }
    }

    /// A program in this host's namespace; the line is split at blanks.
    pub fn command(self, line: &str) -> Command {
        command(&format!("ip netns exec {} {line}", self.name))
    }

    /// Runs a program to its end.
    pub fn sh(self, line: &str) -> String {
        output(self.command(line))
    }

    /// Runs `job` on a thread in this host's namespace.
    pub fn spawn<T: Send + 'static>(self, job: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        std::thread::spawn(move || self.enter(job))
    }

    /// Runs `job` on this thread, which stays in this host's namespace.
    pub fn enter<T>(self, job: impl FnOnce() -> T) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        job()
    }
}

/// The two hosts exist while this does.
pub struct Lab(());

impl Lab {
    pub fn new() -> Lab {
        for host in [LEFT, RIGHT] {
            sh(&format!("ip netns add {}", host.name));
        }
        sh("ip link add e1 netns left type veth peer name e1 netns right");
        for host in [LEFT, RIGHT] {
            host.sh("ip link set lo up");
            host.sh(&format!("ip addr add {}/24 dev e1", host.link));
            host.sh("ip link set e1 up");
        }
        Lab(())
    }
}

fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a line has a word"));
    command.args(words).stdin(Stdio::null());
    command
}

/// Runs a program to its end, and gives what it printed.
pub fn sh(line: &str) -> String {
    output(command(line))
}

fn output(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
