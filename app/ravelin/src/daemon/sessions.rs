//! Sessions of users whom a RADIUS server let in: how long they may last, and their accounts.
//!
//! ```text
//!   Event ─► note_session ─► Session: up with its IKE SA, begun with its first Child SA
//!   DeleteSa ─► note_last_traffic ─► what the SA carried (its counters go with it)
//!   timer ─► sessions_due ─► updates of the account; an end by Session-Timeout or Idle-Timeout
//!   demand.rs: ends and changes that somebody else wants (RFC 5176)
//!        └─► account.rs: records ─► Core::records ─► the thread that asks RADIUS servers
//! ```
//! A session lasts as long as its IKE SA and those that take its place by a rekey. One that is authenticated anew is another.

mod account;
mod demand;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ravelin_eap::relay::Admission;
use ravelin_ike::output::DownReason;
use ravelin_ike::view::IkeSaView;
use ravelin_ike::{Command, Event};
use ravelin_radius::Request;
use ravelin_radius_client::Record;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::sa::Direction;
use ravelin_types::{IkeSpi, Instant, Spi};

use self::account::{Cause, Counted, Status, Traffic};
use super::core::Core;
use super::plane::Plane;

/// How often an idle session is looked at, as a part of its Idle-Timeout, and at most.
const LOOKS: u32 = 4;
const LOOK: Duration = Duration::from_secs(1);

type Spis = (IkeSpi, IkeSpi);

/// All of them.
pub(super) struct Sessions {
    /// By the number of the IKE SA that they began with.
    all: BTreeMap<u64, Session>,
    by_spis: BTreeMap<Spis, u64>,
    /// By the inbound SPIs of their Child SAs.
    children: BTreeMap<Spi, u64>,
    /// When each has something to do.
    timers: BTreeSet<(Instant, u64)>,
    records: Vec<Record>,
    /// The counters as they were when the daemon began to stop: then all sessions end, and none is worth a look of its own.
    last: Option<Counted>,
    /// Whether those who may end sessions may be others than before.
    reconfigured: bool,
}

impl Default for Sessions {
    fn default() -> Self {
        Sessions {
            all: BTreeMap::new(),
            by_spis: BTreeMap::new(),
            children: BTreeMap::new(),
            timers: BTreeSet::new(),
            records: Vec::new(),
            last: None,
            reconfigured: true,
        }
    }
}

impl Sessions {
    /// The configuration is another one.
    pub(super) fn reconfigured(&mut self) {
        self.reconfigured = true;
    }

    /// A session may have something to do at another time than before.
    fn set_timer(&mut self, number: u64) {
        let Some(session) = self.all.get_mut(&number) else { return };
        let at = session.deadline();
        if let Some(before) = std::mem::replace(&mut session.timer, at) {
            self.timers.remove(&(before, number));
        }
        self.timers.extend(at.map(|at| (at, number)));
    }

    fn remove(&mut self, number: u64) -> Option<Session> {
        let session = self.all.remove(&number)?;
        if let Some(at) = session.timer {
            self.timers.remove(&(at, number));
        }
        for inbound in &session.children {
            self.children.remove(inbound);
        }
        Some(session)
    }
}

/// One user's.
struct Session {
    /// Acct-Session-Id.
    id: String,
    remote: String,
    admission: Arc<Admission>,
    /// What every record says of it.
    head: Request,
    /// What others know it by.
    marks: demand::Marks,
    spis: Spis,
    /// Its Child SAs, by their inbound SPIs.
    children: BTreeSet<Spi>,
    up: Instant,
    /// When its first Child SA came.
    begun: Option<Instant>,
    /// What SAs carried that are no more.
    past: Traffic,
    session_timeout: Option<Duration>,
    interim_at: Option<Instant>,
    idle: Option<Idle>,
    /// Why we are ending it.
    ending: Option<Cause>,
    /// Its place among the timers.
    timer: Option<Instant>,
}

/// A session that ends when it carries nothing.
struct Idle {
    after: Duration,
    look_at: Instant,
    /// How many packets there were, and since when.
    packets: u64,
    since: Instant,
}

impl Idle {
    fn new(after: Duration, packets: u64, now: Instant) -> Self {
        Idle { after, look_at: now + (after / LOOKS).max(LOOK), packets, since: now }
    }
}

