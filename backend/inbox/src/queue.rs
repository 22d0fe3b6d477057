//! IKE datagrams on their way to the daemon, in four queues. What belongs to an IKE SA that stands waits by itself, with a bound for
//! each of these; so does what belongs to one that is being made; then come what belongs to neither, and what asks for one. A flood of
//! messages from anywhere, first ones or others, takes neither the room nor the turns of peers that are here or have had an answer,
//! nor does one of these take those of another.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
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
/// The same of one that is being made: a message in fragments, with the certificates of a chain.
const ROOM_OF_COMING: u8 = 32;
/// How many IKE SAs that are being made are known. The endpoint has fewer half open (`HALF_OPEN` of its limits); those that come to
/// nothing make room here by their age.
const COMING: usize = 8192;
/// One of so many turns is that of each kind that comes behind others: a flood of what comes before does not stop it.
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
    /// Of one that is being made.
    Coming,
    /// Of none that is known.
    Later,
    /// It asks for one.
    First,
}

/// How far an IKE SA is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is being made: the peer has had an answer of ours.
    Coming,
    /// It stands.
    Here,
    /// It is not there any more.
    Gone,
}

/// The IKE SAs that are known, each with how many of its messages wait.
#[derive(Default)]
struct Known {
    here: HashMap<Spis, u8>,
    coming: HashMap<Spis, u8>,
    /// These by age. One that stands by now, or is gone, may still be named.
    ages: VecDeque<Spis>,
}

impl Known {
    /// Where messages of this IKE SA wait, how many do, and how many may.
    fn of(&mut self, spis: &Spis) -> Option<(Kind, &mut u8, u8)> {
        match self.here.get_mut(spis) {
            Some(waiting) => Some((Kind::Here, waiting, ROOM_OF_ONE)),
            None => self.coming.get_mut(spis).map(|waiting| (Kind::Coming, waiting, ROOM_OF_COMING)),
        }
    }

    fn note(&mut self, spis: Spis, progress: Progress) {
        match progress {
            Progress::Coming if self.here.contains_key(&spis) || self.coming.contains_key(&spis) => {}
            Progress::Coming => {
                if self.ages.len() == COMING
                    && let Some(oldest) = self.ages.pop_front()
                {
                    self.coming.remove(&oldest);
                }
                self.ages.push_back(spis);
                self.coming.insert(spis, 0);
            }
            Progress::Here => {
                let waiting = self.coming.remove(&spis).unwrap_or(0);
                self.here.entry(spis).or_insert(waiting);
            }
            Progress::Gone => {
                self.coming.remove(&spis);
                self.here.remove(&spis);
            }
        }
    }
}

/// What both ends have.
#[derive(Default)]
struct Shared {
    known: Mutex<Known>,
    /// How many were dropped, by kind.
    dropped: [AtomicU64; 4],
}

/// The end of a thread that reads sockets; there may be several.
#[derive(Clone)]
pub struct IkeSender {
    queues: [SyncSender<IkeDatagram>; 4],
    ready: Wake,
    shared: Arc<Shared>,
}

/// The end of the daemon's thread.
pub struct IkeReceiver {
    queues: [Receiver<IkeDatagram>; 4],
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
    let [here, coming, later, first] = [(); 4].map(|()| sync_channel(ROOM));
    let (senders, queues) = ([here.0, coming.0, later.0, first.0], [here.1, coming.1, later.1, first.1]);
    let sender = IkeSender { queues: senders, ready: ready.clone(), shared: shared.clone() };
    Ok((sender, IkeReceiver { queues, ready, shared, turn: Cell::new(0) }))
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Numbers alone, which are whole at any time.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a message waits; `false`: enough of its IKE SA do.
    fn sort(&self, data: &[u8]) -> (Kind, bool) {
        let Some(spis) = data.first_chunk::<SPIS>().filter(|spis| spis[RESPONDER..] != [0; RESPONDER]) else {
            return (Kind::First, true);
        };
        match self.known().of(spis) {
            None => (Kind::Later, true),
            Some((kind, waiting, room)) => {
                let there_is = *waiting < room;
                *waiting += u8::from(there_is);
                (kind, there_is)
            }
        }
    }

    /// One of its IKE SA waits no longer.
    fn left(&self, data: &[u8]) {
        let mut known = self.known();
        if let Some((_, waiting, _)) = data.first_chunk::<SPIS>().and_then(|spis| known.of(spis)) {
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
        if room {
            self.shared.left(data);
        }
    }
}

impl IkeReceiver {
    /// An IKE SA is so far now.
    pub fn note(&self, (initiator, responder): (IkeSpi, IkeSpi), progress: Progress) {
        let mut spis = [0; SPIS];
        spis[..RESPONDER].copy_from_slice(&initiator.0.to_be_bytes());
        spis[RESPONDER..].copy_from_slice(&responder.0.to_be_bytes());
        self.shared.known().note(spis, progress);
    }

