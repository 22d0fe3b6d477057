//! What the lab needs that no safe interface offers: the address of a network interface for a packet socket, and a TUN device.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};
use socket2::SockAddr;

/// Every protocol, `ETH_P_ALL`, as packet sockets take it: in network byte order.
pub const ALL_PROTOCOLS: u16 = 0x0003_u16.to_be();

/// The address to bind a packet socket to, so that it hears one interface only.
pub fn interface_address(index: u32) -> Result<SockAddr> {
    // SAFETY: `storage` is large enough for every kind of address and aligned for it, `sockaddr_ll` is plain integers, and
    // its size is what the length is set to.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = ALL_PROTOCOLS;
            address.sll_ifindex = index as i32;
            storage.cast::<libc::sockaddr_ll>().write(address);
            length.write(size_of::<libc::sockaddr_ll>() as libc::socklen_t);
            Ok(())
        })?
    };
    Ok(address)
}

/// Makes a TUN device without packet information; it goes with the file.
pub fn tun(name: &str) -> Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: all-zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    ensure!(name.len() < request.ifr_name.len(), "the name is too long");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call returns.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
    ensure!(result == 0, "{}", std::io::Error::last_os_error());
    Ok(file)
}
