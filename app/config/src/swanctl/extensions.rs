//! What a connection does beyond RFC 7296.

use super::reader::Reader;
use super::value;
use crate::command::ExtensionSpec;

/// The options of a connection that ask for it.
pub(super) fn read(reader: &mut Reader<'_>) -> ExtensionSpec {
    ExtensionSpec {
        mobike: reader.flag("mobike").unwrap_or(true),
        ppk_id: reader.value("ppk_id", value::id),
        ppk_file: None,
        ppk_required: reader.flag("ppk_required").unwrap_or(false),
    }
}
