//! The system calls that the libraries do not wrap: socket options with structures, datagrams with the address of ours
//! that they came to or leave from, the number of processors, and the names of interfaces. The only file of this crate with `unsafe`.

use std::ffi::c_int;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{read_unaligned, write_unaligned};

use socket2::{SockAddr, SockAddrStorage};

/// Room for the one control message that we send, and for those that we asked for.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// How many processors are in use.
pub(crate) fn processors() -> u32 {
    // SAFETY: `sysconf` takes no pointers.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

/// The name of an interface in the namespace of the calling thread.
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length that is asked for, and lives until the call returns.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    let bytes: Vec<u8> = name.iter().take_while(|byte| **byte != 0).map(|byte| byte.cast_unsigned()).collect();
    String::from_utf8(bytes).ok().filter(|_| !found.is_null())
}

/// Sets an option of a socket.
pub(crate) fn set_option(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which lives until the call returns.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t)
    })
    .map(drop)
}

/// Gives a socket a buffer beyond the system's limit.
pub(crate) fn force_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes.to_ne_bytes())
}

/// Sends a datagram from an address of ours; unspecified: the kernel chooses.
pub(crate) fn send_from(socket: BorrowedFd<'_>, data: &[u8], from: IpAddr, to: SocketAddr) -> io::Result<()> {
    let name = SockAddr::from(to);
    let mut vector = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut control = Control([0; 128]);
    let length = match (from, to) {
        (IpAddr::V4(address), SocketAddr::V4(_)) if !address.is_unspecified() => {
            let address = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
            let any = libc::in_addr { s_addr: 0 };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: any };
            control.put(libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        (IpAddr::V6(address), SocketAddr::V6(remote)) if !address.is_unspecified() => {
            let address = libc::in6_addr { s6_addr: address.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: remote.scope_id() };
            control.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
        _ => 0,
    };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name.len();
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    if length > 0 {
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = length as _;
    }
    // SAFETY: the header points to values that live until the call returns, and `sendmsg` only reads them.
    check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) } as c_int).map(drop)
}

/// One datagram, without waiting: its length, where it came from, and the address of ours that it came to, where the
/// socket was told to report it. One that does not fit has the length of the buffer and one more.
pub(crate) fn receive_to(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<SocketAddr>, Option<IpAddr>)> {
    let mut storage = SockAddrStorage::zeroed();
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 128]);
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = (&raw mut storage).cast();
    header.msg_namelen = storage.size_of();
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points to values that live until the call returns; the buffer is borrowed mutably.
    let length = check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) } as c_int)?;
    let length = if header.msg_flags & libc::MSG_TRUNC != 0 { buffer.len() + 1 } else { length };
    // SAFETY: the kernel wrote an address of that length into the storage.
    let remote = unsafe { SockAddr::new(storage, header.msg_namelen) }.as_socket();
    // SAFETY: `recvmsg` filled the header, and the control buffer is still there.
    Ok((length, remote, unsafe { local(&header) }))
}

impl Control {
    /// Writes one control message, and says how long it is.
    fn put<T: Copy>(&mut self, level: c_int, kind: c_int, value: T) -> usize {
        // SAFETY: these only compute lengths.
        let (space, length) =
            unsafe { (libc::CMSG_SPACE(size_of::<T>() as u32), libc::CMSG_LEN(size_of::<T>() as u32)) };
        assert!(space as usize <= self.0.len(), "the structures that are sent are far shorter");
        // SAFETY: all-zero is a valid `cmsghdr`.
        let mut header: libc::cmsghdr = unsafe { zeroed() };
        header.cmsg_len = length as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        // SAFETY: the buffer has room for the header, its padding and the value, and the writes need no alignment.
        unsafe {
            write_unaligned(self.0.as_mut_ptr().cast(), header);
            write_unaligned(self.0.as_mut_ptr().add(libc::CMSG_LEN(0) as usize).cast(), value);
        }
        space as usize
    }
}

/// The address that a datagram came to.
///
/// # Safety
/// `header` is as `recvmsg` left it, and its control buffer is still there.
unsafe fn local(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the macros stay within `msg_controllen`, which the kernel set, and the length of each message is checked
    // before its data is read.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            let data = libc::CMSG_DATA(at);
            let length = ((*at).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if length >= size_of::<libc::in_pktinfo>() => {
                    let info: libc::in_pktinfo = read_unaligned(data.cast());
                    return Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if length >= size_of::<libc::in6_pktinfo>() => {
                    let info: libc::in6_pktinfo = read_unaligned(data.cast());
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => at = libc::CMSG_NXTHDR(header, at),
            }
        }
    }
    None
}

fn check(result: c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Gives the calling thread a network namespace of its own.
pub(crate) fn private_namespace() -> io::Result<()> {
    // SAFETY: with NEWNET alone nothing that other threads share is taken apart; the thread gets a namespace and keeps
    // its files.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.map_err(Into::into)
}
