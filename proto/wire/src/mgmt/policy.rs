//! Policies: ADD_POLICY, what the GET messages and LOOKUP_POLICY answer, POLICY_ADDED; and CLONE_POLICY.

use alloc::vec::Vec;

use ravelin_types::ids;
use ravelin_types::policy::{Domain, PolicyId};

use super::common::reserved;
use super::{Body, Endpoint, Malformed, Reader, TrafficIdentity};

ids! {
    /// What happens to the traffic (`IPSEC_POLICY_*`).
    PolicyAction(u8) {
        DROP = 1 => "drop",
        BYPASS = 2 => "bypass",
        SECURE_TUNNEL = 3 => "secure, tunnel mode",
        SECURE_TRANSPORT = 4 => "secure, transport mode",
    }
}

/// How a policy protects (`SP_*`), as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyFlags(pub u32);

impl PolicyFlags {
    /// `SP_PROTO_AH`: AH.
    pub const PROTO_AH: PolicyFlags = PolicyFlags(1);
    /// `SP_PROTO_ESP`: ESP.
    pub const PROTO_ESP: PolicyFlags = PolicyFlags(1 << 1);
    /// `SP_CHECK_REPLAY`: the anti-replay check.
    pub const CHECK_REPLAY: PolicyFlags = PolicyFlags(1 << 2);
    /// `SP_CHECK_ESP_PAD`: the padding is compared with RFC 4303 §2.4.
    pub const CHECK_ESP_PAD: PolicyFlags = PolicyFlags(1 << 3);
    /// `SP_FULL_ECN`: full-functionality ECN (RFC 6040).
    pub const FULL_ECN: PolicyFlags = PolicyFlags(1 << 4);
    /// `SP_DF_COPY`: DF is copied to the outer header.
    pub const DF_COPY: PolicyFlags = PolicyFlags(1 << 5);
    /// `SP_DF_SET`: DF is set in the outer header.
    pub const DF_SET: PolicyFlags = PolicyFlags(1 << 6);
    /// `SP_KEYNEG_MANUAL`: keys are given by hand.
    pub const KEYNEG_MANUAL: PolicyFlags = PolicyFlags(1 << 7);
    /// `SP_TX_DUMMY_PKT`: dummy packets are sent.
    pub const TX_DUMMY_PKT: PolicyFlags = PolicyFlags(1 << 8);
    /// `SP_TX_TFC_PADDING`: packets are padded against traffic analysis.
    pub const TX_TFC_PADDING: PolicyFlags = PolicyFlags(1 << 9);
    /// `SP_AUTH_SHA2_ICV_SHORT`: the ICV of SHA-2 has 96 bits.
    pub const AUTH_SHA2_ICV_SHORT: PolicyFlags = PolicyFlags(1 << 10);
    /// Ours: what passes or is dropped is about packets that leave alone (SPD-O of RFC 4301 §4.4.1).
    pub const OUTBOUND_ONLY: PolicyFlags = PolicyFlags(1 << 11);
    /// Ours: about packets that arrive alone (SPD-I).
    pub const INBOUND_ONLY: PolicyFlags = PolicyFlags(1 << 12);
    /// The field "Initialized" of an entry, in the answer to GET_POLICY: it has an SA that sends.
    pub const INITIALIZED: PolicyFlags = PolicyFlags(1 << 13);
    /// The field "Cloned" of an entry, in answers and events: CLONE_POLICY made it.
    pub const CLONED: PolicyFlags = PolicyFlags(1 << 14);

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: PolicyFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, flags: PolicyFlags) -> PolicyFlags {
        PolicyFlags(self.0 | flags.0)
    }

    /// What is set here and not in `flags`.
    #[must_use]
    pub const fn without(self, flags: PolicyFlags) -> PolicyFlags {
        PolicyFlags(self.0 & !flags.0)
    }
}

/// One policy (140 octets): `number (4) | action (1) | protocol (1) | domain (2) | flags (4) | priority (4) |
/// source (40) | destination (40) | remote endpoint (20) | local endpoint (20) | anti-replay window (4)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyBody {
    /// Number; 0 in ADD_POLICY asks for one.
    pub id: PolicyId,
    /// Action and mode.
    pub action: PolicyAction,
    /// Upper-layer protocol, 0 for any.
    pub protocol: u8,
    /// The SPD it stands in.
    pub domain: Domain,
    /// Options.
    pub flags: PolicyFlags,
    /// Lower is consulted first. 1 to 7 are the document's levels (`SP_PRIORITY_*`), which stand for 1000 to 7000.
    pub priority: u32,
    /// Source of outbound packets.
    pub source: TrafficIdentity,
    /// Destination of outbound packets.
    pub destination: TrafficIdentity,
    /// The other end of the SA; nothing where nothing is protected.
    pub remote: Endpoint,
    /// This end of the SA; nothing: the address from which the other end is reached.
    pub local: Endpoint,
    /// Packets in the anti-replay window; 0 with `CHECK_REPLAY` takes the default.
    pub replay_window: u32,
}

impl Body for PolicyBody {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(PolicyBody {
            id: PolicyId(r.u32()?),
            action: PolicyAction(r.u8()?),
            protocol: r.u8()?,
            domain: Domain(r.u16()?),
            flags: PolicyFlags(r.u32()?),
            priority: r.u32()?,
            source: Body::parse(r)?,
            destination: Body::parse(r)?,
            remote: Body::parse(r)?,
            local: Body::parse(r)?,
            replay_window: r.u32()?,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_be_bytes());
        out.extend_from_slice(&[self.action.0, self.protocol]);
        out.extend_from_slice(&self.domain.0.to_be_bytes());
        out.extend_from_slice(&self.flags.0.to_be_bytes());
        out.extend_from_slice(&self.priority.to_be_bytes());
        self.source.emit(out);
        self.destination.emit(out);
        self.remote.emit(out);
        self.local.emit(out);
        out.extend_from_slice(&self.replay_window.to_be_bytes());
    }
}

/// CLONE_POLICY (88 octets): `number (4) | protocol (1) | reserved (3) | source (40) | destination (40)`. The original
/// has the number alone, from which nothing could be cloned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClonePolicy {
    /// The policy to clone.
    pub id: PolicyId,
    /// Upper-layer protocol of the clone, 0 for any.
    pub protocol: u8,
    /// Source of outbound packets, within that of the policy.
    pub source: TrafficIdentity,
    /// Destination of outbound packets, within that of the policy.
    pub destination: TrafficIdentity,
}

impl Body for ClonePolicy {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (id, protocol) = (PolicyId(r.u32()?), r.u8()?);
        reserved(r, 3)?;
        Ok(ClonePolicy { id, protocol, source: Body::parse(r)?, destination: Body::parse(r)? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_be_bytes());
        out.extend_from_slice(&[self.protocol, 0, 0, 0]);
        self.source.emit(out);
        self.destination.emit(out);
    }
}
