//! Configuration payloads: internal addresses with IKE_AUTH, and questions in INFORMATIONAL.
//!
//! ```text
//!   IKE_AUTH        CP(CFG_REQUEST)  -->  <--  CP(CFG_REPLY)                   or N(INTERNAL_ADDRESS_FAILURE)
//!                   none, and one is due       N(FAILED_CP_REQUIRED)           either way without a Child SA
//!   INFORMATIONAL   CP(CFG_REQUEST)  -->  <--  CP(CFG_REPLY)                   without addresses
//!                   CP(CFG_SET)      -->  <--  CP(CFG_ACK)                     empty: nothing was accepted
//! ```
//! Read RFC 7296 §2.19 and §3.15 before changing this file.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::Identity;
use ravelin_wire::ike::cfg_value::CfgValue;
use ravelin_wire::ike::v2::{Cfg, CfgAttribute, CfgAttributeType, CfgType, Payload};

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
    CfgAttributeType::INTERNAL_DNS_DOMAIN,
    CfgAttributeType::INTERNAL_DNSSEC_TA,
    CfgAttributeType::ENCDNS_IP4,
    CfgAttributeType::ENCDNS_IP6,
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

/// `CP(CFG_REQUEST)`, where the remote shall give us addresses.
pub(crate) fn request(remote: &Remote) -> Option<Payload> {
    let ask = &remote.internal.ask;
    (!ask.is_empty()).then(|| payload(CfgType::REQUEST, Wishes::of(ask)))
}

/// What the responder's answer gives us.
pub(crate) fn granted(remote: &Remote, payloads: &Payloads) -> Option<Grant> {
    let ask = &remote.internal.ask;
    let reply = of_kind(payloads, CfgType::REPLY).filter(|_| !ask.is_empty())?;
    Some(Grant::parse(&reply.attributes, ask)).filter(|grant| !grant.addresses.is_empty())
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
    if wishes.addresses.is_empty() {
        return if pools.is_empty() { Ok(None) } else { Err(Error::NoRequest) };
    }
    let grant = core.lend(ends, remote, (identity, chosen), &wishes);
    if grant.addresses.is_empty() {
        let families = wishes.addresses.iter().map(|(v4, _)| if *v4 { "an IPv4 address" } else { "an IPv6 address" });
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
        let asked = Wishes::parse(&request.attributes).kinds;
        let mut attributes: Vec<CfgAttribute> = Vec::new();
        let known = core.addresses.attributes(ends.our_spi());
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
