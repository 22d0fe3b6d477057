//! Requests under way: which server, which number, when to repeat, when to turn to another server.
//!
//! A request goes to the first of its servers that is not known to be dead, is sent [`TRIES`] times, and then to the next one.
//! A server that did not answer is left out for [`DEAD`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ravelin_radius::{Attribute, Packet, Request, acknowledgement, reply};
use ravelin_types::{Instant, Secret};

/// How often a request is sent to one server.
pub(crate) const TRIES: u32 = 4;
/// How long the first answer may take; each repetition waits twice as long. Fifteen seconds in all.
pub(crate) const WAIT: Duration = Duration::from_secs(1);
/// How long a server that did not answer is left out.
pub(crate) const DEAD: Duration = Duration::from_secs(60);
/// Sockets to one server: a request has a number of eight bits, so each carries 256.
pub const LANES: u8 = 16;

/// A socket to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// Which server.
    pub server: SocketAddr,
    /// Which socket, below [`LANES`].
    pub number: u8,
}

/// A request, and who may answer it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: Kind,
    pub(crate) request: Request,
    /// Best first.
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) secret: Secret,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An Access-Request.
    Access,
    /// An Accounting-Request about what was then.
    Account(Instant),
}

/// How an exchange ends.
pub(crate) enum Ended {
    /// A server answered.
    Answered {
        packet: Packet,
        /// The authenticator of the request.
        request: [u8; 16],
        server: SocketAddr,
    },
    /// None of the servers did.
    Silent(Vec<SocketAddr>),
    /// No packet holds it, or too much is under way.
    Unfit,
}

/// What is to be done.
pub(crate) enum Output<T> {
    /// Send this.
    Send(Lane, Vec<u8>),
    /// An exchange has ended.
    Done(T, Ended),
}

/// A record that is under way by a later number.
struct Earlier {
    /// The number of now.
    number: u8,
    authenticator: [u8; 16],
}

struct Open<T> {
    tag: T,
    exchange: Exchange,
    /// Servers that were tried and did not answer.
    tried: Vec<SocketAddr>,
    authenticator: [u8; 16],
    packet: Vec<u8>,
    sent: u32,
    due: Instant,
}

pub(crate) struct Table<T> {
    open: BTreeMap<(Lane, u8), Open<T>>,
    /// Numbers by which a record went out before: the answer to any of them will do.
    earlier: BTreeMap<(Lane, u8), Earlier>,
    dead: BTreeMap<SocketAddr, Instant>,
    outputs: VecDeque<Output<T>>,
    next: u8,
    random: fn(&mut [u8]),
}

impl<T> Table<T> {
    pub(crate) fn new(random: fn(&mut [u8])) -> Self {
        Table {
            open: BTreeMap::new(),
            earlier: BTreeMap::new(),
            dead: BTreeMap::new(),
            outputs: VecDeque::new(),
            next: 0,
            random,
        }
    }

    /// Begins an exchange.
    pub(crate) fn ask(&mut self, tag: T, exchange: Exchange, now: Instant) {
        self.turn_to(tag, exchange, Vec::new(), now);
    }

    /// Sends a request to the best server that was not tried.
    fn turn_to(&mut self, tag: T, exchange: Exchange, tried: Vec<SocketAddr>, now: Instant) {
        self.dead.retain(|_, until| *until > now);
        let left = || exchange.servers.iter().filter(|server| !tried.contains(server));
        // Where all are dead, one of them is tried all the same.
        let Some(server) = left().find(|server| !self.dead.contains_key(server)).or_else(|| left().next()).copied()
        else {
            return self.outputs.push_back(Output::Done(tag, Ended::Silent(exchange.servers)));
        };
        let sealed = self.free(server).and_then(|key| Some((key, self.seal(&exchange, key.1, now)?)));
        let Some((key, (packet, authenticator))) = sealed else {
            return self.outputs.push_back(Output::Done(tag, Ended::Unfit));
        };
        self.outputs.push_back(Output::Send(key.0, packet.clone()));
        let due = now + WAIT;
        self.open.insert(key, Open { tag, exchange, tried, authenticator, packet, sent: 1, due });
    }

    /// The packet, and its authenticator.
    fn seal(&self, exchange: &Exchange, identifier: u8, now: Instant) -> Option<(Vec<u8>, [u8; 16])> {
        let Exchange { kind, request, secret, .. } = exchange;
        match kind {
            Kind::Access => {
                let mut authenticator = [0; 16];
                (self.random)(&mut authenticator);
                Some((request.seal(identifier, &authenticator, secret)?, authenticator))
            }
            Kind::Account(since) => {
                let mut request = request.clone();
                let delay = now.since(*since).as_secs();
                request.add_number(Attribute::ACCT_DELAY_TIME, delay.try_into().unwrap_or(u32::MAX));
                request.seal_account(identifier, secret)
            }
        }
    }

