//! Names of policies (RFC 4301 §4.4.1.1): whose peers an SPD entry is for.

use alloc::string::ToString;
use alloc::vec;

use ravelin_types::Identity;

use crate::config::ChildPolicy;
use crate::error::{Disagreement, Error};
use crate::explain::Part;

impl ChildPolicy {
    /// Whether a peer with this authenticated identity may use it.
    pub(crate) fn is_for(&self, peer: &Identity) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name.takes(peer))
    }

    /// As [`ChildPolicy::is_for`], for the side that asks.
    pub(crate) fn check_peer(&self, peer: &Identity) -> Result<(), Error> {
        if self.is_for(peer) {
            return Ok(());
        }
        let names = self.names.iter().map(ToString::to_string).collect();
        Err(Error::NoAgreement(Disagreement::new(Part::Identity, vec![peer.to_string()], names)))
    }
}
