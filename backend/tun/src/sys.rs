//! The system calls that the libraries do not wrap: the TUN ioctl, and `recvmmsg` / `sendmmsg` with control messages.
//! The only file of this crate with `unsafe`.

use std::ffi::{c_int, c_uint};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{null_mut, read_unaligned, write_unaligned};

use crate::slots::{BATCH, Slots};

/// Bytes for the control messages of one packet: addresses with interface, traffic class, hop limit.
const CONTROL: usize = 128;

/// Binds the file of `/dev/net/tun` to a device without packet information that vanishes with the file; with `vnet`,
/// a `virtio_net_hdr` is in front of each packet.
pub(crate) fn attach_tun(file: BorrowedFd<'_>, name: &str, vnet: bool) -> io::Result<()> {
    // SAFETY: all-zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of the device is too long"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let vnet = if vnet { libc::IFF_VNET_HDR } else { 0 };
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | vnet) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call returns.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) }).map(drop)
}

/// Says what the reader of a TUN device with `virtio_net_hdr` can take: `TUN_F_` bits.
pub(crate) fn set_tun_offload(file: BorrowedFd<'_>, features: c_uint) -> io::Result<()> {
    // SAFETY: the argument of TUNSETOFFLOAD is a number.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(features)) }).map(drop)
}

/// Sets an integer option of a socket.
pub(crate) fn set_option(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `value`, which lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    check(result).map(drop)
}

fn check(result: c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// What the kernel said about one received packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes in the slot.
    pub len: usize,
    /// Where it came from.
    pub remote: SocketAddr,
    /// The destination address, where the socket reports it.
    pub local: Option<IpAddr>,
    /// TOS or traffic class, 0 where the socket does not report it.
    pub tos: u8,
    /// TTL or hop limit, where the socket reports it.
    pub ttl: Option<u8>,
    /// The packet was longer than its slot.
    pub truncated: bool,
}

/// One packet to send: a range of the slots' bytes, and what the kernel is to write into the IP header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    /// First and one past the last byte.
    pub start: usize,
    pub end: usize,
    /// Where to; the port is 0 on raw sockets.
    pub remote: SocketAddr,
    /// The source address; unspecified: the kernel chooses.
    pub local: IpAddr,
    /// TOS or traffic class.
    pub tos: u8,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// The arrays behind `recvmmsg` and `sendmmsg`, made once and used for every batch.
pub(crate) struct Messages {
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    names: Box<[libc::sockaddr_storage]>,
    control: Box<[Control]>,
}

// SAFETY: the pointers in the arrays are null or lead into the boxes of the same value (and are set anew for each call
// where they led elsewhere), so they go along to another thread.
unsafe impl Send for Messages {}

impl Messages {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero is a valid value of these C structures: null pointers with length 0.
        let (header, vector, name) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Messages {
            headers: vec![header; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            names: vec![name; BATCH].into(),
            control: vec![Control([0; CONTROL]); BATCH].into(),
        }
    }

