//! What stands between phase 1 and phase 2: a login by XAuth, then addresses inside. What is wanted waits behind it.

use ravelin_types::{IkeSpi, Instant};

use super::exchange::xauth;
use super::session::{Session, Stage};
use super::task::Task;
use crate::config::{IkeVersion, V1, Xauth};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::limits;
use crate::output::DownReason;

/// What is still due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// The login, until this time.
    Login(Instant, Arrival),
    /// Addresses inside.
    Addresses(Instant),
    /// What the peer may ask of us, until this time: an address inside, which the selectors of a Child SA would be made of.
    MayAsk(Instant),
    /// Nothing.
    Open,
}

/// What the end of phase 1 said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The peer has nothing else of us.
    pub(crate) initial_contact: bool,
    /// Our SPI of the ISAKMP SA that this one takes the place of.
    pub(crate) replaces: Option<IkeSpi>,
}

impl Gate {
    pub(crate) fn is_open(self) -> bool {
        self == Gate::Open
    }

    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Gate::Login(until, _) | Gate::Addresses(until) | Gate::MayAsk(until) => Some(until),
            Gate::Open => None,
        }
    }
}

impl Session {
    /// Phase 1 is over.
    pub(super) fn begin_gate(&mut self, arrival: Arrival, ends: &Ends, core: &mut Core) {
        match xauth::of(&self.remote) {
            None => self.settle(arrival, ends, core),
            Some(xauth) => {
                if matches!(xauth, Xauth::Ask(_)) {
                    self.add_task(Task::AskLogin);
                }
                self.gate = Gate::Login(core.now + self.remote.login_time, arrival);
            }
        }
    }

    /// The user is logged in.
    pub(super) fn admit(&mut self, ends: &Ends, core: &mut Core) {
        if let Gate::Login(_, arrival) = self.gate {
            self.settle(arrival, ends, core);
        }
    }

    /// The peer is who it should be: what is left of it from before ends or goes on here.
    fn settle(&mut self, arrival: Arrival, ends: &Ends, core: &mut Core) {
        let IkeVersion::V1(V1 { push, .. }) = self.remote.version else { return };
        self.gate = Gate::Open;
        match arrival.initial_contact {
            true => self.forget_others(ends, core),
            false => {
                self.inherit(ends, arrival.replaces, core);
                self.replace_others(ends, core);
            }
        }
        let (ours, theirs) = core.addresses.of(ends.our_spi());
        if !self.remote.internal.ask.is_empty() && ours.is_empty() {
            self.gate = Gate::Addresses(core.now + limits::V1_ADDRESSES);
            if !push {
                self.add_task(Task::AskAddresses);
            }
        } else if !self.remote.internal.pools.is_empty() && theirs.is_empty() {
            if push {
                self.gate = Gate::Addresses(core.now + limits::V1_ADDRESSES);
                self.add_task(Task::Give);
            } else {
                self.gate = Gate::MayAsk(core.now + limits::V1_MAY_ASK);
            }
        }
    }

    /// Whether the peer may do more than log in.
    pub(super) fn is_admitted(&self) -> bool {
        !matches!(self.gate, Gate::Login(..))
    }

    /// Nothing is due any more.
    pub(super) fn open_gate(&mut self) {
        if self.is_admitted() {
            self.gate = Gate::Open;
        }
    }

    /// The peer has asked for addresses, and has what there was.
    pub(super) fn has_asked(&mut self) {
        if let Gate::MayAsk(_) = self.gate {
            self.gate = Gate::Open;
        }
    }

    /// Ends an SA whose user does not come, or waits no longer for a question that need not come.
    pub(super) fn gate_due(&mut self, ends: &Ends, core: &mut Core) {
        if self.gate.deadline().is_none_or(|until| core.now < until) || matches!(self.stage, Stage::Closing(_)) {
            return;
        }
        if let Gate::MayAsk(_) = self.gate {
            self.gate = Gate::Open;
            return;
        }
        let (part, what) = match self.is_admitted() {
            true => (Part::InternalAddress, "no internal address in time"),
            false => (Part::Login, "no XAuth login in time"),
        };
        let error = Error::Authentication(Disagreement::new(part, alloc::vec![what.into()], alloc::vec![]));
        core.failed(error.failure(self.place_of(ends, "Transaction", None)));
        self.stage = Stage::Closing(DownReason::ProtocolError);
    }
}
