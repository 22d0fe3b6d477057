//! Algorithm names: those of document 003 and the modern ones, in any case, several separated by commas.
//!
//! An operator may name what is weak, and is told what is known against it; no default has it (ADR 0012). This is
//! where an operator says which suites are acceptable to IKE (RFC 7296 §3.3.4). What a protocol
//! cannot use is refused with the reason. `names.rs` holds the tables.

mod names;
#[cfg(test)]
mod tests;

use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{Additional, EncrId, IntegId, KeMethod, PrfId, SnId, Transform};

use self::names::{Names, Refused};
use super::{BadValue, did_you_mean};

/// An encryption algorithm with its key length where the algorithm has several.
pub type Encr = (EncrId, Option<u16>);

/// Encryption when `-e` is left out, best first.
pub const DEFAULT_ENCR: &[Encr] = &[
    (EncrId::AES_GCM_16, Some(128)),
    (EncrId::AES_GCM_16, Some(256)),
    (EncrId::CHACHA20_POLY1305, None),
    (EncrId::AES_CBC, Some(128)),
    (EncrId::AES_CBC, Some(256)),
];

/// Integrity when `-a` is left out.
pub const DEFAULT_INTEG: &[IntegId] =
    &[IntegId::HMAC_SHA2_256_128, IntegId::HMAC_SHA2_384_192, IntegId::HMAC_SHA2_512_256];

/// Pseudorandom functions when `-p` is left out.
pub const DEFAULT_PRF: &[PrfId] = &[PrfId::HMAC_SHA2_256, PrfId::HMAC_SHA2_384, PrfId::HMAC_SHA2_512];

/// Key exchange methods when `-d` is left out.
pub const DEFAULT_KE: &[KeMethod] = &[
    KeMethod::CURVE25519,
    KeMethod::ECP256,
    KeMethod::ECP384,
    KeMethod::ECP521,
    KeMethod::MODP2048,
    KeMethod::MODP3072,
    KeMethod::MODP4096,
];

/// Encryption of IKEv1 when `-e` is left out: its messages are encrypted in CBC mode alone (RFC 2409 appendix B).
pub const DEFAULT_ENCR_V1: &[Encr] = &[(EncrId::AES_CBC, Some(256)), (EncrId::AES_CBC, Some(128))];

/// Key exchange methods of IKEv1 when `-d` is left out: few, because each is offered with each cipher and hash in one message.
/// Curve25519 has its number of IKEv2 there, by which strongSwan offers it, and nothing else where none are named; it is last, for others
/// do not know it.
pub const DEFAULT_KE_V1: &[KeMethod] =
    &[KeMethod::ECP256, KeMethod::MODP2048, KeMethod::ECP384, KeMethod::MODP3072, KeMethod::CURVE25519];

/// The hash of IKEv1 that the name of an integrity algorithm stands for, as the pseudorandom function that it makes.
pub fn hash_of(integ: IntegId) -> Option<PrfId> {
    match integ {
        IntegId::HMAC_MD5_96 => Some(PrfId::HMAC_MD5),
        IntegId::HMAC_SHA1_96 => Some(PrfId::HMAC_SHA1),
        IntegId::HMAC_SHA2_256_128 => Some(PrfId::HMAC_SHA2_256),
        IntegId::HMAC_SHA2_384_192 => Some(PrfId::HMAC_SHA2_384),
        IntegId::HMAC_SHA2_512_256 => Some(PrfId::HMAC_SHA2_512),
        _ => None,
    }
}

/// A list of encryption algorithms for IKE.
///
/// # Errors
/// When a name is unknown or refused.
pub fn ike_encr_list(text: &str) -> Result<Vec<Encr>, BadValue> {
    list(text, "an encryption algorithm of IKE", &[names::ENCR], names::IKE_ENCR_REFUSED)
}

/// A list of encryption algorithms for ESP.
///
/// # Errors
/// When a name is unknown.
pub fn encr_list(text: &str) -> Result<Vec<Encr>, BadValue> {
    list(text, "an encryption algorithm", &[names::ENCR, names::ESP_ENCR], &[])
}

