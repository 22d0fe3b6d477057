//! The asynchronous form: packets are submitted and come back later, in any order, with what became of them.
//!
//! ```text
//!  submit ─► gather the source into the result buffer ─► decide ─┬─► software: done at once ───────────┐
//!                                                                └─► accelerator ··· poll ─► checks ───┴─► poll
//! ```
//! The source is read and never written, so it may be a chain of buffers, and a job that the hardware did not do is done
//! from it once more. All room is taken at the start; when `capacity` requests are open, the next one is given back.

use alloc::collections::VecDeque;
use core::ops::Range;

use hashbrown::HashMap;
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp};
use ravelin_types::options::{Mss, SaOptions};
use ravelin_types::policy::Domain;
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaId, SaParams};

use crate::accelerator::{Accelerator, Fault, Job, Outcome, Share};
use crate::chain::ChainBuf;
use crate::engine::Engine;
use crate::hash::HashKey;
use crate::inbound::OuterMeta;
use crate::packet::{Chain, Mark, PacketBuf};
use crate::sad::Slot;
use crate::verdict::{DropReason, Verdict};

/// A packet to be processed.
#[derive(Debug)]
pub struct Request<S, B> {
    /// Which half of the engine it is for.
    pub direction: Direction,
    /// The packet.
    pub source: S,
    /// Room for what it becomes: [`HEADROOM`](crate::HEADROOM), the packet, and [`TAILROOM`](crate::TAILROOM).
    pub result: B,
    /// What the packet is to the caller and to the engine.
    pub label: Label,
}

/// What is known of a packet besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Whatever tells the caller which packet it is.
    pub token: u64,
    /// Whose SPD decides about it.
    pub domain: Domain,
    /// What the engine has done with it.
    pub mark: Mark,
}

impl Label {
    fn onto<'a>(&self, pkt: PacketBuf<'a>) -> PacketBuf<'a> {
        pkt.with_mark(self.mark).in_domain(self.domain)
    }

    fn after(self, pkt: &PacketBuf<'_>) -> Self {
        Label { mark: pkt.mark(), domain: pkt.domain(), ..self }
    }
}

/// A packet that was processed.
#[derive(Debug)]
pub struct Completion<S, B> {
    /// The label of the request, with what changed.
    pub label: Label,
    /// The packet as it was submitted.
    pub source: S,
    /// The buffer of the request.
    pub result: B,
    /// Where the new packet stands in `result`, after [`Verdict::Send`] and [`Verdict::Deliver`].
    pub packet: Range<usize>,
    /// The policy applied.
    pub verdict: Verdict,
}

/// What the engine must know when a job comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    label: Label,
    /// Tells the SA from a later one of the same name.
    serial: u64,
    pub begun: Begun,
}

/// A packet whose SA is known and that is not yet protected or opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub slot: Slot,
    pub share: Share,
    pub sequence: u64,
    /// Outbound: bytes that will be encrypted, without padding.
    pub payload: usize,
    /// Where ESP begins.
    pub esp_at: usize,
    /// Inbound: what the outer headers say.
    pub arrived: Option<OuterMeta>,
    /// Outbound, of the cipher's work: how the packet will travel.
    pub verdict: Option<Verdict>,
}

/// An SA of which the accelerator took a share.
#[derive(Clone, Copy)]
struct Taken {
    id: SaId,
    serial: u64,
    share: Share,
}

/// The most that hardware may have of an SA: AH covers what ESP encrypted, so it cannot come before; and hardware that has
/// packets whole protects and opens them, and does nothing else to them.
fn most(params: &SaParams) -> Share {
    let SaOptions { tfc, mss, .. } = params.options;
    match params.suite {
        Suite::Esp(_) if tfc == 0 && mss == Mss::Off && params.original.is_none() => Share::Whole,
        Suite::Esp(_) => Share::Cipher,
        Suite::Ah(_) | Suite::AhEsp { .. } => Share::Nothing,
    }
}

/// An engine with a queue before it and one behind it.
pub struct Requests<S, B, A> {
    engine: Engine,
    accelerator: A,
    taken: HashMap<(Direction, Slot), Taken, HashKey>,
    serial: u64,
    /// Requests in the hands of the accelerator.
    away: usize,
    done: VecDeque<Completion<S, B>>,
    capacity: usize,
}

