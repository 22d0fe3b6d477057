//! Bounds on what one message may hold. A message beyond a bound is malformed, whatever its length fields say.

/// Payloads in one chain (cleartext and encrypted part count separately).
pub const MAX_PAYLOADS: usize = 64;
/// Proposals in one SA payload.
pub const MAX_PROPOSALS: usize = 64;
/// Transforms in one proposal. The count on the wire is one byte; common peers offer about 50.
pub const MAX_TRANSFORMS: usize = 255;
/// Attributes of one transform. One (Key Length) is defined.
pub const MAX_TRANSFORM_ATTRIBUTES: usize = 8;
/// Selectors in one traffic selector payload: all that the count on the wire can say.
pub const MAX_SELECTORS: usize = 255;
/// SPIs in one delete payload.
pub const MAX_DELETE_SPIS: usize = 1024;
/// Attributes in one configuration payload.
pub const MAX_CFG_ATTRIBUTES: usize = 128;
/// Attributes of one transform, or of one Attribute payload, of IKEv1.
pub const MAX_V1_ATTRIBUTES: usize = 64;

/// Length of a nonce of IKEv1 (RFC 2409 §5).
pub const V1_NONCE_LEN: core::ops::RangeInclusive<usize> = 8..=256;
/// Length of a nonce (RFC 7296 §3.9).
pub const NONCE_LEN: core::ops::RangeInclusive<usize> = 16..=256;

/// Bytes that a chain of payloads to be sent may have. Below 65535 by more than the IKE header (28), the SK header
/// (8), and the longest IV, padding and ICV (255 each) together, so that no 16-bit length in a message can overflow
/// and the message still fits into one UDP datagram.
pub const MAX_CHAIN_LEN: usize = 64_000;
