//! Payloads of IKEv1 (RFC 2407 §4.6, RFC 2408 §3, RFC 2409; mode config, XAuth and fragments as drafts have them).

use ravelin_types::identity::IdType;
use ravelin_wire::ike::header::PayloadType;
use ravelin_wire::ike::v1::{
    AhId, AuthAlg, AuthMethod, CertEncoding, CfgAttribute, CfgType, Content, Doi, Encapsulation, EspId, GroupId,
    HashId, IkeAttribute, IkeEncr, IpcompId, IpsecAttribute, LifeType, Message, NotifyType, Payloads,
};

use super::attribute::{self, Meaning};
use super::both::{self, bounded};
use super::numbers::Numbers;
use super::proof::Verdict;
use crate::field::{Field, Secrecy, Value};
use crate::known::Known;
use crate::scope::Scope;

const GENERIC: usize = 4;
const PROPOSAL: u64 = 2;
const TRANSFORM: u64 = 3;
const ISAKMP: u64 = 1;
const AH: u64 = 2;
const ESP: u64 = 3;
const COMPRESSION: u64 = 4;

/// The name of a payload type.
pub(super) fn payload_name(number: u8) -> String {
    match PayloadType(number) {
        PayloadType::NONE => "NONE".into(),
        PayloadType::V1_SA => "Security Association".into(),
        PayloadType::V1_PROPOSAL => "Proposal".into(),
        PayloadType::V1_TRANSFORM => "Transform".into(),
        PayloadType::V1_KE => "Key Exchange".into(),
        PayloadType::V1_ID => "Identification".into(),
        PayloadType::V1_CERT => "Certificate".into(),
        PayloadType::V1_CERTREQ => "Certificate Request".into(),
        PayloadType::V1_HASH => "Hash".into(),
        PayloadType::V1_SIG => "Signature".into(),
        PayloadType::V1_NONCE => "Nonce".into(),
        PayloadType::V1_NOTIFY => "Notification".into(),
        PayloadType::V1_DELETE => "Delete".into(),
        PayloadType::V1_VENDOR => "Vendor ID".into(),
        PayloadType::V1_CFG => "Attributes".into(),
        other => other.to_string(),
    }
}

/// Reads what follows the header, `len` bytes of it.
pub(super) fn body(numbers: &Numbers, message: &[u8], len: usize, known: &mut Known, scope: &mut Scope<'_, '_>) {
    let phase1 = known.sessions.phase1(numbers.initiator);
    if !numbers.encrypted() {
        phase1.learn(message);
        chain(numbers.first, len, scope);
        if let Ok(Message { content: Content::Clear(payloads), .. }) = Message::parse(message) {
            verdict(phase1.judge(numbers, &payloads, message, known.keys.psks()), scope);
        }
        return;
    }
    let at = scope.at();
    let bytes = scope.peek().get(..len).unwrap_or_default();
    let plain = match (known.keys.ikev1(numbers.initiator), bytes) {
        (None, _) => Err("no key is given for this ISAKMP SA".to_owned()),
        (Some(_), []) => Err("there is none".to_owned()),
        (Some(key), bytes) => phase1.open(numbers, key, bytes),
    };
    match plain {
        Err(why) => {
            scope.bytes("isakmp.enc.data", len, format!("Encrypted Data; {why}"));
        }
        Ok(plain) => {
            let mut inner = Scope::new(&plain, at, scope.problems);
            chain(numbers.first, plain.len(), &mut inner);
            // What is left is padding (RFC 2409 appendix B).
            if !inner.is_empty() {
                inner.remainder("isakmp.extradata", "Padding");
            }
            if let Ok(payloads) = Payloads::parse(PayloadType(numbers.first), &plain) {
                verdict(phase1.judge(numbers, &payloads, &plain, known.keys.psks()), &mut inner);
            }
            let fields = inner.fields;
            scope.push(Field::group("isakmp.enc.data", at, fields));
            scope.skip(len);
        }
    }
}

/// Says whether a hash is of a pre-shared key that was given.
fn verdict(verdict: Option<Verdict>, scope: &mut Scope<'_, '_>) {
    let text = match verdict {
        None => return,
        Some(Verdict::Initiator) => "HASH_I verifies with a pre-shared key that was given",
        Some(Verdict::Responder) => "HASH_R verifies with a pre-shared key that was given",
        Some(Verdict::Neither) => {
            scope.problem("the hash verifies with no pre-shared key that was given: its sender has another key");
            return;
        }
    };
    scope.bytes("ravelin.psk_good", 0, text);
}

