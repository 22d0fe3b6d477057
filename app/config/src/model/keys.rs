//! What the two sides of a remote prove themselves with, as it was read from files.

use std::sync::Arc;

use ravelin_eap::Accounts;
use ravelin_ike::config::OwnedKey;
use ravelin_pki::Certificate;
use ravelin_pki::auth::Credential;
use ravelin_types::Secret;

/// The keys of a remote.
#[derive(Clone, Debug)]
pub(super) enum Auth {
    /// One for both sides; an empty one where it is sought among those that were loaded.
    Psk(Secret),
    /// Those of the logins of accounts, each its own.
    Logins(Arc<[OwnedKey]>),
    /// Ours, if we sign, and the certificates that the peer must use, if there are such.
    Signature(Option<Arc<Credential>>, Vec<Certificate>),
    /// One side is a user of EAP.
    Eap(EapKeys),
}

/// The keys of a remote of which one side is a user of EAP. What no file was named for is sought among what was loaded.
#[derive(Clone, Debug, Default)]
pub(super) struct EapKeys {
    /// Our password as a user, or the secret of the RADIUS servers.
    pub(super) password: Option<Secret>,
    /// The passwords of users.
    pub(super) accounts: Option<Accounts>,
    /// Our certificate, for AUTH and for methods over TLS.
    pub(super) own: Option<Arc<Credential>>,
    /// The certificates that the peer must use.
    pub(super) pinned: Vec<Certificate>,
}

/// What was in the files of the rounds, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundKeys {
    pub(super) own: Vec<EapKeys>,
    pub(super) peer: Vec<EapKeys>,
}
