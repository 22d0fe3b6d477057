//! Session resumption: the gateway gives a ticket with which the peer goes on with an IKE SA that was lost, without another
//! key exchange and without another proof of who the two are.
//!
//! ```text
//!   HDR, SK {IDi, AUTH, SAi2, TSi, TSr, N(TICKET_REQUEST)}  -->               or INFORMATIONAL, any time later
//!                             <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr, N(TICKET_LT_OPAQUE, lifetime, ticket)}
//!   ...  nothing is heard any more  ...
//!   HDR(A,0), Ni, N(TICKET_OPAQUE, ticket)  -->                               IKE_SESSION_RESUME
//!                             <--  HDR(A,B), Nr                   SKEYSEED = prf(SK_d of old, "Resumption" | Ni | Nr)
//!                             <--  HDR(A,0), N(TICKET_NACK)       or not, and all begins with IKE_SA_INIT
//!   HDR, SK {IDi, AUTH, SAi2, TSi, TSr}  -->                                  AUTH by SK_pi and SK_pr
//! ```
//! A ticket belongs to one IKE SA: it is good after the peer fell silent, and gone when the IKE SA was deleted or rekeyed, by
//! either side. It is no better than the proof behind it: both sides look at what is configured now. The authentication keeps
//! its age through resumptions. `ticket.rs` has what the gateway seals; `exchange/ticket.rs` what goes on inside an IKE SA.
//! Read RFC 5723 §4 to §6 before changing this folder.

mod ticket;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use ravelin_types::{Identity, IkeSpi, Instant, Secret};
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};
use subtle::ConstantTimeEq;

use self::ticket::Keys;
use crate::auth::{RemoteAuth, fingerprint};
use crate::config::{IkeVersion, Remote};
use crate::context::Core;
use crate::ike_sa::{self, Ends};
use crate::limits;
use crate::negotiate;
use crate::output::DownReason;
use crate::v2::feature::full_transcript;
use crate::v2::keying::Keying;
use crate::v2::message::Payloads;
use crate::v2::phase::Phase;

/// What both sides keep of an IKE SA (RFC 5723 §5).
#[derive(Clone)]
pub(crate) struct Session {
    /// That of the ticket, at the gateway.
    number: u64,
    /// The configured peer.
    remote: String,
    /// IDi.
    pub(crate) claimed: Identity,
    /// Ours, and the one that the peer proved.
    pub(crate) identities: (Identity, Identity),
    pub(crate) keying: Keying,
    /// What stands for those by which the two proved who they are.
    credentials: Secret,
    /// When that proof ends.
    pub(crate) until: Option<Instant>,
    /// Our SPI.
    spi: IkeSpi,
}

/// What a session is made of.
pub(crate) struct Origin<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) identities: &'a (Identity, Identity),
    pub(crate) claimed: &'a Identity,
    pub(crate) keying: &'a Keying,
    pub(crate) until: Option<Instant>,
    pub(crate) ends: &'a Ends,
}

impl Session {
    /// `None`: such a peer has to prove each time who it is.
    fn of(origin: &Origin<'_>, core: &Core) -> Option<Self> {
        let Origin { remote, identities, claimed, keying, until, ends } = *origin;
        Some(Session {
            number: 0,
            remote: remote.name.clone(),
            claimed: claimed.clone(),
            identities: identities.clone(),
            keying: keying.clone(),
            credentials: fingerprint(remote, &identities.1, &core.crypto)?,
            until,
            spi: ends.our_spi(),
        })
    }

