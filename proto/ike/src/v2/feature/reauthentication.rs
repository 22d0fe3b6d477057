//! Both sides prove anew who they are: whoever began makes another IKE SA from scratch, with Child SAs of its own, and then
//! deletes the old one. Traffic goes on meanwhile.
//!
//! ```text
//!   initiator   Remote's own time, or the one of N(AUTH_LIFETIME) ──► IKE_SA_INIT, IKE_AUTH ... ──► D(old IKE SA)
//!   responder   N(AUTH_LIFETIME) with IKE_AUTH ──► when the time is over and the peer did nothing: D(IKE SA)
//! ```
//! Whoever answers goes on sending on the Child SA that the peer has until the peer shows that it has the new one, or gives
//! the old one up. A rekeyed IKE SA keeps the times of the one before it.
//! Read RFC 7296 §2.8, §2.8.3 and RFC 4478 before changing this file.

use alloc::vec::Vec;
use core::time::Duration;

use ravelin_types::dataplane::Flow;
use ravelin_types::{IkeSpi, Instant, Spi};
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::child::{Agreement, ChildSa, ChildState};
use crate::config::Remote;
use crate::context::Core;
use crate::extensions::Childless;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::live::Live;
use crate::output::{DownReason, Event};
use crate::v2::exchange::{Exchange, What};
use crate::v2::message::Payloads;
use crate::v2::phase::Phase;
use crate::v2::phase::established::{Established, Stage};
use crate::want::{self, Want};
use crate::{gateways, limits};

/// How long it is good that both sides have proved who they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Authenticated {
    /// Whether we began.
    began: bool,
    /// When we do it again.
    pub(crate) again: Option<Instant>,
    /// When the IKE SA ends if nobody did.
    pub(crate) until: Option<Instant>,
    /// What of that is only for one that is late.
    grace: Duration,
    /// Whether the peer begins IKE SAs without a Child SA (RFC 6023).
    childless: bool,
}

impl Authenticated {
    /// We began, and this came with the response.
    pub(crate) fn initiator(remote: &Remote, payloads: &Payloads, childless: bool, core: &mut Core) -> Self {
        let time = remote.extensions.reauth;
        let grace = grace(remote);
        let mut own = Authenticated {
            began: true,
            again: time.map(|time| core.now + core.jittered(time)),
            until: time.map(|time| core.now + time + grace),
            grace,
            childless,
        };
        own.told(payloads, core);
        own
    }

    /// The peer began: it has so long.
    pub(crate) fn responder(remote: &Remote, core: &Core) -> Self {
        let grace = grace(remote);
        let until = remote.extensions.reauth.map(|time| core.now + time + grace);
        Authenticated { began: false, again: None, until, grace, childless: false }
    }

    /// The same for a resumed IKE SA: the proof is as old as it was (RFC 5723 §5).
    pub(crate) fn not_after(mut self, until: Option<Instant>) -> Self {
        let Some(until) = until else { return self };
        let again = Instant::from_duration(until.since_origin().saturating_sub(self.grace));
        self.until = Some(self.until.map_or(until, |own| own.min(until)));
        self.again = self.began.then(|| self.again.map_or(again, |own| own.min(again)));
        self
    }

    /// RFC 4478 §2: the responder may say at any time how long it takes us for who we are. RFC 4478 §5: but not make us
    /// authenticate without end.
    pub(crate) fn told(&mut self, payloads: &Payloads, core: &mut Core) {
        let Some(notify) = payloads.notify(NotifyType::AUTH_LIFETIME).filter(|_| self.began) else { return };
        // RFC 4478 §3: seconds, in network byte order.
        let Ok(seconds) = <[u8; 4]>::try_from(notify.data.as_slice()) else { return };
        let time = Duration::from_secs(u32::from_be_bytes(seconds).into());
        // Early enough that the new IKE SA stands when the old one goes.
        let time = core.jittered(time - time / 10).max(limits::REAUTH_SHORTEST);
        let at = core.now + time;
        self.again = Some(self.again.map_or(at, |own| own.min(at)));
    }

