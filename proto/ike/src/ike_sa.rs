//! One IKE SA as the table holds it: its names and places, and how far it is.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;
use ravelin_types::{Identity, IkeSpi, Instant, Spi};
use ravelin_wire::ike::v2::Message;

use crate::address::Addresses;
use crate::children::Children;
use crate::context::Core;
use crate::error::{Error, Place};
use crate::input::Datagram;
use crate::limits;
use crate::nat::Nat;
use crate::output::{DownReason, Event};
use crate::sa_table::InitKey;
#[cfg(feature = "ikev1")]
use crate::v1;
use crate::v2::phase::answer_eap::EapAnswered;
use crate::v2::phase::asking::Asking;
use crate::v2::phase::auth::AuthRequested;
use crate::v2::phase::established::{Established, Stage};
use crate::v2::phase::intermediate::IntermediateRequested;
use crate::v2::phase::sa_init::{InitAnswered, InitRequested};
use crate::view::IkeSaView;
use crate::want::Want;

/// One IKE SA.
pub(crate) struct IkeSa {
    pub(crate) ends: Ends,
    pub(crate) phase: Phase,
}

/// How far it is.
pub(crate) enum Phase {
    /// We sent an IKE_SA_INIT request.
    InitRequested(Box<InitRequested>),
    /// We answered one.
    InitAnswered(Box<InitAnswered>),
    /// We sent an IKE_INTERMEDIATE request.
    IntermediateRequested(Box<IntermediateRequested>),
    /// We sent an IKE_AUTH request.
    AuthRequested(Box<AuthRequested>),
    /// We asked who the peer is, by EAP.
    EapAnswered(Box<EapAnswered>),
    /// Somebody outside signs or judges.
    Asking(Box<Asking>),
    /// Both sides are authenticated.
    Established(Box<Established>),
    /// IKEv1 has phases of its own.
    #[cfg(feature = "ikev1")]
    V1(v1::phase::Phase),
}

/// What every phase has: the names of the SA and where its ends are.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) spi_i: IkeSpi,
    /// Zero until the responder has chosen.
    pub(crate) spi_r: IkeSpi,
    /// Whether we are the original initiator.
    pub(crate) initiator: bool,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) nat: Nat,
    pub(crate) created: Instant,
    /// Grows from one IKE SA to the next.
    pub(crate) serial: u64,
    /// The request that began it, when the peer did.
    pub(crate) init_key: Option<InitKey>,
}

impl Ends {
    /// The SPI that we chose.
    pub(crate) fn our_spi(&self) -> IkeSpi {
        if self.initiator { self.spi_i } else { self.spi_r }
    }

    /// Both, the initiator's first.
    pub(crate) fn spis(&self) -> (IkeSpi, IkeSpi) {
        (self.spi_i, self.spi_r)
    }

    /// Where an exchange failed.
    pub(crate) fn place(&self, remote: &str, exchange: &'static str, policy: Option<PolicyId>) -> Place {
        Place { remote: Some(remote.into()), address: self.peer.ip(), policy, exchange }
    }
}

impl IkeSa {
    /// Takes a message that carries the SPIs of this SA. `None`: the SA is gone.
    pub(crate) fn handle(self, message: Message, datagram: Datagram<'_>, core: &mut Core) -> Option<IkeSa> {
        let IkeSa { ends, phase } = self;
        match phase {
            Phase::InitRequested(phase) => phase.handle(ends, message, datagram, core),
            Phase::InitAnswered(phase) => phase.handle(ends, message, datagram, core),
            Phase::IntermediateRequested(phase) => phase.handle(ends, message, datagram, core),
            Phase::AuthRequested(phase) => phase.handle(ends, message, datagram, core),
            Phase::EapAnswered(phase) => phase.handle(ends, message, datagram, core),
            Phase::Asking(phase) => Some(phase.handle(ends, core)),
            Phase::Established(phase) => phase.handle(ends, message, datagram, core),
            #[cfg(feature = "ikev1")]
            phase @ Phase::V1(_) => {
                core.counters.unexpected += 1;
                Some(IkeSa { ends, phase })
            }
        }
    }

    /// Does what is due. `None`: the SA is gone.
    pub(crate) fn timer(self, core: &mut Core) -> Option<IkeSa> {
        let IkeSa { ends, phase } = self;
        match phase {
            Phase::InitRequested(phase) => phase.timer(ends, core),
            Phase::InitAnswered(phase) => phase.timer(ends, core),
            Phase::IntermediateRequested(phase) => phase.timer(ends, core),
            Phase::AuthRequested(phase) => phase.timer(ends, core),
            Phase::EapAnswered(phase) => phase.timer(ends, core),
            Phase::Asking(phase) => phase.timer(ends, core),
            Phase::Established(phase) => phase.timer(ends, core),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.timer(ends, core),
        }
    }

