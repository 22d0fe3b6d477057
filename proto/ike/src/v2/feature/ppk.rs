//! Post-quantum pre-shared keys: a secret that both sides have is mixed into SK_d, SK_pi and SK_pr.
//!
//! ```text
//!   HDR, SAi1, KEi, Ni, N(USE_PPK)  -->
//!                             <--  HDR, SAr1, KEr, Nr, N(USE_PPK)
//!   HDR, SK {IDi, AUTH, SAi2, TSi, TSr, N(PPK_IDENTITY, PPK_ID), [N(NO_PPK_AUTH)]}  -->
//!                             <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr, N(PPK_IDENTITY)}    with the key
//!                             <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}                      without, where it is optional
//! ```
//! Read RFC 8784 §3 and §5.1 before changing this file.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::Secret;
use ravelin_wire::ike::v2::{Auth, Notify, NotifyType, Payload};

use crate::auth::{LocalAuth, RemoteAuth};
use crate::config::Remote;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::extensions::Ppk;
use crate::v2::message::Payloads;

/// PPK_ID_FIXED (RFC 8784 §5.1).
const FIXED: u8 = 2;

/// Whether the remote is one that a PPK can be used with.
fn fits(remote: &Remote) -> bool {
    !matches!(remote.local_auth, LocalAuth::Eap(_)) && !matches!(remote.remote_auth, RemoteAuth::Eap(_))
}

/// `N(USE_PPK)` of an initiator.
pub(crate) fn offer(remote: &Remote) -> Option<Payload> {
    (fits(remote) && remote.extensions.ppk.own().is_some()).then(announce)
}

/// `N(USE_PPK)` of a responder, to an initiator that announced it, if one of the remotes that it may be has a key.
pub(crate) fn answer(payloads: &Payloads, candidates: &[Arc<Remote>]) -> Option<Payload> {
    let known = candidates.iter().any(|remote| fits(remote) && !remote.extensions.ppk.keys.is_empty());
    (known && announced(payloads)).then(announce)
}

fn announce() -> Payload {
    Payload::Notify(Notify::new(NotifyType::USE_PPK, Vec::new()))
}

/// Whether the peer announces that it uses PPKs.
pub(crate) fn announced(payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::USE_PPK).is_some()
}

/// The key that an initiator goes on with; `used` says whether both sides announced it.
pub(crate) fn chosen(remote: &Remote, used: bool) -> Result<Option<Ppk>, Error> {
    let ppk = &remote.extensions.ppk;
    match (ppk.own().filter(|_| used), ppk.required) {
        (None, true) if ppk.own().is_none() => Err(Error::Misuse("the post-quantum pre-shared key is not there")),
        (None, true) => Err(missing(vec!["no post-quantum pre-shared key".into()])),
        (own, _) => Ok(own.cloned()),
    }
}

/// `N(PPK_IDENTITY, PPK_ID)`.
pub(crate) fn identity(ppk: &Ppk) -> Payload {
    let data = [&[FIXED][..], &ppk.id].concat();
    Payload::Notify(Notify::new(NotifyType::PPK_IDENTITY, data))
}

/// `N(PPK_IDENTITY)`: the key is in use.
pub(crate) fn in_use() -> Payload {
    Payload::Notify(Notify::new(NotifyType::PPK_IDENTITY, Vec::new()))
}

/// `N(NO_PPK_AUTH)`, from what AUTH would be without the key.
pub(crate) fn without(auth: &[u8]) -> Payload {
    Payload::Notify(Notify::new(NotifyType::NO_PPK_AUTH, auth))
}

/// What a responder judges the initiator by.
pub(crate) enum Judged {
    /// AUTH, without a PPK.
    Plain,
    /// AUTH, with this key mixed in.
    Mixed(Secret),
    /// NO_PPK_AUTH in the place of the data of AUTH.
    Without(Auth),
}

/// What the request of an initiator comes to (RFC 8784 §3, Table 1); `used` says whether both sides announced PPKs.
pub(crate) fn judge(remote: &Remote, used: bool, auth: &Auth, payloads: &Payloads) -> Result<Judged, Error> {
    let ppk = &remote.extensions.ppk;
    if !used {
        return if ppk.required {
            Err(missing(vec!["no post-quantum pre-shared key".into()]))
        } else {
            Ok(Judged::Plain)
        };
    }
    let named = payloads.notify(NotifyType::PPK_IDENTITY).map(|notify| notify.data.as_slice());
    let Some([kind, id @ ..]) = named else {
        return Err(missing(vec!["no PPK_IDENTITY".into()]));
    };
    if let Some(ppk) = ppk.find(id).filter(|_| *kind == FIXED) {
        return Ok(Judged::Mixed(ppk.secret.clone()));
    }
    match payloads.notify(NotifyType::NO_PPK_AUTH).filter(|_| !ppk.required) {
        Some(notify) => Ok(Judged::Without(Auth { method: auth.method, data: notify.data.clone() })),
        None => Err(missing(vec![alloc::format!("a key that is not known here: {}", words(id))])),
    }
}

/// Where there is no IKE SA without a PPK.
pub(crate) fn missing(theirs: Vec<alloc::string::String>) -> Error {
    let ours = vec!["a post-quantum pre-shared key that both sides have (RFC 8784)".to_string()];
    Error::Authentication(Disagreement::new(Part::Ppk, theirs, ours))
}

fn words(id: &[u8]) -> alloc::string::String {
    alloc::string::String::from_utf8_lossy(id).chars().filter(|c| !c.is_control()).collect()
}
