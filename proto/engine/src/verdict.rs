//! What became of a packet, and the counters of all that.

use core::fmt;
use core::net::IpAddr;

use ravelin_types::ErrorCode;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::{Encap, SaCounters};

/// What the caller does with a packet now. The packet stands in its [`PacketBuf`](crate::PacketBuf).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on as it is, in the clear: untouched by the engine.
    Bypass,
    /// Outbound: it is protected now; send it.
    Send(Outer),
    /// Inbound: it was protected and is now the clear IP packet; hand it to the stack.
    Deliver,
    /// Outbound: its policy has no SA yet; the packet is untouched and may be offered again once there is one. An
    /// `Acquire` was queued, unless one is open already.
    Hold(PolicyId),
    /// Outbound: once protected it would be too long for the path, and it may be cut: into pieces of at most this many
    /// bytes, with [`Fragments`](ravelin_wire::ip::fragment::Fragments), each to be offered in its place. The packet is
    /// untouched.
    Fragment(u16),
    /// Outbound: too long for the path, and nobody may cut it. The buffer holds an ICMP message to its sender now: hand
    /// that to the stack as if it had arrived (RFC 4301 §8.2.1).
    TooBig,
    /// The SA has AGGFRAG payloads (RFC 9347), and the engine has taken what the packet holds: outbound it leaves by
    /// [`Outbound::poll_payload`](crate::Outbound::poll_payload), inbound it comes by
    /// [`Inbound::poll_packet`](crate::Inbound::poll_packet). The buffer is free.
    Taken,
    /// Throw it away. Its bytes are of no use to anyone; but of a dummy packet the buffer has what was inside.
    Drop(DropReason),
}

impl Verdict {
    /// The code of document 003 §3.15 with which the packet failed or waits. `None`: it goes its way.
    pub fn code(self) -> Option<ErrorCode> {
        match self {
            Verdict::Bypass | Verdict::Send(_) | Verdict::Deliver | Verdict::Fragment(_) | Verdict::Taken => None,
            Verdict::Hold(_) => Some(ErrorCode::KeynegInprogress),
            Verdict::TooBig => DropReason::TooBig.code(),
            Verdict::Drop(reason) => reason.code(),
        }
    }
}

/// The protected packet as it must travel. The buffer holds all of it: IP header, UDP header if `encap` is set, AH and
/// ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Source address of the outer header.
    pub src: IpAddr,
    /// Destination address of the outer header.
    pub dst: IpAddr,
    /// The ports, when ESP travels in UDP.
    pub encap: Option<Encap>,
    /// The protocol that the IP header announces: ESP, AH, or UDP with `encap`. AH covers the IP header, so its packets
    /// must travel with the header that the buffer has.
    pub protocol: u8,
    /// Where ESP, or AH, begins in the packet: what a socket that adds the IP (and UDP) header itself must be given starts
    /// there.
    pub esp_at: usize,
    /// DSCP and ECN of the outer header.
    pub tos: u8,
    /// Whether the outer IPv4 header forbids fragmentation; true in IPv6.
    pub dont_fragment: bool,
}

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident => $text:literal, $code:expr;)*) => {
        /// Why a packet was dropped; each reason has a counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason {
            $($(#[$doc])* $name,)*
        }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// The reason in an operator's words.
            pub fn text(self) -> &'static str {
                match self { $(DropReason::$name => $text,)* }
            }

            /// The code of document 003 §3.15. `None`: the drop is as configured, and no error.
            pub fn code(self) -> Option<ErrorCode> {
                match self { $(DropReason::$name => $code,)* }
            }
        }
    };
}

