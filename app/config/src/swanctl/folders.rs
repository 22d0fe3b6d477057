//! The folders beside a configuration, as strongSwan lays them out: what `swanctl` reads out of them before it sends a
//! configuration over VICI is read here where the daemon has the file itself.
//!
//! | beside `swanctl.conf` | beside `ipsec.conf` | holds |
//! |---|---|---|
//! | `x509` | `ipsec.d/certs` | certificates of our own and of peers |
//! | `x509ca` | `ipsec.d/cacerts` | those of authorities |
//! | `x509crl` | `ipsec.d/crls` | revocation lists |
//! | `x509aa` | `ipsec.d/aacerts` | those of attribute authorities |
//! | `x509ac` | `ipsec.d/acerts` | attribute certificates |
//! | `pubkey` | `ipsec.d/certs` | public keys without a certificate |
//! | `private`, `rsa`, `ecdsa`, `pkcs8`, `pkcs12` | `ipsec.d/private` | private keys, and certificates beside them |
//!
//! A relative name is sought in the folder of its kind. All keys of these folders are read; of `ipsec.d/private` those that
//! `ipsec.secrets` names.

use std::fs;
use std::path::{Path, PathBuf};

use ravelin_types::Secret;

use super::reader::{Problems, Reader};
use super::tree::{At, Named, Section, Setting, Values};
use super::value;
use crate::papers::{Loaded, TokenKey};
use crate::remark::{Place, Remark};
use crate::secret;

/// Bytes of one file.
const MAX_FILE: usize = 16 * 1024 * 1024;
/// Files of one folder.
const MAX_FILES: usize = 10_000;

const RESPONDER: &str = "a responder of OCSP is one whose certificate the authority has issued for that, or the authority itself; \
                         take the file out";

/// Where things are.
pub struct Layout {
    certificates: &'static str,
    authorities: &'static str,
    lists: &'static str,
    attribute_authorities: &'static str,
    attributes: &'static str,
    public_keys: &'static str,
    /// Sections of `secrets` whose name begins so name a private key, and the folder it is in.
    keys: &'static [(&'static str, &'static str)],
    /// Whether keys are read that nobody names.
    all_keys: bool,
    /// Whether `secrets` may name keys on tokens.
    tokens: bool,
    /// Certificates of responders of OCSP, for which the authority alone vouches here.
    responders: &'static str,
}

/// Of `swanctl.conf`.
pub const SWANCTL: Layout = Layout {
    certificates: "x509",
    authorities: "x509ca",
    lists: "x509crl",
    attribute_authorities: "x509aa",
    attributes: "x509ac",
    public_keys: "pubkey",
    keys: &[("private", "private"), ("rsa", "rsa"), ("ecdsa", "ecdsa"), ("pkcs8", "pkcs8"), ("pkcs12", "pkcs12")],
    all_keys: true,
    tokens: true,
    responders: "x509ocsp",
};

/// Of `ipsec.conf`.
pub const IPSEC: Layout = Layout {
    certificates: "ipsec.d/certs",
    authorities: "ipsec.d/cacerts",
    lists: "ipsec.d/crls",
    attribute_authorities: "ipsec.d/aacerts",
    attributes: "ipsec.d/acerts",
    public_keys: "ipsec.d/certs",
    keys: &[("private", "ipsec.d/private")],
    all_keys: false,
    tokens: false,
    responders: "ipsec.d/ocspcerts",
};

/// Puts the content of the files that connections and authorities name in the place of their names.
pub fn resolve(root: &mut Section, folder: &Path, layout: &Layout, problems: &mut Problems) {
    let inner = |section: &'static str| move |named: &&mut Named| named.name == section;
    for connections in root.sections.iter_mut().filter(inner("connections")) {
        for connection in &mut connections.section.sections {
            for round in &mut connection.section.sections {
                for (name, place) in
                    [("certs", layout.certificates), ("cacerts", layout.authorities), ("pubkeys", layout.public_keys)]
                {
                    content(&mut round.section, name, &folder.join(place), problems);
                }
            }
        }
    }
    for authorities in root.sections.iter_mut().filter(inner("authorities")) {
        for authority in &mut authorities.section.sections {
            content(&mut authority.section, "cacert", &folder.join(layout.authorities), problems);
        }
    }
}

fn content(section: &mut Section, name: &str, folder: &Path, problems: &mut Problems) {
    let Some(setting) = section.settings.iter_mut().find(|setting| setting.name == name) else { return };
    let read = |item: String| {
        if item.starts_with("0x") || item.starts_with("0s") {
            return value::secret(item.as_bytes()).map_err(|why| setting.wrong(why));
        }
        let path = folder.join(&item);
        let bytes = secret::read_open(&path, MAX_FILE).map_err(|error| setting.at.remark(error.to_string()))?;
        Ok(bytes.expose().to_vec())
    };
    let files = setting.items().and_then(|items| items.into_iter().map(read).collect::<Result<Vec<_>, Remark>>());
    if let Some(files) = problems.take(files) {
        setting.values = Values::List(files);
    }
}

