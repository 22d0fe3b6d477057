//! Names of hosts: the caller has the resolver.
//!
//! ```text
//!  rvl_ike_poll ─► LOOK_UP: a name ─► resolver of the caller
//!  rvl_ike_host_found ◄────────────── its addresses, or none
//! ```
//! A name is asked for when it is configured, when a negotiation with it begins, and from time to time.

use std::ffi::c_char;
use std::net::IpAddr;

use ravelin_ike::config::Gateway;
use ravelin_ike::{Answer, Input};
use ravelin_types::HostName;

use crate::engine::instant;
use crate::handle::{self, RvlHandle, call};
use crate::ike::Ike;
use crate::traffic::RvlAddress;
use crate::{RvlStatus, sys};

/// Says where the host of a name is that was asked for, in the order in which the addresses are to be tried; with a `count` of 0,
/// that there is no such host or nobody knows it. Eight addresses are taken at most, and none that cannot be a peer's. The status
/// is `BAD_PARAM` where nobody asked, or it was said already, and `BAD_ADDR_RANGE` for an address of no family.
///
/// # Safety
/// `name` is null or a string that ends with a zero byte, `addresses` points to `count` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_ike_host_found(
    ike: RvlHandle,
    name: *const c_char,
    addresses: *const RvlAddress,
    count: usize,
    now: u64,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (name, addresses) = unsafe { (sys::text(name)?.ok_or(RvlStatus::Null)?, sys::slice(addresses, count)?) };
        let name = HostName::new(name).map_err(|_| RvlStatus::BadParam)?;
        let addresses = addresses.iter().map(|address| IpAddr::try_from(*address));
        let found: Vec<IpAddr> = addresses.collect::<Result<_, _>>().map_err(|_| RvlStatus::BadAddrRange)?;
        handle::with(ike, |ike: &mut Ike| {
            let id = ike.asked.remove(&name).ok_or(RvlStatus::BadParam)?;
            let answer = match found.as_slice() {
                [] => Answer::Refused("there is no such host".into()),
                found => Answer::Found(found.iter().map(|at| Gateway { address: *at, source: None }).collect()),
            };
            ike.endpoint.handle(Input::Done(id, answer.into()), instant(now));
            Ok(())
        })
    })
}
