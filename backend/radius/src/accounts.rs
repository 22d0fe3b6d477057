//! Records of accounts on their way to servers (RFC 2866): those of one session one after the other, those of others beside
//! them.
//!
//! A record that no server took is tried again after [`AGAIN`], for [`KEEP`]; what was so far is in the next one as well where it
//! is an update, so that one is left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ravelin_eap::relay::Aaa;
use ravelin_radius::Request;
use ravelin_types::Instant;

use crate::table::{Exchange, Kind};

/// Records that are kept until a server has them. What comes beyond is lost.
pub(crate) const RECORDS: usize = 1 << 14;
/// Records under way at the same time: authentication has the rest of a server's numbers.
pub(crate) const UNDER_WAY: usize = 512;
/// After which time a record that no server took is tried again.
pub(crate) const AGAIN: Duration = Duration::from_secs(60);
/// How long it is tried.
pub(crate) const KEEP: Duration = Duration::from_secs(3600);

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Acct-Session-Id.
    pub session: String,
    /// What it is, for people.
    pub about: String,
    /// Whether the next one says as much.
    pub update: bool,
    /// Its attributes.
    pub request: Request,
    /// The servers.
    pub aaa: Arc<Aaa>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Accounts {
    /// Of each session, with the time of each; the first is ready, under way, or put off.
    sessions: BTreeMap<String, VecDeque<(Record, Instant)>>,
    records: usize,
    ready: VecDeque<String>,
    later: BTreeSet<(Instant, String)>,
    under_way: usize,
}

impl Accounts {
    /// Takes a record, or gives it back where there are too many.
    pub(crate) fn add(&mut self, record: Record, now: Instant) -> Result<(), Record> {
        if self.records >= RECORDS {
            return Err(record);
        }
        self.records += 1;
        let of_session = self.sessions.entry(record.session.clone()).or_default();
        if of_session.is_empty() {
            self.ready.push_back(record.session.clone());
        }
        of_session.push_back((record, now));
        Ok(())
    }

    /// The next record that shall go out, with its session.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(String, Exchange)> {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            self.ready.extend(self.later.pop_first().map(|(_, session)| session));
        }
        if self.under_way >= UNDER_WAY {
            return None;
        }
        let session = self.ready.pop_front()?;
        let (record, since) = self.sessions.get(&session)?.front()?;
        self.under_way += 1;
        let exchange = Exchange {
            kind: Kind::Account(*since),
            request: record.request.clone(),
            servers: record.aaa.accounting.clone(),
            secret: record.aaa.secret.clone(),
        };
        Some((session, exchange))
    }

    /// A server has the record of this session.
    pub(crate) fn taken(&mut self, session: &str) {
        self.under_way = self.under_way.saturating_sub(1);
        self.drop_first(session);
    }

    /// No server took it. The record, where it is given up.
    pub(crate) fn in_vain(&mut self, session: &str, now: Instant) -> Option<Record> {
        self.under_way = self.under_way.saturating_sub(1);
        let (record, since) = self.sessions.get(session)?.front()?;
        if record.update || now.since(*since) >= KEEP {
            return self.drop_first(session);
        }
        self.later.insert((now + AGAIN, session.to_owned()));
        None
    }

    fn drop_first(&mut self, session: &str) -> Option<Record> {
        let of_session = self.sessions.get_mut(session)?;
        let gone = of_session.pop_front();
        self.records -= usize::from(gone.is_some());
        match of_session.is_empty() {
            true => _ = self.sessions.remove(session),
            false => self.ready.push_back(session.to_owned()),
        }
        Some(gone?.0)
    }

    /// When there is something to do again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Whether everything is with a server, or waits for one to come back.
    pub(crate) fn is_settled(&self) -> bool {
        self.under_way == 0 && self.ready.is_empty()
    }

    /// How many records no server has.
    pub(crate) fn len(&self) -> usize {
        self.records
    }
}
