//! Steps of key exchanges that take long: somebody outside takes them (`question.rs`), and other peers are served meanwhile.
//!
//! One rule holds for both versions, both roles and every exchange: *what needs such a step has not happened yet*.
//! ```text
//!   message ─► handler ─ step? ─ not slow, or answered ─► goes on
//!                 ▲        └ slow ─► Error::PutOff ─► the message is kept as it came ─► question
//!                 └────────────────── the message comes again ◄────────────────────────── answer
//! ```
//! A handler takes its steps before it changes anything: put off, it leaves the IKE SA as it was, with its timers and
//! repetitions. The second time it goes by what is true and configured then. What an IKE SA begins by itself stays among its
//! tasks. So no state machine has a state for this, and an answer that finds nobody is dropped.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate};
use ravelin_types::transform::KeMethod;
use ravelin_types::{IkeSpi, Instant, Secret, Way};
use ravelin_wire::ike::header::Header;

use crate::context::Core;
use crate::error::Error;
use crate::input::Datagram;
use crate::limits;
use crate::output::OpId;
use crate::question::{Answer, Question};
use crate::sa_table::{Counts, InitKey};

/// What waits, and what is known to the input that is being handled.
#[derive(Default)]
pub(crate) struct Exchanging {
    waiting: BTreeMap<Key, PutOff>,
    keys: BTreeMap<OpId, Key>,
    /// Of peers that have yet to prove who they are.
    strangers: Counts,
    current: Current,
}

/// What it is that waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// A first message, for which there is no IKE SA yet.
    First(InitKey),
    /// A message for the IKE SA with this SPI of ours: its message ID, and whether it is a response.
    Message(IkeSpi, u32, bool),
    /// What the IKE SA with this SPI of ours does by itself.
    Own(IkeSpi),
}

impl Key {
    /// Our SPI of its IKE SA.
    fn owner(&self) -> Option<IkeSpi> {
        match self {
            Key::First(_) => None,
            Key::Message(spi, ..) | Key::Own(spi) => Some(*spi),
        }
    }
}

/// A message as it came; `None`: it is about no message.
type Kept = Option<(Way, Vec<u8>)>;

struct PutOff {
    op: OpId,
    step: Step,
    /// Steps before that one.
    done: Vec<Done>,
    message: Kept,
    /// Where it came from, when that is a stranger.
    stranger: Option<IpAddr>,
    until: Instant,
}

/// A step that somebody takes.
enum Step {
    Generate(KeMethod),
    Respond(KeMethod),
    Agree(Arc<dyn KePrivate>),
}

/// A step that was taken.
enum Done {
    Generated(KeMethod, Arc<dyn KePrivate>),
    Responded(KeMethod, Result<(Vec<u8>, Secret), BadPublicValue>),
    Agreed(Arc<dyn KePrivate>, Result<Secret, BadPublicValue>),
}

/// The input that is being handled.
#[derive(Default)]
struct Current {
    /// What waited before.
    again: Option<Key>,
    done: Vec<Done>,
    /// Nobody else takes steps, so we do.
    here: bool,
    /// The step that it turned out to need.
    missing: Option<(Step, Question)>,
}

/// What happens now that its step was taken.
pub(crate) enum Again {
    /// This message arrives.
    Message(Way, Vec<u8>),
    /// The IKE SA with this SPI of ours goes on by itself.
    Own(IkeSpi),
}

impl Exchanging {
    /// What strangers wait for.
    pub(crate) fn strangers(&self) -> &Counts {
        &self.strangers
    }

