//! Before IKE_SA_INIT: what its request takes is not there yet. In TCP that is the connection, whose local port is needed for NAT
//! detection (RFC 9329 §6.5); with a key exchange that takes long to begin it is our value (`exchanging.rs`).
//!
//! A remote that has TCP as fallback is asked in UDP first. Without an answer to [`UDP_TRIES`] transmissions a new IKE SA
//! begins here (RFC 9329 §5.1, RFC 9329 §9); when there is no connection either, one more begins in UDP, for all its transmissions.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::{IkeSpi, Instant};
use ravelin_wire::tcp_encap;

use super::{Phase, sa_init};
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Error, Place};
use crate::ike_sa::{Ends, IkeSa, Stream};
use crate::limits;
use crate::want::Want;

/// Why there is no connection any more.
pub(super) const CLOSED: &str = "the peer, or something on the way, closed or refused it";

/// Transmissions in UDP before TCP is tried: the first and one more.
pub(crate) const UDP_TRIES: u32 = 2;

/// Nothing is sent yet.
pub(crate) struct Opening {
    pub(crate) remote: Arc<Remote>,
    pub(crate) wants: Vec<Want>,
    pub(crate) expire_at: Instant,
    awaited: Awaited,
}

/// What the request waits for.
#[derive(Clone, Copy)]
enum Awaited {
    /// The connection.
    Stream,
    /// Our value for the key exchange. `falls_back`: to TCP, when there is no answer.
    Value { falls_back: bool },
}

/// Begins an IKE SA in TCP.
pub(crate) fn begin(
    remote: Arc<Remote>,
    wants: Vec<Want>,
    replaces: Option<IkeSpi>,
    core: &mut Core,
) -> Result<(), Error> {
    let port = remote.extensions.tcp.map_or(tcp_encap::PORT, |tcp| tcp.port);
    let mut ends = sa_init::ends(&remote, &wants, replaces, core)?;
    ends.local.set_port(0);
    ends.peer.set_port(port);
    ends.stream = Some(Stream { is_ours: true, is_lost: false });
    core.open_stream(&ends);
    wait(ends, remote, wants, Awaited::Stream, core);
    Ok(())
}

/// Waits for our value; the question for it is asked.
pub(super) fn await_value(ends: Ends, remote: Arc<Remote>, wants: Vec<Want>, falls_back: bool, core: &mut Core) {
    core.put_off_own(ends.our_spi());
    wait(ends, remote, wants, Awaited::Value { falls_back }, core);
}

fn wait(ends: Ends, remote: Arc<Remote>, wants: Vec<Want>, awaited: Awaited, core: &mut Core) {
    let phase = Opening { remote, wants, expire_at: core.now + limits::ANSWER, awaited };
    core.table.insert(Phase::Opening(Box::new(phase)).with(ends));
}

impl Opening {
    /// The connection is on its way from `local`.
    pub(crate) fn opened(self, mut ends: Ends, local: Result<SocketAddr, String>, core: &mut Core) {
        let Opening { remote, wants, .. } = self;
        let place = place(&remote, &wants);
        let begun = match local {
            Ok(local) => {
                ends.local = local;
                let way = ends.way();
                sa_init::request(ends, remote, wants, false, core).inspect_err(|_| core.close_stream(way))
            }
            Err(why) => return failed(remote, wants, ends.replaces, why, core),
        };
        if let Err(error) = begun {
            core.failed(error.failure(place));
        }
    }

    /// Our value is there.
    pub(crate) fn take_up(self, ends: Ends, core: &mut Core) {
        let Opening { remote, wants, awaited, .. } = self;
        let falls_back = matches!(awaited, Awaited::Value { falls_back: true });
        let place = place(&remote, &wants);
        if let Err(error) = sa_init::request(ends, remote, wants, falls_back, core) {
            core.failed(error.failure(place));
        }
    }

    /// The connection is gone, or was never there.
    pub(crate) fn closed(self, replaces: Option<IkeSpi>, core: &mut Core) {
        failed(self.remote, self.wants, replaces, CLOSED.into(), core);
    }

    /// Nobody gave what it waits for.
    pub(crate) fn timer(self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if core.now < self.expire_at {
            return Some(Phase::Opening(self).with(ends));
        }
        match self.awaited {
            Awaited::Stream => {
                failed(self.remote, self.wants, ends.replaces, "the data plane gave no connection".into(), core);
            }
            Awaited::Value { .. } => {
                let error = Error::Misuse("nobody computed our value for the key exchange in time");
                core.failed(error.failure(place(&self.remote, &self.wants)));
            }
        }
        None
    }
}

/// There is no connection, so UDP has its turn again where it had one.
pub(crate) fn failed(remote: Arc<Remote>, wants: Vec<Want>, replaces: Option<IkeSpi>, why: String, core: &mut Core) {
    let place = place(&remote, &wants);
    core.failed(Error::NoStream(why).failure(place.clone()));
    if remote.extensions.tcp.is_some_and(|tcp| !tcp.at_once) {
        let begun = sa_init::ends(&remote, &wants, replaces, core)
            .and_then(|ends| sa_init::request(ends, remote, wants, false, core));
        if let Err(error) = begun {
            core.failed(error.failure(place));
        }
    }
}

fn place(remote: &Remote, wants: &[Want]) -> Place {
    let policy = wants.first().map(|want| want.policy);
    Place { remote: Some(remote.name.clone()), address: remote.remote, policy, exchange: "IKE_SA_INIT" }
}
