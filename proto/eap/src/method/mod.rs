//! The methods: their numbers and words, and the two ends of each.

mod avp;
mod channel;
mod gtc;
mod md5;
mod mschapv2;
pub(crate) mod sim;
mod tls;
mod tunnel;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ravelin_types::Secret;

use crate::authenticator::Server;
use crate::method_type::MethodType;
use crate::peer::Client;
use crate::turn::Tools;

/// The methods that are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A challenge hashed with the password (RFC 3748 §5.4). It makes no key.
    Md5,
    /// The password as it is (RFC 3748 §5.6). It makes no key.
    Gtc,
    /// Both sides prove that they know the password (RFC 2759).
    MsChapV2,
    /// Both sides prove themselves by certificates (RFC 5216).
    Tls,
    /// A password inside TLS, by a method of its own (RFC 5281), or for an authenticator also as it is.
    Ttls,
    /// A password inside TLS as it is (RFC 5281 §11.2.5).
    TtlsPap,
    /// The same in the form of Microsoft, version 0.
    Peap,
    /// A SIM and its network prove themselves as those of GSM (RFC 4186).
    Sim,
    /// The same as those of UMTS (RFC 4187).
    Aka,
    /// The same, with keys that hold for one network (RFC 9048).
    AkaPrime,
}

impl Method {
    /// Every one, with its word.
    pub const ALL: &[(Method, &str)] = &[
        (Method::Md5, "EAP-MD5"),
        (Method::Gtc, "EAP-GTC"),
        (Method::MsChapV2, "EAP-MSCHAPV2"),
        (Method::Tls, "EAP-TLS"),
        (Method::Ttls, "EAP-TTLS"),
        (Method::TtlsPap, "EAP-TTLS-PAP"),
        (Method::Peap, "EAP-PEAP"),
        (Method::Sim, "EAP-SIM"),
        (Method::Aka, "EAP-AKA"),
        (Method::AkaPrime, "EAP-AKA-PRIME"),
    ];

    /// Its number.
    pub fn number(self) -> MethodType {
        MethodType::Plain(match self {
            Method::Md5 => 4,
            Method::Gtc => 6,
            Method::MsChapV2 => 26,
            Method::Tls => 13,
            Method::Ttls | Method::TtlsPap => 21,
            Method::Peap => 25,
            Method::Sim => 18,
            Method::Aka => 23,
            Method::AkaPrime => 50,
        })
    }

