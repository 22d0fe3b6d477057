//! EAP in the configuration: which of the two sides of a remote is the user, and his methods.

use std::net::IpAddr;

use ravelin_eap::Method;
use ravelin_ike::config::IdPattern;
use ravelin_pki::{Demand, Restrictions};
use ravelin_types::{HostName, Identity};

use crate::value::host::Server;

/// A remote of whose two sides one proves itself by EAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EapSpec {
    /// Who of the two.
    pub role: Role,
    /// By which methods, best first.
    pub methods: Vec<Method>,
    /// How the side that is no user proves itself beside the method.
    pub beside: Beside,
    /// RADIUS servers that know the users; then they choose the methods.
    pub radius: RadiusSpec,
    /// Whom the certificate of the server behind EAP must name, for methods over TLS; `None`: the remote itself.
    pub server: Option<Identity>,
    /// Which keys and signatures of certificates in TLS are accepted.
    pub restrictions: Restrictions,
    /// What must be known about their revocation.
    pub revocation: Demand,
}

/// RADIUS servers; all with one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RadiusSpec {
    /// Those that know the users, best first; empty: there are none.
    pub servers: Vec<Server>,
    /// Those that keep accounts of sessions, best first; empty: there are no accounts.
    pub accounting: Vec<Server>,
    /// Who may end sessions and change them (RFC 5176).
    pub authorizers: Vec<IpAddr>,
    /// Groups of which they must say that the user is in one (Filter-Id, Class); empty: whoever they accept will do.
    pub groups: Vec<String>,
}

impl RadiusSpec {
    /// The names of servers, which have to be looked up.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        self.servers.iter().chain(&self.accounting).filter_map(|server| server.host.name())
    }
}

/// What the side that is no user proves itself by before EAP begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A pre-shared key that was loaded.
    Psk,
    /// A certificate.
    Certificate,
    /// Nothing: the method proves both sides (RFC 5998).
    Nothing,
}

/// The side that we are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// We are this user.
    User(Identity),
    /// The remote is a user; we ask.
    Authenticator {
        /// For his name, by EAP; else it is the identity of IKE.
        ask_identity: bool,
        /// Which users this remote is for.
        users: IdPattern,
        /// Whatever the identity of IKE is, which nobody proves.
        any_identity: bool,
    },
}

impl EapSpec {
    /// Whether we can begin: only a user does.
    pub fn initiates(&self) -> bool {
        matches!(self.role, Role::User(_))
    }

    /// Whether the user judges certificates: those of the other side of IKE, or of the server behind EAP.
    pub fn believes_certificates(&self) -> bool {
        match self.beside {
            Beside::Certificate => true,
            Beside::Nothing => self.methods.iter().any(|method| method.is_over_tls()),
            Beside::Psk => false,
        }
    }

    /// Whether the identity of IKE, which nobody proves, is open.
    pub fn takes_any_identity(&self) -> bool {
        matches!(self.role, Role::Authenticator { any_identity: true, .. })
    }

    /// Whether we can answer.
    pub fn accepts(&self) -> bool {
        !self.initiates()
    }
}
