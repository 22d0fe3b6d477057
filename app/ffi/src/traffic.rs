//! What tells where packets come from and go to: directions, addresses, and the buffers that they stand in.

use std::net::{IpAddr, SocketAddr};

use ravelin_types::sa::Direction;

use crate::RvlStatus;

/// This host sends.
pub const RVL_OUTBOUND: u32 = 0;
/// This host receives.
pub const RVL_INBOUND: u32 = 1;

/// An IP address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RvlAddress {
    /// 4 or 6; 0: no address.
    pub family: u8,
    /// In network order; of IPv4 the first four count.
    pub bytes: [u8; 16],
}

/// An address and a port.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RvlEndpoint {
    /// The address.
    pub address: RvlAddress,
    /// The UDP port.
    pub port: u16,
}

/// One buffer of a chain.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RvlPiece {
    /// Its bytes.
    pub data: *const u8,
    /// How many.
    pub length: usize,
}

pub(crate) fn direction(number: u32) -> Result<Direction, RvlStatus> {
    match number {
        RVL_OUTBOUND => Ok(Direction::Outbound),
        RVL_INBOUND => Ok(Direction::Inbound),
        _ => Err(RvlStatus::BadParam),
    }
}

pub(crate) fn number(direction: Direction) -> u32 {
    match direction {
        Direction::Outbound => RVL_OUTBOUND,
        Direction::Inbound => RVL_INBOUND,
    }
}

impl RvlAddress {
    pub(crate) const NONE: RvlAddress = RvlAddress { family: 0, bytes: [0; 16] };
}

impl TryFrom<RvlAddress> for IpAddr {
    type Error = RvlStatus;

    fn try_from(address: RvlAddress) -> Result<Self, RvlStatus> {
        let bytes = address.bytes;
        match address.family {
            4 => Ok(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
            6 => Ok(IpAddr::from(bytes)),
            _ => Err(RvlStatus::BadParam),
        }
    }
}

impl From<IpAddr> for RvlAddress {
    fn from(address: IpAddr) -> Self {
        let mut bytes = [0; 16];
        match address {
            IpAddr::V4(v4) => {
                bytes[..4].copy_from_slice(&v4.octets());
                RvlAddress { family: 4, bytes }
            }
            IpAddr::V6(v6) => RvlAddress { family: 6, bytes: v6.octets() },
        }
    }
}

impl TryFrom<RvlEndpoint> for SocketAddr {
    type Error = RvlStatus;

    fn try_from(endpoint: RvlEndpoint) -> Result<Self, RvlStatus> {
        Ok(SocketAddr::new(endpoint.address.try_into()?, endpoint.port))
    }
}

impl From<SocketAddr> for RvlEndpoint {
    fn from(at: SocketAddr) -> Self {
        RvlEndpoint { address: at.ip().into(), port: at.port() }
    }
}
