//! The UDP sockets of IKE. Policies do not hold for them, and the kernel takes ESP out of the one for NAT traversal.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ravelin_inbox::{IkeDatagram, IkeReceiver, IkeSender, Progress, Wake, ike_queue};
use ravelin_types::{IkeSpi, Way};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
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
/// Messages that are read from one socket before the next has its turn.
const TURN: usize = 64;
/// Until waiting for messages is tried again after it has failed.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
const IP_XFRM_POLICY: libc::c_int = 17;
const IPV6_XFRM_POLICY: libc::c_int = 35;
const UDP_ENCAP: libc::c_int = 100;
const UDP_ENCAP_ESPINUDP: libc::c_int = 2;

struct Family {
    ike: Socket,
    nat: Socket,
}

/// The sockets of both families. What arrives is read by a thread of its own, so that a flood of first messages does not fill the
/// sockets while the daemon is busy.
pub(crate) struct Sockets {
    families: Arc<Families>,
    ports: (u16, u16),
    inbox: IkeReceiver,
    end: Wake,
    reader: Option<JoinHandle<()>>,
}

struct Families {
    v4: Family,
    /// `None` on a host without IPv6.
    v6: Option<Family>,
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
        let no_descriptor = |error| Error::system("make an event descriptor", error);
        let (sender, inbox) = ike_queue().map_err(no_descriptor)?;
        let (families, end) = (Arc::new(Families { v4, v6 }), Wake::new().map_err(no_descriptor)?);
        let ports = (config.ike_port, config.nat_port);
        let reader =
            Reader { families: families.clone(), ports, sender, end: end.clone(), buffer: vec![0; MAX_DATAGRAM] };
        let thread = std::thread::Builder::new().name("ravelin-ike".into()).spawn(move || reader.run());
        let reader = Some(thread.map_err(|error| Error::system("start the thread that reads IKE messages", error))?);
        Ok(Sockets { families, ports, inbox, end, reader })
    }

    /// Readable while there are IKE messages.
    pub(crate) fn readable(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }

    /// The next IKE message.
    pub(crate) fn receive(&mut self) -> Option<IkeDatagram> {
        self.inbox.next()
    }

    /// An IKE SA is so far now.
    pub(crate) fn note(&self, spis: (IkeSpi, IkeSpi), progress: Progress) {
        self.inbox.note(spis, progress);
    }

    /// How many messages found no room, by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 4] {
        self.inbox.counters()
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
        if remote.is_ipv4() { Some(&self.families.v4) } else { self.families.v6.as_ref() }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.end.set();
        if self.reader.take().is_some_and(|reader| reader.join().is_err()) {
            tracing::error!("the thread that reads IKE messages ended in a panic");
        }
    }
}

/// What the thread that reads has.
struct Reader {
    families: Arc<Families>,
    ports: (u16, u16),
    sender: IkeSender,
    end: Wake,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads until the end is told; sockets take turns.
    fn run(mut self) {
        let families = self.families.clone();
        let families = std::iter::once(&families.v4).chain(&families.v6);
        let (ike, nat) = self.ports;
        let all: Vec<(&Socket, u16)> = families.flat_map(|family| [(&family.ike, ike), (&family.nat, nat)]).collect();
        let end = self.end.clone();
        loop {
            let mut fds = vec![PollFd::new(&end, PollFlags::IN)];
            fds.extend(all.iter().map(|(socket, _)| PollFd::new(*socket, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => return,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!("waiting for IKE messages failed: {error}");
                    std::thread::sleep(AFTER_FAILURE);
                }
            }
            for ((socket, port), fd) in all.iter().zip(&fds[1..]) {
                if !fd.revents().is_empty() {
                    self.read(socket, *port);
                }
            }
        }
    }

    /// Reads what has arrived at one socket, up to a turn of it.
    fn read(&mut self, socket: &Socket, port: u16) {
        for _ in 0..TURN {
            match sys::receive_to(socket.as_fd(), &mut self.buffer) {
                Ok((length, Some(remote), Some(local))) => {
                    let data = self.buffer.get(..length).and_then(|data| match port == self.ports.1 {
                        true => data.strip_prefix(&NON_ESP_MARKER),
                        false => Some(data),
                    });
                    if let Some(data) = data {
                        self.sender.hand_up(Way::udp(SocketAddr::new(local, port), remote), data);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error for a message of ours is told with the next call; IKE has its own way to notice.
                Err(_) => {}
            }
        }
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
