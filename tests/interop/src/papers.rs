//! Certificates of a case, fresh in every run: one authority, one below it, and what they issue for the two sides.
//!
//! | file | holds |
//! |---|---|
//! | `ca`, `sub` | the authority, and one below it |
//! | `ravelin`, `swan` | issued by `ca` for the identities of the plan |
//! | `ravelin-sub`, `swan-sub` | the same by `sub` |
//! | `ravelin-old`, `swan-old` | the same by `ca`, expired |
//! | `ravelin-gone`, `swan-gone` | the same by `ca`, revoked |
//! | `swan-listed` | the same by `ca`, and it says that the list is at [`LIST`] |
//! | `swan-answered` | the same by `ca`, and it says that a responder of OCSP is at [`RESPONDER`] |
//! | `stranger`, `ravelin-stranger`, `swan-stranger` | another authority, and the same by it |
//! | `ca.crl` | the list that revokes those |
//!
//! Certificates are `NAME.pem`, keys `NAME.key`, below `pki`. Each side has its own in the folders where swanctl looks for
//! their kinds, too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use ravelin_testkit::papers::{self, Kind, Paper};

use crate::plan::Plan;

/// The kind of key by its word in `topology`.
pub fn kind(word: &str) -> Option<Kind> {
    Some(match word {
        "rsa" => Kind::Rsa,
        "p256" => Kind::P256,
        "p384" => Kind::P384,
        "p521" => Kind::P521,
        "ed25519" => Kind::Ed25519,
        _ => return None,
    })
}

/// Where a server on the host that judges has the list.
const LIST: &str = "http://127.0.0.1:8880/ca.crl";

/// Where a responder on the host that judges answers.
const RESPONDER: &str = "http://127.0.0.1:8881";

/// Writes the certificates below `folder`: all into `pki`, those of each side where swanctl seeks them.
pub fn write(folder: &Path, plan: &Plan, kind: Kind) -> Result<()> {
    let (ca, stranger) = (papers::root("ca", kind), papers::root("stranger", kind));
    let sub = ca.intermediate("sub", kind);
    let mut revoked = Vec::new();
    for side in ["ravelin", "swan"] {
        let id = plan.fill(&format!("{{{side}.id}}"), &[])?;
        let mut expired = papers::subject(side, &[&id]);
        expired.not_after = expired.not_before.replace_year(2020)?;
        save(folder, side, &ca.peer(side, &[&id], kind))?;
        save(folder, &format!("{side}-sub"), &sub.peer(side, &[&id], kind))?;
        save(folder, &format!("{side}-old"), &ca.issue(expired, kind))?;
        save(folder, &format!("{side}-stranger"), &stranger.peer(side, &[&id], kind))?;
        let gone = ca.peer(side, &[&id], kind);
        save(folder, &format!("{side}-gone"), &gone)?;
        revoked.push(gone);
        if side == "swan" {
            save(folder, "swan-listed", &ca.issue(papers::listed_at(papers::subject(side, &[&id]), LIST), kind))?;
            let answered = papers::answered_at(papers::subject(side, &[&id]), RESPONDER);
            save(folder, "swan-answered", &ca.issue(answered, kind))?;
        }
    }
    for (name, authority) in [("ca", &ca), ("sub", &sub), ("stranger", &stranger)] {
        save(folder, name, authority)?;
    }
    let list = ca.crl(&revoked.iter().collect::<Vec<_>>());
    put(&folder.join("pki/ca.crl"), &list)?;
    for side in ["ravelin", "swan"] {
        put(&folder.join(side).join("x509crl/ca.crl"), &list)?;
    }
    Ok(())
}

fn save(folder: &Path, name: &str, paper: &Paper) -> Result<()> {
    let authority = ["ca", "sub", "stranger"].contains(&name);
    put(&folder.join(format!("pki/{name}.pem")), paper.pem.as_bytes())?;
    put(&folder.join(format!("pki/{name}.key")), paper.key_pem.as_bytes())?;
    for side in ["ravelin", "swan"] {
        let beside = folder.join(side);
        // Each trusts what it finds among its authorities, so a stranger is not there.
        if authority && name != "stranger" {
            put(&beside.join(format!("x509ca/{name}.pem")), paper.pem.as_bytes())?;
        // Nor are the certificates of the other: strongSwan believes every certificate that it has itself.
        } else if name.starts_with(side) {
            put(&beside.join(format!("x509/{name}.pem")), paper.pem.as_bytes())?;
            put(&beside.join(format!("private/{name}.key")), paper.key_pem.as_bytes())?;
        }
    }
    Ok(())
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
