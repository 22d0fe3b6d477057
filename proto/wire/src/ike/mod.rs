//! IKE messages. The header is the same in both versions; payloads differ.

pub mod error;
pub mod header;
pub mod reader;
pub mod v2;
