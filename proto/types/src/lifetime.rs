//! How long an SA may be used (RFC 4301 §4.4.2.1).

use core::time::Duration;

/// Bounds on the use of an SA; `None` is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time since the SA was installed.
    pub time: Option<Duration>,
    /// Payload bytes, counted over the bytes that are encrypted.
    pub bytes: Option<u64>,
    /// Packets.
    pub packets: Option<u64>,
}

impl Limits {
    /// The same with no more than so many bytes.
    #[must_use]
    pub fn with_bytes_at_most(self, bytes: u64) -> Self {
        Limits { bytes: Some(self.bytes.map_or(bytes, |own| own.min(bytes))), ..self }
    }
}

/// When to rekey an SA (`soft`) and when to stop using it (`hard`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Passing one of these raises `SoftExpire` once; traffic goes on.
    pub soft: Limits,
    /// Passing one of these raises `HardExpire` once; no further packet uses the SA.
    pub hard: Limits,
    /// An SA that carried no packet for this long raises `Idle`, and again each time it has passed.
    pub idle: Option<Duration>,
}
