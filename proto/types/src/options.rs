//! How packets of a policy are carried: what RFC 4301 and the RFCs of the header fields leave to the administrator.
//!
//! A policy has them as [`Protection::options`](crate::policy::Protection::options), and each SA made for it as
//! [`SaParams::options`](crate::sa::SaParams::options). The default is what RFC 4301 §5.1.2.1 recommends
//! where it does, and else what gets packets through.

use core::num::NonZeroU64;
use core::time::Duration;

use crate::if_id::IfIds;
use crate::mark::Marks;
use crate::spi::Cpi;

/// Options of a policy and of the SAs made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaOptions {
    /// Tunnel mode, sender: the outer header carries the ECN field of the inner one (RFC 6040 §4.1, normal mode).
    /// Without, it says that the packet's transport knows no congestion marks (compatibility mode).
    pub full_ecn: bool,
    /// Tunnel mode, sender: DSCP of the outer header.
    pub dscp: Dscp,
    /// Tunnel mode, sender: the don't-fragment flag of an outer IPv4 header.
    pub df: Df,
    /// Tunnel mode, sender: TTL or hop limit of the outer header.
    pub hop_limit: u8,
    /// Receiver: the bytes of ESP padding must be 1, 2, 3, ... (RFC 4303 §2.4). Without, only their number is looked
    /// at: for a peer that pads otherwise.
    pub pad_check: bool,
    /// HMAC-SHA-2 has an ICV of 96 bits, in ESP and AH: for a peer that has not heard of RFC 4868 §2.1.2.
    pub short_icv: bool,
    /// Sender: AH is padded to 64 bits in IPv4 too, for a peer that wants it so: Linux does, unless its SA has the flag
    /// `align4`. Without, to 32 bits (RFC 4302 §3.3.3.2.1). A receiver takes both.
    pub ah_align64: bool,
    /// Sender: the longest packet that the path takes, outer header included. `None`: not known, nothing is too long.
    pub mtu: Option<u16>,
    /// Sender: where a packet that is too long for the path is cut.
    pub fragmentation: Fragmentation,
    /// Tunnel mode and transport mode, both ways: the segment size of TCP handshakes is lowered to this.
    pub mss: Mss,
    /// Sender: random padding to hide the length of packets (RFC 4303 §2.7), fewer bytes than this; 0: none. Only where
    /// the receiver can tell it from the payload: in tunnel mode, and in transport mode for IP and UDP inside.
    pub tfc: u16,
    /// Sender: dummy packets (RFC 4303 §2.6).
    pub dummies: Option<Dummies>,
    /// Tunnel mode with ports or types in the selectors: later fragments, which show none, go over the SA too, if the first
    /// fragment of their datagram did (RFC 4301 §7.3). Both ends must have agreed (RFC 7296 §1.3.1): IKE does so by itself.
    pub later_fragments: bool,
    /// ESP in UDP over IPv6: send without UDP checksum, and take packets without (RFC 6935 §5, RFC 6936 §5). IPv4 has
    /// none anyway (RFC 3948 §2.1).
    pub zero_checksum: bool,
    /// The policy is only about packets that have these marks of the host: what leaves has its by a socket option or a rule
    /// of the packet filter, and what arrives gets its from its SA, unless `set_mark` says another. A policy may leave them
    /// open, an SA has them. Only the kernel's data plane can.
    pub marks: Marks,
    /// Receiver: packets that were opened get this mark, by which the host's rules of routing, filtering and queueing know
    /// the tunnel that they came by. Only the kernel's data plane can.
    pub set_mark: Option<Mark>,
    /// Sender: packets that were sealed get this mark, by which the host's rules of routing, filtering and queueing find
    /// their way. Only the kernel's data plane can.
    pub output_mark: Option<Mark>,
    /// Both: what the network device on the way does in the processor's place. Only the kernel's data plane can.
    pub offload: Offload,
    /// The virtual interface whose packets the policy is about, by the numbers of the device: a policy may leave them open,
    /// an SA has them. Without an interface of that number in our own configuration only the kernel's data plane can.
    pub if_ids: IfIds,
    /// Sender: which processors of this host send on an SA (RFC 9611). Only the kernel's data plane tells them apart.
    pub processors: Processors,
    /// Both: packets are compressed before they are protected (RFC 3173).
    pub ipcomp: IpComp,
    /// Tunnel mode with ESP: packets share payloads and are spread over them (RFC 9347). A policy has what is asked for, an SA
    /// what was agreed on.
    pub aggfrag: Option<AggFrag>,
}

