//! When negotiations of policies begin: at once, as soon as their addresses can be used, and again after a failure.

use std::time::Duration;

use ravelin_config::Model;
use ravelin_config::spec::{Afterwards, Start};
use ravelin_ike::Command;
use ravelin_ike::explain::{Failure, Part};
use ravelin_ike::output::DownReason;
use ravelin_types::Instant;
use ravelin_types::policy::PolicyId;

use super::Core;
use crate::daemon::later;
use crate::daemon::plane::Plane;

/// How long after a failure a policy with `--start now` is tried again.
const RETRY: Duration = Duration::from_secs(10);

impl<P: Plane> Core<P> {
    /// Initiates the policies that start at once and were served by no remote in the model `before`.
    pub(super) fn start_at_once(&mut self, before: &Model, now: Instant) {
        let due = self.model.policies().filter(|entry| {
            let esp = entry.spec.esp.as_ref().filter(|esp| esp.start == Start::Now);
            let initiates = |name: &str| self.model.versions(name).any(|remote| remote.spec.initiate);
            esp.is_some_and(|esp| initiates(&esp.remote)) && !before.is_served(entry.id)
        });
        let due: Vec<PolicyId> = due.map(|entry| entry.id).collect();
        due.into_iter().for_each(|id| self.start(id, now));
    }

    /// Begins a negotiation for a policy, as soon as its address can be used.
    pub(super) fn start(&mut self, id: PolicyId, now: Instant) {
        if !self.is_settled(id, now) {
            self.retries.insert(id, now + later::AGAIN);
            return;
        }
        self.look_up_source(id, now);
        self.command(Command::Initiate(id), now);
    }

    /// Finds out from where the remote of a policy is reached, and has IKE know when that has changed.
    pub(in crate::daemon) fn look_up_source(&mut self, id: PolicyId, now: Instant) {
        let esp = self.model.policy_by_id(id).and_then(|entry| entry.spec.esp.as_ref());
        let Some(remote) = esp.and_then(|esp| self.model.find_remote(&esp.remote).ok()) else { return };
        if remote.spec.local.is_some() {
            return;
        }
        let mut changed = false;
        for address in remote.spec.addresses().collect::<Vec<_>>() {
            let found = self.plane.source_towards(address);
            let known = match found {
                Some(source) => self.sources.insert(address, source),
                None => self.sources.remove(&address),
            };
            changed |= known != found;
        }
        if changed {
            self.configure_later(now);
        }
    }

    fn starts_at_once(&self, id: PolicyId) -> bool {
        let esp = self.model.policy_by_id(id).and_then(|entry| entry.spec.esp.as_ref());
        esp.is_some_and(|esp| esp.start == Start::Now)
    }

    pub(super) fn retry_later(&mut self, id: PolicyId, reason: DownReason, now: Instant) {
        let Some(esp) = self.model.policy_by_id(id).and_then(|entry| entry.spec.esp.as_ref()) else { return };
        let afterwards = match reason {
            DownReason::Command | DownReason::Replaced | DownReason::Redirected | DownReason::Idle => return,
            DownReason::PeerDead | DownReason::PeerCrashed => esp.dead,
            DownReason::PeerDeleted => esp.closed,
            _ if esp.persistent => Afterwards::Start,
            _ => Afterwards::Nothing,
        };
        match afterwards {
            _ if self.stopping => {}
            Afterwards::Nothing => {}
            Afterwards::Start => _ = self.retries.insert(id, now + RETRY),
            Afterwards::Trap => self.set_trap(id, true, now),
        }
    }

    /// A failure of a whole remote concerns all its policies.
    pub(super) fn retry_failed(&mut self, failure: &Failure, now: Instant) {
        if self.stopping {
            return;
        }
        let (policy, remote) = (failure.policy, failure.remote.as_deref());
        // At a start of the system names may resolve later than policies that start at once.
        let nowhere = failure.part == Part::Name;
        let concerned = self.model.policies().filter(|entry| match policy {
            Some(id) => entry.id == id,
            None => entry.spec.esp.as_ref().is_some_and(|esp| Some(esp.remote.as_str()) == remote),
        });
        let ids: Vec<PolicyId> = concerned.map(|entry| entry.id).collect();
        for id in ids {
            let esp = self.model.policy_by_id(id).and_then(|entry| entry.spec.esp.as_ref());
            let again = esp.is_some_and(|esp| (esp.persistent || nowhere) && self.starts_at_once(id));
            if again && !self.has_child(id) {
                self.retries.entry(id).or_insert(now + RETRY);
            }
        }
    }
}
