//! Users whom RADIUS servers know: the caller has the sockets.
//!
//! ```text
//!  rvl_ike_poll ─► RADIUS: a packet for a server ─► socket of the caller ─► server
//!  rvl_ike_radius_receive ◄──────────────────────── the same socket ◄────── server
//! ```
//! What is not answered is said again by `rvl_ike_poll`, and then to the next server.

use std::net::SocketAddr;

use ravelin_radius_client::{LANES, Lane};

use crate::RvlStatus;
use crate::engine::instant;
use crate::handle::{self, RvlHandle, call};
use crate::ike::Ike;
use crate::sys;
use crate::traffic::RvlEndpoint;

/// Sockets that are wanted for one RADIUS server at most: `socket` of an output is below it.
pub const RVL_RADIUS_SOCKETS: u32 = 16;
const _: () = assert!(RVL_RADIUS_SOCKETS == LANES as u32);

/// Takes a packet that arrived from a RADIUS server at the socket of this number, from which the question was sent. One that
/// answers nothing, or is not proven to be the server's, is dropped.
///
/// # Safety
/// `server` is null or points to such a struct, `data` to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_radius_receive(
    ike: RvlHandle,
    server: *const RvlEndpoint,
    socket: u32,
    data: *const u8,
    len: usize,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (server, data) = unsafe { (sys::read(server)?, sys::slice(data, len)?) };
        let server = SocketAddr::try_from(*server)?;
        let number = u8::try_from(socket).ok().filter(|number| *number < LANES).ok_or(RvlStatus::BadParam)?;
        handle::with(ike, |ike: &mut Ike| {
            ike.radius.hear(Lane { server, number }, data);
            Ok(())
        })
    })
}

/// Says that nobody is there: a packet for this server could not be sent, or was refused. The next server is asked at once.
///
/// # Safety
/// `server` is null or points to such a struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_radius_unreachable(ike: RvlHandle, server: *const RvlEndpoint, now: u64) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let server = SocketAddr::try_from(*unsafe { sys::read(server)? })?;
        handle::with(ike, |ike: &mut Ike| {
            ike.radius.unreachable(server, instant(now));
            Ok(())
        })
    })
}
