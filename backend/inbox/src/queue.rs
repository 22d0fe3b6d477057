//! IKE datagrams on their way to the daemon, in three queues. What belongs to an IKE SA that stands waits by itself, with a bound for
//! each of these; then what may belong to one that is being made; then what asks for one. A flood of messages from anywhere, first
//! ones or others, takes neither the room nor the turns of peers that are here, nor does one of these take those of another.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ravelin_types::{Carrier, IkeSpi, Way};

use crate::wake::Wake;

/// How many of each kind wait; more are dropped and counted. First messages that wait for long would be answered when nobody
/// listens any more.
const ROOM: usize = 256;
/// How many of those that belong to one IKE SA wait: a message in fragments, or a window of requests.
const ROOM_OF_ONE: u8 = 64;
/// One of so many turns is that of first messages, and one that of others without an IKE SA: a flood of what comes before does not
/// stop them.
const TURNS: u8 = 8;
/// Where a header has both SPIs, and that of the responder, which a first message does not know (RFC 7296 §3.1).
const SPIS: usize = 16;
const RESPONDER: usize = 8;

/// The SPIs of an IKE SA as headers have them.
type Spis = [u8; SPIS];

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

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of an IKE SA that stands.
    Here,
    /// Of one that may be being made.
    Later,
    /// It asks for one.
    First,
}

/// What both ends have.
#[derive(Default)]
struct Shared {
    /// The IKE SAs that stand, and how many messages of each wait.
    here: Mutex<HashMap<Spis, u8>>,
    /// How many were dropped, by kind.
    dropped: [AtomicU64; 3],
}

/// The end of a thread that reads sockets; there may be several.
#[derive(Clone)]
pub struct IkeSender {
    queues: [SyncSender<IkeDatagram>; 3],
    ready: Wake,
    shared: Arc<Shared>,
}

/// The end of the daemon's thread.
pub struct IkeReceiver {
    queues: [Receiver<IkeDatagram>; 3],
    ready: Wake,
    shared: Arc<Shared>,
    /// Counts the turns.
    turn: Cell<u8>,
}

/// The two ends.
///
/// # Errors
/// The system has no descriptor left.
pub fn ike_queue() -> std::io::Result<(IkeSender, IkeReceiver)> {
    let (ready, shared) = (Wake::new()?, Arc::<Shared>::default());
    let [here, later, first] = [(); 3].map(|()| sync_channel(ROOM));
    let sender = IkeSender { queues: [here.0, later.0, first.0], ready: ready.clone(), shared: shared.clone() };
    Ok((sender, IkeReceiver { queues: [here.1, later.1, first.1], ready, shared, turn: Cell::new(0) }))
}

impl Shared {
    fn here(&self) -> MutexGuard<'_, HashMap<Spis, u8>> {
        // Numbers alone, which are whole at any time.
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a message waits; `false`: enough of its IKE SA do.
    fn sort(&self, data: &[u8]) -> (Kind, bool) {
        let Some(spis) = data.first_chunk::<SPIS>().filter(|spis| spis[RESPONDER..] != [0; RESPONDER]) else {
            return (Kind::First, true);
        };
        match self.here().get_mut(spis) {
            None => (Kind::Later, true),
            Some(waiting) if *waiting < ROOM_OF_ONE => {
                *waiting += 1;
                (Kind::Here, true)
            }
            Some(_) => (Kind::Here, false),
        }
    }

    /// One of its IKE SA waits no longer.
    fn left(&self, data: &[u8]) {
        let mut here = self.here();
        if let Some(waiting) = data.first_chunk::<SPIS>().and_then(|spis| here.get_mut(spis)) {
            *waiting = waiting.saturating_sub(1);
        }
    }
}

impl IkeSender {
    /// Gives an IKE datagram to the daemon, unless too many of its kind wait already.
    pub fn hand_up(&self, way: Way, data: &[u8]) {
        let Way { local, remote, carrier } = way;
        let (kind, room) = self.shared.sort(data);
        let datagram = || IkeDatagram { local, remote, carrier, data: data.to_vec() };
        if room && self.queues[kind as usize].try_send(datagram()).is_ok() {
            return self.ready.set();
        }
        self.shared.dropped[kind as usize].fetch_add(1, Ordering::Relaxed);
        if room && kind == Kind::Here {
            self.shared.left(data);
        }
    }
}

