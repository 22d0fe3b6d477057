//! AUTH by signature: how we sign so that the peer can verify, and whether the peer's signature and certificates show who
//! it is (RFC 7427; RFC 7296 §3.6 and §3.8; RFC 4754; RFC 7670).
//!
//! ```text
//!   both announce hashes   method 14: | length | AlgorithmIdentifier | signature |
//!   otherwise              methods 1, 3, 9, 10, 11 by the kind of key: | signature |
//! ```

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use der::asn1::ObjectIdentifier;
use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{EcCurve, HashAlg, KeyKind, PrivateKey, PublicKey, SignatureScheme};
use ravelin_types::{Dn, Identity};

use crate::announce::Accepts;
use crate::attribute::{AttributeCertificate, Membership};
use crate::certificate::Certificate;
use crate::crl::Crl;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::ocsp::{Answer, Enquiry};
use crate::path::{self, Path, Rules, Time, Usage};
use crate::reference::{self, Lookup};
use crate::restriction::Restrictions;
use crate::revocation::{self, Demand, Places, Revocation, Source};
use crate::{algorithm, bare, limits, names};

/// RSA and DSS signatures (RFC 7296 §3.8).
pub(crate) const RSA: u8 = 1;
pub(crate) const DSS: u8 = 3;
/// Digital signature (RFC 7427).
pub(crate) const DIGITAL: u8 = 14;
/// ECDSA on one curve with one hash (RFC 4754).
pub(crate) const ECDSA: [(u8, EcCurve, HashAlg); 3] =
    [(9, EcCurve::P256, HashAlg::Sha256), (10, EcCurve::P384, HashAlg::Sha384), (11, EcCurve::P521, HashAlg::Sha512)];
/// Certificate encodings (RFC 7296 §3.6, RFC 7670).
pub(crate) const X509: u8 = 4;
pub(crate) const CRL: u8 = 7;
/// X.509 Certificate - Attribute.
pub(crate) const ATTRIBUTES: u8 = 10;
/// OCSP Content (RFC 4806 §3).
pub(crate) const OCSP: u8 = 14;
pub(crate) const RAW_KEY: u8 = 15;
/// Hash numbers of SIGNATURE_HASH_ALGORITHMS (RFC 7427 §7, RFC 8420 §2).
pub(crate) const HASHES: [(u16, Option<HashAlg>); 5] = [
    (2, Some(HashAlg::Sha256)),
    (3, Some(HashAlg::Sha384)),
    (4, Some(HashAlg::Sha512)),
    (5, None),
    (1, Some(HashAlg::Sha1)),
];

/// What we prove ourselves with.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    /// Sent to the peer in this order; the first one is that of the key. Empty where only the raw public key is sent.
    pub certificates: Vec<Certificate>,
    /// Those with attributes of the first, which are sent, too.
    pub attributes: Vec<AttributeCertificate>,
    /// The name under which whoever answers questions keeps the private key.
    pub key: String,
    /// The SubjectPublicKeyInfo of the key.
    pub spki: Vec<u8>,
    /// By which schemes we sign AUTH, and with what key.
    pub restrictions: Restrictions,
    /// Encoding and data of the CERT payloads in the place of the certificates, for peers that look them up; empty where that
    /// is not said ([`Credential::placed`]).
    pub hosted: Vec<(u8, Vec<u8>)>,
    /// Who answers for the first certificate, for peers that want to know; empty: nobody.
    pub responders: Vec<Source>,
}

