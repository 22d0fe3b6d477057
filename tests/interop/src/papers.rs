//! Certificates of a case, fresh in every run: one authority, one below it, and what they issue for the two sides.
//!
//! | file | holds |
//! |---|---|
//! | `ca`, `sub` | the authority, and one below it |
//! | `ravelin`, `swan` | issued by `ca` for the identities of the plan |
//! | `ravelin-sub`, `swan-sub` | the same by `sub` |
//! | `ravelin-old`, `swan-old` | the same by `ca`, expired |
//! | `ravelin-gone`, `swan-gone` | the same by `ca`, revoked |
//! | `ravelin-listed`, `swan-listed` | the same by `ca`, and it says that the list is at [`LIST`] |
//! | `ravelin-answered`, `swan-answered` | the same by `ca`, and it says that a responder of OCSP is at [`RESPONDER`] |
//! | `swan-user`, `swan-user-gone`, `swan-user-listed` | issued by `ca` for [`USER`], [`GONE`] and [`LISTED`], which no other is for; the second is revoked, and the third says that the list is at [`LIST`] |
//! | `aa` | an attribute authority, issued by `ca` |
//! | `stranger`, `ravelin-stranger`, `swan-stranger` | another authority, and the same by it |
//! | `ca.crl` | the list that revokes those |
//!
//! Certificates are `NAME.pem`, keys `NAME.key`, below `pki`. Each side has its own in the folders where swanctl looks for
//! their kinds, too. Of Ed448 and the curves of Brainpool, which the crate that makes the others does not know, there are `ca`,
//! `ravelin` and `swan` alone, by OpenSSL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ravelin_testkit::papers::{self, Kind, Paper};

use crate::plan::Plan;

/// With which keys.
#[derive(Clone, Copy, Debug)]
pub enum Keys {
    /// All of the table, with keys of this kind.
    Kind(Kind),
    /// Those that OpenSSL makes with these arguments.
    OpenSsl(&'static [&'static str]),
}

/// The keys by their word in `topology`.
pub fn keys(word: &str) -> Option<Keys> {
    Some(Keys::Kind(match word {
        "rsa" => Kind::Rsa,
        "p256" => Kind::P256,
        "p384" => Kind::P384,
        "p521" => Kind::P521,
        "ed25519" => Kind::Ed25519,
        "ed448" => return Some(Keys::OpenSsl(&["ed448"])),
        "brainpool256" => return Some(Keys::OpenSsl(&["ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"])),
        "brainpool384" => return Some(Keys::OpenSsl(&["ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1"])),
        "brainpool512" => return Some(Keys::OpenSsl(&["ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP512r1"])),
        _ => return None,
    }))
}

/// Where a server on the host that asks has the list.
const LIST: &str = "http://127.0.0.1:8880/ca.crl";

/// Where a responder on the host that asks answers.
const RESPONDER: &str = "http://127.0.0.1:8881";

/// Who is found by a name alone, as EAP-TLS of strongSwan finds its own, and has one certificate.
const USER: &str = "user.lab";

/// The same of one whose certificate was revoked.
const GONE: &str = "gone.lab";

/// The same of one whose certificate says where the list is.
const LISTED: &str = "listed.lab";

/// Writes the certificates below `folder`: all into `pki`, those of each side where swanctl seeks them.
pub fn write(folder: &Path, plan: &Plan, keys: Keys) -> Result<()> {
    match keys {
        Keys::Kind(kind) => write_all(folder, plan, kind),
        Keys::OpenSsl(key) => write_some(folder, plan, key),
    }
}

