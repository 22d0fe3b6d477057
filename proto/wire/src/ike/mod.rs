//! IKE messages. The header and the chain of payloads are the same in both versions; payloads differ.

pub mod cfg_value;
pub mod chain;
pub mod error;
pub mod header;
pub mod reader;
pub mod spi;
pub mod svc_params;
pub mod v1;
pub mod v2;

use alloc::vec::Vec;

use self::error::Malformed;
use self::header::PayloadType;
use self::reader::Reader;

/// The content of one payload, without the generic header.
pub(crate) trait Body: Sized {
    /// Reads the whole body; bytes left over are an error that the caller raises.
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// Appends the body. Called only after [`Body::check`].
    fn emit(&self, out: &mut Vec<u8>);

    /// Says why the value cannot be sent, if so: a count beyond its field. Length is checked on the emitted bytes.
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A row of the payload table.
#[derive(Clone, Copy, Debug)]
pub struct PayloadKind {
    /// Number on the wire.
    pub kind: PayloadType,
    /// The variant's name in lower case, for file names.
    pub name: &'static str,
}
