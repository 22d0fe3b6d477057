//! From a peer's certificate to an authority that is trusted here, and whether that path is valid (RFC 5280 §6.1).
//!
//! 1. Search, depth first: whose subject is the issuer, and whose key made the signature. Trusted ones come first, and
//!    those that the peer sent never add trust.
//! 2. Each complete path is validated from the anchor down. The first valid one is the answer.
//! 3. Without one, the fault told is that of the longest way: what an operator has to mend.
//!
//! The search verifies at most [`limits::SIGNATURES`] signatures, whatever a peer sends, and none that is known to be good
//! ([`memory`](crate::memory)).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use der::Decode;
use der::asn1::ObjectIdentifier;
use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{KeyKind, PublicKey, SignatureScheme};

use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::certificate::Certificate;
use crate::constraints::Constraints;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::restriction::Restrictions;
use crate::revocation::{self, Revocation};
use crate::{algorithm, limits, oid, policy};

/// A time of the outside: seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// What a certificate shall be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Authenticating a peer of IKE (RFC 4945 §5.1.3).
    Ike,
    /// A TLS server behind EAP (RFC 5216 §5.3).
    TlsServer,
    /// A TLS client behind EAP.
    TlsClient,
    /// Anything; for listings and other protocols, which look at the usages themselves.
    Any,
}

/// By what rules a path is judged.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// When.
    pub now: Time,
    /// For what.
    pub usage: Usage,
    /// Policies of which one is required; none: any will do, and none.
    pub policies: &'a [ObjectIdentifier],
    /// What is known about revocation, and whether it must be.
    pub revocation: Revocation<'a>,
    /// Which keys and signatures are accepted.
    pub restrictions: &'a Restrictions,
    /// What is remembered of certificates.
    pub memory: &'a dyn Memory,
}

/// A valid path, the end certificate first, the anchor last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<Certificate>);

/// Finds a valid path from `leaf` to one of `anchors`, with the help of `others`; and the key of `leaf`, which was readied for that.
///
/// # Errors
/// The fault of the way that got furthest.
pub fn find(
    leaf: &Certificate,
    others: &[Certificate],
    anchors: &[Certificate],
    rules: &Rules<'_>,
    crypto: &CryptoProvider,
) -> Result<(Path, Box<dyn PublicKey>), Fault> {
    let mut search = Search { others, anchors, rules, keys: Keys::new(crypto), signatures: 0, fault: None };
    let mut chain = Vec::from([leaf.clone()]);
    let path = if anchors.contains(leaf) {
        search.validate(&chain)?;
        Path(chain)
    } else {
        let found = search.extend(&mut chain);
        let path = found.ok_or_else(|| search.fault.take().map_or(Fault::None, |(_, fault)| fault))?;
        rules.memory.keep(&path);
        path
    };
    Ok((path, search.keys.take(leaf)?))
}

/// Checks what holds for a certificate by itself, which is trusted because it is configured: its time, usage and key, which is
/// given.
///
/// # Errors
/// Its fault.
pub fn check_alone(
    certificate: &Certificate,
    rules: &Rules<'_>,
    crypto: &CryptoProvider,
) -> Result<Box<dyn PublicKey>, Fault> {
    check_time(certificate, rules)?;
    check_usage(certificate, rules)?;
    let key = key(certificate, crypto)?;
    check_key(certificate, &*key, rules)?;
    Ok(key)
}

/// Keys of certificates, each readied once.
struct Keys<'a> {
    crypto: &'a CryptoProvider,
    ready: Vec<(Certificate, Box<dyn PublicKey>)>,
}

impl<'a> Keys<'a> {
    fn new(crypto: &'a CryptoProvider) -> Self {
        Keys { crypto, ready: Vec::new() }
    }

    fn position(&self, of: &Certificate) -> Option<usize> {
        self.ready.iter().position(|(certificate, _)| certificate == of)
    }

    fn of(&mut self, certificate: &Certificate) -> Result<&dyn PublicKey, Fault> {
        let at = match self.position(certificate) {
            Some(at) => at,
            None => {
                self.ready.push((certificate.clone(), key(certificate, self.crypto)?));
                self.ready.len() - 1
            }
        };
        Ok(&*self.ready[at].1)
    }