    /// Whether the remote, with nothing open, still has such IKE SAs and believes such proofs.
    fn fits(&self, remote: &Remote, core: &Core) -> bool {
        let offers = core.offer(&remote.proposals, true);
        let proven = fingerprint(remote, &self.identities.1, &core.crypto);
        remote.extensions.resumption
            && remote.local_id == self.identities.0
            && (self.keying.ppk || !remote.extensions.ppk.required)
            && full_transcript::admit(remote, self.keying.full_transcript).is_ok()
            && negotiate::still_lists(&offers, &self.keying.suite, &self.keying.additional)
            && proven.is_some_and(|proven| bool::from(proven.expose().ct_eq(self.credentials.expose())))
            && self.until.is_none_or(|until| core.now < until)
    }
}

/// The tickets of an endpoint.
#[derive(Default)]
pub(crate) struct Tickets {
    keys: Keys,
    /// Those of IKE SAs whose peers fell silent, by remote.
    held: BTreeMap<String, Box<Held>>,
}

/// A ticket that a gateway gave to us.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) ticket: Vec<u8>,
    pub(crate) session: Session,
    expires: Instant,
    /// When to ask for another.
    pub(crate) renew: Option<Instant>,
    /// Which gateway gave it, and takes it.
    gateway: IpAddr,
    /// It got no answer: a key exchange has its turn before it.
    silent: bool,
}

impl Held {
    /// What the gateway gave, for this session. `None`: none that could be used.
    pub(crate) fn new(given: &Notify, origin: &Origin<'_>, core: &Core) -> Option<Box<Held>> {
        let (seconds, ticket) = given.data.split_first_chunk::<4>()?;
        let lifetime = Duration::from_secs(u32::from_be_bytes(*seconds).into());
        if ticket.is_empty() || ticket.len() > limits::TICKET_HELD || lifetime.is_zero() {
            return None;
        }
        Some(Box::new(Held {
            ticket: ticket.to_vec(),
            session: Session::of(origin, core)?,
            expires: core.now + lifetime,
            renew: Some(core.now + lifetime / 4 * 3),
            gateway: origin.ends.peer.ip(),
            silent: false,
        }))
    }
}

/// `N(TICKET_REQUEST)` of an initiator.
pub(crate) fn request(remote: &Remote) -> Option<Payload> {
    remote.extensions.resumption.then(|| plain(NotifyType::TICKET_REQUEST))
}

/// RFC 5723 §7: without protocol and SPI.
fn plain(kind: NotifyType) -> Payload {
    Payload::Notify(Notify::new(kind, Vec::new()))
}

/// `N(TICKET_ACK)` or `N(TICKET_NACK)`: later, or not at all.
pub(crate) fn put_off(granted: bool) -> Payload {
    plain(if granted { NotifyType::TICKET_ACK } else { NotifyType::TICKET_NACK })
}

/// The answer of a gateway to a request for a ticket, and the number of the ticket where there is one.
pub(crate) fn answer(payloads: &Payloads, origin: &Origin<'_>, core: &mut Core) -> (Option<Payload>, Option<u64>) {
    if payloads.notify(NotifyType::TICKET_REQUEST).is_none() {
        return (None, None);
    }
    match give(origin, core) {
        Some((number, ticket)) => (Some(ticket), Some(number)),
        None => (Some(put_off(false)), None),
    }
}

/// `N(TICKET_LT_OPAQUE, lifetime, ticket)`
fn give(origin: &Origin<'_>, core: &mut Core) -> Option<(u64, Payload)> {
    let remote = origin.remote;
    if !remote.extensions.resumption {
        return None;
    }
    let session = Session::of(origin, core)?;
    // RFC 5723 §6.2: no longer than the IKE SA, nor than the proof of who the peer is.
    let own = if remote.lifetime.is_zero() { limits::TICKET_LIFETIME } else { remote.lifetime };
    let proof = session.until.map_or(own, |until| until.since(core.now));
    let lifetime = limits::TICKET_LIFETIME.min(own).min(proof);
    let seconds = u32::try_from(lifetime.as_secs()).ok().filter(|seconds| *seconds > 0)?;
    let (number, ticket) = core.tickets.keys.seal(&session, lifetime, &core.crypto, &mut *core.rng, core.now)?;
    let data = [&seconds.to_be_bytes()[..], &ticket].concat();
    Some((number, Payload::Notify(Notify::new(NotifyType::TICKET_LT_OPAQUE, data))))
}

