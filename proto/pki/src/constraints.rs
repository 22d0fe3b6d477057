//! Name constraints (RFC 5280 §4.2.1.10): which names an authority permits below itself.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::certificate::{AltName, Certificate};
use crate::fault::Fault;
use crate::limits;

/// What the authorities of a path so far permit and exclude.
#[derive(Default)]
pub(crate) struct Constraints {
    /// One list for each authority that has one: a name must be within each.
    permitted: Vec<Vec<AltName>>,
    excluded: Vec<AltName>,
    entries: usize,
}

impl Constraints {
    /// Adds those of an authority.
    pub(crate) fn add(&mut self, authority: &Certificate) -> Result<(), Fault> {
        let extensions = authority.extensions();
        self.entries += extensions.permitted.len() + extensions.excluded.len();
        if self.entries > limits::CONSTRAINTS {
            return Err(Fault::TooMuch("name constraints"));
        }
        let bad = |base: &AltName| match base {
            // RFC 5280 §4.2.1.10: an address and a mask, which is a prefix (RFC 4632).
            AltName::Ip(bytes) => bytes.len() != 8 && bytes.len() != 32 || !is_mask(&bytes[bytes.len() / 2..]),
            // Syntax that no receiver agrees on permits nothing.
            AltName::Dns(base) => base.is_empty() || base.starts_with('.') || base.contains('*'),
            _ => false,
        };
        if extensions.permitted.iter().chain(&extensions.excluded).any(bad) {
            return Err(Fault::Malformed("a name constraint"));
        }
        if !extensions.permitted.is_empty() {
            self.permitted.push(extensions.permitted.clone());
        }
        self.excluded.extend_from_slice(&extensions.excluded);
        Ok(())
    }

    /// Whether all names of a certificate are permitted.
    pub(crate) fn check(&self, certificate: &Certificate) -> Result<(), Fault> {
        if self.entries == 0 {
            return Ok(());
        }
        let subject = certificate.subject();
        let subject_name = (!subject.is_empty()).then(|| AltName::Dn(subject.clone()));
        // RFC 5280 §4.2.1.10: addresses in the subject count where there is no other.
        let mails = match certificate.alt_names().iter().any(|name| matches!(name, AltName::Email(_))) {
            true => Vec::new(),
            false => subject.values(crate::oid::EMAIL).into_iter().map(AltName::Email).collect(),
        };
        for name in subject_name.iter().chain(&mails).chain(certificate.alt_names()) {
            if !self.permits(name) {
                return Err(Fault::NameNotPermitted(subject.to_string(), name.to_string()));
            }
        }
        Ok(())
    }

    fn permits(&self, name: &AltName) -> bool {
        let excluded = self.excluded.iter().any(|base| same_kind(base, name) && may_hold(base, name));
        let permitted = self.permitted.iter().all(|list| {
            let mut of_kind = list.iter().filter(|base| same_kind(base, name)).peekable();
            of_kind.peek().is_none() || of_kind.any(|base| holds(base, name))
        });
        permitted && !excluded
    }
}

fn same_kind(base: &AltName, name: &AltName) -> bool {
    match (base, name) {
        (AltName::Ip(base), AltName::Ip(name)) => base.len() == 2 * name.len() || ![4, 16].contains(&name.len()),
        (AltName::Other(one), AltName::Other(other)) => one == other,
        (one, other) => core::mem::discriminant(one) == core::mem::discriminant(other),
    }
}

/// Whether the name lies within the subtree. What is not understood is never permitted.
fn holds(base: &AltName, name: &AltName) -> bool {
    match (base, name) {
        (AltName::Dns(base), AltName::Dns(name)) => is_domain(name) && within_domain(name, base),
        (AltName::Email(base), AltName::Email(name)) => mail_within(name, base),
        (AltName::Uri(base), AltName::Uri(name)) => host_of(name).is_some_and(|host| host_within(&host, base)),
        (AltName::Dn(base), AltName::Dn(name)) => name.is_within(base),
        (AltName::Ip(base), AltName::Ip(name)) => {
            let (address, mask) = base.split_at(base.len() / 2);
            name.len() == address.len()
                && name.iter().zip(address).zip(mask).all(|((name, address), mask)| name & mask == address & mask)
        }
        _ => false,
    }
}

/// Whether the name, or one that it stands for, may lie within the subtree. What is not understood is always excluded.
fn may_hold(base: &AltName, name: &AltName) -> bool {
    match (base, name) {
        (AltName::Dns(base), AltName::Dns(name)) => {
            // A wildcard stands for one label: `*.example.org` for the base `a.example.org` as well.
            let wild = name.strip_prefix("*.").is_some_and(|rest| {
                within_domain(base, rest) && base.matches('.').count() == rest.matches('.').count() + 1
            });
            !is_domain(name) || wild || within_domain(name, base)
        }
        (AltName::Email(base), AltName::Email(name)) => !name.contains('@') || mail_within(name, base),
        (AltName::Uri(base), AltName::Uri(name)) => host_of(name).is_none_or(|host| host_within(&host, base)),
        (AltName::Other(_), AltName::Other(_)) => true,
        (AltName::Ip(_), AltName::Ip(name)) if ![4, 16].contains(&name.len()) => true,
        _ => holds(base, name),
    }
}

fn is_domain(name: &str) -> bool {
    let labels = name.strip_prefix("*.").unwrap_or(name);
    !labels.is_empty() && labels.split('.').all(|label| !label.is_empty() && !label.contains('*'))
}

fn is_mask(mask: &[u8]) -> bool {
    let mut zeros = false;
    mask.iter().all(|byte| {
        let fits = if zeros { *byte == 0 } else { byte.leading_ones() + byte.trailing_zeros().min(8) >= 8 };
        zeros |= *byte != 0xff;
        fits
    })
}

/// `base` itself, or with labels in front of it.
fn within_domain(name: &str, base: &str) -> bool {
    let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
    name == base || name.strip_suffix(&base).is_some_and(|front| front.ends_with('.'))
}

/// RFC 5280 §4.2.1.10: one address, all of a host, or with a leading dot all below a domain.
fn mail_within(name: &str, base: &str) -> bool {
    let Some((user, host)) = name.rsplit_once('@') else { return false };
    match base.rsplit_once('@') {
        Some((base_user, base_host)) => user == base_user && host.eq_ignore_ascii_case(base_host),
        None => host_within(host, base),
    }
}

/// A host exactly, or with a leading dot all below a domain.
fn host_within(host: &str, base: &str) -> bool {
    match base.strip_prefix('.') {
        Some(domain) => !host.eq_ignore_ascii_case(domain) && within_domain(host, domain),
        None => host.eq_ignore_ascii_case(base),
    }
}

/// The host of a URI; one without a host, or with an address for it, is within nothing.
fn host_of(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let is_name = !host.is_empty() && !host.starts_with('[') && host.parse::<core::net::Ipv4Addr>().is_err();
    is_name.then(|| host.to_ascii_lowercase())
}
