//! A connection to the kernel's XFRM: requests with answers, many in one go, and the events that it sends by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use netlink_sys::protocols::NETLINK_XFRM;
use netlink_sys::{Socket, SocketAddr};
use ravelin_rtnetlink::whole;
use zeroize::{Zeroize, Zeroizing};

use crate::msg::Message;

/// Bytes of the header of a message.
const HEADER: usize = 16;
/// Longest answer to one read.
const ANSWER: usize = 64 << 10;
/// Bytes of requests that go to the kernel at once. It answers each that fails, and the last.
const BATCH_BYTES: usize = 64 << 10;
/// Requests that go at once: their refusals must find room in our queue.
const BATCH_MESSAGES: usize = 128;
/// Bytes of events that wait for us: 100,000 acquires. One that finds no room is not lost either: the kernel keeps no note
/// of it, and the next packet asks again.
const EVENT_BUFFER: usize = 64 << 20;
/// The answer was capped to the header of the request.
const CAPPED: u16 = 0x100;
/// Words of the kernel follow the answer.
const EXPLAINED: u16 = 0x200;
/// The attribute with those words: `NLMSGERR_ATTR_MSG`.
const WORDS: u16 = 1;

/// Groups of events: `XFRMNLGRP_*`.
pub mod group {
    #![allow(missing_docs)]
    pub const ACQUIRE: u32 = 1;
    pub const EXPIRE: u32 = 2;
    pub const SA: u32 = 3;
    pub const POLICY: u32 = 4;
    pub const MAPPING: u32 = 8;
}

/// The kernel said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number of the error; 0 when the answer made no sense.
    pub errno: i32,
    /// The kernel's own words, where it had some.
    pub words: Option<String>,
}

impl Refusal {
    fn io(error: &io::Error) -> Self {
        Refusal { errno: error.raw_os_error().unwrap_or(0), words: None }
    }

    fn nonsense(what: &str) -> Self {
        Refusal { errno: 0, words: Some(format!("the kernel's answer makes no sense: {what}")) }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.words, self.errno) {
            (Some(words), 0) => f.write_str(words),
            (Some(words), errno) => write!(f, "{}: {words}", io::Error::from_raw_os_error(errno)),
            (None, errno) => write!(f, "{}", io::Error::from_raw_os_error(errno)),
        }
    }
}

/// A request and the flags that it has beside those of every request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked for.
    pub message: Message,
    /// Such as `NLM_F_EXCL`.
    pub flags: u16,
}

impl From<Message> for Request {
    fn from(message: Message) -> Self {
        Request { message, flags: 0 }
    }
}

impl AsRef<Request> for Request {
    fn as_ref(&self) -> &Request {
        self
    }
}

/// A connection in the network namespace of the thread that opened it.
pub struct Netlink {
    socket: Socket,
    /// The number of the connection: events that a request brings about have that of its header.
    port: u32,
    sequence: u32,
    /// Empty between calls.
    batch: Zeroizing<Vec<u8>>,
    answer: Zeroizing<Vec<u8>>,
}

