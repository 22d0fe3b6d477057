//! A changed model takes the place of the running one: all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_config::Model;
use ravelin_ike::{Command, Config, Input};
use ravelin_manage::Refused;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp, SaStatus};
use ravelin_types::policy::PolicyId;
use ravelin_types::proposal::Proposal;
use ravelin_types::sa::{SaId, SaParams};
use ravelin_types::{ErrorCode, Instant};

use super::Core;
use crate::daemon::keyed::session_ops;
use crate::daemon::plane::Plane;

impl<P: Plane> Core<P> {
    /// Puts a changed model in the place of the running one, if the data plane takes it; else nothing has changed. What an operator
    /// should know of it is logged, and comes back.
    ///
    /// # Errors
    /// What the data plane refused, and why.
    pub(in crate::daemon) fn adopt(&mut self, newer: Model, now: Instant) -> Result<Vec<String>, Refused> {
        self.adopt_by(newer, |core, ops| core.plane.apply_all(ops), now)
    }

    /// The same, with the data plane changed in this way.
    pub(super) fn adopt_by(
        &mut self,
        newer: Model,
        apply_all: impl FnOnce(&mut Self, &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)>,
        now: Instant,
    ) -> Result<Vec<String>, Refused> {
        let refused = |code, why: String| Refused { code, why: format!("nothing was changed: {why}") };
        let mut newer = newer;
        let known = self.endpoint.host_names();
        let found = known.iter().filter(|host| !host.addresses.is_empty());
        newer.hosts_found(found.map(|host| (&host.name, host.addresses.as_slice())));
        let coming = offers(&self.plane, newer.ike_config_since(&self.model, &self.sources));
        if let Some(mistake) = coming.mistakes(&self.crypto).first() {
            return Err(refused(ErrorCode::BadParam, mistake.to_string()));
        }
        // SAs first: a policy finds them when it takes effect.
        let added = newer.keyed().filter(|keyed| self.model.keyed_by_id(keyed.policy.id).is_none());
        let sessions = session_ops(added, &mut self.plane, &self.crypto);
        let coming = sessions.map_err(|error| refused(error.code, error.why))?;
        let (replaced, before) = self.replaced(&coming, &newer);
        let mut ops: Vec<DataPlaneOp> =
            replaced.iter().map(|sa| DataPlaneOp::DeleteSa(sa.id())).chain(coming).collect();
        ops.extend(self.model.difference(&newer).into_iter().map(|op| self.keep_live(op, &newer)));
        if let Err((failed, error)) = apply_all(self, &ops) {
            let why = refusal(ops.get(failed), &error);
            self.roll_back(ops.get(..failed).unwrap_or_default(), &replaced);
            return Err(refused(error.code(), why));
        }
        self.note_deleted(&replaced.iter().map(SaParams::id).collect::<Vec<_>>(), &before);
        let gone = self.model.gone(&newer);
        let advice = newer.advice_since(&self.model);
        let before = std::mem::replace(&mut self.model, newer);
        advice.iter().for_each(|advice| tracing::warn!("{advice}"));
        self.sessions.reconfigured();
        // The SAs of a policy have no use without it.
        for id in &gone {
            self.retries.remove(id);
            self.nowhere.remove(id);
            // IKE knows the policy as long as it works with what was before.
            self.tell(Input::Command(Command::TerminateChild(Some(*id))), now);
        }
        if !gone.is_empty() {
            self.delete_keyed_sas(|sa| gone.contains(&sa.policy));
        }
        self.note_policies(&ops);
        let model = &self.model;
        self.failures.retain(|name| model.versions(name).next().is_some());
        if !self.sources.is_empty() {
            let addresses: BTreeSet<IpAddr> = model.remotes().flat_map(|entry| entry.spec.addresses()).collect();
            self.sources.retain(|address, _| addresses.contains(address));
        }
        self.configure_later(now);
        self.start_at_once(&before, now);
        self.pump(now);
        Ok(advice)
    }

