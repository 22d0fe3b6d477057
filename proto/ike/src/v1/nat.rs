//! NAT detection (RFC 3947 §3.2): each side sends hashes of the addresses as it sees them, first of the other end.
//!
//! Read RFC 3947 §3 and §4 before changing this file.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ravelin_crypto::ikev1::Algs;
use ravelin_types::IkeSpi;
use ravelin_wire::ike::v1::{Opaque, Payload};

use super::message::Payloads;
use super::vendor::NatT;
use crate::nat::Nat;

/// The payloads of a message from `local` to `peer`. With `pose`, ours says what no peer sees, so that it takes us for
/// one behind a NAT.
pub(crate) fn payloads(
    nat_t: NatT,
    algs: &Algs,
    spis: (IkeSpi, IkeSpi),
    local: SocketAddr,
    peer: SocketAddr,
    pose: bool,
) -> [Payload; 2] {
    let nowhere = match local {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let local = if pose { SocketAddr::new(nowhere, local.port()) } else { local };
    [peer, local].map(|end| {
        let hash = Opaque(hash(algs, spis, end));
        match nat_t {
            NatT::Rfc => Payload::NatD(hash),
            NatT::Draft => Payload::NatDDraft(hash),
        }
    })
}

/// Whether a received message says where its sender sees the ends.
pub(crate) fn is_detected(payloads: &Payloads) -> bool {
    payloads.all().iter().any(|payload| matches!(payload, Payload::NatD(_) | Payload::NatDDraft(_)))
}

/// What the payloads of a received message say; `None` when there are none.
pub(crate) fn detect(
    algs: &Algs,
    spis: (IkeSpi, IkeSpi),
    payloads: &Payloads,
    local: SocketAddr,
    peer: SocketAddr,
) -> Option<Nat> {
    let mut hashes = payloads.all().iter().filter_map(|payload| match payload {
        Payload::NatD(hash) | Payload::NatDDraft(hash) => Some(hash),
        _ => None,
    });
    let ours = hashes.next()?.0 != hash(algs, spis, local);
    let mut theirs = hashes.peekable();
    theirs.peek()?;
    // A sender with several addresses sends a hash of each.
    let expected = hash(algs, spis, peer);
    Some(Nat { ours, theirs: !theirs.any(|hash| hash.0 == expected) })
}

fn hash(algs: &Algs, (spi_i, spi_r): (IkeSpi, IkeSpi), end: SocketAddr) -> Vec<u8> {
    let (spi_i, spi_r, port) = (spi_i.0.to_be_bytes(), spi_r.0.to_be_bytes(), end.port().to_be_bytes());
    let mut out = vec![0; algs.prf.output_len()];
    match end.ip() {
        IpAddr::V4(v4) => (algs.hash)(&[&spi_i, &spi_r, &v4.octets(), &port], &mut out),
        IpAddr::V6(v6) => (algs.hash)(&[&spi_i, &spi_r, &v6.octets(), &port], &mut out),
    }
    out
}
