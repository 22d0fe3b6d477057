//! Reading along: the keys of IKE SAs and what they protect, for the key log and for traces.
//!
//! Every message of IKE comes by here while somebody wants to read along, and the keys of its IKE SA are looked at first: so they
//! are known before the first message that they protect leaves, and after the SA that they belonged to has gone.

pub mod key_log;
pub mod trace;

use std::collections::{BTreeMap, VecDeque};

use ravelin_decode::keys::written::{self, TableLine};
use ravelin_ike::IkeSecrets;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::{IkeSpi, Secret};
use ravelin_wire::ike::header::Header;

use self::key_log::KeyLog;
use self::trace::Trace;
use super::core::Core;
use super::plane::Plane;

/// IKE SAs whose keys are remembered.
const MAX_KNOWN: usize = 4096;

/// Who reads along.
#[derive(Default)]
pub struct Tap {
    log: Option<(KeyLog, Known)>,
    pub(super) trace: Trace,
}

/// The key that each IKE SA had last, and the SAs in the order of their appearance.
#[derive(Default)]
pub(super) struct Known {
    keys: BTreeMap<(IkeSpi, IkeSpi), Secret>,
    order: VecDeque<(IkeSpi, IkeSpi)>,
}

impl Known {
    /// Whether these keys are new, and the IKE SA that has to be forgotten for them.
    pub(super) fn note(&mut self, secrets: &IkeSecrets) -> (bool, Option<(IkeSpi, IkeSpi)>) {
        let (spis, key) = match secrets {
            IkeSecrets::V1 { cookies, key, .. } => (*cookies, key),
            IkeSecrets::V2 { spis, encr, .. } => (*spis, &encr[0]),
        };
        match self.keys.get(&spis) {
            Some(before) if before.expose() == key.expose() => return (false, None),
            Some(_) => {}
            None => self.order.push_back(spis),
        }
        self.keys.insert(spis, key.clone());
        let gone = if self.order.len() > MAX_KNOWN { self.order.pop_front() } else { None };
        if let Some(gone) = &gone {
            self.keys.remove(gone);
        }
        (true, gone)
    }
}

/// The line of these keys. `None`: an algorithm has no name there.
pub(super) fn line_of(secrets: &IkeSecrets) -> Option<TableLine> {
    match secrets {
        IkeSecrets::V1 { cookies, key, .. } => Some(written::ikev1(cookies.0, key)),
        IkeSecrets::V2 { spis, suite, encr, integ } => written::ikev2(*spis, suite, encr.each_ref(), integ.each_ref()),
    }
}

impl Tap {
    /// One that writes keys down.
    pub fn writing(log: KeyLog) -> Self {
        Tap { log: Some((log, Known::default())), ..Tap::default() }
    }

    fn learn(&mut self, secrets: &IkeSecrets) {
        self.trace.learn(secrets);
        if let Some((log, known)) = &mut self.log
            && known.note(secrets).0
            && let Some(line) = line_of(secrets)
        {
            log.add(&line);
        }
    }
}

impl<P: Plane> Core<P> {
    /// Looks at the keys of the IKE SA that a message names, before and after it is dealt with: either may be the only time
    /// that they are there.
    pub(super) fn learn_keys(&mut self, message: &[u8]) {
        if self.tap.log.is_none() && !self.tap.trace.wants_messages() {
            return;
        }
        let Ok((header, _)) = Header::parse(message) else { return };
        for own in [header.initiator_spi, header.responder_spi] {
            if let Some(secrets) = self.endpoint.secrets(own) {
                self.tap.learn(&secrets);
            }
        }
    }

    /// Looks at the keys of an SA that is put in force.
    pub(super) fn learn_sa(&mut self, op: &DataPlaneOp) {
        if let (DataPlaneOp::AddSa(params), Some((log, _))) = (op, &mut self.tap.log)
            && let Some(line) = written::esp(params)
        {
            log.add(&line);
        }
    }
}
