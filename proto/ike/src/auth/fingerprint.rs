//! What stands for the credentials of a remote: the same as long as the same secrets and the same trust prove the two sides.
//!
//! A ticket is no better than the proof behind it: where the operator has changed a key or taken an authority or a user away
//! since, another proof is due.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;
use ravelin_pki::auth::Trust;
use ravelin_types::{Identity, Secret};

use super::{LocalAuth, RemoteAuth};
use crate::config::Remote;

/// That of a remote with nothing open, of whom `user` is the identity that the peer proved. `None`: whoever judges the peer sits
/// elsewhere, and may judge otherwise today, or there is more than one proof.
pub(crate) fn fingerprint(remote: &Remote, user: &Identity, crypto: &CryptoProvider) -> Option<Secret> {
    // Of several proofs each would have to hold still.
    if remote.rounds.are_used() {
        return None;
    }
    let mut parts = Parts::default();
    match &remote.local_auth {
        LocalAuth::Psk(secret) => parts.put(b"psk", secret.expose()),
        LocalAuth::Null => parts.put(b"nothing", &[]),
        LocalAuth::Signature(credential) => parts.put(b"key", &credential.spki),
        LocalAuth::Eap(client) => {
            parts.put(b"user", &client.user.data());
            parts.put(b"password", client.password.expose());
            parts.trust(client.tls.trust.as_deref());
        }
    }
    match &remote.remote_auth {
        RemoteAuth::Psk(secret) => parts.put(b"psk", secret.expose()),
        // What says of which group the peer is holds for days at most.
        RemoteAuth::Signature(trust) if !trust.membership.groups.is_empty() => return None,
        RemoteAuth::Signature(trust) => parts.trust(Some(trust)),
        // Nobody has proved anything that could be resumed.
        RemoteAuth::Null => return None,
        RemoteAuth::Eap(eap) if eap.server.relay.is_some() => return None,
        RemoteAuth::Eap(eap) => {
            eap.server.methods.iter().for_each(|method| parts.put(b"method", method.to_string().as_bytes()));
            let password = eap.server.accounts.of(user).map_or(&[][..], Secret::expose);
            parts.put(b"password", password);
            parts.trust(eap.server.tls.trust.as_deref());
        }
    }
    let prf = crypto.prf.first()?;
    let mut digest = vec![0; prf.output_len()];
    let all: Vec<&[u8]> = parts.0.iter().map(Secret::expose).collect();
    prf.prf(b"credentials of an IKE SA", &all, &mut digest);
    Some(Secret::new(digest))
}

/// What is digested: each part with its name and its length before it.
#[derive(Default)]
struct Parts(Vec<Secret>);

impl Parts {
    fn put(&mut self, name: &[u8], value: &[u8]) {
        let len = (value.len() as u64).to_be_bytes();
        self.0.extend([name, &len, value].map(Secret::from));
    }

    fn trust(&mut self, trust: Option<&Trust>) {
        let Some(trust) = trust else { return self.put(b"no trust", &[]) };
        trust.anchors.iter().for_each(|anchor| self.put(b"anchor", anchor.der()));
        trust.through.iter().for_each(|name| self.put(b"through", name.der()));
        trust.pinned.iter().for_each(|pinned| self.put(b"pinned", pinned.der()));
        trust.keys.iter().for_each(|key| self.put(b"key", key));
        trust.policies.iter().for_each(|policy| self.put(b"policy", policy.as_bytes()));
    }
}
