//! Post-quantum pre-shared keys in IKE_INTERMEDIATE: all keys of the IKE SA are made anew with a secret that both sides have,
//! before either says who it is.
//!
//! ```text
//!   HDR, SAi1, KEi, Ni, N(INTERMEDIATE_EXCHANGE_SUPPORTED), N(USE_PPK_INT)  -->
//!                             <--  HDR, SAr1, KEr, Nr, N(INTERMEDIATE_EXCHANGE_SUPPORTED), N(USE_PPK_INT)
//!   HDR, SK {N(PPK_IDENTITY_KEY), ...}  -->
//!                             <--  HDR, SK {N(PPK_IDENTITY)}     the key that both have
//!                             <--  HDR, SK {}                    none; the IKE SA comes without where it is optional
//!   PPK_IDENTITY_KEY   PPK_ID | the first 8 octets of prf(PPK, Ni | Nr | SPIi | SPIr)
//!   SKEYSEED'          prf+(PPK, SK_d), from which all seven keys follow as ever
//! ```
//! We name ours in an exchange after those of additional key exchanges, whose secrets hide the name then. A responder also takes
//! it beside one of them.
//! Read RFC 9867 §3.1 before changing this file. Other keys in CREATE_CHILD_SA (§3.2) are not done, and no peer is known that does
//! them: what is named there is ignored. Rekeys build on SK_d, and so on the key in it.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::IkeSpi;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};
use subtle::ConstantTimeEq;

use super::intermediate;
use super::ppk::{self, Ppking};
use crate::config::Remote;
use crate::error::Error;
use crate::extensions::{Ppk, PpkIn};
use crate::limits;
use crate::v2::message::Payloads;
use crate::v2::phase::init_exchange::InitExchange;

/// Octets of PPK Confirmation.
const CONFIRMATION: usize = 8;

fn fits(remote: &Remote) -> bool {
    remote.extensions.ppk.exchange != PpkIn::Auth
}

/// `N(USE_PPK_INT)` of an initiator.
pub(crate) fn offer(remote: &Remote) -> Option<Payload> {
    (fits(remote) && remote.extensions.ppk.own().is_some()).then(|| ppk::announce(NotifyType::USE_PPK_INT))
}

/// Whether the responder does it, too.
pub(super) fn agreed(remote: &Remote, payloads: &Payloads) -> bool {
    offer(remote).is_some() && both(payloads)
}

/// `N(USE_PPK_INT)` of a responder, to an initiator that announced it, if one of the remotes that it may be has a key.
pub(super) fn answer(payloads: &Payloads, candidates: &[Arc<Remote>]) -> Option<Payload> {
    let known = candidates.iter().any(|remote| fits(remote) && !remote.extensions.ppk.keys.is_empty());
    (known && both(payloads)).then(|| ppk::announce(NotifyType::USE_PPK_INT))
}

fn both(payloads: &Payloads) -> bool {
    intermediate::supported(payloads) && ppk::announced(payloads, NotifyType::USE_PPK_INT)
}

/// That both sides have the same key under the same name in this exchange.
fn confirmation(ppk: &Ppk, init: &InitExchange, (spi_i, spi_r): (IkeSpi, IkeSpi)) -> [u8; CONFIRMATION] {
    let mut whole = vec![0; init.algs.prf.output_len()];
    let spis = (spi_i.0.to_be_bytes(), spi_r.0.to_be_bytes());
    init.algs.prf.prf(ppk.secret.expose(), &[&init.nonce_i, &init.nonce_r, &spis.0, &spis.1], &mut whole);
    let mut first = [0; CONFIRMATION];
    first.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    first
}

/// `N(PPK_IDENTITY_KEY, PPK_ID | PPK Confirmation)`
pub(crate) fn name(ppk: &Ppk, init: &InitExchange, spis: (IkeSpi, IkeSpi)) -> Payload {
    let data = [&ppk::ppk_id(ppk)[..], &confirmation(ppk, init, spis)].concat();
    Payload::Notify(Notify::new(NotifyType::PPK_IDENTITY_KEY, data))
}

/// The key that the responder took, which is the one that we named, or none.
pub(crate) fn taken(remote: &Remote, own: &Ppk, payloads: &Payloads) -> Result<Option<Ppk>, Error> {
    match payloads.notify(NotifyType::PPK_IDENTITY) {
        Some(notify) if ppk::name(&notify.data) == Some(&own.id) => Ok(Some(own.clone())),
        Some(_) => Err(Error::Violation("PPK_IDENTITY of a key that was not named")),
        None if ppk::is_a_must(remote) => Err(ppk::missing(vec!["does not have our key".into()])),
        None => Ok(None),
    }
}

/// The first of the named keys that one of the remotes has under this name.
pub(crate) fn found(
    payloads: &Payloads,
    candidates: &[Arc<Remote>],
    init: &InitExchange,
    spis: (IkeSpi, IkeSpi),
) -> Option<Ppk> {
    let named = payloads.notifies().filter(|notify| notify.kind == NotifyType::PPK_IDENTITY_KEY);
    named.take(limits::PPK_NAMES).filter_map(|notify| notify.data.split_last_chunk::<CONFIRMATION>()).find_map(
        |(id, confirmed)| {
            let id = ppk::name(id)?;
            let mut known =
                candidates.iter().filter(|remote| fits(remote)).filter_map(|remote| remote.extensions.ppk.find(id));
            known.find(|ppk| confirmation(ppk, init, spis).as_slice().ct_eq(confirmed.as_slice()).into()).cloned()
        },
    )
}

/// Whether the peer named keys.
pub(crate) fn names(payloads: &Payloads) -> bool {
    ppk::announced(payloads, NotifyType::PPK_IDENTITY_KEY)
}

/// Whether the peer may be this remote, now that it says who it is: with a key of that one, or where it needs none, without.
pub(super) fn admit(remote: &Remote, agreed: &Ppking) -> Result<(), Error> {
    let ppk = &remote.extensions.ppk;
    match agreed {
        Ppking::Settled(Some(used)) => {
            let known = fits(remote)
                && ppk.find(&used.id).is_some_and(|own| bool::from(own.secret.expose().ct_eq(used.secret.expose())));
            known.then_some(()).ok_or_else(|| ppk::missing(vec![ppk::unknown(&ppk::ppk_id(used))]))
        }
        _ if ppk.required || !matches!(agreed, Ppking::No) && ppk::is_a_must(remote) => {
            Err(ppk::missing(Vec::from(["no post-quantum pre-shared key".into()])))
        }
        _ => Ok(()),
    }
}
