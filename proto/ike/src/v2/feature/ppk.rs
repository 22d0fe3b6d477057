//! Post-quantum pre-shared keys in IKE_AUTH: a secret that both sides have is mixed into SK_d, SK_pi and SK_pr.
//!
//! ```text
//!   HDR, SAi1, KEi, Ni, N(USE_PPK)  -->
//!                             <--  HDR, SAr1, KEr, Nr, N(USE_PPK)
//!   HDR, SK {IDi, AUTH, SAi2, TSi, TSr, N(PPK_IDENTITY, PPK_ID), [N(NO_PPK_AUTH)]}  -->
//!                             <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr, N(PPK_IDENTITY)}    with the key
//!                             <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}                      without, where it is optional
//! ```
//! It is named in the first request with AUTH, which behind EAP is a later one; what the responder proved before that was without
//! it. Where more proofs follow (RFC 4739), they are by the keys on which the two settled with that one.
//! Who also does it in IKE_INTERMEDIATE (`ppk_intermediate.rs`) says both in IKE_SA_INIT, and the responder one of them.
//! Read RFC 8784 §3 and §5.1 before changing this file.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_wire::ike::v2::{Auth, Notify, NotifyType, Payload};

use super::ppk_intermediate;
use crate::auth::LocalAuth;
use crate::config::Remote;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::extensions::{Ppk, PpkIn};
use crate::v2::message::Payloads;

/// PPK_ID_FIXED (RFC 8784 §5.1).
const FIXED: u8 = 2;

/// What both sides said of PPKs in IKE_SA_INIT, and what became of it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Ppking {
    /// Nothing in common.
    #[default]
    No,
    /// One is named in IKE_AUTH.
    InAuth,
    /// The request under way names one; this is in the keys, or as the responder sees it, none that both have.
    Named(Option<Ppk>),
    /// One is to be named in IKE_INTERMEDIATE.
    Due,
    /// Both sides know; this is in the keys, or none that both have.
    Settled(Option<Ppk>),
}

impl Ppking {
    /// Whether one is in the keys.
    pub(crate) fn is_used(&self) -> bool {
        matches!(self, Ppking::Named(Some(_)) | Ppking::Settled(Some(_)))
    }

    /// What a responder says in the answer to the request that named one.
    pub(crate) fn said(&mut self) -> Option<Payload> {
        let Ppking::Named(ppk) = self else { return None };
        let ppk = ppk.take();
        let said = ppk.is_some().then(|| announce(NotifyType::PPK_IDENTITY));
        *self = Ppking::Settled(ppk);
        said
    }
}

/// Whether the remote is one that names its key in IKE_AUTH.
fn fits(remote: &Remote) -> bool {
    remote.extensions.ppk.exchange != PpkIn::Intermediate
}

/// `N(USE_PPK)` of an initiator.
pub(crate) fn offer(remote: &Remote) -> Option<Payload> {
    (fits(remote) && remote.extensions.ppk.own().is_some()).then(|| announce(NotifyType::USE_PPK))
}

/// What an initiator makes of the answer.
pub(crate) fn agreed(remote: &Remote, payloads: &Payloads) -> Ppking {
    if ppk_intermediate::agreed(remote, payloads) {
        Ppking::Due
    } else if offer(remote).is_some() && announced(payloads, NotifyType::USE_PPK) {
        Ppking::InAuth
    } else {
        Ppking::No
    }
}

/// What a responder makes of it, to an initiator that announced it, if one of the remotes that it may be has a key; and what it
/// says.
pub(crate) fn answer(payloads: &Payloads, candidates: &[Arc<Remote>]) -> (Ppking, Option<Payload>) {
    if let Some(notify) = ppk_intermediate::answer(payloads, candidates) {
        return (Ppking::Due, Some(notify));
    }
    let known = candidates.iter().any(|remote| fits(remote) && !remote.extensions.ppk.keys.is_empty());
    match known && announced(payloads, NotifyType::USE_PPK) {
        true => (Ppking::InAuth, Some(announce(NotifyType::USE_PPK))),
        false => (Ppking::No, None),
    }
}

/// That we do this.
pub(super) fn announce(how: NotifyType) -> Payload {
    Payload::Notify(Notify::new(how, Vec::new()))
}

/// Whether the peer announces it.
pub(super) fn announced(payloads: &Payloads, how: NotifyType) -> bool {
    payloads.notify(how).is_some()
}

