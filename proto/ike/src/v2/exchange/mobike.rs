//! INFORMATIONAL about addresses.
//!
//! ```text
//!   HDR, SK {N(UPDATE_SA_ADDRESSES), N(ADDITIONAL_*_ADDRESS)+, N(NAT_DETECTION_*), N(COOKIE2)}  -->    the leader alone
//!                             <--  HDR, SK {N(NAT_DETECTION_*), N(COOKIE2)}
//!                             <--  HDR, SK {N(UNACCEPTABLE_ADDRESSES), N(COOKIE2)}
//!   HDR, SK {N(ADDITIONAL_*_ADDRESS)+ or N(NO_ADDITIONAL_ADDRESSES), N(COOKIE2)}  -->
//!                             <--  HDR, SK {N(COOKIE2)}
//!   HDR, SK {N(COOKIE2)}  -->                            are you where you say?
//!                             <--  HDR, SK {N(COOKIE2)}
//!   HDR, SK {N(NAT_DETECTION_*)}  -->                    are you there, and how do you see me?
//!                             <--  HDR, SK {N(NAT_DETECTION_*)}
//! ```
//! Read RFC 4555 §3.5 to §3.9 before changing this file.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ravelin_types::Carrier;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use super::{After, Exchange, Task, What};
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::live::Live;
use crate::nat::Nat;
use crate::output::DownReason;
use crate::v2::feature::{mobike, nat};
use crate::v2::message::Payloads;
use crate::v2::phase::established::Established;

/// Octets of a COOKIE2 of ours; RFC 4555 §4.2.5 has 8 to 64.
const COOKIE_LEN: usize = 16;

/// Our request about addresses is open.
pub(crate) struct Addresses {
    pub(crate) what: What,
    /// Between which it was sent first.
    between: (SocketAddr, SocketAddr),
    cookie: Option<Vec<u8>>,
}

impl Addresses {
    /// The request for [`What::UpdateAddresses`], [`What::TellAddresses`], [`What::VerifyAddress`] or, in place of an empty
    /// one, [`What::Liveness`].
    pub(crate) fn request(
        what: What,
        sa: &mut Established,
        ends: &Ends,
        core: &mut Core,
    ) -> Option<(Exchange, Vec<Payload>)> {
        let mobike = sa.mobike.as_mut()?;
        let mut payloads = Vec::new();
        if what == What::UpdateAddresses {
            payloads.push(Payload::Notify(Notify::new(NotifyType::UPDATE_SA_ADDRESSES, Vec::new())));
        }
        if matches!(what, What::UpdateAddresses | What::TellAddresses) {
            mobike.told = mobike::own(&sa.remote, ends, core);
            payloads.extend(mobike.told.iter().map(mobike::additional));
            if mobike.told.is_empty() {
                payloads.push(Payload::Notify(Notify::new(NotifyType::NO_ADDITIONAL_ADDRESSES, Vec::new())));
            }
        }
        if matches!(what, What::UpdateAddresses | What::Liveness) {
            payloads.extend(nat::notifies(&core.crypto, ends.spis(), ends.local, ends.peer, sa.remote.encap));
        }
        let cookie = (what != What::Liveness).then(|| core.nonce()[..COOKIE_LEN].to_vec());
        payloads
            .extend(cookie.as_ref().map(|cookie| Payload::Notify(Notify::new(NotifyType::COOKIE2, cookie.as_slice()))));
        let between = (ends.local, ends.peer);
        Some((Exchange::Addresses(Addresses { what, between, cookie }), payloads))
    }

    pub(crate) fn response(
        self,
        sa: &mut Established,
        ends: &mut Ends,
        payloads: Result<Payloads, Error>,
        core: &mut Core,
    ) -> After {
        let Ok(payloads) = payloads else { return After::Stay };
        let echoed = payloads.notify(NotifyType::COOKIE2).map(|notify| notify.data.as_slice());
        if self.cookie.is_some() && echoed != self.cookie.as_deref() {
            // RFC 4555 §3.7: the IKE SA must be closed.
            core.failed(
                Error::Violation("an answer without the COOKIE2 of its request")
                    .failure(sa.place(ends, "INFORMATIONAL")),
            );
            sa.close(DownReason::ProtocolError);
            return After::Stay;
        }
        if self.between != (ends.local, ends.peer) {
            // RFC 4555 §3.5, §3.7: sent to several addresses, so it says nothing of the last. That one is told and asked anew.
            if self.what == What::VerifyAddress {
                sa.add_task(Task::new(What::VerifyAddress));
            }
            return After::Stay;
        }
        match self.what {
            What::UpdateAddresses => self.moved(sa, ends, &payloads, core),
            What::VerifyAddress => sa.children.follow(ends, core),
            What::Liveness => self.compare(sa, &payloads),
            _ => {}
        }
        After::Stay
    }

