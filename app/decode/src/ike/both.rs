//! What payloads of both versions hold.

use std::net::{Ipv4Addr, Ipv6Addr};

use ravelin_types::identity::IdType;

use super::phase1::vendor_name;
use crate::field::{Secrecy, Value};
use crate::scope::Scope;

/// Payloads of one message that are read.
const MAX_PAYLOADS: usize = 512;

/// The content of an identity.
pub(super) fn identity_data(kind: u8, scope: &mut Scope<'_, '_>) {
    let bytes = scope.peek();
    let v4 = |at: usize| Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?).to_string());
    let v6 = |at: usize| Some(Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?).to_string());
    let text = || Some(String::from_utf8_lossy(bytes).escape_default().to_string());
    let (parts, between) = match kind {
        1 => (vec![("isakmp.id.data.ipv4_addr", v4(0))], ""),
        2 => (vec![("isakmp.id.data.fqdn", text())], ""),
        3 => (vec![("isakmp.id.data.user_fqdn", text())], ""),
        4 => (vec![("isakmp.id.data.ipv4_addr", v4(0)), ("isakmp.id.data.ipv4_subnet", v4(4))], "/"),
        5 => (vec![("isakmp.id.data.ipv6_addr", v6(0))], ""),
        6 => (vec![("isakmp.id.data.ipv6_addr", v6(0)), ("isakmp.id.data.ipv6_subnet", v6(16))], "/"),
        7 => (vec![("isakmp.id.data.ipv4_range_start", v4(0)), ("isakmp.id.data.ipv4_range_end", v4(4))], "-"),
        8 => (vec![("isakmp.id.data.ipv6_range_start", v6(0)), ("isakmp.id.data.ipv6_range_end", v6(16))], "-"),
        9 => (vec![("isakmp.id.data.der_asn1_dn", Some(distinguished_name(bytes)))], ""),
        11 => (vec![("isakmp.id.data.key_id", text())], ""),
        _ => (Vec::new(), ""),
    };
    if parts.iter().any(|(_, content)| content.is_none()) {
        scope.problem(format!("an identity of type {} cannot have {} bytes", IdType(kind), bytes.len()));
    }
    let shown: Vec<&str> = parts.iter().filter_map(|(_, content)| content.as_deref()).collect();
    scope.remainder("isakmp.id.data", format!("Identification Data - {}", shown.join(between)));
    scope.last_is(Secrecy::Identity);
    for (name, content) in &parts {
        if let Some(content) = content {
            scope.part(name, Value::Text(content.clone()), &[]);
        }
    }
}

/// The readable strings of a distinguished name in DER, for a reader's eye: nothing is decided by it.
fn distinguished_name(der: &[u8]) -> String {
    let runs = der.split(|byte| !(0x20..0x7f).contains(byte)).filter(|run| run.len() > 1);
    runs.map(|run| String::from_utf8_lossy(run).into_owned()).collect::<Vec<_>>().join(", ")
}

/// The SPIs of a Delete payload.
pub(super) fn spis(scope: &mut Scope<'_, '_>) -> Option<()> {
    let size = scope.number("isakmp.spisize", 1, |n| format!("SPI Size - {n}"))? as usize;
    let count = scope.number("isakmp.spinum", 2, |n| format!("Number of SPIs - {n}"))?;
    if size > 0 {
        for _ in 0..count {
            scope.bytes("isakmp.spi", size, "Delete SPI")?;
        }
    }
    Some(())
}

/// The content of a Vendor ID payload.
pub(super) fn vendor(scope: &mut Scope<'_, '_>) -> Option<()> {
    let bytes = scope.peek();
    scope.remainder("isakmp.vid_bytes", format!("Vendor ID - {}", vendor_name(bytes)));
    Some(())
}

/// Whether a chain may go on; says so when not.
pub(super) fn bounded(count: usize, scope: &mut Scope<'_, '_>) -> bool {
    if count == MAX_PAYLOADS {
        scope.problem(format!("more than {MAX_PAYLOADS} payloads"));
    }
    count < MAX_PAYLOADS
}
