//! The sockets: raw ESP and AH, UDP for IKE and for ESP in UDP, raw ones for packets that pass in the clear, and ICMP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::TunConfig;
use crate::deal::SINGLE;
use crate::error::Error;
use crate::sys::{HOPS, only_icmp, only_spis, path_mtu, set_option};

/// Bytes the kernel keeps for us while the inbound thread is busy.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Bytes that wait for the link before packets wait in the device: several batches.
const SEND_BUFFER: usize = 1 << 20;
/// Bytes of ICMP that the kernel keeps. There is little of it, unless somebody means harm.
const ICMP_BUFFER: usize = 64 << 10;

/// Destination unreachable, of which one code is that a packet was too big (RFC 792, RFC 1191 §4).
const ICMP_UNREACHABLE: u8 = 3;
/// Packet too big (RFC 4443 §3.2).
const ICMPV6_TOO_BIG: u8 = 2;

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// ESP as IP protocol 50.
    Esp,
    /// AH as IP protocol 51, for receiving: what is sent goes out whole, by [`Use::Clear`].
    Ah,
    /// UDP port 4500: ESP, IKE behind the non-ESP marker, keepalives.
    Nat,
    /// UDP port 500: IKE.
    Ike,
    /// Whole IP packets, in the clear.
    Clear,
}

/// The sockets of one address family.
pub(crate) struct Family {
    esp: Socket,
    nat: Socket,
    /// Of one worker.
    single: Option<Single>,
    clear: Socket,
    icmp: Socket,
}

/// Sockets of which there is one each.
struct Single {
    ah: Socket,
    ike: Socket,
}

/// All sockets of one worker for each direction. Every packet they send carries the mark that neither capture nor guard looks at.
pub(crate) struct Sockets {
    own_mark: u32,
    v4: Family,
    /// `None` on a host without IPv6.
    v6: Option<Family>,
}

impl Sockets {
    /// Opens the sockets of this worker in the network namespace of the calling thread.
    pub(crate) fn open(config: &TunConfig, worker: usize) -> Result<Self, Error> {
        let v4 = Family::open(Domain::IPV4, config, worker)?;
        let v6 = match Family::open(Domain::IPV6, config, worker) {
            Ok(family) => Some(family),
            Err(Error::System { source, .. }) if source.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                if worker == SINGLE {
                    tracing::warn!("this host has no IPv6: only IPv4 is protected");
                }
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Sockets { own_mark: config.own_mark, v4, v6 })
    }

    /// Whether the host has IPv6.
    pub(crate) fn has_v6(&self) -> bool {
        self.v6.is_some()
    }

    /// The socket that carries this to `remote`.
    pub(crate) fn get(&self, what: Use, remote: IpAddr) -> Option<BorrowedFd<'_>> {
        let family = if remote.is_ipv4() { &self.v4 } else { self.v6.as_ref()? };
        family.get(what).map(Socket::as_fd)
    }

    /// The sockets that receive.
    pub(crate) fn receiving(&self) -> impl Iterator<Item = (Use, BorrowedFd<'_>)> {
        let uses = [Use::Esp, Use::Ah, Use::Nat, Use::Ike];
        let of =
            move |family| uses.into_iter().filter_map(move |what| Some((what, Family::get(family, what)?.as_fd())));
        self.families().flat_map(of)
    }

    /// The sockets on which routers say that packets of ours were too big.
    pub(crate) fn icmp(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.families().map(|family| family.icmp.as_fd())
    }

    fn families(&self) -> impl Iterator<Item = &Family> {
        std::iter::once(&self.v4).chain(&self.v6)
    }

    /// The source address that the routing of our packets chooses.
    pub(crate) fn source_towards(&self, remote: IpAddr) -> io::Result<IpAddr> {
        let local = self.connected(remote)?.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(local.ip())
    }

    /// The longest packet of ours that the host lets go to `remote`.
    pub(crate) fn mtu_towards(&self, remote: IpAddr) -> io::Result<u16> {
        path_mtu(self.connected(remote)?.as_fd(), remote.is_ipv4())
    }

    /// Connecting a UDP socket sends nothing.
    fn connected(&self, remote: IpAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(SocketAddr::new(remote, 0)), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_mark(self.own_mark)?;
        socket.connect(&SocketAddr::new(remote, 500).into())?;
        Ok(socket)
    }
}

