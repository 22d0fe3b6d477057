//! Certificates and what goes with them, as a peer sends them, a server gives them or a file holds them: what is read is in what was
//! there, and nothing is believed that the authority did not sign.

use std::sync::OnceLock;

use ravelin_crypto_aws_lc::{Contents, provider};
use ravelin_pki::ocsp::Enquiry;
use ravelin_pki::reference::{Kind, Reference};
use ravelin_pki::{AttributeCertificate, Certificate, Crl, Time, limits};
use ravelin_types::Secret;

/// 2026-12-02, while what is in the corpus holds.
const NOW: Time = Time(1_796_169_600);

/// A certificate.
pub fn certificate(input: &[u8]) {
    let Ok(certificate) = Certificate::parse(input) else { return };
    assert_eq!(certificate.der(), input);
    assert!(input.len() <= limits::CERTIFICATE);
    assert!(holds(input, certificate.spki()) && holds(input, certificate.serial()));
    let words = [certificate.subject().to_string(), certificate.issuer().to_string(), certificate.names()].concat();
    let uris = certificate.crl_uris().iter().chain(certificate.ocsp_uris());
    assert!(!words.chars().chain(uris.flat_map(|uri| uri.chars())).any(char::is_control), "a peer writes to a log");
}

/// A revocation list.
pub fn revocation_list(input: &[u8]) {
    let Ok(list) = Crl::parse(input) else { return };
    assert_eq!(list.der(), input);
    assert!(list.len() <= input.len());
    assert!(!list.issuer().to_string().chars().any(char::is_control));
    let (this, next) = list.updated();
    assert!(!list.is_current(NOW) || this <= NOW.0 && next.is_some_and(|next| NOW.0 <= next));
}

/// An attribute certificate.
pub fn attribute_certificate(input: &[u8]) {
    let Ok(attributes) = AttributeCertificate::parse(input) else { return };
    assert_eq!(attributes.der(), input);
    assert!(attributes.groups().iter().map(String::len).sum::<usize>() <= 4 * input.len());
    let words = [attributes.issuer().to_string(), format!("{attributes:?}")].concat();
    assert!(!words.chars().any(char::is_control));
}

/// An answer of an OCSP responder about a certificate: one is in the corpus, and others say nothing else.
pub fn ocsp_answer(input: &[u8]) {
    if let Ok(answer) = enquiry().answer(input, None, NOW, &provider()) {
        assert_eq!(answer.der(), input);
        assert!(!answer.is_revoked() && answer.is_current(NOW), "the authority has signed one answer");
    }
}

fn enquiry() -> &'static Enquiry {
    static ENQUIRY: OnceLock<Enquiry> = OnceLock::new();
    ENQUIRY.get_or_init(|| {
        let paper = |der: &[u8]| Certificate::parse(der).expect("a certificate");
        let (peer, ca) = (include_bytes!("papers/peer.crt"), include_bytes!("papers/ca.crt"));
        Enquiry::new(&paper(peer), &paper(ca), &provider()).expect("its key can be read")
    })
}

/// What lies where a peer says that its certificates are (RFC 7296 §3.6).
pub fn certificate_bundle(input: &[u8]) {
    for kind in [Kind::Certificate, Kind::Bundle] {
        let reference = Reference::new(kind, "http://example.org/", input, &provider());
        let (encoding, data) = reference.payload();
        assert_eq!(Reference::parse(encoding, &data).map(|again| again.payload()), Some((encoding, data)));
        if let Ok(payloads) = reference.open(input, &provider()) {
            assert!((1..=limits::PEER_CERTIFICATES).contains(&payloads.len()));
            assert!(payloads.iter().all(|(_, der)| holds(input, der)));
        }
    }
}

/// A file of certificates and keys, in any form, under a passphrase or not.
pub fn key_file(input: &[u8]) {
    let passphrase = Secret::from(&b"sesame"[..]);
    for passphrase in [None, Some(&passphrase)] {
        if let Ok(contents) = Contents::read(input, passphrase) {
            let lists = [&contents.certificates, &contents.crls, &contents.attributes, &contents.public_keys];
            assert!(lists.iter().any(|list| !list.is_empty()) || !contents.private_keys.is_empty());
        }
    }
}

fn holds(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    // What the target says of answers says nothing if none is taken.
    #[test]
    fn the_answer_in_the_corpus_is_taken() {
        let answer = include_bytes!("../corpus/ocsp-answer/good");
        assert!(enquiry().answer(answer, None, NOW, &provider()).is_ok());
        assert!(AttributeCertificate::parse(include_bytes!("../corpus/attribute-certificate/sales.ac")).is_ok());
        let file = include_bytes!("../corpus/key-file/all.p12");
        let contents = Contents::read(file, Some(&Secret::from(&b"sesame"[..]))).expect("its passphrase is this");
        assert_eq!((contents.certificates.len(), contents.private_keys.len()), (2, 1));
    }
}