impl Session {
    fn new(view: &IkeSaView, admission: Arc<Admission>, now: Instant) -> Self {
        let authorization = &admission.authorization;
        let id = admission.session.clone();
        Session {
            head: account::head(view, &admission, &id),
            marks: demand::Marks::new(view, &admission, &id),
            id,
            remote: view.remote.clone(),
            spis: view.spis,
            children: BTreeSet::new(),
            up: now,
            begun: None,
            past: Traffic::default(),
            session_timeout: authorization.session_timeout,
            interim_at: None,
            idle: authorization.idle_timeout.map(|after| Idle::new(after, 0, now)),
            ending: None,
            timer: None,
            admission,
        }
    }

    fn is_accounted(&self) -> bool {
        !self.admission.aaa.accounting.is_empty()
    }

    /// RFC 2865 §5.27: when it has lasted long enough.
    fn ends_at(&self) -> Option<Instant> {
        self.session_timeout.map(|after| self.up + after).filter(|_| self.ending.is_none())
    }

    fn deadline(&self) -> Option<Instant> {
        let idle = self.idle.as_ref().map(|idle| idle.look_at).filter(|_| self.ending.is_none());
        [self.ends_at(), self.interim_at, idle].into_iter().flatten().min()
    }

    fn name(&self) -> String {
        let user = String::from_utf8_lossy(&self.admission.user).escape_debug().to_string();
        format!("session {} of {user} ({})", self.id, self.remote)
    }
}

impl<P: Plane> Core<P> {
    /// Sessions come and go with IKE SAs.
    pub(super) fn note_session(&mut self, event: &Event, now: Instant) {
        match event {
            Event::IkeUp { spis, .. } => {
                let Some(view) = self.endpoint_view(*spis) else { return };
                if let Some(admission) = view.admission.clone() {
                    self.open_session(&view, admission, now);
                }
            }
            Event::IkeRekeyed { old, new, .. } => {
                let Some(number) = self.sessions.by_spis.remove(old) else { return };
                self.sessions.by_spis.insert(*new, number);
                if let Some(session) = self.sessions.all.get_mut(&number) {
                    session.spis = *new;
                }
            }
            Event::IkeDown { spis, reason, .. } => self.session_ended(*spis, Some(*reason), now),
            Event::ChildUp { inbound, .. } | Event::ChildRekeyed { inbound, .. } => {
                let view = self.endpoint.ike_sa_of(*inbound).filter(|_| !self.sessions.all.is_empty());
                let number = view.and_then(|view| self.sessions.by_spis.get(&view.spis).copied());
                if let Some(number) = number {
                    self.sessions.children.insert(*inbound, number);
                    if let Some(session) = self.sessions.all.get_mut(&number) {
                        session.children.insert(*inbound);
                    }
                    self.session_begins(number, now);
                }
            }
            _ => {}
        }
    }

    /// Somebody was let in.
    pub(super) fn open_session(&mut self, view: &IkeSaView, admission: Arc<Admission>, now: Instant) {
        let session = Session::new(view, admission, now);
        tracing::info!("{} is up", session.name());
        self.sessions.by_spis.insert(view.spis, view.serial);
        self.sessions.all.insert(view.serial, session);
        self.sessions.set_timer(view.serial);
    }

    fn session_begins(&mut self, number: u64, now: Instant) {
        let Some(session) = self.sessions.all.get_mut(&number).filter(|session| session.begun.is_none()) else {
            return;
        };
        session.begun = Some(now);
        if session.is_accounted() {
            session.interim_at = session.admission.authorization.interim.map(|interim| now + interim);
            let record = session.record(Status::Start, None, now);
            self.sessions.records.push(record);
        }
        self.sessions.set_timer(number);
    }

    /// The IKE SA of a session is gone, with an event or without one.
    pub(super) fn session_ended(&mut self, spis: Spis, reason: Option<DownReason>, now: Instant) {
        let Some(number) = self.sessions.by_spis.remove(&spis) else { return };
        let live = self.live_traffic(&[number]).remove(&number).unwrap_or_default();
        let stopping = self.sessions.last.is_some();
        let sessions = &mut self.sessions;
        let Some(mut session) = sessions.remove(number) else { return };
        session.past = session.past + live;
        let cause = session.ending.unwrap_or_else(|| Cause::of(reason, stopping));
        tracing::info!("{} has ended: {cause}", session.name());
        if session.is_accounted() && session.begun.is_some() {
            sessions.records.push(session.record(Status::Stop(cause), Some(session.past), now));
        }
    }