    /// Whether another IKE SA shall be made in place of a rekeyed one, since this is not with the first gateway of what is
    /// configured now: the first has its turn again.
    pub(crate) fn comes_back(&self, used: &Remote, configured: &Remote, core: &Core) -> bool {
        let elsewhere = !configured.open.alternates.is_empty() && !configured.begins_at(used.remote, &core.hosts);
        self.began && configured.initiate && elsewhere
    }

    /// The next of the two.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.again.into_iter().chain(self.until).min()
    }
}

/// How late it may be.
fn grace(remote: &Remote) -> Duration {
    remote.extensions.over_time.unwrap_or(limits::REAUTH_GRACE)
}

/// `N(AUTH_LIFETIME)` for who began, where the remote limits it (RFC 4478 §2): what is left of the time.
pub(crate) fn notify(authenticated: &Authenticated, now: Instant) -> Option<Payload> {
    let left = authenticated.until?.since(now).saturating_sub(authenticated.grace);
    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
    Some(Payload::Notify(Notify::new(NotifyType::AUTH_LIFETIME, seconds.to_be_bytes().to_vec())))
}

/// Begins another IKE SA in the place of this one, if it is time. It goes once that stands.
pub(crate) fn due(sa: &mut Established, ends: &Ends, core: &mut Core) {
    if sa.authenticated.again.is_none_or(|at| at > core.now) {
        return;
    }
    // Should that fail, it is tried again until the IKE SA ends.
    sa.authenticated.again = Some(core.now + limits::REKEY_RETRY);
    let old = ends.our_spi();
    if is_under_way(sa, old, core) {
        return;
    }
    let Some(remote) = core.current(&sa.remote) else { return };
    if !remote.initiate {
        sa.authenticated.again = None;
        core.failed(gateways::accepts_only(&remote, None));
        return;
    }
    let wants = wants(sa);
    let childless = sa.authenticated.childless && remote.extensions.childless != Childless::Never;
    if wants.is_empty() && !childless {
        // RFC 7296 §1.2: such an IKE SA begins with a Child SA; without one there is nothing to go on with.
        sa.close(DownReason::Expired);
        return;
    }
    gateways::begin(&remote, wants, Some(old), core);
}

/// Whether another IKE SA is being made in the place of this one.
pub(crate) fn is_under_way(sa: &Established, spi: IkeSpi, core: &Core) -> bool {
    let begun = core.table.with_remote(&sa.remote.name);
    let begun = begun.into_iter().filter_map(|spi| core.table.get(spi)).any(|sa| sa.ends.replaces == Some(spi));
    begun || core.hosts.replaces(spi)
}

/// What it is made for.
pub(crate) fn wants(sa: &Established) -> Vec<Want> {
    let mut wants: Vec<Want> = Vec::new();
    in_use(sa).for_each(|want| want.add_to(&mut wants));
    wants
}

/// What its Child SAs are for, those included in whose place another is being made.
pub(crate) fn in_use(sa: &Established) -> impl Iterator<Item = Want> {
    let used = |child: &ChildSa| matches!(child.state, ChildState::Installed | ChildState::Rekeying);
    sa.children.values().filter(move |child| used(child)).map(|child| wanted(child))
}

/// What a Child SA was made for.
fn wanted(child: &ChildSa) -> Want {
    let pfp = want::pfp(&child.policy);
    let of = |side: &[ravelin_types::selector::TrafficSelector]| {
        let ts = side.first()?;
        let port = *ts.ports().start();
        Some((*ts.addresses().start(), ts.protocol(), (*ts.ports().end() == port).then_some(port)))
    };
    let flow = of(&child.terms.local_ts).zip(of(&child.terms.remote_ts)).map(|((src, protocol, src_port), to)| Flow {
        src,
        dst: to.0,
        protocol,
        src_port,
        dst_port: to.2,
    });
    Want { policy: child.policy.policy.id, flow: flow.filter(|_| pfp.any()), pfp, processor: None }
}

