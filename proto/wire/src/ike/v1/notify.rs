//! Notification payload (RFC 2408 §3.14, RFC 2407 §4.6.3).

use alloc::vec::Vec;

use ravelin_types::proposal::ProtocolId;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::{AnySpi, Body, Doi, NotifyType};

/// An error or a piece of status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// What `protocol` and `kind` are numbers of.
    pub doi: Doi,
    /// The protocol of the SA that `spi` labels.
    pub protocol: ProtocolId,
    /// Which SA; for an ISAKMP SA its two cookies, or none.
    pub spi: AnySpi,
    /// What.
    pub kind: NotifyType,
    /// More, in a form that depends on `kind`.
    pub data: Vec<u8>,
}

impl Body for Notify {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let doi = Doi(r.u32()?);
        let protocol = ProtocolId(r.u8()?);
        let spi_len = r.u8()?;
        let kind = NotifyType(r.u16()?);
        let spi = AnySpi::parse(spi_len, r)?;
        Ok(Notify { doi, protocol, spi, kind, data: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.doi.0.to_be_bytes());
        out.extend_from_slice(&[self.protocol.0, self.spi.len_field()]);
        out.extend_from_slice(&self.kind.0.to_be_bytes());
        self.spi.emit(out);
        out.extend_from_slice(&self.data);
    }

    fn check(&self) -> Result<(), &'static str> {
        self.spi.check()
    }
}