    /// An SA is about to be deleted: its counters, and those of its twin, are read for the last time.
    pub(super) fn note_last_traffic(&mut self, op: &DataPlaneOp) {
        let DataPlaneOp::DeleteSa(id) = op else { return };
        if id.direction != Direction::Inbound {
            return;
        }
        let Some(number) = self.sessions.children.remove(&id.spi) else { return };
        let carried = match &self.sessions.last {
            Some(last) => last.of(id.spi),
            None => self.pair_of(*id).into_iter().collect::<Counted>().of(id.spi),
        };
        if let Some(session) = self.sessions.all.get_mut(&number) {
            session.children.remove(&id.spi);
            session.past = session.past + carried;
        }
    }

    /// What the SAs of these sessions have carried that are still there.
    fn live_traffic(&mut self, numbers: &[u64]) -> BTreeMap<u64, Traffic> {
        let mut traffic: BTreeMap<u64, Traffic> = BTreeMap::new();
        let mut inbound: Vec<(u64, Spi)> = Vec::new();
        for number in numbers {
            let children = self.sessions.all.get(number).map(|session| &session.children);
            inbound.extend(children.into_iter().flatten().map(|spi| (*number, *spi)));
        }
        if inbound.is_empty() {
            return traffic;
        }
        let listed;
        let counted = match &self.sessions.last {
            Some(last) => last,
            None => {
                listed = self.plane.list().into_iter().collect();
                &listed
            }
        };
        for (number, spi) in inbound {
            let sum = traffic.entry(number).or_default();
            *sum = *sum + counted.of(spi);
        }
        traffic
    }

    /// Updates the accounts for which it is time, and ends what has lasted long enough or carries nothing.
    pub(super) fn sessions_due(&mut self, now: Instant) {
        let due: Vec<u64> = self.sessions.timers.range(..=(now, u64::MAX)).map(|(_, number)| *number).collect();
        if due.is_empty() {
            return;
        }
        let live = self.live_traffic(&due);
        for number in due {
            let Some(session) = self.sessions.all.get_mut(&number) else { continue };
            let traffic = session.past + live.get(&number).copied().unwrap_or_default();
            if session.interim_at.is_some_and(|at| at <= now) {
                session.interim_at = session.admission.authorization.interim.map(|interim| now + interim);
                let record = session.record(Status::Update, Some(traffic), now);
                self.sessions.records.push(record);
            }
            let mut end = session.ends_at().filter(|at| *at <= now).map(|_| Cause::SessionTimeout);
            if let Some(idle) = session.idle.as_mut().filter(|idle| idle.look_at <= now) {
                let packets = traffic.packets();
                match packets == idle.packets {
                    true if now.since(idle.since) >= idle.after => end = end.or(Some(Cause::IdleTimeout)),
                    true => {}
                    false => (idle.packets, idle.since) = (packets, now),
                }
                idle.look_at = now + (idle.after / LOOKS).max(LOOK);
            }
            self.sessions.set_timer(number);
            if let Some(cause) = end {
                self.end_session(number, cause, now);
            }
        }
    }

    /// Ends a session from our side: its peer hears a Delete.
    fn end_session(&mut self, number: u64, cause: Cause, now: Instant) {
        let Some(session) = self.sessions.all.get_mut(&number).filter(|session| session.ending.is_none()) else {
            return;
        };
        session.ending = Some(cause);
        tracing::info!("{} is being ended: {cause}", session.name());
        let spis = session.spis;
        self.sessions.set_timer(number);
        let Some(view) = self.endpoint_view(spis) else { return };
        let own = if view.initiator { spis.0 } else { spis.1 };
        self.command(Command::TerminateIkeSa(own), now);
    }

    /// When [`Core::sessions_due`] has something to do.
    pub(super) fn sessions_at(&self) -> Option<Instant> {
        self.sessions.timers.first().map(|(at, _)| *at)
    }

    /// From now on all sessions end, because the daemon does.
    pub(super) fn sessions_stop(&mut self) {
        self.sessions.last = (!self.sessions.all.is_empty()).then(|| self.plane.list().into_iter().collect());
    }

    /// The records for the servers, those of sessions that `end` now among them: the peers did not answer, and the daemon does
    /// not wait for them any more.
    pub fn last_records(&mut self, now: Instant) -> Vec<Record> {
        let left: Vec<Spis> = self.sessions.by_spis.keys().copied().collect();
        left.into_iter().for_each(|spis| self.session_ended(spis, None, now));
        self.records()
    }

    /// The records that are new.
    pub fn records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.sessions.records)
    }
}