/// The IKE SA that was made in place of another stands, and its Child SAs do: the other goes, a little later.
pub(crate) fn take_over(sa: &mut Established, ends: &mut Ends, core: &mut Core) {
    let making = |what: &What| matches!(what, What::Create(_));
    let open = sa.exchanges().any(|open| matches!(open, Exchange::CreateChild(_)));
    if open || sa.tasks.iter().any(|task| making(&task.what)) {
        return;
    }
    let Some(old) = ends.replaces.take() else { return };
    let Some(spis) = core.table.get(old).map(|old| old.ends.spis()) else { return };
    core.event(Event::IkeReauthenticated { remote: sa.remote.name.clone(), old: spis, new: ends.spis() });
    let at = core.now + limits::REAUTH_OVERLAP;
    core.with_ike(old, |old, _, _| old.close_at(DownReason::Replaced, at));
}

/// Makes a Child SA that the peer asked for and that replaces none on its IKE SA. Where the peer has one for the same
/// traffic on an IKE SA that was begun before, that one sends for a moment longer: RFC 7296 §2.8 has it that the peer may not
/// be ready yet.
pub(crate) fn answered(agreement: Agreement, sa: &mut Established, ends: &Ends, core: &mut Core) {
    let older = older(&agreement, sa, ends, core);
    let new = agreement.inbound;
    let child = ChildSa::install(agreement, ends, older.is_none(), core);
    sa.children.add(child, None, core);
    let Some((spi, older)) = older else { return };
    sa.unheard_until = Some(core.now + limits::REAUTH_UNHEARD);
    core.with_ike(spi, |old, _, _| {
        if let Some(child) = old.children_mut().get_mut(&older) {
            // Where that is another, this one waits until it is heard of.
            child.heir.get_or_insert(new);
        }
    });
}

/// The IKE SA and the inbound SPI of what carries the same between the same addresses and is in use: rather one whose place nothing
/// takes yet.
fn older(agreement: &Agreement, sa: &Established, ends: &Ends, core: &Core) -> Option<(IkeSpi, Spi)> {
    let serves = |child: &&ChildSa| {
        let same =
            child.policy.policy.id == agreement.policy.policy.id && child.terms.serves_the_same(&agreement.terms);
        same && child.sends() && matches!(child.state, ChildState::Installed | ChildState::Rekeying)
    };
    let between = |ends: &Ends| (ends.local.ip(), ends.peer.ip());
    let before = |old: &&IkeSa| old.ends.serial < ends.serial && between(&old.ends) == between(ends);
    let found = core.table.with_peer(&sa.remote.name, &sa.identities.1).filter(before).filter_map(|old| {
        let ike_sa::Phase::V2(Phase::Established(phase)) = &old.phase else { return None };
        let children = phase.children.values().map(|child| &**child);
        let replaced = phase.stage == Stage::Active && old.is_between(&sa.identities);
        let child = children.filter(|_| replaced).filter(serves).min_by_key(|child| child.heir.is_some())?;
        Some((child.heir.is_some(), old.ends.our_spi(), child.inbound))
    });
    found.min_by_key(|(has_heir, ..)| *has_heir).map(|(_, spi, inbound)| (spi, inbound))
}

/// The peer showed that it has our answers, or had time enough: all that waited for that sends.
pub(crate) fn heard(sa: &mut Established, core: &mut Core) {
    if sa.unheard_until.take().is_some() {
        let waits = |child: &&mut ChildSa| child.replaces.is_none() && child.is_settled();
        sa.children.values_mut().map(|child| &mut **child).filter(waits).for_each(|child| child.send(core));
    }
}
