//! Certificates that lie elsewhere: "Hash and URL of X.509 certificate" and "of X.509 bundle" (RFC 7296 §3.6).
//!
//! ```text
//!   encoding 12 or 13: | SHA-1 of the octets, 20 | URL |
//!
//!   CERT ─► Reference::parse ─► HTTP, elsewhere ─► Reference::open: hash first, then DER ─► fill: as if the peer had sent them
//! ```
//! Whoever has not proven anything yet names the place, so nothing here is believed: the hash says that these are the octets
//! that the peer meant, and what they are worth is judged as if they had come in the message.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use der::asn1::AnyRef;
use der::{Choice, Decode, Encode};
use ravelin_crypto::CryptoProvider;

use crate::auth::{CRL, X509};
use crate::certificate::Certificate;
use crate::crl::Crl;
use crate::fault::Fault;
use crate::limits;

/// Octets of the hash.
const HASH: usize = 20;

/// What lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One certificate.
    Certificate,
    /// A CertificateBundle: certificates and revocation lists.
    Bundle,
}

/// A place, and the hash of what lies there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// What it is.
    pub kind: Kind,
    /// SHA-1 of its octets.
    pub hash: [u8; HASH],
    /// Where: printable ASCII, up to [`limits::URL`].
    pub url: String,
}

/// Where a peer's certificates are looked up that it did not send itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Nowhere, and no peer is told otherwise.
    #[default]
    Never,
    /// Wherever the peer says.
    Anywhere,
    /// Where the URL begins with one of these, each of which ends with a slash.
    Under(Vec<String>),
}

impl Lookup {
    /// Whether this URL is one.
    pub fn permits(&self, url: &str) -> bool {
        match self {
            Lookup::Never => false,
            Lookup::Anywhere => true,
            Lookup::Under(bases) => bases.iter().any(|base| url.starts_with(base.as_str())),
        }
    }
}

impl Kind {
    /// Its certificate encoding.
    pub fn encoding(self) -> u8 {
        match self {
            Kind::Certificate => 12,
            Kind::Bundle => 13,
        }
    }
}

impl Reference {
    /// To these octets, under this base and the digits of their hash.
    pub fn new(kind: Kind, base: &str, octets: &[u8], crypto: &CryptoProvider) -> Self {
        let hash = (crypto.sha1)(&[octets]);
        let url = hash.iter().fold(String::from(base), |mut url, octet| {
            // A String takes everything.
            let _ = write!(url, "{octet:02x}");
            url
        });
        Reference { kind, hash, url }
    }

    /// Encoding and data of a CERT payload. `None`: it is no reference, or none that leads anywhere.
    pub fn parse(encoding: u8, data: &[u8]) -> Option<Self> {
        let kind = [Kind::Certificate, Kind::Bundle].into_iter().find(|kind| kind.encoding() == encoding)?;
        let (hash, url) = data.split_first_chunk()?;
        let printable = !url.is_empty() && url.len() <= limits::URL && url.iter().all(u8::is_ascii_graphic);
        let url = core::str::from_utf8(url).ok().filter(|_| printable)?;
        Some(Reference { kind, hash: *hash, url: url.into() })
    }

    /// Encoding and data of its CERT payload.
    pub fn payload(&self) -> (u8, Vec<u8>) {
        (self.kind.encoding(), [&self.hash[..], self.url.as_bytes()].concat())
    }

    /// Octets that may lie there.
    pub fn most(&self) -> usize {
        match self.kind {
            Kind::Certificate => limits::CERTIFICATE,
            Kind::Bundle => limits::BUNDLE,
        }
    }

    /// The CERT payloads in whose place it stands, by encoding, from the octets that lie there.
    ///
    /// # Errors
    /// [`Fault::OtherHash`] before anything is decoded; [`Fault::Malformed`] and [`Fault::TooMuch`].
    pub fn open(&self, octets: &[u8], crypto: &CryptoProvider) -> Result<Vec<(u8, Vec<u8>)>, Fault> {
        if octets.len() > self.most() {
            return Err(Fault::TooMuch("octets where the peer says that its certificate lies"));
        }
        if (crypto.sha1)(&[octets]) != self.hash {
            return Err(Fault::OtherHash);
        }
        match self.kind {
            Kind::Certificate => Certificate::parse(octets).map(|_| alloc::vec![(X509, octets.to_vec())]),
            Kind::Bundle => unbundled(octets),
        }
    }
}

