//! The seam between key management and whatever moves packets: operations go down, events come up, both plain data.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::error_code::ErrorCode;
use crate::interface::Interface;
use crate::policy::{Domain, Policy, PolicyId};
use crate::sa::{Encap, SaCounters, SaId, SaParams};
use crate::spi::Spi;
use crate::words::Words;

/// A change to the SPD or the SAD of a data plane.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Carried out one by one as they are made, never kept.
pub enum DataPlaneOp {
    /// Add a policy, or replace the one with the same id.
    AddPolicy(Policy),
    /// Remove a policy; its SAs stay until deleted.
    DeletePolicy(PolicyId),
    /// An inbound SA with this SPI is on offer. The peer may send on it before [`DataPlaneOp::AddSa`] comes, which it need not; a data
    /// plane may keep a few such packets until then.
    OfferSa(Spi),
    /// Install one direction of a Child SA. For one policy the outbound SA added last is the one that sends.
    AddSa(SaParams),
    /// Remove one SA.
    DeleteSa(SaId),
    /// No SA will come for the acquire of this policy: the next packet that needs one raises another at once.
    FailAcquire(PolicyId),
    /// One end or both moved (a NAT that maps anew, or MOBIKE): the outer addresses of an SA are others from now on, of one
    /// family. Its keys, numbers and counters stay.
    MoveSa {
        /// The SA; its `dst` is the old one.
        id: SaId,
        /// Source of its packets now.
        src: IpAddr,
        /// Destination of its packets now.
        dst: IpAddr,
        /// The UDP ports of its packets now, when ESP travels in UDP.
        encap: Option<Encap>,
    },
    /// The longest packet that the path of an SA takes is another: as the link, or a router on the way, told. Where
    /// the SA has an MTU by its options, that is the most. `None`: what was told before no longer holds.
    SetMtu {
        /// An outbound SA, or the inbound one of the pair, which lowers segment sizes by it.
        id: SaId,
        /// Outer header included; what is below the least of the family is taken for that.
        mtu: Option<u16>,
    },
    /// The next packet of an outbound SA has a sequence number so much higher than it would have had, and those between are used
    /// by none (RFC 6311 §5.2). There are no more than there are: past the last one the SA sends nothing. Limits are about packets, so
    /// whoever skips many replaces the SA. A data plane whose device gives out the numbers asks for another SA by
    /// [`DataPlaneEvent::SoftExpire`].
    SkipNumbers {
        /// The SA.
        id: SaId,
        /// How many.
        count: u64,
    },
    /// Tell of the next packet of an SA, once, by [`DataPlaneEvent::Used`].
    TellUse(SaId),
    /// Make a virtual interface. What the host routes to it is looked up in the SPD of its domain, and what arrives on
    /// an SA of a policy there comes out of it.
    AddInterface(Interface),
    /// Remove the virtual interface of this domain; its policies go before it.
    DeleteInterface(Domain),
}

/// What a data plane reports.
#[derive(Clone, Debug, PartialEq)]
pub enum DataPlaneEvent {
    /// A packet needs an SA that a policy asks for and that is not there. Raised once until an SA for the policy is
    /// installed or the acquire is seen as failed by a time-out of the data plane.
    Acquire {
        /// The policy.
        policy: PolicyId,
        /// The packet that asked.
        flow: Flow,
        /// The processor that asks for an SA of its own, while its packets go over the one for all (RFC 9611 §6). `None`: there
        /// is none.
        processor: Option<u32>,
    },
    /// A soft limit of the SA was passed.
    SoftExpire(SaId),
    /// A hard limit was passed; the SA is out of use but stays listed until deleted.
    HardExpire(SaId),
    /// Another program has removed or replaced the SA in the system. It is out of use but stays listed until deleted, and cannot be put
    /// back: numbers under its key would come a second time. If it is still there after a while, [`DataPlaneEvent::HardExpire`] comes.
    Lost(SaId),
    /// No packet used the SA for the time that its lifetime gives. Raised again as long as that is so.
    Idle(SaId),
    /// A packet used the SA, the first since [`DataPlaneOp::TellUse`] or, in a data plane that does not see packets one
    /// by one, since up to some seconds before.
    Used(SaId),
    /// An authenticated packet of an inbound SA came from a new address or port.
    PeerMoved {
        /// The inbound SA.
        id: SaId,
        /// Source address of the packet.
        src: IpAddr,
        /// Source port of the packet, when in UDP.
        src_port: Option<u16>,
    },
    /// An authentic packet of an inbound SA was dropped, because it is not within the SA's selectors (RFC 4301 §5.2). Raised of one SA
    /// once in a while at most, and only by a data plane that sees such packets.
    OutsideSelectors {
        /// The inbound SA.
        id: SaId,
        /// The packet that was in it.
        packet: PacketStart,
    },
}

/// The first octets of a packet: a header of IPv6 and eight octets behind it, as ICMP quotes them at least (RFC 792).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketStart {
    octets: [u8; PacketStart::MOST],
    len: u8,
}

impl PacketStart {
    /// So many at most.
    pub const MOST: usize = 48;

