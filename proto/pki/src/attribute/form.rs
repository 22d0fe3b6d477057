//! The structures of RFC 5755 §4.1 and §4.4. Names, extensions and times are those of RFC 5280.

use alloc::vec::Vec;

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier};
use der::{Enumerated, Sequence};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::serial_number::SerialNumber;

/// AttributeCertificateInfo.
#[derive(Sequence)]
pub(super) struct Info<'a> {
    pub(super) version: u8,
    pub(super) holder: Holder<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    pub(super) issuer: Issuer<'a>,
    pub(super) signature: AnyRef<'a>,
    pub(super) serial: SerialNumber,
    pub(super) validity: Validity,
    pub(super) attributes: Vec<Attribute>,
    pub(super) issuer_id: Option<BitStringRef<'a>>,
    pub(super) extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
pub(super) struct Holder<'a> {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) certificate: Option<IssuerSerial<'a>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) names: Option<Vec<GeneralName>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) digest: Option<Digest<'a>>,
}

#[derive(Sequence)]
pub(super) struct IssuerSerial<'a> {
    pub(super) issuer: Vec<GeneralName>,
    pub(super) serial: SerialNumber,
    pub(super) issuer_id: Option<BitStringRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct Digest<'a> {
    pub(super) kind: DigestKind,
    pub(super) other: Option<ObjectIdentifier>,
    pub(super) algorithm: AnyRef<'a>,
    pub(super) digest: BitStringRef<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, Enumerated)]
#[asn1(type = "ENUMERATED")]
#[repr(u8)]
pub(super) enum DigestKind {
    PublicKey = 0,
    Certificate = 1,
    Other = 2,
}

/// V2Form, the only one of AttCertIssuer that there still is.
#[derive(Sequence)]
pub(super) struct Issuer<'a> {
    pub(super) names: Option<Vec<GeneralName>>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) certificate: Option<IssuerSerial<'a>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) digest: Option<Digest<'a>>,
}

#[derive(Sequence)]
pub(super) struct Validity {
    pub(super) not_before: GeneralizedTime,
    pub(super) not_after: GeneralizedTime,
}

/// IetfAttrSyntax.
#[derive(Sequence)]
pub(super) struct Values<'a> {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) authority: Option<Vec<GeneralName>>,
    /// Each an OCTET STRING, an OBJECT IDENTIFIER or a UTF8String.
    pub(super) values: Vec<AnyRef<'a>>,
}
