//! The system calls that the libraries do not wrap: the TUN ioctls, and `recvmmsg` / `sendmmsg` with control messages.
//! The only folder of this crate with `unsafe`.

mod bpf;
mod control;
mod messages;
mod name;
mod sending;

use std::ffi::{c_int, c_uint};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) use bpf::only_spis;
pub(crate) use messages::{Messages, Received};
pub(crate) use sending::{HOPS, Sending};

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
    set_words(socket, level, name, &[value])
}

/// `linux/icmp.h` and `linux/icmpv6.h`.
const ICMP_FILTER: c_int = 1;
const ICMPV6_FILTER: c_int = 1;

/// Lets only messages of this type come in at a raw ICMP socket of IPv4, or of IPv6.
pub(crate) fn only_icmp(socket: BorrowedFd<'_>, v4: bool, kind: u8) -> io::Result<()> {
    // A bit for each type, set for those that are kept away.
    let mut types: [c_int; 8] = [-1; 8];
    types[usize::from(kind / 32)] = !(1 << (kind % 32));
    match v4 {
        true => set_words(socket, libc::SOL_RAW, ICMP_FILTER, &types[..1]),
        false => set_words(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &types),
    }
}

fn set_words(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &[c_int]) -> io::Result<()> {
    let length = size_of_val(value) as libc::socklen_t;
    // SAFETY: the pointer and the length describe `value`, which lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    check(result).map(drop)
}

/// The longest packet on the path of a connected socket, as far as the host knows it: `IP_MTU`, `IPV6_MTU`.
pub(crate) fn path_mtu(socket: BorrowedFd<'_>, v4: bool) -> io::Result<u16> {
    let (level, name) = if v4 { (libc::IPPROTO_IP, libc::IP_MTU) } else { (libc::IPPROTO_IPV6, libc::IPV6_MTU) };
    let (mut value, mut length): (c_int, _) = (0, size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the pointers lead to `value`, of the length given, and to `length`, which live until the call returns.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &mut length) })?;
    Ok(u16::try_from(value).unwrap_or(u16::MAX))
}

/// Processors of the machine, whether or not we may use them.
pub(crate) fn processors() -> usize {
    // SAFETY: it takes a number and gives one.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

fn check(result: c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
