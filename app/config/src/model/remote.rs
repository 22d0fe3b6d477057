//! Remotes of the model: what the two sides prove themselves with, and what IKE is given of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use ravelin_eap::relay::Aaa;
use ravelin_eap::tls::TlsSide;
use ravelin_eap::{Client, Server};
use ravelin_ike::config::{
    EapServer, Gateway, IdPattern, IkeVersion, LocalAuth, Open, Reach, Remote, RemoteAuth, Xauth,
};
use ravelin_pki::Certificate;
use ravelin_pki::auth::{Credential, Trust};
use ravelin_types::Secret;

use super::keys::{Auth, EapKeys, RoundKeys};
use super::{Model, ModelError, ppk};
use crate::eap;
use crate::papers::{self, PaperError};
use crate::secret;
use crate::spec::{Beside, EapSpec, RadiusSpec, RemoteSpec, Role, SignatureSpec, XauthSpec};
use crate::value::host::{self, Host};
use crate::value::identity;

/// A remote, and what the two sides prove themselves with.
#[derive(Clone, Debug)]
pub struct RemoteEntry {
    /// What was asked for.
    pub spec: RemoteSpec,
    /// Of several that take a peer, the first by this one has it (RFC 4301 §4.4.3.1: the PAD is ordered).
    pub(super) place: u32,
    pub(super) auth: Auth,
    /// The post-quantum pre-shared key in a file of its own.
    pub(super) ppk: Option<Secret>,
    /// The files of the rounds after the first.
    pub(super) rounds: RoundKeys,
    /// The login, where its file was read.
    pub(super) xauth: Option<Xauth>,
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
            false => {
                let own = self.database.credential(&signature.own, directory)?;
                let restrictions = signature.own_restrictions.clone();
                Some(Arc::new(Credential { restrictions, ..own }))
            }
        };
        let trust = match spec.null.peer {
            true => Trust::default(),
            false => self.database.trust(signature.peer.as_deref(), directory)?,
        };
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
        let user = spec.eap.as_ref().is_some_and(EapSpec::initiates);
        let believes = spec.eap.as_ref().is_some_and(EapSpec::believes_certificates);
        let mut keys = EapKeys { password: None, accounts: None, own: None, pinned: Vec::new() };
        match file {
            Some(file) if user || spec.eap.as_ref().is_some_and(|eap| !eap.radius.servers.is_empty()) => {
                keys.password = Some(secret::read(&file).map_err(ModelError::Secret)?)
            }
            Some(file) => keys.accounts = Some(eap::read_accounts(&file).map_err(ModelError::Accounts)?),
            None => {}
        }
        let signature = spec.signature.clone();
        let files = signature.as_ref().map(|signature| signature.own.as_slice()).unwrap_or_default();
        if let Some(file) = files.first() {
            let own = self.database.credential(files, directory).map_err(ModelError::Paper)?;
            if let (true, Some(first)) =
                (signature.as_ref().is_some_and(|own| own.own_subject), own.certificates.first())
            {
                spec.own_id = papers::subject(first, file).map_err(ModelError::Paper)?;
            }
            let restrictions = signature.as_ref().map(|own| own.own_restrictions.clone()).unwrap_or_default();
            keys.own = Some(Arc::new(Credential { restrictions, ..own }));
        }
        let peer = signature.as_ref().and_then(|signature| signature.peer.as_deref());
        // Of a loaded connection, whoever is trusted when it is used.
        if peer.is_some() || user && believes && spec.loaded.is_none() {
            keys.pinned = self.trusted(peer, directory)?;
        }
        if let (Some(SignatureSpec { peer: Some(file), peer_subject: true, .. }), Some(peer)) =
            (&signature, keys.pinned.first())
        {
            spec.peer_id = papers::subject(peer, file).map_err(ModelError::Paper)?;
        }
        Ok(Auth::Eap(keys))
    }

    /// The RADIUS servers that know users of remotes.
    pub fn relays(&self) -> impl Iterator<Item = Arc<Aaa>> {
        let asks = |entry: &&RemoteEntry| entry.spec.eap.as_ref().is_some_and(|eap| !eap.radius.servers.is_empty());
        let remotes = self.remotes().filter(asks).map(|entry| entry.ike_remote(&BTreeMap::new(), self));
        remotes.filter_map(|remote| match remote.remote_auth {
            RemoteAuth::Eap(eap) => eap.server.relay.clone(),
            _ => None,
        })
    }

    /// Where these servers are, best first: those of a name at each of its addresses, as far as it was looked up.
    fn places(&self, servers: &[host::Server]) -> Vec<SocketAddr> {
        let at = |server: &host::Server| match &server.host {
            Host::Address(address) => vec![SocketAddr::new(*address, server.port)],
            Host::Name(name) => {
                let known = self.found.get(name).into_iter().flatten();
                known.map(|address| SocketAddr::new(*address, server.port)).collect()
            }
        };
        servers.iter().flat_map(at).collect()
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
        let eap = self.spec.eap.as_ref().is_some_and(EapSpec::takes_any_identity);
        let user = self.is_hybrid() && matches!(self.spec.xauth, Some(XauthSpec::Users(_) | XauthSpec::User(_)));
        eap || user || matches!(self.auth, Auth::Logins(_)) && self.spec.endpoint.is_anybody()
    }

    /// The certificate that a loaded connection names for us.
    fn loaded_credential(&self, model: &Model) -> Option<Arc<Credential>> {
        let signer = self.spec.loaded.as_ref()?.signs.as_ref()?;
        Some(Arc::new(model.database.credential_of(signer, &self.spec.own_id)))
    }

    /// How both sides prove themselves where one is a user of EAP.
    pub(super) fn eap_auth(&self, eap: &EapSpec, keys: &EapKeys, model: &Model) -> (LocalAuth, RemoteAuth) {
        let believe = |pinned: &[Certificate]| {
            let (revocation, restrictions) = (eap.revocation, eap.restrictions.clone());
            Arc::new(Trust { revocation, restrictions, ..model.database.believe(pinned.to_vec()) })
        };
        match &eap.role {
            Role::User(user) => {
                let theirs = match eap.beside {
                    Beside::Psk => RemoteAuth::Psk(Secret::default()),
                    Beside::Certificate => RemoteAuth::Signature(believe(&keys.pinned)),
                    Beside::Nothing => RemoteAuth::Eap(Arc::new(EapServer {
                        server: Server { methods: eap.methods.clone(), ..Server::default() },
                        users: IdPattern::Any,
                        groups: Vec::new(),
                    })),
                };
                let named = || self.loaded_credential(model).or_else(|| model.database.own(user).map(Arc::new));
                // What is pinned is whoever proves himself to IKE.
                let pinned = if eap.beside == Beside::Nothing { keys.pinned.as_slice() } else { &[] };
                let remote = Some(&self.spec.peer_id).filter(|_| self.spec.peers.is_none());
                let tls = TlsSide {
                    credential: keys.own.clone().or_else(named),
                    trust: Some(believe(pinned)),
                    peer: eap.server.as_ref().or(remote).cloned(),
                };
                let password = keys.password.as_ref().or_else(|| model.accounts.of(user)).cloned().unwrap_or_default();
                let client = Client { user: user.clone(), methods: eap.methods.clone(), password, tls };
                (LocalAuth::Eap(Arc::new(client)), theirs)
            }
            Role::Authenticator { ask_identity, users, .. } => {
                let own = || model.database.own(&self.spec.own_id).map(Arc::new);
                let named = || self.loaded_credential(model).or_else(own);
                let credential = keys.own.clone().or_else(named);
                let ours = match (eap.beside, &keys.own) {
                    (Beside::Certificate, Some(own)) => LocalAuth::Signature(own.clone()),
                    (Beside::Certificate | Beside::Psk, _) => LocalAuth::Psk(Secret::default()),
                    (Beside::Nothing, _) => LocalAuth::Eap(Arc::new(Client {
                        user: self.spec.own_id.clone(),
                        methods: eap.methods.clone(),
                        password: Secret::default(),
                        tls: TlsSide::default(),
                    })),
                };
                let name = self.spec.own_id.to_string();
                let name = name.split_once(':').map_or(name.as_str(), |(_, name)| name).as_bytes().to_vec();
                let RadiusSpec { servers, accounting, authorizers, groups } = &eap.radius;
                let loaded = || model.key_of(&identity::of(&servers.first()?.host));
                let relay = (!servers.is_empty()).then(|| {
                    Arc::new(Aaa {
                        servers: model.places(servers),
                        secret: keys.password.clone().or_else(loaded).unwrap_or_default(),
                        accounting: model.places(accounting),
                        authorizers: authorizers.clone(),
                        names: eap.radius.names().cloned().collect(),
                    })
                });
                let server = Server {
                    methods: eap.methods.clone(),
                    relay,
                    ask_identity: *ask_identity,
                    accounts: keys.accounts.as_ref().unwrap_or(&model.accounts).clone(),
                    tls: TlsSide { credential, trust: Some(believe(&keys.pinned)), peer: None },
                    name,
                };
                (ours, RemoteAuth::Eap(Arc::new(EapServer { server, users: users.clone(), groups: groups.clone() })))
            }
        }
    }

    pub(super) fn ike_remote(&self, sources: &BTreeMap<IpAddr, IpAddr>, model: &Model) -> Remote {
        let spec = &self.spec;
        let source = |address: &IpAddr| sources.get(address).copied().filter(|_| spec.local.is_none());
        let loaded = || (spec.secret_file.is_none() && spec.signature.is_none()).then(|| model.keyring.clone());
        let keys = match &self.auth {
            Auth::Logins(keys) => Some(keys.clone()),
            Auth::Psk(_) | Auth::Signature(..) => loaded(),
            Auth::Eap(_) => {
                let psk = spec.eap.as_ref().is_some_and(|eap| eap.beside == Beside::Psk);
                (psk || spec.rounds.have_psk()).then(|| model.keyring.clone())
            }
        };
        let (local_auth, remote_auth) = match &self.auth {
            Auth::Psk(secret) => (LocalAuth::Psk(secret.clone()), RemoteAuth::Psk(secret.clone())),
            Auth::Logins(_) => (LocalAuth::Psk(Secret::default()), RemoteAuth::Psk(Secret::default())),
            Auth::Signature(credential, pinned) => {
                let signature = spec.signature.clone().unwrap_or_default();
                let (revocation, restrictions) = (signature.revocation.into(), signature.peer_restrictions);
                let trust = Trust { revocation, restrictions, ..model.database.believe(pinned.clone()) };
                let trust = RemoteAuth::Signature(Arc::new(trust));
                match credential {
                    // In hybrid mode who logs in proves nothing else.
                    Some(credential) if self.is_hybrid() => {
                        (LocalAuth::Signature(credential.clone()), RemoteAuth::Psk(Secret::default()))
                    }
                    Some(credential) => (LocalAuth::Signature(credential.clone()), trust),
                    None => (LocalAuth::Psk(Secret::default()), trust),
                }
            }
            Auth::Eap(eap_keys) => match &spec.eap {
                Some(eap) => self.eap_auth(eap, eap_keys, model),
                None => (LocalAuth::Psk(Secret::default()), RemoteAuth::Psk(Secret::default())),
            },
        };
        let believes = spec.loaded.as_ref().and_then(|loaded| loaded.believes.as_ref());
        let local_auth = match (local_auth, self.loaded_credential(model)) {
            (LocalAuth::Psk(_) | LocalAuth::Signature(_), Some(credential)) => LocalAuth::Signature(credential),
            // By EAP the certificate is the method's.
            (other, _) => other,
        };
        let remote_auth =
            believes.map_or(remote_auth, |believed| RemoteAuth::Signature(Arc::new(model.database.trust_of(believed))));
        let local_auth = if spec.null.own { LocalAuth::Null } else { model.placed(local_auth, &spec.extensions) };
        let remote_auth = if spec.null.peer { RemoteAuth::Null } else { model.asked(remote_auth, &spec.extensions) };
        let loaded = spec.loaded.as_ref().map_or_else(Open::default, |loaded| Open {
            from: loaded.from.clone(),
            at: loaded.at.clone(),
            own_address: loaded.own_address,
            ..Open::default()
        });
        let reach = |host: &Host| match host {
            Host::Address(address) => Reach::At(Gateway { address: *address, source: source(address) }),
            Host::Name(name) => Reach::Named(name.clone()),
        };
        // A name has no other place, also where it comes first.
        let alternates = spec.hosts().skip(usize::from(spec.endpoint.name().is_none())).map(reach).collect();
        let open = Open { peers: spec.peers.clone(), alternates, own_names: spec.own_names.clone(), ..loaded };
        Remote {
            name: spec.name.clone(),
            version: self.version(model),
            local: spec.local,
            source: spec.endpoint.address().and_then(|address| source(&address)),
            remote: spec.endpoint.or_unspecified(spec.local),
            local_id: spec.own_id.clone(),
            remote_id: spec.peer_id.clone(),
            local_auth,
            remote_auth,
            rounds: self.rounds(model),
            proposals: spec.proposals.clone(),
            initiate: spec.initiate,
            accept: spec.accept,
            lifetime: spec.lifetime,
            retransmission: spec.retransmission,
            liveness: spec.liveness,
            login_time: spec.login_time,
            encap: spec.encap,
            internal: spec.internal.clone(),
            if_ids: spec.if_ids,
            extensions: ppk::extensions(&spec.extensions, self.ppk.as_ref(), spec.secret_file.is_none(), model),
            open: Open { keys, peers: self.anybody().then_some(IdPattern::Any).or(open.peers), ..open },
        }
    }
}
