//! What outlives a conversation: the numbers that cards have seen, and the names by which users come back.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use ravelin_types::Secret;

use super::keys::Keys;
use super::{Kind, split_realm};
use crate::limits;

/// Keeps [`Sims`] from one conversation to the next.
pub trait Memory: Sync {
    /// Lets somebody look at them and change them; nobody else does meanwhile.
    fn with(&self, act: &mut dyn FnMut(&mut Sims));
}

/// For whoever keeps nothing: every conversation is the first one. A card that has seen a higher number asks for a higher one.
#[derive(Clone, Copy, Debug)]
pub struct Forgetful;

impl Memory for Forgetful {
    fn with(&self, act: &mut dyn FnMut(&mut Sims)) {
        act(&mut Sims::default());
    }
}

/// What is known of SIMs: of ours as users, and of users as who asks.
#[derive(Default)]
pub struct Sims {
    ours: BTreeMap<Vec<u8>, Own>,
    users: BTreeMap<Vec<u8>, User>,
    /// Names that were given away.
    names: BTreeMap<Vec<u8>, Given>,
}

/// A user that we are.
#[derive(Default)]
struct Own {
    /// The highest number that the card took.
    seen: u64,
    pseudonyms: BTreeMap<Kind, Vec<u8>>,
    again: BTreeMap<Kind, Again>,
}

/// A user whom we have asked.
#[derive(Default)]
struct User {
    /// The last number in a challenge, and how many triplets were used.
    number: u64,
    used: usize,
    /// Names that he has, oldest first.
    names: Vec<Vec<u8>>,
}

/// A name that was given away.
struct Given {
    kind: Kind,
    user: Vec<u8>,
    /// The secret of his SIM then: who has another has to prove it.
    secret: Secret,
    /// For fast re-authentication.
    again: Option<Again>,
}

/// What a fast re-authentication goes on from.
#[derive(Clone)]
pub(super) struct Again {
    /// The name to be said.
    pub(super) name: Vec<u8>,
    /// The last counter that was used.
    pub(super) counter: u16,
    pub(super) keys: Keys,
}

/// Who a name belongs to.
pub(super) struct Found {
    pub(super) user: Vec<u8>,
    pub(super) secret: Secret,
    pub(super) again: Option<Again>,
}

impl Sims {
    /// The highest number that our card took.
    pub(super) fn seen(&self, user: &[u8]) -> u64 {
        self.ours.get(user).map_or(0, |own| own.seen)
    }

    pub(super) fn saw(&mut self, user: &[u8], number: u64) {
        self.own(user).seen = number;
    }

    /// The name that we were given, with our realm.
    pub(super) fn pseudonym(&self, user: &[u8], kind: Kind) -> Option<Vec<u8>> {
        self.ours.get(user)?.pseudonyms.get(&kind).cloned()
    }

    /// What we go on from, once.
    pub(super) fn take_again(&mut self, user: &[u8], kind: Kind) -> Option<Again> {
        self.ours.get_mut(user)?.again.remove(&kind)
    }

    /// Keeps what an authenticator has given us: names for the next time. Without one for it, there is no fast
    /// re-authentication (RFC 4187 §5.3).
    pub(super) fn keep(&mut self, user: &[u8], kind: Kind, pseudonym: Option<&[u8]>, again: Option<Again>) {
        let own = self.own(user);
        if let Some(pseudonym) = pseudonym {
            let (_, realm) = split_realm(user);
            own.pseudonyms.insert(kind, [pseudonym, realm].concat());
        }
        match again {
            Some(again) => own.again.insert(kind, again),
            None => own.again.remove(&kind),
        };
    }

    fn own(&mut self, user: &[u8]) -> &mut Own {
        bounded(&mut self.ours, user);
        self.ours.entry(user.to_vec()).or_default()
    }

    /// The number of the next challenge of a user.
    pub(super) fn next_number(&mut self, user: &[u8]) -> u64 {
        // 3GPP TS 33.102 C.1.1.1: the low five bits are an index of cards, and not used.
        const STEP: u64 = 1 << 5;
        let user = self.user(user);
        user.number = (user.number + STEP) & ((1 << 48) - 1);
        user.number
    }

    pub(super) fn set_number(&mut self, user: &[u8], number: u64) {
        self.user(user).number = number;
    }

    /// Where among so many triplets of a user the next ones are.
    pub(super) fn next_triplets(&mut self, user: &[u8], count: usize) -> usize {
        let user = self.user(user);
        let at = user.used;
        user.used = user.used.wrapping_add(count);
        at
    }

    /// Whose name it is. One for fast re-authentication is for once.
    pub(super) fn find(&mut self, name: &[u8], kind: Kind) -> Option<Found> {
        let (bare, _) = split_realm(name);
        let given = self.names.get(bare).filter(|given| given.kind == kind)?;
        let (user, secret) = (given.user.clone(), given.secret.clone());
        match given.again.is_some() {
            false => Some(Found { user, secret, again: None }),
            true => Some(Found { user, secret, again: self.names.remove(bare)?.again }),
        }
    }

    /// Remembers a name that a user was given.
    pub(super) fn give(&mut self, kind: Kind, user: &[u8], secret: &Secret, name: &[u8], again: Option<Again>) {
        let (bare, _) = split_realm(name);
        let known = self.user(user);
        known.names.push(bare.to_vec());
        let old = known.names.len().saturating_sub(limits::SIM_NAMES);
        let old: Vec<Vec<u8>> = known.names.drain(..old).collect();
        old.iter().for_each(|name| drop(self.names.remove(name)));
        self.names.insert(bare.to_vec(), Given { kind, user: user.to_vec(), secret: secret.clone(), again });
    }

    fn user(&mut self, user: &[u8]) -> &mut User {
        if let Some(gone) = bounded(&mut self.users, user) {
            gone.names.iter().for_each(|name| drop(self.names.remove(name)));
        }
        self.users.entry(user.to_vec()).or_default()
    }
}

/// Makes room for one more, if it is one more.
fn bounded<T>(map: &mut BTreeMap<Vec<u8>, T>, key: &[u8]) -> Option<T> {
    if map.len() < limits::SIMS || map.contains_key(key) {
        return None;
    }
    map.pop_first().map(|(_, gone)| gone)
}

impl fmt::Debug for Sims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sims({} of ours, {} users)", self.ours.len(), self.users.len())
    }
}
