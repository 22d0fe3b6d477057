//! Certificates, revocation lists and keys that strongSwan's files and clients of VICI brought, and what a connection of
//! theirs makes of them. They are looked up when they are used, since they may come after the connection.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use ravelin_crypto::signature::PrivateKey;
use ravelin_crypto_aws_lc::{Contents, PROVIDER};
use ravelin_pki::auth::{Credential, Trust};
use ravelin_pki::{
    AttributeCertificate, Certificate, Crl, Demand, Membership, ObjectIdentifier, Places, Restrictions, names, path,
};
use ravelin_types::{Dn, Identity, Secret};

use super::{Database, TokenKey, is_anchor};

/// Certificates, lists and keys of each kind at most.
const MAX: usize = 10_000;
/// Authorities between our own certificate and the one at the top at most, that are sent to a peer.
const MAX_CHAIN: usize = 8;

/// What was loaded.
#[derive(Clone, Default)]
pub struct Loaded {
    certificates: Vec<Certificate>,
    crls: Vec<Crl>,
    /// Certificates of attribute authorities, and those that they issued.
    attribute_authorities: Vec<Certificate>,
    attributes: Vec<AttributeCertificate>,
    public_keys: Vec<Vec<u8>>,
    /// By their identifiers.
    keys: BTreeMap<String, Arc<dyn PrivateKey>>,
    /// By their names.
    authorities: BTreeMap<String, Places>,
}

/// What a connection proves us with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signer {
    /// One of these; where there are none, one that has our identity.
    pub certificates: Vec<Certificate>,
    /// Or one of these public keys (SubjectPublicKeyInfo), without a certificate.
    pub keys: Vec<Vec<u8>>,
    /// By which schemes.
    pub restrictions: Restrictions,
}

/// Whom a connection believes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Believed {
    /// Whoever has one of these certificates; where there are none, whoever an authority vouches for.
    pub certificates: Vec<Certificate>,
    /// The authorities of which one must be above the peer's certificate; where there are none, all that are known.
    pub authorities: Vec<Certificate>,
    /// An authority that must be above the peer's certificate, however far.
    pub through: Option<Dn>,
    /// Public keys (SubjectPublicKeyInfo) that are believed without a certificate.
    pub keys: Vec<Vec<u8>>,
    /// Groups of which attribute certificates must show that it is of one; empty: they need not.
    pub groups: Vec<String>,
    /// Policies of which the certificate must be under one.
    pub policies: Vec<ObjectIdentifier>,
    /// Which certificates must be known not to be revoked.
    pub revocation: Demand,
    /// Which keys and signatures are accepted.
    pub restrictions: Restrictions,
}

/// The first certificate of a file, in PEM or DER.
///
/// # Errors
/// When none is in it.
pub fn certificate(bytes: &[u8]) -> Result<Certificate, String> {
    let contents = Contents::read(bytes, None).map_err(|bad| bad.to_string())?;
    let der = contents.certificates.first().ok_or("no certificate is in it")?;
    Certificate::parse(der).map_err(|fault| fault.to_string())
}

/// The public key of a file, in PEM or DER.
///
/// # Errors
/// When none is in it.
pub fn public_key(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let contents = Contents::read(bytes, None).map_err(|bad| bad.to_string())?;
    contents.public_keys.into_iter().next().ok_or_else(|| "no public key is in it".to_owned())
}

impl Loaded {
    /// Adds the certificates of a file, in PEM or DER.
    ///
    /// # Errors
    /// When there is none, or `authority` asks for one of an authority and it is of somebody else.
    pub fn add_certificates(&mut self, bytes: &[u8], authority: bool) -> Result<(), String> {
        let contents = Contents::read(bytes, None).map_err(|bad| bad.to_string())?;
        if contents.certificates.is_empty() {
            return Err("no certificate is in it".to_owned());
        }
        for der in &contents.certificates {
            let certificate = Certificate::parse(der).map_err(|fault| fault.to_string())?;
            if authority && !certificate.is_authority() {
                return Err("ca certificate lacks CA basic constraint, rejected".to_owned());
            }
            self.add_certificate(certificate)?;
        }
        Ok(())
    }

    fn add_certificate(&mut self, certificate: Certificate) -> Result<(), String> {
        if !self.certificates.contains(&certificate) {
            room(self.certificates.len())?;
            self.certificates.push(certificate);
        }
        Ok(())
    }

    /// Adds a revocation list, in PEM or DER, in the place of an older state of it.
    ///
    /// # Errors
    /// When there is none.
    pub fn add_crl(&mut self, bytes: &[u8]) -> Result<(), String> {
        let contents = Contents::read(bytes, None).map_err(|bad| bad.to_string())?;
        // DER has no label.
        let der = contents.crls.first().or(contents.certificates.first()).ok_or("no revocation list is in it")?;
        let list = Crl::parse(der).map_err(|fault| fault.to_string())?;
        if self.crls.iter().any(|known| known.is_like(&list) && known.updated() > list.updated()) {
            return Ok(());
        }
        self.crls.retain(|known| !known.is_like(&list));
        room(self.crls.len())?;
        self.crls.push(list);
        Ok(())
    }

