//! OCSP answers for tests (RFC 6960 §4.2.1), written by hand: what no honest responder sends, too.

use rcgen::SigningKey;

use crate::papers::Paper;

/// What a responder says about the certificate of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was not revoked.
    Good,
    /// It was.
    Revoked,
    /// It is not known.
    Unknown,
}

/// An answer before it is signed.
#[derive(Clone, Debug)]
pub struct Reply {
    /// About the certificate.
    pub status: Status,
    /// thisUpdate, as `20260101000000Z`.
    pub this: String,
    /// nextUpdate.
    pub next: Option<String>,
    /// The nonce, unless there is none.
    pub nonce: Option<Vec<u8>>,
}

impl Reply {
    /// One from 2020 to 2090, with the nonce of the request.
    pub fn new(status: Status, request: &[u8]) -> Self {
        let nonce = Some(request[request.len() - 32..].to_vec());
        Reply { status, this: "20200101000000Z".into(), next: Some("20900101000000Z".into()), nonce }
    }

    /// The OCSPResponse to a request, signed by `signer`, with these certificates.
    pub fn signed_by(&self, signer: &Paper, request: &[u8], certificates: &[&Paper]) -> Vec<u8> {
        // OCSPRequest, TBSRequest, requestList, Request: the CertID is the first of each.
        let id = (0..4).fold(request.to_vec(), |outer, _| children(&outer)[0].clone());
        let status = match self.status {
            Status::Good => element(0x80, &[]),
            Status::Revoked => element(0xa1, &time(&self.this)),
            Status::Unknown => element(0x82, &[]),
        };
        let next = self.next.iter().flat_map(|next| element(0xa0, &time(next))).collect();
        let single = element(0x30, &[id, status, time(&self.this), next].concat());
        let extensions = self.nonce.iter().flat_map(|nonce| {
            let oid = element(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2]);
            let extension = element(0x30, &[oid, element(4, &element(4, nonce))].concat());
            element(0xa1, &element(0x30, &extension))
        });
        // version, serialNumber, signature, issuer, validity, subject.
        let own = children(&signer.der);
        let subject = children(&own[0])[5].clone();
        let parts = [element(0xa1, &subject), time(&self.this), element(0x30, &single), extensions.collect()];
        let data = element(0x30, &parts.concat());
        let signature = [vec![0], signer.key().sign(&data).expect("a signature")].concat();
        let certificates: Vec<u8> = certificates.iter().flat_map(|paper| paper.der.clone()).collect();
        let basic = [data, own[1].clone(), element(3, &signature), element(0xa0, &element(0x30, &certificates))];
        let kind = element(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]);
        let bytes = element(0x30, &[kind, element(4, &element(0x30, &basic.concat()))].concat());
        element(0x30, &[element(10, &[0]), element(0xa0, &bytes)].concat())
    }
}

/// An OCSPResponse with a status and nothing else.
pub fn bare(status: u8) -> Vec<u8> {
    element(0x30, &element(10, &[status]))
}

/// The content of an extension authorityInfoAccess that names a responder.
pub(crate) fn access(uri: &str) -> Vec<u8> {
    let method = element(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]);
    element(0x30, &element(0x30, &[method, element(0x86, uri.as_bytes())].concat()))
}

pub(crate) fn time(text: &str) -> Vec<u8> {
    element(0x18, text.as_bytes())
}

pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("a short content").to_be_bytes();
    let head = match len {
        [0, len @ 0..=0x7f] => vec![tag, len],
        [0, len] => vec![tag, 0x81, len],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [head, content.to_vec()].concat()
}

/// The elements in an element.
pub(crate) fn children(der: &[u8]) -> Vec<Vec<u8>> {
    let (_, mut rest) = split(der);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (head, content) = split(rest);
        let len = head + content.len();
        found.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    found
}

/// Octets of tag and length, and the content.
fn split(der: &[u8]) -> (usize, &[u8]) {
    let (head, len) = match der[1] {
        len @ 0..=0x7f => (2, usize::from(len)),
        0x81 => (3, usize::from(der[2])),
        _ => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
    };
    (head, &der[head..head + len])
}