impl Netlink {
    /// Connects.
    ///
    /// # Errors
    /// A kernel without XFRM has no such netlink protocol.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_XFRM)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        let [batch, answer] = [BATCH_BYTES, ANSWER].map(|octets| Zeroizing::new(Vec::with_capacity(octets)));
        Ok(Netlink { socket, port, sequence: 0, batch, answer })
    }

    /// Carries out one request.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn request(&mut self, request: &Request) -> Result<(), Refusal> {
        match self.requests(std::slice::from_ref(request)).pop() {
            Some((_, refusal)) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Carries out requests in order, many with one call. Those that the kernel refuses, by their index; the others are
    /// in force.
    pub fn requests<R: AsRef<Request>>(&mut self, requests: &[R]) -> Vec<(usize, Refusal)> {
        let mut batch = std::mem::take(&mut self.batch);
        let refused = self.carry_out(requests, &mut batch);
        wipe(&mut batch);
        self.batch = batch;
        refused
    }

    fn carry_out<R: AsRef<Request>>(&mut self, requests: &[R], bytes: &mut Vec<u8>) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        let mut start = 0;
        while start < requests.len() {
            wipe(bytes);
            let first = self.sequence.wrapping_add(1);
            let mut end = start;
            let mut last = 0;
            while end < requests.len()
                && end - start < BATCH_MESSAGES
                && (end == start || bytes.len() < BATCH_BYTES / 2)
            {
                last = bytes.len();
                self.sequence = self.sequence.wrapping_add(1);
                let request = requests[end].as_ref();
                write(bytes, &request.message, NLM_F_REQUEST | request.flags, self.sequence, self.port);
                end += 1;
            }
            // The last one is answered in any case, after all before it.
            let flags = u16::from_ne_bytes([bytes[last + 6], bytes[last + 7]]) | NLM_F_ACK;
            bytes[last + 6..last + 8].copy_from_slice(&flags.to_ne_bytes());
            if let Err(error) = self.socket.send(bytes, 0) {
                refused.extend((start..requests.len()).map(|index| (index, Refusal::io(&error))));
                return refused;
            }
            let awaited = self.sequence;
            let result = self.receive(&mut |header, body| {
                let offset = header.sequence.wrapping_sub(first) as usize;
                if offset >= end - start || header.kind != NLMSG_ERROR {
                    return Next::More;
                }
                match answer(header, body) {
                    Ok(()) => {}
                    Err(refusal) => refused.push((start + offset, refusal)),
                }
                if header.sequence == awaited { Next::Done } else { Next::More }
            });
            if let Err(refusal) = result {
                refused.extend((start..requests.len()).map(|index| (index, refusal.clone())));
                return refused;
            }
            start = end;
        }
        refused
    }

    /// Asks for one message.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that makes no sense.
    pub fn ask(&mut self, message: &Message) -> Result<Message, Refusal> {
        let mut answered = None;
        self.converse(message, 0, &mut |message| answered = Some(message)).map(drop)?;
        answered.ok_or_else(|| Refusal::nonsense("there is nothing in it"))
    }

    /// Asks for a list, and keeps what is picked out of it.
    ///
    /// # Errors
    /// The kernel's refusal, an answer that makes no sense, or a list that does not stay as it is while it is told.
    pub fn dump<T>(
        &mut self,
        message: &Message,
        mut pick: impl FnMut(Message) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        let whole = whole(|| {
            let mut list = Vec::new();
            let interrupted = self.converse(message, NLM_F_DUMP, &mut |message| list.extend(pick(message)))?;
            Ok::<_, Refusal>((!interrupted).then_some(list))
        })?;
        whole.ok_or_else(|| Refusal::nonsense("its list changed each time while it was read"))
    }

    /// Whether what was asked for changed while it was told.
    fn converse(&mut self, message: &Message, flags: u16, each: &mut dyn FnMut(Message)) -> Result<bool, Refusal> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Zeroizing::new(Vec::new());
        write(&mut bytes, message, NLM_F_REQUEST | flags, self.sequence, self.port);
        self.socket.send(&bytes, 0).map_err(|error| Refusal::io(&error))?;
        let mut answers = Answers { sequence: self.sequence, list: flags != 0, interrupted: false, result: Ok(()) };
        self.receive(&mut |header, body| answers.take(header, body, each))?;
        answers.result.map(|()| answers.interrupted)
    }

    /// Reads until `each` has enough.
    fn receive(&mut self, each: &mut dyn FnMut(Header, &[u8]) -> Next) -> Result<(), Refusal> {
        loop {
            self.answer.clear();
            match self.socket.recv(&mut *self.answer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Refusal::io(&error)),
            }
            let mut rest = self.answer.as_slice();
            while let Some((header, body, others)) = split(rest) {
                if each(header, body) == Next::Done {
                    return Ok(());
                }
                rest = others;
            }
        }
    }
}

/// Empties a buffer that keys were in. What was not written is not wiped: there is room for many requests, and mostly there is one.
fn wipe(bytes: &mut Vec<u8>) {
    bytes.as_mut_slice().zeroize();
    bytes.clear();
}

/// The answers to one question, as they come.
struct Answers {
    sequence: u32,
    /// Until the kernel says that it was the last; otherwise there is one.
    list: bool,
    /// Entries came or went while the kernel told them, so some may be missing or there twice.
    interrupted: bool,
    result: Result<(), Refusal>,
}

impl Answers {
    fn take(&mut self, header: Header, body: &[u8], each: &mut dyn FnMut(Message)) -> Next {
        if header.sequence != self.sequence {
            return Next::More;
        }
        self.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
        match header.kind {
            // A list that ends half-way says why at its end.
            NLMSG_ERROR | NLMSG_DONE => {
                if let Err(refusal) = answer(header, body) {
                    self.result = Err(refusal);
                }
                Next::Done
            }
            kind => {
                match Message::parse(kind, false, body) {
                    Ok(message) => each(message),
                    Err(error) => self.result = Err(Refusal::nonsense(&error.to_string())),
                }
                if self.list { Next::More } else { Next::Done }
            }
        }
    }
}

