//! A Child SA from installation to removal.
//!
//! A rekey makes a second one beside the first. Whoever answered the rekey receives on both and goes on sending on the
//! old one until the peer shows that it receives on the new one (RFC 7296 §2.8), so the outbound half of a new
//! Child SA may wait for a while.

pub(crate) mod answer;
pub(crate) mod cpis;
pub(crate) mod ipcomp;
pub(crate) mod offer;
pub(crate) mod spis;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use ravelin_crypto::ikev2::KeyMat;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::options::{AggFrag, Processors, SaOptions};
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, Encap, OriginalAddresses, SaId, SaLookup, SaParams};
use ravelin_types::selector::{Side, TrafficSelector};
use ravelin_types::transform::{KeMethod, SnId};
use ravelin_types::{IkeSpi, Instant, Spi};

use crate::config::ChildPolicy;
use crate::context::Core;
use crate::ike_sa::Ends;
use crate::limits;
use crate::numbers::Held;
use crate::output::{DownReason, Event};
use crate::view::{ChildSaView, Labels};
use crate::want::Want;

/// What is to become of a Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// In use.
    Installed,
    /// Our request to replace it is open.
    Rekeying,
    /// Another took its place; whoever made that one deletes this one.
    Replaced,
    /// It lost a collision and its maker, the peer, will delete it (RFC 7296 §2.8.1).
    Redundant,
    /// Our request to delete it is open or waits.
    Deleting,
}

/// What shows whether the peer has a Child SA.
#[cfg(feature = "ikev1")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing.
    Open,
    /// A packet has arrived on it.
    Given,
    /// None has, after the peer reported an error: another is to take its place.
    Missing,
}

/// Where the outbound half is.
enum Sending {
    /// It waits to be used; this installs it.
    Waits(Box<DataPlaneOp>),
    /// In the data plane.
    Installed,
    /// Gone: another Child SA sends.
    Over,
}

/// What both sides agreed on, as this side sees it.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// SPI of the outbound SA, which the peer chose.
    pub(crate) outbound: Spi,
    pub(crate) suite: Suite,
    pub(crate) ke: Option<KeMethod>,
    /// The additional key exchanges that follow, in order (RFC 9370).
    pub(crate) additional: Vec<KeMethod>,
    pub(crate) mode: Mode,
    pub(crate) local_ts: Side,
    pub(crate) remote_ts: Side,
    /// Addresses of the peer's packets before a NAT changed them; transport mode alone.
    pub(crate) original: Option<OriginalAddresses>,
    /// The peer asked for transport mode and did not get it.
    pub(crate) mode_declined: bool,
    /// The peer does not take TFC padding (RFC 7296 §1.3.1).
    pub(crate) tfc_declined: bool,
    /// After how long both sides end it, where they agreed on that: IKEv1 alone does (RFC 2407 §4.5).
    pub(crate) lifetime: Option<Duration>,
    /// Both sides have said that later fragments go over the SA.
    pub(crate) later_fragments: bool,
    /// Which processors of this host send on it; others than all where both sides have said that there are several of these
    /// Child SAs (RFC 9611).
    pub(crate) processors: Processors,
    /// The labels of compressed packets, where both sides have them (RFC 3173 §3.3).
    pub(crate) ipcomp: Option<Labels>,
    /// AGGFRAG payloads, and whether the peer takes packets in pieces, where both sides have them (RFC 9347 §5.1).
    pub(crate) aggfrag: Option<AggFrag>,
}

impl Terms {
    /// The selectors, for a report: from this side to the peer's, or the other way.
    pub(crate) fn selectors(&self, outward: bool) -> String {
        let join = |side: &[TrafficSelector]| side.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (ours, theirs) = (join(&self.local_ts), join(&self.remote_ts));
        if outward { format!("{ours} -> {theirs}") } else { format!("{theirs} -> {ours}") }
    }

    /// Whether the other carries the same traffic in the same mode.
    pub(crate) fn serves_the_same(&self, other: &Terms) -> bool {
        (self.mode, self.aggfrag) == (other.mode, other.aggfrag)
            && self.local_ts == other.local_ts
            && self.remote_ts == other.remote_ts
    }
}

