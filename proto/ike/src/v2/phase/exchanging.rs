//! IKE_SA_INIT requests whose key exchange takes long. Somebody outside takes our step (`question.rs`), other peers are served
//! meanwhile, and the request is taken up anew with what came of it.
//!
//! Nothing else is kept and nothing decided before, so the second time goes by what is configured then. What waits counts as
//! half-open.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::BadPublicValue;
use ravelin_types::{Instant, Secret, Way};
use ravelin_wire::ike::v2::{Ke, Message};

use super::answer_init;
use crate::context::Core;
use crate::input::Datagram;
use crate::limits;
use crate::output::OpId;
use crate::question::{Answer, Question};
use crate::sa_table::InitKey;

/// Who takes the responder's step of the key exchange.
pub(crate) enum Step {
    /// We, unless it takes long.
    Usual,
    /// We, however long it takes: nobody else does.
    Here,
    /// Somebody took it.
    Taken(Result<(Vec<u8>, Secret), BadPublicValue>),
}

/// The requests that wait.
#[derive(Default)]
pub(crate) struct Exchanging(BTreeMap<OpId, Waiting>);

/// One of them, as it came.
pub(crate) struct Waiting {
    key: InitKey,
    way: Way,
    data: Vec<u8>,
    until: Instant,
}

impl Exchanging {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many from this address.
    pub(crate) fn from(&self, address: IpAddr) -> usize {
        self.0.values().filter(|waiting| waiting.way.remote.ip() == address).count()
    }

    /// Whether this request waits.
    pub(crate) fn has(&self, key: &InitKey) -> bool {
        self.0.values().any(|waiting| waiting.key == *key)
    }

    /// The request that an answer is about.
    pub(crate) fn take(&mut self, op: OpId) -> Option<Waiting> {
        self.0.remove(&op)
    }
}

/// Has the step taken for this request, unless too many wait.
pub(crate) fn ask(key: InitKey, ke: &Ke, datagram: Datagram<'_>, core: &mut Core) {
    let now = core.now;
    core.exchanging.0.retain(|_, waiting| now < waiting.until);
    let waiting = (core.exchanging.len(), core.exchanging.from(datagram.remote.ip()));
    if waiting.0 >= limits::SLOW_EXCHANGES || waiting.1 >= limits::SLOW_EXCHANGES_PER_ADDRESS {
        core.counters.refused_half_open += 1;
        return;
    }
    let op = core.question(Question::Exchange { method: ke.method, public: ke.data.clone() });
    let (way, data, until) = (datagram.way(), datagram.data.to_vec(), now + limits::ANSWER);
    core.exchanging.0.insert(op, Waiting { key, way, data, until });
}

/// Takes the request up anew.
pub(crate) fn go_on(waiting: Waiting, answer: Answer, core: &mut Core) {
    let Way { local, remote, carrier } = waiting.way;
    let datagram = Datagram { local, remote, carrier, data: &waiting.data };
    let step = match answer {
        Answer::Exchanged(exchanged) => Step::Taken(exchanged),
        _ => Step::Here,
    };
    // It parsed before.
    if let Ok(message) = Message::parse(datagram.data) {
        answer_init::respond(message, datagram, step, core);
    }
}
