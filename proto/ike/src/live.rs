//! What is asked of IKE SAs that are there, of either version.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::dataplane::PacketStart;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::{Direction, SaId};
use ravelin_types::{IkeSpi, Instant, Spi};

use crate::children::Children;
use crate::context::Core;
use crate::error::{Place, outside_selectors};
use crate::extensions::NewGateway;
use crate::ike_sa::{Ends, IkeSa};
use crate::output::{DownReason, Event};
use crate::want::Want;

/// What an IKE SA of either version is asked for from outside, once both sides are authenticated. All of it is done in
/// [`Live::go_on`].
pub(crate) trait Live {
    fn children(&self) -> &Children;
    fn children_mut(&mut self) -> &mut Children;
    /// Somebody wants a Child SA.
    fn want(&mut self, want: Want);
    /// Nobody waits for Child SAs of this policy any more, or of any.
    fn forget_wants(&mut self, policy: Option<PolicyId>);
    /// Makes another IKE SA in its place, unless it is on its way out.
    fn rekey(&mut self);
    /// Makes another IKE SA in its place by which both sides prove anew who they are, unless it is on its way out. With IKEv1
    /// a rekey does (RFC 2409).
    fn reauthenticate(&mut self, _now: Instant) {
        self.rekey();
    }
    /// Makes another Child SA in place of one, unless something is under way for it.
    fn rekey_child(&mut self, inbound: Spi);
    /// Deletes a Child SA unless that is under way.
    fn delete_child(&mut self, inbound: Spi, reason: DownReason);
    /// One direction of a Child SA carried nothing for a while: it goes when the other did neither.
    fn child_idle(&mut self, inbound: Spi, direction: Direction, now: Instant);
    /// Deletes the IKE SA.
    fn close(&mut self, reason: DownReason);
    /// Deletes the IKE SA at this time, and does nothing else with it from now on.
    fn close_at(&mut self, reason: DownReason, _at: Instant) {
        self.close(reason);
    }
    /// Asks whether the peer is alive.
    fn check_liveness(&mut self, core: &Core);
    /// As [`Live::check_liveness`] because of a hint that proves nothing, at a limited rate.
    fn doubt(&mut self, core: &mut Core);
    /// A packet of the peer's, which begins like this, is not within the selectors of the Child SA that it came on.
    fn outside_selectors(&mut self, inbound: Spi, packet: PacketStart, ends: &Ends, core: &mut Core) {
        let Some(child) = self.children().get(&inbound) else { return };
        let policy = Some(child.policy.policy.id);
        let place = Place { policy, exchange: "INFORMATIONAL", ..self.place(ends) };
        let selectors = child.terms.selectors(false);
        core.event(Event::OutsideSelectors(outside_selectors(place, false, packet.octets(), selectors)));
        self.tell_outside(inbound, packet);
    }
    /// Tells the peer of such a packet; IKEv1 has no word for it.
    fn tell_outside(&mut self, _inbound: Spi, _packet: PacketStart) {}
    /// A packet of the peer's Child SAs left, the first after a silence.
    fn sent(&mut self, core: &Core);
    /// Sends the peer to another gateway, if it follows.
    fn redirect(&mut self, _to: NewGateway) {}
    /// The peer is alive.
    fn alive(&mut self, now: Instant);
    /// The addresses of this host, or the ways to its peers, are others.
    fn host_changed(&mut self, _ends: &mut Ends, _core: &mut Core) {}
    /// The peer may have moved.
    fn follow(&mut self, ends: &mut Ends, from: SocketAddr, core: &mut Core);
    /// Where something about its Child SAs failed.
    fn place(&self, ends: &Ends) -> Place;
    /// Does what was asked for. `None`: the SA is gone.
    fn go_on(self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa>;

    /// A Child SA passed a soft limit: it is rekeyed, or deleted if it is one too many.
    fn child_aged(&mut self, inbound: Spi, core: &mut Core) {
        if !self.children().is_redundant(inbound) {
            return self.rekey_child(inbound);
        }
        if let Some(child) = self.children_mut().get_mut(&inbound) {
            child.stop(core);
        }
        self.delete_child(inbound, DownReason::Replaced);
    }
}

impl Core {
    /// Asks something of an IKE SA, if both sides are authenticated, and lets it get on with that.
    pub(crate) fn with_ike(&mut self, spi: IkeSpi, act: impl FnOnce(&mut dyn Live, &mut Ends, &mut Core)) {
        let Some(IkeSa { mut ends, phase }) = self.table.take(spi) else { return };
        let way = ends.way();
        let after = match phase.into_live() {
            Ok(mut live) => {
                act(&mut *live, &mut ends, self);
                live.go_on(ends, self)
            }
            Err(phase) => Some(IkeSa { ends, phase }),
        };
        self.put_back(way, after);
    }

    /// The same with the IKE SA that holds the Child SA of an SA of the data plane, and its inbound SPI.
    pub(crate) fn with_child(&mut self, id: SaId, act: impl FnOnce(&mut dyn Live, &mut Ends, Spi, &mut Core)) {
        if let Some((owner, inbound)) = self.table.child(id) {
            self.with_ike(owner, |sa, ends, core| act(sa, ends, inbound, core));
        }
    }

    /// The same with the IKE SA that holds the Child SA with this inbound SPI.
    pub(crate) fn with_owner(&mut self, inbound: Spi, act: impl FnOnce(&mut dyn Live)) {
        if let Some(owner) = self.table.owner(inbound) {
            self.with_ike(owner, |sa, _, _| act(sa));
        }
    }

    /// The same with every IKE SA of a remote.
    pub(crate) fn with_remote(&mut self, name: &str, act: impl Fn(&mut dyn Live, &mut Ends, &mut Core)) {
        for spi in self.table.with_remote(name) {
            self.with_ike(spi, &act);
        }
    }

    /// The same with all.
    pub(crate) fn each(&mut self, act: impl Fn(&mut dyn Live, &mut Ends, &mut Core)) {
        let spis: Vec<IkeSpi> = self.table.iter().map(|sa| sa.ends.our_spi()).collect();
        for spi in spis {
            self.with_ike(spi, &act);
        }
    }
}
