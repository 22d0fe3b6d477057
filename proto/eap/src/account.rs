//! Users: their names as EAP carries them, and their passwords.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::{Identity, Secret};

use crate::limits;

/// A password and whose it is; without owners, everybody's.
#[derive(Clone, Debug)]
pub struct Account {
    /// The names of the user.
    pub owners: Vec<Identity>,
    /// The password, in UTF-8.
    pub password: Secret,
}

/// All passwords.
#[derive(Clone, Debug, Default)]
pub struct Accounts(pub Arc<[Account]>);

impl Accounts {
    /// The password of a user, by his identity.
    pub fn of(&self, identity: &Identity) -> Option<&Secret> {
        self.password(&user(identity))
    }

    /// The password of a user, by the octets of his name: one with this owner before one that is everybody's.
    pub fn password(&self, user: &[u8]) -> Option<&Secret> {
        self.owned(user).or_else(|| self.anybody()).filter(|password| password.len() <= limits::PASSWORD)
    }

    /// The secret of the SIM of a user, by the octets of his name: that of the name, of the name without its realm, or of the
    /// IMSI in it (RFC 4187 §4.1.1.6), before one that is everybody's.
    pub(crate) fn sim(&self, user: &[u8]) -> Option<&Secret> {
        let bare = user.split(|octet| *octet == b'@').next().unwrap_or_default();
        let imsi = bare.get(1..).filter(|_| bare.starts_with(b"0") || bare.starts_with(b"1") || bare.starts_with(b"6"));
        let found = self.owned(user).or_else(|| self.owned(bare)).or_else(|| self.owned(imsi?));
        found.or_else(|| self.anybody())
    }

    fn owned(&self, user: &[u8]) -> Option<&Secret> {
        let owned = |account: &&Account| account.owners.iter().any(|owner| names(owner, user));
        self.0.iter().find(owned).map(|account| &account.password)
    }

    fn anybody(&self) -> Option<&Secret> {
        self.0.iter().find(|account| account.owners.is_empty()).map(|account| &account.password)
    }
}

/// Whether a name of the configuration and the octets of an EAP identity are the same user. EAP has no types of
/// identities, so what the configuration took the name for does not matter.
fn names(owner: &Identity, user: &[u8]) -> bool {
    *owner == identity(user) || owner.data() == user
}

/// An EAP identity as an identity of IKE, under which the authenticated user is known from then on: an address, a
/// distinguished name, a name with `@`, another name, or octets.
pub fn identity(user: &[u8]) -> Identity {
    let Ok(text) = core::str::from_utf8(user) else { return Identity::KeyId(user.to_vec()) };
    if let Ok(address) = text.parse::<IpAddr>() {
        return address.into();
    }
    let plain = !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if let Some(dn) = Some(text).filter(|text| text.contains('=')).and_then(|text| text.parse().ok()) {
        return Identity::Dn(dn);
    }
    match (plain, text.contains('@')) {
        (true, true) => Identity::Rfc822(String::from(text)),
        (true, false) => Identity::Fqdn(String::from(text)),
        (false, _) => Identity::KeyId(user.to_vec()),
    }
}

/// An identity of IKE as an EAP identity: text as it is, addresses in their written form.
pub(crate) fn user(identity: &Identity) -> Vec<u8> {
    match identity {
        Identity::Ipv4(address) => alloc::format!("{address}").into_bytes(),
        Identity::Ipv6(address) => alloc::format!("{address}").into_bytes(),
        Identity::Dn(dn) => alloc::format!("{dn}").into_bytes(),
        other => other.data(),
    }
}

/// Whether a user says nothing but whose he is (RFC 7542 §2.4, RFC 9190 §2.1.8): `@example.org`, `anonymous`.
pub(crate) fn is_anonymous(user: &[u8]) -> bool {
    let name = user.split(|octet| *octet == b'@').next().unwrap_or_default();
    name.is_empty() || name.eq_ignore_ascii_case(b"anonymous")
}

/// A user's name without a domain of Windows in front: `DOMAIN\user` (RFC 2759 §4).
pub(crate) fn without_domain(user: &[u8]) -> &[u8] {
    user.iter().rposition(|octet| *octet == b'\\').and_then(|at| user.get(at + 1..)).unwrap_or(user)
}
