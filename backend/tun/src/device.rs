//! The TUN device.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::error::Error;
use crate::offload::VnetHeader;
use crate::slots::BATCH;
use crate::sys;

/// A TUN device that vanishes when the value is dropped.
pub(crate) struct Device {
    file: OwnedFd,
    /// A `virtio_net_hdr` is in front of each packet.
    vnet: bool,
    /// Super-packets may be of UDP.
    udp: bool,
}

/// What we can take from the stack; kernels before 6.2 cannot leave the segmentation of UDP to us.
const UDP: u32 = libc::TUN_F_USO4 | libc::TUN_F_USO6;
const TCP: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;

impl Device {
    /// Makes the device; it is down and has no address. With `offload` it exchanges super-packets with the stack as
    /// far as the kernel can.
    pub(crate) fn create(name: &str, offload: bool) -> Result<Self, Error> {
        let file = rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| {
            Error::system("open /dev/net/tun", error).hint_when(
                io::ErrorKind::NotFound,
                "the kernel has no TUN devices: `modprobe tun`, or give the container the device",
            )
        })?;
        let attach = |vnet| sys::attach_tun(file.as_fd(), name, vnet).map(|()| vnet);
        let attached = match attach(offload) {
            Err(error) if offload && error.kind() == io::ErrorKind::InvalidInput => attach(false),
            other => other,
        };
        let vnet = attached.map_err(|error| {
            Error::system(format!("make the TUN device {name}"), error).hint_when(
                io::ErrorKind::ResourceBusy,
                "a device of this name is in use, by another ravelin daemon in this network namespace or by something else: \
                 `ip link show` has it",
            )
            .hint_when(
                io::ErrorKind::InvalidInput,
                "there is a device of this name that is no TUN device: `ip link show` has it; choose another name",
            )
        })?;
        let leave = |features| sys::set_tun_offload(file.as_fd(), features).is_ok();
        let udp = vnet && leave(TCP | UDP);
        if vnet && !udp && !leave(TCP) {
            tracing::debug!("the kernel segments what goes into {name}");
        }
        Ok(Device { file, vnet, udp })
    }

    /// Whether [`Device::write`] takes super-packets of TCP, and of UDP.
    pub(crate) fn takes_super_packets(&self) -> (bool, bool) {
        (self.vnet, self.udp)
    }

    /// Reads one packet behind its `virtio_net_hdr`, and returns the length of both; `None` when there is none now.
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        let before = if self.vnet {
            0
        } else {
            room[..VnetHeader::LEN].fill(0);
            VnetHeader::LEN
        };
        match rustix::io::read(&self.file, &mut room[before..]) {
            Ok(len) => Ok(Some(before + len)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands one packet to the host's stack: its head and at most [`BATCH`] further parts.
    pub(crate) fn write<'a>(
        &self,
        header: &VnetHeader,
        head: &[u8],
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        let header = header.emit();
        let mut vector = [IoSlice::new(&[]); BATCH + 2];
        vector[0] = IoSlice::new(&header);
        vector[1] = IoSlice::new(head);
        let mut count = 2;
        for (place, part) in vector[2..].iter_mut().zip(parts) {
            *place = IoSlice::new(part);
            count += 1;
        }
        let first = usize::from(!self.vnet);
        rustix::io::writev(&self.file, &vector[first..count]).map(drop).map_err(Into::into)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