    /// The key of a certificate, which is not here any more then.
    fn take(&mut self, certificate: &Certificate) -> Result<Box<dyn PublicKey>, Fault> {
        match self.position(certificate) {
            Some(at) => Ok(self.ready.swap_remove(at).1),
            None => key(certificate, self.crypto),
        }
    }
}

struct Search<'a> {
    others: &'a [Certificate],
    anchors: &'a [Certificate],
    rules: &'a Rules<'a>,
    keys: Keys<'a>,
    signatures: usize,
    /// The fault of the longest way so far, with its rank.
    fault: Option<(usize, Fault)>,
}

impl Search<'_> {
    fn extend(&mut self, chain: &mut Vec<Certificate>) -> Option<Path> {
        let current = chain.last()?.clone();
        let mut named = false;
        let anchors = self.anchors;
        for anchor in anchors.iter().filter(|anchor| may_have_issued(anchor, &current)) {
            named = true;
            if let Err(fault) = self.signed(&current, anchor) {
                self.note(2 * chain.len(), fault);
                continue;
            }
            chain.push(anchor.clone());
            match self.validate(chain) {
                Ok(()) => return Some(Path(chain.clone())),
                // A complete path tells more than any that leads nowhere.
                Err(fault) => self.note(usize::MAX, fault),
            }
            chain.pop();
        }
        let others = self.others;
        for issuer in others.iter().filter(|issuer| may_have_issued(issuer, &current)) {
            let again = |seen: &Certificate| seen.spki() == issuer.spki() && seen.subject().is(issuer.subject());
            if chain.len() + 1 >= limits::PATH || chain.iter().any(again) {
                continue;
            }
            if let Err(fault) = self.signed(&current, issuer) {
                self.note(2 * chain.len(), fault);
                continue;
            }
            named = true;
            chain.push(issuer.clone());
            let found = self.extend(chain);
            if found.is_some() {
                return found;
            }
            chain.pop();
        }
        if !named {
            let (subject, issuer) = (current.subject().to_string(), current.issuer().to_string());
            self.note(2 * chain.len() + 1, Fault::UnknownAuthority { subject, issuer });
        }
        None
    }

    fn note(&mut self, rank: usize, fault: Fault) {
        if self.fault.as_ref().is_none_or(|(other, _)| rank > *other) {
            self.fault = Some((rank, fault));
        }
    }

    fn signed(&mut self, certificate: &Certificate, issuer: &Certificate) -> Result<(), Fault> {
        if self.signatures == limits::SIGNATURES {
            return Err(Fault::TooMuch("certificates of one name"));
        }
        self.signatures += 1;
        let (Rules { restrictions, memory, .. }, subject) = (self.rules, || certificate.subject().to_string());
        let (tbs, algorithm, signature) = certificate.signed();
        let scheme = accepted(algorithm, &subject, restrictions)?;
        if memory.knows(certificate, issuer) {
            return Ok(());
        }
        self.keys.of(issuer)?.verify(scheme, tbs, signature).map_err(|_| Fault::BadSignature(subject()))
    }

    /// RFC 5280 §6.1.2 to §6.1.5. Signatures and issuers were checked when the path was built.
    fn validate(&mut self, chain: &[Certificate]) -> Result<(), Fault> {
        let below = chain.len() - 1;
        let mut constraints = Constraints::default();
        let mut policies = policy::State::new(below, !self.rules.policies.is_empty());
        let mut room = limits::PATH;
        for (at, certificate) in chain.iter().enumerate().rev() {
            let subject = || certificate.subject().to_string();
            let (last, anchor) = (at == 0, at == below);
            check_time(certificate, self.rules)?;
            check_key(certificate, self.keys.of(certificate)?, self.rules)?;
            if let Some(unknown) = certificate.extensions().unknown {
                return Err(Fault::CriticalExtension(subject(), unknown));
            }
            if !anchor {
                // RFC 5280 §6.1.3 (b): not for self-issued authorities.
                if last || !certificate.is_self_issued() {
                    constraints.check(certificate)?;
                }
                if !policies.certificate(certificate, last) {
                    return Err(Fault::Policy(subject()));
                }
            }
            if last {
                break;
            }
            check_authority(certificate, anchor)?;
            constraints.add(certificate)?;
            if !anchor {
                if !policies.below(certificate) {
                    return Err(Fault::Policy(subject()));
                }
                if !certificate.is_self_issued() {
                    room = room.checked_sub(1).ok_or_else(|| Fault::PathTooLong(subject()))?;
                }
            }
            if let Some((_, Some(len))) = certificate.extensions().basic {
                room = room.min(len.into());
            }
        }
        let leaf = chain.first().ok_or(Fault::None)?;
        check_usage(leaf, self.rules)?;
        if below > 0 && !policies.end(leaf, self.rules.policies) {
            return Err(Fault::Policy(leaf.subject().to_string()));
        }
        (0..below).try_for_each(|at| revocation::check(chain, at, self.rules, self.keys.crypto))
    }
}

