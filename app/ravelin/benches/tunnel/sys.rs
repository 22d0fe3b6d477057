//! Many datagrams with one system call.

use std::mem::zeroed;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

const BATCH: usize = 64;
const DATAGRAM: [u8; 64] = [0x55; 64];

/// Sends up to `count` datagrams of 64 bytes, at most a batch, and returns how many.
pub fn send(socket: &UdpSocket, count: usize) -> usize {
    let mut data = DATAGRAM;
    let mut vector = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    // SAFETY: all-zero is a valid `mmsghdr`.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    for header in &mut headers {
        header.msg_hdr.msg_iov = &raw mut vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: there are BATCH headers; each points to a vector, and that to data, that live until the call returns.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count.min(BATCH) as u32, 0) };
    usize::try_from(sent).expect("datagrams can be sent")
}

/// Receives what is there, at most a batch, waiting for the first up to the timeout of the socket.
pub fn receive(socket: &UdpSocket) -> usize {
    let mut data = [[0; DATAGRAM.len()]; BATCH];
    // SAFETY: all-zero is a valid `iovec` and a valid `mmsghdr`.
    let (mut vectors, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) = unsafe { (zeroed(), zeroed()) };
    for ((header, vector), data) in headers.iter_mut().zip(&mut vectors).zip(&mut data) {
        *vector = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: there are BATCH headers; each points to a vector, and that to data, that live until the call returns.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            BATCH as u32,
            libc::MSG_WAITFORONE,
            std::ptr::null_mut(),
        )
    };
    usize::try_from(count).unwrap_or(0)
}
