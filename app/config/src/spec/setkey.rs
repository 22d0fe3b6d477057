//! What a script of setkey(8) asks for: SAs and policies of one direction each, which the model joins to pairs.

use std::net::IpAddr;

use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::Mode;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Secret, Spi};

use crate::remark::Place;

/// One statement of a script.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Where it begins.
    pub place: Place,
    /// What it asks for.
    pub what: Asked,
}

/// What a statement asks for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// `add`
    Add(Box<Sa>),
    /// `get`
    Get(SaName),
    /// `delete`
    Delete(SaName),
    /// `deleteall`: of these ends and this protocol, whatever the SPI.
    DeleteAll(IpAddr, IpAddr, SaProtocol),
    /// `flush`, of one protocol or of all.
    Flush(Option<SaProtocol>),
    /// `dump`, likewise.
    Dump(Option<SaProtocol>),
    /// `spdadd`
    AddEntry(Box<Entry>),
    /// `spdupdate`: in the place of the one about the same packets, if there is one.
    UpdateEntry(Box<Entry>),
    /// `spddelete`
    DeleteEntry(About),
    /// `spdflush`
    FlushEntries,
    /// `spddump`
    DumpEntries,
}

/// The protocol of one SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SaProtocol {
    /// Encryption, and integrity of what is inside.
    Esp,
    /// Integrity of the whole packet.
    Ah,
}

impl SaProtocol {
    /// As scripts have it.
    pub fn word(self) -> &'static str {
        match self {
            SaProtocol::Esp => "esp",
            SaProtocol::Ah => "ah",
        }
    }
}

/// Which SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaName {
    /// Who sends.
    pub src: IpAddr,
    /// Who receives.
    pub dst: IpAddr,
    /// By which protocol.
    pub protocol: SaProtocol,
    /// Its number.
    pub spi: Spi,
}

/// An SA with its keys.
#[derive(Clone, Debug)]
pub struct Sa {
    /// Its name.
    pub name: SaName,
    /// Tunnel or transport mode; `None`: for policies of both.
    pub mode: Option<Mode>,
    /// `-u`: the policies with `unique:NUMBER` that it is for; 0: for those without.
    pub reqid: u32,
    /// Packets that the window against replays covers, for who receives.
    pub replay_window: u32,
    /// What ESP pads with.
    pub padding: Padding,
    /// When it ends.
    pub lifetime: Lifetime,
    /// The cipher of ESP, and its key with the salt at its end.
    pub encr: Option<(EncrId, Secret)>,
    /// Integrity of AH or ESP, and its key.
    pub integ: Option<(IntegId, Secret)>,
    /// How packets are carried, as the command line says.
    pub options: SaOptions,
    /// Where it stands in the script that is being read.
    pub place: Option<Place>,
}

/// What ESP pads with, `-f`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// `seq-pad`, or not said: 1, 2, 3 (RFC 4303 §2.4).
    #[default]
    Sequence,
    /// `zero-pad` or `random-pad`.
    Other,
}

/// Which packets a policy is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Which way they go.
    pub direction: Direction,
    /// Where they come from, with protocol and ports.
    pub source: TrafficSelector,
    /// Where they go.
    pub destination: TrafficSelector,
}

/// Which way packets go, `-P`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They leave this host.
    Out,
    /// They arrive.
    In,
    /// They arrive to be forwarded, for kernels that tell these apart.
    Forward,
}

impl Direction {
    /// As scripts have it.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Out => "out",
            Direction::In => "in",
            Direction::Forward => "fwd",
        }
    }
}

/// A policy of one direction.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its packets.
    pub about: About,
    /// What happens to them.
    pub treatment: Treatment,
    /// Its place among the others: entries are consulted in the order in which they were added.
    pub order: u32,
    /// Where it stands in the script that is being read.
    pub place: Option<Place>,
}

/// What happens to packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// `discard`
    Discard,
    /// `none`
    Bypass,
    /// `ipsec`: protected by these, the inner one first.
    Protect(Vec<Rule>),
}

/// `protocol/mode/src-dst/level`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// By which protocol.
    pub protocol: SaProtocol,
    /// Tunnel or transport.
    pub mode: Mode,
    /// The ends of the SA; `None`: those of the packets.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// `unique:NUMBER`: only by an SA with this number (`-u`).
    pub reqid: Option<u32>,
}

// Where something was written is no part of what it is, and nobody but the operator, who has the keys of both, sees how
// long comparing them takes.
impl PartialEq for Sa {
    fn eq(&self, other: &Self) -> bool {
        let rest = |sa: &Sa| (sa.name, sa.mode, sa.reqid, sa.replay_window, sa.padding, sa.lifetime, sa.options);
        same_key(&self.encr, &other.encr) && same_key(&self.integ, &other.integ) && rest(self) == rest(other)
    }
}

fn same_key<T: PartialEq>(one: &Option<(T, Secret)>, other: &Option<(T, Secret)>) -> bool {
    match (one, other) {
        (Some((id, key)), Some((other, their))) => id == other && key.expose() == their.expose(),
        (one, other) => one.is_none() && other.is_none(),
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.about, &self.treatment, self.order) == (other.about, &other.treatment, other.order)
    }
}
