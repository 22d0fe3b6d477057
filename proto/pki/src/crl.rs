//! Revocation lists (RFC 5280 §5): complete ones, and those that have only what has changed since such a one.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use der::asn1::UintRef;
use der::{Decode, Encode};
use ravelin_crypto::CryptoProvider;
use ravelin_types::Dn;
use x509_cert::crl::CertificateList;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::{ReasonFlags, Reasons};
use x509_cert::ext::pkix::{CrlReason, IssuingDistributionPoint};

use crate::certificate::{self, Certificate, Signed};
use crate::fault::Fault;
use crate::path::{self, Rules, Time};
use crate::point::Point;
use crate::{limits, oid};

/// A revocation list. Cheap to clone.
#[derive(Clone)]
pub struct Crl(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    issuer: Dn,
    updated: (u64, Option<u64>),
    number: Option<Number>,
    /// It has only what has changed since the complete list with this number, or one behind it.
    since: Option<Number>,
    revoked: BTreeSet<Vec<u8>>,
    /// What such changes take off the list.
    released: BTreeSet<Vec<u8>>,
    scope: Scope,
    /// The extensions by which it belongs to other lists, as they are encoded.
    kin: [Option<Vec<u8>>; 2],
    freshest: Vec<String>,
}

/// The number of a list: how many octets, and these.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Number(usize, Vec<u8>);

impl Number {
    fn parse(der: &[u8]) -> Option<Self> {
        let octets = UintRef::from_der(der).ok()?.as_bytes().to_vec();
        Some(Number(octets.len(), octets))
    }
}

/// Which certificates a list covers.
#[derive(Default)]
struct Scope {
    only_users: bool,
    only_authorities: bool,
    /// The names of the point that it is for; none: for all.
    point: Option<Vec<Point>>,
    /// The reasons for which it revokes, where these are not all.
    reasons: Option<ReasonFlags>,
    /// It needs something that is not known here.
    unusable: bool,
}

impl Crl {
    /// Decodes a list in DER.
    ///
    /// # Errors
    /// [`Fault::Malformed`] and [`Fault::TooMuch`].
    pub fn parse(der: &[u8]) -> Result<Self, Fault> {
        if der.len() > limits::CRL {
            return Err(Fault::TooMuch("bytes of a revocation list"));
        }
        let [tbs, algorithm, signature] = Signed::split(der)?;
        let list: CertificateList =
            CertificateList::from_der(der).map_err(|_| Fault::Malformed("it is no revocation list"))?;
        let list = list.tbs_cert_list;
        let bad = |_| Fault::Malformed("a part cannot be encoded");
        if list.signature.to_der().map_err(bad)? != algorithm {
            return Err(Fault::Malformed("it names two signature algorithms"));
        }
        let mut scope = Scope::default();
        let (mut number, mut since, mut kin, mut freshest) = (None, None, [None, None], Vec::new());
        for extension in list.crl_extensions.iter().flatten() {
            let value = extension.extn_value.as_bytes();
            match extension.extn_id {
                oid::ISSUING_POINT => {
                    scope.restrict(value)?;
                    kin[0] = Some(value.to_vec());
                }
                oid::AUTHORITY_KEY_ID => kin[1] = Some(value.to_vec()),
                oid::CRL_NUMBER => number = Number::parse(value),
                oid::DELTA_CRL => {
                    since = Number::parse(value);
                    scope.unusable |= since.is_none();
                }
                oid::FRESHEST_CRL => freshest = certificate::uris(&certificate::points(value)?),
                _ => scope.unusable |= extension.critical,
            }
        }
        let (mut revoked, mut released) = (BTreeSet::new(), BTreeSet::new());
        for entry in list.revoked_certificates.iter().flatten() {
            // RFC 5280 §5.3: a critical extension that is not known makes the whole list unusable; certificateIssuer,
            // that of indirect lists, is one.
            scope.unusable |= entry.crl_entry_extensions.iter().flatten().any(|extension| extension.critical);
            // RFC 5280 §5.3.1: removeFromCRL stands in changes alone.
            let taken_off = since.is_some() && entry.crl_entry_extensions.iter().flatten().any(is_removal);
            let serials = if taken_off { &mut released } else { &mut revoked };
            serials.insert(entry.serial_number.as_bytes().to_vec());
        }
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        Ok(Crl(Arc::new(Inner {
            der: der.to_vec(),
            tbs,
            algorithm,
            signature,
            issuer: Dn::new(&list.issuer.to_der().map_err(bad)?),
            updated: (seconds(list.this_update), list.next_update.map(seconds)),
            number,
            since,
            revoked,
            released,
            scope,
            kin,
            freshest,
        })))
    }

    /// The list in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Who signed it.
    pub fn issuer(&self) -> &Dn {
        &self.0.issuer
    }

    /// When it was made, and when the next will be, in seconds since 1970.
    pub fn updated(&self) -> (u64, Option<u64>) {
        self.0.updated
    }

    /// Whether it has only what has changed since a complete list (RFC 5280 §5.2.4).
    pub fn is_delta(&self) -> bool {
        self.0.since.is_some()
    }

    /// Whether it is a later or an earlier state of the same list.
    pub fn is_like(&self, other: &Crl) -> bool {
        let (own, other) = (&self.0, &other.0);
        own.issuer.is(&other.issuer) && own.kin == other.kin && own.since.is_some() == other.since.is_some()
    }

    /// Where changes of it are (RFC 5280 §5.2.6).
    pub(crate) fn freshest(&self) -> &[String] {
        &self.0.freshest
    }

    /// Whether it has only what has changed since this complete list (RFC 5280 §5.2.4).
    fn updates(&self, complete: &Crl) -> bool {
        let (changes, complete) = (&self.0, &complete.0);
        changes.issuer.is(&complete.issuer)
            && changes.kin == complete.kin
            && complete.number.is_some()
            && changes.since <= complete.number
            && complete.number < changes.number
    }

