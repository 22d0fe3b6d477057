//! An IKE SA over connections that come and go.
//!
//! 1. Who began the first of the IKE SAs opens the connection, and opens another when one is lost. The request that is open,
//!    or one that asks whether the peer lives, goes over it; with MOBIKE an UPDATE_SA_ADDRESSES follows.
//! 2. The other takes the connection on which it last received a request that verifies and is new, and sends everything there.
//!
//! How often a connection is tried is how often a request is repeated, so a peer that refuses costs little, and one that is
//! gone is found dead as in UDP. Between UDP and TCP an established IKE SA does not change.
//! Read RFC 9329 §6.1, §6.2 and §7.1 before changing this file.

use alloc::string::String;
use core::net::SocketAddr;

use ravelin_types::Way;

use crate::context::Core;
use crate::ike_sa::Ends;
use crate::v2::exchange::{Task, What};
use crate::v2::phase::established::{Established, Stage};

impl Established {
    /// The connection is gone.
    pub(crate) fn stream_closed(&mut self, ends: &mut Ends) {
        let Some(stream) = &mut ends.stream else { return };
        stream.is_lost = true;
        let busy = !self.open.is_empty() || !self.tasks.is_empty();
        if stream.is_ours && self.stage == Stage::Active && !busy {
            self.add_task(Task::new(What::Liveness));
        }
    }

    /// Another is on its way, or cannot be; then the next repetition of the request asks again.
    pub(crate) fn stream_opened(&mut self, ends: &mut Ends, local: Result<SocketAddr, String>, core: &mut Core) {
        let (Some(stream), Ok(local)) = (&mut ends.stream, local) else { return };
        stream.is_lost = false;
        ends.local = local;
        self.children.follow(ends, core);
        if self.mobike.as_ref().is_some_and(|mobike| mobike.leads) {
            self.add_task_first(What::UpdateAddresses);
        }
        // RFC 9329 §6.2: what waits for a response goes over the new connection.
        self.ask_again(ends, core);
        self.say_moved(ends, core);
    }

    /// The peer sent something by another connection.
    pub(crate) fn follow_stream(&mut self, ends: &mut Ends, by: Way, core: &mut Core) {
        let Some(stream) = ends.stream.as_mut().filter(|stream| !stream.is_ours) else { return };
        let moved = (ends.local, ends.peer) != (by.local, by.remote);
        if !moved || !self.children.may_go_to(by.remote.ip(), core) {
            return;
        }
        stream.is_lost = false;
        (ends.local, ends.peer) = (by.local, by.remote);
        self.children.follow(ends, core);
        self.ask_again(ends, core);
        self.say_moved(ends, core);
    }
}
