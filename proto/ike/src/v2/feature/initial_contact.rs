//! INITIAL_CONTACT: the sender holds no other IKE SA with us, so whatever we hold with it is left over from before a
//! crash.
//!
//! We send it in the first IKE_AUTH request to a remote with which we have nothing else under way. We obey it for the
//! same pair of authenticated identities alone, and only for IKE SAs begun before the one that brought it: one that
//! the peer began meanwhile is not left over from anything.
//! Read RFC 7296 §2.4 before changing this file.

use alloc::vec::Vec;

use ravelin_types::Identity;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::context::Core;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::output::DownReason;
use crate::v2::phase::Phase;

/// The notify, if it is true.
pub(crate) fn notify(remote: &str, core: &Core) -> Option<Payload> {
    let alone = !core.table.has_remote(remote);
    alone.then(|| Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, Vec::new())))
}

/// Obeys the notify that came in the IKE_AUTH request for `ends`.
pub(crate) fn obey(ends: &Ends, remote: &str, identities: &(Identity, Identity), core: &mut Core) {
    let is_stale = |sa: &&IkeSa| match &sa.phase {
        ike_sa::Phase::V2(Phase::Established(phase)) => phase.identities == *identities && sa.ends.serial < ends.serial,
        _ => false,
    };
    let stale = core.table.with_peer(remote, &identities.1).filter(is_stale).map(|sa| sa.ends.our_spi());
    for spi in stale.collect::<Vec<_>>() {
        if let Some(sa) = core.table.take(spi) {
            sa.drop_silently(DownReason::InitialContact, core);
        }
    }
}