/// What a ticket that somebody at this address presents stands for, and the remote that it is.
pub(crate) fn open(ticket: &[u8], own: IpAddr, from: IpAddr, core: &Core) -> Option<(Session, Arc<Remote>)> {
    let session = core.tickets.keys.open(ticket, core.now)?;
    let mut all = core.remotes.named(&session.remote).iter().filter(|remote| remote.version == IkeVersion::V2);
    let remote = all.find(|remote| remote.answers(own, from, &core.hosts).is_some())?.clone();
    admit(&session, &remote, own, core)?;
    Some((session, remote))
}

/// The remote with nothing open, if it would take the peer of this session today.
pub(crate) fn admit(session: &Session, remote: &Arc<Remote>, own: IpAddr, core: &Core) -> Option<Arc<Remote>> {
    let peer = &session.identities.1;
    let closed = remote.for_peer(own, &session.claimed);
    let is_one = match &remote.remote_auth {
        RemoteAuth::Eap(eap) => eap.users.takes(peer),
        RemoteAuth::Psk(_) | RemoteAuth::Signature(_) | RemoteAuth::Null => session.claimed.is(peer),
    };
    if !is_one || !remote.takes(&session.claimed) || !session.fits(&closed, core) {
        return None;
    }
    let mut closed = Remote::clone(&closed);
    closed.remote_id = peer.clone();
    Some(Arc::new(closed))
}

/// The peer of a session has shown that it is the one: its ticket is spent, and the old IKE SA goes in silence (RFC 5723 §4.3.4).
/// False when the ticket was used meanwhile.
pub(crate) fn accept(session: &Session, core: &mut Core) -> bool {
    let fresh = core.tickets.keys.spend(session.number);
    let of_v2 = |sa: &ike_sa::IkeSa| matches!(sa.phase, ike_sa::Phase::V2(Phase::Established(_)));
    let same = core.table.get(session.spi).is_some_and(|sa| of_v2(sa) && sa.is_between(&session.identities));
    if fresh
        && same
        && let Some(old) = core.table.take(session.spi)
    {
        old.drop_silently(DownReason::Replaced, core);
    }
    fresh
}

impl Tickets {
    /// The ticket with which an IKE SA with this remote begins. It is not there any more then.
    pub(crate) fn take(remote: &Arc<Remote>, ends: &Ends, core: &mut Core) -> Option<Box<Held>> {
        let held = core.tickets.held.remove(&remote.name)?;
        let closed = remote.for_peer(ends.local.ip(), &held.session.identities.1);
        let fits = remote.takes(&held.session.identities.1) && held.session.fits(&closed, core);
        if !fits || held.expires <= core.now || held.gateway != remote.remote {
            return None;
        }
        if held.silent {
            core.tickets.held.insert(remote.name.clone(), Box::new(Held { silent: false, ..*held }));
            return None;
        }
        Some(held)
    }

    /// Nobody answered to it: a key exchange is tried next, lest the gateway does not know the exchange any more.
    pub(crate) fn put_back(&mut self, held: Box<Held>) {
        self.held.insert(held.session.remote.clone(), Box::new(Held { silent: true, ..*held }));
    }

    /// The peer of an IKE SA is silent, and its ticket may help.
    pub(crate) fn keep(&mut self, held: Box<Held>) {
        self.held.insert(held.session.remote.clone(), held);
    }

    /// There is an IKE SA with the remote: what is left of one before it has no use.
    pub(crate) fn forget(&mut self, remote: &str) {
        self.held.remove(remote);
    }

    /// A ticket is good no more.
    pub(crate) fn revoke(&mut self, number: u64) {
        self.keys.spend(number);
    }
}
