//! The Child SAs of one IKE SA, of either version, by inbound SPI.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::{Deref, DerefMut};

use ravelin_types::Spi;
use ravelin_types::options::Processors;

#[cfg(feature = "ikev1")]
use crate::child::Proof;
use crate::child::{ChildSa, ChildState};
use crate::context::Core;
use crate::ike_sa::Ends;
use crate::output::{DownReason, Event};
use crate::view::ChildSaView;
use crate::want::Want;

/// A map with what concerns more than one of them. They are boxed: a node of the map has room for eleven, and nearly every
/// IKE SA has one.
#[derive(Default)]
pub(crate) struct Children(BTreeMap<Spi, Box<ChildSa>>);

impl Deref for Children {
    type Target = BTreeMap<Spi, Box<ChildSa>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Children {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Children {
    /// Takes a Child SA in and says so.
    pub(crate) fn add(&mut self, child: ChildSa, replaces: Option<Spi>, core: &mut Core) {
        let (policy, inbound, outbound) = (child.policy.policy.id, child.inbound, child.terms.outbound);
        core.event(match replaces {
            Some(old) => Event::ChildRekeyed { policy, old, inbound, outbound },
            None => Event::ChildUp { policy, inbound, outbound },
        });
        self.0.insert(inbound, Box::new(child));
    }

    /// Removes a Child SA. What replaces it sends from now on, and replaces what it replaced; with nothing in its place,
    /// what it was to replace is in use again.
    pub(crate) fn take_down(&mut self, inbound: Spi, reason: DownReason, core: &mut Core) {
        let Some(child) = self.0.remove(&inbound) else { return };
        self.heirs(inbound).for_each(|heir| {
            heir.send(core);
            heir.replaces = child.replaces;
        });
        if let Some(old) = child.replaces
            && self.heirs(old).next().is_none()
            && let Some(old) = self.0.get_mut(&old)
            && old.state == ChildState::Replaced
        {
            old.state = ChildState::Installed;
        }
        child.remove(reason, core);
    }

    /// Removes all.
    pub(crate) fn take_all_down(&mut self, reason: DownReason, core: &mut Core) {
        while let Some((_, child)) = self.0.pop_first() {
            child.remove(reason, core);
        }
    }

    /// What takes the place of this Child SA, and is not itself on its way out.
    fn heirs(&mut self, inbound: Spi) -> impl Iterator<Item = &mut ChildSa> {
        self.0.values_mut().map(Box::as_mut).filter(move |heir| {
            heir.replaces == Some(inbound) && !matches!(heir.state, ChildState::Redundant | ChildState::Deleting)
        })
    }

    /// A packet arrived on the Child SA with this inbound SPI, so the peer has it and we may send on it.
    pub(crate) fn received_on(&mut self, inbound: Spi, core: &mut Core) {
        let Some(child) = self.0.get_mut(&inbound) else { return };
        #[cfg(feature = "ikev1")]
        {
            child.proof = Proof::Given;
        }
        if child.is_settled() {
            child.send(core);
        }
    }

    /// The Child SA with this outbound SPI.
    pub(crate) fn to(&self, outbound: Spi) -> Option<&ChildSa> {
        self.0.values().map(Box::as_ref).find(|child| child.terms.outbound == outbound)
    }

    /// Whether one of them does what is wanted.
    pub(crate) fn serve(&self, want: &Want) -> bool {
        self.0.values().any(|child| child.is_settled() && child.serves(want))
    }

    /// The Child SA for all processors, beside which others may have one of their own, that carries what is wanted.
    pub(crate) fn shared(&self, want: &Want) -> Option<&ChildSa> {
        let shared = |child: &&ChildSa| {
            let stays = matches!(child.state, ChildState::Installed | ChildState::Rekeying);
            stays && child.terms.processors == Processors::Each && child.carries(want)
        };
        self.0.values().map(Box::as_ref).find(shared)
    }

    /// What is to be asked for where this is wanted: without one for all processors, that comes first.
    pub(crate) fn due(&self, want: Want) -> Want {
        if self.shared(&want).is_some() { want } else { want.for_all() }
    }

    /// Whether another Child SA serves the same traffic, as happens when both sides began at once. Rekeyed each for
    /// itself, they would stay for ever. Both sides see the same pair of SPIs, so they keep the same one.
    pub(crate) fn is_redundant(&self, inbound: Spi) -> bool {
        // RFC 9611 §3: there may be several for single resources.
        let alone = |child: &&ChildSa| child.is_settled() && child.terms.processors == Processors::All;
        let Some(child) = self.0.get(&inbound).map(Box::as_ref).filter(alone) else { return false };
        let rank = |child: &ChildSa| {
            let (inbound, outbound) = (child.inbound, child.terms.outbound);
            (inbound.max(outbound), inbound.min(outbound))
        };
        self.0.values().any(|other| {
            other.is_settled()
                && other.sends()
                && other.policy.policy.id == child.policy.policy.id
                && other.terms.serves_the_same(&child.terms)
                && rank(other) > rank(child)
        })
    }

    /// Whether they can go to this address: not where another peer there has a Child SA of the same name, which must not
    /// come to harm.
    pub(crate) fn may_go_to(&self, peer: IpAddr, core: &Core) -> bool {
        let taken = |child: &ChildSa| core.table.outbound_to(peer, child.terms.outbound);
        self.0.values().all(|child| taken(child).is_none_or(|inbound| inbound == child.inbound))
    }

    /// For listings.
    pub(crate) fn views(&self) -> Vec<ChildSaView> {
        self.0.values().map(|child| child.view()).collect()
    }

    /// All go between these ends from now on.
    pub(crate) fn follow(&mut self, ends: &Ends, core: &mut Core) {
        self.0.values_mut().for_each(|child| child.follow(ends, core));
    }
}
