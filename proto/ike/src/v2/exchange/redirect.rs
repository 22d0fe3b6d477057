//! INFORMATIONAL in which a gateway sends its peer to another one.
//!
//! ```text
//!                             <--  HDR, SK {N(REDIRECT, gateway)}
//!   HDR, SK {}                -->                      and it begins anew there, as for another authentication
//!   HDR, SK {D(IKE)}          -->                      once that stands
//! ```
//! Read RFC 5685 §5 before changing this file.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_wire::ike::v2::Payload;

use super::Exchange;
use crate::context::Core;
use crate::extensions::{Childless, NewGateway};
use crate::ike_sa::Ends;
use crate::limits;
use crate::live::Live;
use crate::output::DownReason;
use crate::v2::feature::reauthentication;
use crate::v2::feature::redirect::{self, Redirects};
use crate::v2::message::Payloads;
use crate::v2::phase::established::{Established, Stage};

/// Sends the peer away.
pub(crate) fn request(to: &NewGateway) -> (Exchange, Vec<Payload>) {
    (Exchange::Redirect, vec![redirect::notify(to)])
}

/// The gateway sends us away: what we have here is wanted there. Traffic goes on here meanwhile.
pub(crate) fn obey(sa: &mut Established, ends: &Ends, payloads: &Payloads, core: &mut Core) {
    // RFC 5685 §10: the original responder alone can redirect.
    if sa.redirect != Some(Redirects::Follows) || sa.stage != Stage::Active {
        return;
    }
    let Some(to) = redirect::told(&sa.remote, payloads) else { return };
    let old = ends.our_spi();
    if reauthentication::is_under_way(sa, old, core) {
        return;
    }
    let wants = reauthentication::wants(sa);
    if wants.is_empty() && sa.remote.extensions.childless == Childless::Never {
        // RFC 7296 §1.2: an IKE SA begins with a Child SA; without one there is nothing to go on with.
        sa.close(DownReason::Redirected);
        return;
    }
    let followed = to.and_then(|to| redirect::follow(&sa.remote, (ends.peer.ip(), to), wants, Some(old), core));
    if let Err(error) = followed {
        core.failed(error.failure(sa.place(ends, "INFORMATIONAL")));
    }
}

impl Established {
    /// The peer was sent to another gateway and is to delete this IKE SA, or it ends by itself.
    pub(crate) fn sent_away(&mut self, core: &Core) {
        let at = core.now + limits::REDIRECTED_LIFETIME;
        self.rekey_at = None;
        self.expire_at = Some(self.expire_at.map_or(at, |end| end.min(at)));
    }
}
