//! `ipsec.conf` and `ipsec.secrets` of strongSwan (and FreeS/WAN before it), as the same connections and secrets as in
//! `swanctl.conf`: each parameter becomes a setting of that file, with the place where it stands.
//!
//! ```text
//! ipsec.conf ──lines.rs──► conn sections, also= and %default resolved ──conn.rs, join.rs──► Section of swanctl.conf ──► connection::read
//! ipsec.secrets beside it ──secrets.rs──► Section of `secrets`
//! ```

mod conn;
mod join;
mod lines;
mod secrets;
mod side;
mod swap;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::reader::Problems;
use super::tree::{At, Named, Section, Setting, Values};
use crate::remark::{FileError, Place, Remark};
use crate::value::did_you_mean;

use self::join::{Known, join};
use self::lines::{AUTHORITY, SETUP, Sections, sections};
pub(crate) use self::secrets::secrets;
use self::swap::swap;

/// The longest file.
const MAX_LEN: u64 = 1024 * 1024;
/// Connections that refer to each other with `also`.
const MAX_ALSO: usize = 8;
/// Files that include each other, one in the other.
const MAX_INCLUDES: usize = 10;

/// The parameters of one section.
type Parameters = BTreeMap<String, (String, At)>;

/// What a parameter says, and where.
fn get<'a>(all: &'a Parameters, key: &str) -> Option<(&'a str, &'a At)> {
    all.get(key).map(|(value, at)| (value.as_str(), at))
}

/// What the files say, and what their author should know.
pub type Read = (Section, Vec<Remark>);

/// Reads `ipsec.conf`, and `ipsec.secrets` in the same folder if it is there. `own` says whether an address is of this host.
///
/// # Errors
/// When one cannot be read, or something in it is wrong.
pub fn load(path: &Path, own: &dyn Fn(IpAddr) -> bool) -> Result<Read, FileError> {
    let text = read(path)?;
    let secrets = path.with_file_name("ipsec.secrets");
    let secrets = if secrets.exists() { Some((read(&secrets)?, secrets)) } else { None };
    let secrets = secrets.as_ref().map(|(text, path)| (text.as_str(), path.as_path()));
    parse((&text, path), secrets, own)
}

fn read(path: &Path) -> Result<String, FileError> {
    let io_error = |error| FileError::Io(path.to_owned(), error);
    if fs::metadata(path).map_err(io_error)?.len() > MAX_LEN {
        return Err(io_error(io::Error::other("longer than 1 MiB")));
    }
    fs::read_to_string(path).map_err(io_error)
}

/// Reads the texts of the two files.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(
    conf: (&str, &Path),
    secrets: Option<(&str, &Path)>,
    own: &dyn Fn(IpAddr) -> bool,
) -> Result<Read, FileError> {
    let mut problems = Problems::default();
    let mut notes = Vec::new();
    let mut root = Section::default();
    let sections = sections(conf.0, conf.1, &mut problems);
    let at = At { file: conf.1.into(), place: Some(Place { line: 1, column: 1 }) };
    let unique = unique(sections.get(SETUP), &at);
    let (referred_to, mut known) = (referred_to(&sections), Known::new());
    for (name, own_at, given) in sections.iter() {
        if name == "%default" || name == SETUP {
            continue;
        }
        if let Some(name) = name.strip_prefix(AUTHORITY) {
            if given.get("auto").is_none_or(|(auto, _)| auto != "ignore") && name != "%default" {
                let section = authority(given, &mut problems);
                let named = Named { name: name.to_owned(), at: own_at.clone(), section };
                root.open("authorities", &at).sections.push(named);
            }
            continue;
        }
        let mut all = given.clone();
        inherit(&mut all, given, &sections, 0, &mut problems);
        if let Some((_, defaults)) = sections.get("%default") {
            for (key, value) in defaults {
                all.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        all.remove("also");
        if !all.contains_key("auto") && !referred_to.contains(name) {
            notes.push(own_at.remark(format!("conn {name}: it is not loaded without auto; say auto=add")));
        }
        if all.get("auto").is_some_and(|(auto, _)| auto != "ignore") {
            if swap(&mut all, own) {
                notes.push(own_at.remark(format!(
                    "conn {name}: right is an address of this host and left is none, so right is taken as this side, and left as \
                     the peer"
                )));
            }
            let mut section = conn::connection(name, &all, own_at, &mut problems);
            section.settings.push(unique.clone());
            conn::strict(sections.get(SETUP), &mut section);
            conn::addresses(&all, &mut section, &mut root, &at);
            let connection = Named { name: name.to_owned(), at: own_at.clone(), section };
            join(root.open("connections", &at), &mut known, connection);
        }
    }
    if let Some((text, path)) = secrets {
        let section = self::secrets(text, path, &mut problems);
        *root.open("secrets", &at) = section;
    }
    if problems.0.is_empty() { Ok((root, notes)) } else { Err(FileError::Lines(problems.0)) }
}

/// `uniqueids`, which is about all connections.
fn unique(setup: Option<&(At, Parameters)>, nowhere: &At) -> Setting {
    let (value, at) = match setup.and_then(|(_, parameters)| parameters.get("uniqueids")) {
        Some((value, at)) => (value.as_str(), at),
        None => ("yes", nowhere),
    };
    let value = if value == "yes" { "replace" } else { value };
    Setting { name: "unique".to_owned(), values: Values::One(value.as_bytes().to_vec()), at: at.clone() }
}

/// The connections of which others have what they say.
fn referred_to(sections: &Sections) -> BTreeSet<&str> {
    let also = sections.iter().filter_map(|(_, _, parameters)| parameters.get("also"));
    also.flat_map(|(names, _)| names.split(',').map(str::trim)).collect()
}

fn inherit(all: &mut Parameters, own: &Parameters, sections: &Sections, depth: usize, problems: &mut Problems) {
    let Some((names, at)) = own.get("also") else { return };
    for name in names.split(',').map(str::trim) {
        match sections.get(name) {
            Some(_) if depth == MAX_ALSO => problems.add(at.remark("connections refer to each other too deeply")),
            Some((_, other)) => {
                for (key, value) in other.iter().filter(|(key, _)| *key != "also") {
                    all.entry(key.clone()).or_insert_with(|| value.clone());
                }
                inherit(all, other, sections, depth + 1, problems);
            }
            None => problems.add(at.remark(format!("there is no conn {name}"))),
        }
    }
}

/// A section `ca` as one of `authorities`.
fn authority(parameters: &Parameters, problems: &mut Problems) -> Section {
    let mut authority = Section::default();
    for (key, (value, at)) in parameters {
        let name = match key.as_str() {
            "cacert" => "cacert",
            "crluri" | "crluri1" | "crluri2" => "crl_uris",
            "ocspuri" | "ocspuri1" | "ocspuri2" => "ocsp_uris",
            "certuribase" => "cert_uri_base",
            "auto" | "also" => continue,
            _ => {
                problems.add(at.remark(format!("unknown option: {key}{}", did_you_mean(key, ["cacert", "auto"]))));
                continue;
            }
        };
        // A second URI is one more.
        let known = authority.settings.iter_mut().find(|setting| setting.name == name);
        match known.map(|setting| &mut setting.values) {
            Some(Values::One(all)) => all.extend([b",", value.as_bytes()].concat()),
            _ => authority.add(name, value, at),
        }
    }
    authority
}

#[cfg(test)]
mod tests;
