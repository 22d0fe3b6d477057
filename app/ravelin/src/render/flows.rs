//! `ipsec netstat --flows`: the layout of OpenBSD's `ipsecctl -s all`.

use std::fmt::Write;

use ravelin_control::Message;

use super::field;

/// The names that OpenBSD has for algorithms of ours; others keep theirs in small letters.
const NAMES: &[(&str, &str)] = &[
    ("MD5", "hmac-md5"),
    ("SHA1", "hmac-sha1"),
    ("SHA256", "hmac-sha2-256"),
    ("SHA384", "hmac-sha2-384"),
    ("SHA512", "hmac-sha2-512"),
    ("DES-CBC", "des"),
    ("3DES-CBC", "3des"),
    ("AES128-CBC", "aes"),
    ("AES192-CBC", "aes-192"),
    ("AES256-CBC", "aes-256"),
    ("AES128-CTR", "aesctr"),
    ("AES192-CTR", "aes-192-ctr"),
    ("AES256-CTR", "aes-256-ctr"),
    ("AES128-GCM", "aes-128-gcm"),
    ("AES192-GCM", "aes-192-gcm"),
    ("AES256-GCM", "aes-256-gcm"),
    ("CHACHA20-POLY1305", "chacha20-poly1305"),
    ("NULL_ENC", "null"),
];

/// What OpenBSD writes in front of an identity, and what follows it.
const IDENTITIES: &[(&str, &str, &str)] = &[
    ("fqdn:", "FQDN/", ""),
    ("rfc822:", "USER_FQDN/", ""),
    ("ipv4:", "", "/32"),
    ("ipv6:", "", "/128"),
    ("asn1dn:", "ASN1_DN/", ""),
];

/// Policies.
pub fn flows(out: &mut String, flows: &Message) {
    out.push_str("FLOWS:\n");
    if flows.sections().next().is_none() {
        out.push_str("No flows\n");
    }
    for (_, flow) in flows.sections() {
        let _ = write!(out, "flow {} {}", field(flow, "protocol"), field(flow, "direction"));
        if let Some(proto) = flow.text("proto") {
            let _ = write!(out, " proto {proto}");
        }
        for name in ["from", "to"] {
            let _ = write!(out, " {name} {}", field(flow, name));
            for what in ["port", "icmp-type"] {
                if let Some(value) = flow.text(&format!("{name}-{what}")) {
                    let _ = write!(out, " {what} {value}");
                }
            }
        }
        if let Some(peer) = flow.text("peer") {
            let _ = write!(out, " peer {peer}");
        }
        for name in ["srcid", "dstid"] {
            if let Some(id) = flow.text(name) {
                let _ = write!(out, " {name} {}", identity(id));
            }
        }
        let _ = writeln!(out, " type {}", field(flow, "type"));
    }
    out.push('\n');
}

/// Security associations, both directions of each pair.
pub fn sad(out: &mut String, sas: &Message) {
    out.push_str("SAD:\n");
    if sas.sections().next().is_none() {
        out.push_str("No entries\n");
    }
    for (_, session) in sas.sections() {
        let (local, remote) = (field(session, "local"), field(session, "remote"));
        for (name, from, to) in [("inbound", remote, local), ("outbound", local, remote)] {
            let Some(sa) = session.section(name) else { continue };
            let protocols: &[&str] = match field(sa, "type") {
                "AH" => &["ah"],
                "AHESP" => &["esp", "ah"],
                _ => &["esp"],
            };
            for protocol in protocols {
                let ah = *protocol == "ah";
                let spi = if ah { sa.text("ah-spi").unwrap_or(field(sa, "spi")) } else { field(sa, "spi") };
                let _ = write!(out, "{protocol} {} from {from} to {to} spi 0x{spi}", field(session, "mode"));
                let auth = sa.text(if ah { "ah-integrity" } else { "integrity" }).filter(|auth| *auth != "none");
                if let Some(auth) = auth {
                    let _ = write!(out, " auth {}", algorithm(auth));
                }
                if let (false, Some(enc)) = (ah, sa.text("encryption")) {
                    let _ = write!(out, " enc {}", algorithm(enc));
                }
                out.push('\n');
            }
        }
    }
}

fn algorithm(name: &str) -> String {
    let known = NAMES.iter().find(|(ours, _)| *ours == name);
    known.map_or_else(|| name.to_ascii_lowercase(), |(_, theirs)| (*theirs).to_owned())
}

fn identity(id: &str) -> String {
    let known = IDENTITIES.iter().find_map(|(ours, before, after)| Some((id.strip_prefix(ours)?, before, after)));
    known.map_or_else(|| id.to_owned(), |(rest, before, after)| format!("{before}{rest}{after}"))
}