/// What the kernel sends by itself.
pub struct Events {
    socket: Socket,
    /// The connection whose doings are no news.
    own: Option<u32>,
    /// The last datagram.
    buffer: Vec<u8>,
}

/// What came.
pub enum Notice {
    /// A message.
    Message(Box<Message>),
    /// Messages were lost: look for yourself what there is.
    Lost,
}

impl Events {
    /// Subscribes to groups of events in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Subscribing needs CAP_NET_ADMIN.
    pub fn open(groups: &[u32]) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_XFRM)?;
        socket.bind_auto()?;
        for group in groups {
            socket.add_membership(*group)?;
        }
        // More than `net.core.rmem_max` is for those who may; the lesser buffer only means that events are lost sooner.
        let sized = socket2::SockRef::from(&socket);
        if crate::sys::force_receive_buffer(socket.as_fd(), EVENT_BUFFER).is_err() {
            let _ = sized.set_recv_buffer_size(EVENT_BUFFER);
        }
        socket.set_non_blocking(true)?;
        Ok(Events { socket, own: None, buffer: Vec::with_capacity(ANSWER) })
    }

    /// The same, without what this connection brings about.
    #[must_use]
    pub fn of_others(mut self, own: &Netlink) -> Self {
        self.own = Some(own.port);
        self
    }

    /// Takes what has come in one datagram of the kernel; `None` when there is nothing.
    pub fn poll(&mut self) -> Option<Vec<Notice>> {
        loop {
            wipe(&mut self.buffer);
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => return Some(notices(&self.buffer, self.own)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Some(vec![Notice::Lost]),
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        wipe(&mut self.buffer);
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The messages of a datagram, but for those about what this connection did. What cannot be read counts as lost.
fn notices(bytes: &[u8], own: Option<u32>) -> Vec<Notice> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while let Some((header, body, others)) = split(rest) {
        rest = others;
        if own == Some(header.port) {
            continue;
        }
        all.push(match Message::parse(header.kind, false, body) {
            Ok(message) => Notice::Message(Box::new(message)),
            Err(_) => Notice::Lost,
        });
    }
    if !rest.is_empty() {
        all.push(Notice::Lost);
    }
    all
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    Done,
}

#[derive(Clone, Copy)]
struct Header {
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

/// Appends a message with its header, aligned to 4 bytes.
fn write(to: &mut Vec<u8>, message: &Message, flags: u16, sequence: u32, port: u32) {
    let start = to.len();
    to.extend_from_slice(&[0; 4]);
    to.extend_from_slice(&message.kind.to_ne_bytes());
    to.extend_from_slice(&flags.to_ne_bytes());
    to.extend_from_slice(&sequence.to_ne_bytes());
    to.extend_from_slice(&port.to_ne_bytes());
    message.emit(to);
    let length = u32::try_from(to.len() - start).unwrap_or(u32::MAX);
    to[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    to.resize(to.len().next_multiple_of(4), 0);
}

/// Takes the first message off: header, body, and what follows. `None` where no whole message is left.
fn split(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let (head, _) = bytes.split_first_chunk::<HEADER>()?;
    let [a, b, c, d, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *head;
    let length = u32::from_ne_bytes([a, b, c, d]) as usize;
    let body = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    let header = Header {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        port: u32::from_ne_bytes([p0, p1, p2, p3]),
    };
    Some((header, body, rest))
}

/// Reads an acknowledgement or refusal.
fn answer(header: Header, body: &[u8]) -> Result<(), Refusal> {
    let Some((code, request)) = body.split_first_chunk::<4>() else {
        return Err(Refusal::nonsense("an answer without a code"));
    };
    let errno = i32::from_ne_bytes(*code).saturating_neg();
    if errno == 0 {
        return Ok(());
    }
    let mut words = None;
    if header.flags & EXPLAINED != 0 {
        let length = match (header.flags & CAPPED, request.first_chunk::<4>()) {
            (0, Some(length)) => (u32::from_ne_bytes(*length) as usize).next_multiple_of(4),
            _ => HEADER,
        };
        let mut rest = request.get(length..).unwrap_or_default();
        while let Ok(Some((kind, value, others))) = crate::msg::attribute::split(rest) {
            if kind == WORDS {
                let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
                words = Some(String::from_utf8_lossy(text).into_owned());
            }
            rest = others;
        }
    }
    Err(Refusal { errno, words })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{Body, kind};

    fn sent(messages: &[Message]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            write(&mut bytes, message, 0, 7, 9);
        }
        bytes
    }

    #[test]
    fn messages_one_behind_the_other_are_taken_apart() {
        let bytes =
            sent(&[Message::new(kind::FLUSH_SA, Body::Flush(50)), Message::new(kind::FLUSH_POLICY, Body::Empty)]);
        let found = notices(&bytes, None);
        let kinds: Vec<_> = found.iter().map(|n| matches!(n, Notice::Message(m) if m.kind >= 0x10)).collect();
        assert_eq!(kinds, [true, true]);
        assert_eq!((notices(&bytes, Some(9)).len(), notices(&bytes, Some(8)).len()), (0, 2), "own doings are no news");
    }

    #[test]
    fn what_cannot_be_read_counts_as_lost() {
        let whole = sent(&[Message::new(kind::FLUSH_SA, Body::Flush(50))]);
        for bytes in [&whole[..3], &whole[..16], &[0xff; 20], &[0; 16]] {
            assert!(matches!(notices(bytes, None)[..], [Notice::Lost]), "{bytes:?}");
        }
        let cut = sent(&[Message::new(kind::ACQUIRE, Body::Other(vec![1, 2, 3, 4]))]);
        assert!(matches!(notices(&cut, None)[..], [Notice::Lost]));
    }

    // Row 109 of docs/HISTORY.md: entries that come and go meanwhile, a list that ends half-way, and what is not ours.
    #[test]
    fn a_list_that_was_interrupted_is_no_list() {
        let plain = Header { kind: kind::FLUSH_SA, flags: 0, sequence: 7, port: 9 };
        let interrupted = Header { flags: NLM_F_DUMP_INTR, ..plain };
        let (entry, good, bad) = (vec![50], 0i32.to_ne_bytes().to_vec(), (-105i32).to_ne_bytes().to_vec());
        let read = |answers: &[(Header, &[u8])]| {
            let mut reading = Answers { sequence: 7, list: true, interrupted: false, result: Ok(()) };
            let mut count = 0;
            let done = answers
                .iter()
                .position(|(header, body)| reading.take(*header, body, &mut |_| count += 1) == Next::Done);
            assert_eq!(done, Some(answers.len() - 1));
            reading.result.map(|()| (count, reading.interrupted)).map_err(|refusal| refusal.errno)
        };
        let end = Header { kind: NLMSG_DONE, ..plain };
        assert_eq!(read(&[(plain, &entry), (plain, &entry), (end, &good)]), Ok((2, false)));
        assert_eq!(read(&[(Header { sequence: 6, ..plain }, &entry), (plain, &entry), (end, &good)]), Ok((1, false)));
        assert_eq!(read(&[(interrupted, &entry), (plain, &entry), (end, &good)]), Ok((2, true)));
        assert_eq!(read(&[(plain, &entry), (Header { flags: NLM_F_DUMP_INTR, ..end }, &good)]), Ok((1, true)));
        assert_eq!(read(&[(plain, &entry), (end, &bad)]), Err(105));
        assert_eq!(read(&[(plain, &entry), (end, &[])]), Err(0), "it does not say how it ended");
        // An entry that makes no sense spoils the list, and the rest is still read.
        assert_eq!(read(&[(plain, &[]), (plain, &entry), (end, &good)]), Err(0));
    }

    #[test]
    fn a_refusal_has_the_kernels_words() {
        let header = Header { kind: NLMSG_ERROR, flags: CAPPED | EXPLAINED, sequence: 1, port: 9 };
        let mut body = (-22i32).to_ne_bytes().to_vec();
        body.extend_from_slice(&[0; HEADER]);
        body.extend_from_slice(&[12, 0, 1, 0]);
        body.extend_from_slice(b"no mode\0");
        let refusal = answer(header, &body).unwrap_err();
        assert_eq!((refusal.errno, refusal.words.as_deref()), (22, Some("no mode")));
        assert_eq!(answer(header, &[0; 20]), Ok(()));
        assert_eq!(answer(header, &[1, 2]).unwrap_err().errno, 0);
    }
}
