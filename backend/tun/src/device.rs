//! The TUN device.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::error::Error;
use crate::sys;

/// A TUN device that vanishes when the value is dropped.
pub(crate) struct Device {
    file: OwnedFd,
}

impl Device {
    /// Makes the device; it is down and has no address.
    pub(crate) fn create(name: &str) -> Result<Self, Error> {
        let file = rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| {
            Error::system("open /dev/net/tun", error).hint_when(
                io::ErrorKind::NotFound,
                "the kernel has no TUN devices: `modprobe tun`, or give the container the device",
            )
        })?;
        sys::attach_tun(file.as_fd(), name).map_err(|error| {
            Error::system(format!("make the TUN device {name}"), error).hint_when(
                io::ErrorKind::ResourceBusy,
                "a device of this name is in use: another ravelin daemon runs in this network namespace",
            )
        })?;
        Ok(Device { file })
    }

    /// Reads one packet; `None` when there is none now.
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.file, room) {
            Ok(len) => Ok(Some(len)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands one packet to the host's stack.
    pub(crate) fn write(&self, packet: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.file, packet).map(drop).map_err(Into::into)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
