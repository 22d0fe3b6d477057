//! What goes with proofs by certificates beside them, by what a remote asks for and what is known of the certificates by now.

use std::sync::Arc;

use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_pki::auth::{Credential, Trust};

use super::Model;
use crate::spec::ExtensionSpec;

impl Model {
    /// Our proof, with where our certificates lie, and who answers for them.
    pub(super) fn placed(&self, auth: LocalAuth, extensions: &ExtensionSpec) -> LocalAuth {
        let LocalAuth::Signature(credential) = auth else { return auth };
        let placed = self.database.placed(&credential);
        let responders = if extensions.ocsp.answers() { placed.responders } else { Vec::new() };
        LocalAuth::Signature(Arc::new(Credential { responders, ..placed }))
    }

    /// The peer's, with what it is asked for beside it, and where its certificates are looked up.
    pub(super) fn asked(&self, auth: RemoteAuth, extensions: &ExtensionSpec) -> RemoteAuth {
        let RemoteAuth::Signature(trust) = auth else { return auth };
        let (asks_status, lookup) = (extensions.ocsp.asks(), extensions.hash_and_url.clone());
        RemoteAuth::Signature(Arc::new(Trust { asks_status, lookup, ..Trust::clone(&trust) }))
    }
}
