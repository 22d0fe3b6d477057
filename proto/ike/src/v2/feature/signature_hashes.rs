//! SIGNATURE_HASH_ALGORITHMS: the hashes that a side verifies, said before the other signs (RFC 7427 §4).

use alloc::vec::Vec;

use ravelin_pki::auth::Trust;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::config::{LocalAuth, Remote, RemoteAuth};
use crate::v2::message::Payloads;

/// What we announce: the hashes of those remotes whose signatures we verify, or all when we only sign.
pub(crate) fn notify<'a>(remotes: impl Iterator<Item = &'a Remote> + Clone) -> Option<Payload> {
    let signs = remotes.clone().flat_map(Remote::own_proofs).any(|auth| matches!(auth, LocalAuth::Signature(_)));
    let mut trusts = remotes.flat_map(Remote::peer_proofs).filter_map(|auth| match auth {
        RemoteAuth::Signature(trust) => Some(trust),
        RemoteAuth::Psk(_) | RemoteAuth::Eap(_) | RemoteAuth::Null => None,
    });
    let numbers = match trusts.next() {
        // What one of them does not take, it refuses when the peer has said who it is.
        Some(first) => trusts.fold(first.hashes(), |mut all, trust| {
            let more: Vec<u16> = trust.hashes().into_iter().filter(|number| !all.contains(number)).collect();
            all.extend(more);
            all
        }),
        None if signs => Trust::default().hashes(),
        None => return None,
    };
    let hashes: Vec<u8> = numbers.into_iter().flat_map(u16::to_be_bytes).collect();
    Some(Payload::Notify(Notify::new(NotifyType::SIGNATURE_HASH_ALGORITHMS, hashes)))
}

/// What the peer announced.
pub(crate) fn read(payloads: &Payloads) -> Option<Vec<u16>> {
    let data = &payloads.notify(NotifyType::SIGNATURE_HASH_ALGORITHMS)?.data;
    Some(data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}
