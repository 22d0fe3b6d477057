//! Remotes of the model: what the two sides prove themselves with, and what IKE is given of it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ravelin_eap::{Accounts, Client, Server};
use ravelin_ike::config::{EapServer, IdPattern, IkeVersion, LocalAuth, Open, OwnedKey, Remote, RemoteAuth, Xauth};
use ravelin_pki::Certificate;
use ravelin_pki::auth::Credential;
use ravelin_types::Secret;

use super::{Model, ModelError, ppk};
use crate::command::{RemoteSpec, SignatureSpec, XauthSpec};
use crate::eap::{self, EapSpec, Role};
use crate::papers::{self, PaperError};
use crate::secret;

/// A remote, and what the two sides prove themselves with.
#[derive(Clone, Debug)]
pub struct RemoteEntry {
    /// What was asked for.
    pub spec: RemoteSpec,
    pub(super) auth: Auth,
    /// The post-quantum pre-shared key in a file of its own.
    pub(super) ppk: Option<Secret>,
    /// The login, where its file was read.
    pub(super) xauth: Option<Xauth>,
}

/// The keys of a remote.
#[derive(Clone, Debug)]
pub(super) enum Auth {
    /// One for both sides; an empty one where it is sought among those that were loaded.
    Psk(Secret),
    /// Those of the logins of accounts, each its own.
    Logins(Arc<[OwnedKey]>),
    /// Ours, if we sign, and the certificates that the peer must use, if there are such.
    Signature(Option<Arc<Credential>>, Vec<Certificate>),
    /// We are a user of EAP: his password, unless it is sought among those that were loaded, and the certificates that the
    /// peer must use.
    User(Option<Secret>, Vec<Certificate>),
    /// The peer is one: the passwords, unless they are those that were loaded, and what we prove ourselves with, unless it
    /// is a key that was loaded.
    Users(Option<Accounts>, Option<Arc<Credential>>),
}

impl Model {
    /// The keys of a remote that authenticates by signatures; identities that are those of certificates are filled in.
    pub(super) fn signature(
        &self,
        spec: &mut RemoteSpec,
        signature: &SignatureSpec,
        directory: &Path,
    ) -> Result<Auth, PaperError> {
        let credential = match signature.own.is_empty() {
            true => None,
            false => Some(Arc::new(self.database.credential(&signature.own, directory)?)),
        };
        let trust = self.database.trust(signature.peer.as_deref(), directory)?;
        let certificate = credential.as_ref().and_then(|credential| credential.certificates.first());
        if let (true, Some(file), Some(own)) = (signature.own_subject, signature.own.first(), certificate) {
            spec.own_id = papers::subject(own, file)?;
        }
        if let (true, Some(file), Some(peer)) = (signature.peer_subject, &signature.peer, trust.pinned.first()) {
            spec.peer_id = papers::subject(peer, file)?;
        }
        Ok(Auth::Signature(credential, trust.pinned))
    }

    /// The keys of a remote of which one side is a user of EAP.
    pub(super) fn eap(&self, spec: &mut RemoteSpec, directory: &Path) -> Result<Auth, ModelError> {
        let file = spec.secret_file.as_ref().map(|file| directory.join(file));
        let signature = spec.signature.clone();
        match &spec.eap {
            Some(EapSpec { role: Role::User(_), psk, .. }) => {
                let password = file.map(|file| secret::read(&file)).transpose().map_err(ModelError::Secret)?;
                let pinned = signature.as_ref().and_then(|signature| signature.peer.as_deref());
                let trust = if *psk { Vec::new() } else { self.trusted(pinned, directory)? };
                if let (Some(SignatureSpec { peer: Some(file), peer_subject: true, .. }), Some(peer)) =
                    (&signature, trust.first())
                {
                    spec.peer_id = papers::subject(peer, file).map_err(ModelError::Paper)?;
                }
                Ok(Auth::User(password, trust))
            }
            _ => {
                let accounts = file.map(|file| eap::read_accounts(&file)).transpose().map_err(ModelError::Accounts)?;
                let own = match signature {
                    Some(signature) => {
                        let own = self.database.credential(&signature.own, directory).map_err(ModelError::Paper)?;
                        if let (true, Some(file), Some(first)) =
                            (signature.own_subject, signature.own.first(), own.certificates.first())
                        {
                            spec.own_id = papers::subject(first, file).map_err(ModelError::Paper)?;
                        }
                        Some(Arc::new(own))
                    }
                    None => None,
                };
                Ok(Auth::Users(accounts, own))
            }
        }
    }

    fn trusted(&self, pinned: Option<&Path>, directory: &Path) -> Result<Vec<Certificate>, ModelError> {
        Ok(self.database.trust(pinned, directory).map_err(ModelError::Paper)?.pinned)
    }
}

impl RemoteEntry {
    /// Whether one side proves nothing but a login.
    fn is_hybrid(&self) -> bool {
        matches!(&self.spec.version, IkeVersion::V1(v1) if v1.hybrid)
    }

