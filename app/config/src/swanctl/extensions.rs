//! What a connection does beyond RFC 7296.

use ravelin_ike::Extensions;

use super::reader::Reader;

/// The options of a connection that ask for it.
pub(super) fn read(reader: &mut Reader<'_>) -> Extensions {
    Extensions { mobike: reader.flag("mobike").unwrap_or(true) }
}