    /// Its word.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(method, _)| *method == self).map_or("EAP", |(_, name)| name)
    }

    /// The method of a word: `EAP-MD5`, or `MD5`.
    pub fn find(word: &str) -> Option<Method> {
        let word = word.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("EAP-")).map_or(word, |_| &word[4..]);
        Self::ALL.iter().find(|(_, name)| name[4..].eq_ignore_ascii_case(word)).map(|(method, _)| *method)
    }

    /// Whether both sides prove themselves so well that the authenticator needs no other proof (RFC 5998 §4): it must make
    /// a key, and nobody may try passwords against what he saw.
    pub fn is_mutual(self) -> bool {
        match self {
            Method::Md5 | Method::Gtc | Method::MsChapV2 => false,
            // RFC 5998 §4 has a list that is not complete; PEAP proves both as TTLS does.
            Method::Tls | Method::Ttls | Method::TtlsPap | Method::Peap => true,
            Method::Sim | Method::Aka | Method::AkaPrime => true,
        }
    }

    /// Whether the authenticator proves itself by a certificate of its own.
    pub fn is_over_tls(self) -> bool {
        matches!(self, Method::Tls | Method::Ttls | Method::TtlsPap | Method::Peap)
    }

    /// Whether the user has a password, or the secret of a SIM; else he has a certificate.
    pub fn has_password(self) -> bool {
        !matches!(self, Method::Tls)
    }

    pub(crate) fn peer(self, user: &[u8], client: &Client) -> Box<dyn PeerMethod> {
        let password = &client.password;
        match self {
            Method::Md5 => Box::new(md5::Peer::new(user, password)),
            Method::Gtc => Box::new(gtc::Peer::new(password)),
            Method::MsChapV2 => Box::new(mschapv2::Peer::new(user, password)),
            Method::Tls => Box::new(tls::Peer::new(&client.tls)),
            Method::Ttls => Box::new(tunnel::Peer::new(tunnel::Kind::Ttls, client)),
            Method::TtlsPap => Box::new(tunnel::Peer::new(tunnel::Kind::TtlsPap, client)),
            Method::Peap => Box::new(tunnel::Peer::new(tunnel::Kind::Peap, client)),
            Method::Sim => Box::new(sim::Peer::new(sim::Kind::Sim, user, client)),
            Method::Aka => Box::new(sim::Peer::new(sim::Kind::Aka, user, client)),
            Method::AkaPrime => Box::new(sim::Peer::new(sim::Kind::AkaPrime, user, client)),
        }
    }

    /// A user who is not known fails as one with a wrong password does.
    pub(crate) fn server(self, user: &[u8], server: &Server) -> Box<dyn ServerMethod> {
        let password = server.accounts.password(user).cloned();
        match self {
            Method::Md5 => Box::new(md5::Server::new(password, &server.name)),
            Method::Gtc => Box::new(gtc::Server::new(password)),
            Method::MsChapV2 => Box::new(mschapv2::Server::new(user, password, &server.name)),
            Method::Tls => Box::new(tls::Server::new(&server.tls, user)),
            Method::Ttls => Box::new(tunnel::Server::new(tunnel::Kind::Ttls, user, server)),
            Method::TtlsPap => Box::new(tunnel::Server::new(tunnel::Kind::TtlsPap, user, server)),
            Method::Peap => Box::new(tunnel::Server::new(tunnel::Kind::Peap, user, server)),
            Method::Sim => Box::new(sim::Server::new(sim::Kind::Sim, server)),
            Method::Aka => Box::new(sim::Server::new(sim::Kind::Aka, server)),
            Method::AkaPrime => Box::new(sim::Server::new(sim::Kind::AkaPrime, server)),
        }
    }
}

/// The peer's end of a method.
pub(crate) trait PeerMethod: Send {
    /// The data of the response to a request with this identifier.
    ///
    /// # Errors
    /// Why the conversation cannot go on.
    fn answer(&mut self, identifier: u8, data: &[u8], tools: Tools<'_>) -> Result<Vec<u8>, String>;

    /// The key that was made, if the authenticator may say success now.
    ///
    /// # Errors
    /// Why it may not.
    fn outcome(&self) -> Result<Option<Secret>, String>;

    /// What the authenticator said when it refused.
    fn refusal(&self) -> Option<String> {
        None
    }
}

/// The authenticator's end of a method.
pub(crate) trait ServerMethod: Send {
    /// The data of the first request, which will have this identifier.
    fn begin(&mut self, identifier: u8, tools: Tools<'_>) -> Vec<u8>;

    /// Takes the data of a response to the request with this identifier; the next one will have `next`.
    fn judge(&mut self, identifier: u8, next: u8, data: &[u8], tools: Tools<'_>) -> Judgement;

    /// Why the user has failed, when he has been told and not answered yet.
    fn verdict(&self) -> Option<&str> {
        None
    }
}

/// What an authenticator makes of a response.
pub(crate) enum Judgement {
    /// The data of the next request.
    Ask(Vec<u8>),
    /// He is the user.
    Passed {
        /// The key, where there is one.
        msk: Option<Secret>,
        /// Who he turned out to be, where that is not who he said.
        user: Option<Vec<u8>>,
    },
    /// He is not, or broke the rules.
    Failed(String),
}

/// Said of every password that does not fit, that of nobody included.
pub(crate) const WRONG_PASSWORD: &str = "the password is not that of the user, or there is no such user";

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for MethodType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((method, _)) = Method::ALL.iter().find(|(method, _)| method.number() == *self) {
            return method.fmt(f);
        }
        match self {
            MethodType::Plain(0) => f.write_str("no other method"),
            MethodType::Plain(number) => write!(f, "EAP type {number}"),
            MethodType::Expanded(vendor, number) => write!(f, "EAP type {number} of vendor {vendor}"),
        }
    }
}