    /// The next one: oldest first, of IKE SAs that stand before those that are being made, others behind, and what asks for one
    /// last, but for a turn now and then.
    pub fn next(&self) -> Option<IkeDatagram> {
        self.turn.set((self.turn.get() + 1) % TURNS);
        let order = match self.turn.get() {
            0 => [Kind::First, Kind::Here, Kind::Coming, Kind::Later],
            1 => [Kind::Later, Kind::Here, Kind::Coming, Kind::First],
            2 => [Kind::Coming, Kind::Here, Kind::Later, Kind::First],
            _ => [Kind::Here, Kind::Coming, Kind::Later, Kind::First],
        };
        let next = || {
            let datagram = order.into_iter().find_map(|kind| self.queues[kind as usize].try_recv().ok())?;
            self.shared.left(&datagram.data);
            Some(datagram)
        };
        // The descriptor is cleared before the queues are found empty for the second time: nothing is left behind unnoticed.
        next().or_else(|| {
            self.ready.clear();
            next().inspect(|_| self.ready.set())
        })
    }

    /// How many found no room, by name.
    pub fn counters(&self) -> [(&'static str, u64); 4] {
        let dropped = |kind: Kind| self.shared.dropped[kind as usize].load(Ordering::Relaxed);
        [
            ("first IKE messages while too many waited", dropped(Kind::First)),
            ("later IKE messages while too many waited", dropped(Kind::Later)),
            ("IKE messages of IKE SAs being made while too many waited", dropped(Kind::Coming)),
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
        assert_eq!(receiver.counters().map(|(_, count)| count), [2, 0, 0, 0]);
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
            receiver.note(spis(number), Progress::Here);
        }
        for number in 0..2 * ROOM as u64 {
            sender.hand_up(way, &message(number + 1000, 7, 0));
            sender.hand_up(way, &message(1, 101, 1));
        }
        sender.hand_up(way, &message(2, 102, 2));
        // One SPI is not both of them.
        sender.hand_up(way, &message(2, 101, 3));
        let dropped = receiver.counters().map(|(_, count)| count);
        assert_eq!(dropped, [0, ROOM as u64 + 1, 0, 2 * ROOM as u64 - u64::from(ROOM_OF_ONE)]);
        let got: Vec<u8> = std::iter::from_fn(|| receiver.next()).map(|datagram| datagram.data[16]).collect();
        let at = got.iter().position(|number| *number == 2).unwrap();
        assert!(at < usize::from(ROOM_OF_ONE) * 5 / 4, "behind {at}");
        assert_eq!(got.len(), ROOM + usize::from(ROOM_OF_ONE) + 1);
        // There is room again, until the IKE SA is gone.
        sender.hand_up(way, &message(1, 101, 1));
        assert!(receiver.next().is_some());
        sender.hand_up(way, &message(1, 101, 1));
        receiver.note(spis(1), Progress::Gone);
        sender.hand_up(way, &message(1, 101, 1));
        assert_eq!(std::iter::from_fn(|| receiver.next()).count(), 2);
        assert!(receiver.shared.known().here.values().all(|waiting| *waiting == 0));
    }
    // Strangers with invented SPIs, and one who has begun an IKE SA and floods.
    #[test]
    fn who_has_had_an_answer_does_not_wait_with_strangers() {
        let (sender, receiver) = ike_queue().unwrap();
        let way = Way::udp("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
        let message = |initiator: u64, number: u8| {
            [&initiator.to_be_bytes()[..], &(initiator + 100).to_be_bytes(), &[number]].concat()
        };
        let spis = |number: u64| (IkeSpi(number), IkeSpi(number + 100));
        for number in [1, 2, 3] {
            receiver.note(spis(number), Progress::Coming);
        }
        receiver.note(spis(3), Progress::Here);
        for number in 0..2 * ROOM as u64 {
            sender.hand_up(way, &message(number + 1000, 0));
            sender.hand_up(way, &message(1, 1));
        }
        sender.hand_up(way, &message(2, 2));
        sender.hand_up(way, &message(3, 3));
        let dropped = receiver.counters().map(|(_, count)| count);
        assert_eq!(dropped, [0, ROOM as u64, 2 * ROOM as u64 - u64::from(ROOM_OF_COMING), 0]);
        let got: Vec<u8> = std::iter::from_fn(|| receiver.next()).map(|datagram| datagram.data[16]).collect();
        let at = |number| got.iter().position(|other| *other == number).unwrap();
        assert!(at(3) < 3 && at(2) < usize::from(ROOM_OF_COMING) * 5 / 4, "{} {}", at(3), at(2));
        assert_eq!(got.len(), ROOM + usize::from(ROOM_OF_COMING) + 2);
        // What an IKE SA that is being made had waiting, it has when it stands: nothing of it is lost or counted twice.
        sender.hand_up(way, &message(2, 2));
        receiver.note(spis(2), Progress::Here);
        receiver.note(spis(2), Progress::Coming);
        assert!(receiver.next().is_some());
        assert!(receiver.shared.known().here.values().all(|waiting| *waiting == 0));
        // However many there are, those that are known are bounded, and the newest are.
        for number in 0..2 * COMING as u64 {
            receiver.note(spis(number + 10_000), Progress::Coming);
        }
        let known = receiver.shared.known();
        assert_eq!((known.ages.len(), known.coming.len()), (COMING, COMING));
        assert!(known.here.len() == 2);
    }
}
