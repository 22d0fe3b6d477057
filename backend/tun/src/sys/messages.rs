//! Many packets with one system call.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::null_mut;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::check;
use super::control::{self, Control};
use super::name::{from_storage, to_storage};
use super::sending::Sending;
use crate::slots::{BATCH, Slots};

/// The longest payload of a UDP datagram in IPv4, also for one that the kernel cuts.
const MAX_DATAGRAM: usize = 65_507;
/// The most datagrams that any kernel cuts from one.
const MAX_SEGMENTS: usize = 64;

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
    /// The slot holds several datagrams of one sender, one behind the other: the length of each but the last.
    pub segment: Option<usize>,
    /// The packet was longer than its slot.
    pub truncated: bool,
}

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
            control: vec![Control::new(); BATCH].into(),
        }
    }

    /// Receives so many packets at most, one into each slot, without waiting. The number of packets, 0 when there are none.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, slots: &mut Slots, most: usize) -> io::Result<usize> {
        let most = most.min(BATCH);
        for i in 0..most {
            let slot = slots.room(i);
            self.vectors[i] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
            self.header(i, i..i + 1, Control::ROOM, size_of::<libc::sockaddr_storage>());
        }
        // SAFETY: each header points to the vector, name and control buffer of the same index, which live in `self`,
        // and each vector to a slot of its own, borrowed until this function returns; there are BATCH of all, and no less than `most`.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                most as libc::c_uint,
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
        // SAFETY: the kernel filled the control buffer that the header points to, and it lives in `self`.
        let control::Said { local, tos, ttl, segment } = unsafe { control::read(&header.msg_hdr) };
        Some(Received {
            len: header.msg_len as usize,
            remote: from_storage(&self.names[i])?,
            local,
            tos,
            ttl,
            segment,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Sends packets that stand in `bytes`, at most [`BATCH`], without waiting for room in the socket. With `trains`,
    /// for UDP sockets, packets that follow each other to one place and are of one length, but for a shorter last one,
    /// go to the kernel as one, which cuts them apart as late as it can. Of what the kernel refuses `refused` gets
    /// the place in `packets`, and the rest is sent nevertheless. The number of packets that were sent or refused: less than all
    /// when there was no room for more.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        bytes: &[u8],
        packets: &[Sending],
        trains: bool,
        refused: &mut dyn FnMut(usize, io::Error),
    ) -> usize {
        let packets = &packets[..packets.len().min(BATCH)];
        let mut done = 0;
        // The packets before this one are sent each by itself.
        let mut alone = if trains { 0 } else { packets.len() };
        while done < packets.len() {
            let count = self.fill(bytes, &packets[done..], alone.saturating_sub(done));
            // SAFETY: the first `count` headers point to vectors, names and control buffers that live in `self`;
            // `sendmmsg` only reads what the vectors point to, and `bytes` is borrowed until this function returns.
            let result = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT)
            };
            // The type of the length is not the same in every C library.
            #[allow(clippy::unnecessary_cast)]
            let sizes = self.headers.iter().map(|header| header.msg_hdr.msg_iovlen as usize);
            match check(result) {
                Ok(sent) => done += sizes.take(sent.max(1)).sum::<usize>(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_full(socket, &error) => break,
                // The error belongs to the first that was not sent. A train that the kernel cannot cut, as when the
                // packets do not fit the path and must be fragmented, goes packet by packet.
                Err(_) if self.headers[0].msg_hdr.msg_iovlen > 1 => alone = done + sizes.take(1).sum::<usize>(),
                Err(error) => {
                    refused(done, error);
                    done += 1;
                }
            }
        }
        done
    }

    /// Makes messages of packets, the first `alone` of them each by itself, the others in trains. The number of
    /// messages.
    fn fill(&mut self, bytes: &[u8], packets: &[Sending], alone: usize) -> usize {
        let (mut count, mut at) = (0, 0);
        while at < packets.len() {
            let packet = &packets[at];
            let length = if at < alone { 1 } else { train(&packets[at..]) };
            for (vector, packet) in self.vectors[at..].iter_mut().zip(&packets[at..at + length]) {
                let data = &bytes[packet.start..packet.end];
                *vector = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
            }
            let name_len = to_storage(packet.remote, &mut self.names[count]);
            let segment = (length > 1).then_some((packet.end - packet.start) as u16);
            let control_len = self.control[count].write(packet, segment);
            self.header(count, at..at + length, control_len, name_len);
            count += 1;
            at += length;
        }
        count
    }

    /// Lets the `i`th header point to the buffers of the same index, and to some vectors.
    fn header(&mut self, i: usize, vectors: std::ops::Range<usize>, control_len: usize, name_len: usize) {
        let header = &mut self.headers[i];
        header.msg_len = 0;
        header.msg_hdr.msg_name = (&raw mut self.names[i]).cast();
        header.msg_hdr.msg_namelen = name_len as libc::socklen_t;
        header.msg_hdr.msg_iovlen = vectors.len() as _;
        header.msg_hdr.msg_iov = self.vectors[vectors].as_mut_ptr();
        header.msg_hdr.msg_control = (&raw mut self.control[i]).cast();
        header.msg_hdr.msg_controllen = control_len as _;
        header.msg_hdr.msg_flags = 0;
    }
}

