//! A conversation, whichever end of it is ours: turn by turn, as RFC 3748 §2 has it.
//!
//! The transport delivers each message once and in order, as IKE and RADIUS do. A message that is out of place ends the
//! conversation: there is nobody who would repeat it in a better form.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

use crate::account;
use crate::authenticator::{Authenticator, Server};
use crate::method::sim::{Memory, Sims};
use crate::method::{self, MethodType};
use crate::peer::Peer;
use crate::relay::{Admission, Relay, Relayed};
use crate::tls::TlsMaker;

/// What a turn may need from outside.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Makes the TLS of methods over it.
    pub tls: &'a dyn TlsMaker,
    /// Fills with unpredictable octets.
    pub random: &'a (dyn Fn(&mut [u8]) + Sync),
    /// Keeps what is known of SIMs.
    pub memory: &'a dyn Memory,
}

impl Tools<'_> {
    pub(crate) fn random_octets<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        (self.random)(&mut octets);
        octets
    }

    /// Looks at what is known of SIMs, or changes it.
    pub(crate) fn sims<T>(&self, act: impl FnOnce(&mut Sims) -> T) -> T {
        let (mut act, mut result) = (Some(act), None);
        self.memory.with(&mut |sims| result = act.take().map(|act| act(sims)));
        result.expect("a memory lets everybody look once")
    }
}

/// One end of a conversation.
pub enum Conversation {
    /// Ours is the user.
    Peer(Peer),
    /// Ours asks who the user is.
    Authenticator(Authenticator),
    /// Ours passes on what a server elsewhere asks.
    Relay(Relay),
}

/// What comes of a turn.
#[derive(Debug)]
pub enum Step {
    /// Say this, and wait for what the other side says.
    Say(Eap),
    /// It is over.
    Done {
        /// To be said first; a peer has the last word never.
        last: Option<Eap>,
        /// What was proven, or why not, in words for the operator.
        outcome: Result<Proven, String>,
    },
}

/// What a conversation proves.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The user's name, as the method proved it.
    pub user: alloc::vec::Vec<u8>,
    /// How.
    pub method: MethodType,
    /// The Master Session Key (RFC 3748 §7.10), where the method makes one.
    pub msk: Option<Secret>,
    /// What a server elsewhere says of the session, where that knows the user.
    pub admission: Option<Arc<Admission>>,
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
        match method::split(&heard.data)? {
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
        let side = match self {
            Conversation::Peer(peer) => peer.tls(),
            Conversation::Authenticator(authenticator) => authenticator.tls(),
            Conversation::Relay(_) => return None,
        };
        side.credential.as_ref().map(|credential| credential.key.as_str())
    }

    /// Why it could not have come to a good end, where that is known already: some users hang up when they are told.
    pub fn verdict(&self) -> Option<String> {
        match self {
            Conversation::Peer(_) | Conversation::Relay(_) => None,
            Conversation::Authenticator(authenticator) => authenticator.verdict(),
        }
    }
}

impl Step {
    /// It ends without a word more.
    pub(crate) fn failed(why: impl Into<String>) -> Step {
        Step::Done { last: None, outcome: Err(why.into()) }
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
