//! When the addresses of the host, or the ways from them, have changed, and what they are then.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ravelin_host::AddressWatch;
use ravelin_types::Instant;

/// How long one change is waited for the next: a new address comes with routes, and often in the place of another. It also
/// bounds how often a host whose routes change all the time is looked at.
const SETTLE: Duration = Duration::from_millis(100);

/// The watch, and when to look next.
pub struct Addresses {
    watch: Option<AddressWatch>,
    look_at: Option<Instant>,
}

impl Addresses {
    /// Begins to watch. A host that does not let it is told once: IKE SAs do not follow changes of its addresses then.
    pub fn watch(now: Instant) -> Self {
        let watch = AddressWatch::open().inspect_err(|error| {
            tracing::warn!("changes of this host's addresses go unnoticed: {error}");
        });
        let watch = watch.ok();
        Addresses { look_at: watch.is_some().then_some(now), watch }
    }

    /// Readable when [`Addresses::noticed`] has something to do.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Takes note of what has changed.
    pub fn noticed(&mut self, now: Instant) {
        if self.watch.as_mut().is_some_and(AddressWatch::changed) {
            self.look_at.get_or_insert(now + SETTLE);
        }
    }

    /// When [`Addresses::due`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// The addresses, if it is time to look at them.
    pub fn due(&mut self, now: Instant) -> Option<Vec<IpAddr>> {
        self.look_at.take_if(|at| *at <= now)?;
        let found = self.watch.as_mut()?.addresses();
        found.inspect_err(|error| tracing::warn!("this host's addresses cannot be listed: {error}")).ok()
    }
}
