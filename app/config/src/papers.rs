//! Certificates and private keys as the operator gives them (`ce x509`): the local trust database.
//!
//! Certificates of authorities are trusted; one that came with a private key is our own. Private keys are taken only from
//! files that nobody else can read, live in memory that is wiped, and are in no listing.

mod loaded;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ravelin_crypto::signature::PrivateKey;
use ravelin_crypto_aws_lc::{BadContainer, Contents, PROVIDER};
use ravelin_pkcs11::Trouble;
use ravelin_pki::auth::{Credential, Trust};
use ravelin_pki::{Certificate, Crl, Fault, Places};
use ravelin_types::{Identity, Secret};

pub use self::loaded::{Believed, Loaded, Signer, certificate, public_key};
pub use self::token::{KeyAt, TokenKey, key_at};
use crate::secret::{self, SecretError};
use crate::spec::X509Spec;

/// Bytes of a file with certificates: some hundred of them, or a large revocation list.
const MAX_FILE: usize = 16 * 1024 * 1024;
/// Bytes of a file with a private key.
const MAX_KEY_FILE: usize = 1024 * 1024;

/// What the answers to IKE's questions are made from.
#[derive(Clone, Default)]
pub struct Papers {
    /// Private keys by the name in [`Credential::key`].
    pub keys: BTreeMap<String, Arc<dyn PrivateKey>>,
    /// Revocation lists.
    pub crls: Vec<Crl>,
}

/// One line of `ce x509 -a`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was asked for.
    pub spec: X509Spec,
    /// What the file holds.
    pub certificates: Vec<Certificate>,
    /// Revocation lists in the file.
    pub crls: Vec<Crl>,
    /// The name of the private key of the first certificate, if it is here.
    pub key: Option<String>,
}

/// The database.
#[derive(Clone, Debug, Default)]
pub struct Database {
    entries: Vec<Entry>,
    loaded: Loaded,
    papers: Arc<Papers>,
}

/// Why a certificate or key cannot be taken.
#[derive(Debug)]
pub enum PaperError {
    /// The file cannot be read.
    File(SecretError),
    /// It holds nothing that is known, or a key that cannot be had.
    Container(PathBuf, BadContainer),
    /// A certificate in it is none.
    Certificate(PathBuf, Fault),
    /// No certificate is in it.
    NoCertificate(PathBuf),
    /// No private key is in it.
    NoKey(PathBuf),
    /// The key on a token cannot be had.
    Token(String, Trouble),
    /// The key is not that of the certificate.
    OtherKey(KeyAt, PathBuf),
    /// The file is in the database already.
    Known(PathBuf),
    /// The file is not in the database.
    Unknown(PathBuf, String),
    /// A remote needs it.
    InUse(PathBuf, String),
    /// It has no private key here, so we cannot prove ourselves by it.
    NotOurs(PathBuf),
    /// No authority is trusted, and no certificate of the peer given.
    NobodyTrusted,
    /// What is said of an authority's certificates, of a file whose first certificate is that of none.
    NoAuthority(PathBuf),
    /// The certificate has no such name.
    NoName(PathBuf, &'static str),
}

impl fmt::Debug for Papers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Papers({} keys, {} lists)", self.keys.len(), self.crls.len())
    }
}

