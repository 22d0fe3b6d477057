//! The operating system's randomness.

use ravelin_crypto::SecureRandom;

use crate::sys;

/// AWS-LC's generator, seeded and reseeded from the operating system. For daemons; tests bring a seeded source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn fill(&mut self, out: &mut [u8]) {
        sys::random(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0u8; 32], [0u8; 32]);
        SystemRandom.fill(&mut a);
        SystemRandom.fill(&mut b);
        assert_ne!(a, b);
        assert_ne!(a, [0; 32]);
    }
}