/// Whether the names fit, and the key identifiers where both are there.
fn may_have_issued(issuer: &Certificate, certificate: &Certificate) -> bool {
    let keys = (&certificate.extensions().authority_key, &issuer.extensions().subject_key);
    let keys_fit = !matches!(keys, (Some(wanted), Some(had)) if wanted != had);
    keys_fit && !certificate.issuer().is_empty() && issuer.subject().is(certificate.issuer())
}

/// Whether `issuer` made the signature of what is called `subject`: what is signed, the AlgorithmIdentifier, the signature.
pub(crate) fn check_signed(
    (tbs, algorithm, signature): (&[u8], &[u8], &[u8]),
    subject: &dyn Fn() -> String,
    issuer: &Certificate,
    restrictions: &Restrictions,
    crypto: &CryptoProvider,
) -> Result<(), Fault> {
    let scheme = accepted(algorithm, subject, restrictions)?;
    key(issuer, crypto)?.verify(scheme, tbs, signature).map_err(|_| Fault::BadSignature(subject()))
}

/// The scheme by which what is called `subject` is signed, if it is one that is accepted.
fn accepted(
    algorithm: &[u8],
    subject: &dyn Fn() -> String,
    restrictions: &Restrictions,
) -> Result<SignatureScheme, Fault> {
    let scheme = known(algorithm).map_err(|how| Fault::WeakSignature(subject(), how))?;
    if restrictions.in_chain(scheme) {
        return Ok(scheme);
    }
    let how = alloc::format!("is signed by {scheme}");
    Err(match restrictions.any() {
        true => Fault::Restricted(subject(), how, restrictions.words.clone()),
        false => Fault::WeakSignature(subject(), scheme.to_string()),
    })
}

/// Whether the key of `issuer` made the signature of `certificate`, by whichever scheme.
pub(crate) fn is_signed_by(certificate: &Certificate, issuer: &Certificate, crypto: &CryptoProvider) -> bool {
    let (tbs, algorithm, signature) = certificate.signed();
    let (scheme, key) = (known(algorithm).ok(), key(issuer, crypto).ok());
    scheme.zip(key).is_some_and(|(scheme, key)| key.verify(scheme, tbs, signature).is_ok())
}

/// The scheme of an AlgorithmIdentifier, or what is wrong with it.
pub(crate) fn known(algorithm: &[u8]) -> Result<SignatureScheme, String> {
    algorithm::scheme(algorithm).ok_or_else(|| "an algorithm that is not known here".into())
}

/// Whether the key of a certificate is accepted, in general and here.
fn check_key(certificate: &Certificate, key: &dyn PublicKey, rules: &Rules<'_>) -> Result<(), Fault> {
    let restrictions = rules.restrictions;
    let subject = || certificate.subject().to_string();
    restrictions.key(key.kind()).map_err(|kind| match restrictions.any() {
        true => Fault::Restricted(subject(), alloc::format!("has a key of {kind}"), restrictions.words.clone()),
        false => Fault::WeakKey(subject(), kind),
    })
}

