//! IKE datagrams on their way to the daemon. What asks for an IKE SA waits by itself, behind what may belong to one: a flood of first
//! messages from anywhere takes neither the room nor the turns of peers that are here, or have got as far as a second message.

use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use ravelin_types::{Carrier, Way};

use crate::wake::Wake;

/// How many of each kind wait; more are dropped and counted. First messages that wait for long would be answered when nobody
/// listens any more.
const ROOM: usize = 256;
/// One of so many turns is that of first messages: a flood of the others, which come from anywhere too, does not stop them.
const TURNS: u8 = 8;
/// Where a header has the SPI of the responder, which a first message does not know (RFC 7296 §3.1).
const RESPONDER: std::ops::Range<usize> = 8..16;

/// An IKE message without the non-ESP marker (RFC 3948 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeDatagram {
    /// Our address; the port tells whether it is the NAT-traversal one.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// What it came in.
    pub carrier: Carrier,
    /// The IKE message.
    pub data: Vec<u8>,
}

/// How many were dropped: first messages, and others.
#[derive(Default)]
struct Dropped {
    first: AtomicU64,
    later: AtomicU64,
}

/// The end of a thread that reads sockets; there may be several.
#[derive(Clone)]
pub struct IkeSender {
    later: SyncSender<IkeDatagram>,
    first: SyncSender<IkeDatagram>,
    ready: Wake,
    dropped: Arc<Dropped>,
}

/// The end of the daemon's thread.
pub struct IkeReceiver {
    later: Receiver<IkeDatagram>,
    first: Receiver<IkeDatagram>,
    ready: Wake,
    dropped: Arc<Dropped>,
    /// Counts the turns.
    turn: Cell<u8>,
}

/// The two ends.
///
/// # Errors
/// The system has no descriptor left.
pub fn ike_queue() -> std::io::Result<(IkeSender, IkeReceiver)> {
    let ready = Wake::new()?;
    let ((to_later, later), (to_first, first)) = (sync_channel(ROOM), sync_channel(ROOM));
    let dropped = Arc::<Dropped>::default();
    let sender = IkeSender { later: to_later, first: to_first, ready: ready.clone(), dropped: dropped.clone() };
    Ok((sender, IkeReceiver { later, first, ready, dropped, turn: Cell::new(0) }))
}

impl IkeSender {
    /// Gives an IKE datagram to the daemon, unless too many of its kind wait already.
    pub fn hand_up(&self, way: Way, data: &[u8]) {
        let Way { local, remote, carrier } = way;
        let is_first = data.get(RESPONDER).is_none_or(|spi| spi == [0; 8]);
        let (queue, dropped) = match is_first {
            true => (&self.first, &self.dropped.first),
            false => (&self.later, &self.dropped.later),
        };
        match queue.try_send(IkeDatagram { local, remote, carrier, data: data.to_vec() }) {
            Ok(()) => self.ready.set(),
            Err(_) => drop(dropped.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

impl IkeReceiver {
    /// The next one: oldest first, those that ask for an IKE SA seldom before others.
    pub fn next(&self) -> Option<IkeDatagram> {
        self.turn.set((self.turn.get() + 1) % TURNS);
        let next = || match self.turn.get() {
            0 => self.first.try_recv().or_else(|_| self.later.try_recv()).ok(),
            _ => self.later.try_recv().or_else(|_| self.first.try_recv()).ok(),
        };
        // The descriptor is cleared before the queue is found empty for the second time: nothing is left behind unnoticed.
        next().or_else(|| {
            self.ready.clear();
            next().inspect(|_| self.ready.set())
        })
    }

    /// How many found no room, by name.
    pub fn counters(&self) -> [(&'static str, u64); 2] {
        [
            ("first IKE messages while too many waited", self.dropped.first.load(Ordering::Relaxed)),
            ("later IKE messages while too many waited", self.dropped.later.load(Ordering::Relaxed)),
        ]
    }
}

impl AsFd for IkeReceiver {
    /// Readable while there is something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_messages_take_neither_room_nor_turn_of_others() {
        let (sender, receiver) = ike_queue().unwrap();
        let way = Way::udp("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
        let message = |responder: u8, number: u8| [[0, 0, 0, 0, 0, 0, 0, number], [responder; 8]].concat();
        for _ in 0..=ROOM {
            sender.hand_up(way, &message(0, 1));
        }
        // What is too short for a header is nobody's.
        sender.hand_up(way, &[1, 2, 3]);
        sender.hand_up(way, &message(7, 2));
        sender.hand_up(way, &message(7, 3));
        assert_eq!(receiver.counters().map(|(_, count)| count), [2, 0]);
        let numbers: Vec<u8> = std::iter::from_fn(|| receiver.next()).map(|datagram| datagram.data[7]).collect();
        assert_eq!((numbers.len(), &numbers[..3]), (ROOM + 2, &[2, 3, 1][..]));

        // Nor do others stop them.
        for _ in 0..TURNS {
            sender.hand_up(way, &message(7, 4));
        }
        sender.hand_up(way, &message(0, 5));
        let numbers: Vec<u8> = (0..TURNS).filter_map(|_| receiver.next()).map(|datagram| datagram.data[7]).collect();
        assert_eq!(numbers.iter().filter(|number| **number == 5).count(), 1);
    }
}
