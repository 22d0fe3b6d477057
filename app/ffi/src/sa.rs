//! Security associations keyed by hand.

use std::ffi::c_char;

use ravelin_types::Spi;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::{Direction, Encap, SaId, SaParams};
use ravelin_types::selector::{Side, TrafficSelector};

use crate::engine::{Engine, instant};
use crate::handle::{self, RvlHandle, call};
use crate::options::RvlOptions;
use crate::protection::{RvlLifetime, mode};
use crate::{RvlStatus, crypto, sys, text, traffic};

/// One ESP SA. It carries what `source` and `destination` select, both null for everything.
#[repr(C)]
pub struct RvlSa {
    /// `RVL_OUTBOUND` or `RVL_INBOUND`.
    pub direction: u32,
    /// The label on the wire, above 255.
    pub spi: u32,
    /// The policy that it serves.
    pub policy: u32,
    /// `RVL_TUNNEL` or `RVL_TRANSPORT`.
    pub mode: u32,
    /// The sender's address.
    pub from: *const c_char,
    /// The receiver's address.
    pub to: *const c_char,
    /// ESP in UDP: the ports of its header, both 0 for no UDP.
    pub source_port: u16,
    /// See `source_port`.
    pub destination_port: u16,
    /// Next layer protocol, 0 for any.
    pub protocol: u8,
    /// 1 for 64-bit sequence numbers, 0 for 32-bit ones.
    pub extended_sequence: u8,
    /// Identity string of the source, as the sender sees it.
    pub source: *const c_char,
    /// Identity string of the destination, as the sender sees it.
    pub destination: *const c_char,
    /// Name of the cipher, as behind `-e` of `ipsec policy`: `AES128-GCM`, `AES256-CBC`, `AES256-CCM`. Who names one that RFC 8221 §5
    /// advises against gets it: `3DES-CBC` (SHOULD NOT), `DES-CBC` (MUST NOT); `NULL_ENC` and `AES128-GMAC` do not encrypt. See
    /// `rvl_suite_warning`.
    pub encryption: *const c_char,
    /// Its key, with the salt of counter-mode ciphers at the end.
    pub encryption_key: *const u8,
    /// Bytes of it.
    pub encryption_key_len: usize,
    /// Name of the integrity algorithm, as behind `-a`: `HMAC-SHA-2-256`. Null with a cipher that authenticates.
    pub integrity: *const c_char,
    /// Its key.
    pub integrity_key: *const u8,
    /// Bytes of it.
    pub integrity_key_len: usize,
    /// Inbound: number of packets the anti-replay window covers, 0 for no check.
    pub replay_window: u32,
    /// Its limits.
    pub lifetime: RvlLifetime,
    /// What else is wanted.
    pub options: RvlOptions,
}

/// Adds an SA; its lifetime starts at `now`. For one policy the outbound SA added last is the one that sends. Never use
/// a key twice, not even after a restart: with counter-mode ciphers that gives the plaintext away.
///
/// # Safety
/// `sa` is null or points to such a struct, whose strings are null or end with a zero byte and whose keys have the
/// lengths given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_add_sa(engine: RvlHandle, sa: *const RvlSa, now: u64) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let sa = unsafe { sys::read(sa)? };
        // SAFETY: the caller's promise.
        handle::with(engine, |engine: &mut Engine| engine.add_sa(|params| unsafe { fill(params, sa) }, instant(now)))
    })
}

/// Removes the SA with this direction, SPI and receiver.
///
/// # Safety
/// `to` is null or a string that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_delete_sa(engine: RvlHandle, direction: u32, spi: u32, to: *const c_char) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let to = unsafe { sys::text(to)? }.ok_or(RvlStatus::Null)?;
        let id = SaId { direction: traffic::direction(direction)?, dst: text::address(to)?, src: None, spi: Spi(spi) };
        handle::with(engine, |engine: &mut Engine| Ok(engine.apply(&DataPlaneOp::DeleteSa(id), instant(0))?))
    })
}

/// # Safety
/// As [`rvl_add_sa`] asks of its struct.
unsafe fn fill(params: &mut SaParams, sa: &RvlSa) -> Result<(), RvlStatus> {
    // SAFETY: the caller's promise.
    let required = |pointer| unsafe { sys::text(pointer)? }.ok_or(RvlStatus::Null);
    // SAFETY: the caller's promise.
    let (source, destination, integrity, encr_key, integ_key) = unsafe {
        (
            sys::text(sa.source)?,
            sys::text(sa.destination)?,
            sys::text(sa.integrity)?,
            sys::slice(sa.encryption_key, sa.encryption_key_len)?,
            sys::slice(sa.integrity_key, sa.integrity_key_len)?,
        )
    };
    // RFC 4303 §2.1: 0 to 255 are reserved.
    if sa.spi < 256 {
        return Err(RvlStatus::BadEspSpi);
    }
    let direction = traffic::direction(sa.direction)?;
    let (from, to) = (text::address(required(sa.from)?)?, text::address(required(sa.to)?)?);
    let (local, remote) = match direction {
        Direction::Outbound => (source, destination),
        Direction::Inbound => (destination, source),
    };
    select(&mut params.local_ts, local, sa.protocol)?;
    select(&mut params.remote_ts, remote, sa.protocol)?;
    let suite = crypto::suite(required(sa.encryption)?, integrity, sa.extended_sequence)?;
    let encap = match (sa.source_port, sa.destination_port) {
        (0, 0) => None,
        (0, _) | (_, 0) => return Err(RvlStatus::BadPortNumber),
        (src_port, dst_port) => Some(Encap::udp(src_port, dst_port)),
    };
    let keys = &mut params.keys;
    keys.encr.set(encr_key);
    keys.integ.set(integ_key);
    (params.direction, params.spi, params.src, params.dst) = (direction, Spi(sa.spi), from, to);
    (params.mode, params.encap, params.suite) = (mode(sa.mode)?, encap, suite.into());
    (params.policy, params.lifetime) = (PolicyId(sa.policy), sa.lifetime.into());
    (params.replay_window, params.options) = (sa.replay_window, sa.options.try_into()?);
    Ok(())
}

/// What an identity string selects, or with none everything.
fn select(selectors: &mut Side, id: Option<&str>, protocol: u8) -> Result<(), RvlStatus> {
    selectors.clear();
    match id {
        Some(id) => selectors.push(text::selector(id, protocol)?),
        None => {
            let any = [TrafficSelector::any_v4(), TrafficSelector::any_v6()];
            selectors.extend(any.map(|any| any.with(protocol, 0..=u16::MAX).unwrap_or(any)));
        }
    }
    Ok(())
}
