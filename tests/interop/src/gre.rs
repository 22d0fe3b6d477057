//! One end of a GRE tunnel (RFC 2784) on a host whose kernel may have none: a TUN device and a raw socket. The other end is
//! the guest's Linux kernel.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, anyhow};
use socket2::{Domain, Protocol, Socket, Type};

use crate::sys;

/// IP protocol number of GRE.
const GRE: i32 = 47;
/// The header: no flags, version 0, and the EtherType of what follows.
const HEADER: usize = 4;
const IPV4: [u8; HEADER] = [0, 0, 0x08, 0x00];
const IPV6: [u8; HEADER] = [0, 0, 0x86, 0xdd];
const LONGEST: usize = 65_535;

/// Carries packets between the TUN device `device`, which it makes, and GRE to `remote`, for ever.
pub fn serve(device: &str, local: Ipv4Addr, remote: Ipv4Addr) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(GRE))).context("a raw socket for GRE")?;
    socket.bind(&SocketAddrV4::new(local, 0).into())?;
    socket.connect(&SocketAddrV4::new(remote, 0).into())?;
    let device = sys::tun(device).with_context(|| format!("the device {device}"))?;
    let (out_of, to) = (device.try_clone()?, socket.try_clone()?);
    let sender = std::thread::spawn(move || encapsulate(&out_of, &to));
    decapsulate(&socket, &device)?;
    sender.join().map_err(|_| anyhow!("the sender panicked"))?
}

fn encapsulate(mut device: &File, socket: &Socket) -> Result<()> {
    let mut bytes = vec![0; HEADER + LONGEST];
    loop {
        let end = HEADER + device.read(&mut bytes[HEADER..]).context("reading the device")?;
        let header = if bytes[HEADER] >> 4 == 4 { IPV4 } else { IPV6 };
        bytes[..HEADER].copy_from_slice(&header);
        // What cannot leave now is lost, as on any link.
        if let Err(error) = socket.send(&bytes[..end]) {
            eprintln!("{} bytes: {error}", end - HEADER);
        }
    }
}

fn decapsulate(mut socket: &Socket, mut device: &File) -> Result<()> {
    let mut bytes = vec![0; LONGEST];
    loop {
        let len = socket.read(&mut bytes).context("receiving")?;
        // The IP header is in front.
        let at = usize::from(bytes[0] & 15) * 4;
        let Some((header, packet)) = bytes[..len].get(at..).and_then(<[u8]>::split_first_chunk) else { continue };
        if [IPV4, IPV6].contains(header) {
            device.write_all(packet).context("writing to the device")?;
        }
    }
}
