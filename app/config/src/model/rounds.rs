//! What the two of a remote prove after their first proof: with the files that were named, else with what was loaded.

use std::path::Path;
use std::sync::Arc;

use ravelin_ike::config::{LocalAuth, OwnRound, PeerRound, RemoteAuth, Rounds};

use super::keys::{EapKeys, RoundKeys};
use super::remote::RemoteEntry;
use super::{Model, ModelError};
use crate::eap;
use crate::secret;
use crate::spec::{OwnBy, OwnRoundSpec, PeerBy, PeerRoundSpec, RoundsSpec};

impl Model {
    /// Reads the files of the rounds.
    pub(super) fn round_keys(&self, rounds: &RoundsSpec, directory: &Path) -> Result<RoundKeys, ModelError> {
        let key = |file: &Path| secret::read(&directory.join(file)).map(Some).map_err(ModelError::Secret);
        let mut keys = RoundKeys::default();
        for round in &rounds.own {
            keys.own.push(match &round.by {
                OwnBy::Psk(Some(file)) | OwnBy::Eap(_, Some(file)) => {
                    EapKeys { password: key(file)?, ..EapKeys::default() }
                }
                OwnBy::Certificates(files) => {
                    let own = self.database.credential(files, directory).map_err(ModelError::Paper)?;
                    EapKeys { own: Some(Arc::new(own)), ..EapKeys::default() }
                }
                OwnBy::Psk(None) | OwnBy::Signature(_) | OwnBy::Eap(_, None) => EapKeys::default(),
            });
        }
        for round in &rounds.peer {
            keys.peer.push(match &round.by {
                PeerBy::Psk(Some(file)) => EapKeys { password: key(file)?, ..EapKeys::default() },
                PeerBy::Eap(_, Some(file)) => {
                    let accounts = eap::read_accounts(&directory.join(file)).map_err(ModelError::Accounts)?;
                    EapKeys { accounts: Some(accounts), ..EapKeys::default() }
                }
                PeerBy::Psk(None) | PeerBy::Authorities | PeerBy::Signature(_) | PeerBy::Eap(_, None) => {
                    EapKeys::default()
                }
            });
        }
        Ok(keys)
    }
}

impl RemoteEntry {
    /// The further proofs. Pre-shared keys that were loaded are looked for when the two are known.
    pub(super) fn rounds(&self, model: &Model) -> Rounds {
        let secret = |keys: &EapKeys| keys.password.clone().unwrap_or_default();
        let own = |(round, keys): (&OwnRoundSpec, &EapKeys)| OwnRound {
            id: round.id.clone(),
            auth: match (&round.by, &keys.own) {
                (OwnBy::Eap(eap, _), _) => self.eap_auth(eap, keys, model).0,
                (OwnBy::Signature(signer), _) => {
                    LocalAuth::Signature(Arc::new(model.database.credential_of(signer, &round.id)))
                }
                (OwnBy::Certificates(_), Some(own)) => LocalAuth::Signature(own.clone()),
                (OwnBy::Psk(_) | OwnBy::Certificates(_), _) => LocalAuth::Psk(secret(keys)),
            },
        };
        let peer = |(round, keys): (&PeerRoundSpec, &EapKeys)| PeerRound {
            peers: round.peers.clone(),
            auth: match &round.by {
                PeerBy::Psk(_) => RemoteAuth::Psk(secret(keys)),
                PeerBy::Signature(believed) => RemoteAuth::Signature(Arc::new(model.database.trust_of(believed))),
                PeerBy::Authorities => RemoteAuth::Signature(Arc::new(model.database.believe(Vec::new()))),
                PeerBy::Eap(eap, _) => self.eap_auth(eap, keys, model).1,
            },
        };
        let (rounds, extensions) = (&self.spec.rounds, &self.spec.extensions);
        let placed = |round: OwnRound| OwnRound { auth: model.placed(round.auth, extensions), ..round };
        let asked = |round: PeerRound| PeerRound { auth: model.asked(round.auth, extensions), ..round };
        Rounds::new(
            rounds.own.iter().zip(&self.rounds.own).map(own).map(placed).collect(),
            rounds.peer.iter().zip(&self.rounds.peer).map(peer).map(asked).collect(),
        )
    }
}
