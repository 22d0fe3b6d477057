//! Whether a certificate names who the peer says it is (RFC 4945 §3).

use alloc::string::ToString;

use der::Decode;
use ravelin_types::Identity;
use x509_cert::ext::pkix::name::GeneralName;

use crate::certificate::{AltName, Certificate};
use crate::fault::Fault;

/// Checks that the identity stands in the certificate: a distinguished name as its subject, anything else among the
/// names of its subject (RFC 4945 §3.1). No wildcard is followed, and no name is read out of the subject's CN. A
/// KEY_ID names the key, by the identifier that the authority gave it.
///
/// # Errors
/// [`Fault::WrongName`].
pub fn check(identity: &Identity, certificate: &Certificate) -> Result<(), Fault> {
    if matches(identity, certificate) {
        return Ok(());
    }
    Err(Fault::WrongName { identity: identity.to_string(), names: certificate.names() })
}

/// Whether a certificate has this among the names of its subject. Of a kind that is not compared, none is the same as another.
pub(crate) fn has(certificate: &Certificate, wanted: &AltName) -> bool {
    certificate.alt_names().iter().any(|name| same(name, wanted))
}

fn matches(identity: &Identity, certificate: &Certificate) -> bool {
    let named = |wanted: &AltName| has(certificate, wanted);
    match identity {
        Identity::Dn(dn) => !dn.is_empty() && (certificate.subject().is(dn) || named(&AltName::Dn(dn.clone()))),
        Identity::Fqdn(name) => named(&AltName::Dns(name.clone())),
        Identity::Rfc822(name) => named(&AltName::Email(name.clone())),
        Identity::Ipv4(address) => named(&AltName::Ip(address.octets().to_vec())),
        Identity::Ipv6(address) => named(&AltName::Ip(address.octets().to_vec())),
        Identity::GeneralName(der) => GeneralName::from_der(der).is_ok_and(|name| match AltName::from(&name) {
            AltName::Dn(dn) => certificate.subject().is(&dn) || named(&AltName::Dn(dn)),
            name => named(&name),
        }),
        Identity::KeyId(id) => !id.is_empty() && certificate.extensions().subject_key.as_ref() == Some(id),
        Identity::Null | Identity::Other { .. } => false,
    }
}

/// Who the owner of a certificate is, where nobody says so: the first of the names of its subject that is one of IKE's,
/// else its subject (RFC 5216 §5.2).
pub fn first(certificate: &Certificate) -> Option<Identity> {
    let named = certificate.alt_names().iter().find_map(|name| match name {
        AltName::Dns(name) => Some(Identity::Fqdn(name.clone())),
        AltName::Email(name) => Some(Identity::Rfc822(name.clone())),
        _ => None,
    });
    named.or_else(|| Some(Identity::Dn(certificate.subject().clone())).filter(|_| !certificate.subject().is_empty()))
}

fn same(name: &AltName, wanted: &AltName) -> bool {
    match (name, wanted) {
        // RFC 4945 §3.1.2, RFC 4945 §3.1.3: both without regard to case, and no pattern among them.
        (AltName::Dns(one), AltName::Dns(other)) => !one.contains('*') && one.eq_ignore_ascii_case(other),
        (AltName::Email(one), AltName::Email(other)) => one.contains('@') && one.eq_ignore_ascii_case(other),
        (AltName::Dn(one), AltName::Dn(other)) => one.is(other),
        (AltName::Ip(one), AltName::Ip(other)) => one == other,
        (AltName::Uri(one), AltName::Uri(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_mail_are_the_same_in_any_case_and_nothing_less_is() {
        let mail = |text: &str| AltName::Email(text.to_string());
        assert!(same(&mail("Joe@Example.org"), &mail("joe@example.ORG")));
        for (one, other) in
            [("joe@example.org", "jo@example.org"), ("example.org", "example.org"), ("*@a.org", "joe@a.org")]
        {
            assert!(!same(&mail(one), &mail(other)), "{one} {other}");
        }
    }
}
