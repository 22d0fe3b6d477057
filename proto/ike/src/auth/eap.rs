//! EAP inside IKE_AUTH (RFC 7296 §2.16): who may prove himself by it.

use ravelin_eap::{Method, Server};

use super::{LocalAuth, RemoteAuth};
use crate::config::{IkeVersion, Remote};
use crate::open::IdPattern;

/// What the side that begins the IKE SA proves itself by, seen from the other side.
#[derive(Clone, Debug)]
pub struct EapServer {
    /// The methods and the passwords.
    pub server: Server,
    /// Which users this is for, by the name that the method proved.
    pub users: IdPattern,
}

impl Remote {
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