    /// How many certificates it revokes.
    pub fn len(&self) -> usize {
        self.0.revoked.len()
    }

    /// Whether it revokes none.
    pub fn is_empty(&self) -> bool {
        self.0.revoked.is_empty()
    }

    /// Whether it is current: RFC 5280 §5.1.2.5 has every list say when the next comes.
    pub fn is_current(&self, now: Time) -> bool {
        let (this, next) = self.updated();
        this <= now.0 && next.is_some_and(|next| now.0 <= next)
    }

    /// Whether nothing in it is needed that is not known here.
    pub(crate) fn is_usable(&self) -> bool {
        !self.0.scope.unusable
    }

    /// Whether it is about certificates such as this one.
    pub(crate) fn covers(&self, certificate: &Certificate) -> bool {
        let scope = &self.0.scope;
        let kind = if certificate.is_authority() { !scope.only_users } else { !scope.only_authorities };
        let (points, authority) = (&certificate.extensions().points, &self.0.issuer);
        let one_of = |own: &Point| points.iter().any(|point| point.is(own, authority));
        let point = scope.point.as_ref().is_none_or(|own| own.iter().any(one_of));
        self.is_usable() && kind && point
    }

    /// Whether the authority signed it and may (RFC 5280 §6.3.3 (f) and (g)).
    pub(crate) fn is_by(&self, issuer: &Certificate, rules: &Rules<'_>, crypto: &CryptoProvider) -> bool {
        let signs = issuer.extensions().key_usage.as_ref().is_none_or(|usage| usage.crl_sign());
        let inner = &self.0;
        let verified = || {
            let scheme = path::known(&inner.algorithm).ok().filter(|scheme| rules.restrictions.in_chain(*scheme))?;
            path::key(issuer, crypto).ok()?.verify(scheme, &inner.tbs, &inner.signature).ok()
        };
        signs && inner.issuer.is(issuer.subject()) && verified().is_some()
    }
}

/// What a complete list says, by itself or with what has changed since. The two together are a list as complete (RFC 5280 §5.2.4).
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    complete: &'a Crl,
    changes: Option<&'a Crl>,
}

impl<'a> Known<'a> {
    /// All that these lists of one issuer say. Changes without their complete list say nothing.
    pub(crate) fn all(lists: &[&'a Crl]) -> Vec<Known<'a>> {
        let (changes, complete): (Vec<&Crl>, Vec<&Crl>) = lists.iter().partition(|crl| crl.is_delta());
        let alone = complete.iter().map(|complete| Known { complete, changes: None });
        let pairs = complete.iter().flat_map(|complete| changes.iter().map(move |changes| (*complete, *changes)));
        let together = pairs.filter(|(complete, changes)| changes.updates(complete));
        alone.chain(together.map(|(complete, changes)| Known { complete, changes: Some(changes) })).collect()
    }

    /// Whether lists that are current are about every reason, together.
    pub(crate) fn is_all_known(lists: &[Known<'_>], now: Time) -> bool {
        let every = ReasonFlags::full() - Reasons::Unused;
        let current = lists.iter().filter(|list| list.is_current(now));
        let reasons = current.map(|list| list.complete.0.scope.reasons.unwrap_or(every));
        reasons.fold(ReasonFlags::default(), |all, reasons| all | reasons).contains(every)
    }

    /// Whether it is a later state of the same list than the other.
    pub(crate) fn replaces(&self, other: &Known<'_>) -> bool {
        self.complete.0.kin[0] == other.complete.0.kin[0] && self.made() > other.made()
    }

    /// The complete list.
    pub(crate) fn complete(&self) -> &'a Crl {
        self.complete
    }

    /// Whether changes are in it.
    pub(crate) fn has_changes(&self) -> bool {
        self.changes.is_some()
    }

    /// When it was made, for comparisons: of one second, what has changed is later.
    fn made(&self) -> (u64, bool) {
        (self.changes.unwrap_or(self.complete).updated().0, self.has_changes())
    }

    /// Whether it is current.
    pub(crate) fn is_current(&self, now: Time) -> bool {
        self.changes.unwrap_or(self.complete).is_current(now)
    }

    /// Whether it revokes the certificate with this serial number (RFC 5280 §6.3.3 (i) to (k)).
    pub(crate) fn revokes(&self, serial: &[u8]) -> bool {
        let changed =
            |list: fn(&Inner) -> &BTreeSet<Vec<u8>>| self.changes.is_some_and(|crl| list(&crl.0).contains(serial));
        let before = self.complete.0.revoked.contains(serial);
        changed(|crl| &crl.revoked) || before && !changed(|crl| &crl.released)
    }
}

/// Whether an entry is there to take a certificate off the list.
fn is_removal(extension: &Extension) -> bool {
    extension.extn_id == oid::REASON
        && CrlReason::from_der(extension.extn_value.as_bytes()).is_ok_and(|reason| reason == CrlReason::RemoveFromCRL)
}

impl Scope {
    fn restrict(&mut self, der: &[u8]) -> Result<(), Fault> {
        let point = IssuingDistributionPoint::from_der(der)
            .map_err(|_| Fault::Malformed("an extension of a revocation list is not as RFC 5280 has it"))?;
        self.only_users = point.only_contains_user_certs;
        self.only_authorities = point.only_contains_ca_certs;
        self.unusable |= point.indirect_crl || point.only_contains_attribute_certs;
        self.reasons = point.only_some_reasons;
        self.point = point.distribution_point.as_ref().map(Point::all);
        Ok(())
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({}, {} revoked)", self.issuer(), self.len())
    }
}
