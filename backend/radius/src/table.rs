//! Requests under way: which server, which number, when to repeat, when to turn to another server.
//!
//! A request goes to the first server that is not known to be dead, is sent [`TRIES`] times, and then to the next one, as
//! long as no server has begun with the user: what one has begun, no other can go on with. A server that did not answer is
//! left out for [`DEAD`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ravelin_eap::Step;
use ravelin_eap::relay::{Relay, Relayed};
use ravelin_radius::{Request, reply};
use ravelin_wire::ike::v2::Eap;

/// How often a request is sent to one server.
pub(crate) const TRIES: u32 = 4;
/// How long the first answer may take; each repetition waits twice as long. Fifteen seconds in all.
pub(crate) const WAIT: Duration = Duration::from_secs(1);
/// How long a server that did not answer is left out.
pub(crate) const DEAD: Duration = Duration::from_secs(60);
/// Sockets to one server: a request has a number of eight bits, so each carries 256.
const LANES: u8 = 16;

/// A socket to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) server: SocketAddr,
    number: u8,
}

/// What is to be done.
pub(crate) enum Output<T> {
    /// Send this.
    Send(Lane, Vec<u8>),
    /// It is answered.
    Done(T, Relay, Step),
}

struct Open<T> {
    tag: T,
    relay: Relay,
    request: Request,
    /// Servers that were tried and did not answer.
    tried: Vec<SocketAddr>,
    authenticator: [u8; 16],
    packet: Vec<u8>,
    sent: u32,
    due: Instant,
}

pub(crate) struct Table<T> {
    open: BTreeMap<(Lane, u8), Open<T>>,
    dead: BTreeMap<SocketAddr, Instant>,
    outputs: VecDeque<Output<T>>,
    next: u8,
    random: fn(&mut [u8]),
}

impl<T> Table<T> {
    pub(crate) fn new(random: fn(&mut [u8])) -> Self {
        Table { open: BTreeMap::new(), dead: BTreeMap::new(), outputs: VecDeque::new(), next: 0, random }
    }

    /// Takes what a user said.
    pub(crate) fn ask(&mut self, tag: T, mut relay: Relay, heard: Option<&Eap>, now: Instant) {
        match relay.turn(heard) {
            Relayed::Step(step) => self.outputs.push_back(Output::Done(tag, relay, step)),
            Relayed::Ask(request) => self.turn_to(tag, relay, request, Vec::new(), now),
        }
    }

    /// Sends a request to the best server that was not tried.
    fn turn_to(&mut self, tag: T, mut relay: Relay, request: Request, tried: Vec<SocketAddr>, now: Instant) {
        self.dead.retain(|_, until| *until > now);
        let servers: Vec<SocketAddr> = match relay.server() {
            Some(bound) => vec![bound],
            None => relay.aaa().servers.clone(),
        };
        let left = || servers.iter().filter(|server| !tried.contains(server));
        // Where all are dead, one of them is tried all the same.
        let Some(server) = left().find(|server| !self.dead.contains_key(server)).or_else(|| left().next()).copied()
        else {
            let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
            let step = relay.failed(format!("no answer from the RADIUS server {}", names.join(" or ")));
            return self.outputs.push_back(Output::Done(tag, relay, step));
        };
        let mut authenticator = [0; 16];
        (self.random)(&mut authenticator);
        let key = self.free(server);
        let sealed = key.and_then(|key| Some((key, request.seal(key.1, &authenticator, &relay.aaa().secret)?)));
        let Some((key, packet)) = sealed else {
            let step = relay.failed("more than a RADIUS server or its packets can take");
            return self.outputs.push_back(Output::Done(tag, relay, step));
        };
        self.outputs.push_back(Output::Send(key.0, packet.clone()));
        let due = now + WAIT;
        self.open.insert(key, Open { tag, relay, request, tried, authenticator, packet, sent: 1, due });
    }

    /// A number that no request to this server has.
    fn free(&mut self, server: SocketAddr) -> Option<(Lane, u8)> {
        (0..LANES).find_map(|number| {
            let lane = Lane { server, number };
            (0..=u8::MAX).find_map(|_| {
                self.next = self.next.wrapping_add(1);
                (!self.open.contains_key(&(lane, self.next))).then_some((lane, self.next))
            })
        })
    }

    /// Takes a packet. What is not the reply to a request is dropped: the right one may still come.
    pub(crate) fn hear(&mut self, lane: Lane, packet: &[u8]) {
        let Some(identifier) = packet.get(1).copied() else { return };
        let Some(open) = self.open.get(&(lane, identifier)) else { return };
        let Ok(packet) = reply(packet, identifier, &open.authenticator, &open.relay.aaa().secret) else { return };
        let Some(mut open) = self.open.remove(&(lane, identifier)) else { return };
        self.dead.remove(&lane.server);
        let step = open.relay.reply(&packet, &open.authenticator, lane.server);
        self.outputs.push_back(Output::Done(open.tag, open.relay, step));
    }

    /// Repeats what was not answered, and turns to the next server where that was in vain.
    pub(crate) fn expire(&mut self, now: Instant) {
        let due: Vec<(Lane, u8)> = self.open.iter().filter(|(_, open)| open.due <= now).map(|(key, _)| *key).collect();
        for key in due {
            let Some(open) = self.open.get_mut(&key) else { continue };
            if open.sent < TRIES {
                open.due = now + WAIT * 2u32.pow(open.sent);
                open.sent += 1;
                self.outputs.push_back(Output::Send(key.0, open.packet.clone()));
            } else {
                self.dead.insert(key.0.server, now + DEAD);
                self.give_up(key, now);
            }
        }
    }

    /// The system says that nobody is there.
    pub(crate) fn unreachable(&mut self, server: SocketAddr, now: Instant) {
        self.dead.insert(server, now + DEAD);
        let of_server: Vec<(Lane, u8)> = self.open.keys().filter(|(lane, _)| lane.server == server).copied().collect();
        of_server.into_iter().for_each(|key| self.give_up(key, now));
    }

    fn give_up(&mut self, key: (Lane, u8), now: Instant) {
        let Some(open) = self.open.remove(&key) else { return };
        let mut tried = open.tried;
        tried.push(key.0.server);
        self.turn_to(open.tag, open.relay, open.request, tried, now);
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
