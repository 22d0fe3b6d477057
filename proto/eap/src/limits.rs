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

/// Attributes of a message of EAP-SIM or AKA: about twice as many as any has.
pub const SIM_ATTRIBUTES: usize = 16;

/// Triplets of a SIM: what a secret of 1024 octets can have.
pub const TRIPLETS: usize = 20;

/// Users of SIMs of whom is known what they have proven, and as many that we are.
pub const SIMS: usize = 100_000;

/// Names for the next time that a user has at once: with each method one for full and one for fast authentication, and those
/// before them, which are still there when an answer is lost.
pub const SIM_NAMES: usize = 6;

/// Fast re-authentications after a full one (RFC 4187 §5.1).
pub const REAUTHENTICATIONS: u16 = 1000;
