//! Certificates as IKE needs them: chains to a trusted authority (RFC 5280 §6), revocation, names, and which signature
//! says that a peer is who its certificate names (RFC 7427, RFC 4945).
//!
//! This crate never reads a clock, a file or a network: the time is passed in, and so is everything that was fetched. It
//! never computes a hash or a signature itself; the crypto provider does. Read [`path`] first.
//!
//! ```text
//!   CERT payloads ─► Certificate ─► path: to an anchor, each step checked ─► names: is it the peer? ─► auth: AUTH
//!                                     constraints, policy, revocation         attribute: is it of a group?
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod algorithm;
pub mod announce;
mod attribute;
pub mod auth;
mod bare;
mod certificate;
mod constraints;
mod crl;
mod fault;
pub mod limits;
pub mod memory;
pub mod names;
pub mod ocsp;
pub mod path;
mod point;
mod policy;
pub mod reference;
pub mod restriction;
pub mod revocation;
mod sent;

pub use attribute::{AttributeCertificate, Membership};
pub use certificate::{AltName, Certificate};
pub use crl::Crl;
pub use der::asn1::ObjectIdentifier;
pub use fault::{Date, Fault};
pub use path::{Path, Rules, Time, Usage};
pub use reference::{Lookup, Reference};
pub use restriction::Restrictions;
pub use revocation::{Demand, Places, Source};
pub use sent::Wish;

/// Object identifiers that stand in certificates.
pub(crate) mod oid {
    use der::asn1::ObjectIdentifier as Oid;

    pub(crate) const SUBJECT_KEY_ID: Oid = Oid::new_unwrap("2.5.29.14");
    pub(crate) const KEY_USAGE: Oid = Oid::new_unwrap("2.5.29.15");
    pub(crate) const ALT_NAME: Oid = Oid::new_unwrap("2.5.29.17");
    pub(crate) const ISSUER_ALT_NAME: Oid = Oid::new_unwrap("2.5.29.18");
    pub(crate) const BASIC_CONSTRAINTS: Oid = Oid::new_unwrap("2.5.29.19");
    pub(crate) const CRL_NUMBER: Oid = Oid::new_unwrap("2.5.29.20");
    pub(crate) const REASON: Oid = Oid::new_unwrap("2.5.29.21");
    pub(crate) const DELTA_CRL: Oid = Oid::new_unwrap("2.5.29.27");
    pub(crate) const ISSUING_POINT: Oid = Oid::new_unwrap("2.5.29.28");
    pub(crate) const NAME_CONSTRAINTS: Oid = Oid::new_unwrap("2.5.29.30");
    pub(crate) const CRL_POINTS: Oid = Oid::new_unwrap("2.5.29.31");
    pub(crate) const POLICIES: Oid = Oid::new_unwrap("2.5.29.32");
    pub(crate) const ANY_POLICY: Oid = Oid::new_unwrap("2.5.29.32.0");
    pub(crate) const POLICY_MAPPINGS: Oid = Oid::new_unwrap("2.5.29.33");
    pub(crate) const AUTHORITY_KEY_ID: Oid = Oid::new_unwrap("2.5.29.35");
    pub(crate) const POLICY_CONSTRAINTS: Oid = Oid::new_unwrap("2.5.29.36");
    pub(crate) const EXTENDED_KEY_USAGE: Oid = Oid::new_unwrap("2.5.29.37");
    pub(crate) const ANY_USAGE: Oid = Oid::new_unwrap("2.5.29.37.0");
    pub(crate) const FRESHEST_CRL: Oid = Oid::new_unwrap("2.5.29.46");
    pub(crate) const INHIBIT_ANY: Oid = Oid::new_unwrap("2.5.29.54");
    pub(crate) const NO_REVOCATION: Oid = Oid::new_unwrap("2.5.29.56");
    pub(crate) const GROUP: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.10.4");
    pub(crate) const AUTHORITY_ACCESS: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.1.1");
    pub(crate) const ACCESS_OCSP: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.48.1");
    pub(crate) const OCSP_BASIC: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.48.1.1");
    pub(crate) const OCSP_NONCE: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.48.1.2");
    pub(crate) const SERVER_AUTH: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.1");
    pub(crate) const CLIENT_AUTH: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.2");
    pub(crate) const OCSP_SIGNING: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.9");
    pub(crate) const IPSEC_IKE: Oid = Oid::new_unwrap("1.3.6.1.5.5.7.3.17");
    pub(crate) const IKE_INTERMEDIATE: Oid = Oid::new_unwrap("1.3.6.1.5.5.8.2.2");
    pub(crate) const EC_KEY: Oid = Oid::new_unwrap("1.2.840.10045.2.1");
    pub(crate) const DSA_KEY: Oid = Oid::new_unwrap("1.2.840.10040.4.1");
    pub(crate) const SHA1: Oid = Oid::new_unwrap("1.3.14.3.2.26");
    pub(crate) const EMAIL: Oid = Oid::new_unwrap("1.2.840.113549.1.9.1");
}
