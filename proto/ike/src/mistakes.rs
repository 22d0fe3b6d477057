//! What is wrong in a configuration for good, and can be told before anybody negotiates.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ravelin_crypto::CryptoProvider;
use ravelin_types::policy::{Action, PolicyId};
use ravelin_types::proposal::{Proposal, ProtocolId};

use crate::auth::{LocalAuth, RemoteAuth};
use crate::config::{ChildPolicy, Config, IkeVersion, Remote, V1, Xauth};
use crate::negotiate::Offers;

impl Config {
    /// Everything in it that can never work with this provider. An endpoint takes such a configuration all the same:
    /// the entries concerned fail when they are used.
    pub fn mistakes(&self, crypto: &CryptoProvider) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let judge = Judge { offers: Offers::of(self, crypto), crypto };
        let (mut entries, mut initiating, mut numbers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for remote in &self.remotes {
            let name = remote.name.as_str();
            let is_first = entries.insert((name, remote.version.number()));
            let is_alone = !remote.initiate || initiating.insert(name);
            if !remote.version.is_built_in() {
                mistakes.push(Mistake::NoVersion(name.into()));
                continue;
            }
            if !is_first {
                mistakes.push(Mistake::DuplicateRemote(name.into()));
            } else if !is_alone {
                mistakes.push(Mistake::TwoInitiate(name.into()));
            }
            mistakes.extend(remote.mistakes(&judge));
        }
        for child in &self.policies {
            if !numbers.insert(child.policy.id) {
                mistakes.push(Mistake::DuplicatePolicy(child.policy.id));
            }
            let [v1, v2] = [1, 2].map(|version| entries.contains(&(child.remote.as_str(), version)));
            if !v1 && !v2 {
                mistakes.push(Mistake::NoRemote(child.policy.name.clone(), child.remote.clone()));
            }
            mistakes.extend(child.mistakes(v2, &judge));
        }
        mistakes
    }
}

impl Remote {
    /// What is wrong with it alone.
    fn mistakes(&self, judge: &Judge<'_>) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let name = || self.name.clone();
        // Keys of a keyring may come later.
        let (ours, theirs) = self.proves();
        let can = (!ours || self.own_proofs().all(LocalAuth::is_usable))
            && (!theirs || self.peer_proofs().all(RemoteAuth::is_usable));
        if self.open.keys.is_none() && !can {
            mistakes.push(Mistake::NoSecret(name()));
        }
        if let Some(why) = self.auth_mistake() {
            mistakes.push(Mistake::Authentication(name(), why));
        }
        if self.local.is_some_and(|local| local.is_ipv4() != self.remote.is_ipv4()) {
            mistakes.push(Mistake::Families(name()));
        }
        let has_proposal = match self.version {
            #[cfg(feature = "ikev1")]
            IkeVersion::V1(_) => crate::v1::offer::usable(&self.proposals, judge.crypto),
            #[cfg(not(feature = "ikev1"))]
            IkeVersion::V1(_) => false,
            IkeVersion::V2 => judge.is_usable(&self.proposals, ProtocolId::IKE),
        };
        if !has_proposal {
            mistakes.push(Mistake::NoIkeProposal(name()));
        }
        mistakes
    }

    /// Whether we and the peer prove something before a login: in hybrid mode the user does not.
    fn proves(&self) -> (bool, bool) {
        match &self.version {
            IkeVersion::V1(V1 { hybrid: true, xauth, .. }) => {
                let user = matches!(xauth, Some(Xauth::Login { .. }));
                (!user, user)
            }
            _ => (true, true),
        }
    }
}

impl ChildPolicy {
    /// What is wrong with it alone, where its remote is of IKEv2 or not.
    fn mistakes(&self, with_v2: bool, judge: &Judge<'_>) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let name = || self.policy.name.clone();
        let Action::Protect(protection) = &self.policy.action else {
            mistakes.push(Mistake::NotProtected(name()));
            return mistakes;
        };
        if protection.local.is_some_and(|l| l.is_ipv4() != protection.remote.is_ipv4()) {
            mistakes.push(Mistake::PolicyFamilies(name()));
        }
        let protocol = self.proposals.first().map_or(ProtocolId::ESP, |proposal| proposal.protocol);
        let known = [ProtocolId::ESP, ProtocolId::AH].contains(&protocol);
        if !known || !judge.is_usable(&self.proposals, protocol) {
            mistakes.push(Mistake::NoChildProposal(name()));
        }
        if !self.ah.is_empty() {
            if with_v2 {
                mistakes.push(Mistake::AhAndEsp(name(), self.remote.clone()));
            }
            if protocol != ProtocolId::ESP || !self.ah.iter().any(|ah| judge.crypto.integ(*ah).is_some()) {
                mistakes.push(Mistake::NoChildProposal(name()));
            }
        }
        mistakes
    }
}