fn chain(first: u8, len: usize, scope: &mut Scope<'_, '_>) {
    let mut next = first;
    let end = scope.at() + len;
    let mut count = 0;
    while next != PayloadType::NONE.0 && scope.at() < end {
        if !bounded(count, scope) {
            return;
        }
        count += 1;
        let left = end - scope.at();
        let name = payload_name(next);
        let Some(head) = scope.peek().get(..GENERIC.min(left)).and_then(<[u8]>::first_chunk::<GENERIC>) else {
            scope.problem(format!("the header of payload {name} takes 4 bytes, and only {left} are left"));
            return;
        };
        let stated = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if stated > left || stated < GENERIC {
            scope.problem(format!(
                "payload {name} has {stated} bytes by its header, and {left} are left; it takes 4 at least"
            ));
        }
        let kind = PayloadType(next);
        next = head[0];
        scope.group("isakmp.typepayload", Value::Number(u64::from(kind.0)), stated.clamp(GENERIC, left), |scope| {
            generic(scope)?;
            payload(kind, scope)
        });
        if stated < GENERIC {
            return;
        }
    }
    if next != PayloadType::NONE.0 {
        scope.problem(format!("payload {} should follow, and the message ends", payload_name(next)));
    }
}

fn generic(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.nextpayload", 1, |n| format!("Next Payload - {}", payload_name(n as u8)))?;
    scope.bytes("isakmp.reserved", 1, "Reserved")?;
    scope.number("isakmp.payloadlength", 2, |n| format!("Payload Length - {n}")).map(drop)
}

fn payload(kind: PayloadType, scope: &mut Scope<'_, '_>) -> Option<()> {
    match kind {
        PayloadType::V1_SA => security_association(scope),
        PayloadType::V1_KE => {
            scope.remainder("isakmp.key_exchange.data", "Key Exchange Data");
            Some(())
        }
        PayloadType::V1_ID => identity(scope),
        PayloadType::V1_CERT => certificate(scope, "isakmp.cert.encoding", "isakmp.cert.data"),
        PayloadType::V1_CERTREQ => certificate(scope, "isakmp.certreq.type", "isakmp.certreq.authority"),
        PayloadType::V1_HASH => {
            scope.remainder("isakmp.hash", "Hash Data");
            scope.last_is(Secrecy::Secret);
            Some(())
        }
        PayloadType::V1_SIG => {
            scope.remainder("isakmp.sig", "Signature Data");
            Some(())
        }
        PayloadType::V1_NONCE => {
            scope.remainder("isakmp.nonce", "Nonce Data");
            Some(())
        }
        PayloadType::V1_NOTIFY => notify(scope),
        PayloadType::V1_DELETE => delete(scope),
        PayloadType::V1_VENDOR => both::vendor(scope),
        PayloadType::V1_CFG => configuration(scope),
        PayloadType::V1_NAT_D | PayloadType::V1_NAT_D_DRAFT => {
            scope.remainder("isakmp.ike.nat_hash", "HASH of the address and port");
            Some(())
        }
        PayloadType::V1_NAT_OA | PayloadType::V1_NAT_OA_DRAFT => original_address(scope),
        PayloadType::V1_FRAGMENT => fragment(scope),
        _ => {
            scope.remainder("isakmp.datapayload", "Data");
            Some(())
        }
    }
}

/// RFC 2407 §4.6.1.
fn security_association(scope: &mut Scope<'_, '_>) -> Option<()> {
    let doi = scope.number("isakmp.sa.doi", 4, |n| format!("DOI - {}", Doi(n as u32)))?;
    if doi > 1 {
        scope.remainder("isakmp.sa.situation", "Situation");
        return None;
    }
    let names = [(1, "IDENTITY ONLY"), (2, "SECRECY"), (4, "INTEGRITY")];
    let situation = u32::from_be_bytes(*scope.peek().first_chunk::<4>().or_else(|| {
        scope.problem("the situation takes 4 bytes");
        None
    })?);
    let shown: Vec<&str> = names.iter().filter(|(bit, _)| situation & bit != 0).map(|(_, name)| *name).collect();
    scope.bytes("isakmp.sa.situation", 4, format!("Situation - SIT {}", shown.join(", ")))?;
    for (name, bit) in [
        ("isakmp.sa.situation.identity_only", 1),
        ("isakmp.sa.situation.secrecy", 2),
        ("isakmp.sa.situation.integrity", 4),
    ] {
        scope.bits(name, u64::from(situation & bit != 0));
    }
    if situation & !7 != 0 {
        scope.problem(format!("situation {situation:#010x} has bits that RFC 2407 §4.2 does not know"));
    }
    let mut count = 0;
    while !scope.is_empty() && bounded(count, scope) {
        count += 1;
        let (more, len) = substructure(scope, "a proposal")?;
        scope.group("isakmp.typepayload", Value::Number(PROPOSAL), len, proposal);
        if more == 0 {
            break;
        }
    }
    Some(())
}

