//! Runs the `nft` program: one call, one transaction.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::Error;
use crate::filter;

/// Longest part of the program's own words that goes into an error.
const MESSAGE: usize = 600;

/// How long a run may take. It takes some 30 ms, and a second with very many policies; SAs and commands wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a run that was stopped is awaited.
const AFTER_KILL: Duration = Duration::from_secs(1);

/// Hands a script to `nft -f -`: all of it takes effect, or nothing.
pub(crate) fn run(script: &str) -> Result<(), Error> {
    let output = start(&["-f", "-"], script)?;
    if output.status.success() { Ok(()) } else { Err(refusal(&output)) }
}

/// Whether there is a table of this name.
pub(crate) fn exists(table: &str) -> Result<bool, Error> {
    Ok(start(&["list", "table", "inet", table], "")?.status.success())
}

/// Removes a table; that there is none is no error. Says whether there was one.
pub(crate) fn delete_table(table: &str) -> Result<bool, Error> {
    if !exists(table)? {
        return Ok(false);
    }
    run(&format!("delete table inet {table}\n")).map(|()| true)
}

/// The named counters of the table, in packets, in the order of [`filter::COUNTERS`].
pub(crate) fn counters(table: &str) -> Result<Vec<u64>, Error> {
    let output = start(&["list", "counters", "table", "inet", table], "")?;
    if !output.status.success() {
        return Err(refusal(&output));
    }
    Ok(parse_counters(&String::from_utf8_lossy(&output.stdout)))
}

/// `counter leaked { packets 3 bytes 252 }`, over several lines.
fn parse_counters(text: &str) -> Vec<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let packets = |name: &str| {
        let at = words.windows(2).position(|pair| pair == ["counter", name])?;
        let value = words[at..].windows(2).find(|pair| pair[0] == "packets")?[1];
        value.parse().ok()
    };
    filter::COUNTERS.iter().map(|(name, _)| packets(name).unwrap_or(0)).collect()
}

/// The program; the search path of ordinary users and of services often lacks the folders it is in.
fn program() -> &'static Path {
    ["/usr/sbin/nft", "/sbin/nft"].iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new("nft"))
}

fn start(arguments: &[&str], input: &str) -> Result<Output, Error> {
    within(PATIENCE, program(), arguments, input).map_err(|error| {
        Error::system("run nft", error).hint_when(io::ErrorKind::NotFound, "install the package nftables").hint_when(
            io::ErrorKind::TimedOut,
            "does `nft list tables` answer? Something may hold the packet filter of this host",
        )
    })
}

/// Runs a program that has so long. Its input and what it says are files in memory: with pipes it might wait for us, and we for it.
fn within(patience: Duration, program: &Path, arguments: &[&str], input: &str) -> io::Result<Output> {
    let file = |content: &str| {
        let mut file = File::from(memfd_create("nft", MemfdFlags::CLOEXEC)?);
        file.write_all(content.as_bytes())?;
        file.rewind()?;
        Ok::<_, io::Error>(file)
    };
    let (mut stdout, mut stderr) = (file("")?, file("")?);
    let mut command = Command::new(program);
    command.args(arguments).stdin(file(input)?).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn()?;
    if !ends(&child, patience)? {
        child.kill()?;
        // One that the kernel holds does not end even then.
        if ends(&child, AFTER_KILL)? {
            child.wait()?;
        }
        let words = format!("it did not end within {} s and was stopped", patience.as_secs_f32());
        return Err(io::Error::new(io::ErrorKind::TimedOut, words));
    }
    let said = |file: &mut File| {
        let mut said = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut said)?;
        Ok::<_, io::Error>(said)
    };
    Ok(Output { status: child.wait()?, stdout: said(&mut stdout)?, stderr: said(&mut stderr)? })
}

/// Whether it ends in this time.
fn ends(child: &Child, patience: Duration) -> io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = Instant::now() + patience;
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

fn refusal(output: &Output) -> Error {
    let text = String::from_utf8_lossy(&output.stderr);
    let words: String = text.trim().chars().take(MESSAGE).collect();
    let hint = if words.contains("not permitted") { " (this needs CAP_NET_ADMIN)" } else { "" };
    Error::Filter(format!("nft refused the packet filter: {words}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_stopped() {
        // More than a pipe holds, and nobody reads it.
        let input = "x".repeat(1 << 20);
        let hangs = within(Duration::from_millis(50), Path::new("sleep"), &["1000"], &input).unwrap_err();
        assert_eq!(hangs.kind(), io::ErrorKind::TimedOut);
        assert_eq!(hangs.to_string(), "it did not end within 0.05 s and was stopped");
    }

    #[test]
    fn what_a_program_says_is_kept() {
        let script = ["-c", "cat; echo trouble >&2; exit 3"];
        let said = within(PATIENCE, Path::new("sh"), &script, "words").unwrap();
        assert_eq!(
            (said.status.code(), &said.stdout[..], &said.stderr[..]),
            (Some(3), &b"words"[..], &b"trouble\n"[..])
        );
    }

    #[test]
    fn counters_are_found_by_name() {
        let text = "table inet ravelin {\n\tcounter leaked {\n\t\tpackets 3 bytes 252\n\t}\n\tcounter discarded \
                    {\n\t\tpackets 4 bytes 1\n\t}\n}\n";
        assert_eq!(parse_counters(text), [0, 3, 4]);
        assert_eq!(parse_counters(""), [0, 0, 0]);
    }
}
