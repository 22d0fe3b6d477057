//! Pools of internal addresses: `pools.<name>` of swanctl.conf, or the section of VICI's `load-pool`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ravelin_ike::address::pool::{Attribute, Pool};
use ravelin_ike::address::{CfgAttributeType, CfgValue};
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};

use super::reader::{Problems, Reader};
use super::tree::{Named, Setting};
use crate::spec::PoolSpec;
use crate::value::{dns, encrypted_dns, name};

/// strongSwan's attributes of its own and of Cisco's Unity, which its clients know.
const INTERNAL_IP4_SERVER: CfgAttributeType = CfgAttributeType(23456);
const INTERNAL_IP6_SERVER: CfgAttributeType = CfgAttributeType(23457);
const UNITY_SPLIT_INCLUDE: CfgAttributeType = CfgAttributeType(28676);
const UNITY_LOCAL_LAN: CfgAttributeType = CfgAttributeType(28678);

/// Reads a pool.
pub fn read(named: &Named, problems: &mut Problems) -> Option<PoolSpec> {
    let before = problems.0.len();
    let name = problems.take(name(&named.name).map_err(|error| named.at.remark(format!("{}: {error}", named.name))))?;
    let (mut addresses, mut prefix) = (None, None);
    let (mut attributes, mut anchors) = (Vec::new(), Vec::new());
    for setting in &named.section.settings {
        match setting.name.as_str() {
            "addrs" => {
                addresses = problems.take(setting.text().and_then(|t| range(t).map_err(|why| setting.wrong(why))))
            }
            // Ours: strongSwan lends no prefixes.
            "prefix" => {
                prefix = problems.take(setting.text().and_then(|text| length(text).map_err(|why| setting.wrong(why))))
            }
            "dnssec" => {
                let all = setting.items().and_then(|items| {
                    items
                        .iter()
                        .map(|item| dns::anchor(item).map_err(|why| setting.wrong(why)))
                        .collect::<Result<Vec<_>, _>>()
                });
                anchors.extend(problems.take(all).unwrap_or_default().into_iter().map(|anchor| (setting, anchor)));
            }
            _ => attributes.extend(problems.take(attribute(setting)).unwrap_or_default()),
        }
    }
    // Wherever they stand, behind their domain.
    for (setting, anchor) in anchors {
        problems.take(dns::add(&mut attributes, &anchor).map_err(|why| setting.wrong(why)));
    }
    let mut reader = Reader::new(&named.section, &named.at, problems);
    if addresses.is_none() && reader.setting("addrs").is_none() {
        reader.wrong("`addrs` is missing: the addresses of the pool, as 10.3.0.0/24 or 10.3.0.1-10.3.0.99");
    }
    let (base, mut addresses) = addresses?;
    if let Some(length) = prefix {
        let whole = prefixes(base, &addresses, length).map_err(|why| named.at.remark(why));
        addresses = problems.take(whole)?;
    }
    let pool = Pool { name, addresses, prefix, fixed: Vec::new(), attributes };
    (problems.0.len() == before).then_some(PoolSpec { pool, base, loaded: true })
}

/// `10.3.0.0/24`, whose first and last address nobody gets, or `10.3.0.1-10.3.0.99`; and the first address as written.
pub fn range(text: &str) -> Result<(IpAddr, RangeInclusive<IpAddr>), String> {
    let expected =
        || format!("`{text}` is not a range of addresses; expected 10.3.0.0/24, 10.3.0.1-10.3.0.99 or one address");
    let text = text.trim();
    if let Some((base, length)) = text.split_once('/') {
        let (address, length) = (base.trim().parse().map_err(|_| expected())?, length.trim().parse());
        let prefix = TrafficSelector::prefix(address, length.map_err(|_| expected())?).map_err(|_| expected())?;
        let whole = prefix.addresses();
        return Ok((address, inner(whole)));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| expected());
    let (first, last) = (parse(first)?, parse(last)?);
    TrafficSelector::new(first..=last, 0, ANY_PORTS).map_err(|_| expected())?;
    Ok((first, first..=last))
}

