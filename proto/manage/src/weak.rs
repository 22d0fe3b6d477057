//! Keys that nobody chose at random.

use ravelin_types::transform::EncrId;
use ravelin_types::{ErrorCode, Secret};

use crate::session::Refused;

/// The weak and semi-weak keys of DES without their parity bits (RFC 2409 appendix A).
const DES: [u64; 16] = [
    0x0101_0101_0101_0101,
    0x1f1f_1f1f_0e0e_0e0e,
    0xe0e0_e0e0_f1f1_f1f1,
    0xfefe_fefe_fefe_fefe,
    0x01fe_01fe_01fe_01fe,
    0x1fe0_1fe0_0ef1_0ef1,
    0x01e0_01e0_01f1_01f1,
    0x1ffe_1ffe_0efe_0efe,
    0x011f_011f_010e_010e,
    0xe0fe_e0fe_f1fe_f1fe,
    0xfe01_fe01_fe01_fe01,
    0xe01f_e01f_f10e_f10e,
    0xe001_e001_f101_f101,
    0xfe1f_fe1f_fe0e_fe0e,
    0x1f01_1f01_0e01_0e01,
    0xfee0_fee0_fef1_fef1,
];
/// All bits of a DES key that are not parity.
const NOT_PARITY: u64 = 0xfefe_fefe_fefe_fefe;

/// Whether the key is one octet over and over.
pub(crate) fn check_repeated(key: &Secret) -> Result<(), Refused> {
    let octets = key.expose();
    match octets.first() {
        Some(first) if octets.iter().all(|octet| octet == first) => Err(weak("a key is one octet over and over")),
        _ => Ok(()),
    }
}

pub(crate) fn check_encr(encr: EncrId, key: &Secret) -> Result<(), Refused> {
    check_repeated(key)?;
    if encr != EncrId::DES && encr != EncrId::DES3 {
        return Ok(());
    }
    let parts = || {
        key.expose().chunks_exact(8).map(|part| u64::from_be_bytes(part.try_into().unwrap_or_default()) & NOT_PARITY)
    };
    if parts().any(|part| DES.iter().any(|weak| weak & NOT_PARITY == part)) {
        return Err(weak("a DES key is one of the weak ones"));
    }
    // RFC 2451 §2.3: with two equal keys in a row, 3DES is DES.
    if parts().zip(parts().skip(1)).any(|(one, next)| one == next) {
        return Err(weak("two of the three DES keys in a 3DES key are the same"));
    }
    Ok(())
}

fn weak(why: &str) -> Refused {
    Refused::new(ErrorCode::BadParam, why)
}
