//! A connection to the kernel's routing subsystem, or to another that speaks netlink.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;

/// Longest answer to one read of a dump.
const ANSWER: usize = 64 << 10;
/// How often a list is asked for that changes while the kernel tells it.
const DUMPS: usize = 8;

/// Of the network namespace of the thread that opened it. It carries messages `M`.
pub struct Socket<M = RouteNetlinkMessage> {
    socket: netlink_sys::Socket,
    sequence: u32,
    carries: PhantomData<fn(M) -> M>,
}

impl Socket {
    /// A connection to the routing subsystem.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        Self::open_at(NETLINK_ROUTE)
    }

    /// The number by which the kernel knows a device.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn index(&self, device: &str) -> io::Result<u32> {
        rustix::net::netdevice::name_to_index(self.fd(), device).map_err(Into::into)
    }
}

impl<M: NetlinkSerializable + NetlinkDeserializable> Socket<M> {
    /// A connection to the subsystem with this number, `NETLINK_*`, which `M` are the messages of.
    ///
    /// # Errors
    /// The system's.
    pub fn open_at(protocol: isize) -> io::Result<Self> {
        let mut socket = netlink_sys::Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Socket { socket, sequence: 0, carries: PhantomData })
    }

    /// For requests of other kinds.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends one request and waits for its acknowledgement.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn change(&mut self, message: M, flags: u16) -> io::Result<()> {
        self.send(message, flags | NLM_F_ACK)?;
        self.receive(&mut |_| {}).map(drop)
    }

    /// Asks a question with one answer.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn ask(&mut self, message: M, each: &mut dyn FnMut(M)) -> io::Result<()> {
        self.send(message, NLM_F_ACK)?;
        self.receive(each).map(drop)
    }

    /// Asks for all entries of a kind, and keeps what is picked out of them.
    ///
    /// # Errors
    /// What the kernel answers, and when the list does not stay as it is while it is told.
    pub fn dump<T>(&mut self, message: M, mut pick: impl FnMut(M) -> Option<T>) -> io::Result<Vec<T>>
    where
        M: Clone,
    {
        let whole = whole(|| {
            let mut list = Vec::new();
            self.send(message.clone(), NLM_F_DUMP)?;
            let interrupted = self.receive(&mut |message| list.extend(pick(message)))?;
            Ok::<_, io::Error>((!interrupted).then_some(list))
        })?;
        whole.ok_or_else(|| io::Error::other("the kernel's list changed each time while it was read"))
    }

    fn send(&mut self, message: M, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// Reads the answers to the last request up to its acknowledgement, or the end of the dump; whether that was interrupted.
    fn receive(&mut self, each: &mut dyn FnMut(M)) -> io::Result<bool> {
        let mut buffer = Vec::with_capacity(ANSWER);
        let mut answers = Answers { sequence: self.sequence, interrupted: false };
        loop {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            if answers.take(&buffer, each)? {
                return Ok(answers.interrupted);
            }
        }
    }
}

/// Asks for a list until it did not change while it was told: `None` from an attempt is one that did. `None`: it always did.
///
/// # Errors
/// That of the first attempt that fails.
pub fn whole<T, E>(mut attempt: impl FnMut() -> Result<Option<Vec<T>>, E>) -> Result<Option<Vec<T>>, E> {
    for _ in 0..DUMPS {
        if let Some(list) = attempt()? {
            return Ok(Some(list));
        }
    }
    Ok(None)
}

/// The answers to one request, as they come.
struct Answers {
    sequence: u32,
    /// Entries came or went while the kernel told them, so some may be missing or there twice.
    interrupted: bool,
}

impl Answers {
    /// Takes a datagram of the kernel. Whether it was the last.
    fn take<M: NetlinkDeserializable>(&mut self, bytes: &[u8], each: &mut dyn FnMut(M)) -> io::Result<bool> {
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, format!("netlink: {error}"));
        let mut rest = bytes;
        while !rest.is_empty() {
            let message = NetlinkMessage::<M>::deserialize(rest).map_err(malformed)?;
            // Messages are aligned to 4 bytes.
            let length = (message.header.length as usize).next_multiple_of(4).max(1);
            rest = rest.get(length..).unwrap_or_default();
            if message.header.sequence_number != self.sequence {
                continue;
            }
            self.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::Error(answer) if answer.code.is_some() => return Err(answer.to_io()),
                // A dump that fails half-way says so at its end.
                NetlinkPayload::Done(end) if end.code < 0 => {
                    return Err(io::Error::from_raw_os_error(end.code.saturating_neg()));
                }
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::InnerMessage(message) => each(message),
                _ => {}
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DoneMessage;
    use netlink_packet_route::link::LinkMessage;

    use super::*;

    /// A datagram with one message of the kernel.
    fn told(flags: u16, sequence: u32, payload: NetlinkPayload<RouteNetlinkMessage>) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (flags, sequence);
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn link(flags: u16, sequence: u32) -> Vec<u8> {
        told(flags, sequence, NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(LinkMessage::default())))
    }

    fn end(flags: u16, code: i32) -> Vec<u8> {
        let mut done = DoneMessage::default();
        done.code = code;
        told(flags, 7, NetlinkPayload::Done(done))
    }

    /// How many entries come of these datagrams, and whether the list was interrupted.
    fn read(datagrams: &[Vec<u8>]) -> io::Result<(usize, bool)> {
        let (mut answers, mut count) = (Answers { sequence: 7, interrupted: false }, 0);
        for datagram in datagrams {
            if answers.take(datagram, &mut |_: RouteNetlinkMessage| count += 1)? {
                return Ok((count, answers.interrupted));
            }
        }
        panic!("no end")
    }

    // Row 109 of docs/HISTORY.md: entries that come and go meanwhile, a dump that fails half-way, and what is not ours.
    #[test]
    fn a_list_that_was_interrupted_is_no_list() {
        let (plain, interrupted) = (0, NLM_F_DUMP_INTR);
        let both = [link(plain, 7), link(plain, 7)].concat();
        assert_eq!(read(&[both.clone(), end(plain, 0)]).unwrap(), (2, false));
        assert_eq!(read(&[link(plain, 6), both.clone(), end(plain, 0)]).unwrap(), (2, false), "an old answer");
        assert_eq!(read(&[link(interrupted, 7), end(plain, 0)]).unwrap(), (1, true));
        assert_eq!(read(&[both.clone(), end(interrupted, 0)]).unwrap(), (2, true));
        assert_eq!(read(&[both, end(plain, -105)]).unwrap_err().raw_os_error(), Some(105));
        for cut in [1, 4, 15, 17] {
            assert!(read(&[link(plain, 7)[..cut].to_vec()]).is_err(), "{cut} octets");
        }
    }

    #[test]
    fn it_is_asked_for_again_so_often_and_no_more() {
        let mut attempts = 0;
        let mut after = |interrupted: usize| {
            attempts = 0;
            let list = whole::<usize, ()>(|| {
                attempts += 1;
                Ok((attempts > interrupted).then(|| vec![attempts]))
            });
            (list, attempts)
        };
        assert_eq!(after(0), (Ok(Some(vec![1])), 1));
        assert_eq!(after(2), (Ok(Some(vec![3])), 3), "the whole one alone");
        assert_eq!(after(usize::MAX), (Ok(None), DUMPS));
        assert_eq!(whole::<(), u8>(|| Err(9)), Err(9));
    }
}
