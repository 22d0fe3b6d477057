//! Redirect: a gateway sends the initiator to another one, which stands under the same entry of the PAD.
//!
//! ```text
//!   HDR(A,0), SAi1, KEi, Ni, N(REDIRECT_SUPPORTED)        -->
//!                             <--  HDR(A,0), N(REDIRECT, gateway, Ni)             before anything is kept
//!                             <--  HDR, SK {IDr, AUTH, N(REDIRECT, gateway)}      once it is known who asks
//!                             <--  HDR, SK {N(REDIRECT, gateway)}                 at any time later: INFORMATIONAL
//!   HDR(A,0), SAi1, KEi, Ni, N(REDIRECTED_FROM, gateway)  -->                     at the other gateway
//! ```
//! Nothing but the address changes: the other gateway has to prove the same identity. A gateway that is named is looked up, and we go
//! to the first address of the answer to which the operator lets us.
//! Read RFC 5685 §3, §5 to §7 and §9 before changing this file.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use ravelin_types::{HostName, IkeSpi, Instant};
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::config::Remote;
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::extensions::{NewGateway, is_a_host};
use crate::host_names::{self, Waiting};
use crate::limits;
use crate::open::Reach;
use crate::output::Event;
use crate::v2::message::Payloads;
use crate::v2::phase::sa_init;
use crate::want::Want;

const IPV4: u8 = 1;
const IPV6: u8 = 2;
const FQDN: u8 = 3;
/// The length of a name has one octet.
const MAX_NAME: usize = 255;

/// What an IKE SA has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// We began, and follow.
    Follows,
    /// The peer began, and follows.
    Sends,
}

/// When each remote was last redirected.
#[derive(Debug, Default)]
pub(crate) struct Redirected(BTreeMap<String, Vec<Instant>>);

impl Redirected {
    /// Notes one more; false when there were too many (RFC 5685 §7).
    fn note(&mut self, remote: &str, now: Instant) -> bool {
        self.0.retain(|_, times| {
            times.retain(|time| now.since(*time) < limits::REDIRECT_PERIOD);
            !times.is_empty()
        });
        let times = self.0.entry(remote.into()).or_default();
        let within = times.len() < limits::REDIRECTS;
        if within {
            times.push(now);
        }
        within
    }
}

/// What an initiator says with IKE_SA_INIT.
pub(crate) fn announce(remote: &Remote) -> Option<Payload> {
    let redirect = &remote.extensions.redirect;
    let notify = match redirect.from {
        // RFC 5685 §9.3: it says that we support it, too.
        Some(from) => Notify::new(NotifyType::REDIRECTED_FROM, identity(&NewGateway::Address(from))),
        // RFC 5685 §9.1: without data.
        None => Notify::new(NotifyType::REDIRECT_SUPPORTED, Vec::new()),
    };
    (!redirect.follow.is_empty()).then_some(Payload::Notify(notify))
}

/// Whether an initiator says that it follows.
pub(crate) fn announced(payloads: &Payloads) -> bool {
    let kinds = [NotifyType::REDIRECT_SUPPORTED, NotifyType::REDIRECTED_FROM];
    payloads.notifies().any(|notify| kinds.contains(&notify.kind))
}

/// Where a peer that has come to this address of ours is to go.
pub(crate) fn elsewhere(remote: &Remote, here: IpAddr) -> Option<&NewGateway> {
    // RFC 5685 §4: from an address that many gateways share to the one of this gateway alone; there it is served.
    remote.extensions.redirect.to.as_ref().filter(|to| **to != NewGateway::Address(here))
}

/// `N(REDIRECT, gateway, Ni)` for an initiator that is not to be served here, whichever remote it is.
pub(crate) fn at_once(candidates: &[Arc<Remote>], here: IpAddr, payloads: &Payloads, nonce: &[u8]) -> Option<Notify> {
    let mut gateways = candidates.iter().map(|remote| elsewhere(remote, here));
    let to = gateways.next()??;
    let all = announced(payloads) && gateways.all(|other| other == Some(to));
    all.then(|| Notify::new(NotifyType::REDIRECT, [identity(to), nonce.to_vec()].concat()))
}

