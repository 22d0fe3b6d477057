//! Delete payload (RFC 7296 §3.11).

use alloc::vec::Vec;

use ravelin_types::Spi;
use ravelin_types::proposal::ProtocolId;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;
use crate::limits;

/// SAs that the sender has deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delete {
    /// The IKE SA in which it travels.
    Ike,
    /// The sender's inbound SAs of Child SAs.
    Child {
        /// [`ProtocolId::AH`] or [`ProtocolId::ESP`].
        protocol: ProtocolId,
        /// Their SPIs.
        spis: Vec<Spi>,
    },
    /// SAs of another protocol.
    Other {
        /// Any but IKE, AH and ESP.
        protocol: ProtocolId,
        /// Length of each SPI.
        spi_len: u8,
        /// How many SPIs.
        count: u16,
        /// The SPIs, `spi_len * count` bytes.
        spis: Vec<u8>,
    },
}

impl Body for Delete {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let protocol = ProtocolId(r.u8()?);
        let at_len = r.clone();
        let spi_len = r.u8()?;
        let count = r.u16()?;
        match protocol {
            // RFC 7296 §3.11: the IKE SA is the one that carries the message, so no SPI is given.
            ProtocolId::IKE if spi_len == 0 && count == 0 => Ok(Delete::Ike),
            ProtocolId::AH | ProtocolId::ESP if spi_len == 4 => {
                if usize::from(count) > limits::MAX_DELETE_SPIS {
                    return Err(at_len.malformed("too many SPIs"));
                }
                let spis = (0..count).map(|_| r.u32().map(Spi)).collect::<Result<_, _>>()?;
                Ok(Delete::Child { protocol, spis })
            }
            ProtocolId::IKE | ProtocolId::AH | ProtocolId::ESP => {
                Err(at_len.malformed("SPI size or number does not fit the protocol"))
            }
            _ => {
                let spis = r.take(usize::from(spi_len) * usize::from(count))?.into();
                Ok(Delete::Other { protocol, spi_len, count, spis })
            }
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Delete::Ike => out.extend_from_slice(&[ProtocolId::IKE.0, 0, 0, 0]),
            Delete::Child { protocol, spis } => {
                out.extend_from_slice(&[protocol.0, 4]);
                out.extend_from_slice(&(spis.len() as u16).to_be_bytes());
                spis.iter().for_each(|spi| out.extend_from_slice(&spi.0.to_be_bytes()));
            }
            Delete::Other { protocol, spi_len, count, spis } => {
                out.extend_from_slice(&[protocol.0, *spi_len]);
                out.extend_from_slice(&count.to_be_bytes());
                out.extend_from_slice(spis);
            }
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        match self {
            Delete::Ike => Ok(()),
            Delete::Child { protocol, .. } if !matches!(*protocol, ProtocolId::AH | ProtocolId::ESP) => {
                Err("the protocol is neither AH nor ESP")
            }
            Delete::Child { spis, .. } if spis.len() > limits::MAX_DELETE_SPIS => Err("too many SPIs"),
            Delete::Child { .. } => Ok(()),
            Delete::Other { protocol, .. }
                if matches!(*protocol, ProtocolId::IKE | ProtocolId::AH | ProtocolId::ESP) =>
            {
                Err("the protocol has a form of its own")
            }
            Delete::Other { spi_len, count, spis, .. } if spis.len() != usize::from(*spi_len) * usize::from(*count) => {
                Err("the SPIs are not as many as the count says")
            }
            Delete::Other { .. } => Ok(()),
        }
    }
}