/// Whether another substructure follows, and the length of this one, clamped to what is left.
fn substructure(scope: &mut Scope<'_, '_>, what: &str) -> Option<(u8, usize)> {
    let Some(head) = scope.peek().first_chunk::<GENERIC>() else {
        scope.problem(format!("{what} takes at least 8 bytes, and only {} are left", scope.peek().len()));
        return None;
    };
    let stated = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let left = scope.peek().len();
    if stated > left || stated < 2 * GENERIC {
        scope.problem(format!("{what} has {stated} bytes by its header, and {left} are left; it takes 8 at least"));
    }
    Some((head[0], stated.clamp(GENERIC, left)))
}

fn proposal(scope: &mut Scope<'_, '_>) -> Option<()> {
    generic(scope)?;
    scope.number("isakmp.prop.number", 1, |n| format!("Proposal Number - {n}"))?;
    let protocol = scope.number("isakmp.prop.protoid", 1, |n| format!("Protocol ID - {}", protocol(n)))?;
    let spi = scope.number("isakmp.spisize", 1, |n| format!("SPI Size - {n}"))? as usize;
    let transforms = scope.number("isakmp.prop.transforms", 1, |n| format!("Number of Transforms - {n}"))?;
    if spi > 0 {
        scope.bytes("isakmp.spi", spi, "SPI")?;
    }
    let mut count = 0;
    while !scope.is_empty() {
        let (more, len) = substructure(scope, "a transform")?;
        scope.group("isakmp.typepayload", Value::Number(TRANSFORM), len, |scope| transform(protocol, scope));
        count += 1;
        if more == 0 {
            break;
        }
    }
    if count != transforms {
        scope.problem(format!("the proposal counts {transforms} transforms and has {count}"));
    }
    Some(())
}

fn protocol(number: u64) -> String {
    match number {
        1 => "PROTO_ISAKMP".into(),
        2 => "PROTO_IPSEC_AH".into(),
        3 => "PROTO_IPSEC_ESP".into(),
        4 => "PROTO_IPCOMP".into(),
        n => n.to_string(),
    }
}

fn transform(protocol: u64, scope: &mut Scope<'_, '_>) -> Option<()> {
    generic(scope)?;
    scope.number("isakmp.trans.number", 1, |n| format!("Transform Number - {n}"))?;
    scope.number("isakmp.trans.id", 1, |n| match (protocol, n) {
        (ISAKMP, 1) => "Transform ID - KEY_IKE".into(),
        (AH, n) => format!("Transform ID - {}", AhId(n as u8)),
        (ESP, n) => format!("Transform ID - {}", EspId(n as u8)),
        (COMPRESSION, n) => format!("Transform ID - {}", IpcompId(n as u8)),
        (_, n) => format!("Transform ID - {n}"),
    })?;
    scope.bytes("isakmp.reserved", 2, "RESERVED")?;
    while !scope.is_empty() {
        if protocol == ISAKMP {
            attribute::read(scope, &IKE, phase1_attribute)?;
        } else {
            attribute::read(scope, &IPSEC, phase2_attribute)?;
        }
    }
    Some(())
}

const IKE: attribute::Names = attribute::Names {
    attribute: "isakmp.ike.attr",
    format: "isakmp.ike.attr.format",
    kind: "isakmp.ike.attr.type",
    length: "isakmp.ike.attr.length",
    value: "isakmp.ike.attr.value",
};

