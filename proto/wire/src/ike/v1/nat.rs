//! NAT Original Address payload (RFC 3947 §5.2).

use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::IdType;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// An address as its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatOa(pub IpAddr);

impl Body for NatOa {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at = r.clone();
        let kind = IdType(r.u8()?);
        r.take(3)?; // reserved
        match kind {
            IdType::IPV4_ADDR => Ok(NatOa(IpAddr::from(r.array::<4>()?))),
            IdType::IPV6_ADDR => Ok(NatOa(IpAddr::from(r.array::<16>()?))),
            _ => Err(at.malformed("neither an IPv4 nor an IPv6 address")),
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self.0 {
            IpAddr::V4(v4) => {
                out.extend_from_slice(&[IdType::IPV4_ADDR.0, 0, 0, 0]);
                out.extend_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                out.extend_from_slice(&[IdType::IPV6_ADDR.0, 0, 0, 0]);
                out.extend_from_slice(&v6.octets());
            }
        }
    }
}
