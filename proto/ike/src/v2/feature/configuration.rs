//! Configuration payloads: internal addresses with IKE_AUTH, and questions in INFORMATIONAL.
//!
//! ```text
//!   IKE_AUTH        CP(CFG_REQUEST)  -->  <--  CP(CFG_REPLY)                   or N(INTERNAL_ADDRESS_FAILURE)
//!                   none, and one is due       N(FAILED_CP_REQUIRED)           either way without a Child SA
//!   INFORMATIONAL   CP(CFG_REQUEST)  -->  <--  CP(CFG_REPLY)                   without addresses
//!                   CP(CFG_SET)      -->  <--  CP(CFG_ACK)                     empty: nothing was accepted
//! ```
//! With the answer to a request for addresses the responder says of which families it has any: N(IP4_ALLOWED), N(IP6_ALLOWED).
//! We do not ask again for one that it has not. In the place of an IPv6 address a peer may have prefixes, on a virtual link
//! (`virtual_link.rs`). Read RFC 7296 §2.19 and §3.15, RFC 8983 §5 and RFC 5739 §4 before changing this file.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::Identity;
use ravelin_wire::ike::cfg_value::CfgValue;
use ravelin_wire::ike::v2::{Cfg, CfgAttribute, CfgAttributeType, CfgType, Notify, NotifyType, Payload};

use crate::address::pool::Attribute;
use crate::address::{Grant, Wishes};
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::v2::message::Payloads;

/// What a request may ask for here.
const KNOWN: &[CfgAttributeType] = &[
    CfgAttributeType::INTERNAL_IP4_ADDRESS,
    CfgAttributeType::INTERNAL_IP4_DNS,
    CfgAttributeType::INTERNAL_IP4_NBNS,
    CfgAttributeType::INTERNAL_IP4_DHCP,
    CfgAttributeType::INTERNAL_IP6_ADDRESS,
    CfgAttributeType::INTERNAL_IP6_DNS,
    CfgAttributeType::INTERNAL_IP6_DHCP,
    CfgAttributeType::INTERNAL_IP4_SUBNET,
    CfgAttributeType::SUPPORTED_ATTRIBUTES,
    CfgAttributeType::INTERNAL_IP6_SUBNET,
    CfgAttributeType::INTERNAL_IP6_LINK,
    CfgAttributeType::INTERNAL_IP6_PREFIX,
    CfgAttributeType::INTERNAL_DNS_DOMAIN,
    CfgAttributeType::INTERNAL_DNSSEC_TA,
    CfgAttributeType::ENCDNS_IP4,
    CfgAttributeType::ENCDNS_IP6,
    CfgAttributeType::ENCDNS_DIGEST_INFO,
];

fn payload(kind: CfgType, attributes: Vec<CfgAttribute>) -> Payload {
    Payload::Cfg(Cfg { kind, attributes })
}

fn of_kind(payloads: &Payloads, kind: CfgType) -> Option<&Cfg> {
    payloads.0.iter().find_map(|payload| match payload {
        Payload::Cfg(cfg) if cfg.kind == kind => Some(cfg),
        _ => None,
    })
}

/// The families of which a responder has addresses for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    v4: bool,
    v6: bool,
}

impl Allowed {
    /// What it says; `None`: nothing.
    pub(crate) fn told(payloads: &Payloads) -> Option<Self> {
        let says = |kind| payloads.notify(kind).is_some();
        let allowed = Allowed { v4: says(NotifyType::IP4_ALLOWED), v6: says(NotifyType::IP6_ALLOWED) };
        (allowed.v4 || allowed.v6).then_some(allowed)
    }

    fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// `CP(CFG_REQUEST)`, where the remote shall give us addresses.
pub(crate) fn request(remote: &Remote, core: &mut Core) -> Option<Payload> {
    let link = remote.internal.prefixes.then(|| core.link_wish(&remote.name));
    let ask = &remote.internal.ask;
    let allowed = core.families.get(&remote.name);
    // RFC 8983 §5: not for a family that is not supported. The only one that the operator wants is asked for all the same: it
    // may be there one day, and nobody asked for another.
    let left: Vec<IpAddr> = ask.iter().copied().filter(|of| allowed.is_none_or(|told| told.has(*of))).collect();
    let ask = if left.is_empty() { ask } else { &left };
    remote
        .internal
        .asks()
        .then(|| payload(CfgType::REQUEST, Wishes::of(ask, link.as_ref(), !remote.internal.anchored.is_empty())))
}

/// Remembers which families the responder has.
pub(crate) fn note(remote: &Remote, payloads: &Payloads, core: &mut Core) {
    if !remote.internal.ask.is_empty() {
        match Allowed::told(payloads) {
            Some(allowed) => _ = core.families.insert(remote.name.clone(), allowed),
            None => _ = core.families.remove(&remote.name),
        }
    }
}

/// Why there is no Child SA without an address, where the responder has none of the families that we ask for.
pub(crate) fn no_family(remote: &Remote, payloads: &Payloads) -> Option<Error> {
    let told = Allowed::told(payloads)?;
    let family = |v4: bool| if v4 { "IPv4" } else { "IPv6" };
    let none = !remote.internal.ask.is_empty() && !remote.internal.ask.iter().any(|of| told.has(*of));
    none.then(|| {
        let theirs = vec![alloc::format!("gives {} addresses alone", family(told.v4))];
        let ours = vec![alloc::format!("asks for {} addresses alone", family(!told.v4))];
        Error::NoAddress(Disagreement::new(Part::InternalAddress, theirs, ours))
    })
}

/// `N(IP4_ALLOWED)`, `N(IP6_ALLOWED)` for a peer that asks for addresses: whether or not there is one left, the families of the
/// pools (RFC 8983 §4, RFC 8983 §5, table 1).
pub(crate) fn families(payloads: &Payloads, remote: &Remote, core: &Core) -> impl Iterator<Item = Payload> {
    let request = of_kind(payloads, CfgType::REQUEST);
    let asks = request.is_some_and(|request| Wishes::parse(&request.attributes).any());
    let has = |v4| asks && core.addresses.has_family(&remote.internal.pools, v4);
    let kinds = [has(true).then_some(NotifyType::IP4_ALLOWED), has(false).then_some(NotifyType::IP6_ALLOWED)];
    kinds.into_iter().flatten().map(|kind| Payload::Notify(Notify::new(kind, Vec::new())))
}

/// What the responder's answer gives us.
pub(crate) fn granted(remote: &Remote, payloads: &Payloads, core: &Core) -> Option<Grant> {
    let reply = of_kind(payloads, CfgType::REPLY).filter(|_| remote.internal.asks())?;
    let interface = core.addresses.interface(&remote.name).filter(|_| remote.internal.prefixes);
    let mut grant = Grant::parse(&reply.attributes, &remote.internal.ask, interface);
    grant.limit_names(&remote.internal, remote.is_nobody());
    Some(grant).filter(|grant| !grant.addresses.is_empty())
}

/// The answer to the request of a peer that has proven its identity; a server elsewhere may have chosen its addresses.
pub(crate) fn answer(
    payloads: &Payloads,
    ends: &Ends,
    remote: &Remote,
    (identity, chosen): (&Identity, &[IpAddr]),
    core: &mut Core,
) -> Result<Option<Payload>, Error> {
    let pools = &remote.internal.pools;
    let Some(request) = of_kind(payloads, CfgType::REQUEST) else {
        // RFC 7296 §2.19: the configuration here wants every peer to have an address of ours.
        return if pools.is_empty() { Ok(None) } else { Err(Error::NoRequest) };
    };
    let wishes = Wishes::parse(&request.attributes);
    if !wishes.any() {
        return if pools.is_empty() { Ok(None) } else { Err(Error::NoRequest) };
    }
    let grant = core.lend(ends, remote, (identity, chosen), &wishes);
    if grant.addresses.is_empty() && grant.prefixes.is_empty() {
        let families = wishes.addresses.iter().map(|(v4, _)| if *v4 { "an IPv4 address" } else { "an IPv6 address" });
        let families = families.chain(wishes.link.iter().map(|_| "IPv6 prefixes of its own"));
        let theirs = families.map(ToString::to_string).collect();
        let ours = match pools.as_slice() {
            [] => vec!["no pool for this remote".into()],
            pools => pools
                .iter()
                .map(|pool| alloc::format!("none left in pool {pool}, or it is of the other family"))
                .chain(
                    chosen.iter().map(|address| alloc::format!("{address}, as the RADIUS server says, if it is free")),
                )
                .collect(),
        };
        return Err(Error::NoAddress(Disagreement::new(Part::InternalAddress, theirs, ours)));
    }
    Ok(Some(payload(CfgType::REPLY, grant.emit())))
}

/// The answers to configuration payloads in INFORMATIONAL.
pub(crate) fn inform(payloads: &Payloads, ends: &Ends, core: &Core) -> Vec<Payload> {
    let mut answers = Vec::new();
    if let Some(request) = of_kind(payloads, CfgType::REQUEST) {
        let wishes = Wishes::parse(&request.attributes);
        let asked = &wishes.kinds;
        let mut attributes: Vec<CfgAttribute> = Vec::new();
        let mut known = core.addresses.attributes(ends.our_spi());
        wishes.answered(&mut known);
        attributes.extend(known.iter().filter(|known| asked.contains(&known.kind)).map(Attribute::emit));
        if asked.contains(&CfgAttributeType::SUPPORTED_ATTRIBUTES) {
            let kinds: Vec<u8> = KNOWN.iter().flat_map(|kind| kind.0.to_be_bytes()).collect();
            let value = CfgValue::Other(kinds).emit();
            attributes.push(CfgAttribute { kind: CfgAttributeType::SUPPORTED_ATTRIBUTES, value });
        }
        answers.push(payload(CfgType::REPLY, attributes));
    }
    if of_kind(payloads, CfgType::SET).is_some() {
        // RFC 7296 §3.15: an acknowledgement without attributes says that none was accepted.
        answers.push(payload(CfgType::ACK, Vec::new()));
    }
    answers
}
