//! A program that keys the kernel's IPsec by PF_KEY (RFC 2367), as setkey did and others do: what one of those sees of Ravelin's
//! SAs, and what it puts beside them. Policies are of the extensions that Linux has from KAME.

use std::io::{Read, Write};
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Protocol, Socket, Type};

/// `PF_KEY`, and the one version there is of it.
const FAMILY: i32 = 15;
const VERSION: u8 = 2;

/// Messages, RFC 2367 §3.1, and KAME's about policies.
const ADD: u8 = 3;
const DUMP: u8 = 10;
const SPDADD: u8 = 14;

/// The kind of SA, RFC 2367 §2.3.1.
const ANY: u8 = 0;
const ESP: u8 = 3;

/// Extensions, RFC 2367 §2.3.
const SA: u16 = 1;
const SOURCE: u16 = 5;
const DESTINATION: u16 = 6;
const KEY_AUTH: u16 = 8;
const KEY_ENCRYPT: u16 = 9;
const POLICY: u16 = 18;
const SA2: u16 = 19;

/// HMAC-SHA-1-96 and AES-CBC, as Linux numbers them.
const HMAC_SHA1: u8 = 3;
const AES_CBC: u8 = 12;
/// What the peer is given by `ip xfrm`, too.
const KEYS: ([u8; 20], [u8; 16]) = ([0x11; 20], [0x22; 16]);

/// A policy that protects, and its one template: transport mode, the SA of this number or none.
const IPSEC: u16 = 2;
const PROTOCOL: u16 = 50;
const TRANSPORT: u8 = 1;
const UNIQUE: u8 = 3;
const NUMBER: u32 = 77;

/// Octets of the header of a message, and of one piece that lengths are counted in.
const HEADER: usize = 16;
const PIECE: usize = 8;

/// Prints the SPIs of all SAs of the kernel.
pub fn list() -> Result<()> {
    let mut socket = open()?;
    send(&mut socket, DUMP, ANY, &[])?;
    let mut left = true;
    while left {
        let message = receive(&mut socket, DUMP)?;
        // The last one counts down to zero.
        left = u32::from_ne_bytes(message[8..12].try_into()?) != 0;
        if let Some(sa) = extension(&message, SA) {
            println!("{:08x}", u32::from_be_bytes(sa[4..8].try_into()?));
        }
    }
    Ok(())
}

/// Adds an SA in transport mode between two hosts, and the policy that takes it, of packets that come in or go out.
pub fn add(direction: &str, from: Ipv4Addr, to: Ipv4Addr, spi: &str) -> Result<()> {
    let spi = u32::from_str_radix(spi, 16)?;
    let direction = match direction {
        "in" => 1,
        "out" => 2,
        other => bail!("`{other}`: expected in or out"),
    };
    let mut socket = open()?;
    let ends = [address(SOURCE, from), address(DESTINATION, to)].concat();
    let [replay, mature, no_flags] = [32, 1, 0_u8];
    let sa = [&spi.to_be_bytes()[..], &[replay, mature, HMAC_SHA1, AES_CBC], &[no_flags; 4]].concat();
    let sa2 = [&[TRANSPORT, 0, 0, 0][..], &[0; 4], &NUMBER.to_ne_bytes()].concat();
    let parts = [framed(SA, &sa), framed(SA2, &sa2), ends.clone(), key(KEY_AUTH, &KEYS.0), key(KEY_ENCRYPT, &KEYS.1)];
    send(&mut socket, ADD, ESP, &parts.concat())?;
    receive(&mut socket, ADD).context("the SA")?;
    let template = [
        &16_u16.to_ne_bytes()[..],
        &PROTOCOL.to_ne_bytes(),
        &[TRANSPORT, UNIQUE, 0, 0],
        &NUMBER.to_ne_bytes(),
        &[0; 4],
    ];
    let policy = [&IPSEC.to_ne_bytes()[..], &[direction, 0], &[0; 8], &template.concat()].concat();
    send(&mut socket, SPDADD, ANY, &[ends, framed(POLICY, &policy)].concat())?;
    receive(&mut socket, SPDADD).context("the policy").map(drop)
}

fn open() -> Result<Socket> {
    let protocol = Some(Protocol::from(i32::from(VERSION)));
    Socket::new(Domain::from(FAMILY), Type::RAW, protocol).context("a PF_KEY socket")
}

/// The header with a body of extensions, RFC 2367 §2.2.
fn send(socket: &mut Socket, kind: u8, of: u8, body: &[u8]) -> Result<()> {
    let pieces = u16::try_from((HEADER + body.len()) / PIECE)?;
    let mut message = vec![VERSION, kind, 0, of];
    message.extend(pieces.to_ne_bytes());
    message.extend([0; 6]);
    message.extend(std::process::id().to_ne_bytes());
    message.extend(body);
    socket.write_all(&message).context("sending to the kernel")
}

/// The next message for this program, which must be the answer of this kind and no error.
fn receive(socket: &mut Socket, kind: u8) -> Result<Vec<u8>> {
    let mut message = vec![0; 4096];
    loop {
        let length = socket.read(&mut message).context("receiving from the kernel")?;
        ensure!(length >= HEADER, "the kernel's message has {length} octets");
        // What others do is told to all.
        if message[12..HEADER] != std::process::id().to_ne_bytes() || message[1] != kind {
            continue;
        }
        message.truncate(length);
        ensure!(message[2] == 0, "the kernel refuses: {}", std::io::Error::from_raw_os_error(message[2].into()));
        return Ok(message);
    }
}

/// An extension of a message with its header.
fn extension(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(HEADER..)?;
    while let [l0, l1, k0, k1, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([l0, l1])) * PIECE;
        let whole = rest.get(..length).filter(|whole| !whole.is_empty())?;
        if u16::from_ne_bytes([k0, k1]) == wanted {
            return Some(whole);
        }
        rest = &rest[length..];
    }
    None
}

/// An extension: its length in pieces, its kind, its body, and what fills the last piece.
fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = (4 + body.len()).next_multiple_of(PIECE);
    let mut extension = Vec::with_capacity(length);
    extension.extend(((length / PIECE) as u16).to_ne_bytes());
    extension.extend(kind.to_ne_bytes());
    extension.extend(body);
    extension.resize(length, 0);
    extension
}

/// A host, whatever the protocol: the length of its prefix, and a `sockaddr_in`.
fn address(kind: u16, address: Ipv4Addr) -> Vec<u8> {
    let [any, prefix, inet] = [0, 32, 2_u8];
    let socket = [&u16::from(inet).to_ne_bytes()[..], &[0; 2], &address.octets(), &[0; 8]].concat();
    framed(kind, &[&[any, prefix, 0, 0][..], &socket].concat())
}

fn key(kind: u16, key: &[u8]) -> Vec<u8> {
    let bits = (key.len() * 8) as u16;
    framed(kind, &[&bits.to_ne_bytes()[..], &[0; 2], key].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_found_behind_others_and_never_outside() {
        let message = [vec![0; HEADER], framed(SA2, &[7; 12]), framed(SA, &[9; 12])].concat();
        assert_eq!(extension(&message, SA).map(|found| found[4]), Some(9));
        assert_eq!(extension(&message, POLICY), None);
        assert_eq!(extension(&message[..message.len() - 1], SA), None);
        assert_eq!(extension(&[vec![0; HEADER], vec![0; 8]].concat(), SA), None);
    }
}