/// Every encryption algorithm that has a name here.
pub fn encryption() -> impl Iterator<Item = Encr> {
    [names::ENCR, names::ESP_ENCR].into_iter().flatten().map(|(encr, _)| *encr)
}

/// One encryption algorithm for ESP by its name.
pub fn encr(name: &str) -> Option<Encr> {
    named(&[names::ENCR, names::ESP_ENCR], name)
}

/// One integrity algorithm for ESP and AH by its name.
pub fn integ(name: &str) -> Option<IntegId> {
    named(&[names::INTEG, names::AH_INTEG], name)
}

fn named<T: Copy>(tables: &[Names<T>], name: &str) -> Option<T> {
    let mut rows = tables.iter().copied().flatten();
    rows.find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name))).map(|(value, _)| *value)
}

/// A list of integrity algorithms for IKE.
///
/// # Errors
/// When a name is unknown.
pub fn ike_integ_list(text: &str) -> Result<Vec<IntegId>, BadValue> {
    list(text, "an integrity algorithm of IKE", &[names::INTEG], &[])
}

/// A list of integrity algorithms for ESP and AH.
///
/// # Errors
/// When a name is unknown.
pub fn integ_list(text: &str) -> Result<Vec<IntegId>, BadValue> {
    list(text, "an integrity algorithm", &[names::INTEG, names::AH_INTEG], &[])
}

/// A list of pseudorandom functions.
///
/// # Errors
/// When a name is unknown.
pub fn prf_list(text: &str) -> Result<Vec<PrfId>, BadValue> {
    list(text, "a pseudorandom function", &[names::PRF], &[])
}

/// A list of key exchange methods.
///
/// # Errors
/// When a name is unknown.
pub fn ke_list(text: &str) -> Result<Vec<KeMethod>, BadValue> {
    list(text, "a key exchange group", &[names::KE], &[])
}

/// A key exchange method as transform: `KE1_ML-KEM-768` is one for the first additional key exchange (RFC 9370), up to
/// `KE7_`, and `KE1_NONE` lets the peer leave that out.
///
/// # Errors
/// When the name is unknown.
pub fn ke_transform(item: &str) -> Result<Transform, BadValue> {
    let (number, name) = additional(item);
    if let Some(number) = number.filter(|_| name.eq_ignore_ascii_case("none")) {
        return Ok(Transform::AddKe(number, KeMethod::NONE));
    }
    let at = item.len() - name.len();
    let methods = ke_list(name).map_err(|bad| BadValue::at(at + bad.offset, bad.message))?;
    let method = methods.first().copied().unwrap_or(KeMethod::NONE);
    Ok(number.map_or(Transform::Ke(method), |number| Transform::AddKe(number, method)))
}

/// A list of key exchange methods as transforms, as [`ke_transform`] has them.
///
/// # Errors
/// When a name is unknown, or all are additional.
pub fn ke_transforms(text: &str) -> Result<Vec<Transform>, BadValue> {
    let mut found: Vec<Transform> = Vec::new();
    let mut offset = 0;
    for item in text.split(',') {
        let transform = ke_transform(item).map_err(|bad| BadValue::at(offset + bad.offset, bad.message))?;
        if found.contains(&transform) {
            return Err(BadValue::at(offset, format!("{item} is in the list twice")));
        }
        found.push(transform);
        offset += item.len() + 1;
    }
    if !has_first_ke(&found) {
        return Err(BadValue::new("expected a key exchange group besides the additional ones, as CURVE25519"));
    }
    Ok(found)
}

/// Whether there is a key exchange method besides the additional ones.
pub fn has_first_ke(transforms: &[Transform]) -> bool {
    transforms.iter().any(|transform| matches!(transform, Transform::Ke(_)))
}

