//! Servers elsewhere that know the users, and what they say of a session.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ravelin_radius::Authorization;
use ravelin_types::{HostName, Secret};

/// The servers that know the users, best first, and the secret that they share with us.
#[derive(Clone, Debug)]
pub struct Aaa {
    /// Where they are.
    pub servers: Vec<SocketAddr>,
    /// The shared secret.
    pub secret: Secret,
    /// Servers that keep the accounts, best first (RFC 2866); none: there are no accounts.
    pub accounting: Vec<SocketAddr>,
    /// Who may end sessions and change them (RFC 5176), with the same secret.
    pub authorizers: Vec<IpAddr>,
    /// Names of servers: where they lead stands among the addresses as soon as that is known.
    pub names: Vec<HostName>,
}

/// The session that a server lets begin.
#[derive(Clone, Debug)]
pub struct Admission {
    /// What it says of the session.
    pub authorization: Authorization,
    /// Whose it is, in the server's words.
    pub user: Vec<u8>,
    /// What we call ourselves.
    pub name: Vec<u8>,
    /// What the session is known by: Acct-Session-Id (RFC 2866 §5.5).
    pub session: String,
    /// The servers.
    pub aaa: Arc<Aaa>,
}