impl Database {
    /// Adds the certificates and lists of a file, with the private key of the first where it is said, or in the file itself.
    /// Files are sought in `directory`. A token is waited for, some seconds.
    ///
    /// # Errors
    /// When something cannot be read, or does not belong together.
    pub fn add(&mut self, spec: &X509Spec, directory: &Path) -> Result<&Entry, PaperError> {
        let file = spec.file.as_path();
        if self.entries.iter().any(|entry| entry.spec.file == file) {
            return Err(PaperError::Known(file.to_owned()));
        }
        let passphrase = spec.passphrase.as_ref().map(|path| secret::read(&directory.join(path))).transpose();
        let passphrase = passphrase.map_err(PaperError::File)?;
        let mut contents = read(&directory.join(file), passphrase.as_ref())?;
        let keys = std::mem::take(&mut contents.private_keys);
        if !keys.is_empty() {
            // The file holds a secret, so it is held to the rules of one.
            secret::check(&directory.join(file)).map_err(PaperError::File)?;
        }
        let (certificates, crls) = decode(file, contents)?;
        if certificates.is_empty() && crls.is_empty() {
            return Err(PaperError::NoCertificate(file.to_owned()));
        }
        let hosts = spec.cert_uri_base.is_some() || spec.bundle_uri_base.is_some();
        if hosts && !certificates.first().is_some_and(Certificate::is_authority) {
            return Err(PaperError::NoAuthority(file.to_owned()));
        }
        let key = match &spec.key {
            Some(KeyAt::Token(uri)) => {
                Some(token::open(uri).map_err(|trouble| PaperError::Token(uri.clone(), trouble))?)
            }
            Some(KeyAt::File(path)) => {
                let bytes = secret::read_protected(&directory.join(path), MAX_KEY_FILE).map_err(PaperError::File)?;
                let bad = |bad| PaperError::Container(path.clone(), bad);
                let keys = Contents::read(bytes.expose(), passphrase.as_ref()).map_err(bad)?.private_keys;
                Some(private_key(keys.first().ok_or_else(|| PaperError::NoKey(path.clone()))?, path)?)
            }
            None => keys.first().map(|key| private_key(key, file)).transpose()?,
        };
        if let Some(key) = &key {
            let own = certificates.first().ok_or_else(|| PaperError::NoCertificate(file.to_owned()))?;
            if key.public_info() != own.spki() {
                let from = spec.key.clone().unwrap_or_else(|| KeyAt::File(file.to_owned()));
                return Err(PaperError::OtherKey(from, file.to_owned()));
            }
        }
        let name = key.map(|key| (file.display().to_string(), key));
        let key = name.as_ref().map(|(name, _)| name.clone());
        self.entries.push(Entry { spec: spec.clone(), certificates, crls, key });
        self.settle(name);
        self.entries.last().ok_or_else(|| PaperError::NoCertificate(file.to_owned()))
    }

