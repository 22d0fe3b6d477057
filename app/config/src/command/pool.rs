//! `ike pool`: pools of internal addresses for peers that ask for one (RFC 7296 §2.19).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use clap::Args;
use ravelin_ike::address::CfgAttributeType;
use ravelin_ike::address::pool::{Attribute, Pool};
use ravelin_types::Identity;

use super::{Command, Conflict};
use crate::spec::{PoolSpec, Which};
use crate::swanctl::pools;
use crate::value::{self, BadValue, identity, name};

/// The flags of `ike pool`.
#[derive(Clone, Debug, Args)]
pub struct PoolArgs {
    /// Name of the pool; a remote gives its addresses away with --pool NAME
    #[arg(short = 'n', long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Its addresses: 10.3.0.0/24, whose first and last nobody gets, or FIRST-LAST, or one
    #[arg(short = 'a', long, value_name = "RANGE", value_parser = range)]
    addresses: Option<(IpAddr, RangeInclusive<IpAddr>)>,
    /// Give each peer an IPv6 prefix of this length in the place of an address (RFC 5739), as 64 of 2001:db8:100::/48; it must ask for
    /// one (--prefixes)
    #[arg(long, value_name = "BITS", value_parser = length)]
    prefix: Option<u8>,
    /// The address that an identity always gets, as fqdn:box.example.org=10.3.0.9; of the pool's addresses or another
    #[arg(long, value_name = "ID=ADDRESS", value_parser = fixed)]
    fixed: Vec<(Identity, IpAddr)>,
    /// A DNS server that peers are told of
    #[arg(long, value_name = "ADDRESS", value_parser = dns)]
    dns: Vec<Attribute>,
    /// A domain that the DNS servers are for (RFC 8598)
    #[arg(long, value_name = "NAME", value_parser = domain)]
    domain: Vec<Attribute>,
    /// A DNSSEC trust anchor of one of these domains (RFC 8598), as a DS record has it: "corp.example 43547 8 2 HEX"
    #[arg(long, value_name = "ANCHOR", value_parser = anchor)]
    dnssec: Vec<[Attribute; 2]>,
    /// An encrypted DNS resolver that peers are told of (RFC 9464): its name, its addresses and how it is spoken to, as
    /// "dns.example.org 10.1.0.53 alpn=dot port=8530", "dns.example.org 10.1.0.53 alpn=h2 dohpath=/q{?dns}"; priority=2 for one that
    /// is tried later, sha256=HEX for the digest of its key
    #[arg(long, value_name = "RESOLVER", value_parser = encrypted_dns)]
    encrypted_dns: Vec<Resolver>,
    /// A network behind us that peers are told of
    #[arg(long, value_name = "NETWORK", value_parser = subnet)]
    subnet: Vec<Attribute>,
    /// View the pools and who has which address, or with -n one
    #[arg(short = 'v', long, conflicts_with = "delete")]
    view: bool,
    /// Delete the pool of this name, or ALLPOOLS; peers keep the addresses that they have
    #[arg(short = 'x', long, value_name = "NAME", value_parser = name)]
    delete: Option<String>,
    /// View as JSON
    #[arg(long, requires = "view")]
    pub json: bool,
}

fn range(text: &str) -> Result<(IpAddr, RangeInclusive<IpAddr>), BadValue> {
    pools::range(text).map_err(BadValue::new)
}

fn length(text: &str) -> Result<u8, BadValue> {
    pools::length(text).map_err(BadValue::new)
}

fn fixed(text: &str) -> Result<(Identity, IpAddr), BadValue> {
    // Names have `=` of their own: `asn1dn:CN=box=10.3.0.9`.
    let (id, address) =
        text.rsplit_once('=').ok_or_else(|| BadValue::new("expected ID=ADDRESS, as fqdn:box.example.org=10.3.0.9"))?;
    Ok((identity::identity(id)?, identity::host(address)?))
}

fn dns(text: &str) -> Result<Attribute, BadValue> {
    pools::host(text, CfgAttributeType::dns).map_err(BadValue::new)
}

/// The attributes of one, which clap would take for several values as they are.
#[derive(Clone, Debug)]
struct Resolver(Vec<Attribute>);

fn encrypted_dns(text: &str) -> Result<Resolver, BadValue> {
    value::encrypted_dns::parse(text).map(Resolver).map_err(BadValue::new)
}

fn domain(text: &str) -> Result<Attribute, BadValue> {
    pools::domain(text).map_err(BadValue::new)
}

fn anchor(text: &str) -> Result<[Attribute; 2], BadValue> {
    value::dns::anchor(text).map_err(BadValue::new)
}

fn subnet(text: &str) -> Result<Attribute, BadValue> {
    pools::subnet(text).map_err(BadValue::new)
}

impl PoolArgs {
    pub(super) fn interpret(&self) -> Result<Command, Conflict> {
        if let Some(name) = &self.delete {
            let which = if name == "ALLPOOLS" { Which::All } else { Which::Named(name.clone()) };
            return Ok(Command::DeletePool(which));
        }
        if self.view {
            return Ok(Command::ViewPools(self.name.clone()));
        }
        let name = self.name.clone().ok_or_else(|| Conflict::missing("expected -n NAME, -v or -x NAME"))?;
        if name == "ALLPOOLS" {
            return Err(Conflict::at(('n', "name"), "ALLPOOLS means all pools and cannot be the name of one"));
        }
        let (base, mut addresses) =
            self.addresses.clone().ok_or_else(|| Conflict::missing("expected -a RANGE: the addresses of the pool"))?;
        if let Some(length) = self.prefix {
            addresses = pools::prefixes(base, &addresses, length).map_err(|why| Conflict::at(('\0', "prefix"), why))?;
            let starts =
                |address: &IpAddr| matches!(address, IpAddr::V6(it) if it.to_bits() & (u128::MAX >> length) == 0);
            if let Some((_, address)) = self.fixed.iter().find(|(_, address)| !starts(address)) {
                return Err(Conflict::at(
                    ('\0', "fixed"),
                    format!("{address} does not begin a prefix of {length} bits"),
                ));
            }
        }
        if self.fixed.iter().any(|(_, address)| address.is_ipv4() != base.is_ipv4()) {
            return Err(Conflict::at(('\0', "fixed"), "--fixed and -a belong to different address families"));
        }
        for (index, (_, address)) in self.fixed.iter().enumerate() {
            if self.fixed[..index].iter().any(|(_, other)| other == address) {
                return Err(Conflict::at(('\0', "fixed"), format!("{address} is fixed for two identities")));
            }
        }
        let plain = [&self.dns, &self.domain, &self.subnet].into_iter().flatten();
        let mut attributes: Vec<Attribute> = plain.cloned().collect();
        for attribute in self.encrypted_dns.iter().flat_map(|resolver| &resolver.0) {
            // A digest is said again with each address of its resolver.
            if !attributes.contains(attribute) {
                attributes.push(attribute.clone());
            }
        }
        for anchor in &self.dnssec {
            value::dns::add(&mut attributes, anchor).map_err(|why| Conflict::at(('\0', "dnssec"), why))?;
        }
        let pool = Pool { name, addresses, prefix: self.prefix, fixed: self.fixed.clone(), attributes };
        Ok(Command::AddPool(Box::new(PoolSpec { pool, base, loaded: false })))
    }
}
