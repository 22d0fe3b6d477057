//! Names, addresses and selectors as the grammar of `ipsec policy` writes them, and strings for C.

use std::net::IpAddr;

use ravelin_config::value::host::Host;
use ravelin_config::value::protocol::Protocol;
use ravelin_config::value::{algorithm, selector};
use ravelin_types::HostName;
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId, Transform};

use crate::RvlStatus;

/// An address.
pub fn address(text: &str) -> Result<IpAddr, RvlStatus> {
    text.parse().map_err(|_| RvlStatus::BadAddrRange)
}

/// The address of one host, or its name.
pub fn host(text: &str) -> Result<Host, RvlStatus> {
    address(text)
        .map(Host::Address)
        .or_else(|_| HostName::new(text).map(Host::Name).map_err(|_| RvlStatus::BadAddrRange))
}

/// An identity string of traffic for packets of `protocol`.
pub fn selector(text: &str, protocol: u8) -> Result<TrafficSelector, RvlStatus> {
    selector::id_ports(text).map_err(|_| RvlStatus::BadPortNumber)?;
    let id = selector::id_string(text).map_err(|_| RvlStatus::BadAddrRange)?;
    let protocol = Protocol::from(protocol);
    id.check_ports(&protocol).map_err(|_| RvlStatus::BadPortNumber)?;
    Ok(id.bind(&protocol))
}

/// One encryption algorithm, with its key length where it has several.
pub fn encryption(text: &str) -> Result<(EncrId, Option<u16>), RvlStatus> {
    algorithm::encr(text).ok_or(RvlStatus::UnknownAlgorithm)
}

/// One integrity algorithm.
pub fn integrity(text: &str) -> Result<IntegId, RvlStatus> {
    algorithm::integ(text).ok_or(RvlStatus::UnknownAlgorithm)
}

/// Proposals from lists of names, or of the defaults. `prf` is `None` where the protocol has none. ESP has no key exchange
/// unless one is named.
pub fn proposals(
    protocol: ProtocolId,
    encryption: Option<&str>,
    integrity: Option<&str>,
    prf: Option<Option<&str>>,
    key_exchange: Option<&str>,
) -> Result<Vec<Proposal>, RvlStatus> {
    let unknown = |_| RvlStatus::UnknownAlgorithm;
    let encr = encryption.map_or(Ok(algorithm::DEFAULT_ENCR.to_vec()), algorithm::encr_list).map_err(unknown)?;
    let integ = integrity.map_or(Ok(algorithm::DEFAULT_INTEG.to_vec()), algorithm::integ_list).map_err(unknown)?;
    let mut rest = Vec::new();
    if let Some(prf) = prf {
        let prf = prf.map_or(Ok(algorithm::DEFAULT_PRF.to_vec()), algorithm::prf_list).map_err(unknown)?;
        rest.extend(prf.into_iter().map(Transform::Prf));
    }
    let ke = match (key_exchange, prf) {
        (Some(names), _) => algorithm::pfs_list(names).map_err(unknown)?,
        (None, Some(_)) => algorithm::DEFAULT_KE.iter().map(|id| Transform::Ke(*id)).collect(),
        (None, None) => Vec::new(),
    };
    rest.extend(ke);
    if protocol == ProtocolId::ESP {
        rest.extend([SnId::PARTIAL_64, SnId::SEQUENTIAL_32].map(Transform::Sn));
    }
    let proposals = algorithm::proposals(protocol, &encr, &integ, &rest);
    if proposals.is_empty() { Err(RvlStatus::UnknownAlgorithm) } else { Ok(proposals) }
}

/// Writes as much of a text as there is room for, whole characters, and a zero byte behind.
pub fn cut_to(room: &mut [u8], text: &str) {
    let Some(last) = room.len().checked_sub(1) else { return };
    let end = text.floor_char_boundary(last);
    room[..end].copy_from_slice(&text.as_bytes()[..end]);
    room[end] = 0;
}