    /// Takes the file of this name out.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete(&mut self, file: &Path) -> Result<(), PaperError> {
        let at = self.entries.iter().position(|entry| entry.spec.file == file);
        let at = at.ok_or_else(|| self.unknown(file))?;
        self.entries.remove(at);
        self.settle(None);
        Ok(())
    }

    /// What strongSwan's files and clients of VICI brought.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Changes that.
    pub fn change_loaded<T>(&mut self, change: impl FnOnce(&mut Loaded) -> T) -> T {
        let result = change(&mut self.loaded);
        self.settle(None);
        result
    }

    /// Whether nothing has come, gone or changed between the other, which this is a copy of, and this.
    pub fn is_that_of(&self, other: &Database) -> bool {
        Arc::ptr_eq(&self.papers, &other.papers)
    }

    /// Makes the answers anew from the entries and from what was loaded; `fresh` is a key that came.
    fn settle(&mut self, fresh: Option<(String, Arc<dyn PrivateKey>)>) {
        let known = |name: &String| Some((name.clone(), self.papers.keys.get(name)?.clone()));
        let own = self.entries.iter().filter_map(|entry| known(entry.key.as_ref()?)).chain(fresh);
        let keys = own.chain(self.loaded.named_keys()).collect();
        let lists = self.entries.iter().flat_map(|entry| &entry.crls).chain(self.loaded.crls());
        self.papers = Arc::new(Papers { keys, crls: lists.cloned().collect() });
    }

    /// Everything that was added.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The file of this name.
    ///
    /// # Errors
    /// When it is not there.
    pub fn find(&self, file: &Path) -> Result<&Entry, PaperError> {
        self.entries.iter().find(|entry| entry.spec.file == file).ok_or_else(|| self.unknown(file))
    }

    /// What answers are made from.
    pub fn papers(&self) -> Arc<Papers> {
        self.papers.clone()
    }

    /// Every authority that is trusted.
    pub fn anchors(&self) -> Arc<[Certificate]> {
        self.all().filter(|certificate| is_anchor(certificate)).cloned().collect()
    }

    fn all(&self) -> impl Iterator<Item = &Certificate> {
        self.entries.iter().flat_map(|entry| &entry.certificates).chain(self.loaded.every_certificate())
    }

    /// Authorities between, which give no trust by themselves.
    fn others(&self) -> Arc<[Certificate]> {
        self.all().filter(|certificate| certificate.is_authority() && !is_anchor(certificate)).cloned().collect()
    }

    /// What we prove ourselves with: the certificates of these files are sent in this order, and the key is that of the
    /// first.
    ///
    /// # Errors
    /// When a file is not there, or the first has no private key here.
    pub fn credential(&self, files: &[PathBuf], directory: &Path) -> Result<Credential, PaperError> {
        let mut certificates = Vec::new();
        let mut key = None;
        for (at, file) in files.iter().enumerate() {
            let known = self.entries.iter().find(|entry| entry.spec.file == *file);
            if at == 0 {
                let entry = known.ok_or_else(|| self.unknown(file))?;
                key = Some(entry.key.clone().ok_or_else(|| PaperError::NotOurs(file.clone()))?);
            }
            match known {
                Some(entry) => certificates.extend(entry.certificates.iter().cloned()),
                None => certificates.extend(decode(file, read(&directory.join(file), None)?)?.0),
            }
        }
        let spki = certificates.first().map(|own: &Certificate| own.spki().to_vec()).unwrap_or_default();
        Ok(Credential { certificates, key: key.unwrap_or_default(), spki, ..Credential::default() })
    }

    /// Whom we believe: with `peer`, only its certificates; without, whoever an authority here vouches for.
    ///
    /// # Errors
    /// When the file cannot be read, or there is nobody to believe.
    pub fn trust(&self, peer: Option<&Path>, directory: &Path) -> Result<Trust, PaperError> {
        let pinned = match peer {
            Some(file) => self.certificates(file, directory)?,
            None => Vec::new(),
        };
        let trust = self.believe(pinned);
        if trust.is_usable() { Ok(trust) } else { Err(PaperError::NobodyTrusted) }
    }

    /// Whom we believe: whoever uses one of these certificates, or where there are none, whoever an authority here vouches
    /// for.
    pub(crate) fn believe(&self, pinned: Vec<Certificate>) -> Trust {
        Trust { anchors: self.anchors(), others: self.others(), pinned, places: self.places(), ..Trust::default() }
    }

    /// Where more is to be had of authorities than their certificates say.
    fn places(&self) -> Arc<[Places]> {
        let hosts = self.entries.iter().filter_map(|entry| {
            let X509Spec { cert_uri_base, bundle_uri_base, .. } = entry.spec.clone();
            let authority = entry.certificates.first().filter(|_| cert_uri_base.is_some() || bundle_uri_base.is_some());
            let (crl_uris, ocsp_uris) = Default::default();
            Some(Places { authority: authority?.clone(), crl_uris, ocsp_uris, cert_uri_base, bundle_uri_base })
        });
        self.loaded.authorities().values().cloned().chain(hosts).collect()
    }

    /// A credential with what is known of its certificates by now.
    pub(crate) fn placed(&self, credential: &Credential) -> Credential {
        let known: Vec<&Certificate> = credential.certificates.iter().chain(self.all()).collect();
        credential.clone().placed(&known, &self.places(), &PROVIDER)
    }

    /// The certificates of a file, in the database or not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn certificates(&self, file: &Path, directory: &Path) -> Result<Vec<Certificate>, PaperError> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.spec.file == file) {
            return Ok(entry.certificates.clone());
        }
        let (certificates, _) = decode(file, read(&directory.join(file), None)?)?;
        if certificates.is_empty() { Err(PaperError::NoCertificate(file.to_owned())) } else { Ok(certificates) }
    }

    fn unknown(&self, file: &Path) -> PaperError {
        let names: Vec<String> = self.entries.iter().map(|entry| entry.spec.file.display().to_string()).collect();
        let hint = crate::value::did_you_mean(&file.display().to_string(), names.iter().map(String::as_str));
        PaperError::Unknown(file.to_owned(), hint)
    }
}

/// Trusted are authorities that nobody else vouches for. One that somebody vouches for is only on the way.
fn is_anchor(certificate: &Certificate) -> bool {
    certificate.is_self_issued() && certificate.is_authority()
}

