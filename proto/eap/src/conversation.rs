//! A conversation, whichever end of it is ours: turn by turn, as RFC 3748 §2 has it.
//!
//! The transport delivers each message once and in order, as IKE and RADIUS do. A message that is out of place ends the
//! conversation: there is nobody who would repeat it in a better form.

use alloc::string::String;
use core::fmt;

use ravelin_types::Identity;
use ravelin_wire::ike::v2::{Eap, EapCode};

use crate::account;
use crate::authenticator::{Authenticator, Server};
use crate::method::Method;
use crate::method_type::{self, MethodType};
use crate::peer::Peer;
use crate::relay::{Relay, Relayed};
use crate::tls::TlsSide;
use crate::turn::{Step, Tools};

/// One end of a conversation.
pub enum Conversation {
    /// Ours is the user.
    Peer(Peer),
    /// Ours asks who the user is.
    Authenticator(Authenticator),
    /// Ours passes on what a server elsewhere asks.
    Relay(Relay),
}

impl Conversation {
    /// With a user, who is whoever the protocol around says until the method says more. `session` is what a server elsewhere knows
    /// the session by that may come of it: a number that no other has.
    pub fn with(server: &Server, user: &Identity, session: u64) -> Self {
        match &server.relay {
            Some(aaa) => Conversation::Relay(Relay::new(server, aaa.clone(), user, session)),
            None => Conversation::Authenticator(Authenticator::new(server.clone(), user)),
        }
    }

    /// Who the user says he is, where he was asked that and this answers it. He has proved nothing yet, and what he has to prove can
    /// still be chosen.
    pub fn named(&self, heard: &Eap) -> Option<Identity> {
        self.asks_identity().filter(|asked| heard.code == EapCode::RESPONSE && heard.identifier == *asked)?;
        match method_type::split(&heard.data)? {
            (MethodType::IDENTITY, name) => Some(account::identity(name.split(|octet| *octet == 0).next()?)),
            _ => None,
        }
    }

    /// The same conversation with another server, which has asked who the user is: [`Conversation::named`] says who answers.
    pub fn with_other(&self, server: &Server, user: &Identity, session: u64) -> Option<Self> {
        let identifier = self.asks_identity()?;
        Some(match &server.relay {
            Some(aaa) => Conversation::Relay(Relay::asked(server, aaa.clone(), user, (session, identifier))),
            None => Conversation::Authenticator(Authenticator::asked(server.clone(), user, identifier)),
        })
    }

    fn asks_identity(&self) -> Option<u8> {
        match self {
            Conversation::Peer(_) => None,
            Conversation::Authenticator(authenticator) => authenticator.asks_identity(),
            Conversation::Relay(relay) => relay.asks_identity(),
        }
    }

    /// Takes what the other side says; `None` begins a conversation as authenticator.
    pub fn turn(&mut self, heard: Option<&Eap>, tools: Tools<'_>) -> Step {
        match (self, heard) {
            (Conversation::Peer(peer), Some(heard)) => peer.hear(heard, tools),
            (Conversation::Authenticator(authenticator), Some(heard)) => authenticator.hear(heard, tools),
            (Conversation::Authenticator(authenticator), None) => authenticator.begin(tools),
            (Conversation::Peer(_), None) => Step::failed("nothing was said"),
            (Conversation::Relay(relay), heard) => match relay.turn(heard) {
                Relayed::Step(step) => step,
                Relayed::Ask(_) => relay.failed("nobody here asks RADIUS servers"),
            },
        }
    }

    /// The name of the private key that a turn may sign with.
    pub fn key(&self) -> Option<&str> {
        let (_, side) = self.means()?;
        side.credential.as_ref().map(|credential| credential.key.as_str())
    }

    /// Whether certificates of the other side may be judged in it.
    pub fn judges(&self) -> bool {
        self.means()
            .is_some_and(|(methods, side)| side.trust.is_some() && methods.iter().any(|method| method.is_over_tls()))
    }

    fn means(&self) -> Option<(&[Method], &TlsSide)> {
        match self {
            Conversation::Peer(peer) => Some(peer.means()),
            Conversation::Authenticator(authenticator) => Some(authenticator.means()),
            Conversation::Relay(_) => None,
        }
    }

    /// Why it could not have come to a good end, where that is known already: some users hang up when they are told.
    pub fn verdict(&self) -> Option<String> {
        match self {
            Conversation::Peer(_) | Conversation::Relay(_) => None,
            Conversation::Authenticator(authenticator) => authenticator.verdict(),
        }
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Conversation::Peer(_) => "Conversation(peer)",
            Conversation::Authenticator(_) => "Conversation(authenticator)",
            Conversation::Relay(_) => "Conversation(relay)",
        })
    }
}