/// `N(REDIRECT, gateway)`
pub(crate) fn notify(to: &NewGateway) -> Payload {
    Payload::Notify(Notify::new(NotifyType::REDIRECT, identity(to)))
}

/// Type, length and identity of a gateway (RFC 5685 §9.2).
fn identity(gateway: &NewGateway) -> Vec<u8> {
    match gateway {
        NewGateway::Address(IpAddr::V4(v4)) => [&[IPV4, 4][..], &v4.octets()].concat(),
        NewGateway::Address(IpAddr::V6(v6)) => [&[IPV6, 16][..], &v6.octets()].concat(),
        NewGateway::Name(name) => {
            let name = &name.as_bytes()[..name.len().min(MAX_NAME)];
            [&[FQDN, name.len() as u8][..], name].concat()
        }
    }
}

/// Where the peer sends us in a protected message, if we follow at all.
pub(crate) fn told(remote: &Remote, payloads: &Payloads) -> Option<Result<NewGateway, Error>> {
    let follows = !remote.extensions.redirect.follow.is_empty();
    payloads.notify(NotifyType::REDIRECT).filter(|_| follows).map(|notify| target(notify, &[]))
}

/// Where a REDIRECT sends us. It carries our nonce in IKE_SA_INIT, and nothing elsewhere (RFC 5685 §9.2).
///
/// # Errors
/// `Violation` when it has another form or another nonce, `Misuse` when we do not go there.
pub(crate) fn target(notify: &Notify, nonce: &[u8]) -> Result<NewGateway, Error> {
    let cut = || {
        let [kind, len, rest @ ..] = notify.data.as_slice() else { return None };
        let (identity, rest) = rest.split_at_checked(usize::from(*len))?;
        (rest == nonce).then_some((*kind, identity))
    };
    let (kind, identity) = cut().ok_or(Error::Violation("a REDIRECT of another form than RFC 5685 gives it"))?;
    let address = match kind {
        IPV4 => <[u8; 4]>::try_from(identity).ok().map(IpAddr::from),
        IPV6 => <[u8; 16]>::try_from(identity).ok().map(IpAddr::from),
        FQDN => return name(identity),
        _ => {
            return Err(Error::Misuse(
                "the peer sends us to a gateway by a kind of identity that is not known here: it must say an address or a name",
            ));
        }
    };
    address
        .filter(|address| is_a_host(*address))
        .map(NewGateway::Address)
        .ok_or(Error::Violation("a REDIRECT to what is no address of a gateway"))
}

fn name(identity: &[u8]) -> Result<NewGateway, Error> {
    let name = core::str::from_utf8(identity).ok().and_then(|name| HostName::new(name).ok());
    let name = name.ok_or(Error::Violation("a REDIRECT to what is no name of a gateway"))?;
    Ok(NewGateway::Name(name.as_str().into()))
}

/// Begins anew at another gateway, for what is wanted, in the place of another IKE SA if need be.
///
/// # Errors
/// When we do not go there.
pub(crate) fn follow(
    remote: &Remote,
    (from, to): (IpAddr, NewGateway),
    wants: Vec<Want>,
    replaces: Option<IkeSpi>,
    core: &mut Core,
) -> Result<(), Error> {
    let current = core
        .current(remote)
        .ok_or(Error::Misuse("the peer sends us to another gateway, but is not configured any more"))?;
    let mut remote = Remote::clone(&current);
    remote.extensions.redirect.from = Some(from);
    match to {
        NewGateway::Address(to) => {
            may_go(&remote, (from, to), &wants, core)?;
            may_go_again(&remote, core)?;
            go(remote, (from, to), wants, replaces, core);
        }
        NewGateway::Name(name) => {
            let name =
                HostName::new(&name).map_err(|_| Error::Violation("a REDIRECT to what is no name of a gateway"))?;
            may_go_again(&remote, core)?;
            host_names::wait(Waiting { name, remote: Arc::new(remote), wants, replaces }, core);
        }
    }
    Ok(())
}