/// Whether the error means that the socket has no room. Raw sockets say so in the words for a lack of memory.
fn is_full(socket: BorrowedFd<'_>, error: &io::Error) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let has_room = || poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], Some(&now)) == Ok(1);
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS) && !has_room()
}

/// How many of the packets, from the first on, the kernel can cut from one.
fn train(packets: &[Sending]) -> usize {
    let Some(first) = packets.first() else { return 0 };
    let len = |packet: &Sending| packet.end - packet.start;
    let header = |packet: &Sending| (packet.remote, packet.local, packet.tos, packet.hops);
    let alike = |packet: &Sending| header(packet) == header(first);
    let longest = MAX_SEGMENTS.min(MAX_DATAGRAM / len(first).max(1)).max(1);
    let others = packets[1..].iter().take(longest - 1);
    let same = others.take_while(|packet| alike(packet) && len(packet) == len(first)).count() + 1;
    let shorter = |last: &&Sending| alike(last) && len(last) < len(first) && len(last) > 0 && same < longest;
    same + usize::from(packets.get(same).is_some_and(|last| shorter(&last)))
}

#[cfg(test)]
mod tests {
    use super::super::sending::HOPS;
    use super::*;

    fn packets(lengths: &[usize]) -> Vec<Sending> {
        let remote = "192.0.2.1:4500".parse().unwrap();
        let local = "192.0.2.2".parse().unwrap();
        lengths.iter().map(|&end| Sending { start: 0, end, remote, local, tos: 0, hops: HOPS }).collect()
    }

    #[test]
    fn a_train_ends_with_its_first_shorter_packet() {
        assert_eq!(train(&packets(&[])), 0);
        assert_eq!(train(&packets(&[100])), 1);
        assert_eq!(train(&packets(&[100, 100, 100])), 3);
        assert_eq!(train(&packets(&[100, 100, 60, 100])), 3);
        assert_eq!(train(&packets(&[100, 60, 60])), 2);
        assert_eq!(train(&packets(&[60, 100, 100])), 1);
        assert_eq!(train(&packets(&[100, 0])), 1);
    }

    #[test]
    fn a_train_is_no_longer_than_the_kernel_takes() {
        assert_eq!(train(&packets(&[64; 200])), MAX_SEGMENTS);
        assert_eq!(train(&packets(&[1400; 60])), MAX_DATAGRAM / 1400);
        assert_eq!(train(&packets(&[MAX_DATAGRAM, 10])), 1);
        assert_eq!(train(&packets(&[65_535, 10])), 1);
    }

    #[test]
    fn a_train_has_one_destination_source_and_traffic_class() {
        let change = |change: fn(&mut Sending)| {
            let mut packets = packets(&[100; 3]);
            change(&mut packets[1]);
            train(&packets)
        };
        assert_eq!(change(|_| {}), 3);
        assert_eq!(change(|packet| packet.remote = "192.0.2.1:4501".parse().unwrap()), 1);
        assert_eq!(change(|packet| packet.local = "192.0.2.3".parse().unwrap()), 1);
        assert_eq!(change(|packet| packet.tos = 2), 1);
        assert_eq!(change(|packet| packet.hops = 2), 1);
    }
}
