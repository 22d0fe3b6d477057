//! The UDP sockets of IKE. Policies do not hold for them, and the kernel takes ESP out of the one for NAT traversal.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::XfrmConfig;
use crate::error::Error;
use crate::msg::bytes::Field;
use crate::msg::parts::{INET, INET6, Limits, Selector};
use crate::msg::policy::{PolicyInfo, action, direction};
use crate::sys;

/// RFC 3948 §2.2: zeros where ESP has its SPI.
const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// RFC 3948 §2.3.
const KEEPALIVE: [u8; 1] = [0xff];
/// The longest IKE message, with its marker.
const MAX_DATAGRAM: usize = 65_535;
const IP_XFRM_POLICY: libc::c_int = 17;
const IPV6_XFRM_POLICY: libc::c_int = 35;
const UDP_ENCAP: libc::c_int = 100;
const UDP_ENCAP_ESPINUDP: libc::c_int = 2;

/// An IKE message that arrived, without the non-ESP marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeDatagram {
    /// Our address; the port tells whether it is the NAT-traversal one.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The IKE message.
    pub data: Vec<u8>,
}

struct Family {
    ike: Socket,
    nat: Socket,
}

/// The sockets of both families.
pub(crate) struct Sockets {
    v4: Family,
    /// `None` on a host without IPv6.
    v6: Option<Family>,
    ports: (u16, u16),
    readable: OwnedFd,
    buffer: Vec<u8>,
    /// The socket whose turn it is.
    turn: usize,
}

impl Sockets {
    /// Opens the sockets in the network namespace of the calling thread.
    pub(crate) fn open(config: &XfrmConfig) -> Result<Self, Error> {
        let v4 = Family::open(Domain::IPV4, config)?;
        let v6 = match Family::open(Domain::IPV6, config) {
            Ok(family) => Some(family),
            Err(Error::System { source, .. }) if source.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                tracing::warn!("this host has no IPv6: only IPv4 is protected");
                None
            }
            Err(error) => return Err(error),
        };
        let add = || -> io::Result<OwnedFd> {
            let readable = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            for family in std::iter::once(&v4).chain(&v6) {
                for socket in [&family.ike, &family.nat] {
                    epoll::add(&readable, socket, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
                }
            }
            Ok(readable)
        };
        let readable = add().map_err(|error| Error::system("make an event descriptor", error))?;
        let ports = (config.ike_port, config.nat_port);
        Ok(Sockets { v4, v6, ports, readable, buffer: vec![0; MAX_DATAGRAM], turn: 0 })
    }

    /// Readable while there are IKE messages.
    pub(crate) fn readable(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    /// The next IKE message; sockets take turns.
    pub(crate) fn receive(&mut self) -> Option<IkeDatagram> {
        let (ike, nat) = self.ports;
        let families = std::iter::once(&self.v4).chain(&self.v6);
        let all: Vec<(&Socket, u16)> = families.flat_map(|family| [(&family.ike, ike), (&family.nat, nat)]).collect();
        let mut quiet = 0;
        while quiet < all.len() {
            self.turn = (self.turn + 1) % all.len();
            let (socket, port) = all[self.turn];
            match sys::receive_to(socket.as_fd(), &mut self.buffer) {
                Ok((length, Some(remote), Some(local))) => {
                    let data = self.buffer.get(..length).and_then(|data| match port == nat {
                        true => data.strip_prefix(&NON_ESP_MARKER),
                        false => Some(data),
                    });
                    if let Some(data) = data {
                        return Some(IkeDatagram { local: SocketAddr::new(local, port), remote, data: data.to_vec() });
                    }
                }
                Ok(_) => {}
                // An ICMP error for a message of ours is told with the next call; IKE has its own way to notice.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
                Err(_) => quiet += 1,
            }
        }
        None
    }

    /// Sends an IKE message from the port `local` names, with the non-ESP marker where that is the NAT-traversal port.
    pub(crate) fn send(&self, local: SocketAddr, remote: SocketAddr, data: &[u8]) -> io::Result<()> {
        let family = self.family(remote.ip()).ok_or(io::ErrorKind::Unsupported)?;
        if local.port() == self.ports.1 {
            let marked = [&NON_ESP_MARKER[..], data].concat();
            sys::send_from(family.nat.as_fd(), &marked, local.ip(), remote)
        } else {
            sys::send_from(family.ike.as_fd(), data, local.ip(), remote)
        }
    }

    /// Keeps the mapping of a NAT in the way.
    pub(crate) fn keep_alive(&self, local: IpAddr, remote: SocketAddr) -> io::Result<()> {
        let family = self.family(remote.ip()).ok_or(io::ErrorKind::Unsupported)?;
        sys::send_from(family.nat.as_fd(), &KEEPALIVE, local, remote)
    }

    /// The address from which packets to `remote` would leave now. The socket is a new one each time: one that was connected
    /// before keeps its address, though the host may have it no more. Connecting sends nothing.
    pub(crate) fn source_towards(&self, remote: IpAddr) -> Option<IpAddr> {
        let to = SocketAddr::new(remote, self.ports.0);
        let socket = open(Domain::for_address(to), None).ok()?;
        socket.connect(&to.into()).ok()?;
        Some(socket.local_addr().ok()?.as_socket()?.ip())
    }

    fn family(&self, remote: IpAddr) -> Option<&Family> {
        if remote.is_ipv4() { Some(&self.v4) } else { self.v6.as_ref() }
    }
}

impl Family {
    fn open(domain: Domain, config: &XfrmConfig) -> Result<Self, Error> {
        let name = if domain == Domain::IPV4 { "IPv4" } else { "IPv6" };
        let bound = |port: u16| {
            open(domain, Some(port)).map_err(|error| Error::system(format!("bind {name} UDP port {port}"), error))
        };
        let (ike, nat) = (bound(config.ike_port)?, bound(config.nat_port)?);
        sys::set_option(nat.as_fd(), libc::IPPROTO_UDP, UDP_ENCAP, &UDP_ENCAP_ESPINUDP.to_ne_bytes()).map_err(
            |error| Error::system(format!("let the kernel take ESP out of {name} UDP port {}", config.nat_port), error),
        )?;
        Ok(Family { ike, nat })
    }
}

fn open(domain: Domain, port: Option<u16>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let v4 = domain == Domain::IPV4;
    let any: IpAddr = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let (level, policy, info) = match v4 {
        true => (libc::IPPROTO_IP, IP_XFRM_POLICY, libc::IP_PKTINFO),
        false => (libc::IPPROTO_IPV6, IPV6_XFRM_POLICY, libc::IPV6_RECVPKTINFO),
    };
    for direction in [direction::IN, direction::OUT] {
        sys::set_option(socket.as_fd(), level, policy, &bypass(direction, if v4 { INET } else { INET6 }))?;
    }
    sys::set_option(socket.as_fd(), level, info, &1i32.to_ne_bytes())?;
    if !v4 {
        socket.set_only_v6(true)?;
    }
    if let Some(port) = port {
        socket.bind(&SocketAddr::new(any, port).into())?;
    }
    Ok(socket)
}

/// A policy of a socket that lets everything pass.
fn bypass(direction: u8, family: u16) -> Vec<u8> {
    let info = PolicyInfo {
        selector: Selector { family, ..Selector::default() },
        limits: Limits::none(),
        direction,
        action: action::ALLOW,
        ..PolicyInfo::default()
    };
    let mut bytes = Vec::new();
    info.write(&mut bytes);
    bytes
}
