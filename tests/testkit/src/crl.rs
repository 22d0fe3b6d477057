//! Revocation lists for tests (RFC 5280 §5), written by hand: with what has changed since another, too.

use rcgen::SigningKey;

use crate::ocsp::{children, element, time};
use crate::papers::Paper;

/// removeFromCRL.
pub const REMOVED: u8 = 8;

/// A list before it is signed.
#[derive(Clone, Debug)]
pub struct List {
    /// Its number.
    pub number: u8,
    /// The number of the complete list of which it has only what has changed since.
    pub since: Option<u8>,
    /// nextUpdate, as `20260101000000Z`; thisUpdate is 2020.
    pub next: String,
    /// Serial numbers, each with a reason or none.
    pub entries: Vec<(Vec<u8>, Option<u8>)>,
    /// Where what has changed since is.
    pub freshest: Option<String>,
}

impl List {
    /// One until 2090, with nothing in it.
    pub fn new(number: u8) -> Self {
        List { number, since: None, next: "20900101000000Z".into(), entries: Vec::new(), freshest: None }
    }

    /// The list, signed by `authority`, in DER.
    pub fn signed_by(&self, authority: &Paper) -> Vec<u8> {
        let own = children(&authority.der);
        let (parts, algorithm) = (children(&own[0]), own[1].clone());
        let this = time("20200101000000Z");
        let entry = |(serial, reason): &(Vec<u8>, Option<u8>)| {
            let reason =
                reason.iter().flat_map(|reason| element(0x30, &extension(21, false, &element(10, &[*reason]))));
            element(0x30, &[element(2, serial), this.clone(), reason.collect()].concat())
        };
        let entries: Vec<u8> = self.entries.iter().flat_map(entry).collect();
        let entries = if entries.is_empty() { entries } else { element(0x30, &entries) };
        let mut extensions = extension(20, false, &element(2, &[self.number]));
        extensions.extend(self.since.iter().flat_map(|since| extension(27, true, &element(2, &[*since]))));
        extensions.extend(self.freshest.iter().flat_map(|uri| extension(46, false, &points(uri))));
        let extensions = element(0xa0, &element(0x30, &extensions));
        // version, serialNumber, signature, issuer, validity, subject.
        let subject = parts[5].clone();
        let list = [element(2, &[1]), algorithm.clone(), subject, this.clone(), time(&self.next), entries, extensions]
            .concat();
        let list = element(0x30, &list);
        let signature = [vec![0], authority.key().sign(&list).expect("a signature")].concat();
        element(0x30, &[list, algorithm, element(3, &signature)].concat())
    }
}

/// An extension of id-ce with this number.
fn extension(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { element(1, &[0xff]) } else { Vec::new() };
    element(0x30, &[element(6, &[0x55, 0x1d, number]), critical, element(4, value)].concat())
}

/// CRLDistributionPoints with one URI.
fn points(uri: &str) -> Vec<u8> {
    let name = element(0xa0, &element(0xa0, &element(0x86, uri.as_bytes())));
    element(0x30, &element(0x30, &name))
}
