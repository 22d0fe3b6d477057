//! What is to be sent.

use std::net::{IpAddr, SocketAddr};

/// TTL or hop limit of what a socket sends, unless told otherwise.
pub(crate) const HOPS: u8 = 64;

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
    /// TTL or hop limit.
    pub hops: u8,
}
