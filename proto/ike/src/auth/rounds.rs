//! Further proofs of either side after its first (RFC 4739): as machine and as user, to an operator and to his customer.
//!
//! A remote in a round is the remote with the proofs of that round in the place of the first ones: whatever works with its
//! identities and methods knows of no rounds.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_types::Identity;

use super::{LocalAuth, RemoteAuth};
use crate::config::Remote;
use crate::limits;
use crate::open::IdPattern;

/// What each side proves after its first proof, in this order; by default nothing. Of IKEv2.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    /// What we prove.
    pub own: Vec<OwnRound>,
    /// What the peer must prove: it is taken for the peer of this remote when it has proved all of it.
    pub peer: Vec<PeerRound>,
    /// Whether one is over.
    pub(crate) begun: bool,
    /// The user that an earlier round proved the peer to be.
    pub(crate) user: Option<Identity>,
}

/// A further proof of ours.
#[derive(Clone, Debug)]
pub struct OwnRound {
    /// Who we say we are.
    pub id: Identity,
    /// How we prove it.
    pub auth: LocalAuth,
}

/// A further proof of the peer.
#[derive(Clone, Debug)]
pub struct PeerRound {
    /// Whom we take.
    pub peers: IdPattern,
    /// How it must prove it.
    pub auth: RemoteAuth,
}

impl Rounds {
    /// What is configured.
    pub fn new(own: Vec<OwnRound>, peer: Vec<PeerRound>) -> Self {
        Rounds { own, peer, begun: false, user: None }
    }

    /// Whether a side has more to prove.
    pub(crate) fn are_due(&self) -> bool {
        !self.own.is_empty() || !self.peer.is_empty()
    }

    /// Whether there is more than one proof of each side.
    pub(crate) fn are_used(&self) -> bool {
        self.begun || self.are_due()
    }
}

impl Remote {
    /// All that we prove, from the round in which we are.
    pub(crate) fn own_proofs(&self) -> impl Iterator<Item = &LocalAuth> {
        core::iter::once(&self.local_auth).chain(self.rounds.own.iter().map(|round| &round.auth))
    }

    /// All that the peer proves, likewise.
    pub(crate) fn peer_proofs(&self) -> impl Iterator<Item = &RemoteAuth> {
        core::iter::once(&self.remote_auth).chain(self.rounds.peer.iter().map(|round| &round.auth))
    }

    /// The remote in the next round of these sides; a side without one stays where it is.
    pub(crate) fn next_round(self: &Arc<Self>, own: bool, peer: bool) -> Arc<Remote> {
        let mut next = Remote::clone(self);
        next.rounds.begun = true;
        if own && !next.rounds.own.is_empty() {
            let round = next.rounds.own.remove(0);
            (next.local_id, next.local_auth, next.open.own_address) = (round.id, round.auth, false);
        }
        if peer && !next.rounds.peer.is_empty() {
            if matches!(next.remote_auth, RemoteAuth::Eap(_)) {
                next.rounds.user = Some(next.remote_id.clone());
            }
            let round = next.rounds.peer.remove(0);
            (next.remote_auth, next.open.peers) = (round.auth, Some(round.peers));
        }
        Arc::new(next)
    }

    /// Why the rounds can never work.
    pub(super) fn rounds_mistake(&self) -> Option<&'static str> {
        if !self.rounds.are_due() {
            return None;
        }
        let (own_eap, peer_eap) = (
            self.own_proofs().any(|auth| matches!(auth, LocalAuth::Eap(_))),
            self.peer_proofs().any(|auth| matches!(auth, RemoteAuth::Eap(_))),
        );
        let null = self.own_proofs().any(|auth| matches!(auth, LocalAuth::Null))
            || self.peer_proofs().any(|auth| matches!(auth, RemoteAuth::Null));
        match () {
            () if self.version.number() != 2 => Some("more than one proof of a side is of IKEv2"),
            () if self.rounds.own.len().max(self.rounds.peer.len()) >= limits::PROOFS => {
                Some("there are too many proofs of one side")
            }
            () if null => Some("who proves nothing has no other proof either"),
            () if own_eap && peer_eap => Some("only one side can be a user of EAP where there is more than one proof"),
            () if own_eap && self.accept => Some("only who initiates can prove himself by EAP, so it cannot accept"),
            () if peer_eap && self.initiate => {
                Some("only who initiates can prove himself by EAP, so it cannot be initiated")
            }
            () => None,
        }
    }

    /// What the peer must prove, for a report.
    pub(crate) fn proofs_words(&self) -> String {
        let words: Vec<String> = self.peer_proofs().map(|auth| auth.words(&self.name)).collect();
        words.join(", then ")
    }
}
