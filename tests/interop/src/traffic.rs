//! Payload: pings, and TCP connections that carry a checked pattern both ways.
//!
//! Everything sent holds [`MARKER`], so a capture shows whether any of it travelled in the clear.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use socket2::{Domain, Socket, Type};

use crate::lab::Host;
use crate::plan::Direction;
use crate::process::{Daemon, Namespace, wait_for};

/// Bytes in everything that is sent.
pub const MARKER: &[u8] = b"RAVELIN-CLEAR";
/// The TCP port of the far end.
pub const PORT: u16 = 7000;
/// How much one connection carries each way.
pub const BYTES: u64 = 200_000;
/// How long a connection waits for progress.
const PATIENCE: Duration = Duration::from_secs(30);
/// One unit of the pattern: marker, counter, filling.
const BLOCK: usize = 64;

/// The arguments of a ping that carries the marker: so many, so many seconds apart, and how long the last one waits.
pub fn ping_arguments(direction: Direction, count: u32, interval: &str, wait: u32) -> String {
    let pattern: String = MARKER.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("-n -c {count} -i {interval} -W {wait} -p {pattern} -I {} {}", direction.from, direction.to)
}

/// Reads ping's last lines: how many were sent and how many were answered.
pub fn ping_result(text: &str) -> Result<(u32, u32)> {
    let line =
        text.lines().find(|line| line.contains("packets transmitted")).with_context(|| format!("ping says: {text}"))?;
    let number = |after: &str| -> Result<u32> {
        let before = line.split(after).next().unwrap_or_default();
        Ok(before.rsplit([' ', ',']).find(|word| !word.is_empty()).unwrap_or_default().parse()?)
    };
    Ok((number(" packets transmitted")?, number(" received")?))
}

/// Reads ping's line for each answer (`64 bytes from ...: icmp_seq=7 ttl=64 time=0.1 ms`).
fn answered_and_lost(text: &str) -> (usize, Vec<u32>) {
    let number = |line: &str| line.split_once("icmp_seq=")?.1.split(' ').next()?.parse().ok();
    let answered: BTreeSet<u32> = text.lines().filter(|line| line.contains("bytes from")).filter_map(number).collect();
    let last = answered.last().copied().unwrap_or(0);
    (answered.len(), (1..last).filter(|sequence| !answered.contains(sequence)).collect())
}

/// A ping that goes on until it is stopped.
#[derive(Debug)]
pub struct Pinging<'a> {
    /// `None`: it runs in the guest.
    daemon: Option<Daemon>,
    host: Host<'a>,
    log: std::path::PathBuf,
}

impl<'a> Pinging<'a> {
    /// Starts pinging from a host, fifty times a second; `log` is in the folder that the guest shares.
    pub fn start(host: Host<'a>, direction: Direction, log: &Path) -> Result<Self> {
        let arguments = ping_arguments(direction, 100_000, "0.02", 10);
        let _ = std::fs::remove_file(log);
        let daemon = match host {
            Host::Namespace(namespace) => {
                let mut command = namespace.command("ping");
                command.args(arguments.split(' '));
                Some(Daemon::start(&mut command, log)?)
            }
            Host::Guest(_) | Host::GuestRavelin(_) => {
                host.sh(&format!(
                    "setsid ping {arguments} </dev/null >{} 2>&1 & echo $! >/run/pinging",
                    log.display()
                ))?;
                None
            }
        };
        Ok(Self { daemon, host, log: log.to_owned() })
    }

    /// Stops it; how many pings were answered, and which were not although a later one was. Those under way when it
    /// stops are neither.
    pub fn stop(self) -> Result<(usize, Vec<u32>)> {
        match self.daemon {
            Some(daemon) => daemon.stop(rustix::process::Signal::INT)?,
            None => drop(self.host.sh("kill -INT $(cat /run/pinging); sleep 0.3")?),
        }
        Ok(answered_and_lost(&std::fs::read_to_string(&self.log)?))
    }
}

/// Returns to everybody what they send for ever; the helper's program on the far end.
pub fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("::", port))?;
    loop {
        let (stream, _) = listener.accept()?;
        std::thread::spawn(move || {
            if let Err(error) = answer(stream) {
                eprintln!("{error:#}");
            }
        });
    }
}

