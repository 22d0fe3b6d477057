//! Segmentation offload: the stack hands us many packets of a flow as one, and takes many as one.
//!
//! [`Splitter`] cuts what was read from the device into packets, [`Merger`] finds the packets of a batch that may be
//! written to it as one. Both follow what the kernel does with the same packets (its GSO and GRO), so that neither end
//! of a connection can tell. A super-packet is described by a `virtio_net_hdr` in front of it.

mod checksum;
mod merge;
mod split;
mod vnet;

pub(crate) use merge::{Merger, NONE};
pub(crate) use split::Splitter;
pub(crate) use vnet::VnetHeader;

/// The transports whose packets can be parts of a super-packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

const UDP_HEADER: usize = 8;
/// The length of a TCP header without options.
const TCP_HEADER: usize = 20;
/// Where the checksum stands in a UDP header.
const UDP_CHECKSUM: usize = 6;
/// Where the checksum stands in a TCP header.
const TCP_CHECKSUM: usize = 16;
/// Where the flags stand in a TCP header.
const TCP_FLAGS: usize = 13;

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

#[cfg(test)]
mod tests;