    /// Adds the certificate of an attribute authority, in PEM or DER.
    ///
    /// # Errors
    /// When there is none, or nobody with it may be one.
    pub fn add_attribute_authority(&mut self, bytes: &[u8]) -> Result<(), String> {
        let authority = certificate(bytes)?;
        Membership::authority(&authority)?;
        if !self.attribute_authorities.contains(&authority) {
            room(self.attribute_authorities.len())?;
            self.attribute_authorities.push(authority);
        }
        Ok(())
    }

    /// Adds an attribute certificate, in PEM or DER.
    ///
    /// # Errors
    /// When there is none.
    pub fn add_attributes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let contents = Contents::read(bytes, None).map_err(|bad| bad.to_string())?;
        // DER has no label.
        let der = contents.attributes.first().or(contents.certificates.first());
        let der = der.ok_or("no attribute certificate is in it")?;
        let attributes = AttributeCertificate::parse(der).map_err(|fault| fault.to_string())?;
        if !self.attributes.contains(&attributes) {
            room(self.attributes.len())?;
            self.attributes.push(attributes);
        }
        Ok(())
    }

    /// Adds a public key, in PEM or DER.
    ///
    /// # Errors
    /// When there is none.
    pub fn add_public_key(&mut self, bytes: &[u8]) -> Result<(), String> {
        let key = public_key(bytes)?;
        if !self.public_keys.contains(&key) {
            room(self.public_keys.len())?;
            self.public_keys.push(key);
        }
        Ok(())
    }

    /// Adds the private key of a file, and the certificates beside it (PKCS #12). What is returned names the key.
    ///
    /// # Errors
    /// When there is none, or it cannot be had.
    pub fn add_key(&mut self, bytes: &[u8], passphrase: Option<&Secret>) -> Result<String, String> {
        let contents = Contents::read(bytes, passphrase).map_err(|bad| bad.to_string())?;
        for der in &contents.certificates {
            self.add_certificate(Certificate::parse(der).map_err(|fault| fault.to_string())?)?;
        }
        let pkcs8 = contents.private_keys.first().ok_or("no private key is in it")?;
        self.put_key(super::readied(pkcs8).ok_or("the private key cannot be read")?)
    }

    /// Adds a private key on a token. What is returned names the key.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn add_token(&mut self, token: &TokenKey) -> Result<String, String> {
        self.put_key(token.open()?)
    }

    fn put_key(&mut self, key: Arc<dyn PrivateKey>) -> Result<String, String> {
        let id = hex(&path::key_id(&key.public_info(), &PROVIDER).ok_or("the public key cannot be read")?);
        room(self.keys.len())?;
        self.keys.insert(id.clone(), key);
        Ok(id)
    }

    /// Takes a private key out. `false`: there is none of this identifier.
    pub fn remove_key(&mut self, id: &str) -> bool {
        let id: String = id.chars().filter(|digit| *digit != ':').collect();
        self.keys.remove(&id.to_ascii_lowercase()).is_some()
    }

    /// Adds an authority under a name, in the place of one of the same name.
    ///
    /// # Errors
    /// When the certificate is none of an authority.
    pub fn add_authority(&mut self, name: &str, places: Places) -> Result<(), String> {
        if !places.authority.is_authority() {
            return Err("certificate without CA flag, rejected".to_owned());
        }
        room(self.authorities.len())?;
        self.authorities.insert(name.to_owned(), places);
        Ok(())
    }

    /// Takes an authority out. `false`: there is none of this name.
    pub fn remove_authority(&mut self, name: &str) -> bool {
        self.authorities.remove(name).is_some()
    }

    /// Takes everything out but the authorities that have names.
    pub fn clear(&mut self) {
        let authorities = std::mem::take(&mut self.authorities);
        *self = Loaded { authorities, ..Loaded::default() };
    }

    /// The certificates, those of authorities with a name left out.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    pub(super) fn every_certificate(&self) -> impl Iterator<Item = &Certificate> {
        let named = self.authorities.values().map(|places| &places.authority);
        let named = named.filter(|authority| !self.certificates.contains(authority));
        self.certificates.iter().chain(named)
    }

    /// The revocation lists.
    pub fn crls(&self) -> &[Crl] {
        &self.crls
    }

    /// The certificates of attribute authorities.
    pub fn attribute_authorities(&self) -> &[Certificate] {
        &self.attribute_authorities
    }

    /// Attribute certificates.
    pub fn attributes(&self) -> &[AttributeCertificate] {
        &self.attributes
    }

    /// Public keys, each a SubjectPublicKeyInfo.
    pub fn public_keys(&self) -> &[Vec<u8>] {
        &self.public_keys
    }

    /// The identifiers of the private keys: the SHA-1 of the public half, in hexadecimal digits.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// The authorities with a name.
    pub fn authorities(&self) -> &BTreeMap<String, Places> {
        &self.authorities
    }

    /// The keys by the names under which IKE asks for them.
    pub(super) fn named_keys(&self) -> impl Iterator<Item = (String, Arc<dyn PrivateKey>)> {
        self.keys.iter().map(|(id, key)| (format!("keyid:{id}"), key.clone()))
    }
}