fn write_some(folder: &Path, plan: &Plan, key: &[&str]) -> Result<()> {
    let pki = folder.join("pki");
    fs::create_dir_all(&pki)?;
    for name in ["ca", "ravelin", "swan"] {
        let mut request = Command::new("openssl");
        request.current_dir(&pki).args(["req", "-x509", "-nodes", "-days", "30", "-newkey"]).args(key).arg("-subj");
        request.args([&format!("/C=CH/O=Ravelin/CN={name}"), "-addext"]);
        if name == "ca" {
            request.args(["basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        } else {
            let names = plan.fill(&format!("subjectAltName=DNS:{{{name}.id}}"), &[])?;
            request.args([&names, "-addext", "basicConstraints=CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key"]);
        }
        let done = request.args(["-out", &format!("{name}.pem"), "-keyout", &format!("{name}.key")]).output()?;
        ensure!(done.status.success(), "openssl: {}", String::from_utf8_lossy(&done.stderr));
        let read = |kind: &str| fs::read_to_string(pki.join(format!("{name}.{kind}")));
        save(folder, name, &read("pem")?, &read("key")?)?;
    }
    Ok(())
}

fn write_all(folder: &Path, plan: &Plan, kind: Kind) -> Result<()> {
    let save = |name: &str, paper: &Paper| save(folder, name, &paper.pem, &paper.key_pem);
    let (ca, stranger) = (papers::root("ca", kind), papers::root("stranger", kind));
    let sub = ca.intermediate("sub", kind);
    let mut revoked = Vec::new();
    for side in ["ravelin", "swan"] {
        let id = plan.fill(&format!("{{{side}.id}}"), &[])?;
        let mut expired = papers::subject(side, &[&id]);
        expired.not_after = expired.not_before.replace_year(2020)?;
        save(side, &ca.peer(side, &[&id], kind))?;
        save(&format!("{side}-sub"), &sub.peer(side, &[&id], kind))?;
        save(&format!("{side}-old"), &ca.issue(expired, kind))?;
        save(&format!("{side}-stranger"), &stranger.peer(side, &[&id], kind))?;
        let gone = ca.peer(side, &[&id], kind);
        save(&format!("{side}-gone"), &gone)?;
        revoked.push(gone);
        let named = || papers::subject(side, &[&id]);
        save(&format!("{side}-listed"), &ca.issue(papers::listed_at(named(), LIST), kind))?;
        save(&format!("{side}-answered"), &ca.issue(papers::answered_at(named(), RESPONDER), kind))?;
    }
    for (name, authority) in [("ca", &ca), ("sub", &sub), ("stranger", &stranger)] {
        save(name, authority)?;
    }
    save("swan-user", &ca.peer("user", &[USER], kind))?;
    let gone = ca.peer("gone", &[GONE], kind);
    save("swan-user-gone", &gone)?;
    save("swan-user-listed", &ca.issue(papers::listed_at(papers::subject("listed", &[LISTED]), LIST), kind))?;
    revoked.push(gone);
    save("aa", &ca.peer("aa", &[], kind))?;
    let list = ca.crl(&revoked.iter().collect::<Vec<_>>());
    put(&folder.join("pki/ca.crl"), &list)?;
    for side in ["ravelin", "swan"] {
        put(&folder.join(side).join("x509crl/ca.crl"), &list)?;
    }
    Ok(())
}

/// strongSwan's, which issues attribute certificates.
pub const PKI: &str = "pki";

/// Has the attribute authority say that both sides are of a group. Each side has what is said of it, and believes the authority.
pub fn attributes(folder: &Path, group: &str) -> Result<()> {
    let pki = folder.join("pki");
    for side in ["ravelin", "swan"] {
        let mut issue = Command::new(PKI);
        issue.current_dir(&pki).args([
            "--acert",
            "--issuercert",
            "aa.pem",
            "--issuerkey",
            "aa.key",
            "--outform",
            "pem",
        ]);
        let done = issue.args(["--in", &format!("{side}.pem"), "--group", group]).output()?;
        ensure!(done.status.success(), "{PKI}: {}", String::from_utf8_lossy(&done.stderr));
        put(&folder.join(side).join("x509ac").join(format!("{side}.pem")), &done.stdout)?;
        put(&folder.join(side).join("x509aa/aa.pem"), &fs::read(pki.join("aa.pem"))?)?;
    }
    Ok(())
}

fn save(folder: &Path, name: &str, pem: &str, key: &str) -> Result<()> {
    let authority = ["ca", "sub", "stranger"].contains(&name);
    put(&folder.join(format!("pki/{name}.pem")), pem.as_bytes())?;
    put(&folder.join(format!("pki/{name}.key")), key.as_bytes())?;
    for side in ["ravelin", "swan"] {
        let beside = folder.join(side);
        // Each trusts what it finds among its authorities, so a stranger is not there.
        if authority && name != "stranger" {
            put(&beside.join(format!("x509ca/{name}.pem")), pem.as_bytes())?;
        // Nor are the certificates of the other: strongSwan believes every certificate that it has itself.
        } else if name.starts_with(side) {
            put(&beside.join(format!("x509/{name}.pem")), pem.as_bytes())?;
            put(&beside.join(format!("private/{name}.key")), key.as_bytes())?;
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
