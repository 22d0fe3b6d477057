//! The structures of RFC 6960 §4.1.1 and §4.2.1. Extensions and times are those of RFC 5280.

use alloc::vec::Vec;

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, IntRef, Null, ObjectIdentifier, OctetString};
use der::{Choice, Enumerated, Sequence};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::name::Name;

#[derive(Sequence)]
pub(super) struct Request<'a> {
    pub(super) tbs: TbsRequest<'a>,
}

#[derive(Sequence)]
pub(super) struct TbsRequest<'a> {
    pub(super) list: Vec<Single<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
pub(super) struct Single<'a> {
    pub(super) id: CertId<'a>,
}

#[derive(Clone, PartialEq, Eq, Sequence)]
pub(super) struct CertId<'a> {
    pub(super) hash: Hash<'a>,
    pub(super) name: OctetString,
    pub(super) key: OctetString,
    pub(super) serial: IntRef<'a>,
}

/// An AlgorithmIdentifier. Some write the NULL of a hash and some do not (RFC 5754 §2).
#[derive(Clone, PartialEq, Eq, Sequence)]
pub(super) struct Hash<'a> {
    pub(super) oid: ObjectIdentifier,
    pub(super) parameters: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct Response {
    pub(super) status: Status,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) bytes: Option<Bytes>,
}

/// What a responder says before it says anything (RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumerated)]
#[asn1(type = "ENUMERATED")]
#[repr(u8)]
pub enum Status {
    /// There is an answer.
    Successful = 0,
    /// The request is not understood.
    MalformedRequest = 1,
    /// The responder fails.
    InternalError = 2,
    /// It cannot now.
    TryLater = 3,
    /// It wants signed requests.
    SigRequired = 5,
    /// It has no say about the certificate, or not to us.
    Unauthorized = 6,
}

#[derive(Sequence)]
pub(super) struct Bytes {
    pub(super) kind: ObjectIdentifier,
    pub(super) response: OctetString,
}

#[derive(Sequence)]
pub(super) struct Basic<'a> {
    /// A [`Data`], in the octets that are signed.
    pub(super) data: AnyRef<'a>,
    pub(super) algorithm: AnyRef<'a>,
    pub(super) signature: BitStringRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) certificates: Option<Vec<AnyRef<'a>>>,
}

#[derive(Sequence)]
pub(super) struct Data<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) version: Option<u8>,
    pub(super) responder: Responder,
    pub(super) produced: GeneralizedTime,
    pub(super) responses: Vec<SingleResponse<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) extensions: Option<Vec<Extension>>,
}

#[derive(Choice)]
pub(super) enum Responder {
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    Name(Name),
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", constructed = "true")]
    Key(OctetString),
}

#[derive(Sequence)]
pub(super) struct SingleResponse<'a> {
    pub(super) id: CertId<'a>,
    pub(super) status: CertStatus,
    pub(super) this_update: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) next_update: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) extensions: Option<Vec<Extension>>,
}

#[derive(Choice)]
pub(super) enum CertStatus {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    Good(Null),
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    Revoked(RevokedInfo),
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT")]
    Unknown(Null),
}

#[derive(Sequence)]
pub(super) struct RevokedInfo {
    pub(super) time: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) reason: Option<CrlReason>,
}
