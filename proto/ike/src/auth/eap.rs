//! EAP inside IKE_AUTH (RFC 7296 §2.16): who may prove himself by it.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

#[cfg(feature = "ikev2")]
use ravelin_crypto::CryptoProvider;
use ravelin_eap::relay::Aaa;
use ravelin_eap::{Method, Proven, Server};
use subtle::ConstantTimeEq;

#[cfg(feature = "ikev2")]
use super::fingerprint;
use super::{LocalAuth, RemoteAuth};
use crate::config::{IkeVersion, Remote};
use crate::error::Disagreement;
use crate::explain::Part;
use crate::open::IdPattern;

/// What the side that begins the IKE SA proves itself by, seen from the other side.
#[derive(Clone, Debug)]
pub struct EapServer {
    /// The methods and the passwords.
    pub server: Server,
    /// Which users this is for, by the name that the method proved.
    pub users: IdPattern,
    /// Of which groups the server elsewhere must say that the user is in one; empty: it need not say any.
    pub groups: Vec<String>,
}

impl EapServer {
    /// Whether it is for this user.
    pub(crate) fn admits(&self, proven: &Proven) -> Result<(), Disagreement> {
        let user = ravelin_eap::identity(&proven.user);
        if !self.users.takes(&user) {
            let ours = vec![alloc::format!("the user shall be {}", self.users)];
            return Err(Disagreement::new(Part::Identity, vec![user.to_string()], ours));
        }
        let told = || proven.admission.iter().flat_map(|admission| admission.authorization.groups());
        if self.groups.is_empty() || told().any(|group| self.groups.iter().any(|ours| ours.as_bytes() == group)) {
            return Ok(());
        }
        let told: Vec<String> = told().map(|group| group.escape_ascii().to_string()).collect();
        let theirs = match told.is_empty() {
            true => alloc::format!("{user}, and the RADIUS server names no group"),
            false => alloc::format!("{user}, of {}", told.join(", ")),
        };
        let ours = vec![alloc::format!("the user shall be of {}", self.groups.join(" or "))];
        Err(Disagreement::new(Part::Identity, vec![theirs], ours))
    }

    /// Whether what was proved to `asked` would have been proved here just the same. What TLS shows depends on who is
    /// trusted, so it is good for one remote alone.
    pub(crate) fn asks_like(&self, asked: &EapServer, proven: &Proven) -> bool {
        match (&self.server.relay, &asked.server.relay) {
            (Some(ours), Some(theirs)) => same_servers(ours, theirs),
            (None, None) => {
                let (ours, theirs) = (&self.server.accounts.0, &asked.server.accounts.0);
                let method = self.server.methods.iter().find(|method| method.number() == proven.method);
                alloc::sync::Arc::ptr_eq(ours, theirs) && method.is_some_and(|method| !method.is_over_tls())
            }
            _ => false,
        }
    }
}

fn same_servers(ours: &Aaa, theirs: &Aaa) -> bool {
    ours.servers == theirs.servers && bool::from(ours.secret.expose().ct_eq(theirs.secret.expose()))
}

impl Remote {
    /// Whether what a user proved to `old`, in whose place this remote has come, proves the same to this one.
    #[cfg(feature = "ikev2")]
    pub(crate) fn takes_over(&self, old: &Remote, proven: &Proven, crypto: &CryptoProvider) -> bool {
        let (RemoteAuth::Eap(ours), RemoteAuth::Eap(theirs)) = (&self.remote_auth, &old.remote_auth) else {
            return false;
        };
        let alike = match (&ours.server.relay, &theirs.server.relay) {
            (Some(ours), Some(theirs)) => same_servers(ours, theirs),
            (None, None) => {
                let of = |remote| fingerprint(remote, &ravelin_eap::identity(&proven.user), crypto);
                of(self).zip(of(old)).is_some_and(|(ours, theirs)| ours.expose().ct_eq(theirs.expose()).into())
            }
            _ => false,
        };
        alike && ours.admits(proven).is_ok()
    }

