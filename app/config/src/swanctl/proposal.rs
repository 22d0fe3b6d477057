//! Proposals in strongSwan's keywords: `aes128gcm16-prfsha256-x25519`, `aes256-sha256-modp2048`, `default`.

use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{IntegId, PrfId, SnId, Transform};

use crate::value::algorithm::{self, Encr, Esn};

/// The proposals of an IKE SA.
pub fn ike(text: &str) -> Result<Vec<Proposal>, String> {
    if text.eq_ignore_ascii_case("default") {
        let (encr, integ) = (algorithm::DEFAULT_ENCR, algorithm::DEFAULT_INTEG);
        let proposals = algorithm::default_ke().into_iter().flat_map(|ke| {
            let prf = algorithm::DEFAULT_PRF.iter().map(|id| Transform::Prf(*id));
            let rest: Vec<Transform> = prf.chain(ke).collect();
            algorithm::proposals(ProtocolId::IKE, encr, integ, &rest)
        });
        return Ok(proposals.collect());
    }
    let mut words = Words::read(text, ProtocolId::IKE)?;
    if words.prf.is_empty() {
        // The pseudorandom function is that of the integrity algorithm.
        words.prf = words.integ.iter().filter_map(|id| prf_of(*id)).collect();
    }
    if words.encr.is_empty() || words.prf.is_empty() || words.ke.is_empty() {
        return Err(format!("`{text}` needs a cipher, a pseudorandom function and a key exchange group"));
    }
    words.check_integrity(text)?;
    let prf = words.prf.iter().map(|id| Transform::Prf(*id));
    let rest: Vec<Transform> = prf.chain(words.ke).collect();
    Ok(algorithm::proposals(ProtocolId::IKE, &words.encr, &words.integ, &rest))
}

/// Those of IKEv1 where none are named.
pub fn default_v1() -> Vec<Proposal> {
    let encr = algorithm::DEFAULT_ENCR_V1.iter().map(|(id, bits)| Transform::Encr(*id, *bits));
    let prf = algorithm::DEFAULT_PRF.iter().map(|id| Transform::Prf(*id));
    let ke = algorithm::DEFAULT_KE_V1.iter().map(|id| Transform::Ke(*id));
    vec![Proposal { protocol: ProtocolId::IKE, transforms: encr.chain(prf).chain(ke).collect() }]
}

/// Whether any of them may serve IKEv1, which has no ciphers that authenticate and no additional key exchanges.
pub fn is_of_ikev1(proposals: &[Proposal]) -> bool {
    let plain = |t: &Transform| matches!(t, Transform::Encr(id, _) if !algorithm::is_aead(*id));
    let more = |t: &Transform| matches!(t, Transform::AddKe(..));
    proposals.iter().any(|proposal| proposal.transforms.iter().any(plain) && !proposal.transforms.iter().any(more))
}

/// The proposals of a Child SA with ESP. `no_esn`: extended sequence numbers have no use.
pub fn esp(text: &str, no_esn: bool) -> Result<Vec<Proposal>, String> {
    if text.eq_ignore_ascii_case("default") {
        let esn = if no_esn { Esn::Off } else { Esn::Prefer };
        let (encr, integ) = (algorithm::DEFAULT_ENCR, algorithm::DEFAULT_INTEG);
        return Ok(algorithm::proposals(ProtocolId::ESP, encr, integ, esn.transforms()));
    }
    let words = Words::read(text, ProtocolId::ESP)?;
    if words.encr.is_empty() {
        return Err(format!("`{text}` needs a cipher"));
    }
    words.check_integrity(text)?;
    let rest = words.rest(no_esn)?;
    Ok(algorithm::proposals(ProtocolId::ESP, &words.encr, &words.integ, &rest))
}

/// The proposals of a Child SA with AH.
pub fn ah(text: &str, no_esn: bool) -> Result<Vec<Proposal>, String> {
    if text.eq_ignore_ascii_case("default") {
        let esn = if no_esn { Esn::Off } else { Esn::Prefer };
        return Ok(algorithm::ah_proposals(algorithm::DEFAULT_INTEG, esn.transforms()));
    }
    let words = Words::read(text, ProtocolId::AH)?;
    if words.integ.is_empty() || !words.encr.is_empty() {
        return Err(format!("`{text}`: AH takes integrity algorithms and no cipher"));
    }
    let rest = words.rest(no_esn)?;
    Ok(algorithm::ah_proposals(&words.integ, &rest))
}

#[derive(Default)]
struct Words {
    encr: Vec<Encr>,
    integ: Vec<IntegId>,
    prf: Vec<PrfId>,
    ke: Vec<Transform>,
    sn: Vec<Transform>,
}