    /// When [`IkeSa::timer`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::InitRequested(phase) => Some(phase.retry.at()),
            Phase::InitAnswered(phase) => Some(phase.expire_at),
            Phase::IntermediateRequested(phase) => Some(phase.retry.at()),
            Phase::AuthRequested(phase) => Some(phase.retry.at()),
            Phase::EapAnswered(phase) => Some(phase.expire_at),
            Phase::Asking(phase) => Some(phase.deadline()),
            Phase::Established(phase) => phase.deadline(),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.deadline(),
        }
    }

    /// Whether a peer began it and has yet to prove who it is.
    pub(crate) fn is_half_open(&self) -> bool {
        match &self.phase {
            Phase::InitAnswered(_) | Phase::EapAnswered(_) => true,
            Phase::Asking(phase) => phase.is_half_open(),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.session().is_none() && !self.ends.initiator,
            Phase::InitRequested(_)
            | Phase::IntermediateRequested(_)
            | Phase::AuthRequested(_)
            | Phase::Established(_) => false,
        }
    }

    /// Whether it waits for an answer to our IKE_SA_INIT or IKE_AUTH.
    pub(crate) fn wants(&mut self) -> Option<&mut Vec<Want>> {
        match &mut self.phase {
            Phase::InitRequested(phase) => Some(&mut phase.wants),
            Phase::IntermediateRequested(phase) => Some(&mut phase.wants),
            Phase::AuthRequested(phase) => Some(&mut phase.wants),
            Phase::Asking(phase) => phase.wants(),
            Phase::InitAnswered(_) | Phase::EapAnswered(_) | Phase::Established(_) => None,
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.wants(),
        }
    }

    /// Whether it is there to be used.
    pub(crate) fn is_active(&self) -> bool {
        match &self.phase {
            Phase::Established(phase) => phase.stage == Stage::Active,
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.session().is_some_and(v1::session::Session::is_usable),
            _ => false,
        }
    }

    /// The established phase, if it is there.
    pub(crate) fn established(&mut self) -> Option<(&Ends, &mut Established)> {
        match &mut self.phase {
            Phase::Established(phase) => Some((&self.ends, phase)),
            _ => None,
        }
    }

    /// Whether we are beginning it.
    pub(crate) fn is_begun(&self) -> bool {
        match &self.phase {
            Phase::InitRequested(_) | Phase::IntermediateRequested(_) | Phase::AuthRequested(_) => true,
            Phase::Asking(_) => self.ends.initiator,
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.session().is_none() && self.ends.initiator,
            _ => false,
        }
    }

    /// What it can be asked for, if both sides are authenticated.
    pub(crate) fn live(&mut self) -> Option<&mut dyn Live> {
        match &mut self.phase {
            Phase::Established(phase) => Some(&mut **phase),
            #[cfg(feature = "ikev1")]
            Phase::V1(v1::phase::Phase::Session(session)) => Some(&mut **session),
            _ => None,
        }
    }

    /// Who the peer proved to be.
    pub(crate) fn peer(&self) -> Option<&ravelin_types::Identity> {
        match &self.phase {
            Phase::Established(phase) => Some(&phase.identities.1),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.peer(),
            _ => None,
        }
    }

    /// How many Child SAs it has.
    pub(crate) fn children(&self) -> usize {
        match &self.phase {
            Phase::Established(phase) => phase.children.len(),
            Phase::InitRequested(_)
            | Phase::InitAnswered(_)
            | Phase::IntermediateRequested(_)
            | Phase::AuthRequested(_)
            | Phase::EapAnswered(_)
            | Phase::Asking(_) => 0,
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.session().map_or(0, |session| session.children.len()),
        }
    }

    /// Name of the configured peer; of the likeliest one before it has said who it is.
    pub(crate) fn remote_name(&self) -> &str {
        match &self.phase {
            Phase::InitRequested(phase) => &phase.remote.name,
            Phase::InitAnswered(phase) => phase.remote_name(),
            Phase::IntermediateRequested(phase) => &phase.remote.name,
            Phase::AuthRequested(phase) => &phase.remote.name,
            Phase::EapAnswered(phase) => &phase.request.remote.name,
            Phase::Asking(phase) => phase.remote_name(),
            Phase::Established(phase) => &phase.remote.name,
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.remote_name(),
        }
    }

    /// For listings.
    pub(crate) fn view(&self, addresses: &Addresses) -> IkeSaView {
        let (state, suite) = match &self.phase {
            Phase::InitRequested(_) => ("IKE_SA_INIT", None),
            Phase::InitAnswered(phase) => ("IKE_SA_INIT", Some(phase.suite)),
            Phase::IntermediateRequested(phase) => ("IKE_INTERMEDIATE", Some(phase.init.suite)),
            Phase::AuthRequested(phase) => ("IKE_AUTH", Some(phase.suite)),
            Phase::EapAnswered(phase) => ("IKE_AUTH", Some(phase.phase.suite)),
            Phase::Asking(phase) => ("IKE_AUTH", Some(phase.suite())),
            Phase::Established(phase) => (phase.state_name(), Some(phase.suite)),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => (phase.state_name(), phase.suite()),
        };
        let mut version = 2;
        let (identities, rekey_at, children) = match &self.phase {
            Phase::Established(phase) => (Some(&phase.identities), phase.rekey_at, Some(&phase.children)),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => {
                version = 1;
                let session = phase.session();
                let identities = session.map(|session| &session.identities);
                (identities, session.and_then(|session| session.rekey_at), session.map(|session| &session.children))
            }
            _ => (None, None, None),
        };
        let (additional, mobike) = match &self.phase {
            Phase::Established(phase) => (phase.additional.clone(), phase.mobike.as_ref()),
            _ => (Vec::new(), None),
        };
        IkeSaView {
            serial: self.ends.serial,
            remote: String::from(self.remote_name()),
            version,
            spis: self.ends.spis(),
            initiator: self.ends.initiator,
            state,
            local: self.ends.local,
            peer: self.ends.peer,
            identities: identities.cloned(),
            suite,
            additional,
            ppk: matches!(&self.phase, Phase::Established(phase) if phase.ppk),
            mobike: mobike.is_some(),
            peer_addresses: mobike.map_or_else(Vec::new, |mobike| mobike.theirs.clone()),
            nat: (self.ends.nat.ours, self.ends.nat.theirs),
            inside: addresses.of(self.ends.our_spi()),
            created: self.ends.created,
            rekey_at,
            children: children.map_or_else(Vec::new, |children| children.values().map(|child| child.view()).collect()),
        }
    }

    /// Ends it without a word to the peer.
    pub(crate) fn drop_silently(self, reason: DownReason, core: &mut Core) {
        match self.phase {
            Phase::Established(phase) => phase.end(&self.ends, reason, core),
            Phase::AuthRequested(phase) => phase.abandon(core),
            Phase::Asking(phase) => phase.abandon(core),
            Phase::InitRequested(_)
            | Phase::InitAnswered(_)
            | Phase::IntermediateRequested(_)
            | Phase::EapAnswered(_) => {}
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => phase.drop_silently(&self.ends, reason, core),
        }
    }
}