/// The name of the gateway to which we were sent from `from` was looked up.
pub(crate) fn looked_up(waiting: Waiting, from: IpAddr, core: &mut Core) {
    let Waiting { name, remote, wants, replaces } = waiting;
    let at: Vec<IpAddr> = core.hosts.at(&name).iter().map(|gateway| gateway.address).collect();
    let first = at.iter().find(|to| may_go(&remote, (from, **to), &wants, core).is_ok());
    let Some(to) = first.copied() else {
        let why = at.first().and_then(|first| may_go(&remote, (from, *first), &wants, core).err());
        let why = why.unwrap_or_else(|| {
            let line = alloc::format!(
                "{name}, to which the peer sends us: {}",
                core.hosts.why_nowhere(&name).unwrap_or("no answer")
            );
            Error::NoAgreement(Disagreement::new(Part::Name, vec![line], vec![]))
        });
        let policy = wants.first().map(|want| want.policy);
        let place = Place { remote: Some(remote.name.clone()), address: from, policy, exchange: "IKE_SA_INIT" };
        return core.failed(why.failure(place));
    };
    go(Remote::clone(&remote), (from, to), wants, replaces, core);
}

/// Whether we go from the one to the other.
fn may_go(remote: &Remote, (from, to): (IpAddr, IpAddr), wants: &[Want], core: &Core) -> Result<(), Error> {
    // RFC 5685 §3: only where the operator lets us go.
    let within = |range: &RangeInclusive<IpAddr>| range.start().is_ipv4() == to.is_ipv4() && range.contains(&to);
    if !remote.extensions.redirect.follow.iter().any(within) {
        let theirs = vec![format!("sends us to the gateway {to}")];
        let ours = vec!["it is not among those to which we follow (ike remote --follow, follow_redirects)".into()];
        return Err(Disagreement::new(Part::Configuration, theirs, ours).into());
    }
    if to == from {
        return Err(Error::Misuse("the peer sends us to itself: mend its redirect"));
    }
    let alike = |own: &IpAddr| own.is_ipv4() == to.is_ipv4();
    let known = &core.host.addresses;
    if !remote.local.iter().all(alike) || !known.is_empty() && !known.iter().any(alike) {
        return Err(Error::Misuse(
            "the peer sends us to a gateway of an address family in which we have no address: give this host one, or let the gateway have one of ours",
        ));
    }
    let must = wants.iter().find_map(|want| want.peer(&*core.policy(want.policy)?));
    if must.is_some_and(|must| must != to) {
        return Err(Error::Misuse(
            "the peer sends us to another gateway, but in transport mode the policy is with itself: use tunnel mode",
        ));
    }
    Ok(())
}

/// Whether it was not too often of late.
fn may_go_again(remote: &Remote, core: &mut Core) -> Result<(), Error> {
    core.redirected.note(&remote.name, core.now).then_some(()).ok_or(Error::Misuse(
        "the gateways send us round in circles, or too often; the next one is followed in five minutes",
    ))
}

fn go(mut remote: Remote, (from, to): (IpAddr, IpAddr), wants: Vec<Want>, replaces: Option<IkeSpi>, core: &mut Core) {
    core.event(Event::Redirected { remote: remote.name.clone(), from, to });
    // RFC 5685 §3, RFC 5685 §11: all else stays, above all who the gateway has to be.
    let source = remote.reach().find_map(|reach| match reach {
        Reach::At(gateway) if gateway.address == to => gateway.source,
        _ => None,
    });
    remote.local = remote.own_towards(to, &core.hosts);
    (remote.remote, remote.source) = (to, source);
    remote.open.alternates = Vec::new();
    sa_init::begin(Arc::new(remote), wants, replaces, core);
}
