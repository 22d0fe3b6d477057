//! Which library computes what: AWS-LC, and the portable provider what that lacks, the legacy algorithms included, which nothing takes
//! that does not name them (RFC 8221 §5).

use std::ffi::c_char;
use std::sync::OnceLock;

use ravelin_config::value::algorithm;
use ravelin_crypto::CryptoProvider;
use ravelin_types::proposal::EspSuite;
use ravelin_types::transform::{EncrId, IntegId, SnId, Transform};

use crate::handle::call;
use crate::{RvlStatus, sys, text};

/// All algorithms.
pub(crate) fn provider() -> CryptoProvider {
    static ALL: OnceLock<CryptoProvider> = OnceLock::new();
    let both = || ravelin_crypto_aws_lc::provider().with_more_of(&ravelin_crypto_rustcrypto::provider_with_legacy());
    *ALL.get_or_init(both)
}

/// A suite of ESP by the names of its algorithms.
pub(crate) fn suite(encryption: &str, integrity: Option<&str>, extended_sequence: u8) -> Result<EspSuite, RvlStatus> {
    let (encr, bits) = text::encryption(encryption)?;
    Ok(EspSuite {
        encr,
        encr_key_bits: match bits {
            Some(bits) => bits,
            None => fixed_key_bits(encr)?,
        },
        integ: integrity.map_or(Ok(IntegId::NONE), text::integrity)?,
        sn: match extended_sequence {
            0 => SnId::SEQUENTIAL_32,
            1 => SnId::PARTIAL_64,
            _ => return Err(RvlStatus::BadParam),
        },
    })
}

/// The key length of a cipher that has only one.
fn fixed_key_bits(encr: EncrId) -> Result<u16, RvlStatus> {
    let alg = provider().encr(encr).ok_or(RvlStatus::UnknownAlgorithm)?;
    alg.key_bits().first().copied().ok_or(RvlStatus::UnknownAlgorithm)
}

/// Why algorithms of an `RvlSa` or `RvlSuite` are not to be used but with a peer that has no better: a line for each that RFC 8221
/// advises against or that does not encrypt, to be shown to whoever named them. Nothing but a zero byte: there is no such.
/// `integrity` may be null. `length` is that of all of it, of which `capacity` may hold less, and may be null.
///
/// # Safety
/// The strings are null or end with a zero byte, `words` points to `capacity` bytes and `length` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_suite_warning(
    encryption: *const c_char,
    integrity: *const c_char,
    words: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (encryption, integrity) = unsafe { (sys::text(encryption)?, sys::text(integrity)?) };
        // SAFETY: the caller's promise.
        let (room, out) = unsafe { (sys::slice_mut(words.cast(), capacity)?, sys::Out::optional(length)?) };
        let encryption = text::encryption(encryption.ok_or(RvlStatus::Null)?)?;
        let integrity = integrity.map(text::integrity).transpose()?;
        let integrity = integrity.into_iter().map(Transform::Integ);
        let named: Vec<Transform> =
            [Transform::Encr(encryption.0, encryption.1)].into_iter().chain(integrity).collect();
        let lines = algorithm::weaknesses(&named).join("\n");
        text::cut_to(room, &lines);
        if let Some(out) = out {
            out.set(lines.len());
        }
        Ok(())
    })
}
