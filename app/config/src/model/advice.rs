//! What an operator should know of a configuration that is right, whichever way it came in.

use std::collections::BTreeSet;

use ravelin_types::transform::Transform;

use crate::model::keys::Auth;
use crate::model::since::unshared;
use crate::model::{Model, RemoteEntry};
use crate::spec::SecretKind;
use crate::value::algorithm::weaknesses;
use crate::value::did_you_mean;

/// Octets from which on a pre-shared key is not called short: with as many random ones nobody finds it by trying.
const LONG_ENOUGH: usize = 16;

impl Model {
    /// What an operator should know that was not so in the model before.
    pub fn advice_since(&self, before: &Model) -> Vec<String> {
        // Entries that both have say the same of both.
        let (said, now) = (before.advice_but_of(self), self.advice_but_of(before));
        now.difference(&said).cloned().collect()
    }

    /// A sentence for each pre-shared key that is short, and for each algorithm that is weak and somebody named: no default has
    /// one (ADR 0012).
    pub fn advice(&self) -> BTreeSet<String> {
        self.advice_but_of(&Model::new())
    }

    /// The same without what is said of entries that the other has too.
    fn advice_but_of(&self, other: &Model) -> BTreeSet<String> {
        let weak = self.algorithms(other).flat_map(|(whose, transforms)| {
            weaknesses(&transforms).into_iter().map(move |sentence| format!("{whose}: {sentence}"))
        });
        self.short_keys(other).chain(weak).chain(self.missing_pools()).collect()
    }

    /// Pools that a remote gives addresses of, and that nobody configured.
    fn missing_pools(&self) -> impl Iterator<Item = String> {
        let named = self
            .remotes
            .values()
            .flat_map(|entry| entry.spec.internal.pools.iter().map(|pool| (entry.spec.name.as_str(), pool.as_str())));
        named.filter(|(_, pool)| !self.pools.contains_key(*pool)).map(|(remote, pool)| {
            let known = did_you_mean(pool, self.pools.keys().map(String::as_str));
            format!("the remote {remote} gives nobody an address of the pool {pool}, which is not configured{known}")
        })
    }

    /// RFC 7296 §2.15: a pre-shared key should be as hard to guess as the strongest key that comes of it, since whoever has once
    /// been taken for a peer can try keys for as long as he likes (CVE-2018-5389).
    fn short_keys<'a>(&'a self, other: &'a Model) -> impl Iterator<Item = String> + 'a {
        let typed = self.remotes_but_of(other).filter_map(|entry| match &entry.auth {
            Auth::Psk(secret) => Some((format!("the pre-shared key of the remote {}", entry.spec.name), secret.len())),
            _ => None,
        });
        let loaded = unshared(&self.secrets, &other.secrets).map(|(_, secret)| secret);
        let loaded = loaded.filter(|secret| secret.kind == SecretKind::Ike);
        let loaded = loaded.map(|it| (format!("the pre-shared key {}", it.name), it.secret.len()));
        let short = typed.chain(loaded).filter(|(_, len)| (1..LONG_ENOUGH).contains(len));
        short.map(|(which, _)| {
            format!(
                "{which} has fewer than {LONG_ENOUGH} octets: whoever answers once in the place of a peer can try all such \
                 keys; take {LONG_ENOUGH} random ones or more (head -c 24 /dev/urandom | base64)"
            )
        })
    }

    /// The remotes whose entries the other does not share.
    fn remotes_but_of<'a>(&'a self, other: &'a Model) -> impl Iterator<Item = &'a RemoteEntry> {
        unshared(&self.remotes, &other.remotes).map(|(_, entry)| entry)
    }

    /// What remotes and policies may negotiate, and what SAs by hand have.
    fn algorithms<'a>(&'a self, other: &'a Model) -> impl Iterator<Item = (String, Vec<Transform>)> + 'a {
        let remotes = self.remotes_but_of(other).map(|entry| {
            let transforms = entry.spec.proposals.iter().flat_map(|proposal| proposal.transforms.iter().copied());
            (format!("the remote {}", entry.spec.name), transforms.collect())
        });
        let policies = self.policies.unshared(&other.policies).filter_map(|entry| {
            let esp = entry.spec.esp.as_ref()?;
            let ah = esp.ah.iter().map(|id| Transform::Integ(*id));
            let transforms = esp.proposals.iter().flat_map(|proposal| proposal.transforms.iter().copied());
            Some((format!("the policy {}", entry.spec.name), transforms.chain(ah).collect()))
        });
        let by_hand = self.keyed.values().filter_map(|keyed| {
            let spec = keyed.spec.as_ref()?;
            let encr = spec.esp.iter().map(|(_, _, (id, bits), _)| Transform::Encr(*id, *bits));
            let integ = spec.integ.iter().map(|(id, _)| Transform::Integ(*id));
            let ends = (keyed.policy.local.first()?, keyed.policy.remote.first()?);
            Some((format!("the SA for {} to {}", ends.0, ends.1), encr.chain(integ).collect()))
        });
        let scripts = self.setkey.algorithms().map(|(name, transforms)| (format!("the SA {name}"), transforms));
        remotes.chain(policies).chain(by_hand).chain(scripts)
    }
}
