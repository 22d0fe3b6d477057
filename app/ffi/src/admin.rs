//! The messages of an administrator's program, made from text: `IPSecAdminAddBypassPolicy`, `IPSecAdminAddDropPolicy` and
//! `IPSecAdminAddPolicy` of document 003 §3.12. The caller sends them to the keying socket of a daemon (`docs/management.md`)
//! and gives the reply to [`rvl_admin_answer`].

use std::ffi::c_char;

use ravelin_manage::admin::{self, Traffic};
use ravelin_types::policy::Mode;
use ravelin_wire::mgmt::{Header, MAX_DATA_LEN, Module, PolicyFlags, Request};

use crate::handle::call;
use crate::sys::{self, Out};
use crate::{RvlStatus, text};

/// `IPSEC_POLICY_DROP`
pub const RVL_POLICY_DROP: u32 = 1;
/// `IPSEC_POLICY_BYPASS`
pub const RVL_POLICY_BYPASS: u32 = 2;
/// `IPSEC_POLICY_SECURE_TUNNEL`
pub const RVL_POLICY_SECURE_TUNNEL: u32 = 3;
/// `IPSEC_POLICY_SECURE_TRANSPORT`
pub const RVL_POLICY_SECURE_TRANSPORT: u32 = 4;

/// `SP_PROTO_AH`
pub const RVL_SP_PROTO_AH: u32 = 1;
/// `SP_PROTO_ESP`
pub const RVL_SP_PROTO_ESP: u32 = 2;
/// `SP_CHECK_REPLAY`
pub const RVL_SP_CHECK_REPLAY: u32 = 4;
/// `SP_CHECK_ESP_PAD`
pub const RVL_SP_CHECK_ESP_PAD: u32 = 8;
/// `SP_FULL_ECN`
pub const RVL_SP_FULL_ECN: u32 = 16;
/// `SP_DF_COPY`
pub const RVL_SP_DF_COPY: u32 = 32;
/// `SP_DF_SET`
pub const RVL_SP_DF_SET: u32 = 64;
/// `SP_KEYNEG_MANUAL`
pub const RVL_SP_KEYNEG_MANUAL: u32 = 128;
/// `SP_TX_DUMMY_PKT`
pub const RVL_SP_TX_DUMMY_PKT: u32 = 256;
/// `SP_TX_TFC_PADDING`
pub const RVL_SP_TX_TFC_PADDING: u32 = 512;
/// `SP_AUTH_SHA2_ICV_SHORT`
pub const RVL_SP_AUTH_SHA2_ICV_SHORT: u32 = 1024;

/// The longest message, with room for which a buffer is never too small.
pub const RVL_MAX_MESSAGE: usize = 1024;
const _: () = assert!(RVL_MAX_MESSAGE == Header::LEN + MAX_DATA_LEN);

/// A message and where it is written.
#[repr(C)]
pub struct RvlMessage {
    /// Room for the message.
    pub buffer: *mut u8,
    /// Bytes there.
    pub capacity: usize,
    /// The number that the reply will have.
    pub sequence: u16,
    /// Set by the call: bytes of the message.
    pub length: usize,
}

/// `IPSecAdminAddBypassPolicy`: lets traffic pass in the clear. `source` and `destination` are identity strings as in
/// `RvlPolicy`, `protocol` is 0 for any, `priority` 1 (highest) to 7 (lowest) or from 1000 on.
///
/// # Safety
/// The strings are null or end with a zero byte; `message` is null or points to such a struct, whose buffer is as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_admin_add_bypass_policy(
    source: *const c_char,
    destination: *const c_char,
    protocol: u8,
    priority: u32,
    message: *mut RvlMessage,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    call(|| unsafe { write(message, &admin::bypass(&traffic(source, destination, protocol, priority)?)) })
}

/// `IPSecAdminAddDropPolicy`: drops traffic. Arguments as for `rvl_admin_add_bypass_policy`.
///
/// # Safety
/// As for `rvl_admin_add_bypass_policy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_admin_add_drop_policy(
    source: *const c_char,
    destination: *const c_char,
    protocol: u8,
    priority: u32,
    message: *mut RvlMessage,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    call(|| unsafe { write(message, &admin::discard(&traffic(source, destination, protocol, priority)?)) })
}

