//! Algorithm names: those of document 003 and the modern ones, in any case, several separated by commas.
//!
//! What is weak or absent is refused by name, with the reason and what to write instead.

use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, Transform};

use super::{BadValue, did_you_mean};

/// An encryption algorithm with its key length where the algorithm has several.
pub type Encr = (EncrId, Option<u16>);

/// Names of one transform type: the first of each row is the one that listings show.
type Names<T> = &'static [(T, &'static [&'static str])];

/// Names that are known and refused, and why.
type Refused = &'static [(&'static [&'static str], &'static str)];

const ENCR: Names<Encr> = &[
    ((EncrId::AES_GCM_16, Some(128)), &["AES128-GCM", "AES128-GCM-16", "AES128GCM16", "AES-GCM-128"]),
    ((EncrId::AES_GCM_16, Some(256)), &["AES256-GCM", "AES256-GCM-16", "AES256GCM16", "AES-GCM-256"]),
    ((EncrId::CHACHA20_POLY1305, None), &["CHACHA20-POLY1305", "CHACHA20POLY1305"]),
    ((EncrId::AES_CBC, Some(128)), &["AES128-CBC", "AES128", "AES-CBC-128"]),
    ((EncrId::AES_CBC, Some(192)), &["AES192-CBC", "AES192", "AES-CBC-192"]),
    ((EncrId::AES_CBC, Some(256)), &["AES256-CBC", "AES256", "AES-CBC-256"]),
];

const ENCR_REFUSED: Refused = &[
    (&["3DES-CBC", "3DES"], "3DES is broken by its 64-bit block (Sweet32); use AES128-GCM or AES128-CBC"),
    (&["DES-CBC", "DES"], "DES has a 56-bit key; use AES128-GCM or AES128-CBC"),
    (&["NULL_ENC", "NULL"], "NULL_ENC does not encrypt; use AES128-GCM"),
    (&["AES192-GCM"], "AES192-GCM is not there; use AES128-GCM or AES256-GCM"),
    (&["AES128-CTR", "AES256-CTR", "AES-CTR"], "AES-CTR is not there; use AES128-GCM"),
    (
        &["AES128-GCM-8", "AES128-GCM-12", "AES256-GCM-8", "AES256-GCM-12"],
        "a shortened ICV is not there; use AES128-GCM or AES256-GCM",
    ),
];

const INTEG: Names<IntegId> = &[
    (IntegId::HMAC_SHA2_256_128, &["HMAC-SHA-2-256", "SHA256", "SHA2-256"]),
    (IntegId::HMAC_SHA2_384_192, &["HMAC-SHA-2-384", "SHA384", "SHA2-384"]),
    (IntegId::HMAC_SHA2_512_256, &["HMAC-SHA-2-512", "SHA512", "SHA2-512"]),
    (IntegId::HMAC_SHA1_96, &["HMAC-SHA-1", "SHA", "SHA1"]),
];

const PRF: Names<PrfId> = &[
    (PrfId::HMAC_SHA2_256, &["HMAC-SHA-2-256", "SHA256", "SHA2-256"]),
    (PrfId::HMAC_SHA2_384, &["HMAC-SHA-2-384", "SHA384", "SHA2-384"]),
    (PrfId::HMAC_SHA2_512, &["HMAC-SHA-2-512", "SHA512", "SHA2-512"]),
    (PrfId::HMAC_SHA1, &["HMAC-SHA-1", "SHA", "SHA1"]),
];

const HASH_REFUSED: Refused = &[(&["HMAC-MD5", "MD5"], "MD5 is broken; use HMAC-SHA-2-256")];

const KE: Names<KeMethod> = &[
    (KeMethod::CURVE25519, &["CURVE25519", "X25519"]),
    (KeMethod::ECP256, &["ECP256", "P-256"]),
    (KeMethod::ECP384, &["ECP384", "P-384"]),
    (KeMethod::ECP521, &["ECP521", "P-521"]),
    (KeMethod::MODP2048, &["MODP2048"]),
    (KeMethod::MODP3072, &["MODP3072"]),
    (KeMethod::MODP4096, &["MODP4096"]),
];

const KE_REFUSED: Refused = &[
    (&["MODP768", "MODP1024"], "groups of up to 1024 bits can be broken; use CURVE25519, ECP256 or MODP2048"),
    (&["MODP1536"], "MODP1536 is too weak; use CURVE25519, ECP256 or MODP2048"),
    (&["MODP6144", "MODP8192"], "this group is not there; use CURVE25519, ECP384 or MODP4096"),
];

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

/// A list of encryption algorithms.
///
/// # Errors
/// When a name is unknown or refused.
pub fn encr_list(text: &str) -> Result<Vec<Encr>, BadValue> {
    list(text, "an encryption algorithm", ENCR, ENCR_REFUSED)
}

/// A list of integrity algorithms.
///
/// # Errors
/// When a name is unknown or refused.
pub fn integ_list(text: &str) -> Result<Vec<IntegId>, BadValue> {
    list(text, "an integrity algorithm", INTEG, HASH_REFUSED)
}

