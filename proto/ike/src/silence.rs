//! How long nothing was heard of a peer, and what that asks for. Both versions of IKE do alike.
//!
//! ```text
//! heard ── time of the remote ──┬─ Regular, or not the only one with the peer ──────────► ask
//!                               └─ WhenSending ─► TellUse for each outbound SA ─ Used ─► ask
//! ```
//!
//! RFC 3706 §5.5: whether a peer lives matters only when there is something to send to it. So an idle peer costs no
//! message, and no timer either. An IKE SA beside another with the same peer is asked about all the same: the peer may have
//! given it up, and traffic that has gone over to the other would never tell.

use core::mem;

use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::{Identity, Instant};

use crate::child::ChildState;
use crate::children::Children;
use crate::config::Liveness;
use crate::context::Core;
use crate::ike_sa::{Ends, IkeSa};

/// The silence of a peer.
pub(crate) struct Silence {
    since: Instant,
    /// The data plane was told to tell of the next packet for the peer.
    told: bool,
}

impl Silence {
    /// Begins at the last sign of life.
    pub(crate) fn new(now: Instant) -> Self {
        Silence { since: now, told: false }
    }

    /// When the peer last showed that it is alive.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// When [`Silence::is_too_long`] has something to say, or something to do.
    pub(crate) fn deadline(&self, liveness: Liveness) -> Option<Instant> {
        liveness.after().filter(|_| !self.told).map(|after| self.since + after)
    }

    /// Whether the peer of the IKE SA of `ends` is to be asked now. Where that depends on packets for it, the data plane is
    /// told to tell of them.
    pub(crate) fn is_too_long(
        &mut self,
        liveness: Liveness,
        ends: &Ends,
        (remote, peer): (&str, &Identity),
        children: &Children,
        core: &mut Core,
    ) -> bool {
        if !self.has_lasted(liveness, core.now) {
            return false;
        }
        // Peers elsewhere may share an identity, or have none.
        let at = ends.peer.ip();
        let another = |sa: &IkeSa| sa.ends.serial != ends.serial && sa.ends.peer.ip() == at && sa.is_active();
        if core.table.with_peer(remote, peer).any(another) {
            return true;
        }
        if matches!(liveness, Liveness::WhenSending(_)) && !mem::replace(&mut self.told, true) {
            // One that is about to go may be there no more, or was never installed.
            for child in children.values().filter(|child| child.sends() && child.state != ChildState::Deleting) {
                core.apply(DataPlaneOp::TellUse(child.outbound_id()));
            }
        }
        matches!(liveness, Liveness::Regular(_))
    }

    /// A packet left for the peer. Whether it is to be asked now: if it was not heard since the data plane was told.
    pub(crate) fn is_broken(&mut self, liveness: Liveness, now: Instant) -> bool {
        self.told = false;
        self.has_lasted(liveness, now)
    }

    fn has_lasted(&self, liveness: Liveness, now: Instant) -> bool {
        liveness.after().is_some_and(|after| self.since + after <= now)
    }
}
