//! Security associations keyed by hand.

use std::ffi::c_char;

use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, Encap, SaId, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{IntegId, SnId};
use ravelin_types::{Secret, Spi};

use crate::engine::{Engine, instant};
use crate::handle::{self, RvlHandle, call};
use crate::options::RvlOptions;
use crate::policy::{RvlLifetime, mode};
use crate::{RvlStatus, sys, text};

/// This host sends.
pub const RVL_OUTBOUND: u32 = 0;
/// This host receives.
pub const RVL_INBOUND: u32 = 1;

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
    /// Name of the cipher, as behind `-e` of `ipsec policy`: `AES128-GCM`, `AES256-CBC`.
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
        let params = unsafe { parse(sys::read(sa)?)? };
        handle::with(engine, |engine: &mut Engine| Ok(engine.apply(&DataPlaneOp::AddSa(params), instant(now))?))
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
        let id = SaId { direction: self::direction(direction)?, dst: text::address(to)?, src: None, spi: Spi(spi) };
        handle::with(engine, |engine: &mut Engine| Ok(engine.apply(&DataPlaneOp::DeleteSa(id), instant(0))?))
    })
}

pub(crate) fn direction(number: u32) -> Result<Direction, RvlStatus> {
    match number {
        RVL_OUTBOUND => Ok(Direction::Outbound),
        RVL_INBOUND => Ok(Direction::Inbound),
        _ => Err(RvlStatus::BadParam),
    }
}

/// # Safety
/// As [`rvl_add_sa`] asks of its struct.
unsafe fn parse(sa: &RvlSa) -> Result<SaParams, RvlStatus> {
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
    let direction = direction(sa.direction)?;
    let (from, to) = (text::address(required(sa.from)?)?, text::address(required(sa.to)?)?);
    let selectors = |id: Option<&str>| match id {
        Some(id) => text::selector(id, sa.protocol).map(|selector| vec![selector]),
        None => Ok([TrafficSelector::any_v4(), TrafficSelector::any_v6()]
            .map(|any| any.with(sa.protocol, 0..=u16::MAX).unwrap_or(any))
            .to_vec()),
    };
    let (source, destination) = (selectors(source)?, selectors(destination)?);
    let (local_ts, remote_ts) =
        if direction == Direction::Outbound { (source, destination) } else { (destination, source) };
    let (encr, bits) = text::encryption(required(sa.encryption)?)?;
    let suite = EspSuite {
        encr,
        encr_key_bits: match bits {
            Some(bits) => bits,
            None => fixed_key_bits(encr)?,
        },
        integ: integrity.map_or(Ok(IntegId::NONE), text::integrity)?,
        sn: match sa.extended_sequence {
            0 => SnId::SEQUENTIAL_32,
            1 => SnId::PARTIAL_64,
            _ => return Err(RvlStatus::BadParam),
        },
    };
    let encap = match (sa.source_port, sa.destination_port) {
        (0, 0) => None,
        (0, _) | (_, 0) => return Err(RvlStatus::BadPortNumber),
        (src_port, dst_port) => Some(Encap::udp(src_port, dst_port)),
    };
    Ok(SaParams {
        direction,
        spi: Spi(sa.spi),
        pair: Spi(0),
        lookup: SaLookup::Spi,
        src: from,
        dst: to,
        mode: mode(sa.mode)?,
        encap,
        original: None,
        suite: suite.into(),
        keys: SaKeys {
            encr: Secret::new(encr_key.to_vec()),
            integ: Secret::new(integ_key.to_vec()),
            ..SaKeys::default()
        },
        policy: PolicyId(sa.policy),
        local_ts,
        remote_ts,
        lifetime: sa.lifetime.into(),
        replay_window: sa.replay_window,
        options: sa.options.try_into()?,
    })
}

/// The key length of a cipher that has only one.
fn fixed_key_bits(encr: ravelin_types::transform::EncrId) -> Result<u16, RvlStatus> {
    let alg = ravelin_crypto_aws_lc::PROVIDER.encr(encr).ok_or(RvlStatus::UnknownAlgorithm)?;
    alg.key_bits().first().copied().ok_or(RvlStatus::UnknownAlgorithm)
}