    /// Receives up to [`BATCH`] packets, one into each slot, without waiting. The number of packets, 0 when there
    /// are none.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, slots: &mut Slots) -> io::Result<usize> {
        for i in 0..BATCH {
            let slot = slots.room(i);
            self.vectors[i] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
            self.header(i, CONTROL, size_of::<libc::sockaddr_storage>());
        }
        // SAFETY: each header points to the vector, name and control buffer of the same index, which live in `self`,
        // and each vector to a slot of its own, borrowed until this function returns.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                null_mut(),
            )
        };
        match check(result) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            other => other,
        }
    }

    /// What is known of the `i`th packet of the last [`Messages::receive`]; `None` when it has no source address.
    pub(crate) fn received(&self, i: usize) -> Option<Received> {
        let header = &self.headers[i];
        let mut received = Received {
            len: header.msg_len as usize,
            remote: from_storage(&self.names[i])?,
            local: None,
            tos: 0,
            ttl: None,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        };
        // SAFETY: the kernel filled the control buffer that the header points to, and it lives in `self`; the macros
        // stay within `msg_controllen`, and the length of each message is checked before its data is read.
        unsafe {
            let mut at = libc::CMSG_FIRSTHDR(&header.msg_hdr);
            while !at.is_null() {
                let data = libc::CMSG_DATA(at);
                let len = (*at).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                match ((*at).cmsg_level, (*at).cmsg_type) {
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) if len >= size_of::<libc::in_pktinfo>() => {
                        let info: libc::in_pktinfo = read_unaligned(data.cast());
                        received.local = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if len >= size_of::<libc::in6_pktinfo>() => {
                        let info: libc::in6_pktinfo = read_unaligned(data.cast());
                        received.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    }
                    // IPv4 reports one byte, IPv6 an integer.
                    (libc::IPPROTO_IP, libc::IP_TOS) if len >= 1 => received.tos = *data,
                    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) if len >= size_of::<c_int>() => {
                        received.tos = read_unaligned::<c_int>(data.cast()) as u8;
                    }
                    (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
                        if len >= size_of::<c_int>() =>
                    {
                        received.ttl = u8::try_from(read_unaligned::<c_int>(data.cast())).ok();
                    }
                    _ => {}
                }
                at = libc::CMSG_NXTHDR(&header.msg_hdr, at);
            }
        }
        Some(received)
    }

    /// Sends packets that stand in `bytes`, at most [`BATCH`], waiting for room in the socket. What the kernel refuses
    /// is handed to `refused`, and the rest is sent nevertheless.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        bytes: &[u8],
        packets: &[Sending],
        refused: &mut dyn FnMut(io::Error),
    ) {
        let count = packets.len().min(BATCH);
        for (i, packet) in packets.iter().enumerate().take(count) {
            let data = &bytes[packet.start..packet.end];
            self.vectors[i] = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
            let name_len = to_storage(packet.remote, &mut self.names[i]);
            self.header(i, CONTROL, name_len);
            self.set_control(i, packet);
        }
        let mut done = 0;
        while done < count {
            // SAFETY: as in `receive`; `sendmmsg` only reads what the vectors point to, and `bytes` is borrowed until
            // this function returns. `done < count <= BATCH`, so the pointer and the count stay inside `headers`.
            let result = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr().add(done),
                    (count - done) as libc::c_uint,
                    0,
                )
            };
            match check(result) {
                Ok(sent) => done += sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The error belongs to the first packet that was not sent.
                    refused(error);
                    done += 1;
                }
            }
        }
    }

    /// Lets the `i`th header point to the buffers of the same index.
    fn header(&mut self, i: usize, control_len: usize, name_len: usize) {
        let header = &mut self.headers[i];
        header.msg_len = 0;
        header.msg_hdr.msg_name = (&raw mut self.names[i]).cast();
        header.msg_hdr.msg_namelen = name_len as libc::socklen_t;
        header.msg_hdr.msg_iov = &raw mut self.vectors[i];
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = (&raw mut self.control[i]).cast();
        header.msg_hdr.msg_controllen = control_len as _;
        header.msg_hdr.msg_flags = 0;
    }

    /// Writes source address and traffic class into the `i`th control buffer.
    fn set_control(&mut self, i: usize, packet: &Sending) {
        let mut end = 0;
        let control = &mut self.control[i].0;
        match (packet.remote, packet.local) {
            (SocketAddr::V4(_), IpAddr::V4(local)) => {
                if !local.is_unspecified() {
                    let address = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
                    let any = libc::in_addr { s_addr: 0 };
                    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: any };
                    push_control(control, &mut end, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
                }
                push_control(control, &mut end, libc::IPPROTO_IP, libc::IP_TOS, c_int::from(packet.tos));
            }
            (SocketAddr::V6(remote), IpAddr::V6(local)) => {
                if !local.is_unspecified() {
                    let address = libc::in6_addr { s6_addr: local.octets() };
                    let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: remote.scope_id() };
                    push_control(control, &mut end, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
                }
                push_control(control, &mut end, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, c_int::from(packet.tos));
            }
            // Mixed families: the kernel chooses the source.
            _ => {}
        }
        self.headers[i].msg_hdr.msg_controllen = end as _;
    }
}

/// Appends one control message at `end`.
fn push_control<T: Copy>(control: &mut [u8; CONTROL], end: &mut usize, level: c_int, kind: c_int, value: T) {
    // SAFETY: these only compute lengths.
    let (space, len) = unsafe { (libc::CMSG_SPACE(size_of::<T>() as u32), libc::CMSG_LEN(size_of::<T>() as u32)) };
    let place = &mut control[*end..*end + space as usize];
    place.fill(0);
    // SAFETY: all-zero is a valid `cmsghdr`.
    let mut header: libc::cmsghdr = unsafe { zeroed() };
    header.cmsg_len = len as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    // SAFETY: `place` has room for the header, its padding and the value (that is what CMSG_SPACE counts), and the
    // writes need no alignment.
    unsafe {
        write_unaligned(place.as_mut_ptr().cast(), header);
        write_unaligned(place.as_mut_ptr().add(libc::CMSG_LEN(0) as usize).cast(), value);
    }
    *end += space as usize;
}

fn from_storage(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a `sockaddr_in`, for which `sockaddr_storage` has room and alignment.
            let v4: libc::sockaddr_in = unsafe { *(&raw const *storage).cast() };
            let address = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(address, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is a `sockaddr_in6`, for which `sockaddr_storage` has room and alignment.
            let v6: libc::sockaddr_in6 = unsafe { *(&raw const *storage).cast() };
            let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(address, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn to_storage(address: SocketAddr, storage: &mut libc::sockaddr_storage) -> usize {
    match address {
        SocketAddr::V4(v4) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: `sockaddr_storage` has room and alignment for every socket address.
            unsafe { (&raw mut *storage).cast::<libc::sockaddr_in>().write(name) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: `sockaddr_storage` has room and alignment for every socket address.
            unsafe { (&raw mut *storage).cast::<libc::sockaddr_in6>().write(name) };
            size_of::<libc::sockaddr_in6>()
        }
    }
}