    /// Whether this first message waits.
    pub(crate) fn has(&self, key: &InitKey) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&Key::First(key.clone()))
    }

    /// Whether what is being handled has waited before.
    pub(crate) fn is_again(&self) -> bool {
        self.current.again.is_some()
    }

    fn remove(&mut self, key: &Key) -> Option<PutOff> {
        let put_off = self.waiting.remove(key)?;
        self.keys.remove(&put_off.op);
        if let Some(from) = put_off.stranger {
            self.strangers.remove(from);
        }
        Some(put_off)
    }

    /// Drops the first messages that wait.
    pub(crate) fn forget_first(&mut self) {
        let first: Vec<Key> = self.waiting.keys().filter(|key| key.owner().is_none()).cloned().collect();
        for key in first {
            self.remove(&key);
        }
    }

    /// Drops what nobody answered in time.
    fn forget(&mut self, now: Instant) {
        let late: Vec<Key> =
            self.waiting.iter().filter(|(_, waiting)| waiting.until <= now).map(|(key, _)| key.clone()).collect();
        for key in late {
            self.remove(&key);
        }
    }

    /// The answer to a question of this file, and whether it was one: `Err` gives it back.
    fn answered(&mut self, op: OpId, answer: Answer) -> Result<(Key, Kept, Instant), Answer> {
        let Some(key) = self.keys.get(&op).cloned() else { return Err(answer) };
        let Some(PutOff { step, mut done, message, until, .. }) = self.remove(&key) else { return Err(answer) };
        let taken = match (step, answer) {
            (Step::Generate(method), Answer::Generated(private)) => Some(Done::Generated(method, private)),
            (Step::Respond(method), Answer::Exchanged(result)) => Some(Done::Responded(method, result)),
            (Step::Agree(private), Answer::Agreed(result)) => Some(Done::Agreed(private, result)),
            _ => None,
        };
        let here = taken.is_none();
        done.extend(taken);
        self.current = Current { again: Some(key.clone()), done, here, missing: None };
        Ok((key, message, until))
    }

    /// Whether a step is for others to take. Then it is noted as what is missing.
    fn misses(&mut self, alg: &dyn KeAlg, step: impl FnOnce() -> (Step, Question)) -> bool {
        let misses = alg.is_slow() && !self.current.here;
        if misses {
            self.current.missing = Some(step());
        }
        misses
    }

    /// A key pair that was made, to be used once.
    fn take_pair(&mut self, method: KeMethod) -> Option<Arc<dyn KePrivate>> {
        let is_it = |done: &mut Done| matches!(done, Done::Generated(of, _) if *of == method);
        match self.current.done.extract_if(.., is_it).next() {
            Some(Done::Generated(_, private)) => Some(private),
            _ => None,
        }
    }
}

impl Core {
    /// The initiator's first step.
    ///
    /// # Errors
    /// [`Error::PutOff`] while somebody takes it.
    pub(crate) fn generate(&mut self, method: KeMethod) -> Result<Arc<dyn KePrivate>, Error> {
        self.prepare(method)?;
        match self.exchanging.take_pair(method) {
            Some(private) => Ok(private),
            None => Ok(self.ke(method)?.generate(&mut *self.rng)),
        }
    }

    /// Sees to it that [`Core::generate`] goes on at once, later in the same input.
    ///
    /// # Errors
    /// As of that.
    pub(crate) fn prepare(&mut self, method: KeMethod) -> Result<(), Error> {
        let alg = self.ke(method)?;
        let is_there = |done: &Done| matches!(done, Done::Generated(of, _) if *of == method);
        if self.exchanging.current.done.iter().any(is_there) {
            return Ok(());
        }
        let misses = self.exchanging.misses(alg, || (Step::Generate(method), Question::Generate { method }));
        if misses { Err(Error::PutOff) } else { Ok(()) }
    }

    /// The responder's step.
    ///
    /// # Errors
    /// [`Error::PutOff`] while somebody takes it; when the peer's value is none.
    pub(crate) fn respond(&mut self, method: KeMethod, public: &[u8]) -> Result<(Vec<u8>, Secret), Error> {
        let alg = self.ke(method)?;
        let done = self.exchanging.current.done.iter().find_map(|done| match done {
            Done::Responded(of, result) if *of == method => Some(result.clone()),
            _ => None,
        });
        let question = || (Step::Respond(method), Question::Exchange { method, public: public.to_vec() });
        let result = match done {
            Some(result) => result,
            None if self.exchanging.misses(alg, question) => return Err(Error::PutOff),
            None => alg.respond(public, &mut *self.rng),
        };
        result.map_err(|BadPublicValue| Error::BadPublicValue)
    }

    /// The initiator's second step.
    ///
    /// # Errors
    /// [`Error::PutOff`] while somebody takes it; when the peer's value is none.
    pub(crate) fn agree(
        &mut self,
        method: KeMethod,
        private: &Arc<dyn KePrivate>,
        public: &[u8],
    ) -> Result<Secret, Error> {
        let alg = self.ke(method)?;
        let done = self.exchanging.current.done.iter().find_map(|done| match done {
            Done::Agreed(of, result) if Arc::ptr_eq(of, private) => Some(result.clone()),
            _ => None,
        });
        let question = || {
            let question = Question::Agree { private: private.clone(), public: public.to_vec() };
            (Step::Agree(private.clone()), question)
        };
        let result = match done {
            Some(result) => result,
            None if self.exchanging.misses(alg, question) => return Err(Error::PutOff),
            None => private.agree(public),
        };
        result.map_err(|BadPublicValue| Error::BadPublicValue)
    }

