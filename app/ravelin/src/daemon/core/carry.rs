//! Decisions of the endpoint are carried out, in their order.

use ravelin_ike::{Input, Outcome, Output, StreamOp, Transmit};
use ravelin_types::Instant;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;

use super::Core;
use super::adopt::refusal;
use crate::daemon::live::Change;
use crate::daemon::plane::Plane;

/// Outputs taken from the endpoint in one go: beyond any burst, and a bound if there were no end to them.
const MAX_OUTPUTS: usize = 1 << 20;

impl<P: Plane> Core<P> {
    /// Carries out what the endpoint decided, until it has nothing more to say.
    pub(super) fn pump(&mut self, now: Instant) {
        for _ in 0..MAX_OUTPUTS {
            match self.endpoint.poll() {
                Output::Apply(id, op) => {
                    self.note_last_counters(&op);
                    if let DataPlaneOp::DeleteSa(sa) = &op
                        && self.is_watched()
                    {
                        let sas = self.plane.list();
                        self.note_deleted(&[*sa], &sas);
                    }
                    self.learn_sa(&op);
                    self.live_before(&op);
                    let outcome = self.plane.apply(&op);
                    if let Err(error) = &outcome {
                        tracing::warn!("the data plane refused an operation: {error}");
                    }
                    self.live_after(&op, outcome.is_ok());
                    self.endpoint.handle(Input::Done(id, outcome.into()), now);
                }
                Output::Ask(id, question) => self.asked.push((id, question, self.model.certificates().papers())),
                Output::Transmit(transmit) => self.transmit(&transmit, now),
                Output::Stream(id, StreamOp::Open { local, remote }) => {
                    let opened = self.plane.open_stream(local, remote).map_err(|error| format!("to {remote}: {error}"));
                    self.endpoint.handle(Input::Done(id, Outcome::Opened(opened)), now);
                }
                Output::Stream(_, StreamOp::Close(way)) => self.plane.close_stream(way),
                Output::Event(event) => self.event(&event, now),
                Output::Wait(deadline) => {
                    self.tell_changes();
                    self.deadline = deadline.map(|deadline| deadline.at);
                    return;
                }
            }
        }
        // The endpoint would be called again at once; what it has to say is not lost.
        self.deadline = Some(now);
    }

    /// A policy that does not stand by itself is in force before its SA is.
    fn live_before(&mut self, op: &DataPlaneOp) {
        let DataPlaneOp::AddSa(params) = op else { return };
        let Some(entry) = self.model.policy_by_id(params.policy).filter(|entry| entry.spec.esp.is_some()) else {
            return;
        };
        // It may cease to stand while the SA is there.
        let (stands, base) = (entry.stands(), entry.spd_policy());
        let change = self.live.add(&base, params, &self.model.pooled(entry));
        if !stands {
            self.live_change(change);
        }
    }

    /// And it goes with the last of them.
    fn live_after(&mut self, op: &DataPlaneOp, done: bool) {
        let gone = match op {
            DataPlaneOp::DeleteSa(id) => *id,
            DataPlaneOp::AddSa(params) if !done => params.id(),
            _ => return,
        };
        let change = self.live.remove(gone);
        let stands = |id: PolicyId| self.model.policy_by_id(id).is_some_and(|entry| entry.stands());
        let stands = match &change {
            Some(Change::Add(policy)) => stands(policy.id),
            Some(Change::Delete(id)) => stands(*id),
            None => return,
        };
        if !stands {
            self.live_change(change);
        }
    }

    fn live_change(&mut self, change: Option<Change>) {
        let op = match change {
            Some(Change::Add(policy)) => DataPlaneOp::AddPolicy(policy),
            Some(Change::Delete(id)) => DataPlaneOp::DeletePolicy(id),
            None => return,
        };
        if let Err(error) = self.plane.apply(&op) {
            // A policy that stood before may have gone already.
            if matches!(op, DataPlaneOp::AddPolicy(_)) {
                tracing::warn!("{}", refusal(Some(&op), &error));
            }
        }
    }

    fn transmit(&mut self, transmit: &Transmit, now: Instant) {
        self.note_sent(transmit);
        self.learn_keys(&transmit.data);
        self.trace_message(false, transmit.remote, &transmit.data, now);
        if let Err(error) = self.plane.send_ike(transmit.way(), &transmit.data) {
            // Not more than a lost datagram: it is sent again, and `no answer` is reported in the end.
            tracing::debug!(remote = %transmit.remote, "an IKE message was not sent: {error}");
        }
    }
}
