//! Security Association payload: proposals, their transforms, and the transforms' attributes (RFC 7296 §3.3).
//!
//! ```text
//!   proposal:   more (1: 2 or 0) | reserved (1) | length (2) | number (1) | protocol (1) | SPI size (1) | transforms (1)
//!               | SPI | transforms
//!   transform:  more (1: 3 or 0) | reserved (1) | length (2) | type (1) | reserved (1) | ID (2) | attributes
//!   attribute:  1 and type (2) | value (2)          or          0 and type (2) | length (2) | value
//! ```

use alloc::vec::Vec;

use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{Additional, EncrId, IntegId, KeMethod, PrfId, SnId, Transform, TransformType};

use super::super::error::Malformed;
use super::super::header::PayloadType;
use super::super::reader::Reader;
use super::AnySpi;
use super::Body;
use crate::limits;

const MORE_PROPOSALS: u8 = 2;
const MORE_TRANSFORMS: u8 = 3;
/// Set in the type of an attribute whose value takes the place of the length.
const SHORT_ATTRIBUTE: u16 = 0x8000;
const KEY_LENGTH: u16 = 14;

/// What is offered, or the one proposal that was chosen. Never empty when received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sa(pub Vec<OfferedProposal>);

/// A proposal as it travels. Whether its number and SPI make sense is for the receiver to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedProposal {
    /// Counted from 1 by the sender; an answer repeats the number of what it chose.
    pub number: u8,
    /// The sender's SPI of the SA to be.
    pub spi: AnySpi,
    /// Protocol and transforms.
    pub proposal: Proposal,
}

impl AsRef<Proposal> for OfferedProposal {
    fn as_ref(&self) -> &Proposal {
        &self.proposal
    }
}

impl Body for Sa {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
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
        for OfferedProposal { spi, proposal, .. } in &self.0 {
            spi.check()?;
            if proposal.transforms.len() > limits::MAX_TRANSFORMS {
                return Err("too many transforms");
            }
            // An unknown transform of a known type had attributes that were not kept; without them it would say
            // something else.
            if proposal.transforms.iter().any(|t| matches!(t, Transform::Unknown { kind, .. } if is_known(*kind))) {
                return Err("a transform with attributes that are not understood");
            }
        }
        Ok(())
    }
}

fn parse_proposal(r: &mut Reader<'_>) -> Result<(bool, OfferedProposal), Malformed> {
    let (more, mut r) = parse_substructure(r, MORE_PROPOSALS)?;
    let number = r.u8()?;
    let protocol = ProtocolId(r.u8()?);
    let spi_len = r.u8()?;
    let count = r.u8()?;
    let spi = AnySpi::parse(spi_len, &mut r)?;
    let mut transforms = Vec::new();
    for left in (0..count).rev() {
        let at = r.clone();
        let (more, transform) = parse_transform(&mut r)?;
        if more != (left > 0) {
            return Err(at.malformed("number of transforms is not what their headers say"));
        }
        transforms.push(transform);
    }
    r.finish()?;
    Ok((more, OfferedProposal { number, spi, proposal: Proposal { protocol, transforms } }))
}

fn parse_transform(r: &mut Reader<'_>) -> Result<(bool, Transform), Malformed> {
    let (more, mut r) = parse_substructure(r, MORE_TRANSFORMS)?;
    let kind = TransformType(r.u8()?);
    r.u8()?; // reserved
    let id = r.u16()?;
    let mut key_bits = None;
    let mut understood = true;
    let mut count = 0;
    while !r.is_empty() {
        count += 1;
        if count > limits::MAX_TRANSFORM_ATTRIBUTES {
            return Err(r.malformed("too many attributes"));
        }
        let attribute = r.u16()?;
        let value = r.u16()?;
        if attribute == SHORT_ATTRIBUTE | KEY_LENGTH && key_bits.is_none() {
            key_bits = Some(value);
            continue;
        }
        understood = false;
        if attribute & SHORT_ATTRIBUTE == 0 {
            r.take(usize::from(value))?;
        }
    }
    // RFC 7296 §3.3.6: a transform with an attribute that is not understood is not chosen; others of its type may be.
    let transform = match (kind, key_bits) {
        (TransformType::ENCR, bits) if understood => Transform::Encr(EncrId(id), bits),
        (TransformType::PRF, None) if understood => Transform::Prf(PrfId(id)),
        (TransformType::INTEG, None) if understood => Transform::Integ(IntegId(id)),
        (TransformType::KE, None) if understood => Transform::Ke(KeMethod(id)),
        (TransformType::SN, None) if understood => Transform::Sn(SnId(id)),
        (kind, None) if understood => match Additional::of(kind) {
            Some(number) => Transform::AddKe(number, KeMethod(id)),
            None => Transform::Unknown { kind, id },
        },
        _ => Transform::Unknown { kind, id },
    };
    Ok((more, transform))
}

/// Reads what proposals and transforms begin with. Returns whether another follows, and the rest of this one.
fn parse_substructure<'a>(r: &mut Reader<'a>, more_value: u8) -> Result<(bool, Reader<'a>), Malformed> {
    const HEADER_LEN: usize = 4;
    let at = r.clone();
    let more = match r.u8()? {
        0 => false,
        value if value == more_value => true,
        _ => return Err(at.malformed("substructure neither the last nor followed by another")),
    };
    r.u8()?; // reserved
    let len = usize::from(r.u16()?);
    let rest = len.checked_sub(HEADER_LEN).ok_or_else(|| at.malformed("substructure shorter than its header"))?;
    Ok((more, r.part(rest, PayloadType::SA)?))
}

fn emit_proposal(offered: &OfferedProposal, more: bool, out: &mut Vec<u8>) {
    let OfferedProposal { number, spi, proposal } = offered;
    let start = out.len();
    out.extend_from_slice(&[if more { MORE_PROPOSALS } else { 0 }, 0, 0, 0, *number, proposal.protocol.0]);
    out.extend_from_slice(&[spi.len_field(), proposal.transforms.len() as u8]);
    spi.emit(out);
    for (i, transform) in proposal.transforms.iter().enumerate() {
        emit_transform(*transform, i + 1 < proposal.transforms.len(), out);
    }
    // At most 8 bytes of header, 255 of SPI, and 255 transforms of 12 bytes each.
    let len = (out.len() - start) as u16;
    out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
}

fn emit_transform(transform: Transform, more: bool, out: &mut Vec<u8>) {
    let (id, key_bits) = match transform {
        Transform::Encr(id, key_bits) => (id.0, key_bits),
        Transform::Prf(id) => (id.0, None),
        Transform::Integ(id) => (id.0, None),
        Transform::Ke(id) => (id.0, None),
        Transform::AddKe(_, id) => (id.0, None),
        Transform::Sn(id) => (id.0, None),
        Transform::Unknown { id, .. } => (id, None),
    };
    let len: u16 = if key_bits.is_some() { 12 } else { 8 };
    out.extend_from_slice(&[if more { MORE_TRANSFORMS } else { 0 }, 0]);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[transform.kind().0, 0]);
    out.extend_from_slice(&id.to_be_bytes());
    if let Some(bits) = key_bits {
        out.extend_from_slice(&(SHORT_ATTRIBUTE | KEY_LENGTH).to_be_bytes());
        out.extend_from_slice(&bits.to_be_bytes());
    }
}

fn is_known(kind: TransformType) -> bool {
    (TransformType::ENCR..=TransformType::ADDITIONAL_KE_7).contains(&kind)
}
