//! The control messages beside a packet.

use std::ffi::c_int;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr::{read_unaligned, write_unaligned};

use super::sending::{HOPS, Sending};

/// Bytes for the control messages of one packet: addresses with interface, traffic class, hop limit, length of
/// segments.
const ROOM: usize = 160;

/// Room for the control messages of one packet.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Control([u8; ROOM]);

/// What the control messages of a received packet say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub local: Option<IpAddr>,
    pub tos: u8,
    pub ttl: Option<u8>,
    pub segment: Option<usize>,
}

impl Control {
    pub(super) const ROOM: usize = ROOM;

    pub(super) fn new() -> Self {
        Control([0; ROOM])
    }

    /// Writes source address, traffic class and hop limit, and with `segment` into datagrams of which length the data is to be
    /// cut. The number of bytes written.
    pub(super) fn write(&mut self, packet: &Sending, segment: Option<u16>) -> usize {
        let mut end = 0;
        match (packet.remote, packet.local) {
            (SocketAddr::V4(_), IpAddr::V4(local)) => {
                if !local.is_unspecified() {
                    let address = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
                    let any = libc::in_addr { s_addr: 0 };
                    let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: any };
                    self.push(&mut end, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
                }
                self.push(&mut end, libc::IPPROTO_IP, libc::IP_TOS, c_int::from(packet.tos));
                if packet.hops != HOPS {
                    self.push(&mut end, libc::IPPROTO_IP, libc::IP_TTL, c_int::from(packet.hops));
                }
            }
            (SocketAddr::V6(remote), IpAddr::V6(local)) => {
                if !local.is_unspecified() {
                    let address = libc::in6_addr { s6_addr: local.octets() };
                    let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: remote.scope_id() };
                    self.push(&mut end, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
                }
                self.push(&mut end, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, c_int::from(packet.tos));
                if packet.hops != HOPS {
                    self.push(&mut end, libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, c_int::from(packet.hops));
                }
            }
            // Mixed families: the kernel chooses the source.
            _ => {}
        }
        if let Some(segment) = segment {
            self.push(&mut end, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        end
    }

    /// Appends one control message at `end`.
    fn push<T: Copy>(&mut self, end: &mut usize, level: c_int, kind: c_int, value: T) {
        // SAFETY: these only compute lengths.
        let (space, len) = unsafe { (libc::CMSG_SPACE(size_of::<T>() as u32), libc::CMSG_LEN(size_of::<T>() as u32)) };
        let place = &mut self.0[*end..*end + space as usize];
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
}

/// Reads the control messages of a packet.
///
/// # Safety
/// `header` is as `recvmmsg` left it, and its control buffer is still there.
pub(super) unsafe fn read(header: &libc::msghdr) -> Said {
    let mut said = Said::default();
    // SAFETY: the macros stay within `msg_controllen`, which the kernel set, and the length of each message is checked
    // before its data is read.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            let data = libc::CMSG_DATA(at);
            let len = (*at).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if len >= size_of::<libc::in_pktinfo>() => {
                    let info: libc::in_pktinfo = read_unaligned(data.cast());
                    said.local = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if len >= size_of::<libc::in6_pktinfo>() => {
                    let info: libc::in6_pktinfo = read_unaligned(data.cast());
                    said.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                // IPv4 reports one byte, IPv6 an integer.
                (libc::IPPROTO_IP, libc::IP_TOS) if len >= 1 => said.tos = *data,
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) if len >= size_of::<c_int>() => {
                    said.tos = read_unaligned::<c_int>(data.cast()) as u8;
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
                    if len >= size_of::<c_int>() =>
                {
                    said.ttl = u8::try_from(read_unaligned::<c_int>(data.cast())).ok();
                }
                (libc::SOL_UDP, libc::UDP_GRO) if len >= size_of::<c_int>() => {
                    said.segment = usize::try_from(read_unaligned::<c_int>(data.cast())).ok().filter(|&len| len > 0);
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    said
}
