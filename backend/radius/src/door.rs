//! Requests to end sessions and to change them (RFC 5176), as far as the packet goes: who may send them, whether they are
//! theirs, fresh and new. What they mean is for whoever has the sessions.
//!
//! ```text
//!   packet ─► known address ─► by the secret ─► now, by its Event-Timestamp ─► not seen before ─► Demand
//!                                                                              seen: the same answer again
//! ```
//! What fails is dropped without an answer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ravelin_radius::{Attribute, Code, Packet, Request, request};
use ravelin_types::{Instant, Secret};

/// RFC 5176 §6.3: how far the clock of a request may be from ours.
pub(crate) const WINDOW: u64 = 300;
/// How long a request is remembered: while its Event-Timestamp can pass, it passes once.
const MEMORY: Duration = Duration::from_secs(2 * WINDOW);
/// Requests that are remembered. Those beyond are dropped, so that none is forgotten early.
pub(crate) const REMEMBERED: usize = 4096;
/// How often the log has a line about what was dropped.
const QUIET: Duration = Duration::from_secs(10);

/// Somebody who may end and change sessions.
#[derive(Clone, Debug)]
pub struct Authorizer {
    /// Where he is.
    pub address: IpAddr,
    /// The secret that he shares with us.
    pub secret: Secret,
}

/// A request that is his.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Where the answer goes.
    pub from: SocketAddr,
    /// What it says.
    pub packet: Packet,
    /// The secret that proves it.
    pub secret: Secret,
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// It is not, for this Error-Cause.
    Refused(u32),
}

/// What a packet leads to.
#[derive(Debug)]
pub(crate) enum Knock {
    Ask(Demand),
    /// This answer was given before.
    Again(Vec<u8>),
    /// Nothing, and there is a line for the log.
    Dropped(Option<String>),
}

/// The requests of late.
#[derive(Default)]
pub(crate) struct Door {
    authorizers: Vec<Authorizer>,
    seen: BTreeMap<(IpAddr, [u8; 16]), Seen>,
    /// How many were dropped since the log had a line, and when that was.
    dropped: u64,
    said: Option<Instant>,
}

struct Seen {
    until: Instant,
    answer: Option<Vec<u8>>,
}

impl Door {
    /// From now on these may come.
    pub(crate) fn admit(&mut self, authorizers: Vec<Authorizer>) {
        self.authorizers = authorizers;
    }

    /// Takes a packet; `clock` are the seconds since 1970.
    pub(crate) fn knock(&mut self, bytes: &[u8], from: SocketAddr, clock: u64, now: Instant) -> Knock {
        let address = from.ip().to_canonical();
        match self.judge(bytes, address, clock, now) {
            Ok((packet, secret)) => {
                let key = (address, packet.authenticator);
                if let Some(seen) = self.seen.get(&key) {
                    return seen.answer.clone().map_or(Knock::Dropped(None), Knock::Again);
                }
                self.seen.insert(key, Seen { until: now + MEMORY, answer: None });
                Knock::Ask(Demand { from, packet, secret })
            }
            Err(why) => {
                self.dropped += 1;
                if self.said.is_some_and(|said| now < said + QUIET) {
                    return Knock::Dropped(None);
                }
                self.said = Some(now);
                let others = std::mem::take(&mut self.dropped) - 1;
                let more = if others > 0 { format!(" ({others} more were dropped)") } else { String::new() };
                Knock::Dropped(Some(format!("a RADIUS packet from {address} is dropped: {why}{more}")))
            }
        }
    }

    fn judge(&mut self, bytes: &[u8], from: IpAddr, clock: u64, now: Instant) -> Result<(Packet, Secret), String> {
        let mut his = self.authorizers.iter().filter(|it| it.address == from).peekable();
        if his.peek().is_none() {
            return Err("expected one of those who may end sessions (--radius-authorizers)".to_owned());
        }
        let mut fault = None;
        let read = his.find_map(|it| match request(bytes, &it.secret) {
            Ok(packet) => Some((packet, it.secret.clone())),
            Err(why) => {
                fault = Some(why);
                None
            }
        });
        let Some((packet, secret)) = read else {
            return Err(fault.map_or_else(String::new, |fault| fault.to_string()));
        };
        if ![Code::DISCONNECT_REQUEST, Code::COA_REQUEST].contains(&packet.code) {
            return Err(format!("expected Disconnect-Request or CoA-Request, not RADIUS code {}", packet.code.0));
        }
        // RFC 5176 §6.3: without a time it could be sent again for ever.
        match packet.number(Attribute::EVENT_TIMESTAMP) {
            None => return Err("expected an Event-Timestamp, which keeps it from being repeated later".to_owned()),
            Some(sent) if u64::from(sent).abs_diff(clock) > WINDOW => {
                return Err(format!("its Event-Timestamp is {} s from our clock", u64::from(sent).abs_diff(clock)));
            }
            Some(_) => {}
        }
        self.seen.retain(|_, seen| seen.until > now);
        if self.seen.len() >= REMEMBERED && !self.seen.contains_key(&(from, packet.authenticator)) {
            return Err(format!("more than {REMEMBERED} requests within {} s", MEMORY.as_secs()));
        }
        Ok((packet, secret))
    }

    /// The answer to a request, which is given again when that comes again.
    pub(crate) fn answer(&mut self, demand: &Demand, verdict: Verdict) -> Option<Vec<u8>> {
        let disconnect = demand.packet.code == Code::DISCONNECT_REQUEST;
        let (code, cause) = match (verdict, disconnect) {
            (Verdict::Done, true) => (Code::DISCONNECT_ACK, None),
            (Verdict::Done, false) => (Code::COA_ACK, None),
            (Verdict::Refused(cause), true) => (Code::DISCONNECT_NAK, Some(cause)),
            (Verdict::Refused(cause), false) => (Code::COA_NAK, Some(cause)),
        };
        let mut attributes = Request::default();
        if let Some(cause) = cause {
            attributes.add_number(Attribute::ERROR_CAUSE, cause);
        }
        // RFC 5176 §3.1, §3.3: as they came.
        for (kind, value) in &demand.packet.attributes {
            if *kind == Attribute::PROXY_STATE || *kind == Attribute::STATE && !disconnect {
                attributes.add(*kind, value);
            }
        }
        let answer = attributes.seal_answer(code, &demand.packet, &demand.secret)?;
        let key = (demand.from.ip().to_canonical(), demand.packet.authenticator);
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.answer = Some(answer.clone());
        }
        Some(answer)
    }
}
