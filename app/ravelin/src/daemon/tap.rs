//! Reading along: which keys are new, for the key log.
//!
//! Every message of IKE comes by here while somebody wants to read along, and the keys of its IKE SA are looked at first: so they
//! are known before the first message that they protect leaves, and after the SA that they belonged to has gone.

use std::collections::{BTreeMap, VecDeque};

use ravelin_decode::keys::written::{self, TableLine};
use ravelin_ike::IkeSecrets;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::{IkeSpi, Secret};
use ravelin_wire::ike::header::Header;

use super::core::Core;
use super::key_log::KeyLog;
use super::plane::Plane;

/// IKE SAs whose keys are remembered as written.
const MAX_KNOWN: usize = 4096;

/// Who reads along, and what is known to them.
#[derive(Debug, Default)]
pub struct Tap {
    log: Option<KeyLog>,
    /// The key that each IKE SA had last, and the SAs in the order of their appearance.
    known: BTreeMap<(IkeSpi, IkeSpi), Secret>,
    order: VecDeque<(IkeSpi, IkeSpi)>,
}

impl Tap {
    /// One that writes keys down.
    pub fn writing(log: KeyLog) -> Self {
        Tap { log: Some(log), ..Tap::default() }
    }

    fn is_idle(&self) -> bool {
        self.log.is_none()
    }

    /// The keys of an IKE SA, which may be known.
    fn ike(&mut self, secrets: &IkeSecrets) {
        let (spis, key) = match secrets {
            IkeSecrets::V1 { cookies, key, .. } => (*cookies, key),
            IkeSecrets::V2 { spis, encr, .. } => (*spis, &encr[0]),
        };
        match self.known.insert(spis, key.clone()) {
            Some(before) if before.expose() == key.expose() => return,
            Some(_) => {}
            None => self.order.push_back(spis),
        }
        if self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let line = match secrets {
            IkeSecrets::V1 { cookies, key, .. } => Some(written::ikev1(cookies.0, key)),
            IkeSecrets::V2 { spis, suite, encr, integ } => {
                written::ikev2(*spis, suite, encr.each_ref(), integ.each_ref())
            }
        };
        self.add(line);
    }

    fn add(&mut self, line: Option<TableLine>) {
        if let (Some(log), Some(line)) = (&mut self.log, line) {
            log.add(&line);
        }
    }
}

impl<P: Plane> Core<P> {
    /// Looks at the keys of the IKE SA that a message names, before and after it is dealt with: either may be the only time
    /// that they are there.
    pub(super) fn learn_keys(&mut self, message: &[u8]) {
        if self.tap.is_idle() {
            return;
        }
        let Ok((header, _)) = Header::parse(message) else { return };
        for own in [header.initiator_spi, header.responder_spi] {
            if let Some(secrets) = self.endpoint.secrets(own) {
                self.tap.ike(&secrets);
            }
        }
    }

    /// Looks at the keys of an SA that is put in force.
    pub(super) fn learn_sa(&mut self, op: &DataPlaneOp) {
        if let (DataPlaneOp::AddSa(params), false) = (op, self.tap.is_idle()) {
            let line = written::esp(params);
            self.tap.add(line);
        }
    }
}