    /// Those of this packet.
    pub fn of(packet: &[u8]) -> Self {
        let len = packet.len().min(Self::MOST);
        let mut octets = [0; Self::MOST];
        octets[..len].copy_from_slice(&packet[..len]);
        PacketStart { octets, len: len as u8 }
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// The selectors of one packet, as its IP and transport headers show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Next layer protocol (IANA protocol number).
    pub protocol: u8,
    /// Source port. A protocol with one field instead of two ports has it at its sender's side, and `None` at the other:
    /// ICMP and ICMPv6 type * 256 + code, the Mobility Header type * 256 (RFC 4301 §4.4.1.1). `None` too where the packet
    /// shows none.
    pub src_port: Option<u16>,
    /// Destination port, like `src_port`.
    pub dst_port: Option<u16>,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} protocol {}", self.src, self.dst, self.protocol)?;
        match (self.src_port, self.dst_port) {
            (Some(src), Some(dst)) => write!(f, " ports {src} -> {dst}"),
            (Some(field), None) | (None, Some(field)) => write!(f, " type {} code {}", field >> 8, field & 0xff),
            (None, None) => Ok(()),
        }
    }
}

/// One SA as a data plane lists it.
#[derive(Clone, Debug)]
pub struct SaStatus {
    /// As it was installed.
    pub params: SaParams,
    /// Since then.
    pub counters: SaCounters,
}

/// How far the system has followed changes of policies that a data plane has begun and not waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The number of a change; it stands for all before it that were not told of yet.
    pub change: u64,
    /// That they are in force, or why the system refused them.
    pub result: Result<(), DataPlaneError>,
}

/// Why a data plane refused an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataPlaneError {
    /// An SA of this name is there already.
    Exists(SaId),
    /// No such SA.
    NoSuchSa(SaId),
    /// No such policy.
    NoSuchPolicy(PolicyId),
    /// The data plane lacks an algorithm, or the key has a wrong length.
    Algorithm(Words),
    /// A table of the data plane has as many entries as it can take.
    Full(Table, usize),
    /// The operation contradicts itself or passes a bound of one entry; the text says where.
    Invalid(Words),
    /// The SA cannot send dummy packets: it is inbound, has no ESP, or is out of use.
    NoDummies(SaId),
    /// The system under the data plane said no.
    System(String),
}

/// A table with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The SPD.
    Policies,
    /// One direction of the SAD.
    Sas,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Table::Policies => "policies",
            Table::Sas => "SAs in one direction",
        })
    }
}

impl DataPlaneError {
    /// [`DataPlaneError::Algorithm`] with what `format_args!` makes.
    pub fn algorithm(why: fmt::Arguments<'_>) -> Self {
        DataPlaneError::Algorithm(Words::of(why))
    }

    /// [`DataPlaneError::Invalid`] with what `format_args!` makes.
    pub fn invalid(why: fmt::Arguments<'_>) -> Self {
        DataPlaneError::Invalid(Words::of(why))
    }

    /// The code of document 003 §3.15.
    pub fn code(&self) -> ErrorCode {
        match self {
            DataPlaneError::Exists(_) => ErrorCode::Exist,
            DataPlaneError::NoSuchSa(_) => ErrorCode::SaNotFound,
            DataPlaneError::NoSuchPolicy(_) => ErrorCode::PolicyNotFound,
            DataPlaneError::Algorithm(_) => ErrorCode::UnknownAlgorithm,
            DataPlaneError::Full(Table::Policies, _) => ErrorCode::OutOfPolicies,
            DataPlaneError::Full(Table::Sas, _) => ErrorCode::OutOfSessions,
            DataPlaneError::Invalid(_) => ErrorCode::BadParam,
            DataPlaneError::NoDummies(_) => ErrorCode::SessUnavlForDummyTx,
            DataPlaneError::System(_) => ErrorCode::Nomem,
        }
    }
}

impl fmt::Display for DataPlaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataPlaneError::Exists(id) => write!(f, "an SA with SPI {} to {} exists already", id.spi, id.dst),
            DataPlaneError::NoSuchSa(id) => write!(f, "there is no SA with SPI {} to {}", id.spi, id.dst),
            DataPlaneError::NoSuchPolicy(id) => write!(f, "there is no policy {}", id.0),
            DataPlaneError::Algorithm(what) => write!(f, "algorithm not usable: {what}"),
            DataPlaneError::Full(table, bound) => write!(f, "limit reached: {bound} {table}"),
            DataPlaneError::Invalid(what) => f.write_str(what),
            DataPlaneError::NoDummies(id) => {
                write!(f, "the SA with SPI {} to {} cannot send dummy packets", id.spi, id.dst)
            }
            DataPlaneError::System(what) => f.write_str(what),
        }
    }
}

impl core::error::Error for DataPlaneError {}

/// Whatever moves packets: our engine over TUN, the kernel, a simulator.
pub trait DataPlane {
    /// Carries out one operation; on an error nothing has changed.
    ///
    /// # Errors
    /// Every [`DataPlaneError`] says which precondition failed.
    fn apply(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError>;

    /// The next event, oldest first, or `None`.
    fn poll_event(&mut self) -> Option<DataPlaneEvent>;

    /// The SAs in force.
    fn list(&mut self) -> Vec<SaStatus>;

    /// One of them, without a look at the others.
    fn sa(&mut self, id: SaId) -> Option<SaStatus>;
}
