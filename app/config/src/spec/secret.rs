//! Secrets that were loaded, not named by a file.

use ravelin_ike::config::IdPattern;
use ravelin_types::{Identity, Secret};

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A pre-shared key of IKE.
    Ike,
    /// A password, for EAP and XAuth.
    Password,
    /// A post-quantum pre-shared key of IKE (RFC 8784); its owners are its names.
    Ppk,
}

/// A secret and whom it belongs to.
#[derive(Clone, Debug)]
pub struct SharedSecret {
    /// The name under which it is replaced and unloaded.
    pub name: String,
    /// What it is for.
    pub kind: SecretKind,
    /// Whom it belongs to; nobody: everybody. Only keys of IKE belong to many at once.
    pub owners: Vec<IdPattern>,
    /// The secret.
    pub secret: Secret,
}

impl SharedSecret {
    /// Whether both are the same. Nobody but the operator, who has both, sees how long this takes.
    pub fn is(&self, other: &SharedSecret) -> bool {
        (&self.name, self.kind, &self.owners) == (&other.name, other.kind, &other.owners)
            && self.secret.expose() == other.secret.expose()
    }

    /// The owners that are one each: of a password or a post-quantum key all.
    pub fn names(&self) -> impl Iterator<Item = &Identity> {
        self.owners.iter().filter_map(|owner| if let IdPattern::Exactly(id) = owner { Some(id) } else { None })
    }
}