    /// The peer has taken our addresses, or not.
    fn moved(&self, sa: &mut Established, ends: &mut Ends, payloads: &Payloads, core: &mut Core) {
        if let Some(refusal) = payloads.refusal() {
            core.failed(refusal.failure(sa.place(ends, "INFORMATIONAL")));
            sa.try_elsewhere(ends, core);
            return;
        }
        ends.nat = detected(payloads, sa, ends, core).unwrap_or(ends.nat);
        if let Some(mobike) = &mut sa.mobike {
            mobike.seen = how_seen(payloads);
        }
        sa.children.follow(ends, core);
    }

    /// RFC 4555 §3.8: a NAT that maps us to another address or port than before shows in the hash.
    fn compare(&self, sa: &mut Established, payloads: &Payloads) {
        let Some(mobike) = &mut sa.mobike else { return };
        let seen = how_seen(payloads);
        let changed = mobike.seen.is_some() && seen.is_some() && mobike.seen != seen;
        mobike.seen = seen.or(mobike.seen.take());
        if changed {
            sa.add_task(Task::new(What::UpdateAddresses));
        }
    }
}

/// The hash of our address as the peer sees it.
fn how_seen(payloads: &Payloads) -> Option<Vec<u8>> {
    payloads.notify(NotifyType::NAT_DETECTION_DESTINATION_IP).map(|notify| notify.data.clone())
}

/// What NATs are between the ends now.
fn detected(payloads: &Payloads, sa: &Established, ends: &Ends, core: &Core) -> Option<Nat> {
    let detected = nat::detect(&core.crypto, ends.spis(), payloads, ends.local, ends.peer)?;
    Some(Nat { ours: detected.ours || sa.remote.encap, ..detected })
}

/// The answer to a request, as far as it is about addresses.
pub(crate) fn respond(
    sa: &mut Established,
    ends: &mut Ends,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Vec<Payload> {
    let Some(leads) = sa.mobike.as_ref().map(|mobike| mobike.leads) else { return Vec::new() };
    let cookie = payloads.notify(NotifyType::COOKIE2).cloned().map(Payload::Notify);
    let has = |kind| payloads.notify(kind).is_some();
    // RFC 4555 §3.5: the side that began the first IKE SA decides, so nobody else is obeyed.
    let update = has(NotifyType::UPDATE_SA_ADDRESSES) && !leads;
    let list =
        [NotifyType::ADDITIONAL_IP4_ADDRESS, NotifyType::ADDITIONAL_IP6_ADDRESS, NotifyType::NO_ADDITIONAL_ADDRESSES];
    let list = list.into_iter().any(has);
    let refuse = |kind| {
        let refusal = Payload::Notify(Notify::new(kind, Vec::new()));
        core::iter::once(refusal).chain(cookie.clone()).collect()
    };
    if (update || list) && payloads.notify(NotifyType::NO_NATS_ALLOWED).is_some_and(|notify| !names(notify, datagram)) {
        return refuse(NotifyType::UNEXPECTED_NAT_DETECTED);
    }
    if update && !sa.may_be_at(datagram.remote.ip(), core) {
        return refuse(NotifyType::UNACCEPTABLE_ADDRESSES);
    }
    if let Some(mobike) = sa.mobike.as_mut().filter(|_| list) {
        mobike.theirs = mobike::told(payloads);
    }
    if update {
        // RFC 9329 §7.1: who has opened a connection is at its end.
        let same = datagram.remote.ip() == ends.peer.ip() || datagram.carrier == Carrier::Tcp;
        sa.take_carrier(datagram.carrier, ends);
        (ends.local, ends.peer) = (datagram.local, datagram.remote);
        ends.nat = detected(payloads, sa, ends, core).unwrap_or(ends.nat);
        // RFC 4555 §3.7: packets follow when the peer has shown that it is there. With the address it has done so before.
        match same {
            true => sa.children.follow(ends, core),
            false => sa.add_task(Task::new(What::VerifyAddress)),
        }
        sa.say_moved(ends, core);
    } else if leads && list {
        follow_responder(sa, ends, datagram, core);
    }
    let mut answer = vec![];
    if has(NotifyType::NAT_DETECTION_SOURCE_IP) {
        answer.extend(nat::notifies(&core.crypto, ends.spis(), datagram.local, datagram.remote, sa.remote.encap));
    }
    answer.extend(cookie);
    answer
}

/// The other side has left the address that we send to: the leader goes to where it is heard from (RFC 4555 §3.5, §3.6).
fn follow_responder(sa: &mut Established, ends: &mut Ends, datagram: Datagram<'_>, core: &mut Core) {
    let from = datagram.remote.ip();
    let stays = |mobike: &mobike::Mobike| mobike.theirs.contains(&ends.peer.ip());
    let left = from != ends.peer.ip() && !sa.mobike.as_ref().is_some_and(stays);
    if left && sa.may_be_at(from, core) {
        sa.go_to(datagram.local.ip(), from, ends, core);
    }
}

/// Whether NO_NATS_ALLOWED has the addresses and ports that the message came with (RFC 4555 §4.2.6).
fn names(notify: &Notify, datagram: Datagram<'_>) -> bool {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let (from, to) = (datagram.remote, datagram.local);
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    notify.data == [octets(from.ip()), octets(to.ip()), ports].concat()
}