/// A list of pseudorandom functions.
///
/// # Errors
/// When a name is unknown or refused.
pub fn prf_list(text: &str) -> Result<Vec<PrfId>, BadValue> {
    list(text, "a pseudorandom function", PRF, HASH_REFUSED)
}

/// A list of key exchange methods.
///
/// # Errors
/// When a name is unknown or refused.
pub fn ke_list(text: &str) -> Result<Vec<KeMethod>, BadValue> {
    list(text, "a key exchange group", KE, KE_REFUSED)
}

/// A list of key exchange methods, or `none`.
///
/// # Errors
/// When a name is unknown or refused.
pub fn pfs_list(text: &str) -> Result<Vec<KeMethod>, BadValue> {
    if text.eq_ignore_ascii_case("none") { Ok(Vec::new()) } else { ke_list(text) }
}

fn list<T: Copy + PartialEq>(text: &str, kind: &str, names: Names<T>, refused: Refused) -> Result<Vec<T>, BadValue> {
    let mut found = Vec::new();
    let mut offset = 0;
    for item in text.split(',') {
        let is_item = |name: &&&str| name.eq_ignore_ascii_case(item);
        if let Some((value, _)) = names.iter().find(|(_, names)| names.iter().any(|name| is_item(&name))) {
            if found.contains(value) {
                return Err(BadValue::at(offset, format!("{item} is in the list twice")));
            }
            found.push(*value);
        } else if let Some((_, why)) = refused.iter().find(|(names, _)| names.iter().any(|name| is_item(&name))) {
            return Err(BadValue::at(offset, format!("{item} is refused: {why}")));
        } else {
            let known: Vec<&str> = names.iter().filter_map(|(_, names)| names.first().copied()).collect();
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
    let known = ENCR.iter().find(|(encr, _)| encr.0 == id && (encr.1.is_none() || encr.1 == key_bits));
    match known.and_then(|(_, names)| names.first()) {
        Some(name) => (*name).to_owned(),
        None => Transform::Encr(id, key_bits).to_string(),
    }
}

/// Whether the cipher authenticates by itself.
pub fn is_aead(encr: EncrId) -> bool {
    encr == EncrId::AES_GCM_16 || encr == EncrId::CHACHA20_POLY1305
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn original_and_modern_names_in_any_case() {
        assert_eq!(
            encr_list("aes128-gcm,AES256-CBC,ChaCha20-Poly1305"),
            Ok(vec![(EncrId::AES_GCM_16, Some(128)), (EncrId::AES_CBC, Some(256)), (EncrId::CHACHA20_POLY1305, None)])
        );
        assert_eq!(integ_list("HMAC-SHA-1"), Ok(vec![IntegId::HMAC_SHA1_96]));
        assert_eq!(ke_list("curve25519,MODP2048"), Ok(vec![KeMethod::CURVE25519, KeMethod::MODP2048]));
        assert_eq!(pfs_list("none"), Ok(vec![]));
    }

    #[test]
    fn weak_names_are_refused_with_an_alternative() {
        let error = encr_list("AES128-GCM,3DES-CBC").unwrap_err();
        assert_eq!(error.offset, 11);
        assert!(error.message.contains("3DES-CBC is refused") && error.message.contains("AES128-GCM"), "{error}");
        for (text, list) in [("MODP768", ke_list as fn(&str) -> _), ("MODP1536", ke_list), ("MODP8192", ke_list)] {
            let error: BadValue = list(text).unwrap_err();
            assert!(error.message.contains("use CURVE25519"), "{error}");
        }
        assert!(integ_list("md5").unwrap_err().message.contains("use HMAC-SHA-2-256"));
        assert!(encr_list("NULL_ENC").is_err());
    }

    #[test]
    fn a_misspelt_name_is_located() {
        let error = ke_list("ECP256,CURVE25518").unwrap_err();
        assert_eq!(error.offset, 7);
        assert!(error.message.ends_with("did you mean CURVE25519?"), "{error}");
        assert!(encr_list("").is_err());
        assert!(encr_list("AES128-GCM,AES128GCM16").unwrap_err().message.contains("twice"));
    }

    #[test]
    fn a_mixed_list_becomes_proposals_in_its_order() {
        let sn = [Transform::Sn(SnId::SEQUENTIAL_32)];
        let encr = encr_list("AES128-CBC,AES128-GCM,AES256-GCM").unwrap();
        let text: Vec<String> =
            proposals(ProtocolId::ESP, &encr, &[IntegId::HMAC_SHA1_96], &sn).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["ESP: AES128-CBC, HMAC-SHA-1, NO-ESN", "ESP: AES128-GCM, AES256-GCM, NO-ESN"]);
    }

    #[test]
    fn every_default_has_a_name() {
        for (id, bits) in DEFAULT_ENCR {
            assert_eq!(encr_list(&encr_name(*id, *bits)), Ok(vec![(*id, *bits)]));
        }
        assert!(DEFAULT_INTEG.iter().all(|id| integ_list(&id.to_string()) == Ok(vec![*id])));
        assert!(DEFAULT_PRF.iter().all(|id| prf_list(&id.to_string()) == Ok(vec![*id])));
        assert!(DEFAULT_KE.iter().all(|id| ke_list(&id.to_string()) == Ok(vec![*id])));
    }
}
