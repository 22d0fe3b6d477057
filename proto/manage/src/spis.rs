//! SPIs that were given out and are in no SA yet.

use alloc::collections::BTreeMap;

use ravelin_types::{ErrorCode, Instant, Spi};

use crate::limits::{MAX_SPIS, SPI_PATIENCE};

/// The SPIs, each until when it is kept.
#[derive(Default)]
pub(crate) struct Reserved(BTreeMap<Spi, Instant>);

impl Reserved {
    /// Keeps a new SPI, from those that `random` offers, which `taken` does not know.
    pub fn take(
        &mut self,
        mut random: impl FnMut() -> u32,
        taken: impl Fn(Spi) -> bool,
        now: Instant,
    ) -> Result<Spi, ErrorCode> {
        self.0.retain(|_, until| *until > now);
        if self.0.len() >= MAX_SPIS {
            return Err(ErrorCode::OutOfReqs);
        }
        // Of 2^32 numbers at most 2^20 are taken, so even two tries in a row fail almost never.
        let free = |spi: &Spi| spi.is_usable() && !self.0.contains_key(spi) && !taken(*spi);
        let spi = (0..16).map(|_| Spi(random())).find(free).ok_or(ErrorCode::OutOfSessions)?;
        self.0.insert(spi, now + SPI_PATIENCE);
        Ok(spi)
    }

    /// The SPI is in an SA now.
    pub fn used(&mut self, spi: Spi) {
        self.0.remove(&spi);
    }
}
