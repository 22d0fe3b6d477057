//! NAT traversal.
//!
//! 1. Both IKE_SA_INIT messages carry hashes of the addresses as their sender sees them.
//! 2. A hash that does not match what arrived tells which end is behind a NAT. Then both move to port 4500 and ESP
//!    travels in UDP.
//! 3. The end that is not behind a NAT follows the other when authenticated messages come from a new address.
//! 4. In transport mode the selectors hold addresses that the other end does not know; each end replaces them by the
//!    addresses it sees and keeps the originals for mending checksums.
//!
//! Read RFC 7296 §2.23 and §2.23.1 before changing this file.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ravelin_crypto::CryptoProvider;
use ravelin_types::IkeSpi;
use ravelin_types::sa::{OriginalAddresses, UdpEncap};
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::v2::message::Payloads;

/// The port on which IKE begins.
pub(crate) const IKE_PORT: u16 = 500;
/// The port to which it moves when there is a NAT.
pub(crate) const NAT_PORT: u16 = 4500;

/// Which ends are behind a NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nat {
    /// We are.
    pub(crate) ours: bool,
    /// The peer is.
    pub(crate) theirs: bool,
}

impl Nat {
    /// Whether there is any, so that ESP travels in UDP.
    pub(crate) fn any(self) -> bool {
        self.ours || self.theirs
    }

    /// Whether a message that verifies may lead us to another address of the peer. Who is behind a NAT itself does not
    /// follow: a single packet, caught and sent from elsewhere, could then lead it anywhere. Nor does a peer without a
    /// NAT move.
    pub(crate) fn follows(self) -> bool {
        self.theirs && !self.ours
    }

    /// The ports of ESP in UDP between these ends, as we send.
    pub(crate) fn encap(self, local: SocketAddr, peer: SocketAddr) -> Option<UdpEncap> {
        self.any().then(|| UdpEncap { src_port: local.port(), dst_port: peer.port() })
    }
}

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

fn hash(crypto: &CryptoProvider, (spi_i, spi_r): (IkeSpi, IkeSpi), end: SocketAddr) -> Vec<u8> {
    let (spi_i, spi_r, port) = (spi_i.0.to_be_bytes(), spi_r.0.to_be_bytes(), end.port().to_be_bytes());
    let digest = match end.ip() {
        IpAddr::V4(v4) => (crypto.sha1)(&[&spi_i, &spi_r, &v4.octets(), &port]),
        IpAddr::V6(v6) => (crypto.sha1)(&[&spi_i, &spi_r, &v6.octets(), &port]),
    };
    digest.to_vec()
}

/// The one address of all selectors, if it is one (RFC 7296 §2.23.1).
pub(crate) fn single_address(selectors: &[TrafficSelector]) -> Option<IpAddr> {
    let (first, _) = selectors.first()?.addresses().into_inner();
    selectors.iter().all(|ts| ts.addresses() == (first..=first)).then_some(first)
}

/// The same selectors with `address` in place of theirs.
pub(crate) fn substitute(selectors: &[TrafficSelector], address: IpAddr) -> Vec<TrafficSelector> {
    let host = TrafficSelector::host(address);
    // The ports come from a valid selector, so they are in order and the result is never shorter.
    selectors.iter().filter_map(|ts| host.with(ts.protocol(), ts.ports()).ok()).collect()
}

/// The addresses that the peer's packets had when it sent them, from the selectors as it sent them: `theirs` its own
/// side, `ours` our side.
pub(crate) fn original(theirs: &[TrafficSelector], ours: &[TrafficSelector]) -> Option<OriginalAddresses> {
    Some(OriginalAddresses { src: single_address(theirs)?, dst: single_address(ours)? })
}