drop_reasons! {
    /// Not a whole IP packet.
    BadIpHeader => "malformed IP header", Some(ErrorCode::SrcOutOfData);
    /// A policy says discard.
    PolicyDiscard => "discarded by policy", None;
    /// No policy matches, and the engine is set to discard such packets.
    NoPolicy => "no policy matches", Some(ErrorCode::PolicyNotFound);
    /// A fragment or stump that hides its ports may belong to traffic that a policy protects or discards
    /// (RFC 4301 §7).
    HiddenPorts => "fragment hides the ports that a policy asks for", Some(ErrorCode::NoData);
    /// Inbound: a later fragment that would write over the TCP header of the first (RFC 1858 §3.2.2, RFC 4301 §7.2).
    OverlappingFragment => "fragment overlaps a transport header", Some(ErrorCode::NoData);
    /// Outbound: ESP in transport mode protects whole datagrams only (RFC 4303 §3.3.4).
    FragmentInTransport => "fragment in transport mode", Some(ErrorCode::BadParam);
    /// Too little room around the packet in its buffer: outbound for what protects it, inbound for what was compressed.
    NoRoom => "no room in the buffer", Some(ErrorCode::DstOutOfSpace);
    /// Outbound: the protected packet would pass 65535 bytes.
    TooLong => "too long once protected", Some(ErrorCode::DstOutOfSpace);
    /// Outbound: it would be too long for the path once protected, and must not be cut (RFC 4301 §8.2.1). Its sender is
    /// told, unless there are too many such packets or it is not one to be told.
    TooBig => "too big for the path", Some(ErrorCode::MtuExceeded);
    /// Outbound: too many bytes wait for the AGGFRAG payloads of their SA (RFC 9347).
    QueueFull => "too many packets wait for payloads to share", Some(ErrorCode::DstOutOfSpace);
    /// Outbound: the last sequence number was used (RFC 4303 §3.3.3).
    SequenceExhausted => "sequence numbers exhausted", Some(ErrorCode::BadSequenceNumber);
    /// Outbound: too many flows, of the policy or in all, wait for SAs already, so that no other can be remembered.
    TooManyAcquires => "too many flows wait for an SA", Some(ErrorCode::Nomem);
    /// Inbound: in the clear, though a policy asks for protection (RFC 4301 §5.2).
    ExpectedProtection => "clear packet where protection is required", Some(ErrorCode::InboundExpectedSecurePacket);
    /// Inbound: a fragment of an ESP packet; it must be reassembled first (RFC 4303 §3.4.1).
    EspFragment => "fragment of an ESP packet", Some(ErrorCode::NoData);
    /// Inbound: a fragment of an AH packet; it must be reassembled first (RFC 4302 §3.4.1).
    AhFragment => "fragment of an AH packet", Some(ErrorCode::NoData);
    /// Inbound: too short for its headers, IV and ICV, or no multiple of the cipher's block.
    BadEspLength => "ESP packet of an impossible length", Some(ErrorCode::NoData);
    /// Inbound: an AH header that is cut short, or of another length than the SA's algorithm makes it.
    BadAhLength => "AH header of an impossible length", Some(ErrorCode::NoData);
    /// AH, in both directions: an option, extension header or source route before it that cannot be covered, or a
    /// route that does not end here (RFC 4302 §3.3.3.1).
    UncoverableHeader => "IP options or extension headers that AH cannot cover", Some(ErrorCode::BadParam);
    /// Inbound: port 4500 carries neither IKE nor ESP nor a keepalive.
    BadEncapsulation => "malformed UDP encapsulation", Some(ErrorCode::SrcOutOfData);
    /// Inbound: a NAT keepalive (RFC 3948 §2.3); nothing is wrong.
    Keepalive => "NAT keepalive", None;
    /// Inbound: no SA has this SPI.
    UnknownSpi => "no SA with this SPI", Some(ErrorCode::BadEspSpi);
    /// Inbound: no SA has the SPI of this AH packet.
    UnknownAhSpi => "no SA with this SPI of AH", Some(ErrorCode::BadAhSpi);
    /// Inbound: ESP, but the SA wants AH outside.
    ExpectedAh => "ESP where the SA has AH", Some(ErrorCode::ExpectedAhProto);
    /// Inbound: AH, but the SA has ESP alone; or not ESP inside AH where the SA has both.
    ExpectedEsp => "not ESP where the SA has ESP", Some(ErrorCode::ExpectedEspProto);
    /// Inbound: the SA passed its hard limit.
    Expired => "SA expired", Some(ErrorCode::BadSessErr);
    /// Inbound: the sequence number was seen before.
    Replayed => "replayed", Some(ErrorCode::BadSequenceNumber);
    /// Inbound: the sequence number is left of the window.
    TooOld => "sequence number too old", Some(ErrorCode::BadSequenceNumber);
    /// Inbound: the ICV of ESP does not verify.
    Forged => "integrity check failed", Some(ErrorCode::EspDigestMismatch);
    /// Inbound: the ICV of AH does not verify.
    AhForged => "integrity check of AH failed", Some(ErrorCode::AhDigestMismatch);
    /// Inbound: authentic, but the padding is not as RFC 4303 §2.4 has it.
    BadPadding => "bad padding", Some(ErrorCode::BadPadData);
    /// Inbound: a dummy packet (RFC 4303 §2.6); nothing is wrong.
    Dummy => "dummy packet", None;
    /// Inbound: the next header does not fit the mode of the SA.
    BadNextHeader => "next header does not fit the mode", Some(ErrorCode::UnknownIpProtocol);
    /// Inbound: authentic, but what was inside is not a whole IP packet, or is a fragment in transport mode.
    BadInnerPacket => "malformed inner packet", Some(ErrorCode::DstOutOfData);
    /// Inbound: authentic, but what was inside is compressed (RFC 3173) with another label than the SA's, or comes to no packet.
    BadCompression => "compressed payload that does not expand", Some(ErrorCode::DstOutOfData);
    /// Inbound: authentic, but no AGGFRAG payload (RFC 9347 §6.1), or of a form that is not known.
    BadAggFrag => "malformed AGGFRAG payload", Some(ErrorCode::DstOutOfData);
    /// Inbound: an AGGFRAG payload that is not waited for any more (RFC 9347 §2.2.3).
    TooLate => "AGGFRAG payload came too late", Some(ErrorCode::BadSequenceNumber);
    /// Inbound: a packet in AGGFRAG payloads of which a part was lost, or that comes to none.
    Incomplete => "packet lost a part in AGGFRAG payloads", Some(ErrorCode::DstOutOfData);
    /// Inbound: the outer header reports congestion and the inner one cannot (RFC 6040 §4.2).
    CongestionLost => "congestion mark would be lost", Some(ErrorCode::InboundPolicyFailure);
    /// Inbound: the inner packet is not in the SA's traffic selectors (RFC 4301 §5.2).
    BadSelector => "inner packet outside the SA's selectors", Some(ErrorCode::InboundPolicyFailure);
    /// Inbound: the inner packet is in the SA's selectors, but a policy before the SA's wants it protected by another
    /// peer (RFC 4301 §5.2).
    PolicyMismatch => "inner packet belongs to another policy", Some(ErrorCode::InboundPolicyFailure);
    /// Inbound: the inner packet is in the SA's selectors, but a policy before the SA's wants it in the clear or dropped
    /// (RFC 4301 §5.2).
    UnexpectedProtection => "protected packet where policy is bypass or discard",
        Some(ErrorCode::InboundUnexpectedSecuredPacket);
}

