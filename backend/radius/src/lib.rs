//! Asks RADIUS servers for the authenticators that relay EAP, gives them accounts of sessions, and hears who wants sessions
//! ended: one thread with the sockets, the clock and the repetition. It never blocks on one server or one user: whoever asks
//! goes on, and hears when there is an answer.
//!
//! ```text
//!   Client ─ turns, records ──► desk ─► table ─► sockets ─► servers          desk: what an exchange is for
//!          ◄─ Heard ──────────  desk ◄─ table ◄─ sockets ◄─ servers          table: repetition and failover
//!          ◄─ Heard::Demand ──  door ◄─ UDP port 3799 ◄─ authorizers         door: who may ask, and once
//! ```
//! [`Client`] is the thread and the way to it. [`table`], [`accounts`] and [`door`] decide without a socket or a clock; [`table`]
//! is read first. Who has sockets and a clock of his own takes the [`Desk`] without the thread.
#![forbid(unsafe_code)]

mod accounts;
mod desk;
mod door;
mod listener;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ravelin_eap::Step;
use ravelin_eap::relay::Relay;
use ravelin_radius::Attribute;
use ravelin_types::Instant;
use ravelin_wire::ike::v2::Eap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use self::accounts::Record;
pub use self::desk::{Desk, Output};
pub use self::door::{Authorizer, Demand, Verdict};
use self::listener::Listener;
pub use self::table::{LANES, Lane};

/// What the thread is given.
enum Work<T> {
    /// What a user said, with the conversation and whatever the asker knows it by.
    Turn(T, Relay, Option<Eap>),
    Record(Record),
    Authorizers(Vec<Authorizer>),
    Verdict(Demand, Verdict),
    /// Say so when every record is with a server, and how many cannot be.
    Settle(Sender<usize>),
}

/// What the thread says.
pub enum Heard<T> {
    /// A turn has ended.
    Turned(T, Relay, Step),
    /// Somebody wants sessions ended or changed; to be answered with [`Client::judge`].
    Demand(Demand),
    /// What an operator wants to know.
    Trouble(String),
}

/// The thread.
pub struct Client<T> {
    to_thread: Sender<Work<T>>,
    wake: UnixStream,
}

impl<T: Send + 'static> Client<T> {
    /// Starts the thread. `random` fills with unpredictable octets; `hear` hears from the thread what comes of everything, and
    /// says whether anybody still listens.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(random: fn(&mut [u8]), hear: impl FnMut(Heard<T>) -> bool + Send + 'static) -> std::io::Result<Self> {
        let (to_thread, work) = channel();
        let (wake, waken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waken.set_nonblocking(true)?;
        thread::Builder::new().name("radius".into()).spawn(move || serve(&work, &waken, random, hear))?;
        Ok(Client { to_thread, wake })
    }

    /// Hands over a turn. Dropped when the thread has ended, which it does with whoever hears of its answers.
    pub fn ask(&self, tag: T, relay: Relay, heard: Option<Eap>) {
        self.give(Work::Turn(tag, relay, heard));
    }

    /// Hands over a record of an account, which is about now.
    pub fn record(&self, mut record: Record) {
        // RFC 2869 §5.3.
        record.request.add_number(Attribute::EVENT_TIMESTAMP, clock().try_into().unwrap_or(u32::MAX));
        self.give(Work::Record(record));
    }

    /// Those who may end and change sessions from now on; with none, nobody listens.
    pub fn listen(&self, authorizers: Vec<Authorizer>) {
        self.give(Work::Authorizers(authorizers));
    }

    /// Answers a demand.
    pub fn judge(&self, demand: Demand, verdict: Verdict) {
        self.give(Work::Verdict(demand, verdict));
    }

    /// Waits until the records handed over are with servers. How many are not; `None`: it took too long.
    pub fn settle(&self, patience: Duration) -> Option<usize> {
        let (done, settled) = channel();
        self.give(Work::Settle(done));
        settled.recv_timeout(patience).ok()
    }

    fn give(&self, work: Work<T>) {
        if self.to_thread.send(work).is_ok() {
            // A full pipe wakes as well.
            let _ = (&self.wake).write(&[1]);
        }
    }
}

fn serve<T>(
    work: &Receiver<Work<T>>,
    mut wake: &UnixStream,
    random: fn(&mut [u8]),
    mut hear: impl FnMut(Heard<T>) -> bool,
) {
    let start = std::time::Instant::now();
    let passed = || Instant::from_duration(start.elapsed());
    let mut desk = Desk::new(random);
    let mut listener = Listener::default();
    let mut sockets: BTreeMap<Lane, UdpSocket> = BTreeMap::new();
    let mut settling: Vec<Sender<usize>> = Vec::new();
    loop {
        let mut bytes = [0; 256];
        loop {
            match wake.read(&mut bytes) {
                // Whoever asks is gone.
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let now = passed();
        let mut heard = Vec::new();
        for work in work.try_iter() {
            match work {
                Work::Turn(tag, relay, heard) => desk.ask(tag, relay, heard.as_ref(), now),
                Work::Record(record) => desk.record(record, now),
                Work::Authorizers(authorizers) => heard.extend(listener.admit(authorizers).map(Heard::Trouble)),
                Work::Verdict(demand, verdict) => listener.answer(&demand, verdict),
                Work::Settle(done) => settling.push(done),
            }
        }
        listen(&mut desk, &sockets, now);
        desk.expire(now);
        while let Some(output) = desk.poll(now) {
            match output {
                Output::Send(lane, packet) => {
                    if send(&mut sockets, lane, &packet).is_err() {
                        desk.unreachable(lane.server, now);
                    }
                }
                Output::Turned(tag, relay, step) => heard.push(Heard::Turned(tag, relay, step)),
                Output::Trouble(trouble) => heard.push(Heard::Trouble(trouble)),
            }
        }
        listener.hear(now, &mut |it| heard.push(it));
        for it in heard {
            if !hear(it) {
                return;
            }
        }
        if let Some(left) = desk.left() {
            // Who does not wait any more does not hear it.
            settling.drain(..).for_each(|done| _ = done.send(left));
        }
        // A socket without a request is closed: a late reply finds nobody, and the next one has another port.
        sockets.retain(|lane, _| desk.uses(*lane));
        let left = desk.deadline().map(|deadline| deadline.since(passed()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let all = sockets.values().chain(listener.socket());
        let mut fds: Vec<PollFd<'_>> = all.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        fds.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        // An interrupted wait is one that was short.
        let _ = poll(&mut fds, timeout.as_ref());
    }
}

/// Seconds since 1970.
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn send(sockets: &mut BTreeMap<Lane, UdpSocket>, lane: Lane, packet: &[u8]) -> std::io::Result<()> {
    let socket = match sockets.entry(lane) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(free) => free.insert(open(lane.server)?),
    };
    match socket.send(packet) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        // What a full queue loses is sent again.
        _ => Ok(()),
    }
}

fn open(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // Only the server's own packets come in, and its refusals are heard.
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen<T>(desk: &mut Desk<T>, sockets: &BTreeMap<Lane, UdpSocket>, now: Instant) {
    let mut packet = [0; 4096];
    for (lane, socket) in sockets {
        loop {
            match socket.recv(&mut packet) {
                Ok(length) => desk.hear(*lane, packet.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    desk.unreachable(lane.server, now);
                    break;
                }
            }
        }
    }
}
