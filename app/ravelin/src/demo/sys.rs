//! The system calls of the demonstration that have no safe form.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Signal;
use rustix::thread::UnshareFlags;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

/// Moves the calling thread into fresh namespaces. With `UnshareFlags::NEWUSER` the process must have one thread.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the flags that make this unsafe are those that split file descriptors or the file system context from
    // other threads; only namespaces are asked for here.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Has the kernel kill the child when the thread that starts it ends, so that nothing outlives a demonstration that
/// is itself killed.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one system call and touches no memory of other threads.
    unsafe {
        command.pre_exec(|| rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into));
    }
}

/// A socket that sees every packet that enters or leaves one interface, from its network header on.
pub fn packet_socket(interface: &str) -> io::Result<Socket> {
    let index = rustix::net::netdevice::name_to_index(
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?,
        interface,
    )?;
    // Bound to an interface below; until then the protocol 0 receives nothing.
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the address types that `sockaddr_storage`, which `SockAddrStorage` wraps, has
    // room and alignment for.
    *unsafe { storage.view_as::<libc::sockaddr_ll>() } = address;
    // SAFETY: the storage was just filled with an address of this length.
    let address = unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) };
    socket.bind(&address)?;
    Ok(socket)
}