/// Whom we believe.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Authorities.
    pub anchors: Arc<[Certificate]>,
    /// One that must be above the peer's certificate, however far, by its name.
    pub through: Option<Dn>,
    /// Of which one must be there, however far above, by its name and key; empty: no matter which.
    pub above: Arc<[Certificate]>,
    /// Certificates that may lie between, and give no trust.
    pub others: Arc<[Certificate]>,
    /// Certificates of the peer: where there are any, it must use one of them, and they are trusted by themselves.
    pub pinned: Vec<Certificate>,
    /// Public keys of the peer (SubjectPublicKeyInfo), trusted by themselves.
    pub keys: Vec<Vec<u8>>,
    /// The groups of which it must be in one.
    pub membership: Membership,
    /// Policies of which one is required.
    pub policies: Vec<ObjectIdentifier>,
    /// Which certificates must be known not to be revoked.
    pub revocation: Demand,
    /// Where that is to be learnt, beside what certificates say.
    pub places: Arc<[Places]>,
    /// Whether the peer is asked what its authority says about that (RFC 4806); `None`: where it must be known.
    pub asks_status: Option<bool>,
    /// Where certificates are looked up that the peer does not send itself.
    pub lookup: Lookup,
    /// Which of the keys and signatures that are accepted in general are so here.
    pub restrictions: Restrictions,
}

/// The body of AUTH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Auth Method.
    pub method: u8,
    /// Authentication Data.
    pub data: Vec<u8>,
}

/// What a peer brings.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Who it says it is.
    pub identity: &'a Identity,
    /// Encoding and data of its CERT payloads, in order.
    pub certificates: &'a [(u8, Vec<u8>)],
    /// Its AUTH.
    pub proof: &'a Proof,
    /// What AUTH covers (RFC 7296 §2.15).
    pub octets: &'a [u8],
}

/// The time, and what is known about certificates.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// When.
    pub now: Time,
    /// Revocation lists.
    pub crls: &'a [Crl],
    /// Answers of OCSP responders.
    pub answers: &'a [Answer],
    /// What is remembered of certificates.
    pub memory: &'a dyn Memory,
}

/// Why a peer is not believed, or why we cannot sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its certificate.
    Certificate(Fault),
    /// Its AUTH is by a method or a scheme that is not accepted.
    Scheme(String),
    /// Its AUTH is by SHA-1, which is accepted only where it is named.
    Sha1(SignatureScheme),
    /// Its AUTH is accepted in general, but not here: by what it is, and what is asked for.
    Restricted(String, String),
    /// Its AUTH is not by the owner of the key.
    Signature(String),
    /// Our own key does not make any signature that the peer takes.
    NoCommonScheme(KeyKind),
    /// Nor any of those that it announced (RFC 9593).
    NotAnnounced(KeyKind),
    /// Nor any that we are asked to make.
    NotAsked(KeyKind, String),
    /// Our own key failed.
    Key(String),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Certificate(fault)
    }
}

/// The certificates and keys that would do for one of these, by encoding: hashes of the keys of authorities for X.509 (RFC 7296
/// §3.7), at most `limit`, and nothing for a raw key (RFC 7670 §3). Where it must be known that a certificate was not
/// revoked, what its authority says about that, whoever answers for it (RFC 4806 §3.1).
pub fn requests<'a>(
    trusts: impl Iterator<Item = &'a Trust>,
    limit: usize,
    crypto: &CryptoProvider,
) -> Vec<(u8, Vec<u8>)> {
    let (mut x509, mut status, mut raw_key) = (false, false, false);
    let mut authorities: Vec<&Certificate> = Vec::new();
    let mut before: Option<&Arc<[Certificate]>> = None;
    for trust in trusts {
        let certified = !trust.anchors.is_empty() || !trust.pinned.is_empty();
        x509 |= certified;
        status |= certified && trust.asks_status.unwrap_or(trust.revocation != Demand::Relaxed);
        raw_key |= !trust.keys.is_empty();
        // Most entries of a configuration share one list.
        let asked = trust.asked();
        if before.replace(asked).is_some_and(|before| Arc::ptr_eq(before, asked)) {
            continue;
        }
        for authority in asked.iter() {
            if authorities.len() < limit && authorities.iter().all(|known| known.spki() != authority.spki()) {
                authorities.push(authority);
            }
        }
    }
    let hashes = || authorities.iter().flat_map(|authority| (crypto.sha1)(&[authority.spki()])).collect();
    let asked = [(x509, X509), (status, OCSP), (raw_key, RAW_KEY)].into_iter().filter(|(asked, _)| *asked);
    asked.map(|(_, encoding)| (encoding, if encoding == X509 { hashes() } else { Vec::new() })).collect()
}

