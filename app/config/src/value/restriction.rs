//! Which keys and signatures are accepted, in the words of strongSwan's `auth`: `rsa-4096-ecdsa-384`, `pubkey-sha384`,
//! `ecdsa-384-sha384-ike:pubkey-sha384-sha512`.
//!
//! A kind of key is followed by its least length in bits and by hashes; `ike:` in front makes them those of AUTH alone.
//! Without such, the hashes of the chain are those of AUTH, too. DSA and SHA-1 are accepted where they are named, alone.

use ravelin_crypto::signature::HashAlg;
use ravelin_pki::Restrictions;
use ravelin_pki::restriction::{Family, KeyRule, SchemeRule};

use super::BadValue;

/// More words than there are kinds and hashes say nothing more.
const MAX_WORDS: usize = 32;

/// What the words mean; a kind alone restricts nothing, as with strongSwan.
///
/// # Errors
/// What was expected, and where.
pub fn restrictions(text: &str) -> Result<Restrictions, BadValue> {
    let words: Vec<&str> = text.split('-').collect();
    if words.len() > MAX_WORDS {
        return Err(BadValue::new(format!("expected up to {MAX_WORDS} words")));
    }
    let mut read = Restrictions::default();
    if let [only] = words.as_slice() {
        return match kind(only) {
            Some((Family::Dsa, false)) => Ok(Restrictions { words: text.to_owned(), dsa: true, ..read }),
            Some((Family::Dsa | Family::Ed25519 | Family::Ed448, _)) | None => Err(expected()),
            Some(_) => Ok(read),
        };
    }
    let mut current = None;
    for (word, after) in words.iter().zip(words.iter().skip(1).map(Some).chain([None])) {
        if let Some((family, of_auth)) = kind(word) {
            current = Some((family, of_auth));
            read.dsa |= family == Family::Dsa;
            let least = after.and_then(|next| next.parse::<u32>().ok());
            match (family, of_auth) {
                (Family::Rsa | Family::RsaPss, false) => read.keys.push(KeyRule::Rsa(least.unwrap_or(0))),
                (Family::Dsa, false) => read.keys.push(KeyRule::Dsa(least.unwrap_or(0))),
                (Family::Ecdsa, false) => read.keys.push(KeyRule::Ecdsa(least.unwrap_or(0))),
                (Family::Ed25519, false) => read.keys.push(KeyRule::Ed25519),
                (Family::Ed448, false) => read.keys.push(KeyRule::Ed448),
                _ => {}
            }
            continue;
        }
        let (family, of_auth) = current.ok_or_else(expected)?;
        if word.parse::<u32>().is_ok() {
            match (family, of_auth) {
                (Family::Rsa | Family::RsaPss | Family::Ecdsa | Family::Dsa, false) => continue,
                _ => return Err(BadValue::new(format!("`{word}`: a length in bits goes behind rsa, ecdsa or dsa"))),
            }
        }
        let rule = SchemeRule { family, hash: hash(word)? };
        if of_auth { read.auth.push(rule) } else { read.chain.push(rule) }
    }
    if read.auth.is_empty() {
        read.auth = read.chain.clone();
    }
    Ok(Restrictions { words: text.to_owned(), ..read })
}

/// The kind of key of a word, and whether it is about AUTH alone.
fn kind(word: &str) -> Option<(Family, bool)> {
    let (name, of_auth) = word.strip_prefix("ike:").map_or((word, false), |name| (name, true));
    let family = match name {
        "pubkey" => Family::Any,
        "rsa" => Family::Rsa,
        "rsa/pss" => Family::RsaPss,
        "ecdsa" => Family::Ecdsa,
        "dsa" => Family::Dsa,
        "ed25519" => Family::Ed25519,
        "ed448" => Family::Ed448,
        _ => return None,
    };
    Some((family, of_auth))
}

fn hash(word: &str) -> Result<Option<HashAlg>, BadValue> {
    match word {
        "sha256" => Ok(Some(HashAlg::Sha256)),
        "sha384" => Ok(Some(HashAlg::Sha384)),
        "sha512" => Ok(Some(HashAlg::Sha512)),
        "identity" => Ok(None),
        "sha1" => Ok(Some(HashAlg::Sha1)),
        "md5" | "sha224" => Err(BadValue::new(format!("`{word}`: signatures with this hash are not accepted"))),
        _ => Err(BadValue::new(format!(
            "`{word}`: expected pubkey, rsa, rsa/pss, ecdsa, ed25519, ed448, dsa, sha256, sha384, sha512, sha1 or identity"
        ))),
    }
}

fn expected() -> BadValue {
    BadValue::new(
        "expected a kind of key first: pubkey, rsa, rsa/pss, ecdsa, ed25519, ed448 or dsa, as in rsa-4096-ecdsa-384 or pubkey-sha384",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(family: Family, hash: HashAlg) -> SchemeRule {
        SchemeRule { family, hash: Some(hash) }
    }

    #[test]
    fn lengths_are_of_keys_and_hashes_of_chain_and_auth() {
        let read = restrictions("rsa-4096-ecdsa-384").unwrap();
        assert_eq!(read.keys, [KeyRule::Rsa(4096), KeyRule::Ecdsa(384)]);
        assert_eq!((read.chain.len(), read.auth.len()), (0, 0));
        let read = restrictions("pubkey-sha384-sha256").unwrap();
        let both = [of(Family::Any, HashAlg::Sha384), of(Family::Any, HashAlg::Sha256)];
        assert_eq!((read.chain.as_slice(), read.auth.as_slice(), read.keys.len()), (&both[..], &both[..], 0));
        let read = restrictions("ecdsa-384-sha384-ike:rsa/pss-sha512").unwrap();
        assert_eq!(read.keys, [KeyRule::Ecdsa(384)]);
        assert_eq!(read.chain, [of(Family::Ecdsa, HashAlg::Sha384)]);
        assert_eq!(read.auth, [of(Family::RsaPss, HashAlg::Sha512)]);
        let read = restrictions("ike:pubkey-sha384").unwrap();
        assert_eq!((read.chain.len(), read.auth.as_slice()), (0, &[of(Family::Any, HashAlg::Sha384)][..]));
        let read = restrictions("ed25519-identity").unwrap();
        assert_eq!((read.keys.as_slice(), read.auth[0].hash), (&[KeyRule::Ed25519][..], None));
        assert!(!restrictions("rsa").unwrap().any());
        let read = restrictions("dsa").unwrap();
        assert!(read.dsa && read.keys.is_empty() && read.auth.is_empty());
        let read = restrictions("rsa-dsa-2048-sha1").unwrap();
        assert_eq!((read.dsa, read.keys.as_slice()), (true, &[KeyRule::Rsa(0), KeyRule::Dsa(2048)][..]));
        assert_eq!(read.auth, [of(Family::Dsa, HashAlg::Sha1)]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for bad in [
            "",
            "sha256",
            "4096",
            "pubkey-4096",
            "ike:rsa-2048",
            "rsa-md5",
            "ike:dsa",
            "pubkey-sha3",
            "rsa--sha256",
            "rsa-",
        ] {
            assert!(restrictions(bad).is_err(), "{bad}");
        }
        assert!(restrictions(&"pubkey-".repeat(40)).is_err());
    }
}
