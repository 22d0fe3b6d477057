//! Names, addresses and selectors as the grammar of `ipsec policy` writes them.

use std::net::IpAddr;

use ravelin_config::value::{algorithm, selector};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};

use crate::RvlStatus;

/// An address.
pub fn address(text: &str) -> Result<IpAddr, RvlStatus> {
    text.parse().map_err(|_| RvlStatus::BadAddrRange)
}

/// An identity string of traffic for packets of `protocol`.
pub fn selector(text: &str, protocol: u8) -> Result<TrafficSelector, RvlStatus> {
    let id = selector::id_string(text).map_err(|_| RvlStatus::BadAddrRange)?;
    id.check_ports(protocol).map_err(|_| RvlStatus::BadPortNumber)?;
    Ok(id.bind(protocol))
}

/// One encryption algorithm, with its key length where it has several.
pub fn encryption(text: &str) -> Result<(EncrId, Option<u16>), RvlStatus> {
    match algorithm::encr_list(text).as_deref() {
        Ok([one]) => Ok(*one),
        _ => Err(RvlStatus::UnknownAlgorithm),
    }
}

/// One integrity algorithm.
pub fn integrity(text: &str) -> Result<IntegId, RvlStatus> {
    match algorithm::integ_list(text).as_deref() {
        Ok([one]) => Ok(*one),
        _ => Err(RvlStatus::UnknownAlgorithm),
    }
}
