//! What happened, as lines and as one number that stands for all of it.

use core::fmt;
use std::collections::VecDeque;

use ravelin_types::Instant;

/// The last lines of a run, and a digest over every line: equal digests mean equal runs.
#[derive(Debug)]
pub struct Trace {
    digest: u64,
    lines: VecDeque<String>,
    keep: usize,
    echo: bool,
}

impl Trace {
    /// A trace that keeps the last `keep` lines, and prints each at once if `echo`.
    pub fn new(keep: usize, echo: bool) -> Self {
        Trace { digest: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new(), keep, echo }
    }

    /// Adds one line.
    pub fn line(&mut self, now: Instant, text: fmt::Arguments<'_>) {
        let line = format!("{:>11.6} {text}", now.since_origin().as_secs_f64());
        self.bytes(line.as_bytes());
        if self.echo {
            println!("{line}");
        }
        if self.lines.len() == self.keep {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Adds bytes to the digest alone (FNV-1a).
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The digest so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines kept, oldest first.
    pub fn tail(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}
