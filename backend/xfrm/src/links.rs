//! Virtual interfaces: xfrm links, whose number ties the packets that are routed to them to policies and states.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoXfrm, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// Longest answer to one read.
const ANSWER: usize = 64 << 10;
/// The loopback device, under which ours hang: they have no device of their own below them.
const LOOPBACK: u32 = 1;

/// One xfrm link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    pub if_id: u32,
}

/// A connection to the kernel's links in the network namespace of the thread that opened it.
pub(crate) struct Links {
    socket: Socket,
    sequence: u32,
}

impl Links {
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Links { socket, sequence: 0 })
    }

    /// Makes a link, up and without an address.
    pub(crate) fn add(&mut self, name: &str, if_id: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Xfrm),
                LinkInfo::Data(InfoData::Xfrm(vec![InfoXfrm::Link(LOOPBACK), InfoXfrm::IfId(if_id)])),
            ]),
        ];
        self.ask(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &mut |_| {})
    }

    /// Removes a link.
    pub(crate) fn delete(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.ask(RouteNetlinkMessage::DelLink(message), NLM_F_ACK, &mut |_| {})
    }

    /// Every xfrm link.
    pub(crate) fn list(&mut self) -> io::Result<Vec<Link>> {
        let mut found = Vec::new();
        self.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP, &mut |message| {
            let RouteNetlinkMessage::NewLink(message) = message else { return };
            let mut link = Link { index: message.header.index, name: String::new(), if_id: 0 };
            let mut is_xfrm = false;
            for attribute in message.attributes {
                match attribute {
                    LinkAttribute::IfName(name) => link.name = name,
                    LinkAttribute::LinkInfo(infos) => {
                        for info in infos {
                            match info {
                                LinkInfo::Kind(kind) => is_xfrm = kind == InfoKind::Xfrm,
                                LinkInfo::Data(InfoData::Xfrm(data)) => {
                                    let id = data
                                        .iter()
                                        .find_map(|d| if let InfoXfrm::IfId(id) = d { Some(*id) } else { None });
                                    link.if_id = id.unwrap_or(0);
                                }
                                _ => {}
                            }
                        }
                    }
                    _ => {}
                }
            }
            if is_xfrm {
                found.push(link);
            }
        })?;
        Ok(found)
    }

    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        each: &mut dyn FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, format!("netlink: {error}"));
        let mut buffer = Vec::with_capacity(ANSWER);
        loop {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(malformed)?;
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