/// The terms with what makes them an SA.
pub(crate) struct Agreement {
    pub(crate) policy: Arc<ChildPolicy>,
    /// SPI of the inbound SA, which we chose.
    pub(crate) inbound: Spi,
    pub(crate) terms: Terms,
    /// Whether we began the exchange.
    pub(crate) initiator: bool,
    pub(crate) keymat: KeyMat,
    /// Inbound SPI of the Child SA it replaces.
    pub(crate) replaces: Option<Spi>,
}

/// An installed Child SA.
pub(crate) struct ChildSa {
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) inbound: Spi,
    pub(crate) terms: Terms,
    pub(crate) state: ChildState,
    pub(crate) replaces: Option<Spi>,
    /// Inbound SPI of the one on another IKE SA that takes its place, and for which it sends until then.
    pub(crate) heir: Option<Spi>,
    /// Whether the peer has it: the last message of IKEv1's quick mode has no answer.
    #[cfg(feature = "ikev1")]
    pub(crate) proof: Proof,
    local: IpAddr,
    peer: IpAddr,
    encap: Option<Encap>,
    created: Instant,
    /// After how long without a packet it goes.
    idle_after: Option<Duration>,
    /// When each direction was last found to have carried nothing for that long.
    idle_in: Option<Instant>,
    idle_out: Option<Instant>,
    /// Numbers that no packet of ours has had (RFC 6311).
    skipped: u64,
    held: Held,
    sending: Sending,
}

impl ChildSa {
    /// Whether it was there before.
    #[cfg(feature = "ikev1")]
    pub(crate) fn is_older_than(&self, at: Instant) -> bool {
        self.created < at
    }

    /// Installs the inbound half, and the outbound half too if `send`.
    pub(crate) fn install(agreement: Agreement, ends: &Ends, send: bool, core: &mut Core) -> Self {
        let Agreement { policy, inbound, terms, initiator, keymat, replaces } = agreement;
        let (mut lifetime, replay_window, options) = match &policy.policy.action {
            Action::Protect(protection) => (protection.lifetime, protection.replay_window, protection.options),
            Action::Bypass | Action::Discard => Default::default(),
        };
        if let Some(agreed) = terms.lifetime {
            lifetime.hard.time = Some(lifetime.hard.time.map_or(agreed, |own| own.min(agreed)));
            let soft = agreed - agreed / 5;
            lifetime.soft.time = Some(lifetime.soft.time.map_or(soft, |own| own.min(soft)));
        }
        if terms.suite.esp().is_some_and(|esp| esp.encr.has_short_blocks()) {
            lifetime.soft = lifetime.soft.with_bytes_at_most(limits::SHORT_BLOCKS_SOFT);
            lifetime.hard = lifetime.hard.with_bytes_at_most(limits::SHORT_BLOCKS_HARD);
        }
        let Held { if_ids, marks } = core.numbers_of(inbound, &options, ends.if_ids, replaces);
        let labels = terms.ipcomp;
        if labels.is_none() {
            core.table.cpis.release(inbound);
        }
        let Terms { later_fragments, processors, aggfrag, .. } = terms;
        let ipcomp = labels.map(|labels| labels.inbound).into();
        let options = SaOptions { later_fragments, processors, if_ids, marks, ipcomp, aggfrag, ..options };
        lifetime.soft.time = lifetime.soft.time.map(|time| core.jittered(time));
        let (outbound_keys, inbound_keys) = match initiator {
            true => (keymat.initiator, keymat.responder),
            false => (keymat.responder, keymat.initiator),
        };
        let (local, peer) = (ends.local.ip(), ends.peer.ip());
        let encap = ends.encap();
        let inbound_half = |keys| SaParams {
            direction: Direction::Inbound,
            spi: inbound,
            pair: terms.outbound,
            lookup: SaLookup::Spi,
            src: peer,
            dst: local,
            mode: terms.mode,
            encap: encap.map(swapped),
            original: terms.original,
            suite: terms.suite.labelled(inbound),
            keys,
            policy: policy.policy.id,
            local_ts: terms.local_ts.clone(),
            remote_ts: terms.remote_ts.clone(),
            lifetime,
            replay_window,
            options,
        };
        let sending = SaParams {
            direction: Direction::Outbound,
            spi: terms.outbound,
            pair: inbound,
            src: local,
            dst: peer,
            encap,
            original: None,
            suite: terms.suite,
            replay_window: 0,
            options: SaOptions {
                tfc: if terms.tfc_declined { 0 } else { options.tfc },
                ipcomp: labels.and_then(|labels| labels.outbound).into(),
                ..options
            },
            ..inbound_half(outbound_keys)
        };
        core.table.note_outbound(sending.id(), inbound);
        core.table.cpis.note(peer, labels, inbound);
        core.apply(DataPlaneOp::AddSa(inbound_half(inbound_keys)));
        let mut child = ChildSa {
            policy,
            inbound,
            terms,
            state: ChildState::Installed,
            replaces,
            heir: None,
            #[cfg(feature = "ikev1")]
            proof: Proof::Open,
            local,
            peer,
            encap,
            created: core.now,
            idle_after: lifetime.idle,
            idle_in: None,
            idle_out: None,
            skipped: 0,
            held: Held { if_ids, marks },
            sending: Sending::Waits(Box::new(DataPlaneOp::AddSa(sending))),
        };
        if send {
            child.send(core);
        }
        child
    }