    /// A policy that no longer stands by itself stays for the SAs that it has.
    fn keep_live(&self, op: DataPlaneOp, newer: &Model) -> DataPlaneOp {
        match op {
            DataPlaneOp::DeletePolicy(id) if newer.policy_by_id(id).is_some() => {
                self.live.policy(id).map_or(DataPlaneOp::DeletePolicy(id), DataPlaneOp::AddPolicy)
            }
            op => op,
        }
    }

    /// SAs that go, and whose names are those of SAs that come: they must go first. All SAs there were, beside.
    fn replaced(&mut self, coming: &[DataPlaneOp], newer: &Model) -> (Vec<SaParams>, Vec<SaStatus>) {
        let names = coming.iter().filter_map(|op| match op {
            DataPlaneOp::AddSa(params) => Some(params.id()),
            _ => None,
        });
        let names: BTreeSet<SaId> = names.collect();
        if names.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let before = self.plane.list();
        let goes = |id| self.model.keyed_by_id(id).is_some() && newer.keyed_by_id(id).is_none();
        let replaced = before.iter().map(|sa| &sa.params).filter(|sa| names.contains(&sa.id()) && goes(sa.policy));
        (replaced.cloned().collect(), before)
    }

    fn roll_back(&mut self, done: &[DataPlaneOp], replaced: &[SaParams]) {
        let old: BTreeMap<PolicyId, _> = self.model.spd().into_iter().map(|policy| (policy.id, policy)).collect();
        let interfaces = self.model.interfaces();
        let undo: Vec<DataPlaneOp> = done
            .iter()
            .rev()
            .filter_map(|op| {
                let id = match op {
                    DataPlaneOp::AddSa(params) => return Some(DataPlaneOp::DeleteSa(params.id())),
                    DataPlaneOp::DeleteSa(id) => {
                        return replaced.iter().find(|sa| sa.id() == *id).cloned().map(DataPlaneOp::AddSa);
                    }
                    DataPlaneOp::AddInterface(added) => return Some(DataPlaneOp::DeleteInterface(added.domain)),
                    DataPlaneOp::DeleteInterface(domain) => {
                        return Some(DataPlaneOp::AddInterface(interfaces.get(domain)?.clone()));
                    }
                    DataPlaneOp::AddPolicy(policy) => policy.id,
                    DataPlaneOp::DeletePolicy(id) => *id,
                    _ => return None,
                };
                let old = old.get(&id);
                Some(old.map_or(DataPlaneOp::DeletePolicy(id), |policy| DataPlaneOp::AddPolicy(policy.clone())))
            })
            .collect();
        if let Err((index, error)) = self.plane.apply_all(&undo) {
            tracing::error!("a refused change could not be taken back: {}", refusal(undo.get(index), &error));
        }
    }
}

/// Why an operation is refused, in the words of who asked for it.
pub(super) fn refusal(op: Option<&DataPlaneOp>, error: &DataPlaneError) -> String {
    match op {
        Some(DataPlaneOp::AddPolicy(policy)) => format!("the policy {} is refused: {error}", policy.name),
        Some(DataPlaneOp::AddInterface(interface)) => format!("the interface {} is refused: {error}", interface.name),
        _ => error.to_string(),
    }
}

/// The configuration without what the data plane has not, so that nothing is offered or chosen that cannot be installed.
/// A proposal that is not whole any more is left out.
pub(super) fn offers<P: Plane>(plane: &P, config: Arc<Config>) -> Arc<Config> {
    let whole = |proposal: &Proposal| proposal.transforms.iter().all(|transform| plane.has(transform));
    let (processors, ipcomp, aggfrag) = (plane.processors(), plane.ipcomp(), plane.aggfrag());
    let mut config = Config { processors, ipcomp, aggfrag, ..Arc::unwrap_or_clone(config) };
    for proposals in config.policies.iter_mut().map(|child| &mut child.proposals) {
        if proposals.iter().all(whole) {
            continue;
        }
        proposals.retain_mut(|proposal| {
            let kinds =
                |proposal: &Proposal| -> BTreeSet<_> { proposal.transforms.iter().map(|it| it.kind()).collect() };
            let before = kinds(proposal);
            proposal.transforms.retain(|transform| plane.has(transform));
            kinds(proposal) == before
        });
    }
    Arc::new(config)
}
