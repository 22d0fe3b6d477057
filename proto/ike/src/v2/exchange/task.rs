//! What an established IKE SA has to do: one exchange to come.

use ravelin_types::dataplane::PacketStart;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::transform::KeMethod;
use ravelin_types::{Instant, Spi};

use crate::child::offer::OfferedKe;
use crate::context::Core;
use crate::extensions::NewGateway;
use crate::limits;
use crate::output::DownReason;
use crate::want::Want;

/// One exchange to come.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) what: What,
    /// Not before.
    pub(crate) at: Option<Instant>,
    /// How often the peer said TEMPORARY_FAILURE.
    pub(crate) failures: u32,
    /// The method that INVALID_KE_PAYLOAD asked for, and how often it did.
    pub(crate) ke: Option<KeMethod>,
    pub(crate) ke_restarts: u32,
    /// It waits for a value of ours that takes long to make (`exchanging.rs`).
    pub(crate) put_off: bool,
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A Child SA.
    Create(Want),
    /// Another Child SA in place of the one with this inbound SPI.
    RekeyChild(Spi),
    /// The end of the Child SA with this inbound SPI, of ESP or AH.
    DeleteChild(ProtocolId, Spi, DownReason),
    /// Another IKE SA in place of this one.
    RekeyIke,
    /// The end of the IKE SA.
    Close(DownReason),
    /// The peer shall go to another gateway.
    Redirect(NewGateway),
    /// A ticket for this IKE SA.
    Ticket,
    /// Our token, for the peer.
    CrashToken,
    /// A packet of the peer's, which begins like this, was not within the selectors of the Child SA with this inbound SPI.
    InvalidSelectors(Spi, PacketStart),
    /// A sign of life.
    Liveness,
    /// How many requests we take at once.
    Window,
    /// The addresses on which we have decided.
    UpdateAddresses,
    /// Where we can be reached.
    TellAddresses,
    /// Whether the peer is where it says.
    VerifyAddress,
}

impl What {
    /// Whether the IKE SA that takes over has to do it.
    pub(crate) fn survives_rekey(&self) -> bool {
        match self {
            What::Create(_) | What::RekeyChild(_) | What::DeleteChild(..) => true,
            What::UpdateAddresses | What::TellAddresses | What::VerifyAddress => true,
            What::Redirect(_) => true,
            What::RekeyIke | What::Close(_) | What::Ticket | What::CrashToken | What::Liveness | What::Window => false,
            What::InvalidSelectors(..) => false,
        }
    }

    /// As [`super::Exchange::is_alone`].
    pub(super) fn is_alone(&self) -> bool {
        match self {
            What::RekeyIke | What::Close(_) | What::Redirect(_) => true,
            What::UpdateAddresses | What::TellAddresses | What::VerifyAddress => true,
            // The leader behind a NAT asks how it is seen (RFC 4555 §3.8).
            What::Liveness => true,
            What::Create(_) | What::RekeyChild(_) | What::DeleteChild(..) => false,
            What::Ticket | What::CrashToken | What::Window | What::InvalidSelectors(..) => false,
        }
    }

    /// As [`super::Exchange::ends`].
    pub(super) fn ends(&self) -> Option<Spi> {
        match self {
            What::RekeyChild(spi) | What::DeleteChild(_, spi, _) => Some(*spi),
            _ => None,
        }
    }
}

impl Task {
    pub(crate) fn new(what: What) -> Self {
        Task { what, at: None, failures: 0, ke: None, ke_restarts: 0, put_off: false }
    }

    /// The same, after TEMPORARY_FAILURE; `None` when it was too often (RFC 7296 §2.25).
    pub(crate) fn later(mut self, core: &mut Core) -> Option<Self> {
        if self.failures >= limits::TEMPORARY_FAILURES {
            return None;
        }
        // Both sides may be putting each other off; the spread lets one of them be first.
        self.at = Some(core.now + core.spread(limits::TEMPORARY_FAILURE_WAIT * (1 << self.failures)));
        self.failures += 1;
        Some(self)
    }

    /// The key exchange that it offers, where it offers a Child SA.
    pub(crate) fn offered_ke(&self) -> OfferedKe {
        self.ke.map_or(OfferedKe::First, OfferedKe::Asked)
    }

    /// The same while its value is made; nobody waits for ever.
    pub(super) fn put_off(self, now: Instant) -> Self {
        Task { at: Some(now + limits::ANSWER), put_off: true, ..self }
    }

    /// The same at once, if it waited for a value.
    pub(crate) fn taken_up(self) -> Self {
        if self.put_off { Task { at: None, put_off: false, ..self } } else { self }
    }

    /// The same at once, with the method that the peer asked for; `None` when it asked too often.
    pub(crate) fn with_ke(mut self, method: KeMethod) -> Option<Self> {
        if self.ke_restarts >= limits::KE_RESTARTS {
            return None;
        }
        self.ke = Some(method);
        self.ke_restarts += 1;
        self.at = None;
        Some(self)
    }
}

const _: () = assert!(limits::TEMPORARY_FAILURES < 16, "waits are doubled each time and must not overflow");