impl Trust {
    /// Whether anybody can satisfy it.
    pub fn is_usable(&self) -> bool {
        !self.anchors.is_empty() || !self.pinned.is_empty() || !self.keys.is_empty()
    }

    /// The authorities below which the peer's certificate is asked to be.
    pub fn asked(&self) -> &Arc<[Certificate]> {
        if self.above.is_empty() { &self.anchors } else { &self.above }
    }

    /// What SIGNATURE_HASH_ALGORITHMS says: the hashes that we verify.
    pub fn hashes(&self) -> Vec<u16> {
        let ours = HASHES.iter().filter(|(_, hash)| self.restrictions.has_hash(*hash));
        ours.map(|(number, _)| *number).collect()
    }

    /// Whether a peer is who it says it is. The path is that of its certificate; none where its key itself is trusted.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, claim: Claim<'_>, world: World<'_>, crypto: &CryptoProvider) -> Result<Option<Path>, Refusal> {
        let raw = claim.certificates.iter().find(|(encoding, _)| *encoding == RAW_KEY);
        if let Some((_, spki)) = raw {
            // The key must be the one that is configured, whatever else the peer sends.
            let known = self.keys.iter().find(|key| *key == spki);
            let spki = known.ok_or_else(|| Fault::NotPinned("the raw public key of the peer".into()))?;
            return self.verify_raw(spki, claim, crypto).map(|()| None);
        }
        if let Some(fault) = reference::missing(claim.certificates, &self.lookup) {
            return Err(fault.into());
        }
        let sent: Vec<&[u8]> =
            claim.certificates.iter().filter(|(encoding, _)| *encoding == X509).map(|(_, data)| &data[..]).collect();
        if sent.is_empty() {
            return self.judge_without(claim, world, crypto);
        }
        let lists = claim.certificates.iter().filter(|(encoding, _)| *encoding == CRL).take(limits::PEER_CERTIFICATES);
        let mut crls: Vec<Crl> = lists.filter_map(|(_, der)| Crl::parse(der).ok()).collect();
        crls.extend_from_slice(world.crls);
        let answers = self.answers(claim.certificates, &sent, world, crypto);
        let rules = self.rules(World { crls: &crls, answers: &answers, ..world });
        let Judged { leaf, key, path } = self.chain(Some(claim.identity), &sent, &rules, crypto)?;
        self.verify(&*key, claim)?;
        self.membership.check(&leaf, &attributes(claim), &rules, crypto)?;
        Ok(path)
    }

    /// Where this judgement's certificates are told to be revoked or not, as far as that is not known: by certificate; any of
    /// its places will do. Only what an authority that is trusted has signed is looked at: nobody else sends us anywhere.
    pub fn sources(
        &self,
        certificates: &[(u8, Vec<u8>)],
        world: World<'_>,
        crypto: &CryptoProvider,
    ) -> Vec<Vec<Source>> {
        let sent = certificates.iter().filter(|(encoding, _)| *encoding == X509).map(|(_, data)| &data[..]);
        let sent: Vec<&[u8]> = sent.take(limits::PEER_CERTIFICATES).collect();
        let answers = self.answers(certificates, &sent, world, crypto);
        self.sources_of(&sent, World { answers: &answers, ..world }, crypto)
    }

    /// The same for the certificates that a TLS peer brings, its own first.
    pub fn sources_of(&self, sent: &[&[u8]], world: World<'_>, crypto: &CryptoProvider) -> Vec<Vec<Source>> {
        match self.unasked(sent, world, crypto) {
            Some(path) => revocation::missing(&path, &self.rules(world), crypto),
            None => Vec::new(),
        }
    }

    /// The path of a peer's certificate, whatever is known about revocation: what is out of date may say that one was
    /// revoked, and be asked again for that.
    fn unasked(&self, sent: &[&[u8]], world: World<'_>, crypto: &CryptoProvider) -> Option<Path> {
        let rules = self.rules(World { crls: &[], answers: &[], ..world });
        let revocation = Revocation { demand: Demand::Relaxed, ..rules.revocation };
        self.chain(None, sent, &Rules { revocation, ..rules }, crypto).ok()?.path
    }

    /// The answers that are known, and those that the peer has from its responder (RFC 4806 §4.1).
    fn answers(
        &self,
        certificates: &[(u8, Vec<u8>)],
        sent: &[&[u8]],
        world: World<'_>,
        crypto: &CryptoProvider,
    ) -> Vec<Answer> {
        let mut answers = world.answers.to_vec();
        let brought = certificates.iter().filter(|(encoding, _)| *encoding == OCSP).take(limits::PEER_ANSWERS);
        let brought: Vec<&[u8]> = brought.map(|(_, der)| &der[..]).collect();
        if brought.is_empty() {
            return answers;
        }
        let path = self.unasked(sent, world, crypto).map(|path| path.0).unwrap_or_default();
        for pair in path.windows(2) {
            let [certificate, issuer] = pair else { continue };
            let Some(enquiry) = Enquiry::new(certificate, issuer, crypto) else { continue };
            answers.extend(brought.iter().filter_map(|der| enquiry.answer(der, None, world.now, crypto).ok()));
        }
        answers
    }

    /// Whether the certificates that a TLS peer brings, its own first, are of somebody whom we believe, and of `identity`
    /// where that is known. Whether he has the key, TLS shows.
    ///
    /// # Errors
    /// Why not.
    pub fn judge_tls(
        &self,
        identity: Option<&Identity>,
        sent: &[&[u8]],
        usage: Usage,
        world: World<'_>,
        crypto: &CryptoProvider,
    ) -> Result<Certificate, Refusal> {
        let rules = Rules { usage, ..self.rules(world) };
        self.chain(identity, sent, &rules, crypto).map(|judged| judged.leaf)
    }

    /// What the certificates of a peer are good for.
    fn chain(
        &self,
        identity: Option<&Identity>,
        sent: &[&[u8]],
        rules: &Rules<'_>,
        crypto: &CryptoProvider,
    ) -> Result<Judged, Refusal> {
        if sent.len() > limits::PEER_CERTIFICATES {
            return Err(Fault::TooMuch("certificates of a peer").into());
        }
        let (first, rest) = sent.split_first().ok_or(Fault::None)?;
        let leaf = rules.memory.parse(first)?;
        // What a peer sends beside its own certificate only helps: what cannot be read helps nobody.
        let mut others: Vec<Certificate> = rest.iter().filter_map(|der| rules.memory.parse(der).ok()).collect();
        others.extend_from_slice(&self.others);
        if self.pinned.is_empty() {
            let (path, key) = path::find(&leaf, &others, &self.anchors, rules, crypto)?;
            if let Some(through) = &self.through
                && !path.0.iter().skip(1).any(|authority| authority.subject().is(through))
            {
                return Err(Fault::NotThrough(leaf.subject().to_string(), through.to_string()).into());
            }
            let same = |one: &Certificate, other: &Certificate| {
                one.spki() == other.spki() && one.subject().is(other.subject())
            };
            if !self.above.is_empty()
                && !path.0.iter().skip(1).any(|authority| self.above.iter().any(|asked| same(asked, authority)))
            {
                let asked: Vec<String> = self.above.iter().map(|asked| asked.subject().to_string()).collect();
                return Err(Fault::NotThrough(leaf.subject().to_string(), asked.join(", or ")).into());
            }
            if let Some(identity) = identity {
                names::check(identity, &leaf)?;
            }
            Ok(Judged { leaf, key, path: Some(path) })
        } else if self.pinned.contains(&leaf) {
            let key = path::check_alone(&leaf, rules, crypto)?;
            Ok(Judged { leaf, key, path: None })
        } else {
            Err(Fault::NotPinned(leaf.names()).into())
        }
    }

    /// The peer sent no certificate: it takes us to have it.
    fn judge_without(
        &self,
        claim: Claim<'_>,
        world: World<'_>,
        crypto: &CryptoProvider,
    ) -> Result<Option<Path>, Refusal> {
        let rules = self.rules(world);
        let mut refusal = Refusal::Certificate(Fault::None);
        for certificate in &self.pinned {
            let member = || self.membership.check(certificate, &attributes(claim), &rules, crypto);
            let judged = path::check_alone(certificate, &rules, crypto)
                .and_then(|key| member().map(|()| key))
                .map_err(Refusal::from)
                .and_then(|key| self.verify(&*key, claim));
            match judged {
                Ok(()) => return Ok(None),
                Err(other) => refusal = other,
            }
        }
        for spki in &self.keys {
            match self.verify_raw(spki, claim, crypto) {
                Ok(()) => return Ok(None),
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }

    /// A key has no attributes.
    fn verify_raw(&self, spki: &[u8], claim: Claim<'_>, crypto: &CryptoProvider) -> Result<(), Refusal> {
        let key = path::public_key(spki, crypto)
            .map_err(|what| Refusal::Certificate(Fault::WeakKey("of the peer".into(), what)))?;
        if !self.membership.groups.is_empty() {
            return Err(self.membership.missing("a key without a certificate", "it has no attributes").into());
        }
        self.verify(&*key, claim)
    }

    fn rules<'a>(&'a self, world: World<'a>) -> Rules<'a> {
        let World { now, crls, answers, memory } = world;
        let revocation = Revocation { crls, answers, places: &self.places, demand: self.revocation };
        Rules { now, usage: Usage::Ike, policies: &self.policies, revocation, restrictions: &self.restrictions, memory }
    }

    fn verify(&self, key: &dyn PublicKey, claim: Claim<'_>) -> Result<(), Refusal> {
        let (schemes, signature) = self.schemes(key.kind(), claim.proof)?;
        let restricted = |what: String| match self.restrictions.any() {
            true => Refusal::Restricted(what, self.restrictions.words.clone()),
            false => Refusal::Scheme(what),
        };
        self.restrictions.key(key.kind()).map_err(|kind| restricted(alloc::format!("a key of {kind}")))?;
        let other = |scheme: SignatureScheme| match scheme.hash() {
            Some(HashAlg::Sha1) if !self.restrictions.any() => Refusal::Sha1(scheme),
            _ => restricted(scheme.to_string()),
        };
        let (schemes, others): (Vec<_>, Vec<_>) =
            schemes.into_iter().partition(|scheme| self.restrictions.in_auth(*scheme));
        if let ([], [first, ..]) = (&schemes[..], &others[..]) {
            return Err(other(*first));
        }
        let signed = |scheme: &&SignatureScheme| key.verify(**scheme, claim.octets, &signature).is_ok();
        // Nothing but success is success.
        if schemes.iter().any(|scheme| signed(&scheme)) {
            return Ok(());
        }
        // Where the method leaves the hash open, it may be by the right key and by one that is not accepted.
        if let Some(scheme) = others.iter().find(signed) {
            return Err(other(*scheme));
        }
        let how: Vec<String> = schemes.iter().map(ToString::to_string).collect();
        Err(Refusal::Signature(how.join(" or ")))
    }

    /// The schemes that the peer may have signed by, and the signature in the form of the provider.
    fn schemes(&self, kind: KeyKind, proof: &Proof) -> Result<(Vec<SignatureScheme>, Vec<u8>), Refusal> {
        let bad = |what: &str| Refusal::Scheme(what.into());
        let (schemes, signature) = match proof.method {
            Proof::BARE => {
                bare::received(kind, &proof.data).ok_or(bad("a signature that keys of this kind do not make"))?
            }
            DIGITAL => {
                // RFC 7427 §3: a length of one octet, the AlgorithmIdentifier, the signature.
                let (len, rest) = proof.data.split_first().ok_or(bad("an empty digital signature"))?;
                let len = usize::from(*len);
                let (identifier, signature) =
                    (rest.get(..len).zip(rest.get(len..))).ok_or(bad("a digital signature that is cut short"))?;
                let scheme = path::known(identifier).map_err(Refusal::Scheme)?;
                (vec![scheme], signature.to_vec())
            }
            // RFC 7296 §3.8 leaves the hash open: the signature says it.
            RSA => {
                let hashes = [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512, HashAlg::Sha1];
                (hashes.map(SignatureScheme::RsaPkcs1).to_vec(), proof.data.clone())
            }
            DSS => {
                let signature = bare::numbers(kind, &proof.data).filter(|_| matches!(kind, KeyKind::Dsa(..)));
                let signature = signature.ok_or(bad("a DSS signature of another key or length"))?;
                (vec![SignatureScheme::Dsa(HashAlg::Sha1)], signature)
            }
            method => {
                let known = ECDSA.iter().find(|(known, ..)| *known == method);
                let (_, curve, hash) =
                    known.ok_or_else(|| Refusal::Scheme(alloc::format!("authentication method {method}")))?;
                let signature = bare::numbers(kind, &proof.data).filter(|_| kind == KeyKind::Ecdsa(*curve));
                let signature = signature.ok_or(bad("an ECDSA signature of another curve or length"))?;
                (vec![SignatureScheme::Ecdsa(*hash)], signature)
            }
        };
        let makes = |scheme: &&SignatureScheme| kind.makes(**scheme);
        let schemes: Vec<_> = schemes.iter().filter(makes).copied().collect();
        if schemes.is_empty() {
            return Err(Refusal::Scheme(alloc::format!("a scheme that a key of the kind {kind} does not make")));
        }
        Ok((schemes, signature))
    }
}

/// What is known of a peer whose certificates are good.
struct Judged {
    /// Its own.
    leaf: Certificate,
    key: Box<dyn PublicKey>,
    /// None where the certificate is trusted by itself.
    path: Option<Path>,
}

/// The attribute certificates that a peer brings.
fn attributes<'a>(claim: Claim<'a>) -> Vec<&'a [u8]> {
    let sent = claim.certificates.iter().filter(|(encoding, _)| *encoding == ATTRIBUTES);
    sent.map(|(_, der)| der.as_slice()).collect()
}