/// A CertificateOrCRL. There is no third choice, so no bundle is in a bundle.
#[derive(Choice)]
enum Member<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Certificate(AnyRef<'a>),
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    Crl(AnyRef<'a>),
}

impl Member<'_> {
    fn payload(&self) -> Result<(u8, Vec<u8>), Fault> {
        let octets = |any: &AnyRef<'_>| any.to_der().map_err(|_| Fault::Malformed("a part cannot be encoded"));
        match self {
            Member::Certificate(any) => {
                let der = octets(any)?;
                Certificate::parse(&der).map(|_| (X509, der))
            }
            Member::Crl(any) => {
                let der = octets(any)?;
                Crl::parse(&der).map(|_| (CRL, der))
            }
        }
    }
}

/// The CERT payloads of a CertificateBundle.
fn unbundled(octets: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, Fault> {
    let malformed = Fault::Malformed("it is no bundle of certificates and revocation lists");
    let members: Vec<Member<'_>> = Vec::from_der(octets).map_err(|_| malformed.clone())?;
    if members.len() > limits::PEER_CERTIFICATES {
        return Err(Fault::TooMuch("members of a bundle"));
    }
    let payloads = members.iter().map(Member::payload).collect::<Result<Vec<_>, Fault>>()?;
    if payloads.is_empty() { Err(malformed) } else { Ok(payloads) }
}

/// The CertificateBundle of these certificates, in DER. `None` only if one could not be encoded, which does not happen.
pub fn bundle(certificates: &[Certificate]) -> Option<Vec<u8>> {
    let ders = certificates.iter().map(|certificate| AnyRef::from_der(certificate.der()).map(Member::Certificate));
    ders.collect::<Result<Vec<_>, der::Error>>().ok()?.to_der().ok()
}

/// At most [`limits::REFERENCES`] of these CERT payloads are references; what a peer sends beyond is left out.
pub fn bounded(certificates: impl Iterator<Item = (u8, Vec<u8>)>) -> Vec<(u8, Vec<u8>)> {
    let mut left = limits::REFERENCES;
    let mut fits = |encoding: u8| {
        let is_reference = encoding == Kind::Certificate.encoding() || encoding == Kind::Bundle.encoding();
        let fits = !is_reference || left > 0;
        left -= usize::from(is_reference && fits);
        fits
    };
    certificates.filter(|(encoding, _)| fits(*encoding)).collect()
}

/// Puts what was found in the place of the references among CERT payloads. Those that are left come back.
pub fn fill(
    certificates: &mut Vec<(u8, Vec<u8>)>,
    found: impl Fn(&Reference) -> Option<Vec<(u8, Vec<u8>)>>,
) -> Vec<Reference> {
    let mut left = Vec::new();
    let mut filled = Vec::with_capacity(certificates.len());
    for (encoding, data) in core::mem::take(certificates) {
        let Some(reference) = Reference::parse(encoding, &data) else {
            filled.push((encoding, data));
            continue;
        };
        match found(&reference) {
            Some(payloads) => filled.extend(payloads),
            None => {
                filled.push((encoding, data));
                left.push(reference);
            }
        }
    }
    *certificates = filled;
    left
}

/// Where the peer's own certificate lies, if it has not come. What leads nowhere is passed over.
pub(crate) fn missing(certificates: &[(u8, Vec<u8>)], lookup: &Lookup) -> Option<Fault> {
    let first = certificates.iter().find_map(|(encoding, data)| match *encoding {
        X509 => Some(None),
        encoding => Reference::parse(encoding, data).map(Some),
    });
    let Reference { url, .. } = first??;
    Some(if lookup.permits(&url) { Fault::Unfetched(url) } else { Fault::Elsewhere(url) })
}
