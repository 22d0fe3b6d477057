//! Policies that our IKE has no part in: SAs with keys given by hand (`ipsec addsa`), and what a program added through
//! the management messages.

use std::path::Path;

use ravelin_manage::Keying;
use ravelin_manage::session::{Ah, Ends, Esp, Session};
use ravelin_types::Spi;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Policy, PolicyId, PriorityLevel, Protection, Ways};
use ravelin_types::transform::IntegId;

use super::{Model, ModelError};
use crate::command::DelSaArgs;
use crate::spec::ManualSpec;
use crate::spec::setkey::{Entry, Sa};
use crate::value::key::KeySource;
use crate::value::selector::IdString;

/// Such a policy.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// As the data plane has it; named after its number.
    pub policy: Policy,
    /// Where its keys come from.
    pub keying: Keying,
    /// Its SAs, where they were given by hand with it.
    pub session: Option<Session>,
    /// How they were given.
    pub spec: Option<ManualSpec>,
    /// What it was made from, where that was a script of setkey(8).
    pub made: Option<Made>,
}

/// The script's statements behind a policy and its session.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The policies of one direction.
    pub entries: Vec<Entry>,
    /// The SAs of one direction; none as long as one is missing.
    pub sas: Vec<Sa>,
}

impl Model {
    /// Adds an SA with its keys, and the policy that sends by it. Files of keys are sought in `directory`.
    ///
    /// # Errors
    /// When a key cannot be had.
    pub fn add_manual(&mut self, spec: ManualSpec, directory: &Path) -> Result<PolicyId, ModelError> {
        let ends = |[inbound, outbound]: &[KeySource; 2]| -> Result<Ends<_>, ModelError> {
            let read = |source: &KeySource| source.read(directory).map_err(ModelError::Key);
            Ok(Ends { inbound: read(inbound)?, outbound: read(outbound)? })
        };
        let spis = |inbound: Spi, outbound: Spi| Ends { inbound, outbound };
        let (integ, integ_keys) = match &spec.integ {
            Some((id, keys)) => (*id, ends(keys)?),
            None => (IntegId::NONE, Ends::default()),
        };
        let ah =
            spec.ah.map(|(inbound, outbound)| Ah { spis: spis(inbound, outbound), integ, keys: integ_keys.clone() });
        // Where both are used, one algorithm is named: the session gives ESP that of AH if its cipher needs one.
        let (integ, integ_keys) = if ah.is_some() { (IntegId::NONE, Ends::default()) } else { (integ, integ_keys) };
        let esp = match &spec.esp {
            Some((inbound, outbound, encr, keys)) => {
                let encr_keys = ends(keys)?;
                Some(Esp { spis: spis(*inbound, *outbound), encr: encr.0, encr_keys, integ, integ_keys })
            }
            None => None,
        };
        let keying = Keying::Program { manual: true, ah: ah.is_some(), esp: esp.is_some() };
        let session = Session { esp, ah, esn: false, lifetime: Lifetime::default(), udp_ports: None, manual: true };
        let action = Action::Protect(Protection {
            mode: spec.mode,
            local: spec.local,
            remote: spec.remote,
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            // RFC 4303 §3.4.3: with keys by hand, a sender that starts anew begins at 1 again.
            replay_window: 0,
            options: spec.options,
        });
        let policy = Policy {
            id: PolicyId(0),
            name: String::new(),
            domain: Domain::default(),
            priority: PriorityLevel::Medium.priority(),
            local: vec![spec.source.bind(&spec.protocol)],
            remote: vec![spec.destination.bind(&spec.protocol)],
            action,
            ways: Ways::default(),
        };
        let id = self.add_keyed(policy, keying, Some(session))?;
        if let Some(keyed) = self.keyed.get_mut(&id) {
            keyed.spec = Some(spec);
        }
        Ok(id)
    }

    /// Removes what [`Model::add_manual`] added for this traffic.
    ///
    /// # Errors
    /// When there is nothing.
    pub fn delete_manual(&mut self, which: &DelSaArgs) -> Result<Vec<PolicyId>, ModelError> {
        let end = |end: IdString| vec![end.bind(&which.protocol)];
        let (local, remote) = (end(which.source), end(which.destination));
        let meant =
            |keyed: &&Keyed| keyed.spec.is_some() && keyed.policy.local == local && keyed.policy.remote == remote;
        let ids: Vec<PolicyId> = self.keyed.values().filter(meant).map(|keyed| keyed.policy.id).collect();
        if ids.is_empty() {
            return Err(ModelError::NoSuchSa);
        }
        self.keyed.retain(|id, _| !ids.contains(id));
        Ok(ids)
    }

    /// Adds a policy under its number, or under a new one where that is 0.
    ///
    /// # Errors
    /// When the number is or was in use, or none is left.
    pub fn add_keyed(
        &mut self,
        mut policy: Policy,
        keying: Keying,
        session: Option<Session>,
    ) -> Result<PolicyId, ModelError> {
        let id = match policy.id {
            PolicyId(0) => self.new_id()?,
            chosen if chosen.0 < self.next_id || self.keyed.contains_key(&chosen) => {
                return Err(ModelError::NumberUsed(chosen));
            }
            chosen => chosen,
        };
        policy.id = id;
        policy.name = format!("spid-{}", id.0);
        self.keyed.insert(id, Keyed { policy, keying, session, spec: None, made: None });
        Ok(id)
    }

    /// Removes one of these policies; whether there was one.
    pub fn delete_keyed(&mut self, id: PolicyId) -> bool {
        let removed = self.keyed.remove(&id);
        if let Some(made) = removed.as_ref().and_then(|keyed| keyed.made.as_ref()) {
            self.forget_entries(made);
        }
        removed.is_some()
    }

    /// Forgets all SAs that were given by hand; their policies stay.
    pub fn forget_sessions(&mut self) {
        self.keyed.values_mut().for_each(|keyed| (keyed.session, keyed.spec) = (None, None));
        self.forget_scripted_sas();
    }

    /// These policies, in the order of numbers.
    pub fn keyed(&self) -> impl Iterator<Item = &Keyed> {
        self.keyed.values()
    }

    /// The one of this number.
    pub fn keyed_by_id(&self, id: PolicyId) -> Option<&Keyed> {
        self.keyed.get(&id)
    }

    /// A number that was never given.
    pub(super) fn new_id(&mut self) -> Result<PolicyId, ModelError> {
        loop {
            let id = PolicyId(self.next_id);
            self.next_id = self.next_id.checked_add(1).ok_or(ModelError::Full)?;
            // A program may have chosen one that was still to come.
            if !self.keyed.contains_key(&id) {
                return Ok(id);
            }
        }
    }
}
