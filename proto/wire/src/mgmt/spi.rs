//! SPIs and the peers that chose them: GET_SPI, DELETE_SPIs, INITIAL_CONTACT.

use alloc::vec::Vec;

use ravelin_types::policy::PolicyId;
use ravelin_types::{Spi, ids};

use super::common::reserved;
use super::{Body, Endpoint, Malformed, Reader};

/// SPIs in one DELETE_SPIs.
pub const MAX_SPIS: usize = 128;

ids! {
    /// Which protocol SPIs are of (`IPSEC_PROTO_*`), with its number in an IP header.
    Protocol(u8) {
        ANY = 0 => "any",
        ESP = 50 => "ESP",
        AH = 51 => "AH",
    }
}

/// GET_SPI, and its answer with the SPIs filled in (16 octets; `MgmtGetSPI`): `number of the policy (4) |
/// protocol (1: 0 both) | reserved (3) | ESP SPI (4) | AH SPI (4)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSpi {
    /// The policy that the SAs will serve.
    pub policy: PolicyId,
    /// For which protocol; with `ANY` both get the same SPI.
    pub protocol: Protocol,
    /// 0 in the request.
    pub esp: Spi,
    /// 0 in the request.
    pub ah: Spi,
}

impl Body for GetSpi {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (policy, protocol) = (PolicyId(r.u32()?), Protocol(r.u8()?));
        reserved(r, 3)?;
        Ok(GetSpi { policy, protocol, esp: Spi(r.u32()?), ah: Spi(r.u32()?) })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.policy.0.to_be_bytes());
        out.extend_from_slice(&[self.protocol.0, 0, 0, 0]);
        out.extend_from_slice(&self.esp.0.to_be_bytes());
        out.extend_from_slice(&self.ah.0.to_be_bytes());
    }
}

/// DELETE_SPIs (`MgmtDeleteSPI`): `protocol (1) | length of an SPI (1: 4) | number of SPIs (2) | peer (20) |
/// SPIs (4 each)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteSpis {
    /// Where AH and ESP are used together they have one SPI and go together: `ANY`.
    pub protocol: Protocol,
    /// Who deleted them; an SPI means nothing without the host that chose it.
    pub peer: Endpoint,
    spis: Vec<Spi>,
}

impl DeleteSpis {
    /// `None`: they are none or too many.
    pub fn new(protocol: Protocol, peer: Endpoint, spis: Vec<Spi>) -> Option<Self> {
        (1..=MAX_SPIS).contains(&spis.len()).then_some(DeleteSpis { protocol, peer, spis })
    }

    /// The SPIs, chosen by the peer.
    pub fn spis(&self) -> &[Spi] {
        &self.spis
    }
}

impl Body for DeleteSpis {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let protocol = Protocol(r.u8()?);
        let at = r.clone();
        if r.u8()? != 4 {
            return Err(at.malformed("an SPI of IPsec has 4 octets"));
        }
        let at = r.clone();
        let count = usize::from(r.u16()?);
        if !(1..=MAX_SPIS).contains(&count) {
            return Err(at.malformed("no SPI, or too many"));
        }
        let peer = Endpoint::parse(r)?;
        let spis = (0..count).map(|_| r.u32().map(Spi)).collect::<Result<_, _>>()?;
        Ok(DeleteSpis { protocol, peer, spis })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.protocol.0, 4]);
        // At most MAX_SPIS, so the field holds it.
        out.extend_from_slice(&(self.spis.len() as u16).to_be_bytes());
        self.peer.emit(out);
        self.spis.iter().for_each(|spi| out.extend_from_slice(&spi.0.to_be_bytes()));
    }
}

/// INITIAL_CONTACT (20 octets; `MgmtInitialContact`): the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialContact {
    /// Who has lost its state.
    pub peer: Endpoint,
}

impl Body for InitialContact {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(InitialContact { peer: Body::parse(r)? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.peer.emit(out);
    }
}
