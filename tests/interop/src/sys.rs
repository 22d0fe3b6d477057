//! The one thing the lab needs that no safe interface offers: the address of a network interface for a packet socket.

use anyhow::Result;
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