impl Words {
    fn read(text: &str, protocol: ProtocolId) -> Result<Self, String> {
        let mut words = Words::default();
        for word in text.split('-').map(str::trim) {
            let canonical = canonical(word);
            let is_ike = protocol == ProtocolId::IKE;
            let encr = if is_ike { algorithm::ike_encr_list(&canonical) } else { algorithm::encr_list(&canonical) };
            let integ = if is_ike { algorithm::ike_integ_list(&canonical) } else { algorithm::integ_list(&canonical) };
            let refused = |error: &crate::value::BadValue| error.message.contains("refused");
            match (word.to_ascii_lowercase().as_str(), word.get(3..)) {
                ("esn", _) if !is_ike => words.sn.push(Transform::Sn(SnId::PARTIAL_64)),
                ("noesn", _) if !is_ike => words.sn.push(Transform::Sn(SnId::SEQUENTIAL_32)),
                (lower, Some(rest)) if lower.starts_with("prf") => {
                    words.prf.extend(algorithm::prf_list(rest).map_err(|error| format!("`{word}`: {error}"))?);
                }
                _ if let Ok(encr) = &encr => words.encr.extend(encr),
                _ if let Ok(integ) = &integ => words.integ.extend(integ),
                _ => match algorithm::ke_transform(&canonical) {
                    Ok(ke) => words.ke.push(ke),
                    Err(ke) => {
                        let known = [encr.err(), integ.err(), Some(ke)].into_iter().flatten().find(refused);
                        return Err(match known {
                            Some(error) => error.message,
                            None => format!("`{word}` in `{text}` is not an algorithm that is built in"),
                        });
                    }
                },
            }
        }
        if !words.ke.is_empty() && !algorithm::has_first_ke(&words.ke) {
            return Err(format!("`{text}` needs a key exchange group before the additional ones, like x25519"));
        }
        Ok(words)
    }

    /// A cipher that does not authenticate needs an integrity algorithm; next to others one is left out.
    fn check_integrity(&self, text: &str) -> Result<(), String> {
        let plain = self.encr.iter().any(|(id, _)| !algorithm::is_aead(*id));
        match plain && self.integ.is_empty() {
            true => Err(format!("`{text}` needs an integrity algorithm, like sha256")),
            false => Ok(()),
        }
    }

    fn rest(&self, no_esn: bool) -> Result<Vec<Transform>, String> {
        let mut rest = self.ke.clone();
        match self.sn.as_slice() {
            [] => rest.extend(Esn::Off.transforms()),
            sn if no_esn && sn.contains(&Transform::Sn(SnId::PARTIAL_64)) => {
                return Err(
                    "extended sequence numbers need the anti-replay check; give replay_window a size".to_owned()
                );
            }
            sn => rest.extend(sn),
        }
        Ok(rest)
    }
}

/// strongSwan's keyword as the tables have it.
fn canonical(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    // ICVs may be given in bits.
    let lower = match lower.find("gcm").or_else(|| lower.find("ccm")) {
        Some(at) => {
            let (cipher, icv) = lower.split_at(at + 3);
            let icv = match icv {
                "64" => "8",
                "96" => "12",
                "128" => "16",
                icv => icv,
            };
            format!("{cipher}{icv}")
        }
        None => lower,
    };
    let insert = |mode: &str| lower.strip_suffix(mode).map(|cipher| format!("{cipher}-{mode}"));
    let named = match lower.as_str() {
        "sha2_256" | "sha2_256_128" => Some("sha256"),
        "sha2_384" => Some("sha384"),
        "sha2_512" => Some("sha512"),
        "aes" => Some("aes128"),
        "camellia" => Some("camellia128"),
        "curve25519" => Some("x25519"),
        _ => None,
    };
    named.map(str::to_owned).or_else(|| insert("ctr")).or_else(|| insert("gmac")).unwrap_or(lower)
}

fn prf_of(integ: IntegId) -> Option<PrfId> {
    match integ {
        IntegId::HMAC_MD5_96 => Some(PrfId::HMAC_MD5),
        IntegId::HMAC_SHA1_96 => Some(PrfId::HMAC_SHA1),
        IntegId::HMAC_SHA2_256_128 => Some(PrfId::HMAC_SHA2_256),
        IntegId::HMAC_SHA2_384_192 => Some(PrfId::HMAC_SHA2_384),
        IntegId::HMAC_SHA2_512_256 => Some(PrfId::HMAC_SHA2_512),
        IntegId::AES_XCBC_96 => Some(PrfId::AES128_XCBC),
        IntegId::AES_CMAC_96 => Some(PrfId::AES128_CMAC),
        _ => None,
    }
}