/// The number of `KE1_...`, and what follows it.
fn additional(item: &str) -> (Option<Additional>, &str) {
    let parts = item.get(..2).filter(|ke| ke.eq_ignore_ascii_case("ke")).and(item.get(2..3)).zip(item.get(3..));
    let numbered = parts.and_then(|(digit, rest)| {
        let name = rest.strip_prefix(['_', '-'])?;
        Some((Additional::new(digit.parse().ok()?)?, name))
    });
    numbered.map_or((None, item), |(number, name)| (Some(number), name))
}

/// The key exchanges of IKE when `-d` is left out: with ML-KEM-768 behind the first one, and without for peers that do
/// not know it.
pub fn default_ke() -> [Vec<Transform>; 2] {
    let plain: Vec<Transform> = DEFAULT_KE.iter().map(|id| Transform::Ke(*id)).collect();
    let first = Additional::all().take(1).map(|number| Transform::AddKe(number, KeMethod::ML_KEM_768));
    [plain.iter().copied().chain(first).collect(), plain]
}

/// A list of key exchange methods as transforms, or `none`.
///
/// # Errors
/// When a name is unknown.
pub fn pfs_list(text: &str) -> Result<Vec<Transform>, BadValue> {
    if text.eq_ignore_ascii_case("none") { Ok(Vec::new()) } else { ke_transforms(text) }
}

fn list<T: Copy + PartialEq>(
    text: &str,
    kind: &str,
    tables: &[Names<T>],
    refused: Refused,
) -> Result<Vec<T>, BadValue> {
    let names = || tables.iter().copied().flatten();
    let mut found = Vec::new();
    let mut offset = 0;
    for item in text.split(',') {
        let is_item = |name: &&&str| name.eq_ignore_ascii_case(item);
        if let Some(value) = named(tables, item) {
            if found.contains(&value) {
                return Err(BadValue::at(offset, format!("{item} is in the list twice")));
            }
            found.push(value);
        } else if let Some((_, why)) = refused.iter().find(|(names, _)| names.iter().any(|name| is_item(&name))) {
            return Err(BadValue::at(offset, format!("{item} is refused: {why}")));
        } else {
            let known: Vec<&str> = names().filter_map(|(_, names)| names.first().copied()).collect();
            let hint = did_you_mean(item, known.iter().copied());
            let shown = if item.is_empty() { "nothing".to_owned() } else { format!("`{item}`") };
            let message = format!("{shown} is not {kind}; expected {}{hint}", known.join(", "));
            return Err(BadValue::at(offset, message));
        }
        offset += item.len() + 1;
    }
    Ok(found)
}

/// The name of an encryption algorithm as document 003 spells such names.
pub fn encr_name(id: EncrId, key_bits: Option<u16>) -> String {
    let mut names = names::ENCR.iter().chain(names::ESP_ENCR);
    let known = names.find(|(encr, _)| encr.0 == id && (encr.1.is_none() || encr.1 == key_bits));
    match known.and_then(|(_, names)| names.first()) {
        Some(name) => (*name).to_owned(),
        None => Transform::Encr(id, key_bits).to_string(),
    }
}

/// The name of an integrity algorithm, as a list takes it.
pub fn integ_name(id: IntegId) -> String {
    name_of(&[names::INTEG, names::AH_INTEG], id).unwrap_or_else(|| id.to_string())
}

/// The name of a pseudorandom function, as a list takes it.
pub fn prf_name(id: PrfId) -> String {
    name_of(&[names::PRF], id).unwrap_or_else(|| id.to_string())
}

/// The name of a key exchange method, as a list takes it.
pub fn ke_name(id: KeMethod) -> String {
    name_of(&[names::KE], id).unwrap_or_else(|| id.to_string())
}

fn name_of<T: Copy + PartialEq>(tables: &[Names<T>], value: T) -> Option<String> {
    let mut rows = tables.iter().copied().flatten();
    let (_, names) = rows.find(|(known, _)| *known == value)?;
    names.first().map(|name| (*name).to_owned())
}