impl Family {
    fn open(domain: Domain, config: &TunConfig, worker: usize) -> Result<Self, Error> {
        let raw = |protocol| open(domain, Type::RAW, protocol, None, config);
        let udp = |port| open(domain, Type::DGRAM, libc::IPPROTO_UDP, Some(port), config);
        let name = if domain == Domain::IPV4 { "IPv4" } else { "IPv6" };
        let no_esp = |e| Error::system(format!("open a raw {name} socket for ESP"), e);
        let esp = raw(libc::IPPROTO_ESP).map_err(no_esp)?;
        if config.workers > 1 {
            let (worker, workers) = (worker as u32, config.workers as u32);
            only_spis(esp.as_fd(), domain == Domain::IPV4, worker, workers).map_err(no_esp)?;
        }
        let single = || -> Result<Single, Error> {
            Ok(Single {
                ah: raw(libc::IPPROTO_AH).map_err(|e| Error::system(format!("open a raw {name} socket for AH"), e))?,
                ike: udp(config.ike_port)
                    .map_err(|e| Error::system(format!("bind {name} UDP port {}", config.ike_port), e))?,
            })
        };
        // The first port is nobody else's, so another daemon is noticed before its port 4500 is shared.
        let single = (worker == SINGLE).then(single).transpose()?;
        Ok(Family {
            esp,
            nat: udp(config.nat_port)
                .map_err(|e| Error::system(format!("bind {name} UDP port {}", config.nat_port), e))?,
            single,
            clear: raw(libc::IPPROTO_RAW).map_err(|e| Error::system(format!("open a raw {name} socket"), e))?,
            icmp: icmp(domain, config).map_err(|e| Error::system(format!("open a raw {name} socket for ICMP"), e))?,
        })
    }

    fn get(&self, what: Use) -> Option<&Socket> {
        match what {
            Use::Esp => Some(&self.esp),
            Use::Ah => Some(&self.single.as_ref()?.ah),
            Use::Nat => Some(&self.nat),
            Use::Ike => Some(&self.single.as_ref()?.ike),
            Use::Clear => Some(&self.clear),
        }
    }
}

fn icmp(domain: Domain, config: &TunConfig) -> io::Result<Socket> {
    let v4 = domain == Domain::IPV4;
    let (protocol, kind) =
        if v4 { (libc::IPPROTO_ICMP, ICMP_UNREACHABLE) } else { (libc::IPPROTO_ICMPV6, ICMPV6_TOO_BIG) };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
    only_icmp(socket.as_fd(), v4, kind)?;
    socket.set_mark(config.own_mark)?;
    socket.set_recv_buffer_size(ICMP_BUFFER)?;
    Ok(socket)
}

fn open(domain: Domain, kind: Type, protocol: i32, port: Option<u16>, config: &TunConfig) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, Some(Protocol::from(protocol)))?;
    socket.set_mark(config.own_mark)?;
    let any: IpAddr = if domain == Domain::IPV4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let options: &[(i32, i32, i32)] = if domain == Domain::IPV4 {
        &[
            (libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
            (libc::IPPROTO_IP, libc::IP_RECVTOS, 1),
            (libc::IPPROTO_IP, libc::IP_RECVTTL, 1),
            (libc::IPPROTO_IP, libc::IP_TTL, HOPS as i32),
            // The kernel fragments what is too long for the link, and routers what is too long for the path. It knows one MTU
            // for each destination: where a tunnel ends at the host it leads to, that is of the packets inside.
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        ]
    } else {
        &[
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1),
            (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, HOPS as i32),
            // Nobody but us fragments IPv6.
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
        ]
    };
    for &(level, name, value) in options {
        set_option(socket.as_fd(), level, name, value)?;
    }
    // More than the system's limit needs a capability that a container may lack; then the limit is what we get.
    if set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER as i32).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    if set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER as i32).is_err() {
        socket.set_send_buffer_size(SEND_BUFFER)?;
    }
    if port == Some(config.nat_port) {
        // Datagrams that belong together come as one; kernels before 5.0 refuse, and then each comes by itself. RFC 3948
        // §2.1 would have the checksum zero, but only with checksums do kernels carry many datagrams as one, either way.
        let _ = set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1);
        if config.workers > 1 {
            // The kernel deals peers out among the sockets, by address and port.
            set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
    }
    if let Some(port) = port {
        if domain == Domain::IPV6 {
            socket.set_only_v6(true)?;
        }
        socket.bind(&SocketAddr::new(any, port).into())?;
    }
    Ok(socket)
}