impl<S: Chain, B: AsMut<[u8]>, A: Accelerator<S, B>> Requests<S, B, A> {
    /// Puts the queues around an engine without SAs. `capacity` is how many requests may be open at a time.
    pub fn new(engine: Engine, accelerator: A, capacity: usize) -> Self {
        let done = VecDeque::with_capacity(capacity);
        // Nobody else chooses the numbers of slots, so the seed need not be secret. Of both directions.
        let limits = engine.outbound.limits();
        let taken = HashMap::with_capacity_and_hasher(4 * limits.reserved(limits.sas), HashKey::new(0));
        Requests { engine, accelerator, taken, serial: 0, away: 0, done, capacity }
    }

    /// The engine, for listings and counters.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The accelerator, to be told what is done, for one that does not find out by itself.
    pub fn accelerator(&mut self) -> &mut A {
        &mut self.accelerator
    }

    /// The engine's next event.
    pub fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        self.engine.poll_event()
    }

    /// [`Engine::tick`].
    pub fn tick(&mut self, now: Instant) {
        self.engine.tick(now);
    }

    /// [`Engine::apply`]; the accelerator is asked what it takes of a new SA. An SA that moves goes back to software.
    ///
    /// # Errors
    /// As [`Engine::apply`].
    pub fn apply(&mut self, op: &DataPlaneOp, now: Instant) -> Result<(), DataPlaneError> {
        if let DataPlaneOp::AddSa(SaParams { options: SaOptions { aggfrag: Some(_), .. }, .. }) = op {
            let why = "AGGFRAG payloads do not go through queues of requests, which have one packet each";
            return Err(DataPlaneError::Invalid(why.into()));
        }
        self.engine.apply(op, now)?;
        match op {
            DataPlaneOp::AddSa(params) => self.offer(params),
            DataPlaneOp::DeleteSa(id) | DataPlaneOp::MoveSa { id, .. } => self.withdraw(*id),
            DataPlaneOp::AddPolicy(_)
            | DataPlaneOp::DeletePolicy(_)
            | DataPlaneOp::OfferSa(_)
            | DataPlaneOp::FailAcquire(_)
            | DataPlaneOp::SetMtu { .. }
            | DataPlaneOp::TellUse(_)
            | DataPlaneOp::SkipNumbers { .. }
            | DataPlaneOp::AddInterface(_)
            | DataPlaneOp::DeleteInterface(_) => {}
        }
        Ok(())
    }

    fn offer(&mut self, params: &SaParams) {
        let (id, most) = (params.id(), most(params));
        if most == Share::Nothing {
            return;
        }
        let share = self.accelerator.add(params, most).min(most);
        if share == Share::Nothing {
            return;
        }
        let slot = match id.direction {
            Direction::Outbound => self.engine.outbound.slot(id),
            Direction::Inbound => self.engine.inbound.slot(id),
        };
        if let Some(slot) = slot {
            self.serial += 1;
            self.taken.insert((id.direction, slot), Taken { id, serial: self.serial, share });
        }
    }

    fn withdraw(&mut self, id: SaId) {
        let accelerator = &mut self.accelerator;
        self.taken.retain(|_, taken| {
            if taken.id == id {
                accelerator.delete(id);
            }
            taken.id != id
        });
    }

    /// [`Outbound::process`](crate::Outbound::process) or [`Inbound::process`](crate::Inbound::process), for a packet that
    /// is not to wait.
    pub fn process(&mut self, direction: Direction, pkt: &mut PacketBuf<'_>, now: Instant) -> Verdict {
        match direction {
            Direction::Outbound => self.engine.outbound.process(pkt, now),
            Direction::Inbound => self.engine.inbound.process(pkt, now),
        }
    }

    /// The same for a packet in pieces, which is not to wait either.
    pub fn process_chain(&mut self, direction: Direction, chain: &mut ChainBuf<'_>, now: Instant) -> Verdict {
        match direction {
            Direction::Outbound => self.engine.outbound.process_chain(chain, now),
            Direction::Inbound => self.engine.inbound.process_chain(chain, now),
        }
    }

    /// [`Engine::deadline`].
    pub fn deadline(&self) -> Option<Instant> {
        self.engine.deadline()
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// Gives the request back when `capacity` requests are open, those that wait to be polled among them.
    pub fn submit(&mut self, request: Request<S, B>, now: Instant) -> Result<(), Request<S, B>> {
        if self.away + self.done.len() >= self.capacity {
            return Err(request);
        }
        let Request { direction, source, mut result, label } = request;
        let Some(pkt) = PacketBuf::gather(source.pieces(), result.as_mut()) else {
            let verdict = self.refuse(direction);
            self.done.push_back(Completion { label, source, result, packet: 0..0, verdict });
            return Ok(());
        };
        let mut pkt = label.onto(pkt);
        let taken = |slot| self.taken.get(&(direction, slot)).copied();
        let share = |slot| taken(slot).map_or(Share::Nothing, |taken| taken.share);
        let begun = match direction {
            Direction::Outbound => self.engine.outbound.begin(&mut pkt, now, share),
            Direction::Inbound => self.engine.inbound.begin(&mut pkt, share),
        };
        let packet = pkt.range();
        let of = begun.and_then(|begun| Some((begun, taken(begun.slot)?)));
        let Some((begun, Taken { id, serial, share })) = of else {
            self.by_software(direction, source, result, label, now);
            return Ok(());
        };
        let job = Job {
            sa: id,
            share,
            sequence: begun.sequence,
            source,
            result,
            packet,
            esp_at: begun.esp_at,
            ticket: Ticket { label, serial, begun },
        };
        match self.accelerator.submit(job) {
            None => self.away += 1,
            Some(Job { source, result, .. }) => self.by_software(direction, source, result, label, now),
        }
        Ok(())
    }

    /// The next packet that is done, in the order in which they were; `None` while there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Completion<S, B>> {
        while self.away > 0
            && let Some((job, outcome)) = self.accelerator.poll()
        {
            self.away -= 1;
            self.finish(job, outcome, now);
        }
        self.done.pop_front()
    }

    fn finish(&mut self, job: Job<S, B>, outcome: Outcome, now: Instant) {
        let Job { sa, source, mut result, packet, ticket: Ticket { label, serial, begun }, .. } = job;
        let direction = sa.direction;
        if self.taken.get(&(direction, begun.slot)).is_none_or(|taken| taken.serial != serial) {
            // The SA is gone, or software's again: what is done with the packet now is what the SPD and SAD say now.
            return self.by_software(direction, source, result, label, now);
        }
        let (verdict, packet, label) = {
            let bytes = result.as_mut();
            let place = outcome.as_ref().unwrap_or(&packet).clone();
            let Some(mut pkt) = PacketBuf::new(bytes, place).map(|pkt| label.onto(pkt)) else {
                return self.by_software(direction, source, result, label, now);
            };
            let outcome = match outcome {
                Ok(_) => Ok(()),
                Err(Fault::Bad(reason)) => Err(reason),
                Err(Fault::Failed) => return self.by_software(direction, source, result, label, now),
            };
            let verdict = match direction {
                Direction::Outbound => self.engine.outbound.finish(begun, &mut pkt, outcome),
                Direction::Inbound => self.engine.inbound.finish(begun, &mut pkt, outcome, now),
            };
            (verdict, pkt.range(), label.after(&pkt))
        };
        self.done.push_back(Completion { label, source, result, packet, verdict });
    }

    /// What software makes of the source.
    fn by_software(&mut self, direction: Direction, source: S, mut result: B, label: Label, now: Instant) {
        let (verdict, packet, label) = match PacketBuf::gather(source.pieces(), result.as_mut()) {
            None => (self.refuse(direction), 0..0, label),
            Some(pkt) => {
                let mut pkt = label.onto(pkt);
                let verdict = self.process(direction, &mut pkt, now);
                (verdict, pkt.range(), label.after(&pkt))
            }
        };
        self.done.push_back(Completion { label, source, result, packet, verdict });
    }

    fn refuse(&mut self, direction: Direction) -> Verdict {
        match direction {
            Direction::Outbound => self.engine.outbound.refuse(DropReason::NoRoom),
            Direction::Inbound => self.engine.inbound.refuse(DropReason::NoRoom),
        }
    }
}