    fn ke(&self, method: KeMethod) -> Result<&'static dyn KeAlg, Error> {
        self.crypto.ke(method).ok_or(Error::NOT_BUILT_IN)
    }

    /// Keeps a first message of a peer until its step is taken.
    pub(crate) fn put_off_first(&mut self, key: InitKey, datagram: Datagram<'_>) {
        self.put_off(Key::First(key), Some(datagram), true);
    }

    /// Keeps a message for the IKE SA with this SPI of ours; `stranger`: its peer has yet to prove who it is.
    pub(crate) fn put_off_message(&mut self, owner: IkeSpi, header: &Header, datagram: Datagram<'_>, stranger: bool) {
        let key = Key::Message(owner, header.message_id, header.flags.is_response());
        self.put_off(key, Some(datagram), stranger);
    }

    /// Has the IKE SA with this SPI of ours go on by itself when its step is taken. It has one such question at a time.
    pub(crate) fn put_off_own(&mut self, owner: IkeSpi) {
        self.put_off(Key::Own(owner), None, false);
    }

    fn put_off(&mut self, key: Key, datagram: Option<Datagram<'_>>, stranger: bool) {
        let Some((step, question)) = self.exchanging.current.missing.take() else { return };
        let now = self.now;
        if let Some(waiting) = self.exchanging.waiting.get_mut(&key).filter(|waiting| now < waiting.until) {
            // It came again: from an authentic copy it is known where the peer is by now (RFC 7296 §2.23).
            self.counters.repeated += u64::from(datagram.is_some());
            if let (Some((way, data)), Some(datagram), None) = (&mut waiting.message, datagram, waiting.stranger)
                && data == datagram.data
            {
                *way = datagram.way();
            }
            return;
        }
        self.exchanging.remove(&key);
        let stranger = datagram.map(|datagram| datagram.remote.ip()).filter(|_| stranger);
        if self.is_full(&key, stranger) {
            self.exchanging.forget(now);
            if self.is_full(&key, stranger) {
                // It will come again.
                self.counters.refused_half_open += u64::from(stranger.is_some());
                return;
            }
        }
        let op = self.question(question);
        let again = self.exchanging.current.again.as_ref() == Some(&key);
        let done = if again { core::mem::take(&mut self.exchanging.current.done) } else { Vec::new() };
        let message = datagram.map(|datagram| (datagram.way(), datagram.data.to_vec()));
        self.exchanging.keys.insert(op, key.clone());
        if let Some(from) = stranger {
            self.exchanging.strangers.add(from);
        }
        let until = now + limits::ANSWER;
        self.exchanging.waiting.insert(key, PutOff { op, step, done, message, stranger, until });
    }

    /// Whether there is no room for one more.
    fn is_full(&self, key: &Key, stranger: Option<IpAddr>) -> bool {
        let strangers = &self.exchanging.strangers;
        let of_strangers = stranger.is_some_and(|from| {
            strangers.total() >= limits::SLOW_EXCHANGES || strangers.from(from) >= limits::SLOW_EXCHANGES_PER_ADDRESS
        });
        let of_owner = key.owner().is_some_and(|spi| {
            let messages = Key::Message(spi, 0, false)..=Key::Message(spi, u32::MAX, true);
            self.exchanging.waiting.range(messages).count() >= limits::PUT_OFF
        });
        of_strangers || of_owner && matches!(key, Key::Message(..))
    }

    /// The answer to the question `op`, if that was asked here: whose it is does what it put off, with the step taken.
    /// [`Core::is_over`] is to be said behind it. `Err` gives the answer back.
    pub(crate) fn taken(&mut self, op: OpId, answer: Answer) -> Result<Option<Again>, Answer> {
        let (key, message, until) = self.exchanging.answered(op, answer)?;
        let gone = key.owner().is_some_and(|spi| self.table.get(spi).is_none());
        Ok(match (message, key) {
            _ if gone => None,
            // It came again since, or its sender has given up.
            (Some(_), _) if until <= self.now => None,
            (Some((way, data)), _) => Some(Again::Message(way, data)),
            (None, Key::Own(spi)) => Some(Again::Own(spi)),
            (None, _) => None,
        })
    }

    /// The input is handled: what is left of its steps has no use any more.
    pub(crate) fn is_over(&mut self) {
        self.exchanging.current = Current::default();
    }
}
