//! Accounts with static keys: their SAs come with the packets that need them, and go when nothing uses them any more.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_config::account::Account;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, Flow, SaStatus};
use ravelin_types::policy::{Policy, PolicyId};
use ravelin_types::sa::{Direction, SaId};

use crate::daemon::core::Core;
use crate::daemon::plane::Plane;

/// The accounts by their policies, and their SAs.
#[derive(Default)]
pub struct Statics {
    accounts: BTreeMap<PolicyId, Account>,
    server: bool,
    /// What was installed for whom.
    sas: BTreeMap<SaId, PolicyId>,
}

impl Statics {
    /// Those of a server or of a client.
    pub fn new(accounts: BTreeMap<PolicyId, Account>, server: bool) -> Self {
        Statics { accounts, server, sas: BTreeMap::new() }
    }
}

impl<P: Plane> Core<P> {
    /// The accounts whose policies are in force. At a server each login receives from anybody from now on.
    ///
    /// # Errors
    /// What the data plane refuses, for the operator.
    pub fn serve_statics(&mut self, statics: Statics) -> Result<(), String> {
        self.statics = statics;
        if !self.statics.server {
            return Ok(());
        }
        let places: Vec<(PolicyId, IpAddr)> =
            self.statics.accounts.iter().map(|(id, account)| (*id, account.server)).collect();
        for (id, server) in places {
            let anybody: IpAddr =
                if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            self.add_static(id, Direction::Inbound, server, anybody).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// A packet asks for an SA: `MONITOR_JOURNAL` tells of it.
    pub(in crate::daemon) fn write_down(&mut self, policy: PolicyId, flow: &Flow) {
        if self.journal.is_some() {
            let name = self.policy_name(policy);
            self.journal.iter_mut().for_each(|journal| journal.acquired(&name, flow));
        }
    }

    /// Whether an event of the data plane is about these accounts.
    pub(in crate::daemon) fn is_of_statics(&mut self, event: &DataPlaneEvent) -> bool {
        let known = |id: &SaId| self.statics.sas.contains_key(id);
        match event {
            DataPlaneEvent::Acquire { policy, flow, .. } if self.statics.accounts.contains_key(policy) => {
                self.static_flow(*policy, flow);
                true
            }
            // A server's inbound SA is everybody's, so it sees many senders.
            DataPlaneEvent::PeerMoved { id, .. } => known(id),
            DataPlaneEvent::Idle(id) if known(id) => {
                self.delete_static(*id);
                true
            }
            DataPlaneEvent::SoftExpire(id) if known(id) => {
                self.warn_of_numbers(*id);
                self.renew_static(*id);
                true
            }
            // It has gone by another hand.
            DataPlaneEvent::Lost(id) | DataPlaneEvent::HardExpire(id) if known(id) => {
                self.renew_static(*id);
                true
            }
            _ => false,
        }
    }

    fn static_flow(&mut self, id: PolicyId, flow: &Flow) {
        let (own, other) = (flow.src, flow.dst);
        // Not of a packet, but for what an earlier daemon had: here the next packet is what says between whom.
        if own.is_unspecified() || other.is_unspecified() {
            return;
        }
        let mut results = vec![self.add_static(id, Direction::Outbound, own, other)];
        if !self.statics.server {
            results.push(self.add_static(id, Direction::Inbound, own, other));
        }
        for error in results.into_iter().filter_map(Result::err) {
            tracing::warn!("no SA for {flow}: {error}");
        }
    }

    fn add_static(
        &mut self,
        id: PolicyId,
        direction: Direction,
        own: IpAddr,
        other: IpAddr,
    ) -> Result<(), DataPlaneError> {
        let (Some(account), Some(policy)) = (self.statics.accounts.get(&id), self.static_policy(id)) else {
            return Ok(());
        };
        let params = account.static_sa(policy, direction, own, other);
        let sa = params.id();
        // Another port of the same two hosts may have asked before.
        if self.statics.sas.contains_key(&sa) {
            return Ok(());
        }
        self.plane.apply(&DataPlaneOp::AddSa(params))?;
        self.statics.sas.insert(sa, id);
        Ok(())
    }

    fn static_policy(&self, id: PolicyId) -> Option<&Policy> {
        self.model.keyed_by_id(id).map(|keyed| &keyed.policy)
    }

    fn delete_static(&mut self, id: SaId) {
        self.statics.sas.remove(&id);
        if let Err(error) = self.plane.apply(&DataPlaneOp::DeleteSa(id)) {
            tracing::warn!("an SA could not be deleted: {error}");
        }
    }

    fn warn_of_numbers(&self, id: SaId) {
        let account = self.statics.sas.get(&id).and_then(|policy| self.statics.accounts.get(policy));
        tracing::warn!(
            "the sequence numbers of the account {} to {} run out: they begin anew; give it another password",
            account.map_or("?", |account| &account.name),
            id.dst
        );
    }

    /// An SA that is made anew begins at 1 again, which its receiver takes, for it cannot check for replays under a key that stays. No
    /// account has a cipher whose nonces are such numbers.
    fn renew_static(&mut self, id: SaId) {
        let Some(policy) = self.statics.sas.get(&id).copied() else { return };
        let Some(SaStatus { params, .. }) = self.plane.sa(id) else { return };
        self.delete_static(id);
        match self.plane.apply(&DataPlaneOp::AddSa(params)) {
            Ok(()) => drop(self.statics.sas.insert(id, policy)),
            Err(error) => tracing::warn!("an SA could not be made anew: {error}"),
        }
    }
}