/// The public key of a certificate, if it is one that is accepted.
///
/// # Errors
/// [`Fault::WeakKey`].
pub fn key(certificate: &Certificate, crypto: &CryptoProvider) -> Result<Box<dyn PublicKey>, Fault> {
    public_key(certificate.spki(), crypto).map_err(|what| Fault::WeakKey(certificate.subject().to_string(), what))
}

/// A public key, if it is one that is accepted.
///
/// # Errors
/// What it is instead.
pub fn public_key(spki: &[u8], crypto: &CryptoProvider) -> Result<Box<dyn PublicKey>, String> {
    let signatures = crypto.signatures.ok_or("no signatures are built in")?;
    let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| "one that is no DER")?;
    // RFC 5480 §2.1.1: a curve is named. One that is described can be made so that a known key fits it (CVE-2020-0601).
    if info.algorithm.oid == oid::EC_KEY && info.algorithm.parameters_oid().is_err() {
        return Err("on a curve that is not named".into());
    }
    // RFC 3279 §2.3.2: without them, they would be those of the issuer.
    if info.algorithm.oid == oid::DSA_KEY && info.algorithm.parameters.is_none() {
        return Err("of DSA without its parameters, which are not inherited here".into());
    }
    let key = signatures.public_key(spki).map_err(|_| "one of a kind that is not known here, or damaged")?;
    match key.kind() {
        KeyKind::Rsa(bits) if !limits::RSA_BITS.contains(&bits) => Err(key.kind().to_string()),
        _ => Ok(key),
    }
}

/// The identifier of a public key: the SHA-1 of its bits (RFC 5280 §4.2.1.2, method 1). `None`: it is no
/// SubjectPublicKeyInfo.
pub fn key_id(spki: &[u8], crypto: &CryptoProvider) -> Option<[u8; 20]> {
    let info = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    Some((crypto.sha1)(&[info.subject_public_key.raw_bytes()]))
}

fn check_time(certificate: &Certificate, rules: &Rules<'_>) -> Result<(), Fault> {
    let (from, until) = certificate.valid();
    let subject = || certificate.subject().to_string();
    if rules.now.0 < from {
        return Err(Fault::NotYetValid(subject(), from));
    }
    if rules.now.0 > until {
        return Err(Fault::Expired(subject(), until));
    }
    Ok(())
}

/// RFC 5280 §6.1.4 (k) and (n). An anchor of version 1 was made an authority by whoever trusts it.
fn check_authority(certificate: &Certificate, anchor: bool) -> Result<(), Fault> {
    let old_anchor = anchor && !certificate.is_version3();
    let signs = certificate.extensions().key_usage.as_ref().is_none_or(|usage| usage.key_cert_sign());
    if (certificate.is_authority() || old_anchor) && signs {
        Ok(())
    } else {
        Err(Fault::NotAnAuthority(certificate.subject().to_string()))
    }
}

/// RFC 4945 §5.1.3.2 and §5.1.3.12: a key that may sign, for IKE or for what VPN gateways were certified for before IKE
/// had an identifier of its own.
fn check_usage(certificate: &Certificate, rules: &Rules<'_>) -> Result<(), Fault> {
    let known: &[ObjectIdentifier] = match rules.usage {
        Usage::Any => return Ok(()),
        Usage::Ike => &[oid::ANY_USAGE, oid::IPSEC_IKE, oid::IKE_INTERMEDIATE, oid::SERVER_AUTH, oid::CLIENT_AUTH],
        // RFC 5216 §5.3: of those that say what they are for.
        Usage::TlsServer => &[oid::ANY_USAGE, oid::SERVER_AUTH],
        Usage::TlsClient => &[oid::ANY_USAGE, oid::CLIENT_AUTH],
    };
    let extensions = certificate.extensions();
    let signs = extensions.key_usage.as_ref().is_none_or(|usage| usage.digital_signature() || usage.non_repudiation());
    let fits = extensions.usages.as_ref().is_none_or(|usages| usages.iter().any(|usage| known.contains(usage)));
    if signs && fits { Ok(()) } else { Err(Fault::Usage(certificate.subject().to_string())) }
}
