//! Runs the `nft` program: one call, one transaction.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::Error;
use crate::filter;

/// Longest part of the program's own words that goes into an error.
const MESSAGE: usize = 600;

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
    let run = || {
        let mut command = Command::new(program());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that stops reading says why on its standard error.
            match stdin.write_all(input.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        child.wait_with_output()
    };
    run().map_err(|error| {
        Error::system("run nft", error).hint_when(io::ErrorKind::NotFound, "install the package nftables")
    })
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
    fn counters_are_found_by_name() {
        let text = "table inet ravelin {\n\tcounter leaked {\n\t\tpackets 3 bytes 252\n\t}\n\tcounter discarded \
                    {\n\t\tpackets 4 bytes 1\n\t}\n}\n";
        assert_eq!(parse_counters(text), [0, 3, 4]);
        assert_eq!(parse_counters(""), [0, 0, 0]);
    }
}
