//! Delete payload (RFC 2408 §3.15).

use alloc::vec::Vec;

use ravelin_types::proposal::ProtocolId;
use ravelin_types::{IkeSpi, Spi};

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::{Body, Doi};
use crate::limits;

/// SAs that the sender has deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delete {
    /// ISAKMP SAs, by their cookies.
    Ike(Vec<(IkeSpi, IkeSpi)>),
    /// The sender's inbound SAs.
    Child {
        /// [`ProtocolId::AH`] or [`ProtocolId::ESP`].
        protocol: ProtocolId,
        /// Their SPIs.
        spis: Vec<Spi>,
    },
    /// Anything else.
    Other {
        /// What the numbers are of.
        doi: Doi,
        /// The protocol.
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
        let doi = Doi(r.u32()?);
        let protocol = ProtocolId(r.u8()?);
        let spi_len = r.u8()?;
        let at_count = r.clone();
        let count = r.u16()?;
        if usize::from(count) > limits::MAX_DELETE_SPIS {
            return Err(at_count.malformed("too many SPIs"));
        }
        match (doi, protocol, spi_len) {
            // RFC 2408 §3.15 gives ISAKMP SAs the DOI of the exchange, others 0.
            (Doi::IPSEC, ProtocolId::IKE, 16) => {
                let pair = |_| Ok((IkeSpi(r.u64()?), IkeSpi(r.u64()?)));
                Ok(Delete::Ike((0..count).map(pair).collect::<Result<_, _>>()?))
            }
            (Doi::IPSEC, ProtocolId::AH | ProtocolId::ESP, 4) => {
                let spis = (0..count).map(|_| r.u32().map(Spi)).collect::<Result<_, _>>()?;
                Ok(Delete::Child { protocol, spis })
            }
            _ => {
                let spis = r.take(usize::from(spi_len) * usize::from(count))?.into();
                Ok(Delete::Other { doi, protocol, spi_len, count, spis })
            }
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let mut head = |doi: Doi, protocol: ProtocolId, len: u8, count: u16| {
            out.extend_from_slice(&doi.0.to_be_bytes());
            out.extend_from_slice(&[protocol.0, len]);
            out.extend_from_slice(&count.to_be_bytes());
        };
        match self {
            Delete::Ike(pairs) => {
                head(Doi::IPSEC, ProtocolId::IKE, 16, pairs.len() as u16);
                for (initiator, responder) in pairs {
                    out.extend_from_slice(&initiator.0.to_be_bytes());
                    out.extend_from_slice(&responder.0.to_be_bytes());
                }
            }
            Delete::Child { protocol, spis } => {
                head(Doi::IPSEC, *protocol, 4, spis.len() as u16);
                spis.iter().for_each(|spi| out.extend_from_slice(&spi.0.to_be_bytes()));
            }
            Delete::Other { doi, protocol, spi_len, count, spis } => {
                head(*doi, *protocol, *spi_len, *count);
                out.extend_from_slice(spis);
            }
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let count = match self {
            Delete::Ike(pairs) => pairs.len(),
            Delete::Child { spis, .. } => spis.len(),
            Delete::Other { count, .. } => usize::from(*count),
        };
        match self {
            _ if count > limits::MAX_DELETE_SPIS => Err("too many SPIs"),
            Delete::Child { protocol, .. } if !matches!(*protocol, ProtocolId::AH | ProtocolId::ESP) => {
                Err("the protocol is neither AH nor ESP")
            }
            Delete::Other { doi: Doi::IPSEC, protocol: ProtocolId::IKE, spi_len: 16, .. }
            | Delete::Other { doi: Doi::IPSEC, protocol: ProtocolId::AH | ProtocolId::ESP, spi_len: 4, .. } => {
                Err("the protocol has a form of its own")
            }
            Delete::Other { spi_len, count, spis, .. } if spis.len() != usize::from(*spi_len) * usize::from(*count) => {
                Err("the SPIs are not as many as the count says")
            }
            _ => Ok(()),
        }
    }
}
