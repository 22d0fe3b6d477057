//! What is offered of the proposals in a configuration, made once for each list of them.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;
use ravelin_types::proposal::Proposal;

use super::offer;
use crate::config::{Config, IkeVersion};
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use crate::context::Core;

/// By the proposals of which they are made. Many remotes and policies have the same.
#[derive(Default)]
pub(crate) struct Offers {
    with_ke: BTreeMap<Vec<Proposal>, Arc<[Proposal]>>,
    /// Of Child SAs that get their keys from the IKE SA.
    without_ke: BTreeMap<Vec<Proposal>, Arc<[Proposal]>>,
}

impl Offers {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config, crypto: &CryptoProvider) -> Self {
        let mut offers = Offers::default();
        for remote in config.remotes.iter().filter(|remote| remote.version == IkeVersion::V2) {
            offers.add(&remote.proposals, true, crypto);
        }
        for policy in &config.policies {
            offers.add(&policy.proposals, true, crypto);
            offers.add(&policy.proposals, false, crypto);
        }
        offers
    }

    /// Whether anything is left of these proposals, which are of the configuration.
    pub(crate) fn has(&self, configured: &[Proposal]) -> bool {
        self.with_ke.get(configured).is_some_and(|made| !made.is_empty())
    }

    fn add(&mut self, configured: &[Proposal], with_ke: bool, crypto: &CryptoProvider) {
        let made = if with_ke { &mut self.with_ke } else { &mut self.without_ke };
        if !made.contains_key(configured) {
            made.insert(configured.to_vec(), offer(configured, with_ke, crypto).into());
        }
    }
}

#[cfg(any(feature = "ikev1", feature = "ikev2"))]
impl Core {
    /// What we offer of these proposals, as [`offer`] makes it.
    pub(crate) fn offer(&self, configured: &[Proposal], with_ke: bool) -> Arc<[Proposal]> {
        let made = if with_ke { &self.offers.with_ke } else { &self.offers.without_ke };
        // An SA may be older than the configuration.
        made.get(configured).cloned().unwrap_or_else(|| offer(configured, with_ke, &self.crypto).into())
    }
}