/// The length of the prefixes of a pool.
pub fn length(text: &str) -> Result<u8, String> {
    let length = text.trim().parse().ok().filter(|length| (1..=127).contains(length));
    length.ok_or_else(|| format!("`{text}` is not the length of a prefix; expected 1 to 127, as 64"))
}

/// The range of a pool of prefixes of this length, of which `base` is the first address as written.
pub fn prefixes(base: IpAddr, range: &RangeInclusive<IpAddr>, length: u8) -> Result<RangeInclusive<IpAddr>, String> {
    let (IpAddr::V6(base), IpAddr::V6(last)) = (base, *range.end()) else {
        return Err("prefixes are of IPv6, as 2001:db8:100::/48".to_owned());
    };
    let hosts = u128::MAX >> length;
    // A network lost its first and its last address when it was read.
    let (first, last) = (base.to_bits(), last.to_bits() | u128::from(last.to_bits() & 1 == 0));
    if first & hosts != 0 || last & hosts != hosts {
        return Err(format!(
            "the range is not made of whole prefixes of {length} bits; expected one as 2001:db8:100::/48"
        ));
    }
    Ok(base.into()..=std::net::Ipv6Addr::from_bits(last).into())
}

/// A network without its first and last address, which hosts take for the network itself and for all of them; from four
/// addresses on.
fn inner(whole: RangeInclusive<IpAddr>) -> RangeInclusive<IpAddr> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match (*whole.start(), *whole.end()) {
        (IpAddr::V4(first), IpAddr::V4(last)) if last.to_bits() - first.to_bits() > 2 => {
            Ipv4Addr::from_bits(first.to_bits() + 1).into()..=Ipv4Addr::from_bits(last.to_bits() - 1).into()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if last.to_bits() - first.to_bits() > 2 => {
            Ipv6Addr::from_bits(first.to_bits() + 1).into()..=Ipv6Addr::from_bits(last.to_bits() - 1).into()
        }
        _ => whole,
    }
}

/// What stands behind a keyword, or behind the number of an attribute.
fn attribute(setting: &Setting) -> Result<Vec<Attribute>, crate::remark::Remark> {
    let items = setting.items()?;
    let wrong = |why: String| setting.wrong(why);
    let made = match setting.name.as_str() {
        "dns" => items.iter().map(|item| host(item, CfgAttributeType::dns)).collect(),
        "nbns" => items.iter().map(|item| host(item, |_| CfgAttributeType::INTERNAL_IP4_NBNS)).collect(),
        "dhcp" => items.iter().map(|item| host(item, dhcp)).collect(),
        "netmask" => items.iter().map(|item| host(item, |_| CfgAttributeType::INTERNAL_IP4_NETMASK)).collect(),
        "server" => items.iter().map(|item| host(item, server)).collect(),
        "subnet" => items.iter().map(|item| subnet(item)).collect(),
        // Ours: strongSwan has no words for it.
        "dns_domain" => items.iter().map(|item| domain(item)).collect(),
        "encrypted_dns" => {
            let all: Result<Vec<_>, String> = items.iter().map(|item| encrypted_dns::parse(item)).collect();
            all.map(|all| all.into_iter().flatten().collect())
        }
        "split_include" => unity(UNITY_SPLIT_INCLUDE, &items).map(|it| vec![it]),
        "split_exclude" => unity(UNITY_LOCAL_LAN, &items).map(|it| vec![it]),
        other => match other.parse::<u16>().ok().filter(|kind| (1..0x8000).contains(kind)) {
            Some(kind) => items.iter().map(|item| numbered(CfgAttributeType(kind), item)).collect(),
            None => Err(format!(
                "unknown option: {other}; expected addrs, prefix, dns, nbns, dhcp, netmask, server, subnet, dns_domain, \
                 dnssec, encrypted_dns, split_include, split_exclude, or the number of an attribute"
            )),
        },
    };
    made.map_err(wrong)
}

fn dhcp(v4: bool) -> CfgAttributeType {
    if v4 { CfgAttributeType::INTERNAL_IP4_DHCP } else { CfgAttributeType::INTERNAL_IP6_DHCP }
}

