//! What the two of a remote prove after their first proof (RFC 4739).

use std::path::PathBuf;

use ravelin_ike::config::IdPattern;
use ravelin_types::Identity;

use super::EapSpec;
use crate::papers::{Believed, Signer};

/// Further proofs of either side, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundsSpec {
    /// Ours.
    pub own: Vec<OwnRoundSpec>,
    /// Those of the peer.
    pub peer: Vec<PeerRoundSpec>,
}

/// A further proof of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRoundSpec {
    /// Who we say we are.
    pub id: Identity,
    /// How we prove it.
    pub by: OwnBy,
}

/// How we prove who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnBy {
    /// By the pre-shared key in this file, or among the secrets that were loaded.
    Psk(Option<PathBuf>),
    /// By a signature, with what was loaded.
    Signature(Signer),
    /// By a signature, with the certificates in these files, our own first.
    Certificates(Vec<PathBuf>),
    /// As a user, with the password in this file, or among the secrets that were loaded.
    Eap(EapSpec, Option<PathBuf>),
}

/// A further proof of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRoundSpec {
    /// Whom we take.
    pub peers: IdPattern,
    /// How it must prove it.
    pub by: PeerBy,
}

/// How the peer proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerBy {
    /// By the pre-shared key in this file, or among the secrets that were loaded.
    Psk(Option<PathBuf>),
    /// By a signature, with what was loaded.
    Signature(Believed),
    /// By a signature, and any authority that is known here.
    Authorities,
    /// As a user, with the passwords in this file, or among the secrets that were loaded.
    Eap(EapSpec, Option<PathBuf>),
}

impl RoundsSpec {
    /// The files of its keys, certificates and passwords.
    pub(crate) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let own = self.own.iter_mut().flat_map(|round| match &mut round.by {
            OwnBy::Psk(file) | OwnBy::Eap(_, file) => file.as_mut_slice(),
            OwnBy::Certificates(files) => files,
            OwnBy::Signature(_) => &mut [],
        });
        let peer = self.peer.iter_mut().filter_map(|round| match &mut round.by {
            PeerBy::Psk(file) | PeerBy::Eap(_, file) => file.as_mut(),
            PeerBy::Signature(_) | PeerBy::Authorities => None,
        });
        own.chain(peer)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.peer.is_empty()
    }

    /// Whether we may begin, and whether we may answer: a user of EAP begins.
    pub fn roles(&self) -> (bool, bool) {
        let user = self.own.iter().any(|round| matches!(round.by, OwnBy::Eap(..)));
        let users = self.peer.iter().any(|round| matches!(round.by, PeerBy::Eap(..)));
        (!users, !user)
    }

    /// Whether one of them takes a pre-shared key that was loaded.
    pub fn have_psk(&self) -> bool {
        let own = self.own.iter().any(|round| round.by == OwnBy::Psk(None));
        own || self.peer.iter().any(|round| round.by == PeerBy::Psk(None))
    }
}
