//! How packets of a policy are carried: what RFC 4301 and the RFCs of the header fields leave to the administrator.
//!
//! A policy has them as [`Protection::options`](crate::policy::Protection::options), and each SA made for it as
//! [`SaParams::options`](crate::sa::SaParams::options). The default is what RFC 4301 §5.1.2.1 recommends.

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
}

impl Default for SaOptions {
    fn default() -> Self {
        SaOptions { full_ecn: true, dscp: Dscp::Copy, df: Df::Copy, hop_limit: 64, pad_check: true, short_icv: false }
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
    /// From the inner header; set for an inner IPv6 packet, which no router may fragment.
    Copy,
    /// Always set.
    Set,
    /// Never set.
    Clear,
}
