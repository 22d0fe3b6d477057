//! The algorithms of a remote.

use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::Transform;

use super::RemoteArgs;
use crate::command::Conflict;
use crate::command::policy::unused_integrity;
use crate::value::algorithm;

impl RemoteArgs {
    /// IKEv1 has no integrity algorithm of its own for messages: what `-a` names is the hash, and the pseudorandom function
    /// is its HMAC (RFC 2409 §4).
    pub(super) fn proposals_v1(&self, notes: &mut Vec<String>) -> Result<Vec<Proposal>, Conflict> {
        let encr = self.encryption.as_ref().map_or(algorithm::DEFAULT_ENCR_V1, |list| &list.0);
        if encr.iter().any(|(id, _)| algorithm::is_aead(*id)) {
            let what = "IKEv1 has no ciphers that authenticate; use AES256-CBC or AES128-CBC";
            return Err(Conflict::at(('e', "encryption"), what));
        }
        let hashes = match &self.integrity {
            None => algorithm::DEFAULT_PRF.to_vec(),
            Some(list) => list.0.iter().map(|id| algorithm::hash_of(*id)).collect::<Option<_>>().ok_or_else(|| {
                Conflict::at(('a', "integrity"), "IKEv1 takes hashes here: SHA2-256, SHA2-384, SHA2-512, SHA or MD5")
            })?,
        };
        if self.prf.is_some() {
            notes.push("-p has no meaning with IKEv1: its pseudorandom function is the HMAC of the hash (-a)".into());
        }
        let ke: Vec<Transform> = match &self.groups {
            Some(list) => list.0.clone(),
            None => algorithm::DEFAULT_KE_V1.iter().map(|id| Transform::Ke(*id)).collect(),
        };
        if ke.iter().any(|transform| matches!(transform, Transform::AddKe(..))) {
            return Err(Conflict::at(('d', "groups"), "IKEv1 has no additional key exchanges"));
        }
        let encr = encr.iter().map(|(id, bits)| Transform::Encr(*id, *bits));
        let rest = hashes.iter().map(|id| Transform::Prf(*id)).chain(ke);
        Ok(vec![Proposal { protocol: ProtocolId::IKE, transforms: encr.chain(rest).collect() }])
    }

    pub(super) fn proposals(&self, notes: &mut Vec<String>) -> Vec<Proposal> {
        let encr = self.encryption.as_ref().map_or(algorithm::DEFAULT_ENCR, |list| &list.0);
        let integ = self.integrity.as_ref().map_or(algorithm::DEFAULT_INTEG, |list| &list.0);
        let prf = self.prf.as_ref().map_or(algorithm::DEFAULT_PRF, |list| &list.0);
        let ke = match &self.groups {
            Some(list) => vec![list.0.clone()],
            None => algorithm::default_ke().to_vec(),
        };
        notes.extend(unused_integrity(self.integrity.is_some(), encr));
        let proposals = ke.into_iter().flat_map(|ke| {
            let rest: Vec<Transform> = prf.iter().map(|id| Transform::Prf(*id)).chain(ke).collect();
            algorithm::proposals(ProtocolId::IKE, encr, integ, &rest)
        });
        proposals.collect()
    }
}
