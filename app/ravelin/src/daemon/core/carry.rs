//! Decisions of the endpoint are carried out, in their order.

use std::collections::BTreeSet;

use ravelin_ike::{Event, Input, OpId, Outcome, Output, StreamOp, Transmit};
use ravelin_inbox::Progress;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp, SaStatus, Settled};
use ravelin_types::sa::{Direction, SaId};
use ravelin_types::{IkeSpi, Instant};
use ravelin_wire::ike::header::Header;

use super::Core;
use crate::daemon::plane::Plane;

/// Outputs taken from the endpoint in one go: beyond any burst, and a bound if there were no end to them.
const MAX_OUTPUTS: usize = 1 << 20;

impl<P: Plane> Core<P> {
    /// Carries out what the endpoint decided, until it has nothing more to say.
    pub(super) fn pump(&mut self, now: Instant) {
        for _ in 0..MAX_OUTPUTS {
            match self.endpoint.poll() {
                Output::Wait(deadline) => {
                    self.tell_changes();
                    self.deadline = deadline.map(|deadline| deadline.at);
                    return;
                }
                Output::Apply(id, op) => self.apply_from((id, op), now),
                output => {
                    if let Some(output) = self.behind.hold(output) {
                        self.act_on(output, now);
                    }
                }
            }
        }
        // The endpoint would be called again at once; what it has to say is not lost.
        self.deadline = Some(now);
    }

    /// Takes how far the system has followed the policies: what waited for that is carried out.
    pub(super) fn take_settled(&mut self, now: Instant) {
        while let Some(Settled { change, result }) = self.plane.poll_settled() {
            let due = self.behind.settled(change);
            if let Err(error) = &result {
                tracing::error!("the packet filter has not followed the policies, which is tried again: {error}");
            }
            let mut not_up = BTreeSet::new();
            for output in due {
                match (output, &result) {
                    (Output::Apply(id, op), Err(error)) if matches!(*op, DataPlaneOp::AddSa(_)) => {
                        if let DataPlaneOp::AddSa(params) = &*op {
                            not_up.insert(match params.direction {
                                Direction::Inbound => params.spi,
                                Direction::Outbound => params.pair,
                            });
                        }
                        self.refused(id, &op, error.clone(), now);
                    }
                    (Output::Event(Event::ChildUp { inbound, .. }), Err(_)) if not_up.contains(&inbound) => {}
                    (output, _) => self.act_on(output, now),
                }
            }
            self.pump(now);
        }
    }

    /// Carries out an operation and those right behind it in one go: both SAs of a Child SA are waited for once.
    fn apply_from(&mut self, first: (OpId, Box<DataPlaneOp>), now: Instant) {
        let mut ids = Vec::new();
        let mut ops = Vec::new();
        let mut next = Some(first);
        while let Some((id, op)) = next {
            if let Err(error) = self.live_before(&op) {
                self.refused(id, &op, error, now);
            } else if let Some(Output::Apply(id, op)) = self.behind.hold(Output::Apply(id, op)) {
                self.note_op(&op);
                ids.push(id);
                ops.push(*op);
            }
            next = self.endpoint.poll_apply();
        }
        let results = self.plane.apply_each(&ops);
        for ((id, op), result) in ids.into_iter().zip(&ops).zip(results) {
            self.applied(id, op, result, now);
        }
    }

    /// An operation is about to be carried out: what is to be read before.
    fn note_op(&mut self, op: &DataPlaneOp) {
        self.note_last_counters(op);
        self.note_last_traffic(op);
        if let DataPlaneOp::DeleteSa(sa) = op
            && self.is_watched()
        {
            let pair = self.pair_of(*sa);
            self.note_deleted(&[*sa], &pair);
        }
        self.learn_sa(op);
    }

