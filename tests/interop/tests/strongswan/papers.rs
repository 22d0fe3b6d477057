//! The certificates and keys that strongSwan's build makes, by one authority of each kind of key.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ravelin_testkit::papers::{self, Kind, Paper};

use crate::hosts::{PLACES, Place, identity};
use crate::{Half, write};

/// What a host of an example has, and in which of its folders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Certificates, and keys of RSA in `rsa`.
    Rsa,
    /// Certificates, and keys of ECDSA in `ecdsa`.
    Ecdsa,
    /// Certificates, and keys of Ed25519 in `pkcs8`.
    Ed25519,
    /// Certificates, and keys of RSA in `pkcs8`.
    Pkcs8,
    /// Certificates, and keys of ECDSA in `pkcs8`.
    Pkcs8Ecdsa,
    /// One file for each host, with its certificate, its key and the authority.
    Pkcs12,
    /// Public keys of all hosts, and keys of RSA.
    Public,
}

/// The folders and kinds of the keys, where certificates lie in `x509`.
const KEYS: [(Kept, &str, Kind); 5] = [
    (Kept::Rsa, "rsa", Kind::Rsa),
    (Kept::Ecdsa, "ecdsa", Kind::P256),
    (Kept::Ed25519, "pkcs8", Kind::Ed25519),
    (Kept::Pkcs8, "pkcs8", Kind::Rsa),
    (Kept::Pkcs8Ecdsa, "pkcs8", Kind::P256),
];

/// Certificates of all hosts.
pub struct Papers(Vec<(Kind, Issued)>);

/// What one authority issued.
struct Issued {
    authority: Paper,
    hosts: Vec<(&'static str, Paper)>,
}

impl Papers {
    pub fn new() -> Self {
        Papers([Kind::Rsa, Kind::P256, Kind::Ed25519].map(|kind| (kind, Issued::new(kind))).into())
    }

    /// Puts them where the build has them. A key is encrypted where a password for it is configured.
    pub fn put(&self, kept: Kept, host: &str, folder: &Path, half: &Half) -> Result<()> {
        let (secrets, [authorities, certificates]) = match half {
            Half::Swanctl(conf) => (conf, ["x509ca", "x509"]),
            Half::Ipsec { secrets, .. } => (secrets, ["ipsec.d/cacerts", "ipsec.d/certs"]),
        };
        let (_, keys, kind) = KEYS.into_iter().find(|(known, ..)| *known == kept).unwrap_or(KEYS[0]);
        let (_, issued) = self.0.iter().find(|(known, _)| *known == kind).context("an authority")?;
        let own = issued.of(host)?;
        if kept == Kept::Pkcs12 {
            return container(issued, own, host, folder, secrets);
        }
        let keys = if matches!(half, Half::Ipsec { .. }) { "ipsec.d/private" } else { keys };
        let key = match password(secrets, &format!("{host}Key.pem")) {
            None => own.key_pem.clone().into_bytes(),
            Some(password) if keys == "pkcs8" => {
                openssl(&["pkcs8", "-topk8", "-v2", "aes128", "-passout", &password], &own.key_pem)?
            }
            Some(password) => openssl(&["pkey", "-traditional", "-aes128", "-passout", &password], &own.key_pem)?,
        };
        write(&folder.join(keys).join(format!("{host}Key.pem")), &key)?;
        if kept == Kept::Public {
            for (host, paper) in &issued.hosts {
                let public = openssl(&["pkey", "-pubout"], &paper.key_pem)?;
                write(&folder.join(format!("pubkey/{host}Pub.pem")), &public)?;
            }
            return Ok(());
        }
        write(&folder.join(authorities).join("strongswanCert.pem"), issued.authority.pem.as_bytes())?;
        write(&folder.join(certificates).join(format!("{host}Cert.pem")), own.pem.as_bytes())
    }
}

impl Issued {
    fn new(kind: Kind) -> Self {
        let subject = |name: &str, names: &[&str]| papers::subject_in("strongSwan Project", name, names);
        let authority = papers::own(papers::authority(subject("strongSwan Root CA", &[])), kind);
        let host = |Place(host, ..): &Place| {
            let name = identity(host);
            let params = subject(&name, &[&name]);
            let params = match *host {
                "carol" => papers::in_unit(params, "Research"),
                "dave" => papers::in_unit(params, "Accounting"),
                "alice" => papers::in_unit(params, "Sales"),
                _ => params,
            };
            (*host, authority.issue(params, kind))
        };
        let hosts = PLACES.iter().map(host).collect();
        Issued { authority, hosts }
    }

    fn of(&self, host: &str) -> Result<&Paper> {
        let found = self.hosts.iter().find(|(name, _)| *name == host);
        found.map(|(_, paper)| paper).context("a host with a certificate")
    }
}

/// The file of PKCS #12 of a host.
fn container(issued: &Issued, own: &Paper, host: &str, folder: &Path, secrets: &str) -> Result<()> {
    let file = format!("{host}Cert.p12");
    let password = password(secrets, &file).context("a password of the file")?;
    let authority = folder.join("authority.pem");
    fs::write(&authority, &issued.authority.pem)?;
    let certfile = authority.display().to_string();
    let how = ["-keypbe", "aes-128-cbc", "-certpbe", "aes-128-cbc", "-macalg", "sha256", "-passout", &password];
    let made = openssl(
        &[&["pkcs12", "-export", "-certfile", &certfile][..], &how].concat(),
        &format!("{}{}", own.key_pem, own.pem),
    )?;
    fs::remove_file(&authority)?;
    write(&folder.join("pkcs12").join(file), &made)
}

/// The password of a file, in the section `secrets` or behind it in ipsec.secrets, as openssl takes it.
fn password(secrets: &str, file: &str) -> Option<String> {
    let (_, behind) = secrets.split_once(file)?;
    let behind = behind.trim_start();
    let behind = behind.strip_prefix("secret = ").unwrap_or(behind).strip_prefix('"')?;
    behind.split_once('"').map(|(password, _)| format!("pass:{password}"))
}

fn openssl(arguments: &[&str], input: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn()?;
    running.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    let done = running.wait_with_output()?;
    ensure!(done.status.success(), "openssl {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    Ok(done.stdout)
}
