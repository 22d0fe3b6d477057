//! IKE and ESP in TCP (RFC 9329), for peers that UDP does not reach.
//!
//! The thread that receives packets accepts and reads; whoever sends writes at once, or leaves the rest to that thread. All
//! connections are behind one lock, which is held while octets are moved and never while somebody waits: TCP is the way
//! of last resort, and a lock for each packet is the least of what it costs.
//!
//! What strangers can have: [`MAX_UNPROVEN`] connections in all and [`MAX_PER_ADDRESS`] of one address, with a few seconds
//! for the prefix and a few minutes to come to a Child SA. Beyond that the oldest of them goes.

mod stream;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::sa::{Direction, Encap, SaId};
use ravelin_types::{Carrier, Instant, Way};
use ravelin_wire::udp_encap::{NON_ESP_MARKER, Payload};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::TunConfig;
use crate::error::Error;
use stream::{Ended, Stream};

/// Connections in all.
const MAX_STREAMS: usize = 8192;
/// Connections whose peers have proved nothing.
const MAX_UNPROVEN: usize = 256;
/// Those of one address.
const MAX_PER_ADDRESS: usize = 16;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// Connections accepted, or served, before other packets get their turn.
const BURST: usize = 32;
/// Octets taken from one connection before the others get their turn.
const PORTION: usize = 64 << 10;
/// How often the clock is looked at for those that time works against.
const LOOK: Duration = Duration::from_secs(1);

/// All connections, and the sockets that accept them.
pub(crate) struct Streams {
    epoll: OwnedFd,
    listeners: Vec<Socket>,
    own_mark: u32,
    /// Whether there ever was a connection. Where there is none, the workers take no lock.
    used: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By the number that epoll reports.
    streams: BTreeMap<u64, Stream>,
    /// Of those that can be sent on.
    ways: BTreeMap<Way, u64>,
    next: u64,
    room: Vec<u8>,
    look_at: Option<Instant>,
    counted: Counted,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    refused: u64,
    broken: u64,
    full: u64,
    unknown: u64,
}

/// What came of serving the connections.
#[derive(Default)]
pub(crate) struct Arrived {
    /// ESP packets, with the way they came.
    pub(crate) esp: Vec<(Way, Vec<u8>)>,
    /// IKE messages without the marker.
    pub(crate) ike: Vec<(Way, Vec<u8>)>,
    /// Connections that are gone.
    pub(crate) closed: Vec<Way>,
    pub(crate) keepalives: u64,
}

