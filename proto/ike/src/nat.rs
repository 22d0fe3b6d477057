//! What both versions know of NATs: which ends are behind one, and what becomes of ports and selectors then.
//!
//! In transport mode the selectors hold addresses that the other end does not know; each end replaces them by the
//! addresses it sees and keeps the originals for mending checksums (RFC 7296 §2.23.1, RFC 3947 §5.2).

use core::net::IpAddr;

use ravelin_types::sa::OriginalAddresses;
use ravelin_types::selector::{Side, TrafficSelector};

use crate::ike_sa::Ends;

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
}

/// The one address of all selectors, if it is one (RFC 7296 §2.23.1).
pub(crate) fn single_address(selectors: &[TrafficSelector]) -> Option<IpAddr> {
    let (first, _) = selectors.first()?.addresses().into_inner();
    selectors.iter().all(|ts| ts.addresses() == (first..=first)).then_some(first)
}

/// The same selectors with `address` in place of theirs.
fn substitute(selectors: &[TrafficSelector], address: IpAddr) -> Side {
    let host = TrafficSelector::host(address);
    // The ports come from a valid selector, so they are in order and the result is never shorter.
    selectors.iter().filter_map(|ts| host.with(ts.protocol(), ts.ports()).ok()).collect()
}

/// Selectors of transport mode with the addresses of now in place of those that a NAT changes (RFC 7296 §2.23.1).
pub(crate) fn see(ends: &Ends, local: &mut Side, remote: &mut Side) {
    if ends.nat.theirs {
        *remote = substitute(remote, ends.peer.ip());
    }
    if ends.nat.ours {
        *local = substitute(local, ends.local.ip());
    }
}

/// The addresses that the peer's packets had when it sent them, from the selectors as it sent them: `theirs` its own
/// side, `ours` our side.
pub(crate) fn original(theirs: &[TrafficSelector], ours: &[TrafficSelector]) -> Option<OriginalAddresses> {
    Some(OriginalAddresses { src: single_address(theirs)?, dst: single_address(ours)? })
}