impl DropReason {
    /// The counter of an SA for what it drops.
    pub(crate) fn of_sa(self, counters: &mut SaCounters) -> Option<&mut u64> {
        Some(match self {
            DropReason::Replayed => &mut counters.replayed,
            DropReason::TooOld | DropReason::TooLate => &mut counters.too_old,
            DropReason::Forged | DropReason::AhForged => &mut counters.forged,
            DropReason::BadEspLength | DropReason::BadAhLength | DropReason::UncoverableHeader => {
                &mut counters.bad_length
            }
            DropReason::BadPadding => &mut counters.bad_padding,
            DropReason::BadNextHeader | DropReason::ExpectedAh | DropReason::ExpectedEsp | DropReason::UnknownSpi => {
                &mut counters.bad_next_header
            }
            DropReason::BadInnerPacket
            | DropReason::BadCompression
            | DropReason::BadAggFrag
            | DropReason::Incomplete
            | DropReason::CongestionLost => &mut counters.bad_inner,
            DropReason::BadSelector => &mut counters.bad_selector,
            DropReason::PolicyMismatch
            | DropReason::UnexpectedProtection
            | DropReason::PolicyDiscard
            | DropReason::NoPolicy
            | DropReason::HiddenPorts => &mut counters.bad_policy,
            DropReason::Expired => &mut counters.expired,
            DropReason::Dummy => &mut counters.dummies,
            DropReason::SequenceExhausted
            | DropReason::FragmentInTransport
            | DropReason::NoRoom
            | DropReason::QueueFull
            | DropReason::TooLong => &mut counters.unsendable,
            _ => return None,
        })
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Counters of one half of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Packets protected (outbound) or opened and delivered (inbound).
    pub protected: u64,
    /// Packets passed in the clear.
    pub bypassed: u64,
    /// Packets put on hold for want of an SA.
    pub held: u64,
    /// Packets that came back to be cut.
    pub fragmented: u64,
    /// Events that found the queue full. Expiries among them are reported later, the others when they recur.
    pub events_deferred: u64,
    pub(crate) drops: [u64; DropReason::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            protected: 0,
            bypassed: 0,
            held: 0,
            fragmented: 0,
            events_deferred: 0,
            drops: [0; DropReason::ALL.len()],
        }
    }
}

impl Counters {
    /// Packets dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// All packets dropped.
    pub fn all_dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Every reason with its count.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.dropped(reason)))
    }

    /// Counts packets that are dropped without a verdict of their own.
    pub(crate) fn count_drops(&mut self, reason: DropReason, count: u64) {
        self.drops[reason as usize] += count;
    }

    /// Counts a verdict.
    #[inline]
    pub(crate) fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Send(_) | Verdict::Deliver => self.protected += 1,
            Verdict::Bypass => self.bypassed += 1,
            Verdict::Hold(_) => self.held += 1,
            Verdict::Fragment(_) => self.fragmented += 1,
            // It is counted when it goes on.
            Verdict::Taken => {}
            Verdict::TooBig => self.drops[DropReason::TooBig as usize] += 1,
            Verdict::Drop(reason) => self.drops[*reason as usize] += 1,
        }
    }
}