    fn applied(&mut self, id: OpId, op: &DataPlaneOp, result: Result<(), DataPlaneError>, now: Instant) {
        match result {
            Ok(()) => {
                self.live_after(op, true);
                self.endpoint.handle(Input::Done(id, Ok(()).into()), now);
            }
            Err(error) => self.refused(id, op, error, now),
        }
    }

    fn act_on(&mut self, output: Output, now: Instant) {
        match output {
            Output::Apply(id, op) => {
                self.note_op(&op);
                let result = self.plane.apply(&op);
                self.applied(id, &op, result, now);
            }
            Output::Ask(id, question) => self.asked.push((id, question, self.model.certificates().papers())),
            Output::Transmit(transmit) => self.transmit(&transmit, now),
            Output::Stream(id, StreamOp::Open { local, remote }) => {
                let opened = self.plane.open_stream(local, remote).map_err(|error| format!("to {remote}: {error}"));
                self.endpoint.handle(Input::Done(id, Outcome::Opened(opened)), now);
            }
            Output::Stream(_, StreamOp::Close(way)) => self.plane.close_stream(way),
            Output::Event(event) => self.event(&event, now),
            Output::Wait(_) => {}
        }
    }

    /// A message goes out: where it is of an IKE SA that has both SPIs, what answers it does not wait with strangers' messages. One
    /// that stands is known already, and what answers a stranger has SPIs of his choice.
    fn note_coming(&mut self, message: &[u8]) {
        let Ok((header, _)) = Header::parse(message) else { return };
        if header.responder_spi != IkeSpi::ZERO && self.endpoint.own_spi(&header).is_some() {
            self.plane.note_ike((header.initiator_spi, header.responder_spi), Progress::Coming);
        }
    }

    /// An SA and the one of the other direction, as far as they are there.
    pub(in crate::daemon) fn pair_of(&mut self, id: SaId) -> Vec<SaStatus> {
        let Some(one) = self.plane.sa(id) else { return Vec::new() };
        let twin = self.plane.sa(one.params.twin());
        std::iter::once(one).chain(twin).collect()
    }

    fn refused(&mut self, id: OpId, op: &DataPlaneOp, error: DataPlaneError, now: Instant) {
        tracing::warn!("the data plane refused an operation: {error}");
        self.live_after(op, false);
        self.endpoint.handle(Input::Done(id, Err(error).into()), now);
    }

    /// Carries out changes of policies without waiting until the system follows.
    pub(super) fn begin_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        ops.iter().enumerate().try_for_each(|(index, op)| self.begin(op).map_err(|error| (index, error)))
    }

    fn begin(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        if let Some(change) = self.plane.begin(op)?
            && let DataPlaneOp::AddPolicy(policy) = op
        {
            self.behind.changed(policy.id, change);
        }
        Ok(())
    }

    /// A policy that does not stand by itself is in force before its SA is.
    fn live_before(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        match self.live.before(op, &self.model) {
            Some(change) => self.begin(&change.into()),
            None => Ok(()),
        }
    }

    /// And it goes with the last of them.
    fn live_after(&mut self, op: &DataPlaneOp, done: bool) {
        // A policy that stood before may have gone already.
        if let Some(change) = self.live.after(op, done, &self.model)
            && let Err(error) = self.begin(&change.into())
            && !matches!(error, DataPlaneError::NoSuchPolicy(_))
        {
            tracing::warn!("a policy is not what its SAs ask for: {error}");
        }
    }

    fn transmit(&mut self, transmit: &Transmit, now: Instant) {
        self.note_coming(&transmit.data);
        self.note_sent(transmit);
        self.learn_keys(&transmit.data);
        self.trace_message(false, transmit.remote, &transmit.data, now);
        if let Err(error) = self.plane.send_ike(transmit.way(), &transmit.data) {
            // Not more than a lost datagram: it is sent again, and `no answer` is reported in the end.
            tracing::debug!(remote = %transmit.remote, "an IKE message was not sent: {error}");
        }
    }
}