    /// Whether it takes every peer whose login is among its keys, or who is a user.
    fn anybody(&self) -> bool {
        let eap = matches!(&self.spec.eap, Some(EapSpec { role: Role::Authenticator { any_identity: true, .. }, .. }));
        let user = self.is_hybrid() && matches!(self.spec.xauth, Some(XauthSpec::Users(_)));
        eap || user || matches!(self.auth, Auth::Logins(_)) && self.spec.endpoint.is_unspecified()
    }

    /// What the side of EAP's authenticator asks by.
    fn eap_server(&self, accounts: &Accounts) -> RemoteAuth {
        let (methods, ask_identity, users) = match &self.spec.eap {
            Some(EapSpec { role: Role::Authenticator { ask_identity, users, .. }, methods, .. }) => {
                (methods.clone(), *ask_identity, users.clone())
            }
            _ => (Vec::new(), false, IdPattern::Any),
        };
        let name = self.spec.own_id.to_string();
        let name = name.split_once(':').map_or(name.as_str(), |(_, name)| name).as_bytes().to_vec();
        let server = Server { methods, ask_identity, accounts: accounts.clone(), name };
        RemoteAuth::Eap(Arc::new(EapServer { server, users }))
    }

    fn eap_client(&self, password: Option<&Secret>, accounts: &Accounts) -> LocalAuth {
        let (user, methods) = match &self.spec.eap {
            Some(EapSpec { role: Role::User(user), methods, .. }) => (user.clone(), methods.clone()),
            _ => (self.spec.own_id.clone(), Vec::new()),
        };
        let password = password.or_else(|| accounts.of(&user)).cloned().unwrap_or_default();
        LocalAuth::Eap(Arc::new(Client { user, methods, password }))
    }

    pub(super) fn ike_remote(&self, source: Option<IpAddr>, model: &Model) -> Remote {
        let spec = &self.spec;
        let loaded = || (spec.secret_file.is_none() && spec.signature.is_none()).then(|| model.keyring.clone());
        let keys = match &self.auth {
            Auth::Logins(keys) => Some(keys.clone()),
            Auth::Psk(_) | Auth::Signature(..) => loaded(),
            Auth::User(..) | Auth::Users(..) => {
                spec.eap.as_ref().is_some_and(|eap| eap.psk).then(|| model.keyring.clone())
            }
        };
        let (local_auth, remote_auth) = match &self.auth {
            Auth::Psk(secret) => (LocalAuth::Psk(secret.clone()), RemoteAuth::Psk(secret.clone())),
            Auth::Logins(_) => (LocalAuth::Psk(Secret::default()), RemoteAuth::Psk(Secret::default())),
            Auth::Signature(credential, pinned) => {
                let trust = RemoteAuth::Signature(Arc::new(model.database.believe(pinned.clone())));
                match credential {
                    // In hybrid mode who logs in proves nothing else.
                    Some(credential) if self.is_hybrid() => {
                        (LocalAuth::Signature(credential.clone()), RemoteAuth::Psk(Secret::default()))
                    }
                    Some(credential) => (LocalAuth::Signature(credential.clone()), trust),
                    None => (LocalAuth::Psk(Secret::default()), trust),
                }
            }
            Auth::User(password, pinned) => {
                let theirs = match keys {
                    Some(_) => RemoteAuth::Psk(Secret::default()),
                    None => RemoteAuth::Signature(Arc::new(model.database.believe(pinned.clone()))),
                };
                (self.eap_client(password.as_ref(), &model.accounts), theirs)
            }
            Auth::Users(accounts, own) => {
                let ours = match own {
                    Some(credential) => LocalAuth::Signature(credential.clone()),
                    None => LocalAuth::Psk(Secret::default()),
                };
                (ours, self.eap_server(accounts.as_ref().unwrap_or(&model.accounts)))
            }
        };
        let loaded = spec.loaded.as_ref().map_or_else(Open::default, |loaded| Open {
            from: loaded.from.clone(),
            at: loaded.at.clone(),
            own_address: loaded.own_address,
            ..Open::default()
        });
        let open = Open { peers: spec.peers.clone(), ..loaded };
        Remote {
            name: spec.name.clone(),
            version: self.version(model),
            local: spec.local,
            source,
            remote: spec.endpoint,
            local_id: spec.own_id.clone(),
            remote_id: spec.peer_id.clone(),
            local_auth,
            remote_auth,
            proposals: spec.proposals.clone(),
            initiate: spec.initiate,
            accept: spec.accept,
            lifetime: spec.lifetime,
            retransmission: spec.retransmission,
            liveness: spec.liveness,
            login_time: spec.login_time,
            encap: spec.encap,
            internal: spec.internal.clone(),
            extensions: ppk::extensions(&spec.extensions, self.ppk.as_ref(), spec.secret_file.is_none(), model),
            open: Open { keys, peers: self.anybody().then_some(IdPattern::Any).or(open.peers), ..open },
        }
    }
}
