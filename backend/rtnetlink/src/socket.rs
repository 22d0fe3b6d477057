//! A connection to the kernel's routing subsystem, or to another that speaks netlink.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;

/// Longest answer to one read of a dump.
const ANSWER: usize = 64 << 10;

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
        self.receive(&mut |_| {})
    }

    /// Asks a question with one answer.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn ask(&mut self, message: M, each: &mut dyn FnMut(M)) -> io::Result<()> {
        self.send(message, NLM_F_ACK)?;
        self.receive(each)
    }

    /// Asks for all entries of a kind.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn dump(&mut self, message: M, each: &mut dyn FnMut(M)) -> io::Result<()> {
        self.send(message, NLM_F_DUMP)?;
        self.receive(each)
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

    /// Reads the answers to the last request up to its acknowledgement, or the end of the dump.
    fn receive(&mut self, each: &mut dyn FnMut(M)) -> io::Result<()> {
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, format!("netlink: {error}"));
        let mut buffer = Vec::with_capacity(ANSWER);
        loop {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<M>::deserialize(rest).map_err(malformed)?;
                // Messages are aligned to 4 bytes.
                let length = (message.header.length as usize).next_multiple_of(4).max(1);
                rest = rest.get(length..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::Error(answer) if answer.code.is_some() => return Err(answer.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::InnerMessage(message) => each(message),
                    _ => {}
                }
            }
        }
    }
}
