//! Security Association payload with its proposals and transforms (RFC 2408 §3.4 to §3.6, RFC 2407 §4.6.1).
//!
//! ```text
//!   SA:         DOI (4) | situation (4) | proposals
//!   proposal:   more (1: 2 or 0) | reserved (1) | length (2) | number (1) | protocol (1) | SPI size (1) | transforms (1)
//!               | SPI | transforms
//!   transform:  more (1: 3 or 0) | reserved (1) | length (2) | number (1) | ID (1) | reserved (2) | attributes
//! ```
//! Proposals with one number belong together: AH *and* ESP. Transforms of one proposal are alternatives.

use alloc::vec::Vec;

use ravelin_types::proposal::ProtocolId;

use super::super::error::Malformed;
use super::super::header::PayloadType;
use super::super::reader::Reader;
use super::attribute::{Attribute, check_all, emit_all, parse_all};
use super::{AnySpi, Body, Doi};
use crate::limits;

/// SIT_IDENTITY_ONLY (RFC 2407 §4.2.1), the only situation that does not ask for labels.
const IDENTITY_ONLY: u32 = 1;

/// What is offered, or what was chosen, in the IPsec DOI and the situation SIT_IDENTITY_ONLY. Never empty when received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sa(pub Vec<OfferedProposal>);

/// A proposal as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedProposal {
    /// The same in proposals that belong together.
    pub number: u8,
    /// What the SA is for.
    pub protocol: ProtocolId,
    /// The sender's SPI of the SA to be.
    pub spi: AnySpi,
    /// Alternatives, preferred first.
    pub transforms: Vec<OfferedTransform>,
}

/// One alternative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedTransform {
    /// Counted by the sender; an answer repeats it.
    pub number: u8,
    /// What it means depends on the protocol.
    pub id: u8,
    /// All else about it.
    pub attributes: Vec<Attribute>,
}

impl Body for Sa {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at = r.clone();
        if Doi(r.u32()?) != Doi::IPSEC {
            return Err(at.malformed("the DOI is not that of IPsec"));
        }
        let at = r.clone();
        if r.u32()? != IDENTITY_ONLY {
            return Err(at.malformed("the situation is not SIT_IDENTITY_ONLY"));
        }
        let mut proposals = Vec::new();
        loop {
            if proposals.len() == limits::MAX_PROPOSALS {
                return Err(r.malformed("too many proposals"));
            }
            let (more, proposal) = parse_proposal(r)?;
            proposals.push(proposal);
            if !more {
                return Ok(Sa(proposals));
            }
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Doi::IPSEC.0.to_be_bytes());
        out.extend_from_slice(&IDENTITY_ONLY.to_be_bytes());
        for (i, proposal) in self.0.iter().enumerate() {
            emit_proposal(proposal, i + 1 < self.0.len(), out);
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        match self.0.len() {
            0 => return Err("no proposal"),
            1..=limits::MAX_PROPOSALS => {}
            _ => return Err("too many proposals"),
        }
        for proposal in &self.0 {
            proposal.spi.check()?;
            if proposal.transforms.len() > limits::MAX_TRANSFORMS {
                return Err("too many transforms");
            }
            proposal.transforms.iter().try_for_each(|transform| check_all(&transform.attributes))?;
        }
        Ok(())
    }
}

fn parse_proposal(r: &mut Reader<'_>) -> Result<(bool, OfferedProposal), Malformed> {
    let (more, mut r) = parse_substructure(r, PayloadType::V1_PROPOSAL)?;
    let number = r.u8()?;
    let protocol = ProtocolId(r.u8()?);
    let spi_len = r.u8()?;
    let count = r.u8()?;
    let spi = AnySpi::parse(spi_len, &mut r)?;
    let mut transforms = Vec::new();
    for left in (0..count).rev() {
        let at = r.clone();
        let (more, mut r) = parse_substructure(&mut r, PayloadType::V1_TRANSFORM)?;
        if more != (left > 0) {
            return Err(at.malformed("number of transforms is not what their headers say"));
        }
        let number = r.u8()?;
        let id = r.u8()?;
        r.u16()?; // reserved
        transforms.push(OfferedTransform { number, id, attributes: parse_all(&mut r)? });
    }
    r.finish()?;
    Ok((more, OfferedProposal { number, protocol, spi, transforms }))
}

/// Reads what proposals and transforms begin with. Returns whether another follows, and the rest of this one.
fn parse_substructure<'a>(r: &mut Reader<'a>, kind: PayloadType) -> Result<(bool, Reader<'a>), Malformed> {
    const HEADER_LEN: usize = 4;
    let at = r.clone();
    let more = match PayloadType(r.u8()?) {
        PayloadType::NONE => false,
        next if next == kind => true,
        _ => return Err(at.malformed("substructure neither the last nor followed by another")),
    };
    r.u8()?; // reserved
    let len = usize::from(r.u16()?);
    let rest = len.checked_sub(HEADER_LEN).ok_or_else(|| at.malformed("substructure shorter than its header"))?;
    Ok((more, r.part(rest, kind)?))
}

fn emit_proposal(proposal: &OfferedProposal, more: bool, out: &mut Vec<u8>) {
    let start = begin(more, PayloadType::V1_PROPOSAL, out);
    out.extend_from_slice(&[proposal.number, proposal.protocol.0, proposal.spi.len_field()]);
    out.push(proposal.transforms.len() as u8);
    proposal.spi.emit(out);
    for (i, transform) in proposal.transforms.iter().enumerate() {
        let start = begin(i + 1 < proposal.transforms.len(), PayloadType::V1_TRANSFORM, out);
        out.extend_from_slice(&[transform.number, transform.id, 0, 0]);
        emit_all(&transform.attributes, out);
        end(start, out);
    }
    end(start, out);
}

fn begin(more: bool, kind: PayloadType, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[if more { kind.0 } else { 0 }, 0, 0, 0]);
    start
}

/// Writes the length. What does not fit 16 bits does not fit a chain either, which is the first to say so.
fn end(start: usize, out: &mut [u8]) {
    let len = (out.len() - start) as u16;
    out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
}