impl Credential {
    /// AUTH over these octets, by a method that the peer accepts.
    ///
    /// # Errors
    /// When the key makes no signature that the peer takes, or fails.
    pub fn prove(&self, key: &dyn PrivateKey, peer: &Accepts, octets: &[u8]) -> Result<Proof, Refusal> {
        let kind = key.kind();
        let none = match self.restrictions.any() {
            true => Refusal::NotAsked(kind, self.restrictions.words.clone()),
            false if peer.methods.is_some() => Refusal::NotAnnounced(kind),
            false => Refusal::NoCommonScheme(kind),
        };
        self.restrictions.key(kind).map_err(|_| none.clone())?;
        let sign = |scheme| key.sign(scheme, octets).map_err(|bad| Refusal::Key(bad.to_string()));
        use HashAlg::{Sha1, Sha256, Sha384, Sha512};
        let mut schemes = Self::preferred(kind);
        if peer.methods.is_some() && matches!(kind, KeyKind::Rsa(_)) {
            // For a peer that says that it takes these and not PSS.
            schemes.extend([Sha256, Sha384, Sha512].map(SignatureScheme::RsaPkcs1));
        }
        if let Some(scheme) = peer.digital(&self.restrictions.ordered(schemes)) {
            let identifier = algorithm::identifier(scheme);
            let mut data = vec![u8::try_from(identifier.len()).map_err(|_| none)?];
            data.extend(identifier);
            data.extend(sign(scheme)?);
            return Ok(Proof { method: DIGITAL, data });
        }
        // RFC 7296 §3.8 has SHA-1 as the default of RSA, which only those get who ask for it; with DSS there is no other.
        let (method, schemes) = match kind {
            KeyKind::Rsa(_) => (RSA, [Sha1, Sha256, Sha384, Sha512].map(SignatureScheme::RsaPkcs1).to_vec()),
            KeyKind::Dsa(..) => (DSS, vec![SignatureScheme::Dsa(Sha1)]),
            _ => {
                let known = ECDSA.iter().find(|(_, curve, _)| kind == KeyKind::Ecdsa(*curve));
                let (method, _, hash) = known.ok_or(none.clone())?;
                (*method, vec![SignatureScheme::Ecdsa(*hash)])
            }
        };
        let scheme = self.restrictions.ordered(schemes).into_iter().next().filter(|_| peer.classic(method));
        let data = bare::payload(kind, sign(scheme.ok_or(none.clone())?)?).ok_or(none)?;
        Ok(Proof { method, data })
    }

