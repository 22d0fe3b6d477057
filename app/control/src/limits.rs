//! Bounds on everything a client can make the daemon hold.

/// The longest packet after its length field; strongSwan's bound.
pub const MAX_PACKET: usize = 512 * 1024;
/// The deepest nesting of sections.
pub const MAX_DEPTH: usize = 16;
/// The most elements in one message, section ends included.
pub const MAX_ELEMENTS: usize = 64 * 1024;
/// The most connections at once; further ones wait in the listen queue.
pub const MAX_CLIENTS: usize = 1024;
/// Bytes that may wait for a client to read them when an event is added; one event may always wait.
pub const MAX_QUEUED: usize = 128 * 1024;
