//! What key management tells a data plane about one security association.

use core::mem;
use core::net::IpAddr;

use crate::lifetime::Lifetime;
use crate::options::SaOptions;
use crate::policy::{Mode, PolicyId};
use crate::proposal::Suite;
use crate::secret::Secret;
use crate::selector::Side;
use crate::spi::Spi;
use crate::way::Carrier;

/// Which way the packets of an SA travel, as this host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// This host receives.
    Inbound,
    /// This host sends.
    Outbound,
}

/// How the SA of an inbound packet is found (RFC 4301 §4.1). Of several SAs that fit, the one that asks for most is
/// the packet's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaLookup {
    /// By its SPI alone: unicast, where this host chose the SPI.
    #[default]
    Spi,
    /// By SPI and destination: multicast with any source.
    Destination,
    /// By SPI, destination and source: multicast from one source.
    Source,
}

/// The name of one SA on this host: SPIs are unique per direction, peer and protocol; inbound ones are ours alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaId {
    /// Inbound or outbound.
    pub direction: Direction,
    /// The receiver's address, which chose the SPI.
    pub dst: IpAddr,
    /// The sender's address, where the SA is looked up by it ([`SaLookup::Source`]).
    pub src: Option<IpAddr>,
    /// The label on the wire.
    pub spi: Spi,
}

/// ESP inside UDP (RFC 3948) or TCP (RFC 9329): the ports as packets of this SA carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encap {
    /// What ESP travels in.
    pub carrier: Carrier,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

impl Encap {
    /// In UDP.
    pub fn udp(src_port: u16, dst_port: u16) -> Self {
        Encap { carrier: Carrier::Udp, src_port, dst_port }
    }
}

/// Keys of one SA, split from KEYMAT (RFC 7296 §2.17): encryption first, then integrity. What the protocols of the SA do
/// not use is empty.
#[derive(Clone, Debug, Default)]
pub struct SaKeys {
    /// ESP: encryption key with the salt of counter-mode ciphers at its end.
    pub encr: Secret,
    /// ESP: integrity key; empty with an AEAD cipher.
    pub integ: Secret,
    /// AH: integrity key, with AES-GMAC followed by the salt.
    pub ah: Secret,
}

/// Everything that was negotiated for one direction of a Child SA.
#[derive(Clone, Debug)]
pub struct SaParams {
    /// Inbound or outbound.
    pub direction: Direction,
    /// The label on the wire.
    pub spi: Spi,
    /// The SPI of the SA in the other direction, for listings.
    pub pair: Spi,
    /// Which fields of a packet name the SA, inbound only.
    pub lookup: SaLookup,
    /// Source of the outer header.
    pub src: IpAddr,
    /// Destination of the outer header.
    pub dst: IpAddr,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Present when ESP travels in UDP or TCP.
    pub encap: Option<Encap>,
    /// Transport mode across a NAT: the addresses that the sender of the packets used (local is ours, remote the
    /// peer's), from which transport checksums are mended (RFC 7296 §2.23.1, RFC 3948 §3.1.2). `None`: no NAT.
    pub original: Option<OriginalAddresses>,
    /// Protocols and algorithms.
    pub suite: Suite,
    /// Keys.
    pub keys: SaKeys,
    /// The policy this SA serves.
    pub policy: PolicyId,
    /// Local side of the agreed traffic selectors.
    pub local_ts: Side,
    /// Remote side of the agreed traffic selectors.
    pub remote_ts: Side,
    /// Soft and hard limits.
    pub lifetime: Lifetime,
    /// Anti-replay window in packets, inbound only; 0: off.
    pub replay_window: u32,
    /// How packets are carried.
    pub options: SaOptions,
}

impl SaKeys {
    /// Becomes a copy of `other` in the memory that it has, as far as that reaches. The keys that it was are wiped before.
    pub fn copy_from(&mut self, other: &SaKeys) {
        self.encr.copy_from(&other.encr);
        self.integ.copy_from(&other.integ);
        self.ah.copy_from(&other.ah);
    }
}

impl SaParams {
    /// Becomes a copy of `other` in the memory that it has, as far as that reaches.
    pub fn copy_from(&mut self, other: &SaParams) {
        let (mut keys, mut local_ts, mut remote_ts) =
            (mem::take(&mut self.keys), mem::take(&mut self.local_ts), mem::take(&mut self.remote_ts));
        keys.copy_from(&other.keys);
        local_ts.clone_from(&other.local_ts);
        remote_ts.clone_from(&other.remote_ts);
        *self = SaParams { keys, local_ts, remote_ts, ..*other };
    }

    /// The SA's name.
    pub fn id(&self) -> SaId {
        let src = (self.lookup == SaLookup::Source).then_some(self.src);
        SaId { direction: self.direction, dst: self.dst, src, spi: self.spi }
    }

    /// The name of the SA of the other direction, whose receiver is this one's sender.
    pub fn twin(&self) -> SaId {
        let direction = match self.direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        SaId { direction, dst: self.src, src: None, spi: self.pair }
    }
}

/// The addresses of a transport-mode packet as its sender wrote them, before a NAT changed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalAddresses {
    /// Source as sent.
    pub src: IpAddr,
    /// Destination as sent.
    pub dst: IpAddr,
}

/// Counters of one SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaCounters {
    /// Packets that passed.
    pub packets: u64,
    /// Payload bytes that passed, before encryption or after decryption.
    pub bytes: u64,
    /// Inbound: dropped because the number was seen before.
    pub replayed: u64,
    /// Inbound: dropped because the number is left of the window.
    pub too_old: u64,
    /// Inbound: dropped because the ICV did not verify.
    pub forged: u64,
    /// Inbound: dropped because the length cannot be, or AH cannot cover the headers.
    pub bad_length: u64,
    /// Inbound: authentic, and dropped because of its padding.
    pub bad_padding: u64,
    /// Inbound: dropped because the next header, or the protocol itself, is not one of the SA.
    pub bad_next_header: u64,
    /// Inbound: authentic, and dropped because what is inside is no whole packet, or would lose its congestion mark.
    pub bad_inner: u64,
    /// Inbound: dropped because the inner packet is not in the SA's selectors.
    pub bad_selector: u64,
    /// Inbound: dropped because a policy has something else for the inner packet than this SA.
    pub bad_policy: u64,
    /// Dropped because the SA had passed its hard limit.
    pub expired: u64,
    /// Outbound: dropped because the packet does not fit, or no sequence number was left.
    pub unsendable: u64,
    /// The last sequence number sent, or the highest received.
    pub sequence: u64,
    /// Dummy packets sent (they are among `packets`) or received (they are not).
    pub dummies: u64,
}
