//! Why a certificate is not accepted, in words an operator can act on.

use alloc::string::String;
use core::fmt;

use der::asn1::ObjectIdentifier;

/// What is wrong with a certificate or its path. Names of certificates are their subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes that are no certificate.
    Malformed(&'static str),
    /// The peer sent no certificate.
    None,
    /// Its own certificate lies at this URL, from where it was not had.
    Unfetched(String),
    /// Its own certificate lies at this URL, where none is looked up.
    Elsewhere(String),
    /// What lies at the URL that the peer named has another hash than it said.
    OtherHash,
    /// No trusted authority leads to it.
    UnknownAuthority {
        /// The certificate whose issuer is not known.
        subject: String,
        /// That issuer.
        issuer: String,
    },
    /// An authority that is asked for is not above it.
    NotThrough(String, String),
    /// A signature in the path is not that of the issuer.
    BadSignature(String),
    /// A signature algorithm that is not accepted.
    WeakSignature(String, String),
    /// A key that is not accepted.
    WeakKey(String, String),
    /// A key or a signature that is accepted in general, but not here: the certificate, what of it, and what is asked for.
    Restricted(String, String, String),
    /// The certificate is not valid yet; from when it will be, in seconds since 1970.
    NotYetValid(String, u64),
    /// The certificate is not valid any more; since when, in seconds since 1970.
    Expired(String, u64),
    /// A certificate in the place of an authority that is none.
    NotAnAuthority(String),
    /// An authority for which those above it leave no room.
    PathTooLong(String),
    /// A critical extension that is not known here.
    CriticalExtension(String, ObjectIdentifier),
    /// A name that the authorities above do not permit.
    NameNotPermitted(String, String),
    /// Key usage or extended key usage do not permit to authenticate a peer.
    Usage(String),
    /// It is shown to be of none of the groups of which it should be of one: the groups, and why.
    NotOfGroup(String, String),
    /// None of the policies that are required.
    Policy(String),
    /// It was revoked.
    Revoked(String),
    /// Whether it was revoked cannot be known, and the configuration wants it known.
    RevocationUnknown(String),
    /// It is not the certificate or key that is configured for the peer.
    NotPinned(String),
    /// It does not name who the peer says it is.
    WrongName {
        /// Who the peer says it is.
        identity: String,
        /// The names in the certificate.
        names: String,
    },
    /// More than a bound in [`limits`](crate::limits).
    TooMuch(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Malformed(what) => write!(f, "a certificate that cannot be read: {what}"),
            Fault::None => f.write_str("no certificate"),
            Fault::Unfetched(url) => {
                write!(f, "the peer's certificate lies at {url} and was not had from there: see the log of this daemon")
            }
            Fault::Elsewhere(url) => {
                write!(
                    f,
                    "the peer's certificate lies at {url}, where none is looked up (hash_and_url, --hash-and-url)"
                )
            }
            Fault::OtherHash => f.write_str("what lies there has another hash than the peer said"),
            Fault::UnknownAuthority { subject, issuer } if subject == issuer => {
                write!(f, "the certificate {subject} is signed by itself and not among those that are trusted here")
            }
            Fault::UnknownAuthority { subject, issuer } => {
                write!(f, "the certificate {subject} was issued by {issuer}, which is not trusted here")
            }
            Fault::NotThrough(subject, authority) => {
                write!(f, "the certificate {subject} is not below the authority {authority}, which is asked for")
            }
            Fault::BadSignature(subject) => {
                write!(f, "the signature of the certificate {subject} is not by the authority of that name known here")
            }
            Fault::WeakSignature(subject, how) => {
                write!(f, "the certificate {subject} is signed by {how}, which is not accepted")
            }
            Fault::WeakKey(subject, key) => {
                write!(f, "the certificate {subject} has a key ({key}) that is not accepted")
            }
            Fault::Restricted(subject, what, asked) => {
                write!(f, "the certificate {subject} {what}, where `{asked}` is asked for")
            }
            Fault::NotYetValid(subject, from) => {
                write!(f, "the certificate {subject} is valid only from {}; check the clocks", Date(*from))
            }
            Fault::Expired(subject, until) => write!(f, "the certificate {subject} expired on {}", Date(*until)),
            Fault::NotAnAuthority(subject) => write!(f, "the certificate {subject} is not that of an authority"),
            Fault::PathTooLong(subject) => {
                write!(f, "the authorities above {subject} do not permit another one below them")
            }
            Fault::CriticalExtension(subject, oid) => {
                write!(f, "the certificate {subject} has a critical extension that is not known here: {oid}")
            }
            Fault::NameNotPermitted(subject, name) => {
                write!(f, "the certificate {subject} has the name {name}, which the authorities above it do not permit")
            }
            Fault::Usage(subject) => {
                write!(f, "the certificate {subject} is not for authenticating a peer: see its key usage")
            }
            Fault::NotOfGroup(subject, what) => write!(f, "{subject} is not shown to be of the group {what}"),
            Fault::Policy(subject) => write!(f, "the certificate {subject} was not issued under a required policy"),
            Fault::Revoked(subject) => write!(f, "the certificate {subject} was revoked"),
            Fault::RevocationUnknown(subject) => write!(
                f,
                "whether the certificate {subject} was revoked cannot be known: no current revocation list or OCSP answer"
            ),
            Fault::NotPinned(subject) => write!(f, "{subject} is not the certificate that is configured for the peer"),
            Fault::WrongName { identity, names } => {
                write!(f, "the peer says it is {identity}, and its certificate names {names}")
            }
            Fault::TooMuch(what) => write!(f, "too many {what}"),
        }
    }
}

impl core::error::Error for Fault {}

/// A time, in seconds since 1970, as `2026-11-29 07:31:25 UTC`.
pub struct Date(pub u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match der::DateTime::from_unix_duration(core::time::Duration::from_secs(self.0)) {
            Ok(at) => write!(
                f,
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
                at.year(),
                at.month(),
                at.day(),
                at.hour(),
                at.minutes(),
                at.seconds()
            ),
            Err(_) => write!(f, "second {} of 1970", self.0),
        }
    }
}
