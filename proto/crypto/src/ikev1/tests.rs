//! The key schedule against a prf that shows what went in. Real algorithms and published vectors run in
//! `ravelin-testkit`, against every provider.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::transform::{IntegId, PrfId};
use ravelin_types::{IkeSpi, Secret, Spi};

use super::schedule::{Cookies, Keys, Skeyid, keymat};
use crate::error::BadKey;
use crate::ikev2::{ChildAlgs, Nonces};
use crate::provider::{IntegAlg, IntegKey, PrfAlg, PrfKey};
use ravelin_types::proposal::ProtocolId;

/// Returns the first eight bytes of `parts`, dots behind a shorter input; the key is left out.
struct Transparent;

impl PrfAlg for Transparent {
    fn id(&self) -> PrfId {
        PrfId(1024)
    }

    fn output_len(&self) -> usize {
        8
    }

    fn key(&self, _key: &[u8]) -> Box<dyn PrfKey> {
        Box::new(Transparent)
    }
}

impl PrfKey for Transparent {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8]) {
        let input: Vec<u8> = parts.concat();
        for (i, out) in out.iter_mut().enumerate() {
            *out = input.get(i).copied().unwrap_or(b'.');
        }
    }
}

/// Asks for 20 bytes of key.
struct Long;

impl IntegAlg for Long {
    fn id(&self) -> IntegId {
        IntegId(1024)
    }

    fn key_len(&self) -> usize {
        20
    }

    fn icv_len(&self) -> usize {
        12
    }

    fn key(&self, _bytes: &[u8]) -> Result<Box<dyn IntegKey>, BadKey> {
        Err(BadKey)
    }
}

const NONCES: Nonces<'static> = Nonces { initiator: b"I", responder: b"R" };

fn keys() -> Keys {
    let cookies = Cookies { initiator: IkeSpi(1), responder: IkeSpi(2) };
    Skeyid::pre_shared(&Transparent, &Secret::from(&b"psk"[..]), NONCES).derive(
        &Transparent,
        &Secret::from(&b"g"[..]),
        cookies,
    )
}

// RFC 2409 §5.5: each block but the first has the one before in front.
#[test]
fn key_material_grows_block_by_block() {
    let algs = ChildAlgs::Ah(&Long);
    let material = |shared| keymat(&keys(), ProtocolId::AH, Spi(0x4142_4344), &algs, shared, NONCES).ah;
    // K1 = 02 | SPI | Ni | Nr; K2 = K1 ...; cut to 20 bytes.
    assert_eq!(material(None).expose(), b"\x02ABCDIR.\x02ABCDIR.\x02ABC");
    let shared = Secret::from(&b"xy"[..]);
    assert_eq!(material(Some(&shared)).expose(), b"xy\x02ABCDIxy\x02ABCDIxy\x02A");
}

#[test]
fn hashes_of_phase_2_begin_with_the_message_id() {
    let keys = keys();
    assert_eq!(keys.hash(0x3132_3334, &[b"Ni", b"rest"]), b"1234Nire");
    assert_eq!(keys.hash_3(0x3132_3334, NONCES), b"\x001234IR.");
    assert!(keys.verify(b"1234", b"1234").is_ok());
    assert!(keys.verify(b"1234", b"1235").is_err() && keys.verify(b"1234", b"123").is_err());
}