/// Whether the cipher authenticates by itself.
pub fn is_aead(encr: EncrId) -> bool {
    // RFC 2405, RFC 2451, RFC 2410, RFC 3602, RFC 3686 and RFC 5529: these do not.
    const PLAIN: [EncrId; 6] =
        [EncrId::DES, EncrId::DES3, EncrId::NULL, EncrId::AES_CBC, EncrId::AES_CTR, EncrId::CAMELLIA_CBC];
    !PLAIN.contains(&encr)
}

/// Whether the integrity algorithm is for AH alone (RFC 4543 §5.3).
pub fn is_ah_only(integ: IntegId) -> bool {
    [IntegId::AES_128_GMAC, IntegId::AES_192_GMAC, IntegId::AES_256_GMAC].contains(&integ)
}

/// What an operator should know of those among these that are weak: one sentence each, in their order.
pub fn weaknesses<'a>(transforms: impl IntoIterator<Item = &'a Transform>) -> Vec<String> {
    let mut told: Vec<Transform> = Vec::new();
    let mut sentences = Vec::new();
    for transform in transforms {
        // Key lengths and places make no difference: one sentence for all of an algorithm.
        let (which, name, why) = match *transform {
            Transform::Encr(id, bits) => (Transform::Encr(id, None), encr_name(id, bits), names::encr_warning(id)),
            Transform::Integ(id) => (*transform, id.to_string(), names::integ_warning(id)),
            Transform::Prf(id) => (*transform, format!("PRF {id}"), names::prf_warning(id)),
            Transform::Ke(id) | Transform::AddKe(_, id) => (Transform::Ke(id), id.to_string(), names::ke_warning(id)),
            Transform::Sn(_) | Transform::Unknown { .. } => continue,
        };
        if let Some(why) = why.filter(|_| !told.contains(&which)) {
            told.push(which);
            sentences.push(format!("{name}: {why}"));
        }
    }
    sentences
}

/// Proposals from lists: `rest` goes into each. A proposal holds either ciphers that authenticate by themselves or
/// others with an integrity algorithm (RFC 7296 §3.3), so a list that mixes them becomes several proposals, in the
/// order of the list.
pub fn proposals(protocol: ProtocolId, encr: &[Encr], integ: &[IntegId], rest: &[Transform]) -> Vec<Proposal> {
    encr.chunk_by(|a, b| is_aead(a.0) == is_aead(b.0))
        .map(|run| {
            let mut transforms: Vec<Transform> = run.iter().map(|(id, bits)| Transform::Encr(*id, *bits)).collect();
            if run.iter().any(|(id, _)| !is_aead(*id)) {
                transforms.extend(integ.iter().map(|id| Transform::Integ(*id)));
            }
            transforms.extend(rest);
            Proposal { protocol, transforms }
        })
        .collect()
}

/// The proposal of AH: `rest` goes into it.
pub fn ah_proposals(integ: &[IntegId], rest: &[Transform]) -> Vec<Proposal> {
    let transforms = integ.iter().map(|id| Transform::Integ(*id)).chain(rest.iter().copied()).collect();
    vec![Proposal { protocol: ProtocolId::AH, transforms }]
}

/// Whether to use extended sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Esn {
    /// Offer both, extended first.
    Prefer,
    /// Only extended.
    Require,
    /// Only 32-bit.
    Off,
}

impl Esn {
    /// As written, unless it is the default.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Esn::Prefer => None,
            Esn::Require => Some("require"),
            Esn::Off => Some("off"),
        }
    }

    /// As transforms, best first.
    pub fn transforms(self) -> &'static [Transform] {
        const EXTENDED: Transform = Transform::Sn(SnId::PARTIAL_64);
        const PLAIN: Transform = Transform::Sn(SnId::SEQUENTIAL_32);
        match self {
            Esn::Prefer => &[EXTENDED, PLAIN],
            Esn::Require => &[EXTENDED],
            Esn::Off => &[PLAIN],
        }
    }
}
