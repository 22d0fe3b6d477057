//! The other payloads in the clear (RFC 7296 §3.4 to §3.16).

use std::net::{Ipv4Addr, Ipv6Addr};

use ravelin_types::identity::IdType;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::cfg_value::{CfgValue, DnsDigest, EncryptedDns};
use ravelin_wire::ike::svc_params::SvcParams;
use ravelin_wire::ike::v2::{
    Announcement, AuthMethod, CertEncoding, CfgAttributeType, CfgType, EapCode, NotifyType, TsType,
};

use super::sa::protocol;
use crate::field::{Secrecy, Value};
use crate::ike::attribute;
use crate::ike::both::{identity_data, spis};
use crate::scope::Scope;

pub(super) fn key_exchange(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.key_exchange.dh_group", 2, |n| format!("Key Exchange Method - {}", KeMethod(n as u16)))?;
    scope.bytes("isakmp.reserved", 2, "Reserved")?;
    scope.remainder("isakmp.key_exchange.data", "Key Exchange Data");
    Some(())
}

pub(super) fn identity(scope: &mut Scope<'_, '_>) -> Option<()> {
    let kind = scope.number("isakmp.id.type", 1, |n| format!("ID Type - {}", IdType(n as u8)))?;
    scope.bytes("isakmp.reserved", 3, "Reserved")?;
    identity_data(kind as u8, scope);
    Some(())
}

pub(super) fn certificate(
    scope: &mut Scope<'_, '_>,
    encoding: &'static str,
    data: &'static str,
    text: &'static str,
) -> Option<()> {
    scope.number(encoding, 1, |n| format!("Certificate Encoding - {}", CertEncoding(n as u8)))?;
    if !scope.is_empty() {
        scope.remainder(data, text);
        scope.last_is(Secrecy::Identity);
    }
    Some(())
}

pub(super) fn auth(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.auth.method", 1, |n| format!("Authentication Method - {}", AuthMethod(n as u8)))?;
    scope.bytes("isakmp.reserved", 3, "Reserved")?;
    scope.remainder("isakmp.auth.data", "Authentication Data");
    scope.last_is(Secrecy::Secret);
    Some(())
}

pub(super) fn notify(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.notify.protoid", 1, |n| format!("Protocol ID - {}", protocol(n)))?;
    let spi = scope.number("isakmp.spisize", 1, |n| format!("SPI Size - {n}"))? as usize;
    let kind = NotifyType(scope.number("isakmp.notify.msgtype", 2, |n| {
        let kind = NotifyType(n as u16);
        format!("Notify Message Type - {kind}{}", if kind.is_error() { " (error)" } else { "" })
    })? as u16);
    if spi > 0 {
        scope.bytes("isakmp.spi", spi, "SPI")?;
    }
    let data = scope.peek();
    if data.is_empty() {
        return Some(());
    }
    let numbers =
        |name: &'static str| -> Vec<_> { data.chunks(2).map(|number| (name, attribute::number(number))).collect() };
    let (text, parts) = match (kind, data) {
        (NotifyType::INVALID_KE_PAYLOAD, [high, low]) => {
            let group = KeMethod(u16::from_be_bytes([*high, *low]));
            (format!("Accepted Key Exchange Method - {group}"), numbers("isakmp.notify.data.accepted_dh_group"))
        }
        (NotifyType::SIGNATURE_HASH_ALGORITHMS, _) => {
            let numbers = numbers("isakmp.notify.data.signature_hash_algorithms");
            let names: Vec<String> = numbers.iter().map(|(_, number)| hash_name(*number)).collect();
            (format!("Hash Algorithms - {}", names.join(", ")), numbers)
        }
        (NotifyType::SUPPORTED_AUTH_METHODS, _) => match Announcement::parse_all(data).collect::<Result<Vec<_>, _>>() {
            Ok(all) => {
                let names: Vec<String> = all.iter().map(announced).collect();
                let text = format!("Authentication Methods - {}", names.join(", "));
                let name = "isakmp.notify.data.supported_auth_methods";
                (text, all.iter().map(|one| (name, u64::from(one.method.0))).collect())
            }
            Err(malformed) => {
                scope.problem(malformed.reason);
                ("Notification Data".into(), Vec::new())
            }
        },
        (NotifyType::AUTH_LIFETIME, [_, _, _, _]) => {
            let seconds = attribute::number(data);
            let text = format!("Authentication Lifetime - {seconds} seconds");
            (text, vec![("isakmp.notify.data.auth_lifetime", seconds)])
        }
        // RFC 7296 §2.22.
        (NotifyType::IPCOMP_SUPPORTED, [high, low, transform, ..]) => {
            let cpi = u16::from_be_bytes([*high, *low]);
            let parts = vec![
                ("isakmp.notify.data.ipcomp.cpi", cpi.into()),
                ("isakmp.notify.data.ipcomp.transform_id", (*transform).into()),
            ];
            (format!("IPComp CPI - {cpi:#06x}, Transform - {}", ipcomp_name(*transform)), parts)
        }
        // RFC 9347 §6.1.4.
        (NotifyType::USE_AGGFRAG, [flags]) => {
            let needs = [(2, "congestion control"), (1, "whole packets")];
            let needs: Vec<&str> = needs.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
            let needs = if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") };
            (format!("AGGFRAG Flags - {flags:#04x}, requires {needs}"), Vec::new())
        }
        _ => ("Notification Data".into(), Vec::new()),
    };
    scope.remainder("isakmp.notify.data", text);
    for (name, number) in parts {
        scope.bits(name, number);
    }
    Some(())
}

