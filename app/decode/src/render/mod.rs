//! Decoded packets as text and as JSON.

pub mod json;
pub mod text;

use crate::field::{Field, Secrecy};

/// Whether a field's content is shown to whoever may see secrecies up to `shown`.
fn hidden(field: &Field, shown: Secrecy) -> bool {
    field.secrecy > shown
}
