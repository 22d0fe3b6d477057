//! SUPPORTED_AUTH_METHODS: by which methods a side lets the other prove itself, said before the other does (RFC 9593).
//!
//! ```text
//!   HDR, SAi1, KEi, Ni, [N(INTERMEDIATE_EXCHANGE_SUPPORTED)]  -->
//!                             <--  HDR, SAr1, KEr, Nr, [CERTREQ], N(SUPPORTED_AUTH_METHODS)(list)
//!                             <--  HDR, SAr1, KEr, Nr, ..., N(SUPPORTED_AUTH_METHODS)()     it would be too long: later
//!   HDR, SK {[KEi(1)]}  -->   <--  HDR, SK {[KEr(1)], N(SUPPORTED_AUTH_METHODS)(list)}      in IKE_INTERMEDIATE
//!   HDR, SK {IDi, ..., N(SUPPORTED_AUTH_METHODS)(list)}  -->
//! ```
//! We say it where a remote asks for that, and heed what a peer says in any case. What either says in IKE_SA_INIT is bound to AUTH
//! like all else there, so who changes it gains a failure.
//! Read RFC 9593 §3 before changing this file.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;
use ravelin_pki::announce::{Accepts, Method};
use ravelin_wire::ike::v2::{Announcement, AuthMethod, Notify, NotifyType, Payload};

use crate::config::{LocalAuth, Remote, RemoteAuth};
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::limits;
use crate::v2::message::Payloads;

/// What a peer says.
pub(crate) enum Said {
    /// Nothing.
    Nothing,
    /// That the list comes in IKE_INTERMEDIATE (RFC 9593 §3.1).
    Later,
    /// The list.
    List(Vec<Method>),
}

/// The notify with all methods by which a peer that may be one of `remotes` proves itself. `None`: none of them says it, or
/// there is nothing to say, as with EAP, which has no number.
pub(crate) fn notify<'a>(
    remotes: impl Iterator<Item = &'a Remote> + Clone,
    crypto: &CryptoProvider,
) -> Option<Payload> {
    if !remotes.clone().any(|remote| remote.extensions.announce) {
        return None;
    }
    let mut all: Vec<Method> = Vec::new();
    for method in remotes.flat_map(Remote::peer_proofs).flat_map(|auth| methods(auth, crypto)) {
        if !all.contains(&method) {
            all.push(method);
        }
    }
    let mut data = Vec::new();
    for Method { number, algorithm, .. } in &all {
        let method = AuthMethod(*number);
        // RFC 9593 §3.2.2: not linked to an authority. RFC 9593 §3.2.1: nor is a method without public keys.
        let public = !matches!(method, AuthMethod::SHARED_KEY | AuthMethod::NULL);
        let rest = if public { [&[0], &algorithm[..]].concat() } else { Vec::new() };
        Announcement { method, rest: &rest }.emit(&mut data);
    }
    (!data.is_empty()).then(|| payload(data))
}

fn methods(auth: &RemoteAuth, crypto: &CryptoProvider) -> Vec<Method> {
    let plain = |method: AuthMethod| vec![Method { number: method.0, algorithm: Vec::new(), linked: false }];
    match auth {
        RemoteAuth::Psk(_) => plain(AuthMethod::SHARED_KEY),
        RemoteAuth::Null => plain(AuthMethod::NULL),
        RemoteAuth::Signature(trust) => trust.methods(crypto),
        RemoteAuth::Eap(_) => Vec::new(),
    }
}

/// `N(SUPPORTED_AUTH_METHODS)` of a responder whose list comes later.
pub(crate) fn later() -> Payload {
    payload(Vec::new())
}

fn payload(data: Vec<u8>) -> Payload {
    Payload::Notify(Notify::new(NotifyType::SUPPORTED_AUTH_METHODS, data))
}

/// What a peer says. RFC 9593 §3.2: what we do not know of it is passed over.
pub(crate) fn read(payloads: &Payloads) -> Result<Said, Error> {
    let Some(notify) = payloads.notify(NotifyType::SUPPORTED_AUTH_METHODS) else { return Ok(Said::Nothing) };
    if notify.data.is_empty() {
        return Ok(Said::Later);
    }
    // RFC 9593 §3.2.2: without a CERTREQ there is nothing to which one could be linked.
    let authorities = payloads.0.iter().any(|payload| matches!(payload, Payload::CertReq(_)));
    let method = |one: Announcement<'_>| Method {
        number: one.method.0,
        algorithm: one.algorithm().to_vec(),
        linked: authorities && one.link() != 0,
    };
    let announced = Announcement::parse_all(&notify.data).take(limits::AUTH_METHODS);
    Ok(Said::List(announced.map(|one| Ok(method(one?))).collect::<Result<_, Error>>()?))
}

/// Whether the peer takes what we prove ourselves with, as far as it is no signature: of that, whoever signs finds one.
pub(crate) fn admit(remote: &Remote, peer: &Accepts) -> Result<(), Error> {
    let Some(methods) = &peer.methods else { return Ok(()) };
    for auth in remote.own_proofs() {
        let own = match auth {
            LocalAuth::Psk(_) => AuthMethod::SHARED_KEY,
            LocalAuth::Null => AuthMethod::NULL,
            LocalAuth::Signature(_) | LocalAuth::Eap(_) => continue,
        };
        if methods.iter().all(|method| method.number != own.0) {
            let theirs: Vec<String> = methods.iter().map(words).take(limits::REPORT_LINES).collect();
            let disagreement = Disagreement::new(Part::Method, theirs, vec![own.to_string()]);
            return Err(Error::Authentication(disagreement));
        }
    }
    Ok(())
}

fn words(method: &Method) -> String {
    match AuthMethod(method.number) {
        AuthMethod::DIGITAL_SIGNATURE => method.to_string(),
        number => number.to_string(),
    }
}
