//! Sessions of users whom RADIUS servers let in, as long as those say: they end after a time, and when they carry nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use ravelin_ike::Event;
use ravelin_ike::view::IkeSaView;
use ravelin_types::{IkeSpi, Instant, Spi};

/// How often an idle session is looked at, as a part of its Idle-Timeout.
const LOOKS: u32 = 4;

type Spis = (IkeSpi, IkeSpi);

/// All of them, by their IKE SAs.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<Spis, Session>);

#[derive(Debug)]
struct Session {
    /// RFC 2865 §5.27: when it has lasted long enough.
    ends: Option<Instant>,
    idle: Option<Idle>,
}

/// A session that ends when it carries nothing (RFC 2865 §5.28).
#[derive(Debug)]
struct Idle {
    after: Duration,
    look_at: Instant,
    /// How many packets there were, and since when.
    packets: u64,
    since: Instant,
}

impl Session {
    fn deadline(&self) -> Option<Instant> {
        [self.ends, self.idle.as_ref().map(|idle| idle.look_at)].into_iter().flatten().min()
    }
}

impl Sessions {
    /// Sessions come, move on and go with IKE SAs.
    pub(crate) fn note(&mut self, event: &Event, view: impl FnOnce(Spis) -> Option<IkeSaView>, now: Instant) {
        match event {
            Event::IkeUp { spis, .. } => {
                let Some(admission) = view(*spis).and_then(|view| view.admission) else { return };
                let authorization = &admission.authorization;
                let ends = authorization.session_timeout.map(|after| now + after);
                let idle = |after: Duration| Idle { after, look_at: now + after / LOOKS, packets: 0, since: now };
                let idle = authorization.idle_timeout.map(idle);
                if ends.is_some() || idle.is_some() {
                    self.0.insert(*spis, Session { ends, idle });
                }
            }
            Event::IkeRekeyed { old, new, .. } => {
                if let Some(session) = self.0.remove(old) {
                    self.0.insert(*new, session);
                }
            }
            // The other IKE SA is up, with a session of its own.
            Event::IkeReauthenticated { old: gone, .. } | Event::IkeDown { spis: gone, .. } => _ = self.0.remove(gone),
            _ => {}
        }
    }

    /// The IKE SAs whose sessions are over. `packets` counts those of a Child SA by its inbound and outbound SPI.
    pub(crate) fn over(
        &mut self,
        view: impl Fn(Spis) -> Option<IkeSaView>,
        packets: impl Fn(Spi, Spi) -> u64,
        now: Instant,
    ) -> Vec<Spis> {
        let mut over = Vec::new();
        for (spis, session) in self.0.iter_mut().filter(|(_, session)| session.deadline().is_some_and(|at| at <= now)) {
            let mut end = session.ends.is_some_and(|at| at <= now);
            if let Some(idle) = session.idle.as_mut().filter(|idle| idle.look_at <= now) {
                let children = view(*spis).map(|view| view.children).unwrap_or_default();
                // The sum falls when a Child SA goes, which is a sign of life as well.
                let carried = children.iter().map(|child| packets(child.inbound, child.outbound)).sum();
                if carried == idle.packets {
                    end |= now.since(idle.since) >= idle.after;
                } else {
                    (idle.packets, idle.since) = (carried, now);
                }
                idle.look_at = now + (idle.after / LOOKS).max(Duration::from_millis(1));
            }
            if end {
                over.push(*spis);
            }
        }
        self.0.retain(|spis, _| !over.contains(spis));
        over
    }

    /// When there is something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(Session::deadline).min()
    }
}
