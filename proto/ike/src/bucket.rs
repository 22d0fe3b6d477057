//! A limit on how often something is done.

use core::time::Duration;

use ravelin_types::Instant;

/// A bucket of so many tokens, refilled once a second.
pub(crate) struct Bucket<const PER_SECOND: u32> {
    left: u32,
    /// `None`: nobody took any yet.
    refilled: Option<Instant>,
}

impl<const PER_SECOND: u32> Default for Bucket<PER_SECOND> {
    fn default() -> Self {
        Bucket { left: PER_SECOND, refilled: None }
    }
}

impl<const PER_SECOND: u32> Bucket<PER_SECOND> {
    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.refilled.is_none_or(|refilled| now.since(refilled) >= Duration::from_secs(1)) {
            (self.left, self.refilled) = (PER_SECOND, Some(now));
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}
