//! Secrets: the section `secrets` of swanctl.conf, or a message of VICI's `load-shared`.

use ravelin_ike::config::IdPattern;
use ravelin_types::{Identity, Secret};

use super::reader::{Problems, Reader, unknown_section};
use super::tree::{Named, Section};
use super::value;
use crate::spec::{SecretKind, SharedSecret};
use crate::value::who;

/// What a client of EAP-MSCHAPv2 knows in the place of a password.
const NO_NTLM: &str = "hashes of passwords are not taken; write the password in a section eap";

/// The longest secret that is taken.
const MAX_LEN: usize = 1024;

/// Everything below `secrets`.
pub fn read(section: &Section, problems: &mut Problems) -> Vec<SharedSecret> {
    const KNOWN: &[&str] = &["ike", "eap", "xauth", "ppk"];
    // Passphrases of private keys are with the keys, in folders.rs, and so are keys on tokens.
    const OF_KEYS: &[&str] = &["private", "rsa", "ecdsa", "pkcs8", "pkcs12", "token"];
    let mut secrets = Vec::new();
    for named in &section.sections {
        let kind = match KNOWN.iter().find(|prefix| named.name.starts_with(*prefix)) {
            Some(&"ike") => SecretKind::Ike,
            Some(&"ppk") => SecretKind::Ppk,
            Some(_) => SecretKind::Password,
            None if OF_KEYS.iter().any(|prefix| named.name.starts_with(prefix)) => continue,
            None if named.name.starts_with("ntlm") => {
                problems.add(named.at.remark(format!("`{}`: {NO_NTLM}", named.name)));
                continue;
            }
            None => {
                problems.add(unknown_section(named, KNOWN));
                continue;
            }
        };
        secrets.extend(one(named, kind, problems));
    }
    secrets
}

fn one(named: &Named, kind: SecretKind, problems: &mut Problems) -> Option<SharedSecret> {
    let before = problems.0.len();
    let mut owners = Vec::new();
    let mut secret = None;
    for setting in &named.section.settings {
        match setting.name.as_str() {
            "secret" => {
                let bytes = setting.bytes().and_then(|bytes| value::secret(bytes).map_err(|why| setting.wrong(why)));
                secret = problems.take(bytes);
            }
            name if name.starts_with("id") => {
                let ids = setting.text().and_then(|text| ids(kind, text.trim()).map_err(|why| setting.wrong(why)));
                owners.extend(problems.take(ids).into_iter().flatten());
            }
            name => problems.add(setting.at.remark(format!("unknown option: {name}"))),
        }
    }
    match secret {
        Some(bytes) if (1..=MAX_LEN).contains(&bytes.len()) && problems.0.len() == before => {
            Some(SharedSecret { name: named.name.clone(), kind, owners, secret: Secret::new(bytes) })
        }
        _ => {
            if problems.0.len() == before {
                problems.add(named.at.remark(format!("`secret` is missing, empty or longer than {MAX_LEN} bytes")));
            }
            None
        }
    }
}

/// Whom an `id` names: mostly one, but addresses, networks and ranges may stand side by side.
fn ids(kind: SecretKind, text: &str) -> Result<Vec<IdPattern>, String> {
    let is_address = |word: &str| match owner(kind, word) {
        Ok(IdPattern::Exactly(id)) => matches!(id, Identity::Ipv4(_) | Identity::Ipv6(_)),
        Ok(other) => matches!(other, IdPattern::Range(_)),
        Err(_) => false,
    };
    let words = text.split_ascii_whitespace();
    if words.clone().all(is_address) {
        words.map(|word| owner(kind, word)).collect()
    } else {
        owner(kind, text).map(|one| vec![one])
    }
}

/// Whom a secret belongs to: a key of IKE also to a network, a range of addresses, a domain, a sub-tree of names, or to anybody.
fn owner(kind: SecretKind, text: &str) -> Result<IdPattern, String> {
    match kind {
        SecretKind::Ike => who::who(text).map(IdPattern::from),
        SecretKind::Password | SecretKind::Ppk => who::id(text).map(IdPattern::Exactly),
    }
}

/// The message of `load-shared`; `unnamed` is the name of one that has none.
///
/// # Errors
/// What is wrong with it.
pub fn message(section: &Section, unnamed: impl FnOnce() -> String) -> Result<SharedSecret, String> {
    let mut problems = Problems::default();
    let at = super::tree::At::message();
    let mut reader = Reader::new(section, &at, &mut problems);
    if reader.setting("type").is_none() {
        return Err("shared key type missing".to_owned());
    }
    let kinds = [
        ("ike", Some(SecretKind::Ike)),
        ("eap", Some(SecretKind::Password)),
        ("xauth", Some(SecretKind::Password)),
        ("ntlm", None),
        ("ppk", Some(SecretKind::Ppk)),
    ];
    let kind = reader.word("type", &kinds);
    let name = reader.value("id", |text| Ok(text.to_owned()));
    let shared = kind.flatten();
    let owners = reader.list("owners", |text| owner(shared.unwrap_or(SecretKind::Ike), text)).unwrap_or_default();
    // swanctl has read prefixes already.
    let data = reader.setting("data").map(|setting| setting.bytes().map(<[u8]>::to_vec));
    reader.finish(&[]);
    let data = data.transpose().map_err(|remark| remark.message)?;
    if let Some(problem) = problems.0.into_iter().next() {
        return Err(problem.message);
    }
    let kind = shared.ok_or(NO_NTLM)?;
    let data = data.filter(|data| (1..=MAX_LEN).contains(&data.len()));
    let data = data.ok_or_else(|| format!("shared key data missing, or longer than {MAX_LEN} bytes"))?;
    Ok(SharedSecret { name: name.unwrap_or_else(unnamed), kind, owners, secret: Secret::new(data) })
}
