//! What is remembered of certificates that were shown before: what they say, and whose key signed them. Both follow from the
//! octets and hold for ever, so they are not found out again for a peer that comes back, nor for an authority that many peers
//! bring along.
//!
//! ```text
//!   octets ─► parse ─► Certificate     a certificate and its issuer ─► knows: the signature is good     a valid path ─► keep
//! ```
//! Nothing else is remembered. Time, revocation, names, usages, constraints, policies, and which keys and signatures are
//! accepted, are judged anew each time. Only what stood in a valid path is kept, so nobody fills the memory for whom no
//! authority of ours vouches, and the octets are bounded (ADR 0089).

use alloc::collections::BTreeMap;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;

use crate::certificate::Certificate;
use crate::fault::Fault;
use crate::limits;
use crate::path::Path;

/// Keeps [`Seen`] from one judgement to the next.
pub trait Memory: Sync {
    /// Lets somebody look at it and change it; nobody else does meanwhile.
    fn with(&self, act: &mut dyn FnMut(&mut Seen));
}

impl fmt::Debug for dyn Memory + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl dyn Memory + '_ {
    /// The certificate with these octets.
    pub(crate) fn parse(&self, der: &[u8]) -> Result<Certificate, Fault> {
        let mut found = None;
        self.with(&mut |seen| found = seen.find(der));
        found.map_or_else(|| Certificate::parse(der), Ok)
    }

    /// Whether it is known that the key of `issuer` made the signature of `certificate`.
    pub(crate) fn knows(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let mut known = false;
        self.with(&mut |seen| known = seen.signer(certificate).is_some_and(|signer| signer.spki() == issuer.spki()));
        known
    }

    /// Remembers a valid path.
    pub(crate) fn keep(&self, path: &Path) {
        self.with(&mut |seen| {
            for pair in path.0.windows(2) {
                let [certificate, issuer] = pair else { continue };
                seen.keep(certificate, issuer);
            }
        });
    }
}

/// For whoever keeps nothing: every certificate is a new one.
#[derive(Clone, Copy, Debug)]
pub struct Forgetful;

impl Memory for Forgetful {
    fn with(&self, act: &mut dyn FnMut(&mut Seen)) {
        act(&mut Seen::default());
    }
}

/// Certificates that were shown, each with who signed it: those of late, and those before them, which go when there are enough of
/// the former.
#[derive(Default)]
pub struct Seen {
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    signers: BTreeMap<ByDer, Certificate>,
    octets: usize,
}

/// In the order of the octets.
struct ByDer(Certificate);

impl Borrow<[u8]> for ByDer {
    fn borrow(&self) -> &[u8] {
        self.0.der()
    }
}

impl Ord for ByDer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.der().cmp(other.0.der())
    }
}

impl PartialOrd for ByDer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByDer {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for ByDer {}

impl Seen {
    /// The certificate with these octets, which is one of those of late from now on.
    fn find(&mut self, der: &[u8]) -> Option<Certificate> {
        if let Some((ByDer(certificate), _)) = self.young.signers.get_key_value(der) {
            return Some(certificate.clone());
        }
        let (ByDer(certificate), signer) = self.old.signers.remove_entry(der)?;
        self.keep(&certificate, &signer);
        Some(certificate)
    }

    fn signer(&self, certificate: &Certificate) -> Option<&Certificate> {
        let der = certificate.der();
        self.young.signers.get(der).or_else(|| self.old.signers.get(der))
    }

    fn keep(&mut self, certificate: &Certificate, signer: &Certificate) {
        if self.young.signers.contains_key(certificate.der()) {
            return;
        }
        if self.young.octets + certificate.der().len() > limits::REMEMBERED {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.octets += certificate.der().len();
        self.young.signers.insert(ByDer(certificate.clone()), signer.clone());
    }
}