impl Streams {
    /// Listens where the configuration says.
    pub(crate) fn open(config: &TunConfig, v6: bool) -> Result<Self, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|error| Error::system("make an event descriptor", io::Error::from(error)))?;
        let mut listeners = Vec::new();
        if let Some(port) = config.tcp_port {
            let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            for at in any.into_iter().filter(|any| v6 || any.is_ipv4()).map(|any| SocketAddr::new(any, port)) {
                let listener = listen(at, config.own_mark, &epoll, listeners.len() as u64);
                listeners.push(listener.map_err(|error| Error::system(format!("listen on TCP {at}"), error))?);
            }
        }
        let next = listeners.len() as u64;
        let table = Table { next, room: vec![0; PORTION], ..Table::default() };
        Ok(Streams {
            epoll,
            listeners,
            own_mark: config.own_mark,
            used: AtomicBool::new(false),
            table: Mutex::new(table),
        })
    }

    /// Readable when [`Streams::serve`] has something to do.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// When it has, whatever comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.used.load(Ordering::Relaxed).then(|| self.lock().look_at)?
    }

    /// Begins to open a connection. Our end of it.
    pub(crate) fn connect(&self, local: IpAddr, remote: SocketAddr, now: Instant) -> io::Result<SocketAddr> {
        self.used.store(true, Ordering::Relaxed);
        let mut table = self.lock();
        if table.streams.len() >= MAX_STREAMS {
            return Err(io::Error::other(format!("there are {MAX_STREAMS} connections already")));
        }
        let socket = tcp(remote, self.own_mark)?;
        if !local.is_unspecified() {
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        match socket.connect(&remote.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        table.insert(&self.epoll, Stream::to(socket, Way::tcp(local, remote), now), now)?;
        Ok(local)
    }

    /// Sends an IKE message.
    pub(crate) fn send_ike(&self, way: Way, message: &[u8]) -> io::Result<()> {
        match self.lock().send(&self.epoll, way, [&NON_ESP_MARKER, message], true) {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::NotConnected, "there is no such connection, or it is full")),
        }
    }

    /// Sends an ESP packet. One for which there is no room is dropped and counted.
    pub(crate) fn send_esp(&self, way: Way, packet: &[u8]) {
        self.lock().send(&self.epoll, way, [packet, &[]], false);
    }

    /// Ends a connection that nobody needs any more.
    pub(crate) fn close(&self, way: Way, now: Instant) {
        let mut table = self.lock();
        let Some(number) = table.ways.remove(&way) else { return };
        table.look_at.get_or_insert(now + LOOK);
        if let Some(stream) = table.streams.get_mut(&number)
            && stream.close(now).is_err()
        {
            table.streams.remove(&number);
        } else {
            table.rearm(&self.epoll, number);
        }
    }

    /// Takes note of the connections that serve an SA, by the operation that says so.
    pub(crate) fn note(&self, op: &DataPlaneOp) {
        let (id, src, dst, encap) = match op {
            DataPlaneOp::AddSa(params) => (params.id(), params.src, params.dst, params.encap),
            DataPlaneOp::MoveSa { id, src, dst, encap } => (*id, *src, *dst, *encap),
            _ => return,
        };
        let SaId { direction, .. } = id;
        let Some(Encap { carrier: Carrier::Tcp, src_port, dst_port }) = encap else { return };
        if direction == Direction::Outbound {
            let way = Way::tcp(SocketAddr::new(src, src_port), SocketAddr::new(dst, dst_port));
            self.lock().prove(way);
        }
    }

    /// Accepts, reads, sends on, and ends what has had its time.
    pub(crate) fn serve(&self, now: Instant) -> Arrived {
        let mut arrived = Arrived::default();
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; BURST];
        let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let count = epoll::wait(&self.epoll, &mut events[..], Some(&none)).unwrap_or(0);
        self.used.store(true, Ordering::Relaxed);
        let mut table = self.lock();
        for event in &events[..count] {
            let (number, flags) = (event.data.u64(), event.flags);
            match usize::try_from(number).ok().and_then(|at| self.listeners.get(at)) {
                Some(listener) => table.accept(&self.epoll, listener, self.own_mark, now),
                None => table.event(&self.epoll, number, flags, now, &mut arrived),
            }
        }
        if table.look_at.is_some_and(|at| at <= now) {
            table.look(now, &mut arrived);
        }
        arrived
    }

    /// What was counted.
    pub(crate) fn count(&self) -> [(&'static str, u64); 4] {
        let Counted { refused, broken, full, unknown } = self.lock().counted;
        [
            ("TCP connections refused or given up", refused),
            ("TCP connections that made no sense", broken),
            ("ESP packets or IKE messages for a TCP connection that is full", full),
            ("ESP packets or IKE messages for a TCP connection that is gone", unknown),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, epoll: &OwnedFd, stream: Stream, now: Instant) -> io::Result<()> {
        let number = self.next;
        epoll::add(epoll, stream.socket(), EventData::new_u64(number), stream.interest())?;
        self.next += 1;
        self.ways.insert(stream.way, number);
        self.streams.insert(number, stream);
        self.look_at.get_or_insert(now + LOOK);
        Ok(())
    }

    fn accept(&mut self, epoll: &OwnedFd, listener: &Socket, own_mark: u32, now: Instant) {
        for _ in 0..BURST {
            let Ok((socket, from)) = listener.accept() else { return };
            let ends = socket.local_addr().ok().and_then(|local| local.as_socket()).zip(from.as_socket());
            let prepared = prepare(&socket, own_mark);
            let Some((local, remote)) = ends.filter(|_| prepared.is_ok()) else {
                self.counted.refused += 1;
                continue;
            };
            let strangers = |stream: &&Stream| !stream.is_ours && !stream.is_proven;
            let of_address = |stream: &&Stream| stream.way.remote.ip() == remote.ip();
            let all = self.streams.values().filter(strangers).count();
            let same = self.streams.values().filter(strangers).filter(of_address).count();
            if same >= MAX_PER_ADDRESS || all >= MAX_UNPROVEN {
                let mut oldest = self.streams.iter().filter(|(_, stream)| strangers(stream));
                let oldest = match same >= MAX_PER_ADDRESS {
                    true => oldest.find(|(_, stream)| of_address(stream)),
                    false => oldest.next(),
                };
                if let Some(number) = oldest.map(|(number, _)| *number) {
                    self.remove(number);
                }
                self.counted.refused += 1;
            }
            if self.streams.len() >= MAX_STREAMS {
                self.counted.refused += 1;
                continue;
            }
            if self.insert(epoll, Stream::from(socket, Way::tcp(local, remote), now), now).is_err() {
                self.counted.refused += 1;
            }
        }
    }

    fn event(&mut self, epoll: &OwnedFd, number: u64, flags: EventFlags, now: Instant, arrived: &mut Arrived) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let way = stream.way;
        let mut served = Ok(());
        if flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
            served = stream.writable(now);
        }
        if served.is_ok() && flags.intersects(EventFlags::IN | EventFlags::HUP) {
            served = stream.readable(&mut self.room, now, |payload| match payload {
                Payload::Ike(message) => arrived.ike.push((way, message.to_vec())),
                Payload::Esp(packet) => arrived.esp.push((way, packet.to_vec())),
                Payload::Keepalive => arrived.keepalives += 1,
                Payload::Malformed => {}
            });
        }
        if stream.is_watched() {
            self.look_at.get_or_insert(now + LOOK);
        }
        match served {
            Ok(()) => self.rearm(epoll, number),
            Err(why) => self.end(number, &why, arrived),
        }
    }

    /// Ends those that have had their time.
    fn look(&mut self, now: Instant, arrived: &mut Arrived) {
        let overdue = |(number, stream): (&u64, &Stream)| Some((*number, stream.overdue(now)?));
        for (number, why) in self.streams.iter().filter_map(overdue).collect::<Vec<_>>() {
            self.end(number, &Ended(why.into()), arrived);
        }
        self.look_at = self.streams.values().any(Stream::is_watched).then_some(now + LOOK);
    }

    fn end(&mut self, number: u64, why: &Ended, arrived: &mut Arrived) {
        let Some((way, wanted)) = self.remove(number) else { return };
        if wanted {
            self.counted.broken += 1;
            tracing::debug!("the TCP connection {} to {} is gone: {}", way.local, way.remote, why.0);
            arrived.closed.push(way);
        }
    }

    /// The way of a connection that is taken out, and whether somebody may still have sent on it.
    fn remove(&mut self, number: u64) -> Option<(Way, bool)> {
        let way = self.streams.remove(&number)?.way;
        let current = self.ways.get(&way) == Some(&number);
        if current {
            self.ways.remove(&way);
        }
        Some((way, current))
    }

    fn send(&mut self, epoll: &OwnedFd, way: Way, parts: [&[u8]; 2], is_ike: bool) -> bool {
        let found = self.ways.get(&way).copied();
        let Some((number, stream)) = found.and_then(|number| Some((number, self.streams.get_mut(&number)?))) else {
            self.counted.unknown += 1;
            return false;
        };
        match stream.send(parts, is_ike) {
            Ok(true) => {
                self.rearm(epoll, number);
                true
            }
            Ok(false) => {
                self.counted.full += 1;
                false
            }
            // The thread that reads finds the error too, and says that it is gone.
            Err(_) => false,
        }
    }

    fn prove(&mut self, way: Way) {
        if let Some(stream) = self.ways.get(&way).and_then(|number| self.streams.get_mut(number)) {
            stream.is_proven = true;
        }
    }

    fn rearm(&self, epoll: &OwnedFd, number: u64) {
        if let Some(stream) = self.streams.get(&number) {
            // It can fail only for a descriptor that is not there.
            let _ = epoll::modify(epoll, stream.socket(), EventData::new_u64(number), stream.interest());
        }
    }
}

fn listen(at: SocketAddr, own_mark: u32, epoll: &OwnedFd, number: u64) -> io::Result<Socket> {
    let socket = tcp(at, own_mark)?;
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    epoll::add(epoll, &socket, EventData::new_u64(number), EventFlags::IN)?;
    Ok(socket)
}

fn tcp(end: SocketAddr, own_mark: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(end), Type::STREAM, Some(Protocol::TCP))?;
    prepare(&socket, own_mark)?;
    Ok(socket)
}

fn prepare(socket: &Socket, own_mark: u32) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if own_mark != 0 {
        socket.set_mark(own_mark)?;
    }
    // Packets must not wait for each other.
    socket.set_tcp_nodelay(true)
}

#[cfg(test)]
mod tests;
