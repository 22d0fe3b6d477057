//! One connection: what is to be sent waits here for room, what came is taken apart.

use std::io::{self, IoSlice, Read, Write};
use std::time::Duration;

use ravelin_types::{Instant, Way};
use ravelin_wire::tcp_encap::{Broken, PREFIX, Reader, emit_length};
use ravelin_wire::udp_encap::Payload;
use rustix::event::epoll::EventFlags;
use socket2::Socket;

/// Octets of ESP that wait for the peer; then packets are dropped, and the senders inside slow down.
const MAX_ESP_WAITING: usize = 256 << 10;
/// The same with IKE, for which there is room when ESP has filled its part.
const MAX_WAITING: usize = MAX_ESP_WAITING + (256 << 10);

/// How long a connection may take to be opened by us.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// How long its first octets, [`PREFIX`], may take.
const PREFIX_TIME: Duration = Duration::from_secs(5);
/// How long the rest of a message may take.
const MESSAGE_TIME: Duration = Duration::from_secs(30);
/// How long a connection that a peer opened may serve no Child SA: longer than any IKE_AUTH with EAP (RFC 9329 §6.1).
const UNPROVEN_TIME: Duration = Duration::from_secs(150);
/// How long what is to be sent may take when nobody needs the connection any more.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    /// Nobody needs it any more.
    Closing,
}

pub(crate) struct Stream {
    socket: Socket,
    pub(crate) way: Way,
    /// Whether we opened it.
    pub(crate) is_ours: bool,
    /// Whether it serves an SA, so that its peer has proved who it is.
    pub(crate) is_proven: bool,
    state: State,
    reader: Reader,
    waiting: Vec<u8>,
    /// Since when it is as it is.
    since: Instant,
    /// Since when part of a message has waited for the rest.
    partial: Option<Instant>,
}

/// It is over: by the peer, by the system, or because what came makes no sense.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) String);

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Ended(error.to_string())
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Ended(match broken {
            Broken::Prefix => "it does not begin with IKETCP (RFC 9329 §4)".into(),
            Broken::Length => "a length of 0 or 1 (RFC 9329 §3.1)".into(),
        })
    }
}

impl Stream {
    /// One that we open.
    pub(crate) fn to(socket: Socket, way: Way, now: Instant) -> Self {
        let mut stream = Stream::new(socket, way, true, now);
        stream.waiting.extend_from_slice(&PREFIX);
        stream
    }

    /// One that a peer opened.
    pub(crate) fn from(socket: Socket, way: Way, now: Instant) -> Self {
        Stream::new(socket, way, false, now)
    }

    fn new(socket: Socket, way: Way, is_ours: bool, now: Instant) -> Self {
        let state = if is_ours { State::Connecting } else { State::Open };
        let reader = Reader::new(!is_ours);
        Stream { socket, way, is_ours, is_proven: false, state, reader, waiting: Vec::new(), since: now, partial: None }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What it waits for.
    pub(crate) fn interest(&self) -> EventFlags {
        let writes = self.state == State::Connecting || !self.waiting.is_empty();
        if writes { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN }
    }

    /// Sends a message of these parts, or keeps it until there is room. False: too much waits already, or it is too long.
    pub(crate) fn send(&mut self, parts: [&[u8]; 2], is_ike: bool) -> Result<bool, Ended> {
        let most = if is_ike { MAX_WAITING } else { MAX_ESP_WAITING };
        let Some(length) = emit_length(parts[0].len() + parts[1].len()) else { return Ok(false) };
        if self.waiting.len() > most || self.state == State::Closing {
            return Ok(false);
        }
        let mut done = 0;
        if self.waiting.is_empty() && self.state == State::Open {
            let slices = [&length[..], parts[0], parts[1]].map(IoSlice::new);
            done = match (&self.socket).write_vectored(&slices) {
                Ok(done) => done,
                Err(error) if is_for_later(&error) => 0,
                Err(error) => return Err(error.into()),
            };
        }
        // TCP takes octets, not messages: the rest of one must come before the next.
        for part in [&length[..], parts[0], parts[1]] {
            let skipped = done.min(part.len());
            done -= skipped;
            self.waiting.extend_from_slice(&part[skipped..]);
        }
        Ok(true)
    }

    /// Goes on as the system says it can: opened, or with room for what waits.
    pub(crate) fn writable(&mut self, now: Instant) -> Result<(), Ended> {
        if self.state == State::Connecting {
            if let Some(error) = self.socket.take_error()? {
                return Err(error.into());
            }
            (self.state, self.since) = (State::Open, now);
        }
        while !self.waiting.is_empty() {
            match (&self.socket).write(&self.waiting) {
                Ok(done) => drop(self.waiting.drain(..done)),
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        if self.state == State::Closing {
            self.socket.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(())
    }

    /// Reads what came, up to the length of `room`, and hands on what is whole in it.
    pub(crate) fn readable(
        &mut self,
        room: &mut [u8],
        now: Instant,
        mut take: impl FnMut(Payload<'_>),
    ) -> Result<(), Ended> {
        let count = match (&self.socket).read(room) {
            Ok(0) => return Err(Ended("the peer closed it".into())),
            Ok(count) => count,
            Err(error) if is_for_later(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if self.state == State::Closing {
            return Ok(());
        }
        self.reader.feed(&room[..count]);
        while let Some(payload) = self.reader.next()? {
            // RFC 9329 §6.1: what is neither is a sign that the boundaries are lost.
            if payload == Payload::Malformed {
                return Err(Ended("a message that is neither ESP nor IKE".into()));
            }
            self.partial = None;
            take(payload);
        }
        match self.reader.is_partial() {
            true => _ = self.partial.get_or_insert(now),
            false => self.partial = None,
        }
        Ok(())
    }

    /// Ends it once what waits is sent.
    pub(crate) fn close(&mut self, now: Instant) -> Result<(), Ended> {
        (self.state, self.since) = (State::Closing, now);
        self.writable(now)
    }

    /// Whether time works against it.
    pub(crate) fn is_watched(&self) -> bool {
        let settled = self.state == State::Open && (self.is_proven || self.is_ours);
        !settled || self.partial.is_some()
    }

    /// Why it is over by now, if it is.
    pub(crate) fn overdue(&self, now: Instant) -> Option<&'static str> {
        let passed = |time| now.since(self.since) >= time;
        match self.state {
            State::Connecting if passed(CONNECT_TIME) => Some("no answer"),
            State::Closing if passed(CLOSING_TIME) => Some("closed"),
            State::Open if !self.reader.has_begun() && passed(PREFIX_TIME) => Some("the prefix IKETCP did not come"),
            State::Open if !self.is_ours && !self.is_proven && passed(UNPROVEN_TIME) => Some("no Child SA came of it"),
            _ => self.partial.filter(|since| now.since(*since) >= MESSAGE_TIME).map(|_| "half a message and no more"),
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