const IPSEC: attribute::Names = attribute::Names {
    attribute: "isakmp.ipsec.attr",
    format: "isakmp.ipsec.attr.format",
    kind: "isakmp.ipsec.attr.type",
    length: "isakmp.ipsec.attr.length",
    value: "isakmp.ipsec.attr.value",
};

fn named(text: String, part: &'static str, number: u64) -> Meaning {
    Meaning { text, part: (!part.is_empty()).then_some((part, Value::Number(number))) }
}

/// RFC 2409 appendix A, in the words of document 003 §4.5.
fn phase1_attribute(kind: u16, value: &[u8]) -> Meaning {
    let n = attribute::number(value);
    let short = n as u16;
    let (text, part) = match IkeAttribute(kind) {
        IkeAttribute::ENCRYPTION => {
            (format!("Encryption - {}", IkeEncr(short)), "isakmp.ike.attr.encryption_algorithm")
        }
        IkeAttribute::HASH => (format!("Hash - {}", HashId(short)), "isakmp.ike.attr.hash_algorithm"),
        IkeAttribute::AUTHENTICATION_METHOD => {
            let method = match AuthMethod(short) {
                AuthMethod::PRE_SHARED_KEY => "Pre-shared Key".to_owned(),
                other => other.to_string(),
            };
            (format!("Authentication - {method}"), "isakmp.ike.attr.authentication_method")
        }
        IkeAttribute::GROUP => {
            let name = match GroupId(short).to_string() {
                name if name == short.to_string() => name,
                name => format!("{short} ({name})"),
            };
            (format!("Group - {name}"), "isakmp.ike.attr.group_description")
        }
        IkeAttribute::LIFE_TYPE => (format!("Life Type - {}", LifeType(short)), "isakmp.ike.attr.life_type"),
        IkeAttribute::LIFE_DURATION => (format!("Life Duration - {n}"), "isakmp.ike.attr.life_duration"),
        IkeAttribute::KEY_LENGTH => (format!("Key Length - {n}"), "isakmp.ike.attr.key_length"),
        other => (format!("{other} - {n}"), ""),
    };
    named(text, part, n)
}

/// RFC 2407 §4.5.
fn phase2_attribute(kind: u16, value: &[u8]) -> Meaning {
    let n = attribute::number(value);
    let short = n as u16;
    let (text, part) = match IpsecAttribute(kind) {
        IpsecAttribute::LIFE_TYPE => (format!("Life Type - {}", LifeType(short)), "isakmp.ipsec.attr.life_type"),
        IpsecAttribute::LIFE_DURATION => (format!("Life Duration - {n}"), "isakmp.ipsec.attr.life_duration"),
        IpsecAttribute::GROUP => (format!("Group - {}", GroupId(short)), "isakmp.ipsec.attr.group_description"),
        IpsecAttribute::ENCAPSULATION => {
            (format!("Encapsulation Mode - {}", Encapsulation(short)), "isakmp.ipsec.attr.encap_mode")
        }
        IpsecAttribute::AUTHENTICATION => {
            (format!("Authentication - {}", AuthAlg(short)), "isakmp.ipsec.attr.auth_algorithm")
        }
        IpsecAttribute::KEY_LENGTH => (format!("Key Length - {n}"), "isakmp.ipsec.attr.key_length"),
        other => (format!("{other} - {n}"), ""),
    };
    named(text, part, n)
}

/// RFC 2407 §4.6.2.
fn identity(scope: &mut Scope<'_, '_>) -> Option<()> {
    let kind = scope.number("isakmp.id.type", 1, |n| format!("ID Type - {}", IdType(n as u8)))?;
    scope.number("isakmp.id.protoid", 1, |n| format!("Protocol ID - {n}"))?;
    scope.number("isakmp.id.port", 2, |n| format!("Port - {n}"))?;
    both::identity_data(kind as u8, scope);
    Some(())
}

fn certificate(scope: &mut Scope<'_, '_>, encoding: &'static str, data: &'static str) -> Option<()> {
    scope.number(encoding, 1, |n| format!("Certificate Encoding - {}", CertEncoding(n as u8)))?;
    if !scope.is_empty() {
        scope.remainder(data, "Certificate Data");
        scope.last_is(Secrecy::Identity);
    }
    Some(())
}