/// Reads the folders, and the private keys with the passphrases that the section `secrets` has.
pub fn read(root: &Section, folder: &Path, layout: &Layout, problems: &mut Problems) -> Loaded {
    let mut loaded = Loaded::default();
    for path in files(&folder.join(layout.certificates), problems) {
        let bytes = open(&path, problems);
        // A folder may have public keys among certificates.
        let shared = layout.public_keys == layout.certificates;
        take(&path, bytes, problems, |bytes| match loaded.add_certificates(bytes, false) {
            Err(_) if shared && loaded.add_public_key(bytes).is_ok() => Ok(()),
            result => result,
        });
    }
    for path in files(&folder.join(layout.authorities), problems) {
        let bytes = open(&path, problems);
        take(&path, bytes, problems, |bytes| loaded.add_certificates(bytes, true));
    }
    for path in files(&folder.join(layout.lists), problems) {
        let bytes = open(&path, problems);
        take(&path, bytes, problems, |bytes| loaded.add_crl(bytes));
    }
    for path in files(&folder.join(layout.attribute_authorities), problems) {
        let bytes = open(&path, problems);
        take(&path, bytes, problems, |bytes| loaded.add_attribute_authority(bytes));
    }
    for path in files(&folder.join(layout.attributes), problems) {
        let bytes = open(&path, problems);
        take(&path, bytes, problems, |bytes| loaded.add_attributes(bytes));
    }
    if layout.public_keys != layout.certificates {
        for path in files(&folder.join(layout.public_keys), problems) {
            let bytes = open(&path, problems);
            take(&path, bytes, problems, |bytes| loaded.add_public_key(bytes));
        }
    }
    keys(root, folder, layout, &mut loaded, problems);
    for path in files(&folder.join(layout.responders), problems) {
        problems.add(nowhere(&path, RESPONDER.to_owned()));
    }
    loaded
}

fn keys(root: &Section, folder: &Path, layout: &Layout, loaded: &mut Loaded, problems: &mut Problems) {
    let mut named: Vec<(PathBuf, Option<Secret>, Option<At>)> = Vec::new();
    let sections = root.section("secrets").map(|secrets| secrets.section.sections.as_slice()).unwrap_or_default();
    for section in sections {
        if layout.tokens && section.name.starts_with("token") {
            let token = TokenKey::read(Reader::new(&section.section, &section.at, problems));
            let added = token.map_or(Ok(()), |token| loaded.add_token(&token).map(drop));
            problems.take(added.map_err(|why| section.at.remark(why)));
            continue;
        }
        let Some((_, place)) = layout.keys.iter().find(|(prefix, _)| section.name.starts_with(prefix)) else {
            continue;
        };
        if let Some((file, passphrase)) = passphrase(section, problems) {
            named.push((folder.join(place).join(file), passphrase, Some(section.at.clone())));
        }
    }
    if layout.all_keys {
        for path in layout.keys.iter().flat_map(|(_, place)| files(&folder.join(place), problems)).collect::<Vec<_>>() {
            if !named.iter().any(|(known, _, _)| *known == path) {
                named.push((path, None, None));
            }
        }
    }
    for (path, passphrase, at) in named {
        let key = secret::read_protected(&path, MAX_FILE)
            .map_err(|error| error.to_string())
            .and_then(|bytes| loaded.add_key(bytes.expose(), passphrase.as_ref()).map_err(|why| shown(&path, &why)));
        if let Err(why) = key {
            problems.add(match at {
                Some(at) => at.remark(why),
                None => unread(&path, why),
            });
        }
    }
}

/// `file` and `secret` of a section of `secrets` about a private key.
fn passphrase(named: &Named, problems: &mut Problems) -> Option<(PathBuf, Option<Secret>)> {
    let before = problems.0.len();
    let (mut file, mut passphrase) = (None, None);
    for setting in &named.section.settings {
        match setting.name.as_str() {
            "file" => file = problems.take(setting.text().map(|text| PathBuf::from(text.trim()))),
            "secret" => passphrase = problems.take(bytes(setting)).map(Secret::new),
            name => problems.add(setting.at.remark(format!("unknown option: {name}"))),
        }
    }
    if file.is_none() && problems.0.len() == before {
        problems.add(named.at.remark("`file` with the private key is missing"));
    }
    Some((file.filter(|_| problems.0.len() == before)?, passphrase))
}

fn bytes(setting: &Setting) -> Result<Vec<u8>, Remark> {
    setting.bytes().and_then(|bytes| value::secret(bytes).map_err(|why| setting.wrong(why)))
}

/// The files of a folder in the order of their names; none where it is missing.
fn files(folder: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).take(MAX_FILES + 1).collect();
    if files.len() > MAX_FILES {
        problems.add(nowhere(folder, format!("more than {MAX_FILES} files are in it")));
    }
    files.sort();
    files
}

fn open(path: &Path, problems: &mut Problems) -> Option<Secret> {
    problems.take(secret::read_open(path, MAX_FILE).map_err(|error| unread(path, error.to_string())))
}

fn take(path: &Path, bytes: Option<Secret>, problems: &mut Problems, add: impl FnOnce(&[u8]) -> Result<(), String>) {
    if let Some(bytes) = bytes {
        problems.take(add(bytes.expose()).map_err(|why| nowhere(path, why)));
    }
}

fn shown(path: &Path, why: &str) -> String {
    format!("{}: {why}", path.display())
}

/// A remark about a folder, where `why` names the file in it.
fn unread(path: &Path, why: String) -> Remark {
    nowhere(path.parent().unwrap_or(path), why)
}

/// A remark about a file that has no lines.
fn nowhere(path: &Path, why: String) -> Remark {
    Remark { file: path.to_owned(), place: Place { line: 0, column: 0 }, message: why }
}

#[cfg(test)]
mod tests;