/// Whether there is no IKE SA without the key, where both sides announced that they do it: RFC 8784 §5.2.3, beside NULL
/// authentication it is all that shows who the two are.
pub(crate) fn is_a_must(remote: &Remote) -> bool {
    let nobody = remote.is_nobody() || matches!(remote.local_auth, LocalAuth::Null);
    remote.extensions.ppk.required || nobody
}

/// The key that an initiator mixes in for IKE_AUTH.
pub(crate) fn chosen(remote: &Remote, agreed: &Ppking) -> Result<Option<Ppk>, Error> {
    let ppk = &remote.extensions.ppk;
    match (agreed, ppk.own()) {
        _ if agreed.is_used() => Ok(None),
        (Ppking::InAuth, Some(own)) => Ok(Some(own.clone())),
        _ if !ppk.required => Ok(None),
        (_, None) => Err(Error::Misuse(
            "the post-quantum pre-shared key is not there: ike remote --ppk-id and --ppk-file, or do not require it",
        )),
        _ => Err(missing(vec!["no post-quantum pre-shared key".into()])),
    }
}

/// PPK_ID, with its type.
pub(super) fn ppk_id(ppk: &Ppk) -> Vec<u8> {
    [&[FIXED][..], &ppk.id].concat()
}

/// The name in PPK_ID, of the type that we know.
pub(super) fn name(ppk_id: &[u8]) -> Option<&[u8]> {
    ppk_id.split_first().filter(|(kind, _)| **kind == FIXED).map(|(_, id)| id)
}

/// `N(PPK_IDENTITY, PPK_ID)`.
pub(crate) fn identity(ppk: &Ppk) -> Payload {
    Payload::Notify(Notify::new(NotifyType::PPK_IDENTITY, ppk_id(ppk)))
}

/// `N(NO_PPK_AUTH)`, from what AUTH would be without the key.
pub(crate) fn without(auth: &[u8]) -> Payload {
    Payload::Notify(Notify::new(NotifyType::NO_PPK_AUTH, auth))
}

/// What a responder judges the initiator by.
pub(crate) enum Judged {
    /// AUTH, by the keys as they are.
    Plain,
    /// AUTH, with this key mixed in.
    Mixed(Ppk),
    /// NO_PPK_AUTH in the place of the data of AUTH.
    Without(Auth),
}

/// What the request of an initiator comes to (RFC 8784 §3, Table 1).
pub(crate) fn judge(remote: &Remote, agreed: &Ppking, auth: &Auth, payloads: &Payloads) -> Result<Judged, Error> {
    // Without one, another remote that the sender may be can have it.
    if !matches!(agreed, Ppking::InAuth | Ppking::Named(None)) {
        return ppk_intermediate::admit(remote, agreed).map(|()| Judged::Plain);
    }
    let ppk = &remote.extensions.ppk;
    let Some(id) = payloads.notify(NotifyType::PPK_IDENTITY).map(|notify| notify.data.as_slice()) else {
        return Err(missing(vec!["no PPK_IDENTITY".into()]));
    };
    if let Some(ppk) = name(id).and_then(|id| ppk.find(id)) {
        return Ok(Judged::Mixed(ppk.clone()));
    }
    match payloads.notify(NotifyType::NO_PPK_AUTH).filter(|_| !is_a_must(remote)) {
        Some(notify) => Ok(Judged::Without(Auth { method: auth.method, data: notify.data.clone() })),
        None => Err(missing(vec![unknown(id)])),
    }
}

/// The same for one that begins EAP: the key is named with its AUTH, behind all that.
pub(crate) fn admit_eap(remote: &Remote, agreed: &Ppking) -> Result<(), Error> {
    match agreed {
        Ppking::InAuth => Ok(()),
        _ => ppk_intermediate::admit(remote, agreed),
    }
}

/// Where there is no IKE SA without a PPK.
pub(crate) fn missing(theirs: Vec<String>) -> Error {
    let ours = vec!["a post-quantum pre-shared key that both sides have (RFC 8784, RFC 9867)".to_string()];
    Error::Authentication(Disagreement::new(Part::Ppk, theirs, ours))
}

/// Words about a key that we do not have.
pub(super) fn unknown(ppk_id: &[u8]) -> String {
    let id = String::from_utf8_lossy(ppk_id.get(1..).unwrap_or_default());
    let id: String = id.chars().filter(|c| !c.is_control()).collect();
    alloc::format!("a key that is not known here: {id}")
}
