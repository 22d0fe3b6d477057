//! Notify payload (RFC 7296 §3.10).

use alloc::vec::Vec;

use ravelin_types::proposal::ProtocolId;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::AnySpi;
use super::Body;
use super::numbers::NotifyType;

/// An error or a piece of status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The protocol of the SA that `spi` labels; `NONE` when it is about the IKE SA it travels in, or about none.
    pub protocol: ProtocolId,
    /// Which SA.
    pub spi: AnySpi,
    /// What.
    pub kind: NotifyType,
    /// More, in a form that depends on `kind`.
    pub data: Vec<u8>,
}

impl Notify {
    /// About no particular SA.
    pub fn new(kind: NotifyType, data: impl Into<Vec<u8>>) -> Self {
        Notify { protocol: ProtocolId::NONE, spi: AnySpi::None, kind, data: data.into() }
    }

    /// About one SA.
    pub fn about(protocol: ProtocolId, spi: impl Into<AnySpi>, kind: NotifyType) -> Self {
        Notify { protocol, spi: spi.into(), kind, data: Vec::new() }
    }
}

impl Body for Notify {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let protocol = ProtocolId(r.u8()?);
        let spi_len = r.u8()?;
        let kind = NotifyType(r.u16()?);
        let spi = AnySpi::parse(spi_len, r)?;
        Ok(Notify { protocol, spi, kind, data: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.protocol.0, self.spi.len_field()]);
        out.extend_from_slice(&self.kind.0.to_be_bytes());
        self.spi.emit(out);
        out.extend_from_slice(&self.data);
    }

    fn check(&self) -> Result<(), &'static str> {
        self.spi.check()
    }
}
