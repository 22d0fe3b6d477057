//! The bounds of what applications can make the host hold.

use core::time::Duration;

/// Applications at once.
pub const MAX_APPLICATIONS: usize = 16;
/// Events that wait for one application; further ones are lost to it, and counted.
pub const MAX_EVENTS: usize = 256;
/// SPIs that were given out and are in no SA yet.
pub const MAX_SPIS: usize = 1024;
/// How long an SPI is kept for whoever asked for it.
pub const SPI_PATIENCE: Duration = Duration::from_secs(120);
/// TFC padding of a policy that asks for it: fewer bytes than this, at random (document 003 §3.10).
pub const TFC_PADDING: u16 = 256;
/// Anti-replay window of a policy that asks for the check and not for a size.
pub const REPLAY_WINDOW: u32 = 1024;
