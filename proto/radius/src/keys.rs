//! The keys of an Access-Accept: MS-MPPE-Recv-Key and MS-MPPE-Send-Key, hidden by the secret (RFC 2548 §2.4.2, §2.4.3).
//!
//! `| vendor 311 (4) | type | length | salt (2) | length of the key, key, padding: XOR of MD5s |`

use alloc::vec::Vec;

use md5::{Digest, Md5};
use ravelin_types::Secret;

use crate::packet::{Attribute, Packet};

const MICROSOFT: [u8; 4] = 311u32.to_be_bytes();
const SEND_KEY: u8 = 16;
const RECV_KEY: u8 = 17;

/// The Master Session Key that the server made with the user: the key for receiving, then that for sending, then zeros
/// (RFC 5216 §2.3, RFC 3079). `request` is the authenticator of the request. `None`: there are no keys, or damaged ones.
pub fn msk(packet: &Packet, request: &[u8; 16], secret: &Secret) -> Option<Secret> {
    let mut msk = open(hidden(packet, RECV_KEY)?, request, secret)?;
    msk.extend_from_slice(&open(hidden(packet, SEND_KEY)?, request, secret)?);
    msk.resize(msk.len().max(64), 0);
    Some(Secret::new(msk))
}

/// Salt and ciphertext of a key.
fn hidden(packet: &Packet, kind: u8) -> Option<&[u8]> {
    packet.all(Attribute::VENDOR_SPECIFIC).find_map(|value| {
        let (found, rest) = value.strip_prefix(&MICROSOFT)?.split_first()?;
        let (length, rest) = rest.split_first()?;
        (*found == kind).then(|| rest.get(..usize::from(*length).checked_sub(2)?)).flatten()
    })
}

fn open(hidden: &[u8], request: &[u8; 16], secret: &Secret) -> Option<Vec<u8>> {
    let (salt, hidden) = hidden.split_first_chunk::<2>()?;
    if hidden.is_empty() || hidden.len() % 16 != 0 {
        return None;
    }
    let mut plain = Vec::with_capacity(hidden.len());
    let mut before = [request.as_slice(), salt].concat();
    for block in hidden.chunks(16) {
        let pad = Md5::new().chain_update(secret.expose()).chain_update(&before).finalize();
        plain.extend(block.iter().zip(pad).map(|(octet, pad)| octet ^ pad));
        before = block.to_vec();
    }
    let length = usize::from(plain.remove(0));
    if length == 0 || length > plain.len() {
        return None;
    }
    plain.truncate(length);
    Some(plain)
}
