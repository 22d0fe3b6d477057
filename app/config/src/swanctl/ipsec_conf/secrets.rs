//! `ipsec.secrets` as sections of `secrets`.

use std::path::Path;
use std::sync::Arc;

use super::without_comment;
use crate::remark::Place;
use crate::swanctl::reader::Problems;
use crate::swanctl::tree::{At, Named, Section, Setting, Values};

/// `FILE ["passphrase"]` as a section about a private key.
fn key(name: String, value: &str, at: &At) -> Named {
    let (file, passphrase) = value.trim().split_once(char::is_whitespace).unwrap_or((value.trim(), ""));
    let mut section = Section::default();
    for (name, value) in [("file", file), ("secret", passphrase.trim())] {
        let values = Values::One(value.trim_matches('"').as_bytes().to_vec());
        if !value.is_empty() {
            section.settings.push(Setting { name: name.to_owned(), values, at: at.clone() });
        }
    }
    Named { name, at: at.clone(), section }
}

/// `[ID...] : KIND VALUE`, a line each; an indented line goes on.
pub(crate) fn secrets(text: &str, file: &Path, problems: &mut Problems) -> Section {
    let file: Arc<Path> = Arc::from(file);
    let mut joined: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bare = without_comment(line);
        match joined.last_mut() {
            Some((_, last)) if bare.starts_with([' ', '\t']) && !bare.trim().is_empty() => last.push_str(bare),
            _ if bare.trim().is_empty() => {}
            _ => joined.push((number, bare.to_owned())),
        }
    }
    let mut section = Section::default();
    for (index, (number, line)) in joined.into_iter().enumerate() {
        let at = At { file: file.clone(), place: Some(Place { line: number + 1, column: 1 }) };
        let Some((owners, rest)) = line.split_once(" : ").or_else(|| Some(("", line.trim_start().strip_prefix(':')?)))
        else {
            problems.add(at.remark("expected [ID...] : PSK \"secret\""));
            continue;
        };
        let (kind, value) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let name = match kind.to_ascii_uppercase().as_str() {
            "PSK" => format!("ike-{}", index + 1),
            "EAP" | "XAUTH" => format!("eap-{}", index + 1),
            "RSA" | "ECDSA" | "PKCS8" | "P12" => {
                section.sections.push(key(format!("private-{}", index + 1), value, &at));
                continue;
            }
            "BLISS" | "PIN" | "NTLM" => {
                problems.add(at.remark(format!("secrets of type {kind} are not there yet")));
                continue;
            }
            _ => {
                problems.add(at.remark(format!("`{kind}`: expected PSK, EAP, XAUTH, RSA, ECDSA, PKCS8 or P12")));
                continue;
            }
        };
        let mut secret = Section::default();
        let mut put = |name: String, value: &str| {
            let values = Values::One(value.as_bytes().to_vec());
            secret.settings.push(Setting { name, values, at: at.clone() });
        };
        put("secret".to_owned(), value.trim().trim_matches('"'));
        for (number, owner) in owners.split_whitespace().filter(|owner| !owner.starts_with("%any")).enumerate() {
            put(format!("id-{}", number + 1), owner.trim_matches('"'));
        }
        section.sections.push(Named { name, at, section: secret });
    }
    section
}