fn server(v4: bool) -> CfgAttributeType {
    if v4 { INTERNAL_IP4_SERVER } else { INTERNAL_IP6_SERVER }
}

/// The attribute of an address; which one, depends on its family.
pub fn host(text: &str, kind: impl Fn(bool) -> CfgAttributeType) -> Result<Attribute, String> {
    let address: IpAddr = text.trim().parse().map_err(|_| format!("`{text}` is not an address"))?;
    checked(kind(address.is_ipv4()), CfgValue::Address(address))
}

/// The attribute of a network behind us.
pub fn subnet(text: &str) -> Result<Attribute, String> {
    let (address, length) = prefix(text)?;
    checked(CfgAttributeType::subnet(address.is_ipv4()), CfgValue::Subnet(address, length))
}

/// The attribute of a domain that the DNS servers are for (RFC 8598).
pub fn domain(text: &str) -> Result<Attribute, String> {
    checked(CfgAttributeType::INTERNAL_DNS_DOMAIN, CfgValue::Other(text.trim().as_bytes().to_vec()))
}

fn prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("`{text}` is not a subnet; expected the form 10.1.0.0/16");
    let (base, length) = text.trim().split_once('/').ok_or_else(wrong)?;
    let (base, length) = (base.parse().map_err(|_| wrong())?, length.parse().map_err(|_| wrong())?);
    let whole = TrafficSelector::prefix(base, length).map_err(|_| wrong())?;
    Ok((*whole.addresses().start(), length))
}

/// Networks in the form of Cisco's Unity attributes: address, mask and six bytes of nothing, one behind the other.
fn unity(kind: CfgAttributeType, items: &[String]) -> Result<Attribute, String> {
    let mut bytes = Vec::new();
    for item in items {
        let (address, length) = prefix(item)?;
        if !address.is_ipv4() {
            return Err(format!("`{item}` is not an IPv4 subnet"));
        }
        bytes.extend(CfgValue::Subnet(address, length).emit());
        bytes.extend([0; 6]);
    }
    checked(kind, CfgValue::Other(bytes))
}

/// An address, a subnet or a text, as the attribute of this number has it.
fn numbered(kind: CfgAttributeType, text: &str) -> Result<Attribute, String> {
    let text = text.trim();
    let value = match (text.parse(), prefix(text)) {
        (Ok(address), _) => CfgValue::Address(address),
        (_, Ok((address, length))) => CfgValue::Subnet(address, length),
        _ => CfgValue::Other(text.as_bytes().to_vec()),
    };
    checked(kind, value)
}

/// The same, as whoever reads the attribute will take it.
fn checked(kind: CfgAttributeType, value: CfgValue) -> Result<Attribute, String> {
    match CfgValue::parse(kind, &value.emit()) {
        Ok(Some(value)) => Ok(Attribute { kind, value }),
        Ok(None) => Err("expected a value".to_owned()),
        Err(bad) => Err(bad.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_keeps_its_first_and_last_address() {
        let shown = |text: &str| range(text).map(|(base, all)| format!("{base} {}-{}", all.start(), all.end()));
        assert_eq!(shown("10.3.0.0/28"), Ok("10.3.0.0 10.3.0.1-10.3.0.14".to_owned()));
        assert_eq!(shown("10.3.0.1/32"), Ok("10.3.0.1 10.3.0.1-10.3.0.1".to_owned()));
        assert_eq!(shown("10.3.0.0/31"), Ok("10.3.0.0 10.3.0.0-10.3.0.1".to_owned()));
        assert_eq!(shown("fec3::/120"), Ok("fec3:: fec3::1-fec3::fe".to_owned()));
        assert_eq!(shown("10.3.0.5 - 10.3.0.9"), Ok("10.3.0.5 10.3.0.5-10.3.0.9".to_owned()));
        assert_eq!(shown("10.3.0.5"), Ok("10.3.0.5 10.3.0.5-10.3.0.5".to_owned()));
        for bad in ["", "10.3.0.0/33", "10.3.0.9-10.3.0.1", "10.3.0.1-fec3::1", "everywhere"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