/// Says that an IKE SA is gone; the addresses that it held are, too.
pub(crate) fn down(ends: &Ends, remote: &str, reason: DownReason, core: &mut Core) {
    core.give_back(ends, remote);
    core.event(Event::IkeDown { remote: remote.into(), spis: ends.spis(), reason });
}

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
    /// Makes another Child SA in place of one, unless something is under way for it.
    fn rekey_child(&mut self, inbound: Spi);
    /// Deletes a Child SA unless that is under way.
    fn delete_child(&mut self, inbound: Spi, reason: DownReason);
    /// One direction of a Child SA carried nothing for a while: it goes when the other did neither.
    fn child_idle(&mut self, inbound: Spi, direction: Direction, now: Instant);
    /// Deletes the IKE SA.
    fn close(&mut self, reason: DownReason);
    /// Asks whether the peer is alive.
    fn check_liveness(&mut self, core: &Core);
    /// As [`Live::check_liveness`] because of a hint that proves nothing, at a limited rate.
    fn doubt(&mut self, core: &mut Core);
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
    fn child_aged(&mut self, inbound: Spi) {
        match self.children().is_redundant(inbound) {
            true => self.delete_child(inbound, DownReason::Replaced),
            false => self.rekey_child(inbound),
        }
    }
}

/// Ends the oldest IKE SA with a peer of a remote when there are too many.
pub(crate) fn make_room(remote: &str, peer: &Identity, core: &mut Core) {
    if core.table.with_peer(remote, peer).count() < limits::IKE_SAS_PER_REMOTE {
        return;
    }
    let oldest = core.table.with_peer(remote, peer).min_by_key(|sa| sa.ends.serial).map(|sa| sa.ends.our_spi());
    if let Some(oldest) = oldest.and_then(|spi| core.table.take(spi)) {
        oldest.drop_silently(DownReason::Replaced, core);
    }
}

/// Whether there may be one more Child SA on an IKE SA that has `children` of them, and with its peer.
pub(crate) fn room(children: usize, remote: &str, peer: &Identity, core: &Core) -> Result<(), Error> {
    let all = children + core.table.with_peer(remote, peer).map(IkeSa::children).sum::<usize>();
    let full = children >= limits::CHILDREN_PER_IKE_SA || all >= limits::CHILDREN_PER_REMOTE;
    if full { Err(Error::Full) } else { Ok(()) }
}
