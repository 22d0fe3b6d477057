//! Policies that our IKE has no part in: their SAs, and the [`World`] that the management messages act on.

pub mod keying_socket;
pub mod psk;
pub mod setkey;
pub mod statics;

use std::net::IpAddr;

use ravelin_config::Model;
use ravelin_config::model::keyed::Keyed;
use ravelin_config::setkey::written;
use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_ike::Command;
use ravelin_manage::{AppId, Change, Keying, Refused, World};
use ravelin_types::dataplane::{DataPlaneOp, Flow, SaStatus};
use ravelin_types::policy::{Action, Domain, Policy, PolicyId};
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::select;
use ravelin_types::{ErrorCode, Instant};

use super::core::Core;
use super::plane::Plane;

/// The operations that install the SAs which were given by hand with these policies.
///
/// # Errors
/// What is wrong with them, for the operator.
pub(super) fn session_ops<'a, P: Plane>(
    keyed: impl Iterator<Item = &'a Keyed>,
    plane: &mut P,
    crypto: &CryptoProvider,
) -> Result<Vec<DataPlaneOp>, Refused> {
    let mut ops = Vec::new();
    for Keyed { policy, session, made, .. } in keyed {
        let (Some(session), Action::Protect(protection)) = (session, &policy.action) else { continue };
        let local = protection.local.or_else(|| plane.source_towards(protection.remote)).ok_or_else(|| {
            let why = format!(
                "there is no route to {} that would say which address is ours; give --local",
                protection.remote
            );
            Refused { code: ErrorCode::BadParam, why }
        })?;
        let sas =
            session.sas(policy, local, crypto).map_err(|refused| match made.iter().flat_map(|it| &it.sas).next() {
                // A script has many SAs: which ones are meant is said.
                Some(sa) => {
                    let Refused { code, why } = refused;
                    Refused { code, why: format!("the SA {} and its like: {why}", written::sa(&sa.name)) }
                }
                None => refused,
            })?;
        ops.extend(sas.map(DataPlaneOp::AddSa));
    }
    Ok(ops)
}

impl<P: Plane> Core<P> {
    /// Carries out a management message; the reply, if there is one.
    pub fn manage(&mut self, app: AppId, message: &[u8], now: Instant) -> Option<Vec<u8>> {
        let mut manager = self.manager.take()?;
        let answered = manager.handle(app, message, &mut Act { core: self, now }, now);
        self.manager = Some(manager);
        let (reply, refused) = answered?;
        if let Some(refused) = refused {
            tracing::info!("a management message was refused: {refused} ({})", refused.code.original());
        }
        Some(reply)
    }

    /// The next event for an application.
    pub fn management_event(&mut self, app: AppId) -> Option<Vec<u8>> {
        self.manager.as_mut()?.poll(app)
    }

    /// Whether an event waits for an application.
    pub fn has_management_event(&self, app: AppId) -> bool {
        self.manager.as_ref().is_some_and(|manager| manager.has_event(app))
    }

    /// The application is gone.
    pub fn management_hung_up(&mut self, app: AppId) {
        if let Some(manager) = &mut self.manager {
            manager.forget(app);
        }
    }

    /// Tells the applications what has changed. While a message is carried out, its manager does.
    pub(super) fn tell_changes(&mut self) {
        if let Some(manager) = &mut self.manager {
            self.changes.drain(..).for_each(|change| manager.changed(&change));
        }
    }

    /// Whether an event of the data plane is not our IKE's.
    pub(super) fn is_keyed_elsewhere(
        &mut self,
        event: &ravelin_types::dataplane::DataPlaneEvent,
        now: Instant,
    ) -> bool {
        // Without such policies nothing is to be looked up.
        if self.model.keyed().next().is_none() {
            return false;
        }
        let Some(mut manager) = self.manager.take() else { return false };
        let ours = manager.happened(event, &mut Act { core: self, now });
        self.manager = Some(manager);
        ours
    }

    /// Removes SAs, whoever keyed them.
    pub(super) fn delete_sas(&mut self, ids: &[SaId], now: Instant) {
        let named: Vec<PolicyId> = self.model.policies().map(|entry| entry.id).collect();
        let sas = self.plane.list();
        let policies = sas.iter().map(|sa| &sa.params).filter(|sa| ids.contains(&sa.id())).map(|sa| sa.policy);
        let negotiated: std::collections::BTreeSet<PolicyId> = policies.filter(|id| named.contains(id)).collect();
        // Our IKE tells the peer, and deletes what belongs to the policy.
        for id in &negotiated {
            self.command(Command::TerminateChild(Some(*id)), now);
        }
        self.delete_keyed_sas(|sa| ids.contains(&sa.id()) && !negotiated.contains(&sa.policy));
    }

    /// Removes SAs that our IKE does not know.
    pub(super) fn delete_keyed_sas(&mut self, chosen: impl Fn(&SaParams) -> bool) {
        let sas = self.plane.list();
        let gone: Vec<SaId> = sas.iter().map(|sa| &sa.params).filter(|sa| chosen(sa)).map(SaParams::id).collect();
        self.note_deleted(&gone, &sas);
        for id in gone {
            if let Err(error) = self.plane.apply(&DataPlaneOp::DeleteSa(id)) {
                tracing::warn!("an SA could not be deleted: {error}");
            }
        }
    }

