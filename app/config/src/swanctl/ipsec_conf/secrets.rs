//! `ipsec.secrets` as sections of `secrets`.

use std::path::Path;
use std::sync::Arc;

use super::lines::{included, without_comment};
use crate::remark::{Place, Remark};
use crate::swanctl::reader::Problems;
use crate::swanctl::tree::{At, Named, Section};

/// `FILE ["passphrase"]` as a section about a private key.
fn key(name: String, value: &str, at: &At) -> Named {
    let (file, passphrase) = value.trim().split_once(char::is_whitespace).unwrap_or((value.trim(), ""));
    let mut section = Section::default();
    for (name, value) in [("file", file), ("secret", passphrase.trim())] {
        if !value.is_empty() {
            section.add(name, value.trim_matches('"'), at);
        }
    }
    Named { name, at: at.clone(), section }
}

/// `[ID...] : KIND VALUE`, a line each; an indented line goes on. `include FILES` stands for what they hold.
pub(crate) fn secrets(text: &str, file: &Path, problems: &mut Problems) -> Section {
    let mut section = Section::default();
    read(text, file, 0, &mut section, problems);
    section
}

fn read(text: &str, file: &Path, depth: usize, section: &mut Section, problems: &mut Problems) {
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
    for (number, line) in joined {
        let at = At { file: file.clone(), place: Some(Place { line: number + 1, column: 1 }) };
        match line.split_once(char::is_whitespace).filter(|(word, _)| *word == "include") {
            Some((_, files)) => {
                for (text, path) in included(files, &at, depth, problems) {
                    read(&text, &path, depth + 1, section, problems);
                }
            }
            None => {
                let number = section.sections.len() + 1;
                section.sections.extend(problems.take(one(&line, number, at)));
            }
        }
    }
}

fn one(line: &str, number: usize, at: At) -> Result<Named, Remark> {
    let split = line.split_once(" : ").or_else(|| Some(("", line.trim_start().strip_prefix(':')?)));
    let (owners, rest) = split.ok_or_else(|| at.remark("expected [ID...] : PSK \"secret\""))?;
    let (kind, value) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    let why = match kind.to_ascii_uppercase().as_str() {
        "PSK" => return Ok(secret(format!("ike-{number}"), owners, value, at)),
        "EAP" | "XAUTH" => return Ok(secret(format!("eap-{number}"), owners, value, at)),
        "RSA" | "ECDSA" | "PKCS8" | "P12" => return Ok(key(format!("private-{number}"), value, &at)),
        "PIN" => "`PIN`: a key on a token is named by a section secrets.token of swanctl.conf".to_owned(),
        "NTLM" => "`NTLM`: hashes of passwords are not taken; write the password behind EAP".to_owned(),
        "BLISS" => "`BLISS`: there are no such keys; take RSA or ECDSA".to_owned(),
        _ => format!("`{kind}`: expected PSK, EAP, XAUTH, RSA, ECDSA, PKCS8 or P12"),
    };
    Err(at.remark(why))
}

/// A secret of these owners.
fn secret(name: String, owners: &str, value: &str, at: At) -> Named {
    let mut section = Section::default();
    section.add("secret", value.trim().trim_matches('"'), &at);
    for (number, owner) in words(owners).filter(|owner| !owner.starts_with("%any")).enumerate() {
        section.add(&format!("id-{}", number + 1), owner, &at);
    }
    Named { name, at, section }
}

/// Identities, apart by blanks; one with blanks is in quotes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('"').enumerate();
    quoted.flat_map(|(at, part)| {
        let inside = Some(part).filter(|_| at % 2 == 1);
        let outside = Some(part).filter(|_| at % 2 == 0);
        inside.into_iter().chain(outside.into_iter().flat_map(str::split_whitespace))
    })
}