/// Returns whatever comes.
fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut back = stream.try_clone()?;
    std::io::copy(&mut stream, &mut back)?;
    Ok(())
}

/// Opens a connection, sends the pattern, and checks that it comes back; the helper's program on the near end.
pub fn send(from: IpAddr, to: SocketAddr, bytes: u64) -> Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into()).context("binding to the own address")?;
    socket.connect_timeout(&to.into(), PATIENCE).with_context(|| format!("connecting to {to}"))?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut there = stream.try_clone()?;
    let sender = std::thread::spawn(move || transmit(&mut there, bytes));
    let back = receive(&mut stream, bytes).context("receiving");
    sender.join().map_err(|_| anyhow!("the sender panicked"))??;
    ensure!(back? == checksum_of(bytes), "other bytes came back than were sent");
    Ok(())
}

/// Runs [`send`] as a program of this lab's, by a shell line for the host it starts from.
pub fn send_line(helper: &Path, direction: Direction) -> String {
    format!("{} send {} {} {PORT} {BYTES}", helper.display(), direction.from, direction.to)
}

/// Starts [`serve`] in a namespace and waits until it listens.
pub fn start_server(namespace: &Namespace, helper: &Path, log: &Path) -> Result<Daemon> {
    let mut command: Command = namespace.command(helper);
    command.args(["serve", &PORT.to_string()]);
    let mut server = Daemon::start(&mut command, log)?;
    wait_for(10, "the server to listen", || {
        server.check()?;
        namespace.sh(&format!("ss -Hltn sport = :{PORT} | grep -q ."))
    })?;
    Ok(server)
}

fn block(counter: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let (marker, rest) = block.split_at_mut(MARKER.len());
    marker.copy_from_slice(MARKER);
    let mut state = (counter + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in rest {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state.to_le_bytes()[3];
    }
    block
}

/// FNV-1a: enough to notice bytes that were lost, repeated or changed on the way.
fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

const CHECKSUM_START: u64 = 0xcbf2_9ce4_8422_2325;

fn each_block(bytes: u64, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut left = bytes;
    let mut counter = 0;
    while left > 0 {
        let block = block(counter);
        let take = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        each(&block[..take])?;
        left -= take as u64;
        counter += 1;
    }
    Ok(())
}

fn checksum_of(bytes: u64) -> u64 {
    let mut sum = CHECKSUM_START;
    let _ = each_block(bytes, |block| {
        sum = checksum(sum, block);
        Ok(())
    });
    sum
}

fn transmit(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let mut writer = std::io::BufWriter::new(stream);
    each_block(bytes, |block| writer.write_all(block).context("sending"))?;
    writer.flush().context("sending")
}

fn receive(stream: &mut TcpStream, bytes: u64) -> Result<u64> {
    let mut sum = CHECKSUM_START;
    let mut left = bytes;
    let mut buffer = [0; 16384];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
        let count = stream.read(&mut buffer[..want])?;
        if count == 0 {
            bail!("the connection ended {left} bytes early");
        }
        sum = checksum(sum, &buffer[..count]);
        left -= count as u64;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ping_counts() {
        let text = "3 packets transmitted, 2 received, +1 errors, 33% packet loss, time 2ms";
        assert_eq!(ping_result(text).unwrap(), (3, 2));
        assert!(ping_result("no such host").is_err());
    }

    #[test]
    fn a_gap_between_answers_is_a_loss() {
        let line = |sequence: u32| format!("64 bytes from 10.2.0.1: icmp_seq={sequence} ttl=64 time=0.05 ms\n");
        let text: String = [1, 2, 5, 4].map(line).concat();
        assert_eq!(answered_and_lost(&text), (4, vec![3]));
        assert_eq!(answered_and_lost("7 packets transmitted, 0 received"), (0, vec![]));
    }

    #[test]
    fn a_connection_carries_the_pattern_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let far = std::thread::spawn(move || answer(listener.accept().unwrap().0));
        send(address.ip(), address, 100_001).unwrap();
        far.join().unwrap().unwrap();
    }

    #[test]
    fn the_checksum_depends_on_the_order() {
        assert_ne!(checksum(CHECKSUM_START, b"ab"), checksum(CHECKSUM_START, b"ba"));
        assert_ne!(checksum_of(1000), checksum_of(1001));
    }
}