/// What entries are judged by.
struct Judge<'a> {
    offers: Offers,
    crypto: &'a CryptoProvider,
}

impl Judge<'_> {
    fn is_usable(&self, proposals: &[Proposal], protocol: ProtocolId) -> bool {
        proposals.iter().all(|proposal| proposal.protocol == protocol) && self.offers.has(proposals)
    }
}

/// Said where a version of IKE is wanted of a program that was built without it.
pub(crate) const NO_VERSION: &str = if cfg!(feature = "ikev1") {
    "this program was built without IKEv2; use IKEv1, or build with ikev2"
} else if cfg!(feature = "ikev2") {
    "this program was built without IKEv1; use IKEv2, or build with ikev1"
} else {
    "this program was built without IKE; key the policy by hand, or build with ikev1 or ikev2"
};

/// Something in a configuration that can never work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Two remotes have this name and version.
    DuplicateRemote(String),
    /// The remote wants a version of IKE that was not built in.
    NoVersion(String),
    /// Both versions of the remote are to be initiated.
    TwoInitiate(String),
    /// Two policies have this number.
    DuplicatePolicy(PolicyId),
    /// The remote has no pre-shared key, or nobody whose certificate would be trusted.
    NoSecret(String),
    /// The two sides cannot authenticate so.
    Authentication(String, &'static str),
    /// The two addresses of the remote are not of one family.
    Families(String),
    /// The two ends of the policy are not of one family.
    PolicyFamilies(String),
    /// None of the remote's proposals is complete and known to the crypto provider.
    NoIkeProposal(String),
    /// None of the policy's proposals is complete and known to the crypto provider.
    NoChildProposal(String),
    /// The policy wants AH around ESP, and the remote is of IKEv2.
    AhAndEsp(String, String),
    /// The policy names a remote that is not there.
    NoRemote(String, String),
    /// The policy does not ask for protection, so there is nothing to negotiate.
    NotProtected(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::DuplicateRemote(name) => write!(f, "there are two remotes with the name {name}"),
            Mistake::NoVersion(name) => write!(f, "remote {name} has no use: {NO_VERSION}"),
            Mistake::TwoInitiate(name) => {
                write!(f, "remote {name} is to be initiated with both versions of IKE; only one can")
            }
            Mistake::DuplicatePolicy(id) => write!(f, "there are two policies with the number {}", id.0),
            Mistake::NoSecret(name) => {
                write!(f, "remote {name} has no pre-shared key, and no authority, certificate or key to trust")
            }
            Mistake::Authentication(name, why) => write!(f, "remote {name}: {why}"),
            Mistake::Families(name) => write!(f, "remote {name} has an IPv4 and an IPv6 address"),
            Mistake::PolicyFamilies(policy) => write!(f, "policy {policy} has an IPv4 and an IPv6 end"),
            Mistake::NoIkeProposal(name) => write!(
                f,
                "remote {name} has no usable IKE proposal: it takes a cipher, an integrity algorithm unless the cipher \
                 authenticates, a pseudorandom function and a key exchange method that are built in"
            ),
            Mistake::NoChildProposal(policy) => write!(
                f,
                "policy {policy} has no usable proposal: ESP takes a cipher, and an integrity algorithm unless the cipher \
                 authenticates, AH an integrity algorithm, that are built in"
            ),
            Mistake::AhAndEsp(policy, name) => write!(
                f,
                "policy {policy} wants AH and ESP together, and remote {name} is of IKEv2, which negotiates one protocol for an \
                 SA (RFC 7296 §3.3): use ESP, or IKEv1 (-z 1), or keys by hand (ipsec addsa)"
            ),
            Mistake::NoRemote(policy, name) => write!(f, "policy {policy} names the remote {name}, which is not there"),
            Mistake::NotProtected(policy) => write!(f, "policy {policy} does not ask for protection"),
        }
    }
}

impl core::error::Error for Mistake {}