/// `IPSecAdminAddPolicy`: `policy` is `RVL_POLICY_...`; `remote` the address of the other end of its SAs, null with
/// `RVL_POLICY_DROP` and `RVL_POLICY_BYPASS` alone; `flags` are `RVL_SP_...`, added. The other arguments are as for
/// `rvl_admin_add_bypass_policy`.
///
/// # Safety
/// As for `rvl_admin_add_bypass_policy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_admin_add_policy(
    policy: u32,
    protocol: u8,
    source: *const c_char,
    destination: *const c_char,
    remote: *const c_char,
    flags: u32,
    priority: u32,
    message: *mut RvlMessage,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (traffic, remote) = unsafe { (traffic(source, destination, protocol, priority)?, sys::text(remote)?) };
        let request = match (policy, remote) {
            (RVL_POLICY_DROP, None) if flags == 0 => admin::discard(&traffic),
            (RVL_POLICY_BYPASS, None) if flags == 0 => admin::bypass(&traffic),
            (RVL_POLICY_SECURE_TUNNEL | RVL_POLICY_SECURE_TRANSPORT, remote) => {
                let mode = if policy == RVL_POLICY_SECURE_TUNNEL { Mode::Tunnel } else { Mode::Transport };
                let remote = text::address(remote.ok_or(RvlStatus::Null)?)?;
                admin::protect(&traffic, mode, remote, PolicyFlags(flags))
            }
            _ => return Err(RvlStatus::BadParam),
        };
        // SAFETY: the caller's promise.
        unsafe { write(message, &request) }
    })
}

/// Reads the reply to one of these messages: `spid` gets the number of the policy. Why it was refused otherwise.
///
/// # Safety
/// `message` points to `length` bytes or is null; `spid` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_admin_answer(message: *const u8, length: usize, spid: *mut u32) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (message, spid) = unsafe { (sys::slice(message, length)?, Out::new(spid)?) };
        spid.set(admin::answer(message)?.0);
        Ok(())
    })
}

/// # Safety
/// The strings are null or end with a zero byte.
unsafe fn traffic(
    source: *const c_char,
    destination: *const c_char,
    protocol: u8,
    priority: u32,
) -> Result<Traffic, RvlStatus> {
    // SAFETY: the caller's promise.
    let (source, destination) = unsafe { (sys::text(source)?, sys::text(destination)?) };
    let selector = |id: Option<&str>| text::selector(id.ok_or(RvlStatus::Null)?, protocol);
    let (source, destination) = (selector(source)?, selector(destination)?);
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(RvlStatus::BadAddrRange);
    }
    Ok(Traffic { source, destination, protocol, priority })
}

/// # Safety
/// `message` is null or points to such a struct, whose buffer is as it says.
unsafe fn write(message: *mut RvlMessage, request: &Request) -> Result<(), RvlStatus> {
    // SAFETY: the caller's promise.
    let message = unsafe { sys::write(message)? };
    message.length = 0;
    // SAFETY: the caller's promise.
    let room = unsafe { sys::slice_mut(message.buffer, message.capacity)? };
    let bytes = request.emit(Module::ADMIN, message.sequence);
    let bytes = bytes.expose();
    room.get_mut(..bytes.len()).ok_or(RvlStatus::TooSmall)?.copy_from_slice(bytes);
    message.length = bytes.len();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_those_of_the_messages() {
        for (ours, theirs) in [
            (RVL_SP_PROTO_AH, PolicyFlags::PROTO_AH),
            (RVL_SP_PROTO_ESP, PolicyFlags::PROTO_ESP),
            (RVL_SP_CHECK_REPLAY, PolicyFlags::CHECK_REPLAY),
            (RVL_SP_CHECK_ESP_PAD, PolicyFlags::CHECK_ESP_PAD),
            (RVL_SP_FULL_ECN, PolicyFlags::FULL_ECN),
            (RVL_SP_DF_COPY, PolicyFlags::DF_COPY),
            (RVL_SP_DF_SET, PolicyFlags::DF_SET),
            (RVL_SP_KEYNEG_MANUAL, PolicyFlags::KEYNEG_MANUAL),
            (RVL_SP_TX_DUMMY_PKT, PolicyFlags::TX_DUMMY_PKT),
            (RVL_SP_TX_TFC_PADDING, PolicyFlags::TX_TFC_PADDING),
            (RVL_SP_AUTH_SHA2_ICV_SHORT, PolicyFlags::AUTH_SHA2_ICV_SHORT),
        ] {
            assert_eq!(ours, theirs.0);
        }
    }
}