impl IkeReceiver {
    /// An IKE SA stands, or does no longer.
    pub fn note(&self, (initiator, responder): (IkeSpi, IkeSpi), stands: bool) {
        let mut spis = [0; SPIS];
        spis[..RESPONDER].copy_from_slice(&initiator.0.to_be_bytes());
        spis[RESPONDER..].copy_from_slice(&responder.0.to_be_bytes());
        let mut here = self.shared.here();
        match stands {
            true => _ = here.entry(spis).or_default(),
            false => _ = here.remove(&spis),
        }
    }

    /// The next one: oldest first, of IKE SAs that stand before others, and those that ask for one last, but for a turn now and then.
    pub fn next(&self) -> Option<IkeDatagram> {
        self.turn.set((self.turn.get() + 1) % TURNS);
        let order = match self.turn.get() {
            0 => [Kind::First, Kind::Here, Kind::Later],
            1 => [Kind::Later, Kind::Here, Kind::First],
            _ => [Kind::Here, Kind::Later, Kind::First],
        };
        let next = || {
            let (kind, datagram) =
                order.into_iter().find_map(|kind| Some((kind, self.queues[kind as usize].try_recv().ok()?)))?;
            if kind == Kind::Here {
                self.shared.left(&datagram.data);
            }
            Some(datagram)
        };
        // The descriptor is cleared before the queues are found empty for the second time: nothing is left behind unnoticed.
        next().or_else(|| {
            self.ready.clear();
            next().inspect(|_| self.ready.set())
        })
    }

    /// How many found no room, by name.
    pub fn counters(&self) -> [(&'static str, u64); 3] {
        let dropped = |kind: Kind| self.shared.dropped[kind as usize].load(Ordering::Relaxed);
        [
            ("first IKE messages while too many waited", dropped(Kind::First)),
            ("later IKE messages while too many waited", dropped(Kind::Later)),
            ("IKE messages of IKE SAs while too many waited", dropped(Kind::Here)),
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
        assert_eq!(receiver.counters().map(|(_, count)| count), [2, 0, 0]);
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

    // A flood of messages with invented SPIs, and of one IKE SA's, whoever sends them.
    #[test]
    fn what_belongs_to_an_ike_sa_waits_by_itself() {
        let (sender, receiver) = ike_queue().unwrap();
        let way = Way::udp("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
        let message = |initiator: u64, responder: u64, number: u8| {
            [&initiator.to_be_bytes()[..], &responder.to_be_bytes(), &[number]].concat()
        };
        let spis = |number: u64| (IkeSpi(number), IkeSpi(number + 100));
        for number in [1, 2] {
            receiver.note(spis(number), true);
        }
        for number in 0..2 * ROOM as u64 {
            sender.hand_up(way, &message(number + 1000, 7, 0));
            sender.hand_up(way, &message(1, 101, 1));
        }
        sender.hand_up(way, &message(2, 102, 2));
        // One SPI is not both of them.
        sender.hand_up(way, &message(2, 101, 3));
        let dropped = receiver.counters().map(|(_, count)| count);
        assert_eq!(dropped, [0, ROOM as u64 + 1, 2 * ROOM as u64 - u64::from(ROOM_OF_ONE)]);
        let got: Vec<u8> = std::iter::from_fn(|| receiver.next()).map(|datagram| datagram.data[16]).collect();
        let at = got.iter().position(|number| *number == 2).unwrap();
        assert!(at < usize::from(ROOM_OF_ONE) * 5 / 4, "behind {at}");
        assert_eq!(got.len(), ROOM + usize::from(ROOM_OF_ONE) + 1);
        // There is room again, until the IKE SA is gone.
        sender.hand_up(way, &message(1, 101, 1));
        assert!(receiver.next().is_some());
        sender.hand_up(way, &message(1, 101, 1));
        receiver.note(spis(1), false);
        sender.hand_up(way, &message(1, 101, 1));
        assert_eq!(std::iter::from_fn(|| receiver.next()).count(), 2);
        assert!(receiver.shared.here().values().all(|waiting| *waiting == 0));
    }
}
