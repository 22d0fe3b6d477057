//! An IKE SA over connections that come and go.
//!
//! 1. Who began the first of the IKE SAs opens the connection, and opens another when one is lost. The request that is open,
//!    or one that asks whether the peer lives, goes over it; with MOBIKE an UPDATE_SA_ADDRESSES follows.
//! 2. The other takes the connection on which it last received a request that verifies and is new, and sends everything there.
//! 3. With MOBIKE and TCP as fallback, who moves to another network tells the peer so in UDP, whatever was before. Without an answer to
//!    [`UDP_TRIES`] transmissions the same request goes over a connection; when there is none either, UDP has its turn again. The
//!    peer goes where UPDATE_SA_ADDRESSES comes from.
//!
//! How often a connection is tried is how often a request is repeated, so a peer that refuses costs little, and one that is
//! gone is found dead as in UDP.
//! Read RFC 9329 §6.1, §6.2 and §7.1 before changing this file.

use alloc::string::String;
use core::net::SocketAddr;

use ravelin_types::{Carrier, Way};

use crate::context::Core;
use crate::extensions::Tcp;
use crate::ike_sa::{Ends, Stream};
use crate::nat::NAT_PORT;
use crate::v2::exchange::{Task, What};
use crate::v2::phase::established::{Established, Stage};
use crate::v2::phase::opening::UDP_TRIES;

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
        let Some(stream) = &mut ends.stream else { return };
        let Ok(local) = local else {
            if self.fallback().is_some() {
                self.go_by_udp(ends);
            }
            return;
        };
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

    /// TCP as fallback, while we are at new addresses and the peer was not heard since.
    fn fallback(&self) -> Option<Tcp> {
        let moving = self.mobike.as_ref().is_some_and(|mobike| mobike.leads && mobike.moving);
        self.remote.extensions.tcp.filter(|tcp| moving && !tcp.at_once)
    }

    /// Whether a move to these ends begins in UDP, where a connection was before.
    pub(crate) fn leaves_stream(&self, ends: &Ends) -> bool {
        ends.stream.is_some_and(|stream| stream.is_ours) && self.fallback().is_some()
    }

    /// The same ends in UDP. Packets follow when the peer has answered there.
    pub(crate) fn go_by_udp(&self, ends: &mut Ends) {
        ends.stream = None;
        ends.local.set_port(NAT_PORT);
        ends.peer.set_port(NAT_PORT);
    }

    /// After how many transmissions in UDP a request goes over a connection, where it does.
    pub(crate) fn udp_tries(&self, ends: &Ends) -> Option<u32> {
        (ends.stream.is_none() && self.fallback().is_some()).then_some(UDP_TRIES)
    }

    /// Asks for a connection between the same ends.
    pub(crate) fn fall_back(&self, ends: &mut Ends, core: &mut Core) {
        let Some(tcp) = self.fallback() else { return };
        ends.stream = Some(Stream { is_ours: true, is_lost: true });
        ends.local.set_port(0);
        ends.peer.set_port(tcp.port);
        core.open_stream(ends);
    }

    /// The peer, which leads, says that it is now where its request came from: in UDP or in TCP, whatever was before.
    pub(crate) fn take_carrier(&self, carrier: Carrier, ends: &mut Ends) {
        match carrier {
            Carrier::Tcp if ends.stream.is_none() => ends.stream = Some(Stream { is_ours: false, is_lost: false }),
            Carrier::Udp => ends.stream = None,
            Carrier::Tcp => {}
        }
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