    /// Why the two cannot authenticate as it is configured. The user of EAP is the one who initiates, so a remote that has a
    /// user on either side has one role alone.
    pub(crate) fn auth_mistake(&self) -> Option<&'static str> {
        if let Some(why) = self.rounds_mistake() {
            return Some(why);
        }
        let mutual = |methods: &[Method]| methods.iter().all(|method| method.is_mutual());
        match (&self.local_auth, &self.remote_auth) {
            (LocalAuth::Psk(_) | LocalAuth::Signature(_), RemoteAuth::Psk(_) | RemoteAuth::Signature(_)) => None,
            (LocalAuth::Null, _) | (_, RemoteAuth::Null) if self.version != IkeVersion::V2 => {
                Some("NULL authentication is of IKEv2")
            }
            _ if self.version != IkeVersion::V2 => Some("EAP is of IKEv2"),
            // RFC 7619 §2.
            (LocalAuth::Eap(_), RemoteAuth::Null) | (LocalAuth::Null, RemoteAuth::Eap(_)) => {
                Some("who asks a user of EAP proves first who he is")
            }
            (LocalAuth::Null, _) | (_, RemoteAuth::Null) => None,
            // RFC 5998 §4 and §6.1, and RFC 7296 §2.16: who asks for a password proves first who he is.
            (LocalAuth::Eap(client), RemoteAuth::Eap(eap)) if !mutual(&client.methods) || !eap.server.is_mutual() => {
                Some("EAP without another proof of the responder takes methods that prove both sides")
            }
            (LocalAuth::Eap(_), RemoteAuth::Eap(_)) => None,
            (LocalAuth::Eap(_), _) if self.accept => {
                Some("only who initiates can prove himself by EAP, so it cannot accept")
            }
            (_, RemoteAuth::Eap(_)) if self.initiate => {
                Some("only who initiates can prove himself by EAP, so it cannot be initiated")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use ravelin_eap::relay::{Aaa, Admission};
    use ravelin_radius::Authorization;
    use ravelin_types::Secret;

    use super::*;

    fn aaa(secret: &[u8]) -> Arc<Aaa> {
        let servers = vec!["192.0.2.9:1812".parse().expect("an address")];
        Arc::new(Aaa {
            servers,
            secret: Secret::from(secret),
            accounting: Vec::new(),
            authorizers: Vec::new(),
            names: Vec::new(),
        })
    }

    fn asks(groups: &[&str], aaa: Arc<Aaa>) -> EapServer {
        let server = Server { relay: Some(aaa), ..Server::default() };
        EapServer { server, users: IdPattern::Any, groups: groups.iter().map(ToString::to_string).collect() }
    }

    fn proven(filters: &[&str], class: &[&str]) -> Proven {
        let octets = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let authorization =
            Authorization { filters: octets(filters), class: octets(class), ..Authorization::default() };
        let (user, name, session) = (b"carol".to_vec(), b"gw".to_vec(), alloc::string::String::new());
        let admission = Admission { authorization, user, name, session, aaa: aaa(b"s") };
        let method = Method::MsChapV2.number();
        Proven { user: b"carol".to_vec(), method, msk: None, admission: Some(Arc::new(admission)) }
    }

    #[test]
    fn a_user_is_of_one_of_the_groups() {
        let asks = |groups: &[&str]| asks(groups, aaa(b"s"));
        assert!(asks(&[]).admits(&proven(&[], &[])).is_ok());
        assert!(asks(&["Research", "Sales"]).admits(&proven(&[], &["Sales"])).is_ok());
        assert!(asks(&["Research"]).admits(&proven(&["x", "Research"], &["y"])).is_ok());
        for (told, words) in [(&["Sales", "research"][..], "of Sales, research"), (&[], "names no group")] {
            let refusal = asks(&["Research"]).admits(&proven(&[], told)).expect_err("another group");
            assert!(refusal.theirs[0].contains(words), "{:?}", refusal.theirs);
            assert_eq!(refusal.ours, ["the user shall be of Research"]);
        }
        // Nobody who proved himself here is of any.
        let local = Proven { admission: None, ..proven(&[], &[]) };
        assert!(asks(&["Research"]).admits(&local).is_err());
    }

    #[test]
    fn what_one_server_proved_another_has_not() {
        let (ours, told) = (asks(&[], aaa(b"s")), proven(&[], &[]));
        assert!(ours.asks_like(&asks(&["Research"], aaa(b"s")), &told));
        assert!(!ours.asks_like(&asks(&[], aaa(b"t")), &told));
        let local = EapServer { server: Server::default(), users: IdPattern::Any, groups: Vec::new() };
        assert!(!ours.asks_like(&local, &told) && !local.asks_like(&ours, &told));
    }
}
