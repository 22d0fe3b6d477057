//! NAT traversal.
//!
//! 1. Both IKE_SA_INIT messages carry hashes of the addresses as their sender sees them.
//! 2. A hash that does not match what arrived tells which end is behind a NAT. Then both move to port 4500 and ESP
//!    travels in UDP.
//! 3. The end that is not behind a NAT follows the other when authenticated messages come from a new address.
//!
//! Read RFC 7296 §2.23 before changing this file.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ravelin_crypto::CryptoProvider;
use ravelin_types::IkeSpi;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::nat::Nat;
use crate::v2::message::Payloads;

/// The two notifies of a message sent from `local` to `peer`. With `pose`, ours says what no peer sees, so that it takes
/// us for one behind a NAT.
pub(crate) fn notifies(
    crypto: &CryptoProvider,
    spis: (IkeSpi, IkeSpi),
    local: SocketAddr,
    peer: SocketAddr,
    pose: bool,
) -> [Payload; 2] {
    let unspecified = match local.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let local = if pose { SocketAddr::new(unspecified, local.port()) } else { local };
    [
        Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, hash(crypto, spis, local))),
        Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, hash(crypto, spis, peer))),
    ]
}

/// What the notifies of a received message say; `None` when the peer does not do NAT traversal.
pub(crate) fn detect(
    crypto: &CryptoProvider,
    spis: (IkeSpi, IkeSpi),
    payloads: &Payloads,
    local: SocketAddr,
    peer: SocketAddr,
) -> Option<Nat> {
    // RFC 7296 §2.23: of several source hashes one match is enough.
    let matches = |kind, end| {
        let expected = hash(crypto, spis, end);
        let mut hashes = payloads.notifies().filter(|notify| notify.kind == kind).peekable();
        hashes.peek()?;
        Some(hashes.any(|notify| notify.data == expected))
    };
    let source = matches(NotifyType::NAT_DETECTION_SOURCE_IP, peer)?;
    let destination = matches(NotifyType::NAT_DETECTION_DESTINATION_IP, local)?;
    Some(Nat { ours: !destination, theirs: !source })
}

fn hash(crypto: &CryptoProvider, (spi_i, spi_r): (IkeSpi, IkeSpi), end: SocketAddr) -> [u8; 20] {
    let (spi_i, spi_r, port) = (spi_i.0.to_be_bytes(), spi_r.0.to_be_bytes(), end.port().to_be_bytes());
    match end.ip() {
        IpAddr::V4(v4) => (crypto.sha1)(&[&spi_i, &spi_r, &v4.octets(), &port]),
        IpAddr::V6(v6) => (crypto.sha1)(&[&spi_i, &spi_r, &v6.octets(), &port]),
    }
}
