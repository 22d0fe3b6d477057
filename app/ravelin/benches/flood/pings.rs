//! Who is here already, and wants to stay.

use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{LEFT, RIGHT};
use crate::peer::inner_address;

/// Pings through a connection, from left to right.
pub struct Pings(Child);

impl Pings {
    /// Sends one each `interval`.
    pub fn start(connection: usize, interval: Duration) -> Pings {
        let [from, to] = [LEFT, RIGHT].map(|host| inner_address(host, connection));
        let line = format!("ping -n -q -W 1 -i {} -I {from} {to}", interval.as_secs_f64());
        Pings(LEFT.command(&line).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Ends them; how many were lost, and how many sent.
    pub fn end(self) -> (u64, u64) {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        let output = String::from_utf8(self.0.wait_with_output().unwrap().stdout).unwrap();
        let line = output.lines().find(|line| line.contains("packets transmitted")).unwrap();
        let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
        let (sent, received) = (numbers.next().unwrap(), numbers.next().unwrap());
        // The last may be under way.
        (sent.saturating_sub(received + 1), sent)
    }
}
