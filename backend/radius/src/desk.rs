//! Who asked for an exchange, and what its end means to him: a turn of EAP, or a record of an account.

use std::collections::VecDeque;
use std::net::SocketAddr;

use ravelin_eap::Step;
use ravelin_eap::relay::{Relay, Relayed};
use ravelin_types::Instant;
use ravelin_wire::ike::v2::Eap;

use crate::accounts::{Accounts, Record};
use crate::table::{self, Ended, Exchange, Kind, Lane, Table};

/// What is to be done.
pub enum Output<T> {
    /// Send this.
    Send(Lane, Vec<u8>),
    /// A turn has ended.
    Turned(T, Relay, Step),
    /// Something about accounts that an operator wants to know.
    Trouble(String),
}

enum Asker<T> {
    Turn(T, Relay),
    /// Of this session.
    Record(String),
}

/// Everything under way.
pub struct Desk<T> {
    table: Table<Asker<T>>,
    accounts: Accounts,
    said: VecDeque<Output<T>>,
}

impl<T> Desk<T> {
    /// Nothing is under way. `random` fills with unpredictable octets.
    pub fn new(random: fn(&mut [u8])) -> Self {
        Desk { table: Table::new(random), accounts: Accounts::default(), said: VecDeque::new() }
    }

    /// Takes what a user said.
    pub fn ask(&mut self, tag: T, mut relay: Relay, heard: Option<&Eap>, now: Instant) {
        match relay.turn(heard) {
            Relayed::Step(step) => self.said.push_back(Output::Turned(tag, relay, step)),
            Relayed::Ask(request) => {
                // What a server has begun, no other can go on with.
                let servers = relay.server().map_or_else(|| relay.aaa().servers.clone(), |server| vec![server]);
                let secret = relay.aaa().secret.clone();
                let exchange = Exchange { kind: Kind::Access, request, servers, secret };
                self.table.ask(Asker::Turn(tag, relay), exchange, now);
            }
        }
    }

    /// Takes a record.
    pub(crate) fn record(&mut self, record: Record, now: Instant) {
        if let Err(lost) = self.accounts.add(record, now) {
            self.said.push_back(Output::Trouble(format!("{} is lost: too many records wait for a server", lost.about)));
        }
    }

    /// Takes a packet of a server.
    pub fn hear(&mut self, lane: Lane, packet: &[u8]) {
        self.table.hear(lane, packet);
    }

    /// Does what is due.
    pub fn expire(&mut self, now: Instant) {
        self.table.expire(now);
    }

    /// The system says that nobody is there.
    pub fn unreachable(&mut self, server: SocketAddr, now: Instant) {
        self.table.unreachable(server, now);
    }

    /// What is to be done, in order.
    pub fn poll(&mut self, now: Instant) -> Option<Output<T>> {
        loop {
            if let Some(said) = self.said.pop_front() {
                return Some(said);
            }
            while let Some((session, exchange)) = self.accounts.next(now) {
                self.table.ask(Asker::Record(session), exchange, now);
            }
            match self.table.poll()? {
                table::Output::Send(lane, packet) => return Some(Output::Send(lane, packet)),
                table::Output::Done(Asker::Turn(tag, mut relay), ended) => {
                    let step = match ended {
                        Ended::Answered { packet, request, server } => relay.reply(&packet, &request, server),
                        Ended::Silent(servers) => relay.failed(silent(&servers)),
                        Ended::Unfit => relay.failed("more than a RADIUS server or its packets can take"),
                    };
                    return Some(Output::Turned(tag, relay, step));
                }
                table::Output::Done(Asker::Record(session), Ended::Answered { .. }) => self.accounts.taken(&session),
                table::Output::Done(Asker::Record(session), ended) => {
                    let why = match ended {
                        Ended::Silent(servers) => silent(&servers),
                        _ => "more than a RADIUS server or its packets can take".to_owned(),
                    };
                    let trouble = match self.accounts.in_vain(&session, now) {
                        Some(lost) => format!("{} is lost: {why}", lost.about),
                        None => format!("the account of session {session} waits: {why}"),
                    };
                    return Some(Output::Trouble(trouble));
                }
            }
        }
    }

    /// When [`Desk::expire`] or [`Desk::poll`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        [self.table.deadline(), self.accounts.deadline()].into_iter().flatten().min()
    }

    /// Whether a request is under way on this socket.
    pub(crate) fn uses(&self, lane: Lane) -> bool {
        self.table.uses(lane)
    }

    /// The records that no server has, once none is under way.
    pub(crate) fn left(&self) -> Option<usize> {
        self.accounts.is_settled().then(|| self.accounts.len())
    }
}

fn silent(servers: &[SocketAddr]) -> String {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    format!("no answer from the RADIUS server {}", names.join(" or "))
}
