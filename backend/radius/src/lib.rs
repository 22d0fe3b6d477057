//! Asks RADIUS servers for the authenticators that relay EAP: one thread with the sockets, the clock and the repetition. It
//! never blocks on one server or one user: whoever asks goes on, and hears when there is an answer.
//!
//! [`Client`] is the thread and the way to it; [`table`] decides without a socket or a clock, and is read first.
#![forbid(unsafe_code)]

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
use std::time::Instant;

use ravelin_eap::Step;
use ravelin_eap::relay::Relay;
use ravelin_wire::ike::v2::Eap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::table::{Lane, Output, Table};

/// What a user said, with the conversation and whatever the asker knows it by.
type Work<T> = (T, Relay, Option<Eap>);

/// The thread.
pub struct Client<T> {
    to_thread: Sender<Work<T>>,
    wake: UnixStream,
}

impl<T: Send + 'static> Client<T> {
    /// Starts the thread. `random` fills with unpredictable octets; `done` hears of each turn, from the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(
        random: fn(&mut [u8]),
        done: impl FnMut(T, Relay, Step) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let (to_thread, work) = channel();
        let (wake, waken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waken.set_nonblocking(true)?;
        thread::Builder::new().name("radius".into()).spawn(move || serve(&work, &waken, random, done))?;
        Ok(Client { to_thread, wake })
    }

    /// Hands over a turn. Dropped when the thread has ended, which it does with whoever hears of its answers.
    pub fn ask(&self, tag: T, relay: Relay, heard: Option<Eap>) {
        if self.to_thread.send((tag, relay, heard)).is_ok() {
            // A full pipe wakes as well.
            let _ = (&self.wake).write(&[1]);
        }
    }
}

fn serve<T>(
    work: &Receiver<Work<T>>,
    mut wake: &UnixStream,
    random: fn(&mut [u8]),
    mut done: impl FnMut(T, Relay, Step) -> bool,
) {
    let mut table = Table::new(random);
    let mut sockets: BTreeMap<Lane, UdpSocket> = BTreeMap::new();
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
        let now = Instant::now();
        for (tag, relay, heard) in work.try_iter() {
            table.ask(tag, relay, heard.as_ref(), now);
        }
        hear(&mut table, &sockets, now);
        table.expire(now);
        while let Some(output) = table.poll() {
            match output {
                Output::Send(lane, packet) => {
                    if send(&mut sockets, lane, &packet).is_err() {
                        table.unreachable(lane.server, now);
                    }
                }
                Output::Done(tag, relay, step) => {
                    if !done(tag, relay, step) {
                        return;
                    }
                }
            }
        }
        // A socket without a request is closed: a late reply finds nobody, and the next one has another port.
        sockets.retain(|lane, _| table.uses(*lane));
        let left = table.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds: Vec<PollFd<'_>> = sockets.values().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        fds.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        // An interrupted wait is one that was short.
        let _ = poll(&mut fds, timeout.as_ref());
    }
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

fn hear<T>(table: &mut Table<T>, sockets: &BTreeMap<Lane, UdpSocket>, now: Instant) {
    let mut packet = [0; 4096];
    for (lane, socket) in sockets {
        loop {
            match socket.recv(&mut packet) {
                Ok(length) => table.hear(*lane, packet.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    table.unreachable(lane.server, now);
                    break;
                }
            }
        }
    }
}