    /// The schemes of a key, best first: the hash as strong as the curve, PSS before PKCS #1 (RFC 8247 §3.2). With SHA-1 for
    /// those who name it.
    fn preferred(kind: KeyKind) -> Vec<SignatureScheme> {
        use HashAlg::{Sha1, Sha256, Sha384, Sha512};
        match kind {
            KeyKind::Rsa(_) => {
                let pss = [Sha256, Sha384, Sha512].map(SignatureScheme::RsaPss);
                pss.into_iter().chain([SignatureScheme::RsaPkcs1(Sha1)]).collect()
            }
            KeyKind::Ecdsa(curve) => match curve.bits() {
                256 => [Sha256, Sha384, Sha512, Sha1],
                384 => [Sha384, Sha512, Sha256, Sha1],
                _ => [Sha512, Sha384, Sha256, Sha1],
            }
            .map(SignatureScheme::Ecdsa)
            .to_vec(),
            // RFC 8247 §3.2: dsa-with-sha1 MUST NOT be; RFC 7427 appendix A.2 has no other.
            KeyKind::Dsa(..) => vec![SignatureScheme::Dsa(Sha256)],
            KeyKind::Ed25519 => vec![SignatureScheme::Ed25519],
            KeyKind::Ed448 => vec![SignatureScheme::Ed448],
            KeyKind::MlDsa(set) => vec![SignatureScheme::MlDsa(set)],
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Certificate(fault) => fault.fmt(f),
            Refusal::Scheme(what) => write!(f, "AUTH by {what}, which is not accepted"),
            Refusal::Sha1(scheme) => write!(
                f,
                "AUTH by {scheme}, which is not accepted: let it sign by SHA-2, or name sha1 in what is accepted of it \
                 (--peer-signatures)"
            ),
            Refusal::Restricted(what, asked) => write!(f, "AUTH by {what}, where `{asked}` is asked for"),
            Refusal::Signature(how) => {
                write!(f, "AUTH ({how}) is not by the key of the certificate: the key and the certificate differ")
            }
            Refusal::NoCommonScheme(kind) => {
                write!(f, "our key ({kind}) makes no signature with a hash that the peer announced")
            }
            Refusal::NotAnnounced(kind) => {
                write!(f, "our key ({kind}) makes no signature by a method that the peer announced")
            }
            Refusal::NotAsked(kind, asked) => {
                write!(
                    f,
                    "our key ({kind}) makes no signature of `{asked}` by a hash and method that the peer announced"
                )
            }
            Refusal::Key(what) => write!(f, "our private key does not sign: {what}"),
        }
    }
}

impl core::error::Error for Refusal {}
