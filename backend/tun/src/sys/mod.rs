//! The system calls that the libraries do not wrap: the TUN ioctls, and `recvmmsg` / `sendmmsg` with control messages.
//! The only folder of this crate with `unsafe`.

mod control;
mod messages;
mod name;

use std::ffi::{c_int, c_uint};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) use messages::{HOPS, Messages, Received, Sending};

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
