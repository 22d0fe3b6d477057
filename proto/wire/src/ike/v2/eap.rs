//! EAP payload: one EAP message (RFC 7296 §3.16, RFC 3748 §4).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;
use super::numbers::EapCode;

const HEADER_LEN: usize = 4;

/// An EAP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eap {
    /// Request, Response, Success or Failure.
    pub code: EapCode,
    /// Matches a response with its request.
    pub identifier: u8,
    /// Type and type data; empty for Success and Failure.
    pub data: Vec<u8>,
}

impl Body for Eap {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let whole = r.len();
        let code = EapCode(r.u8()?);
        let identifier = r.u8()?;
        let at_len = r.clone();
        if usize::from(r.u16()?) != whole {
            return Err(at_len.malformed("EAP length is not that of the payload"));
        }
        let eap = Eap { code, identifier, data: r.take_rest().into() };
        eap.check().map_err(|reason| at_len.malformed(reason))?;
        Ok(eap)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.code.0, self.identifier]);
        // A chain takes no payload above its own bound, so the cast loses nothing in what is sent.
        out.extend_from_slice(&((HEADER_LEN + self.data.len()) as u16).to_be_bytes());
        out.extend_from_slice(&self.data);
    }

    fn check(&self) -> Result<(), &'static str> {
        // RFC 3748 §4.1 and §4.2: a type is always, or never, there.
        match self.code {
            EapCode::REQUEST | EapCode::RESPONSE if self.data.is_empty() => Err("EAP message without a type"),
            EapCode::SUCCESS | EapCode::FAILURE if !self.data.is_empty() => Err("EAP result with data"),
            _ => Ok(()),
        }
    }
}