impl Default for SaOptions {
    fn default() -> Self {
        SaOptions {
            full_ecn: true,
            dscp: Dscp::Copy,
            df: Df::Clear,
            hop_limit: 64,
            pad_check: true,
            short_icv: false,
            ah_align64: false,
            mtu: None,
            fragmentation: Fragmentation::Before,
            mss: Mss::Off,
            tfc: 0,
            dummies: None,
            later_fragments: false,
            zero_checksum: false,
            marks: Marks::default(),
            set_mark: None,
            output_mark: None,
            offload: Offload::Off,
            if_ids: IfIds::default(),
            processors: Processors::All,
            ipcomp: IpComp::Off,
            aggfrag: None,
        }
    }
}

/// Where the DSCP of an outer header comes from (RFC 4301 §5.1.2.1, note 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dscp {
    /// From the inner header.
    Copy,
    /// It is this, 0 to 63; higher bits are not looked at.
    Set(u8),
}

/// Where the don't-fragment flag of an outer IPv4 header comes from (RFC 4301 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Df {
    /// From the inner header; set for an inner IPv6 packet, which no router may fragment, if it is longer than the 1280
    /// bytes that every path must take (RFC 4213 §3.2.2).
    Copy,
    /// Always set.
    Set,
    /// Never set.
    Clear,
}

/// Where a packet is cut that is too long for the path once protected, and may be cut (RFC 4301 §7, §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragmentation {
    /// The clear packet, so that each piece is a protected packet; the receiver's hosts put them together. Not where the
    /// SA looks at ports, which only the first piece shows, and not in transport mode, which protects whole datagrams:
    /// there it is as with `After`.
    Before,
    /// The protected packet, by the stack below; the receiver puts it together before it opens it.
    After,
}

/// The largest TCP segment size that a handshake inside may announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mss {
    /// Whatever it is.
    Off,
    /// What fits the path, when its MTU is known.
    Path,
    /// Not more than this.
    Set(u16),
}

/// A mark of the host on a packet: which bits of it are, or are set to, what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The bits; those outside of the mask are 0.
    pub value: u32,
    /// Which bits of the packet's mark are meant.
    pub mask: u32,
}

/// What a network device does of ESP, in the place of the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// Nothing.
    #[default]
    Off,
    /// The cryptography; an SA that no device takes is refused.
    Crypto,
    /// Whole packets: their headers and numbers, and the search for their policy too. What no device takes is refused.
    Packet,
    /// Of a policy: as much of it as there is, or nothing. An SA that was installed says which.
    Auto,
}

/// Which processors of a host send on an SA of a policy (RFC 9611 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processors {
    /// All of them, and there is no SA beside it.
    #[default]
    All,
    /// Of a policy: each has an SA of its own, beside one for all. Of an SA: it is the one for all, on which those send that
    /// have none.
    Each,
    /// Of an SA: this one alone.
    One(u32),
}

impl Processors {
    /// The processor whose own SA it is.
    pub fn one(self) -> Option<u32> {
        if let Processors::One(number) = self { Some(number) } else { None }
    }
}

/// IP payload compression with DEFLATE (RFC 3173, RFC 2394).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpComp {
    /// There is none.
    #[default]
    Off,
    /// Of a policy: it is offered, and agreed to where the peer offers it.
    Negotiate,
    /// Of an SA: packets may be compressed and have this label then, which the receiver chose.
    With(Cpi),
}

impl IpComp {
    /// The label of compressed packets, where there may be such.
    pub fn cpi(self) -> Option<Cpi> {
        if let IpComp::With(cpi) = self { Some(cpi) } else { None }
    }
}

impl From<Option<Cpi>> for IpComp {
    fn from(cpi: Option<Cpi>) -> Self {
        cpi.map_or(IpComp::Off, IpComp::With)
    }
}

/// Aggregation and fragmentation of packets in AGGFRAG payloads (RFC 9347).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggFrag {
    /// Sender: so many bits a second, in protected packets of one length that go whether or not there is something to send
    /// (IP-TFS, RFC 9347 §2.4.1). `None`: a protected packet goes when there is something, and is as long as that needs.
    pub rate: Option<NonZeroU64>,
    /// Sender: a packet may be spread over several payloads, since the receiver takes that.
    pub fragments: bool,
}

impl Default for AggFrag {
    fn default() -> Self {
        AggFrag { rate: None, fragments: true }
    }
}

/// Packets that say nothing, to hide when there is traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dummies {
    /// Each carries a random number of bytes, fewer than this.
    pub size: u16,
    /// The next comes after a random time, shorter than this.
    pub interval: Duration,
}

impl Default for Dummies {
    fn default() -> Self {
        Dummies { size: 16, interval: Duration::from_secs(30) }
    }
}
