//! The log that outlives the daemon: an append-only file of checksummed
//! [`Record`](ravelin_types::record::Record)s. It never interprets what it keeps. Read [`FileStore`] first; `codec.rs`
//! has the layout of a record on disk.

mod codec;
mod file;

pub use file::FileStore;
