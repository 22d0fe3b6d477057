//! Internal addresses (RFC 7296 §2.19) in the flags of `ike remote` and of `ipsec policy`.

use std::net::IpAddr;

use clap::Args;
use ravelin_ike::config::Internal;
use ravelin_types::selector::TrafficSelector;

use super::Conflict;
use crate::value::selector::{IdString, id_string};
use crate::value::{BadValue, dns, identity, name};

/// Who gives whom an address.
#[derive(Clone, Debug, Args)]
pub struct InternalArgs {
    /// Ask the remote for this internal address; any or any6: for whichever it gives. Policies have it as -s internal
    #[arg(long, value_name = "ADDRESS", value_parser = identity::host_or_any)]
    vip: Vec<IpAddr>,
    /// Ask the remote for IPv6 prefixes of our own (RFC 5739), in which we make our addresses. Policies have them as -s internal6
    #[arg(long)]
    prefixes: bool,
    /// Take its DNS servers for this domain and what is in it alone (RFC 8598); without: for the domains that it says, or for all names
    #[arg(long, value_name = "NAME", value_parser = dns::domain)]
    dns_domain: Vec<String>,
    /// Take DNSSEC trust anchors from it for this domain and what is in it (RFC 8598 §6); without, none
    #[arg(long, value_name = "NAME", value_parser = dns::anchored)]
    dnssec_domain: Vec<String>,
    /// Give the remote an internal address of this pool (ike pool -n NAME); several are tried in turn. Policies have it as
    /// -d internal
    #[arg(long, value_name = "NAME", value_parser = name)]
    pool: Vec<String>,
}

impl InternalArgs {
    pub(super) fn interpret(&self, initiates: bool, accepts: bool) -> Result<Internal, Conflict> {
        if !self.vip.is_empty() && !initiates {
            return Err(Conflict::at(('\0', "vip"), "whoever begins asks for an address; add -w"));
        }
        if self.prefixes && !initiates {
            return Err(Conflict::at(('\0', "prefixes"), "whoever begins asks for prefixes; add -w"));
        }
        let asks = self.prefixes || !self.vip.is_empty();
        for (flag, domains) in [("dns-domain", &self.dns_domain), ("dnssec-domain", &self.dnssec_domain)] {
            if !domains.is_empty() && !asks {
                return Err(Conflict::at(('\0', flag), "names come with an internal address; add --vip any"));
            }
        }
        if !self.pool.is_empty() && !accepts {
            return Err(Conflict::at(('\0', "pool"), "whoever begins asks for an address; add -u"));
        }
        Ok(Internal {
            ask: self.vip.clone(),
            prefixes: self.prefixes,
            domains: self.dns_domain.clone(),
            anchored: self.dnssec_domain.clone(),
            pools: self.pool.clone(),
        })
    }
}

/// One end of the traffic of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Addresses and ports.
    Fixed(IdString),
    /// The internal address that the IKE SA will have at this end, of the family of this selector.
    Internal(IdString),
}

impl End {
    /// Its addresses, as far as they are known.
    pub fn id(self) -> IdString {
        match self {
            End::Fixed(id) | End::Internal(id) => id,
        }
    }

    /// What stands for an internal address, as [`end`] reads it.
    pub fn internal_word(selector: &TrafficSelector) -> &'static str {
        if selector.is_ipv4() { "internal" } else { "internal6" }
    }
}

/// An identity string, or `internal` or `internal6`.
///
/// # Errors
/// As [`id_string`].
pub fn end(text: &str) -> Result<End, BadValue> {
    match text.to_ascii_lowercase().as_str() {
        "internal" => Ok(End::Internal(TrafficSelector::any_v4().into())),
        "internal6" => Ok(End::Internal(TrafficSelector::any_v6().into())),
        _ => id_string(text).map(End::Fixed),
    }
}
