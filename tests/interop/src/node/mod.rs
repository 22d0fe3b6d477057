//! A daemon under test or under comparison, as the steps see it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};

use crate::plan::Direction;

pub mod example;
pub mod guest_ravelin;
pub mod libreswan;
mod listing;
pub mod openiked;
pub mod ravelin;
mod raw;
pub mod states;
pub mod swan;
pub mod vpnc;

/// Which SA a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sa {
    /// The IKE SA.
    Ike,
    /// The Child SA.
    Child,
}

/// A Child SA as one side lists it. SPIs are in hexadecimal without leading zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Child {
    /// SPI of what this side receives.
    pub spi_in: String,
    /// SPI of what this side sends.
    pub spi_out: String,
    /// Packets received and sent through it.
    pub packets: (u64, u64),
    /// Everything the side says about it.
    pub fields: BTreeMap<String, String>,
}

/// An established IKE SA as one side lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ike {
    /// SPIs of the initiator and the responder, in hexadecimal without leading zeros. `None`: the side does not say.
    pub spis: Option<(String, String)>,
    /// Everything the side says about it.
    pub fields: BTreeMap<String, String>,
}

/// What one side lists: established IKE SAs and Child SAs in use; nothing half-made and nothing on its way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Established IKE SAs.
    pub ike: Vec<Ike>,
    /// Child SAs in use.
    pub children: Vec<Child>,
}

/// A daemon.
pub trait Node {
    /// Starts it with the case's configuration and waits until it can be steered.
    fn start(&mut self) -> Result<()>;
    /// Negotiates the Child SA `net`; the error says what the daemon gave as the reason.
    fn initiate(&mut self) -> Result<()>;
    /// Rekeys.
    fn rekey(&mut self, sa: Sa) -> Result<()>;
    /// Deletes.
    fn delete(&mut self, sa: Sa) -> Result<()>;
    /// Takes other algorithms for its IKE SAs, in its own words.
    fn propose(&mut self, words: &str) -> Result<()> {
        bail!("`{words}`: this node takes no other algorithms while it runs")
    }
    /// Carries out a line of its own command line; what it prints.
    fn command(&mut self, line: &str) -> Result<String> {
        bail!("`{line}`: this node has no command line")
    }
    /// Sends the pattern over a TCP connection to the far end, and checks that it comes back. `helper` does it where the
    /// node's host runs programs.
    fn send(&mut self, helper: &Path, direction: Direction) -> Result<()>;
    /// Lists what is up.
    fn view(&mut self) -> Result<View>;
    /// Kills it as a power cut would.
    fn kill(&mut self) -> Result<()>;
    /// Ends it in the orderly way.
    fn stop(&mut self) -> Result<()>;
    /// Everything it has said so far, in order: its log with the answers to commands between.
    fn said(&self) -> String;
    /// Keeps what explains a failure.
    fn keep_evidence(&mut self);
}

/// An SPI without leading zeros and `0x`, so that two sides' ways to write it compare.
pub fn plain_spi(spi: &str) -> String {
    spi.trim_start_matches("0x").trim_start_matches('0').to_ascii_lowercase()
}

/// Adds to a log that its daemon adds to, too.
fn append(log: &Path, text: &str) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(log)?;
    Ok(file.write_all(text.as_bytes())?)
}
