//! Who the two of a remote say they are.

use ravelin_ike::config::IdPattern;
use ravelin_types::Identity;

use super::RemoteArgs;
use crate::command::Conflict;
use crate::spec::{NullSides, SignatureSpec};
use crate::value::host::Host;
use crate::value::identity;
use crate::value::who::{IdWord, Who};

/// This host's name, that of the remote, and which others of it are accepted.
pub(super) struct Names {
    pub own: Identity,
    pub peer: Identity,
    pub peers: Option<IdPattern>,
}

impl RemoteArgs {
    /// Who each is, where the remote is at `endpoint`.
    pub(super) fn names(
        &self,
        endpoint: &Host,
        null: NullSides,
        signature: Option<&SignatureSpec>,
    ) -> Result<Names, Conflict> {
        for (word, flag) in [(&self.own_id, ('g', "own-id")), (&self.peer_id, ('f', "peer-id"))] {
            if signature.is_none() && matches!(word, Some(IdWord::Subject)) {
                let why = "asn1dn: without a name is that of a certificate, which goes with -m RSASIG";
                return Err(Conflict::at(flag, why));
            }
        }
        let (peer, peers) = match &self.peer_id {
            Some(IdWord::Given(id)) => (id.clone(), None),
            Some(IdWord::Like(pattern)) => (identity::of(endpoint), Some(pattern.clone())),
            None if null.peer => (Identity::Null, None),
            Some(IdWord::Subject) | None => (identity::of(endpoint), None),
        };
        Ok(Names { own: self.own_name(endpoint, null, signature)?, peer, peers })
    }

    fn own_name(
        &self,
        endpoint: &Host,
        null: NullSides,
        signature: Option<&SignatureSpec>,
    ) -> Result<Identity, Conflict> {
        let by_certificate = signature.is_some_and(|signature| signature.own_subject);
        let own = match &self.own_id {
            Some(IdWord::Given(id)) => Some(id.clone()),
            Some(IdWord::Like(_)) => {
                return Err(Conflict::at(('g', "own-id"), "this host is one identity, not several"));
            }
            None if null.own => Some(Identity::Null),
            // The model takes it from the certificate.
            Some(IdWord::Subject) => Some(identity::of(endpoint)),
            None if by_certificate => Some(identity::of(endpoint)),
            None => match &self.eap_id {
                Some(Who::Exactly(user)) if self.initiate => Some(user.clone()),
                _ => self.local.as_ref().map(identity::of),
            },
        };
        own.ok_or_else(|| {
            Conflict::missing("expected -g ID, who this host says it is, or --local ADDRESS, which it is then")
        })
    }
}
