//! The certificates and keys that strongSwan's build makes: by one authority of each kind of key, and what [`Tree`] has.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ravelin_interop::papers::PKI;
use ravelin_testkit::papers::{self, CertificateParams, Kind, Paper};

use crate::examples::Example;
use crate::hosts::{PLACES, Place, identity};
use crate::tree::Tree;
use crate::{Half, write};

/// What is put into the folder of a host in the place of what it would have there, or beside that.
#[derive(Clone, Copy)]
pub enum Put {
    /// A certificate with its key, as the host's own: whose, of the [`Tree`], and what their files have behind the host's name.
    Own(&'static str, &'static str, [&'static str; 2]),
    /// The certificate of an authority: whose, which of the tree, and its file.
    Authority(&'static str, &'static str, &'static str),
    /// The revocation list of the root.
    List(&'static str),
    /// The certificate of an attribute authority: whose, and which of the tree.
    Attributing(&'static str, &'static str),
    /// An attribute certificate: whose, by which authority, about which host and its groups, and whether it is still valid.
    Attributes(&'static str, &'static str, &'static str, &'static [&'static str], bool),
}

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
pub struct Papers {
    kinds: Vec<(Kind, Issued)>,
    tree: Tree,
    /// What the web server of the examples has.
    pub web: PathBuf,
}

/// What one authority issued.
pub struct Issued {
    pub authority: Paper,
    pub hosts: Vec<(&'static str, Paper)>,
}

impl Papers {
    /// Makes all, and what servers need into `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        let kinds = [Kind::Rsa, Kind::P256, Kind::Ed25519].map(|kind| (kind, Issued::new(kind)));
        let tree = Tree::new(&kinds[0].1);
        let web = folder.join("web");
        tree.publish(&kinds[0].1, folder, &web)?;
        Ok(Papers { kinds: kinds.into(), tree, web })
    }

    /// Puts them where the build has them.
    pub fn put(&self, example: &Example, host: &str, folder: &Path, half: &Half) -> Result<()> {
        self.put_kept(example.kept, host, folder, half)?;
        for put in example.puts {
            match *put {
                Put::Own(whose, name, [certificate, key]) if whose == host => {
                    let paper = self.tree.of(name)?;
                    write(&folder.join(format!("x509/{host}Cert{certificate}.pem")), paper.pem.as_bytes())?;
                    write(&folder.join(format!("rsa/{host}Key{key}.pem")), paper.key_pem.as_bytes())?;
                }
                Put::Authority(whose, name, file) if whose == host => {
                    write(&folder.join("x509ca").join(file), self.tree.of(name)?.pem.as_bytes())?;
                }
                Put::List(whose) if whose == host => {
                    write(&folder.join("x509crl/strongswan.crl"), &fs::read(self.web.join("strongswan.crl"))?)?;
                }
                Put::Attributing(whose, name) if whose == host => {
                    write(&folder.join(format!("x509aa/{name}.pem")), self.tree.of(name)?.pem.as_bytes())?;
                }
                Put::Attributes(whose, authority, about, groups, valid) if whose == host => {
                    let made = self.attributes(authority, about, groups, valid)?;
                    write(&folder.join(format!("x509ac/{about}-{}-{authority}-{valid}.pem", groups.join("-"))), &made)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn attributes(&self, authority: &str, about: &str, groups: &[&str], valid: bool) -> Result<Vec<u8>> {
        let paper = |name: &str, kind: &str| self.web.with_file_name(format!("{name}.{kind}"));
        let mut issue = Command::new(PKI);
        issue.args(["--acert", "--outform", "pem", "--issuercert"]).arg(paper(authority, "pem"));
        issue.arg("--issuerkey").arg(paper(authority, "key")).arg("--in").arg(paper(about, "pem"));
        for group in groups {
            issue.args(["--group", group]);
        }
        if !valid {
            issue.args(["--not-before", "01.01.24 00:00:00", "--not-after", "01.01.25 00:00:00"]);
        }
        let done = issue.output()?;
        ensure!(done.status.success(), "{PKI}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(done.stdout)
    }

    /// A key is encrypted where a password for it is configured.
    fn put_kept(&self, kept: Kept, host: &str, folder: &Path, half: &Half) -> Result<()> {
        let (secrets, [authorities, certificates]) = match half {
            Half::Swanctl(conf) => (conf, ["x509ca", "x509"]),
            Half::Ipsec { secrets, .. } => (secrets, ["ipsec.d/cacerts", "ipsec.d/certs"]),
        };
        let (_, keys, kind) = KEYS.into_iter().find(|(known, ..)| *known == kept).unwrap_or(KEYS[0]);
        let (_, issued) = self.kinds.iter().find(|(known, _)| *known == kind).context("an authority")?;
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
        let authority = papers::authority(subject("strongSwan Root CA", &[]));
        let authority = papers::own(papers::of_depth(authority, 1), kind);
        let host = |Place(host, ..): &Place| {
            let name = identity(host);
            let params = subject(&name, &[&name]);
            let params = if kind == Kind::Rsa { listed(params, "strongswan") } else { params };
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

/// A certificate of somebody in the project.
pub fn subject(name: &str, names: &[&str]) -> CertificateParams {
    papers::subject_in("strongSwan Project", name, names)
}

/// Lets it say where the list of its authority is.
pub fn listed(params: CertificateParams, list: &str) -> CertificateParams {
    papers::listed_at(params, &format!("http://crl.strongswan.org/{list}.crl"))
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

/// What openssl makes of `input`.
pub fn openssl(arguments: &[&str], input: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn()?;
    running.stdin.take().context("its input")?.write_all(input.as_ref())?;
    let done = running.wait_with_output()?;
    ensure!(done.status.success(), "openssl {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    Ok(done.stdout)
}