    /// Installs the outbound half if it waits: from now on this Child SA sends.
    pub(crate) fn send(&mut self, core: &mut Core) {
        self.sending = match core::mem::replace(&mut self.sending, Sending::Over) {
            Sending::Waits(op) => {
                core.apply(op);
                Sending::Installed
            }
            other => other,
        };
    }

    /// Removes the outbound half, for another Child SA sends: the peer will have it no longer once it is asked to delete it.
    pub(crate) fn stop(&mut self, core: &mut Core) {
        if self.sends() {
            core.apply(DataPlaneOp::DeleteSa(self.outbound_id()));
            self.sending = Sending::Over;
        }
    }

    /// Whether the outbound half is installed.
    pub(crate) fn sends(&self) -> bool {
        matches!(self.sending, Sending::Installed)
    }

    /// Packets that are sent on it have numbers so much higher from now on, for a peer that is a cluster. Its SPI when there is to be
    /// another, lest the numbers run out.
    pub(crate) fn skip_numbers(&mut self, count: u64, core: &mut Core) -> Option<Spi> {
        if !self.sends() {
            return None;
        }
        core.apply(DataPlaneOp::SkipNumbers { id: self.outbound_id(), count });
        self.skipped = self.skipped.saturating_add(count);
        let few = self.terms.suite.sn() != SnId::PARTIAL_64;
        (few && self.skipped >= limits::SKIPPED_NUMBERS).then_some(self.inbound)
    }

    /// Removes both halves. What takes its place on another IKE SA sends from now on.
    pub(crate) fn remove(self, reason: DownReason, core: &mut Core) {
        if let Some((heir, owner)) = self.heir.and_then(|heir| Some((heir, core.table.owner(heir)?))) {
            core.with_ike(owner, |sa, _, core| sa.children_mut().received_on(heir, core));
        }
        core.apply(DataPlaneOp::DeleteSa(self.inbound_id()));
        if self.sends() {
            core.apply(DataPlaneOp::DeleteSa(self.outbound_id()));
        }
        core.table.forget_outbound(self.outbound_id(), self.inbound);
        core.table.cpis.forget(self.peer, self.terms.ipcomp, self.inbound);
        core.table.release(self.inbound);
        core.numbers.release(self.inbound);
        core.event(Event::ChildDown { policy: self.policy.policy.id, inbound: self.inbound, reason });
    }

