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
use subtle::ConstantTimeEq;

use super::{LocalAuth, RemoteAuth};
use crate::config::Remote;

/// That of a remote with nothing open, of whom `user` is the identity that the peer proved. `None`: whoever judges the peer sits
/// elsewhere, and may judge otherwise today, or there is more than one proof.
pub(crate) fn fingerprint(remote: &Remote, user: &Identity, crypto: &CryptoProvider) -> Option<Secret> {
    // Of several proofs each would have to hold still.
    if remote.rounds.are_used() {
        return None;
    }
    match &remote.remote_auth {
        // What says of which group the peer is holds for days at most.
        RemoteAuth::Signature(trust) if !trust.membership.groups.is_empty() => return None,
        // Nobody has proved anything that could be resumed.
        RemoteAuth::Null => return None,
        RemoteAuth::Eap(eap) if eap.server.relay.is_some() => return None,
        RemoteAuth::Psk(_) | RemoteAuth::Signature(_) | RemoteAuth::Eap(_) => {}
    }
    digest(remote, user, crypto)
}

/// Whether all that the two sides prove to each other by `now` is what they proved by `old`, both with nothing open: in every
/// round by the same secrets, the same trust and from the same identities; `user` is who proved himself by EAP.
pub(crate) fn alike(now: &Remote, old: &Remote, user: &Identity, crypto: &CryptoProvider) -> bool {
    let own = |remote: &Remote| -> Vec<Identity> { remote.rounds.own.iter().map(|round| round.id.clone()).collect() };
    let peers = |remote: &Remote| -> Vec<_> { remote.rounds.peer.iter().map(|round| round.peers.clone()).collect() };
    let named = now.local_id == old.local_id && now.remote_id == old.remote_id && now.takes(&old.remote_id);
    let users = |remote: &Remote| -> Vec<_> {
        let eap = remote.peer_proofs().filter_map(|auth| match auth {
            RemoteAuth::Eap(eap) => Some((eap.users.clone(), eap.groups.clone())),
            RemoteAuth::Psk(_) | RemoteAuth::Signature(_) | RemoteAuth::Null => None,
        });
        eap.collect()
    };
    let digests = digest(now, user, crypto).zip(digest(old, user, crypto));
    let proven = digests.is_some_and(|(now, old)| now.expose().ct_eq(old.expose()).into());
    named && own(now) == own(old) && peers(now) == peers(old) && users(now) == users(old) && proven
}

/// All that the two sides prove themselves by.
fn digest(remote: &Remote, user: &Identity, crypto: &CryptoProvider) -> Option<Secret> {
    let mut parts = Parts::default();
    remote.own_proofs().for_each(|auth| parts.own(auth));
    parts.put(b"peer", &[]);
    remote.peer_proofs().for_each(|auth| parts.peer(auth, user));
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

    fn own(&mut self, auth: &LocalAuth) {
        match auth {
            LocalAuth::Psk(secret) => self.put(b"psk", secret.expose()),
            LocalAuth::Null => self.put(b"nothing", &[]),
            LocalAuth::Signature(credential) => self.put(b"key", &credential.spki),
            LocalAuth::Eap(client) => {
                self.put(b"user", &client.user.data());
                self.put(b"password", client.password.expose());
                self.trust(client.tls.trust.as_deref());
            }
        }
    }

    fn peer(&mut self, auth: &RemoteAuth, user: &Identity) {
        match auth {
            RemoteAuth::Psk(secret) => self.put(b"psk", secret.expose()),
            RemoteAuth::Signature(trust) => self.trust(Some(trust)),
            RemoteAuth::Null => self.put(b"nothing", &[]),
            RemoteAuth::Eap(eap) => {
                eap.server.methods.iter().for_each(|method| self.put(b"method", method.to_string().as_bytes()));
                if let Some(aaa) = &eap.server.relay {
                    aaa.servers.iter().for_each(|server| self.put(b"server", server.to_string().as_bytes()));
                    self.put(b"secret", aaa.secret.expose());
                }
                let password = eap.server.accounts.of(user).map_or(&[][..], Secret::expose);
                self.put(b"password", password);
                self.trust(eap.server.tls.trust.as_deref());
            }
        }
    }

    fn trust(&mut self, trust: Option<&Trust>) {
        let Some(trust) = trust else { return self.put(b"no trust", &[]) };
        trust.anchors.iter().for_each(|anchor| self.put(b"anchor", anchor.der()));
        trust.through.iter().for_each(|name| self.put(b"through", name.der()));
        trust.above.iter().for_each(|authority| self.put(b"above", authority.der()));
        trust.pinned.iter().for_each(|pinned| self.put(b"pinned", pinned.der()));
        trust.keys.iter().for_each(|key| self.put(b"key", key));
        trust.policies.iter().for_each(|policy| self.put(b"policy", policy.as_bytes()));
        trust.membership.groups.iter().for_each(|group| self.put(b"group", group.as_bytes()));
        trust.membership.authorities.iter().for_each(|authority| self.put(b"authority", authority.der()));
        self.put(b"revocation", alloc::format!("{:?}", trust.revocation).as_bytes());
        self.put(b"restrictions", trust.restrictions.words.as_bytes());
    }
}