/// An announcement (RFC 9593 §3.2).
fn announced(one: &Announcement<'_>) -> String {
    let algorithm: String = one.algorithm().iter().map(|byte| format!("{byte:02x}")).collect();
    match (one.link(), algorithm.is_empty()) {
        (0, true) => one.method.to_string(),
        (0, false) => format!("{} {algorithm}", one.method),
        (link, true) => format!("{} for authority {link}", one.method),
        (link, false) => format!("{} {algorithm} for authority {link}", one.method),
    }
}

fn ipcomp_name(transform: u8) -> String {
    match transform {
        1 => "OUI".into(),
        2 => "DEFLATE".into(),
        3 => "LZS".into(),
        4 => "LZJH".into(),
        other => other.to_string(),
    }
}

/// RFC 7427 §7 and its registry.
fn hash_name(number: u64) -> String {
    match number {
        1 => "SHA1".into(),
        2 => "SHA2-256".into(),
        3 => "SHA2-384".into(),
        4 => "SHA2-512".into(),
        5 => "Identity".into(),
        n => n.to_string(),
    }
}

pub(super) fn delete(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.delete.protoid", 1, |n| format!("Protocol ID - {}", protocol(n)))?;
    spis(scope)
}

pub(super) fn selectors(scope: &mut Scope<'_, '_>) -> Option<()> {
    let count = scope.number("isakmp.ts.number", 1, |n| format!("Number of Traffic Selectors - {n}"))?;
    scope.bytes("isakmp.reserved", 3, "Reserved")?;
    for _ in 0..count {
        let head = scope.peek().first_chunk::<4>();
        let stated = head.map_or(0, |head| usize::from(u16::from_be_bytes([head[2], head[3]])));
        let left = scope.peek().len();
        if head.is_none() || stated > left || stated < 4 {
            scope.problem(format!("a traffic selector has {stated} bytes by its header, and {left} are left"));
        }
        if left == 0 {
            return None;
        }
        scope.group("isakmp.ts.data", Value::Bytes, stated.clamp(4.min(left), left), selector);
    }
    Some(())
}

fn selector(scope: &mut Scope<'_, '_>) -> Option<()> {
    let kind = scope.number("isakmp.ts.type", 1, |n| format!("TS Type - {}", TsType(n as u8)))?;
    scope.number("isakmp.ts.protoid", 1, |n| {
        if n == 0 { "IP Protocol - any".into() } else { format!("IP Protocol - {n}") }
    })?;
    scope.number("isakmp.ts.selector_length", 2, |n| format!("Selector Length - {n}"))?;
    let address = |bytes: &[u8]| {
        let v4 = <[u8; 4]>::try_from(bytes).map(|a| Ipv4Addr::from(a).to_string());
        v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|a| Ipv6Addr::from(a).to_string())).unwrap_or_default()
    };
    let (len, start, end) = match TsType(kind as u8) {
        TsType::IPV4_ADDR_RANGE => (4, "isakmp.ts.start_ipv4", "isakmp.ts.end_ipv4"),
        TsType::IPV6_ADDR_RANGE => (16, "isakmp.ts.start_ipv6", "isakmp.ts.end_ipv6"),
        _ => {
            scope.remainder("isakmp.ts.data", "Selector");
            return Some(());
        }
    };
    let first = scope.number("isakmp.ts.start_port", 2, |n| format!("Start Port - {n}"))?;
    let last = scope.number("isakmp.ts.end_port", 2, |n| format!("End Port - {n}"))?;
    // RFC 7296 §3.13.1: 65535 to 0 is OPAQUE.
    if first > last && (first, last) != (65535, 0) {
        scope.problem("the range of ports runs backwards");
    }
    for (name, text) in [(start, "Starting Address"), (end, "Ending Address")] {
        scope.text(name, len, |a| (address(a), format!("{text} - {}", address(a))))?;
        scope.last_is(Secrecy::Identity);
    }
    Some(())
}