    /// Both halves go between these ends from now on.
    pub(crate) fn follow(&mut self, ends: &Ends, core: &mut Core) {
        let (inbound, outbound) = (self.inbound_id(), self.outbound_id());
        let (local, peer) = (ends.local.ip(), ends.peer.ip());
        let encap = ends.encap();
        if (local, peer, encap) == (self.local, self.peer, self.encap) {
            return;
        }
        core.table.cpis.forget(self.peer, self.terms.ipcomp, self.inbound);
        core.table.cpis.note(peer, self.terms.ipcomp, self.inbound);
        (self.local, self.peer, self.encap) = (local, peer, encap);
        core.table.forget_outbound(outbound, self.inbound);
        core.table.note_outbound(self.outbound_id(), self.inbound);
        let swapped = encap.map(swapped);
        core.apply(DataPlaneOp::MoveSa { id: inbound, src: peer, dst: local, encap: swapped });
        match &mut self.sending {
            Sending::Waits(op) => {
                if let DataPlaneOp::AddSa(params) = &mut **op {
                    (params.src, params.dst, params.encap) = (local, peer, encap);
                }
            }
            Sending::Installed => core.apply(DataPlaneOp::MoveSa { id: outbound, src: local, dst: peer, encap }),
            Sending::Over => {}
        }
    }

    /// Another IKE SA holds it from now on.
    pub(crate) fn pass_on(&self, owner: IkeSpi, core: &mut Core) {
        core.table.pass_on(self.inbound, owner);
    }

    /// Whether nothing is under way for it.
    pub(crate) fn is_settled(&self) -> bool {
        self.state == ChildState::Installed
    }

    /// Whether it is what somebody waits for. A processor that wants one of its own has it, or there is none to be had.
    pub(crate) fn serves(&self, want: &Want) -> bool {
        let has = self.terms.processors.one() == want.processor || self.terms.processors == Processors::All;
        has && self.carries(want)
    }

    /// Whether what somebody waits for would carry nothing else.
    pub(crate) fn carries(&self, want: &Want) -> bool {
        self.policy.policy.id == want.policy
            && want.flow.is_none_or(|flow| {
                let (local, remote) = (&self.terms.local_ts, &self.terms.remote_ts);
                local.iter().any(|ts| ts.matches(flow.src, flow.protocol, flow.src_port))
                    && remote.iter().any(|ts| ts.matches(flow.dst, flow.protocol, flow.dst_port))
            })
    }

    /// One direction carried nothing for a while. True when the other did neither.
    pub(crate) fn note_idle(&mut self, direction: Direction, now: Instant) -> bool {
        let other = match direction {
            Direction::Inbound => {
                self.idle_in = Some(now);
                self.idle_out
            }
            Direction::Outbound => {
                self.idle_out = Some(now);
                self.idle_in
            }
        };
        self.idle_after.is_some_and(|after| other.is_some_and(|other| now.since(other) < after))
    }

    /// For listings.
    pub(crate) fn view(&self) -> ChildSaView {
        ChildSaView {
            policy: self.policy.policy.id,
            inbound: self.inbound,
            outbound: self.terms.outbound,
            state: match self.state {
                ChildState::Installed => "INSTALLED",
                ChildState::Rekeying => "REKEYING",
                ChildState::Replaced | ChildState::Redundant => "REKEYED",
                ChildState::Deleting => "DELETING",
            },
            mode: self.terms.mode,
            suite: self.terms.suite,
            local_ts: self.terms.local_ts.to_vec(),
            remote_ts: self.terms.remote_ts.to_vec(),
            if_ids: self.held.if_ids,
            marks: self.held.marks,
            processors: self.terms.processors,
            ipcomp: self.terms.ipcomp,
            aggfrag: self.terms.aggfrag,
            created: self.created,
        }
    }

    fn inbound_id(&self) -> SaId {
        SaId { direction: Direction::Inbound, dst: self.local, src: None, spi: self.inbound }
    }

    pub(crate) fn outbound_id(&self) -> SaId {
        SaId { direction: Direction::Outbound, dst: self.peer, src: None, spi: self.terms.outbound }
    }
}

/// The ports as the other side's packets carry them.
fn swapped(encap: Encap) -> Encap {
    Encap { src_port: encap.dst_port, dst_port: encap.src_port, ..encap }
}
