//! IKEv2: one IKE SA is an enum of phases, each a struct with exactly the data that is valid in it.
//!
//! ```text
//!   initiator   InitRequested ──► AuthRequested ─┐
//!                 IKE_SA_INIT       IKE_AUTH      ├──► Established ──► gone
//!   responder   InitAnswered ────────────────────┘      exchange/: CREATE_CHILD_SA, INFORMATIONAL
//! ```
//! [`phase`] holds the four, `exchange` what happens inside the last, `feature` what notifies switch on.
//! `rules` says which payloads where, `window` counts messages and repeats them, `message` seals and opens them,
//! `offer` and `answer` negotiate a Child SA from either side, and `child` is what comes of it.

pub(crate) mod answer;
pub(crate) mod child;
pub(crate) mod exchange;
pub(crate) mod feature;
pub(crate) mod message;
pub(crate) mod offer;
pub(crate) mod phase;
pub(crate) mod rules;
pub(crate) mod window;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::policy::PolicyId;
use ravelin_types::{IkeSpi, Instant};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::Message;

use crate::context::Core;
use crate::error::Place;
use crate::input::Datagram;
use crate::output::{DownReason, Event};
use crate::sa_table::InitKey;
use crate::view::IkeSaView;
use feature::nat::Nat;
use phase::asking::Asking;
use phase::auth::AuthRequested;
use phase::established::Established;
use phase::sa_init::{InitAnswered, InitRequested};

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
    /// We sent an IKE_AUTH request.
    AuthRequested(Box<AuthRequested>),
    /// Somebody outside signs or judges.
    Asking(Box<Asking>),
    /// Both sides are authenticated.
    Established(Box<Established>),
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

    /// The header of our next message.
    pub(crate) fn header(&self, exchange: ExchangeType, response: bool, message_id: u32) -> Header {
        let role = if self.initiator { Flags::INITIATOR } else { Flags::NONE };
        let flags = if response { role.with(Flags::RESPONSE) } else { role };
        Header {
            initiator_spi: self.spi_i,
            responder_spi: self.spi_r,
            version: Version::V2,
            exchange,
            flags,
            message_id,
        }
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
            Phase::AuthRequested(phase) => phase.handle(ends, message, datagram, core),
            Phase::Asking(phase) => Some(phase.handle(ends, core)),
            Phase::Established(phase) => phase.handle(ends, message, datagram, core),
        }
    }

    /// Does what is due. `None`: the SA is gone.
    pub(crate) fn timer(self, core: &mut Core) -> Option<IkeSa> {
        let IkeSa { ends, phase } = self;
        match phase {
            Phase::InitRequested(phase) => phase.timer(ends, core),
            Phase::InitAnswered(phase) => phase.timer(ends, core),
            Phase::AuthRequested(phase) => phase.timer(ends, core),
            Phase::Asking(phase) => phase.timer(ends, core),
            Phase::Established(phase) => phase.timer(ends, core),
        }
    }

    /// When [`IkeSa::timer`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::InitRequested(phase) => Some(phase.retry.at()),
            Phase::InitAnswered(phase) => Some(phase.expire_at),
            Phase::AuthRequested(phase) => Some(phase.retry.at()),
            Phase::Asking(phase) => Some(phase.deadline()),
            Phase::Established(phase) => phase.deadline(),
        }
    }

    /// Whether a peer began it and has yet to prove who it is.
    pub(crate) fn is_half_open(&self) -> bool {
        match &self.phase {
            Phase::InitAnswered(_) => true,
            Phase::Asking(phase) => phase.is_half_open(),
            Phase::InitRequested(_) | Phase::AuthRequested(_) | Phase::Established(_) => false,
        }
    }

    /// Whether it waits for an answer to our IKE_SA_INIT or IKE_AUTH.
    pub(crate) fn wants(&mut self) -> Option<&mut Vec<phase::Want>> {
        match &mut self.phase {
            Phase::InitRequested(phase) => Some(&mut phase.wants),
            Phase::AuthRequested(phase) => Some(&mut phase.wants),
            Phase::Asking(phase) => phase.wants(),
            Phase::InitAnswered(_) | Phase::Established(_) => None,
        }
    }

    /// The established phase, if it is there.
    pub(crate) fn established(&mut self) -> Option<(&Ends, &mut Established)> {
        match &mut self.phase {
            Phase::Established(phase) => Some((&self.ends, phase)),
            _ => None,
        }
    }

    /// Who the peer proved to be.
    pub(crate) fn peer(&self) -> Option<&ravelin_types::Identity> {
        match &self.phase {
            Phase::Established(phase) => Some(&phase.identities.1),
            _ => None,
        }
    }

    /// How many Child SAs it has.
    pub(crate) fn children(&self) -> usize {
        match &self.phase {
            Phase::Established(phase) => phase.children.len(),
            Phase::InitRequested(_) | Phase::InitAnswered(_) | Phase::AuthRequested(_) | Phase::Asking(_) => 0,
        }
    }

    /// Name of the configured peer; of the likeliest one before it has said who it is.
    pub(crate) fn remote_name(&self) -> &str {
        match &self.phase {
            Phase::InitRequested(phase) => &phase.remote.name,
            Phase::InitAnswered(phase) => phase.remote_name(),
            Phase::AuthRequested(phase) => &phase.remote.name,
            Phase::Asking(phase) => phase.remote_name(),
            Phase::Established(phase) => &phase.remote.name,
        }
    }

    /// For listings.
    pub(crate) fn view(&self) -> IkeSaView {
        let (state, suite, established) = match &self.phase {
            Phase::InitRequested(_) => ("IKE_SA_INIT", None, None),
            Phase::InitAnswered(phase) => ("IKE_SA_INIT", Some(phase.suite), None),
            Phase::AuthRequested(phase) => ("IKE_AUTH", Some(phase.suite), None),
            Phase::Asking(phase) => ("IKE_AUTH", Some(phase.suite()), None),
            Phase::Established(phase) => (phase.state_name(), Some(phase.suite), Some(phase)),
        };
        IkeSaView {
            serial: self.ends.serial,
            remote: String::from(self.remote_name()),
            spis: self.ends.spis(),
            initiator: self.ends.initiator,
            state,
            local: self.ends.local,
            peer: self.ends.peer,
            identities: established.map(|phase| phase.identities.clone()),
            suite,
            nat: (self.ends.nat.ours, self.ends.nat.theirs),
            created: self.ends.created,
            rekey_at: established.and_then(|phase| phase.rekey_at),
            children: established
                .map_or_else(Vec::new, |phase| phase.children.values().map(child::ChildSa::view).collect()),
        }
    }

    /// Ends it without a word to the peer.
    pub(crate) fn drop_silently(self, reason: DownReason, core: &mut Core) {
        match self.phase {
            Phase::Established(phase) => phase.end(&self.ends, reason, core),
            Phase::AuthRequested(phase) => phase.abandon(core),
            Phase::Asking(phase) => phase.abandon(core),
            Phase::InitRequested(_) | Phase::InitAnswered(_) => {}
        }
    }
}

/// Says that an IKE SA is gone.
pub(crate) fn down(ends: &Ends, remote: &str, reason: DownReason, core: &mut Core) {
    core.event(Event::IkeDown { remote: remote.into(), spis: ends.spis(), reason });
}
