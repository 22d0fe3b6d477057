//! Every bound on what the other side of a conversation can make this side keep or do.

/// Messages of one conversation that are taken from the other side. EAP-TLS with a chain of 64 KiB in fragments of a
/// kilobyte has some seventy.
pub const TURNS: u32 = 100;

/// Octets of an identity (RFC 7542 §2.2 allows 253 and more in principle; RADIUS carries no longer one).
pub const IDENTITY: usize = 253;

/// Octets of what TLS says at once, certificates and all, however many pieces it comes in.
pub const TLS_MESSAGE: usize = 64 * 1024;

/// Octets of a piece of it that we send: what RADIUS and small paths still carry.
pub const TLS_PIECE: usize = 1024;

/// Characters of a message of the other side that are kept for a report.
pub const MESSAGE: usize = 200;

/// Octets of a password.
pub const PASSWORD: usize = 256;