/// RFC 2408 §3.14.
fn notify(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.notify.doi", 4, |n| format!("DOI - {}", Doi(n as u32)))?;
    scope.number("isakmp.notify.protoid", 1, |n| format!("Protocol ID - {}", protocol(n)))?;
    let spi = scope.number("isakmp.spisize", 1, |n| format!("SPI Size - {n}"))? as usize;
    scope.number("isakmp.notify.msgtype", 2, |n| {
        let kind = NotifyType(n as u16);
        format!("Notify Message Type - {kind}{}", if kind.is_error() { " (error)" } else { "" })
    })?;
    if spi > 0 {
        scope.bytes("isakmp.spi", spi, "SPI")?;
    }
    if !scope.is_empty() {
        scope.remainder("isakmp.notify.data", "Notification Data");
    }
    Some(())
}

fn delete(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.delete.doi", 4, |n| format!("DOI - {}", Doi(n as u32)))?;
    scope.number("isakmp.delete.protoid", 1, |n| format!("Protocol ID - {}", protocol(n)))?;
    both::spis(scope)
}

/// Mode config and XAuth.
fn configuration(scope: &mut Scope<'_, '_>) -> Option<()> {
    const NAMES: attribute::Names = attribute::Names {
        attribute: "isakmp.cfg.attr",
        format: "isakmp.cfg.attr.format",
        kind: "isakmp.cfg.attr.type",
        length: "isakmp.cfg.attr.length",
        value: "isakmp.cfg.attr.value",
    };
    scope.number("isakmp.cfg.type", 1, |n| format!("CFG Type - {}", CfgType(n as u8)))?;
    scope.bytes("isakmp.reserved", 1, "Reserved")?;
    scope.number("isakmp.cfg.identifier", 2, |n| format!("Identifier - {n}"))?;
    while !scope.is_empty() {
        let (kind, _) = attribute::read(scope, &NAMES, |kind, value| {
            let text = String::from_utf8_lossy(value).trim_end_matches('\0').escape_default().to_string();
            let address =
                || <[u8; 4]>::try_from(value).map(|a| std::net::Ipv4Addr::from(a).to_string()).unwrap_or_default();
            let (shown, part) = match CfgAttribute(kind) {
                _ if value.is_empty() => (String::new(), None),
                CfgAttribute::XAUTH_USER_NAME => {
                    (text.clone(), Some(("isakmp.cfg.attr.xauth.user_name", Value::Text(text))))
                }
                CfgAttribute::XAUTH_USER_PASSWORD => {
                    (text.clone(), Some(("isakmp.cfg.attr.xauth.user_password", Value::Text(text))))
                }
                CfgAttribute::XAUTH_STATUS => {
                    let n = attribute::number(value);
                    (n.to_string(), Some(("isakmp.cfg.attr.xauth.status", Value::Number(n))))
                }
                CfgAttribute::INTERNAL_IP4_ADDRESS => {
                    (address(), Some(("isakmp.cfg.attr.internal_ip4_address", Value::Text(address()))))
                }
                _ if value.len() == 4 => (address(), None),
                _ => (String::new(), None),
            };
            let dash = if shown.is_empty() { "" } else { " - " };
            Meaning { text: format!("{}{dash}{shown}", CfgAttribute(kind)), part }
        })?;
        // From XAUTH-USER-PASSWORD on, but for the status, they are passwords or answers.
        let secret = (CfgAttribute::XAUTH_USER_PASSWORD.0..=CfgAttribute::XAUTH_ANSWER.0).contains(&kind);
        let status = kind == CfgAttribute::XAUTH_STATUS.0;
        scope.last_is(if secret && !status { Secrecy::Secret } else { Secrecy::Identity });
    }
    Some(())
}

/// RFC 3947 §5.2.
fn original_address(scope: &mut Scope<'_, '_>) -> Option<()> {
    let kind = scope.number("isakmp.id.type", 1, |n| format!("ID Type - {}", IdType(n as u8)))?;
    scope.bytes("isakmp.reserved", 3, "Reserved")?;
    both::identity_data(kind as u8, scope);
    Some(())
}

fn fragment(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.frag.packetid", 2, |n| format!("Fragment ID - {n}"))?;
    scope.number("isakmp.frag.sequence", 1, |n| format!("Fragment Number - {n}"))?;
    scope.number(
        "isakmp.frag.last",
        1,
        |n| if n & 1 == 0 { "More fragments".into() } else { "Last fragment".into() },
    )?;
    scope.remainder("isakmp.frag.data", "Fragment Data");
    Some(())
}
