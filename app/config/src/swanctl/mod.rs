//! strongSwan's configuration: `swanctl.conf`, and the same sections as VICI carries them.
//!
//! ```text
//! file ──parse.rs──► Section (tree.rs) ──connection.rs, child.rs, secrets.rs──► RemoteSpec, PolicySpec, SharedSecret
//! message of VICI ──────► Section ──────────────────────────────┘                           └──► Model
//! ipsec.conf, ipsec.secrets ──ipsec_conf.rs──► Section
//! strongswan.conf ──strongswan_conf.rs──► RADIUS servers and switches of the daemon, into the Section
//! folders beside the file ──folders.rs──► papers, and files in the place of their names, as `swanctl` sends them
//! ```
//! Options are supported or refused by name (reader.rs); a file is taken whole or not at all.

pub mod authority;
mod child;
pub mod connection;
mod ends;
mod extensions;
mod folders;
pub mod ipsec_conf;
pub mod parse;
pub mod pools;
pub mod proposal;
pub mod reader;
mod round;
pub mod secrets;
mod strongswan_conf;
pub mod tree;
pub mod value;
mod xauth;

use std::net::IpAddr;
use std::path::Path;

use self::connection::Connection;
use self::reader::{Problems, unknown_section};
use self::tree::Section;
use crate::model::{Misfit, Model};
use crate::papers;
use crate::rc::Loaded;
use crate::remark::FileError;
use crate::spec::{PoolSpec, SharedSecret};
use crate::value::did_you_mean;

/// What a file comes to.
#[derive(Debug, Default)]
pub struct Contents {
    /// The connections, in order.
    pub connections: Vec<Connection>,
    /// The secrets, in order.
    pub secrets: Vec<SharedSecret>,
    /// Pools of internal addresses, in order.
    pub pools: Vec<PoolSpec>,
    /// Certificates and private keys.
    pub papers: papers::Loaded,
}

/// Reads a file (an `ipsec.conf` where its name begins so, with the `ipsec.secrets` beside it) and puts what is in it in the place of
/// everything that was loaded into a copy of `model` before; what the command line configured stays. `own` says whether an address
/// is of this host: which of the two sides of an `ipsec.conf` it is.
///
/// # Errors
/// When a file cannot be read, or something in it is wrong or not supported; every place is named.
pub fn load(path: &Path, model: &Model, own: &dyn Fn(IpAddr) -> bool) -> Result<Loaded, FileError> {
    let old = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ipsec"));
    let (mut root, notes) = if old { ipsec_conf::load(path, own)? } else { (parse::load(path)?, Vec::new()) };
    let layout = if old { &folders::IPSEC } else { &folders::SWANCTL };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut problems = Problems::default();
    strongswan_conf::read(&mut root, folder, &mut problems);
    folders::resolve(&mut root, folder, layout, &mut problems);
    let papers = folders::read(&root, folder, layout, &mut problems);
    if !problems.0.is_empty() {
        return Err(FileError::Lines(problems.0));
    }
    let contents = contents(&root, papers)?;
    let mut newer = model.clone();
    newer.replace_loaded(contents).map_err(|misfit| {
        let Misfit { section, name, error } = *misfit;
        let whole = tree::At { file: path.into(), place: Some(crate::remark::Place { line: 1, column: 1 }) };
        let named = root.section(section).and_then(|all| all.section.section(&name));
        let at = named.map_or(whole, |named| named.at.clone());
        FileError::Lines(vec![at.remark(format!("{name}: {error}"))])
    })?;
    Ok(Loaded { model: newer, notes, commands: Vec::new() })
}

/// What is in a file, beside the papers that its folders had.
///
/// # Errors
/// Everything that is wrong or not supported.
pub fn contents(root: &Section, papers: papers::Loaded) -> Result<Contents, FileError> {
    const KNOWN: &[&str] = &["connections", "secrets", "pools", "authorities"];
    let mut problems = Problems::default();
    let mut contents = Contents { papers, ..Contents::default() };
    for setting in &root.settings {
        problems.add(setting.at.remark(format!("unknown option: {}; expected a section", setting.name)));
    }
    for named in &root.sections {
        match named.name.as_str() {
            "connections" => {
                let read = named.section.sections.iter().filter_map(|named| connection::read(named, &mut problems));
                contents.connections.extend(read);
            }
            "secrets" => contents.secrets.extend(secrets::read(&named.section, &mut problems)),
            "pools" => {
                let read = named.section.sections.iter().filter_map(|named| pools::read(named, &mut problems));
                contents.pools.extend(read);
            }
            "authorities" => {
                for named in &named.section.sections {
                    if let Some(places) = authority::read(named, &mut problems) {
                        let added = contents.papers.add_authority(&named.name, places);
                        problems.take(added.map_err(|why| named.at.remark(why)));
                    }
                }
            }
            // Sections that others refer to may have any name.
            _ if root.sections.iter().any(|other| KNOWN.contains(&other.name.as_str())) => {}
            _ => problems.add(unknown_section(named, KNOWN)),
        }
    }
    check_pools(root, &contents, &mut problems);
    if problems.0.is_empty() { Ok(contents) } else { Err(FileError::Lines(problems.0)) }
}

/// In a file, a connection names pools of the same file.
fn check_pools(root: &Section, contents: &Contents, problems: &mut Problems) {
    let known = |name: &str| contents.pools.iter().any(|spec| spec.pool.name == name);
    for connection in contents.connections.iter().filter_map(|connection| connection.remote.as_ref()) {
        for pool in connection.internal.pools.iter().filter(|pool| !known(pool)) {
            let section = root.section("connections");
            let at = section.and_then(|all| all.section.sections.iter().find(|named| named.name == connection.name));
            if let Some(named) = at {
                let known = contents.pools.iter().map(|spec| spec.pool.name.as_str());
                let why = elsewhere(pool).map_or_else(|| did_you_mean(pool, known), |why| format!(": {why}"));
                problems.add(named.at.remark(format!("`pools`: there is no pool {pool}{why}")));
            }
        }
    }
}

/// What to do in the place of a pool that is elsewhere with strongSwan.
fn elsewhere(pool: &str) -> Option<&'static str> {
    match pool {
        "dhcp" => Some(
            "no DHCP server is asked; say pools { NAME { addrs = 10.1.0.128/25 } } with addresses that it keeps free",
        ),
        "radius" => Some(
            "say pools { NAME { addrs = 10.3.0.0/24 } } for users to whom the server gives none; what it gives is taken, of the range or not",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
