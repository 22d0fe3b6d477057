//! When the addresses of the host, or the ways from them, have changed, and what they are then.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ravelin_host::AddressWatch;
use ravelin_types::Instant;

/// How long the first change is waited for the next: an address comes with its routes, and often in the place of another, by one
/// program that takes some milliseconds for all of it. What is told to peers is to be done within 100 ms: this, two lists
/// from the kernel, and an exchange with a peer that may be far. Looked at too early, a host is looked at again.
const SETTLE: Duration = Duration::from_millis(20);
/// The longest that one is waited for where changes come again and again: a host whose routes change all the time is looked at three
/// times a second.
const MOST: Duration = Duration::from_millis(320);
/// After so much time without a look the next change is a first one.
const QUIET: Duration = Duration::from_secs(1);

/// How long changes are waited for: the first briefly, each that comes soon after a look twice as long.
#[derive(Default)]
struct Pace {
    /// The last look, and how long it was waited for.
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// A change was noticed: when to look.
    fn next(&mut self, now: Instant) -> Instant {
        let wait = match self.last {
            Some((looked, waited)) if now.since(looked) < QUIET => (waited * 2).min(MOST),
            _ => SETTLE,
        };
        self.last = Some((now + wait, wait));
        now + wait
    }
}

/// The watch, and when to look next.
pub struct Addresses {
    watch: Option<AddressWatch>,
    look_at: Option<Instant>,
    pace: Pace,
}

impl Addresses {
    /// Begins to watch. A host that does not let it is told once: IKE SAs do not follow changes of its addresses then.
    pub fn watch(now: Instant) -> Self {
        let watch = AddressWatch::open().inspect_err(|error| {
            tracing::warn!("changes of this host's addresses go unnoticed: {error}");
        });
        let watch = watch.ok();
        Addresses { look_at: watch.is_some().then_some(now), watch, pace: Pace::default() }
    }

    /// Readable when [`Addresses::noticed`] has something to do.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Takes note of what has changed.
    pub fn noticed(&mut self, now: Instant) {
        if self.watch.as_mut().is_some_and(AddressWatch::changed) && self.look_at.is_none() {
            self.look_at = Some(self.pace.next(now));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_changes_is_looked_at_less_and_less_often_and_a_quiet_host_at_once() {
        let mut pace = Pace::default();
        let mut now = Instant::from_duration(Duration::from_secs(10));
        // Always the next change right after a look.
        let mut waited = || {
            let at = pace.next(now);
            let wait = at.since(now);
            now = at;
            wait.as_millis()
        };
        assert_eq!([(); 7].map(|()| waited()), [20, 40, 80, 160, 320, 320, 320]);
        now = now + QUIET;
        assert_eq!(pace.next(now), now + SETTLE);
    }
}
