//! A turn of a conversation: what it may need, and what comes of it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_types::Secret;
use ravelin_wire::ike::v2::Eap;

use crate::aaa::Admission;
use crate::method::sim::{Memory, Sims};
use crate::method_type::MethodType;
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
    pub user: Vec<u8>,
    /// How.
    pub method: MethodType,
    /// The Master Session Key (RFC 3748 §7.10), where the method makes one.
    pub msk: Option<Secret>,
    /// What a server elsewhere says of the session, where that knows the user.
    pub admission: Option<Arc<Admission>>,
}

impl Step {
    /// It ends without a word more.
    pub(crate) fn failed(why: impl Into<String>) -> Step {
        Step::Done { last: None, outcome: Err(why.into()) }
    }
}