    /// Remembers for the applications that sessions are gone: each is told once, by what received in it.
    pub(super) fn note_deleted(&mut self, gone: &[SaId], sas: &[SaStatus]) {
        let inbound = |sa: &&SaStatus| sa.params.direction == Direction::Inbound && gone.contains(&sa.params.id());
        for sa in sas.iter().filter(inbound).map(|sa| &sa.params) {
            let twin = sas
                .iter()
                .map(|other| &other.params)
                .find(|other| other.direction == Direction::Outbound && (other.spi, other.pair) == (sa.pair, sa.spi));
            self.changes.push(Change::SessionDeleted(Box::new(sa.clone()), twin.cloned().map(Box::new)));
        }
    }

    /// Whether applications want to know of changes.
    pub(super) fn is_watched(&self) -> bool {
        // While a message is carried out, its sender may be one of them.
        self.manager.as_ref().is_none_or(|manager| manager.is_watched())
    }

    /// What a changed model means to applications.
    pub(super) fn note_policies(&mut self, ops: &[DataPlaneOp]) {
        for op in ops {
            match op {
                DataPlaneOp::AddPolicy(policy) => {
                    let keying = self.model.keyed_by_id(policy.id).map_or(Keying::Own, |keyed| keyed.keying);
                    self.changes.push(Change::PolicyAdded(Box::new(policy.clone()), keying));
                }
                DataPlaneOp::DeletePolicy(id) => self.changes.push(Change::PolicyDeleted(*id)),
                _ => {}
            }
        }
    }
}

/// The core while a message is carried out.
struct Act<'a, P> {
    core: &'a mut Core<P>,
    now: Instant,
}

impl<P: Plane> Act<'_, P> {
    /// Every policy: of the configuration, and of elsewhere.
    fn spd(&self) -> Vec<(Policy, Keying)> {
        let named = self.core.model.policies().map(|entry| (entry.spd_policy(), Keying::Own));
        named.chain(self.core.model.keyed().map(|keyed| (keyed.policy.clone(), keyed.keying))).collect()
    }

    fn change(&mut self, change: impl FnOnce(&mut Model) -> Result<(), ErrorCode>) -> Result<(), ErrorCode> {
        let mut newer = self.core.model.clone();
        change(&mut newer)?;
        self.core.adopt(newer, self.now).map(drop).map_err(|refused| {
            tracing::warn!("{refused}");
            refused.code
        })
    }
}

impl<P: Plane> World for Act<'_, P> {
    fn policy(&self, id: PolicyId) -> Option<(Policy, Keying)> {
        let model = &self.core.model;
        let named = model.policy_by_id(id).map(|entry| (entry.spd_policy(), Keying::Own));
        named.or_else(|| model.keyed_by_id(id).map(|keyed| (keyed.policy.clone(), keyed.keying)))
    }

    fn policy_after(&self, id: PolicyId) -> Option<(Policy, Keying)> {
        let model = &self.core.model;
        let ids = model.policies().map(|entry| entry.id).chain(model.keyed().map(|keyed| keyed.policy.id));
        self.policy(ids.filter(|other| *other > id).min()?)
    }

    fn lookup(&self, domain: Domain, flow: &Flow) -> Option<(Policy, Keying)> {
        let fits = |policy: &Policy| policy.domain == domain && select(&policy.local, &policy.remote, flow);
        let found = self.spd().into_iter().filter(|(policy, _)| fits(policy));
        found.min_by_key(|(policy, _)| (policy.priority, policy.id))
    }

    fn add_policy(&mut self, policy: Policy, keying: Keying) -> Result<PolicyId, ErrorCode> {
        let mut id = policy.id;
        self.change(|model| {
            id = model.add_keyed(policy, keying, None).map_err(|error| match error {
                ravelin_config::ModelError::NumberUsed(_) => ErrorCode::Exist,
                _ => ErrorCode::OutOfPolicies,
            })?;
            Ok(())
        })?;
        Ok(id)
    }

    fn delete_policy(&mut self, id: PolicyId) -> Result<(), ErrorCode> {
        self.change(|model| {
            if model.delete_keyed(id) {
                return Ok(());
            }
            let name = model.policy_by_id(id).ok_or(ErrorCode::PolicyNotFound)?.spec.name.clone();
            let which = ravelin_config::spec::Which::Named(name);
            // What is left to refuse are the automatic ones.
            model.delete_policies(&which).map(drop).map_err(|_| ErrorCode::BadParam)
        })
    }

    fn flush_policies(&mut self) -> Result<(), ErrorCode> {
        self.change(|model| {
            model.delete_policies(&ravelin_config::spec::Which::All).map(drop).map_err(|_| ErrorCode::BadParam)
        })
    }

    fn sas(&mut self) -> Vec<SaStatus> {
        self.core.plane.list()
    }

    fn add_sa(&mut self, params: SaParams) -> Result<(), ErrorCode> {
        self.core.plane.apply(&DataPlaneOp::AddSa(params)).map_err(|error| {
            tracing::info!("an SA was refused: {error}");
            error.code()
        })
    }

    fn delete_sas(&mut self, ids: &[SaId]) {
        self.core.delete_sas(ids, self.now);
    }

    fn acquire_failed(&mut self, id: PolicyId) {
        if let Err(error) = self.core.plane.apply(&DataPlaneOp::FailAcquire(id)) {
            tracing::warn!("an acquire could not be ended: {error}");
        }
    }

    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr> {
        self.core.plane.source_towards(remote)
    }

    fn crypto(&self) -> CryptoProvider {
        self.core.crypto
    }

    fn random(&mut self) -> u32 {
        let mut bytes = [0; 4];
        SystemRandom.fill(&mut bytes);
        u32::from_be_bytes(bytes)
    }

    fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.core.changes)
    }
}