/// The subject of a certificate as an identity.
///
/// # Errors
/// When it has none.
pub fn subject(certificate: &Certificate, file: &Path) -> Result<Identity, PaperError> {
    match certificate.subject().is_empty() {
        true => Err(PaperError::NoName(file.to_owned(), "subject")),
        false => Ok(Identity::Dn(certificate.subject().clone())),
    }
}

fn private_key(pkcs8: &Secret, file: &Path) -> Result<Arc<dyn PrivateKey>, PaperError> {
    let bad = || PaperError::Container(file.to_owned(), BadContainer::BadKey);
    readied(pkcs8).ok_or_else(bad)
}

/// Readies a private key: by AWS-LC, or by the portable provider if it is of a kind that only that one has. `None`: neither.
fn readied(pkcs8: &Secret) -> Option<Arc<dyn PrivateKey>> {
    let providers = [&PROVIDER, &ravelin_crypto_rustcrypto::PROVIDER];
    let mut keys = providers.iter().filter_map(|provider| provider.signatures?.private_key(pkcs8.expose()).ok());
    keys.next().map(Arc::from)
}

fn read(path: &Path, passphrase: Option<&Secret>) -> Result<Contents, PaperError> {
    let bytes = secret::read_open(path, MAX_FILE).map_err(PaperError::File)?;
    Contents::read(bytes.expose(), passphrase).map_err(|bad| PaperError::Container(path.to_owned(), bad))
}

fn decode(file: &Path, contents: Contents) -> Result<(Vec<Certificate>, Vec<Crl>), PaperError> {
    let mut certificates = Vec::new();
    let mut crls: Vec<Crl> = Vec::new();
    let bad = |fault| PaperError::Certificate(file.to_owned(), fault);
    for der in &contents.certificates {
        match (Certificate::parse(der), Crl::parse(der)) {
            (Ok(certificate), _) => certificates.push(certificate),
            // DER has no label.
            (Err(_), Ok(crl)) => crls.push(crl),
            (Err(fault), Err(_)) => return Err(bad(fault)),
        }
    }
    for der in &contents.crls {
        crls.push(Crl::parse(der).map_err(bad)?);
    }
    Ok((certificates, crls))
}

impl fmt::Display for PaperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PaperError::File(error) => error.fmt(f),
            PaperError::Container(path, bad) => write!(f, "{}: {bad}", path.display()),
            PaperError::Certificate(path, fault) => write!(f, "{}: {fault}", path.display()),
            PaperError::NoCertificate(path) => write!(f, "no certificate is in {}", path.display()),
            PaperError::NoKey(path) => write!(f, "no private key is in {}", path.display()),
            PaperError::Token(uri, trouble) => write!(f, "{uri}: {trouble}"),
            PaperError::OtherKey(key, certificate) => {
                write!(f, "the private key in {key} is not that of {}", certificate.display())
            }
            PaperError::Known(path) => {
                let path = path.display();
                write!(f, "{path} is in the database already; delete it first: ce x509 -x {path}")
            }
            PaperError::Unknown(path, hint) => {
                let path = path.display();
                write!(f, "{path} is not in the database{hint}; add it: ce x509 -a {path} -d 1")
            }
            PaperError::InUse(path, remote) => {
                write!(f, "the remote {remote} needs {}; delete it first: ike remote -x {remote}", path.display())
            }
            PaperError::NoAuthority(path) => {
                write!(f, "{} does not begin with an authority, so no certificate lies anywhere for it", path.display())
            }
            PaperError::NotOurs(path) => {
                let path = path.display();
                write!(f, "the private key of {path} is not here; add it: ce x509 -a {path} -d 1 -k KEYFILE")
            }
            PaperError::NobodyTrusted => f.write_str(
                "no authority is trusted; add its certificate: ce x509 -a FILE -d 1, or name that of the remote with -b",
            ),
            PaperError::NoName(path, what) => write!(f, "the certificate in {} has no {what}", path.display()),
        }
    }
}

impl std::error::Error for PaperError {}

#[cfg(test)]
mod tests;
