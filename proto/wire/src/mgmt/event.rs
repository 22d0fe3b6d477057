//! Events about SAs: ACQUIRE, SA_EXPIRED, SA_DELETED.

use alloc::vec::Vec;

use ravelin_types::Spi;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;

use super::{Body, Endpoint, Malformed, PacketFlow, Protocol, Reader, SaSpis};

/// ACQUIRE (52 octets): `number of the policy (4) | packet (48)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// The policy that has no SA.
    pub policy: PolicyId,
    /// The packet that asked.
    pub flow: PacketFlow,
}

impl Body for Acquire {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Acquire { policy: PolicyId(r.u32()?), flow: Body::parse(r)? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.policy.0.to_be_bytes());
        self.flow.emit(out);
    }
}

/// SA_EXPIRED (32 octets): `number of the policy (4) | protocol (1) | direction (1: 1 in, 2 out) |
/// limit (1: 0 soft, 1 hard) | reserved (1) | SPI (4) | peer (20)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaExpired {
    /// The policy that it serves.
    pub policy: PolicyId,
    /// AH or ESP; where both are used, ESP.
    pub protocol: Protocol,
    /// Inbound or outbound.
    pub direction: Direction,
    /// Its time is over; else it is time for another.
    pub hard: bool,
    /// Which one.
    pub spi: Spi,
    /// The other end.
    pub peer: Endpoint,
}

impl Body for SaExpired {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (policy, protocol) = (PolicyId(r.u32()?), Protocol(r.u8()?));
        let at = r.clone();
        let direction = match r.u8()? {
            1 => Direction::Inbound,
            2 => Direction::Outbound,
            _ => return Err(at.malformed("unknown direction")),
        };
        let at = r.clone();
        let hard = match r.u8()? {
            0 => false,
            1 => true,
            _ => return Err(at.malformed("unknown limit")),
        };
        super::common::reserved(r, 1)?;
        Ok(SaExpired { policy, protocol, direction, hard, spi: Spi(r.u32()?), peer: Body::parse(r)? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.policy.0.to_be_bytes());
        let direction = match self.direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        out.extend_from_slice(&[self.protocol.0, direction, u8::from(self.hard), 0]);
        out.extend_from_slice(&self.spi.0.to_be_bytes());
        self.peer.emit(out);
    }
}

/// SA_DELETED (40 octets): `number of the policy (4) | SPIs (16) | peer (20)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaDeleted {
    /// The policy that it served.
    pub policy: PolicyId,
    /// The SPIs that are gone.
    pub spis: SaSpis,
    /// The other end.
    pub peer: Endpoint,
}

impl Body for SaDeleted {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(SaDeleted { policy: PolicyId(r.u32()?), spis: Body::parse(r)?, peer: Body::parse(r)? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.policy.0.to_be_bytes());
        self.spis.emit(out);
        self.peer.emit(out);
    }
}