#[cfg(test)]
fn has_integ(proposal: &Proposal) -> bool {
    proposal.transforms.iter().any(|transform| matches!(transform, Transform::Integ(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(proposals: Result<Vec<Proposal>, String>) -> String {
        match proposals {
            Ok(proposals) => proposals.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
            Err(why) => why,
        }
    }

    #[test]
    fn keywords_of_strongswan_are_read() {
        for (text, expected) in [
            ("aes128gcm16-prfsha256-x25519", "IKE: AES128-GCM, PRF-HMAC-SHA-2-256, CURVE25519"),
            ("aes256-sha256-modp2048", "IKE: AES256-CBC, HMAC-SHA-2-256, PRF-HMAC-SHA-2-256, MODP2048"),
            ("aes128-sha256-prfsha384-ecp256", "IKE: AES128-CBC, HMAC-SHA-2-256, PRF-HMAC-SHA-2-384, ECP256"),
            ("aes256gcm128-prfsha512-curve25519", "IKE: AES256-GCM, PRF-HMAC-SHA-2-512, CURVE25519"),
            ("aes128gcm16-sha256-x25519", "IKE: AES128-GCM, PRF-HMAC-SHA-2-256, CURVE25519"),
            (
                "aes128-aes256-sha256-sha384-ecp256-x25519",
                "IKE: AES128-CBC, AES256-CBC, HMAC-SHA-2-256, HMAC-SHA-2-384, PRF-HMAC-SHA-2-256, PRF-HMAC-SHA-2-384, \
                 ECP256, CURVE25519",
            ),
        ] {
            assert_eq!(shown(ike(text)), expected, "{text}");
        }
        for (text, expected) in [
            ("aes128gcm16", "ESP: AES128-GCM, NO-ESN"),
            ("aes256-sha256-modp3072-esn-noesn", "ESP: AES256-CBC, HMAC-SHA-2-256, MODP3072, ESN, NO-ESN"),
            (
                "aes256gcm16-x25519-ke1_mlkem768-ke1_none",
                "ESP: AES256-GCM, CURVE25519, KE1-ML-KEM-768, KE1-NONE, NO-ESN",
            ),
            ("aes128gcm64-x25519", "ESP: AES128-GCM-8, CURVE25519, NO-ESN"),
            ("aes192ctr-aesxcbc", "ESP: AES192-CTR, AES-XCBC, NO-ESN"),
            ("null-sha1", "ESP: NULL_ENC, HMAC-SHA-1, NO-ESN"),
            ("3des-md5", "ESP: 3DES-CBC, HMAC-MD5, NO-ESN"),
            ("chacha20poly1305", "ESP: CHACHA20-POLY1305, NO-ESN"),
        ] {
            assert_eq!(shown(esp(text, false)), expected, "{text}");
        }
        assert!(shown(esp("aes128gcm16-ke1_mlkem768", false)).contains("before the additional ones"));
        assert_eq!(shown(ah("sha256-x25519", false)), "AH: HMAC-SHA-2-256, CURVE25519, NO-ESN");
        assert!(ike("default").unwrap().len() > 1 && has_integ(&esp("default", false).unwrap()[1]));
    }

    #[test]
    fn an_integrity_algorithm_by_a_cipher_has_a_pseudorandom_function_too() {
        assert_eq!(shown(ike("aes128-aesxcbc-x25519")), "IKE: AES128-CBC, AES-XCBC, PRF-AES-XCBC, CURVE25519");
        assert_eq!(shown(ike("aes128gcm16-aesxcbc-modp3072")), "IKE: AES128-GCM, PRF-AES-XCBC, MODP3072");
        assert_eq!(shown(ike("aes256-aescmac-x25519")), "IKE: AES256-CBC, AES-CMAC, PRF-AES-CMAC, CURVE25519");
    }

    #[test]
    fn what_is_not_there_or_does_not_fit_is_refused_by_name() {
        assert!(shown(ike("aes999-foo")).contains("`aes999`"));
        assert!(shown(ike("aes128-sha256")).contains("key exchange"));
        assert!(shown(esp("aes128", false)).contains("integrity"));
        assert!(shown(esp("sha256", false)).contains("cipher"));
        assert!(shown(ah("aes128-sha256", false)).contains("no cipher"));
        assert!(shown(esp("aes128gcm16-esn", true)).contains("replay_window"));
        assert!(shown(ike("esn-aes128gcm16-prfsha256-x25519")).contains("`esn`"));
    }
}
