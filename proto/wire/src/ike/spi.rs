//! SPIs of whatever length a payload says.

use alloc::vec::Vec;
use core::fmt;

use ravelin_types::{IkeSpi, Spi};

use super::error::Malformed;
use super::reader::Reader;

/// The SPI field of a proposal or notify. The length byte says which; whether that length fits the protocol is for
/// the receiver to judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AnySpi {
    /// No SPI.
    #[default]
    None,
    /// Four bytes: AH or ESP.
    Child(Spi),
    /// Eight bytes: IKE.
    Ike(IkeSpi),
    /// Any other length.
    Other(Vec<u8>),
}

impl AnySpi {
    /// The SPI of an AH or ESP SA, if it is one.
    pub fn child(&self) -> Option<Spi> {
        if let AnySpi::Child(spi) = self { Some(*spi) } else { None }
    }

    /// The SPI of an IKE SA, if it is one.
    pub fn ike(&self) -> Option<IkeSpi> {
        if let AnySpi::Ike(spi) = self { Some(*spi) } else { None }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            AnySpi::None => 0,
            AnySpi::Child(_) => 4,
            AnySpi::Ike(_) => 8,
            AnySpi::Other(bytes) => bytes.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn parse(len: u8, r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match len {
            0 => AnySpi::None,
            4 => AnySpi::Child(Spi(r.u32()?)),
            8 => AnySpi::Ike(IkeSpi(r.u64()?)),
            _ => AnySpi::Other(r.take(usize::from(len))?.into()),
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        match self {
            AnySpi::None => {}
            AnySpi::Child(spi) => out.extend_from_slice(&spi.0.to_be_bytes()),
            AnySpi::Ike(spi) => out.extend_from_slice(&spi.0.to_be_bytes()),
            AnySpi::Other(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// The length field, once [`AnySpi::check`] has passed.
    pub(super) fn len_field(&self) -> u8 {
        self.len() as u8
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.len() <= usize::from(u8::MAX) { Ok(()) } else { Err("the SPI is too long") }
    }
}

impl From<Spi> for AnySpi {
    fn from(spi: Spi) -> Self {
        AnySpi::Child(spi)
    }
}

impl From<IkeSpi> for AnySpi {
    fn from(spi: IkeSpi) -> Self {
        AnySpi::Ike(spi)
    }
}

impl fmt::Display for AnySpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnySpi::None => f.write_str("none"),
            AnySpi::Child(spi) => write!(f, "{spi}"),
            AnySpi::Ike(spi) => write!(f, "{spi}"),
            AnySpi::Other(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