pub(super) fn configuration(scope: &mut Scope<'_, '_>) -> Option<()> {
    const NAMES: attribute::Names = attribute::Names {
        attribute: "isakmp.cfg.attr",
        format: "isakmp.cfg.attr.format",
        kind: "isakmp.cfg.attr.type",
        length: "isakmp.cfg.attr.length",
        value: "isakmp.cfg.attr.value",
    };
    scope.number("isakmp.cfg.type", 1, |n| format!("CFG Type - {}", CfgType(n as u8)))?;
    scope.bytes("isakmp.reserved", 3, "Reserved")?;
    while !scope.is_empty() {
        attribute::read(scope, &NAMES, |kind, value| {
            let shown = match value {
                _ if told(kind, value).is_some() => format!(" - {}", told(kind, value).unwrap_or_default()),
                [a, b, c, d] => format!(" - {}", Ipv4Addr::new(*a, *b, *c, *d)),
                _ => match value.first_chunk::<16>() {
                    Some(address) if value.len() <= 17 => format!(" - {}", Ipv6Addr::from(*address)),
                    _ => String::new(),
                },
            };
            attribute::Meaning { text: format!("{}{shown}", CfgAttributeType(kind)), part: None }
        })?;
        scope.last_is(Secrecy::Identity);
    }
    Some(())
}

/// An encrypted DNS resolver (RFC 9464 §3), or what is on a virtual link (RFC 5739 §5).
fn told(kind: u16, value: &[u8]) -> Option<String> {
    match CfgValue::parse(CfgAttributeType(kind), value).ok()?? {
        CfgValue::EncryptedDns(EncryptedDns { priority, addresses, name, parameters }) => {
            let SvcParams { alpn, port, dohpath } = SvcParams::parse(&parameters)?;
            let at: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let port = port.map(|port| format!(", port {port}")).unwrap_or_default();
            let path = dohpath.map(|path| format!(", path {path}")).unwrap_or_default();
            Some(format!("{name} at {}, priority {priority}, ALPN {}{port}{path}", at.join(", "), alpn.join(", ")))
        }
        CfgValue::DnsDigest(DnsDigest { hashes, name, digest }) => {
            let hashes: Vec<String> = hashes.iter().map(|hash| hash_name((*hash).into())).collect();
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(
                [name, hashes.join(", "), digest]
                    .iter()
                    .filter(|part| !part.is_empty())
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        }
        CfgValue::Link(interface, id) => {
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("interface ID {interface:016x}, link {}", if id.is_empty() { "not named yet" } else { &id }))
        }
        CfgValue::Prefix(first, length) => Some(format!("{first}/{length}")),
        _ => None,
    }
}

/// RFC 3748 §4.
pub(super) fn eap(scope: &mut Scope<'_, '_>) -> Option<()> {
    let code = scope.number("eap.code", 1, |n| format!("EAP Code - {}", EapCode(n as u8)))?;
    scope.number("eap.id", 1, |n| format!("EAP Identifier - {n}"))?;
    let have = scope.peek().len() + 2;
    let length = scope.number("eap.len", 2, |n| format!("EAP Length - {n}"))? as usize;
    if length != have {
        scope.problem(format!("the EAP message has {length} bytes by its header, and {have} are there"));
    }
    if [u64::from(EapCode::REQUEST.0), u64::from(EapCode::RESPONSE.0)].contains(&code) {
        let kind = scope.number("eap.type", 1, |n| format!("EAP Type - {}", eap_type(n)))?;
        let identity = kind == 1;
        scope.remainder("eap.data", "EAP Data");
        scope.last_is(if identity { Secrecy::Identity } else { Secrecy::Secret });
    }
    Some(())
}

fn eap_type(number: u64) -> String {
    match number {
        1 => "Identity".into(),
        2 => "Notification".into(),
        3 => "Nak".into(),
        4 => "MD5-Challenge".into(),
        6 => "GTC".into(),
        13 => "TLS".into(),
        18 => "SIM".into(),
        21 => "TTLS".into(),
        23 => "AKA".into(),
        25 => "PEAP".into(),
        26 => "MSCHAPv2".into(),
        50 => "AKA'".into(),
        254 => "Expanded".into(),
        n => n.to_string(),
    }
}