    /// A number that no request to this server has.
    fn free(&mut self, server: SocketAddr) -> Option<(Lane, u8)> {
        (0..LANES).find_map(|number| self.free_on(Lane { server, number }))
    }

    /// The same on this socket.
    fn free_on(&mut self, lane: Lane) -> Option<(Lane, u8)> {
        (0..=u8::MAX).find_map(|_| {
            self.next = self.next.wrapping_add(1);
            let key = (lane, self.next);
            (!self.open.contains_key(&key) && !self.earlier.contains_key(&key)).then_some(key)
        })
    }

    /// Ends an exchange.
    fn close(&mut self, key: (Lane, u8)) -> Option<Open<T>> {
        let open = self.open.remove(&key)?;
        if matches!(open.exchange.kind, Kind::Account(_)) && open.sent > 1 {
            self.earlier.retain(|(lane, _), earlier| (*lane, earlier.number) != key);
        }
        Some(open)
    }

    /// Takes a packet. What is not the reply to a request is dropped: the right one may still come.
    pub(crate) fn hear(&mut self, lane: Lane, packet: &[u8]) {
        let Some(identifier) = packet.get(1).copied() else { return };
        let earlier = self.earlier.get(&(lane, identifier));
        let key = (lane, earlier.map_or(identifier, |earlier| earlier.number));
        let Some(open) = self.open.get(&key) else { return };
        let authenticator = earlier.map_or(&open.authenticator, |earlier| &earlier.authenticator);
        let Exchange { kind, secret, .. } = &open.exchange;
        let read = match kind {
            Kind::Access => reply(packet, identifier, authenticator, secret),
            Kind::Account(_) => acknowledgement(packet, identifier, authenticator, secret),
        };
        let Ok(packet) = read else { return };
        let Some(open) = self.close(key) else { return };
        self.dead.remove(&lane.server);
        let ended = Ended::Answered { packet, request: open.authenticator, server: lane.server };
        self.outputs.push_back(Output::Done(open.tag, ended));
    }

    /// Repeats what was not answered, and turns to the next server where that was in vain.
    pub(crate) fn expire(&mut self, now: Instant) {
        let due: Vec<(Lane, u8)> = self.open.iter().filter(|(_, open)| open.due <= now).map(|(key, _)| *key).collect();
        for key in due {
            let Some(open) = self.open.get_mut(&key) else { continue };
            if open.sent < TRIES {
                open.due = now + WAIT * 2u32.pow(open.sent);
                open.sent += 1;
                self.repeat(key, now);
            } else {
                self.dead.insert(key.0.server, now + DEAD);
                self.give_up(key, now);
            }
        }
    }

    /// Sends a request again. RFC 2866 §5.2: a record is older now, so it is another request, by another number.
    fn repeat(&mut self, key: (Lane, u8), now: Instant) {
        let is_record = self.open.get(&key).is_some_and(|open| matches!(open.exchange.kind, Kind::Account(_)));
        let free = if is_record { self.free_on(key.0) } else { None };
        let Some(mut open) = self.open.remove(&key) else { return };
        let mut number = key.1;
        if let Some(free) = free
            && let Some((packet, authenticator)) = self.seal(&open.exchange, free.1, now)
        {
            let on_lane = (key.0, 0)..=(key.0, u8::MAX);
            for (_, earlier) in self.earlier.range_mut(on_lane).filter(|(_, earlier)| earlier.number == number) {
                earlier.number = free.1;
            }
            self.earlier.insert(key, Earlier { number: free.1, authenticator: open.authenticator });
            (open.packet, open.authenticator, number) = (packet, authenticator, free.1);
        }
        self.outputs.push_back(Output::Send(key.0, open.packet.clone()));
        self.open.insert((key.0, number), open);
    }

    /// The system says that nobody is there.
    pub(crate) fn unreachable(&mut self, server: SocketAddr, now: Instant) {
        self.dead.insert(server, now + DEAD);
        let of_server: Vec<(Lane, u8)> = self.open.keys().filter(|(lane, _)| lane.server == server).copied().collect();
        of_server.into_iter().for_each(|key| self.give_up(key, now));
    }

    fn give_up(&mut self, key: (Lane, u8), now: Instant) {
        let Some(open) = self.close(key) else { return };
        let mut tried = open.tried;
        tried.push(key.0.server);
        self.turn_to(open.tag, open.exchange, tried, now);
    }

    /// What is to be done, in order.
    pub(crate) fn poll(&mut self) -> Option<Output<T>> {
        self.outputs.pop_front()
    }

    /// When [`Table::expire`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|open| open.due).min()
    }

    /// Whether a request is under way on this socket.
    pub(crate) fn uses(&self, lane: Lane) -> bool {
        self.open.range((lane, 0)..=(lane, u8::MAX)).next().is_some()
    }
}
