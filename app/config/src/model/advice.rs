//! What an operator should know of a configuration that is right.

use std::collections::BTreeSet;

use crate::model::Model;
use crate::model::remote::Auth;
use crate::spec::SecretKind;

/// Octets from which on a pre-shared key is not called short: with as many random ones nobody finds it by trying.
const LONG_ENOUGH: usize = 16;

impl Model {
    /// What an operator should know that was not so in the model before.
    pub fn advice_since(&self, before: &Model) -> Vec<String> {
        self.advice().difference(&before.advice()).cloned().collect()
    }

    /// A sentence for each pre-shared key that is short. RFC 7296 §2.15: such a key should be as hard to guess as the strongest
    /// key that comes of it, since whoever has once been taken for a peer can try keys for as long as he likes (CVE-2018-5389).
    pub fn advice(&self) -> BTreeSet<String> {
        let typed = self.remotes.values().filter_map(|entry| match &entry.auth {
            Auth::Psk(secret) => Some((format!("the pre-shared key of the remote {}", entry.spec.name), secret.len())),
            _ => None,
        });
        let loaded = self.secrets.values().filter(|secret| secret.kind == SecretKind::Ike);
        let loaded = loaded.map(|it| (format!("the pre-shared key {}", it.name), it.secret.len()));
        let short = typed.chain(loaded).filter(|(_, len)| (1..LONG_ENOUGH).contains(len));
        short
            .map(|(which, _)| {
                format!(
                    "{which} has fewer than {LONG_ENOUGH} octets: whoever answers once in the place of a peer can try all such \
                     keys; take {LONG_ENOUGH} random ones or more (head -c 24 /dev/urandom | base64)"
                )
            })
            .collect()
    }
}
