//! What a policy, or an SA, wants done with its packets besides protection.

use ravelin_types::options::{Df, Dscp, Fragmentation, Mss, Processors, SaOptions};

use crate::RvlStatus;

/// Numbers of policies from this one on are given to those that lines make.
pub const RVL_FIRST_LINE_POLICY: u32 = 0x8000_0000;

/// The outer header says nothing of congestion (compatibility mode of RFC 6040).
pub const RVL_NO_ECN: u32 = 1;
/// The bytes of ESP padding are not looked at.
pub const RVL_NO_PAD_CHECK: u32 = 2;
/// HMAC-SHA-2 has an ICV of 96 bits.
pub const RVL_SHORT_ICV: u32 = 4;
/// What is too long for the path is cut after protection, by the stack, and not before.
pub const RVL_FRAGMENT_AFTER: u32 = 8;
/// The DSCP of the outer header is `dscp`, not that of the inner one.
pub const RVL_SET_DSCP: u32 = 16;
/// ESP in UDP over IPv6 goes without a UDP checksum.
pub const RVL_ZERO_CHECKSUM: u32 = 32;
/// AH is padded to 64 bits in IPv4 too.
pub const RVL_AH_ALIGN64: u32 = 64;
/// Tunnel mode with ports in the selectors: later fragments go over the SA too, as both ends agreed.
pub const RVL_LATER_FRAGMENTS: u32 = 128;

/// The don't-fragment flag of an outer IPv4 header is not set.
pub const RVL_DF_CLEAR: u32 = 0;
/// It is that of the inner header.
pub const RVL_DF_COPY: u32 = 1;
/// It is set.
pub const RVL_DF_SET: u32 = 2;

/// Options; all 0 are the usual ones.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RvlOptions {
    /// `RVL_NO_ECN` and the others, added.
    pub flags: u32,
    /// `RVL_DF_...`, tunnel mode.
    pub df: u32,
    /// With `RVL_SET_DSCP`, 0 to 63.
    pub dscp: u8,
    /// TTL or hop limit of the outer header; 0: 64.
    pub hop_limit: u8,
    /// The longest packet that the path takes, outer header included; 0: not known.
    pub mtu: u16,
    /// The segment size of TCP handshakes is lowered to this; 1: to what fits the path; 0: left alone.
    pub mss: u16,
    /// Random padding of fewer bytes than this hides the length of packets.
    pub tfc: u16,
}

impl TryFrom<RvlOptions> for SaOptions {
    type Error = RvlStatus;

    fn try_from(given: RvlOptions) -> Result<Self, RvlStatus> {
        const ALL: u32 = RVL_LATER_FRAGMENTS * 2 - 1;
        if given.flags & !ALL != 0 || given.dscp > 63 {
            return Err(RvlStatus::BadParam);
        }
        let has = |flag: u32| given.flags & flag != 0;
        Ok(SaOptions {
            full_ecn: !has(RVL_NO_ECN),
            dscp: if has(RVL_SET_DSCP) { Dscp::Set(given.dscp) } else { Dscp::Copy },
            df: match given.df {
                RVL_DF_CLEAR => Df::Clear,
                RVL_DF_COPY => Df::Copy,
                RVL_DF_SET => Df::Set,
                _ => return Err(RvlStatus::BadParam),
            },
            hop_limit: if given.hop_limit == 0 { 64 } else { given.hop_limit },
            pad_check: !has(RVL_NO_PAD_CHECK),
            short_icv: has(RVL_SHORT_ICV),
            ah_align64: has(RVL_AH_ALIGN64),
            mtu: (given.mtu > 0).then_some(given.mtu),
            fragmentation: if has(RVL_FRAGMENT_AFTER) { Fragmentation::After } else { Fragmentation::Before },
            mss: match given.mss {
                0 => Mss::Off,
                1 => Mss::Path,
                most => Mss::Set(most),
            },
            tfc: given.tfc,
            dummies: None,
            later_fragments: has(RVL_LATER_FRAGMENTS),
            zero_checksum: has(RVL_ZERO_CHECKSUM),
            marks: Default::default(),
            set_mark: None,
            output_mark: None,
            offload: Default::default(),
            if_ids: Default::default(),
            processors: Processors::All,
            ipcomp: Default::default(),
            aggfrag: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_the_usual_options_and_unknown_flags_are_refused() {
        assert_eq!(SaOptions::try_from(RvlOptions::default()), Ok(SaOptions::default()));
        for flags in [256, u32::MAX] {
            assert_eq!(SaOptions::try_from(RvlOptions { flags, ..RvlOptions::default() }), Err(RvlStatus::BadParam));
        }
    }
}