impl Database {
    /// Every certificate that is known, each once.
    pub fn every_certificate(&self) -> Vec<&Certificate> {
        let mut every: Vec<&Certificate> = Vec::new();
        for certificate in self.all() {
            if !every.contains(&certificate) {
                every.push(certificate);
            }
        }
        every
    }

    /// The name of the private key of a public one.
    fn key_of(&self, spki: &[u8]) -> Option<String> {
        let key = self.papers.keys.iter().find(|(_, key)| key.public_info() == spki);
        key.map(|(name, _)| name.clone())
    }

    /// Whether the private key of a public one is here.
    pub fn has_key(&self, spki: &[u8]) -> bool {
        self.key_of(spki).is_some()
    }

    /// What `signer` comes to by now. Without a private key IKE is told, when it asks, which one is missing.
    pub(crate) fn credential_of(&self, signer: &Signer, id: &Identity) -> Credential {
        let credential = |certificates: Vec<Certificate>, key: Option<String>, spki: &[u8], whose: &str| {
            let key = key.unwrap_or_else(|| format!("of {whose}"));
            let restrictions = signer.restrictions.clone();
            let attributes = certificates.first().map(|own| self.attributes_of(own)).unwrap_or_default();
            Credential { certificates, attributes, key, spki: spki.to_vec(), restrictions, ..Credential::default() }
        };
        if let Some(spki) = signer.keys.iter().find(|spki| self.has_key(spki)).or(signer.keys.first()) {
            let own = path::key_id(spki, &PROVIDER).map(|id| hex(&id)).unwrap_or_default();
            return credential(Vec::new(), self.key_of(spki), spki, &own);
        }
        let found = match signer.certificates.as_slice() {
            [] => self.own_certificate(id),
            some => some.iter().find(|it| self.has_key(it.spki())).or(some.first()),
        };
        match found {
            Some(own) => credential(self.chain(own), self.key_of(own.spki()), own.spki(), &own.subject().to_string()),
            None => credential(Vec::new(), None, &[], &id.to_string()),
        }
    }

    /// What attribute authorities say of the owner of a certificate.
    fn attributes_of(&self, certificate: &Certificate) -> Vec<AttributeCertificate> {
        self.loaded.attributes.iter().filter(|known| known.is_of(certificate)).cloned().collect()
    }

    fn own_certificate(&self, id: &Identity) -> Option<&Certificate> {
        self.all().find(|it| self.has_key(it.spki()) && names::check(id, it).is_ok())
    }

    /// A certificate of our own that names this identity, with the authorities above it.
    pub(crate) fn own(&self, id: &Identity) -> Option<Credential> {
        let own = self.own_certificate(id)?;
        let (certificates, key) = (self.chain(own), self.key_of(own.spki())?);
        Some(Credential { certificates, key, spki: own.spki().to_vec(), ..Credential::default() })
    }

    /// A certificate and the authorities above it that are known, without the one at the top, which the peer has or does not
    /// believe.
    fn chain(&self, own: &Certificate) -> Vec<Certificate> {
        let mut chain = vec![own.clone()];
        let others = self.others();
        while let Some(last) = chain.last().filter(|last| !last.is_self_issued() && chain.len() <= MAX_CHAIN) {
            match others.iter().find(|other| other.subject().is(last.issuer()) && !chain.contains(other)) {
                Some(issuer) => chain.push(issuer.clone()),
                None => break,
            }
        }
        chain
    }

    /// Whom `believed` comes to by now.
    pub(crate) fn trust_of(&self, believed: &Believed) -> Trust {
        let Believed { certificates, authorities, through, keys, groups, policies, revocation, restrictions } =
            believed.clone();
        let membership = Membership {
            groups,
            authorities: self.loaded.attribute_authorities.iter().cloned().collect(),
            known: self.loaded.attributes.iter().cloned().collect(),
        };
        let between: Vec<Certificate> = authorities.iter().filter(|authority| !is_anchor(authority)).cloned().collect();
        let mut trust = self.believe(certificates);
        if !between.is_empty() {
            // One that others vouch for gives no trust by being named: it is judged as every other on the way.
            let tops = authorities.iter().filter(|authority| is_anchor(authority));
            trust.anchors = trust.anchors.iter().chain(tops).cloned().collect();
            trust.others = trust.others.iter().chain(&between).cloned().collect();
            trust.above = authorities.into();
        } else if !authorities.is_empty() {
            trust.anchors = authorities.into();
        } else if !keys.is_empty() {
            // Whose key is given has no other.
            trust.anchors = Arc::from([]);
        }
        Trust { through, keys, membership, policies, revocation, restrictions, ..trust }
    }
}

fn room(len: usize) -> Result<(), String> {
    if len < MAX { Ok(()) } else { Err(format!("there are {MAX} already")) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (certificates, keys) = (self.certificates.len(), self.keys.len());
        write!(f, "Loaded({certificates} certificates, {keys} keys, {} lists)", self.crls.len())
    }
}
