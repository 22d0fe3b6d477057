//! Every bound on what a peer's certificates can make this crate keep or do.

/// Bytes of one certificate. The largest in use, with post-quantum keys and signatures, have some 20 KiB.
pub const CERTIFICATE: usize = 64 * 1024;

/// Certificates of a peer that are looked at in one authentication.
pub const PEER_CERTIFICATES: usize = 16;

/// Hashes and URLs of a peer that are looked up in one authentication: RFC 7296 §3.6 asks for four certificates.
pub const REFERENCES: usize = 4;

/// Octets of a URL of a peer.
pub const URL: usize = 1024;

/// Bytes of a bundle of certificates and revocation lists. With post-quantum signatures, four certificates have some 80 KiB.
pub const BUNDLE: usize = 256 * 1024;

/// Certificates of one path, the anchor included.
pub const PATH: usize = 10;

/// Signatures that are verified while a path is sought: a peer that sends many authorities of one name gains nothing.
pub const SIGNATURES: usize = 64;

/// Names of one certificate that are compared with constraints.
pub const NAMES: usize = 256;

/// Entries of the name constraints of one path. RFC 5280 sets no bound, and each is compared with each name.
pub const CONSTRAINTS: usize = 1024;

/// Policies of one certificate.
pub const POLICIES: usize = 64;

/// Groups in one attribute certificate that are looked at.
pub const GROUPS: usize = 64;

/// Bits of an RSA modulus: less is broken, more takes too long.
pub const RSA_BITS: core::ops::RangeInclusive<u32> = 2048..=8192;

/// Bytes of one revocation list. One million entries have some 40 MiB; whoever has such lists uses OCSP.
pub const CRL: usize = 16 * 1024 * 1024;

/// Bytes of one OCSP answer. With the certificate of the responder, and post-quantum signatures, it has some 40 KiB.
pub const OCSP: usize = 64 * 1024;

/// Certificates in an OCSP answer that are looked at: the responder's own is the first.
pub const RESPONDERS: usize = 4;

/// OCSP answers of a peer that are looked at: one for each certificate of its own path, as a rule for the first.
pub const PEER_ANSWERS: usize = 4;

/// Bytes of certificates that are remembered of late, and again of those before them: of ECDSA some thousand each. Decoded
/// they take about four times as much.
pub const REMEMBERED: usize = 512 * 1024;
