//! INITIAL_CONTACT: the sender holds no other IKE SA with us, so whatever we hold with it is left over from before a
//! crash.
//!
//! What else an operator wants of peers with several IKE SAs is in [`Unique`]. One that is begun where the peer is already is
//! most likely to take the place of the one that is there (RFC 7296 §2.8.3), which goes on until traffic has gone over to it.
//!
//! We send it in the first IKE_AUTH request to a remote with which we have nothing else under way. We obey it for the
//! same pair of authenticated identities alone, and only for IKE SAs begun before the one that brought it: one that
//! the peer began meanwhile is not left over from anything.
//! Who proves nothing (RFC 7619 §2.3) is not the same as another who does, so it is without effect there.
//! Read RFC 7296 §2.4 before changing this file.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::{Identity, IkeSpi};
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::config::{LocalAuth, Remote};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::extensions::Unique;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::limits;
use crate::output::DownReason;
use crate::v2::message::Payloads;
use crate::v2::phase::Phase;

/// The notify, if it is true.
pub(crate) fn notify(remote: &Remote, core: &Core) -> Option<Payload> {
    let somebody = !matches!(remote.local_auth, LocalAuth::Null);
    let alone = somebody && remote.extensions.unique != Unique::Never && !core.table.has_remote(&remote.name);
    alone.then(|| Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, Vec::new())))
}

/// Judges the IKE_AUTH request for `ends` by the other IKE SAs of a peer that proved who it is; those that it says are
/// left over go at once.
///
/// # Errors
/// [`Error::Authentication`] where the peer has one and is to keep it, or too many have proved nothing.
pub(crate) fn admit(
    ends: &Ends,
    remote: &Remote,
    identities: &(Identity, Identity),
    payloads: &Payloads,
    core: &mut Core,
) -> Result<(), Error> {
    if remote.is_nobody() {
        // The oldest of its address makes room: `ike_sa::make_room`.
        let full = core.table.nobodies().total() >= limits::NOBODIES;
        let ours = || vec![alloc::format!("at most {} peers that prove nothing of who they are", limits::NOBODIES)];
        return match full && core.table.nobodies().from(ends.peer.ip()) < limits::NOBODIES_PER_ADDRESS {
            true => Err(Error::Authentication(Disagreement::new(Part::Limit, vec!["one more".into()], ours()))),
            false => Ok(()),
        };
    }
    let only = payloads.notify(NotifyType::INITIAL_CONTACT).is_some();
    let others = others(ends, &remote.name, identities, core);
    let stays = |sa: &IkeSa| sa.is_active() && sa.ends.peer != ends.peer;
    match (remote.extensions.unique, only) {
        (Unique::Never, _) | (Unique::No | Unique::Replace, false) => Ok(()),
        (Unique::Keep, false) if !others.iter().any(|spi| core.table.get(*spi).is_some_and(stays)) => Ok(()),
        (Unique::Keep, false) => {
            let theirs = vec![identities.1.to_string()];
            let ours = vec!["the peer keeps the IKE SA that it has".into()];
            Err(Error::Authentication(Disagreement::new(Part::Limit, theirs, ours)))
        }
        (Unique::No | Unique::Replace | Unique::Keep, true) => {
            for spi in others {
                if let Some(sa) = core.table.take(spi) {
                    sa.drop_silently(DownReason::InitialContact, core);
                }
            }
            Ok(())
        }
    }
}

/// The IKE SA of `ends` stands: where it is to be the only one of the peer, the others are deleted.
pub(crate) fn replace(ends: &Ends, remote: &Remote, identities: &(Identity, Identity), core: &mut Core) {
    if remote.extensions.unique == Unique::Replace && !remote.is_nobody() {
        let overlap = core.now + limits::REAUTH_OVERLAP;
        for spi in others(ends, &remote.name, identities, core) {
            core.with_ike(spi, |sa, old, _| match old.peer == ends.peer {
                true => sa.close_at(DownReason::Replaced, overlap),
                false => sa.close(DownReason::Replaced),
            });
        }
    }
}

/// Those with the same pair of identities that were begun before.
fn others(ends: &Ends, remote: &str, identities: &(Identity, Identity), core: &Core) -> Vec<IkeSpi> {
    let of_v2 = |sa: &IkeSa| matches!(sa.phase, ike_sa::Phase::V2(Phase::Established(_)));
    let is_stale = |sa: &&IkeSa| of_v2(sa) && sa.is_between(identities) && sa.ends.serial < ends.serial;
    core.table.with_peer(remote, &identities.1).filter(is_stale).map(|sa| sa.ends.our_spi()).collect()
}
