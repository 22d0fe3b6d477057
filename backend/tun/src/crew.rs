//! The workers, as the daemon's thread sees them: operations go to whom they concern, lists and counters are those of all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::JoinHandle;

use ravelin_engine::Engine;
use ravelin_inbox::{IkeSender, Wake};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp, SaStatus};
use ravelin_types::policy::{Domain, PolicyId};
use ravelin_types::sa::{Direction, SaId};

use crate::busy::{Busy, Places};
use crate::config::{SEALED_EXCESS, TunConfig};
use crate::deal::{Deal, SINGLE};
use crate::device::Device;
use crate::devices::Devices;
use crate::error::Error;
use crate::inbound::{self, InboundHalf, Ports};
use crate::mail::Mail;
use crate::outbound::{self, OutboundHalf};
use crate::parcel::Parcels;
use crate::shared::{Clock, HalfCounters, Report, Reporter, Request};
use crate::sockets::Sockets;
use crate::streams::Streams;
use crate::sys;
use crate::worker::Worker;

/// Packets of each outbound worker that others read; more are dropped and counted.
const STRAYS: usize = 256;

/// All workers. Dropping it tells all to stop, and then awaits their end.
pub(crate) struct Crew {
    deal: Deal,
    outbound: Vec<Half>,
    inbound: Vec<Half>,
    /// Who has which SA.
    owners: BTreeMap<SaId, usize>,
    _threads: Threads,
}

/// What a worker says of an operation, when it has carried it out.
type Applied = Receiver<Result<(), DataPlaneError>>;

/// SAs, each with the worker who has it; `None`: nobody.
type Owners = Vec<(SaId, Option<usize>)>;

/// An operation that was handed over, or why it was not.
pub(crate) struct Posted {
    /// Who answers; `None`: there is nothing to wait for.
    answer: Result<Option<(&'static str, Applied)>, DataPlaneError>,
    /// Who had the SAs before.
    before: Owners,
}

/// Where the workers work. Devices and sockets are by worker.
pub(crate) struct Station<'a> {
    pub config: &'a TunConfig,
    pub engines: &'a mut dyn FnMut() -> Engine,
    pub devices: Vec<Arc<Device>>,
    pub sockets: Vec<Arc<Sockets>>,
    pub streams: Arc<Streams>,
    pub clock: Clock,
    pub ports: Ports,
    pub reports: (SyncSender<Report>, Wake),
    pub ike: IkeSender,
}

impl Crew {
    /// Starts the threads: one for each worker of each direction, or one for all where they would only wait for each other.
    pub(crate) fn start(station: Station<'_>) -> Result<Self, Error> {
        let Station { config, engines, devices, sockets, streams, clock, ports, reports, ike } = station;
        let (deal, places) = (Deal::new(config.workers), Places::new(sys::processors()));
        let one = std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
        let alone = one && config.workers == 1;
        let wakes = || (0..config.workers).map(|_| Wake::new()).collect::<Result<Vec<_>, _>>();
        let no_descriptor = |error| Error::system("make an event descriptor", error);
        let outbound_wakes = wakes().map_err(no_descriptor)?;
        let inbound_wakes = if alone { outbound_wakes.clone() } else { wakes().map_err(no_descriptor)? };
        let mut crew =
            Crew { deal, outbound: Vec::new(), inbound: Vec::new(), owners: BTreeMap::new(), _threads: Threads::new() };
        let mail = Mail::among(&outbound_wakes, STRAYS).into_iter().zip(Parcels::among(&inbound_wakes));
        for (worker, (strays, parcels)) in mail.enumerate() {
            let (engine_outbound, engine_inbound) = engines().split();
            let sockets = &sockets[worker];
            let reporter = || Reporter::new(reports.0.clone(), reports.1.clone());
            let (half, requests) = Half::new("outbound", outbound_wakes[worker].clone());
            crew.outbound.push(half);
            let outbound = OutboundHalf::new(outbound::Parts {
                engine: engine_outbound,
                devices: Devices::new(devices[worker].clone()),
                deal,
                strays,
                sockets: sockets.clone(),
                streams: streams.clone(),
                clock,
                requests,
                reporter: reporter(),
                hold: config.hold,
                keepalive: config.keepalive,
                longest: usize::from(config.mtu) + SEALED_EXCESS,
            });
            let (half, requests) = Half::new("inbound", inbound_wakes[worker].clone());
            crew.inbound.push(half);
            let inbound = InboundHalf::new(inbound::Parts {
                engine: engine_inbound,
                // What was opened comes out of one device, whoever opened it: that is where a firewall looks for it.
                devices: Devices::new(devices[SINGLE].clone()),
                deal,
                parcels,
                sockets: sockets.clone(),
                streams: streams.clone(),
                ports,
                clock,
                requests,
                reporter: reporter(),
                ike: ike.clone(),
            });
            let thread = |wake: &Wake, outbound, inbound| {
                let (wake, sockets, streams) = (wake.clone(), sockets.clone(), streams.clone());
                let busy = Busy::new(places.clone());
                Worker { wake, clock, sockets, streams, busy, outbound, inbound }
            };
            let threads = &mut crew._threads;
            if alone {
                threads.spawn("packets", thread(&outbound_wakes[worker], Some(outbound), Some(inbound)))?;
            } else {
                let name = |direction: &str| match config.workers {
                    1 => direction.to_owned(),
                    _ => format!("{direction}{worker}"),
                };
                threads.spawn(&name("out"), thread(&outbound_wakes[worker], Some(outbound), None))?;
                threads.spawn(&name("in"), thread(&inbound_wakes[worker], None, Some(inbound)))?;
            }
        }
        Ok(crew)
    }

    /// Applies an operation to all workers of both directions; when one refuses, the others go `back`.
    pub(crate) fn apply_to_all(&mut self, op: &DataPlaneOp, back: &DataPlaneOp) -> Result<(), DataPlaneError> {
        let results = self.ask_all(|answer| Request::Apply(Box::new(op.clone()), Some(answer)));
        let Some(error) = results.iter().find_map(|result| result.as_ref().err().cloned()) else { return Ok(()) };
        for (half, _) in self.halves().zip(&results).filter(|(_, result)| result.is_ok()) {
            if let Err(error) = wait(half.name, half.post(back)).flatten() {
                tracing::error!("a policy is in one half of the engine only: {error}");
            }
        }
        Err(error)
    }

    /// Hands an operation over to the worker whom it concerns, who has it before any packet that comes from now on. `domain` is that of
    /// the policy that it is for. [`Crew::settle`] says what came of it; those of changes of policies go by [`Crew::apply_to_all`].
    pub(crate) fn post(&mut self, op: &DataPlaneOp, domain: Domain) -> Posted {
        let (direction, owner, moves) = match self.addressee(op, domain) {
            Ok(addressee) => addressee,
            Err(error) => return Posted { answer: Err(error), before: Vec::new() },
        };
        let before = moves.iter().map(|(id, _)| (*id, self.owners.get(id).copied())).collect();
        self.note_owners(moves);
        let half = self.half(direction, owner);
        let answer = match op {
            // Who has the SA refuses neither. An offer is read with the next packet, and that is in time.
            DataPlaneOp::OfferSa(_) => half.leave(Request::Apply(Box::new(op.clone()), None)).map(|()| None),
            DataPlaneOp::DeleteSa(_) => half.tell(Request::Apply(Box::new(op.clone()), None)).map(|()| None),
            _ => Ok(Some((half.name, half.post(op)))),
        };
        Posted { answer, before }
    }

    /// What came of an operation that was handed over.
    pub(crate) fn settle(&mut self, posted: Posted) -> Result<(), DataPlaneError> {
        let Posted { answer, before } = posted;
        let result = answer.and_then(|asked| asked.map_or(Ok(()), |(name, answer)| wait(name, answer)?));
        result.inspect_err(|_| self.note_owners(before))
    }

    /// Whom an operation goes to, and who has which SA then.
    fn addressee(&self, op: &DataPlaneOp, domain: Domain) -> Result<(Direction, usize, Owners), DataPlaneError> {
        match op {
            DataPlaneOp::OfferSa(spi) => Ok((Direction::Inbound, self.deal.spi(*spi), Vec::new())),
            DataPlaneOp::FailAcquire(policy) => {
                Ok((Direction::Outbound, self.deal.policy(*policy, domain), Vec::new()))
            }
            DataPlaneOp::AddSa(sa) => {
                let owner = match sa.direction {
                    Direction::Outbound => self.deal.policy(sa.policy, domain),
                    Direction::Inbound => self.deal.inbound(sa),
                };
                self.check_name(sa.id(), owner)?;
                Ok((sa.direction, owner, vec![(sa.id(), Some(owner))]))
            }
            DataPlaneOp::MoveSa { id, dst, .. } => {
                let (owner, moved) = (self.owner(*id)?, SaId { dst: *dst, ..*id });
                self.check_name(moved, owner)?;
                Ok((id.direction, owner, vec![(*id, None), (moved, Some(owner))]))
            }
            DataPlaneOp::DeleteSa(id) => Ok((id.direction, self.owner(*id)?, vec![(*id, None)])),
            DataPlaneOp::SetMtu { id, .. } | DataPlaneOp::SkipNumbers { id, .. } | DataPlaneOp::TellUse(id) => {
                Ok((id.direction, self.owner(*id)?, Vec::new()))
            }
            DataPlaneOp::AddPolicy(_)
            | DataPlaneOp::DeletePolicy(_)
            | DataPlaneOp::AddInterface(_)
            | DataPlaneOp::DeleteInterface(_) => Err(DataPlaneError::Invalid("this concerns all workers".into())),
        }
    }

    fn owner(&self, id: SaId) -> Result<usize, DataPlaneError> {
        self.owners.get(&id).copied().ok_or(DataPlaneError::NoSuchSa(id))
    }

    /// One of that name that another worker has is not the owner's to refuse.
    fn check_name(&self, id: SaId, owner: usize) -> Result<(), DataPlaneError> {
        match self.owners.get(&id).is_some_and(|has| *has != owner) {
            true => Err(DataPlaneError::Exists(id)),
            false => Ok(()),
        }
    }

    fn note_owners(&mut self, owners: Owners) {
        for (id, owner) in owners {
            match owner {
                Some(owner) => self.owners.insert(id, owner),
                None => self.owners.remove(&id),
            };
        }
    }

    /// Whether this worker seals for the policy.
    pub(crate) fn seals(&self, worker: usize, policy: PolicyId, domain: Domain) -> bool {
        self.deal.policy(policy, domain) == worker
    }

    /// Lets the workers use a virtual interface, or no longer: one reads it, and all write to it.
    pub(crate) fn give_device(&mut self, domain: Domain, device: Option<Arc<Device>>) {
        let reader = self.deal.interface(domain);
        for half in self.inbound.iter_mut().chain(self.outbound.get_mut(reader)) {
            // A half that has ended says so when the policies of the interface come.
            let _ = half.requests.send(Request::Device(domain, device.clone()));
            half.wake.set();
        }
    }

    /// Wakes the worker that serves connections in TCP.
    pub(crate) fn wake_single(&self) {
        self.inbound[SINGLE].wake.set();
    }

    /// All SAs: outbound, then inbound.
    pub(crate) fn list(&mut self) -> Vec<SaStatus> {
        self.ask_all(Request::List).into_iter().flatten().flatten().collect()
    }

    /// One of them.
    pub(crate) fn sa(&mut self, id: SaId) -> Option<SaStatus> {
        let owner = *self.owners.get(&id)?;
        let half = self.half(id.direction, owner);
        let answer = half.begin(|answer| Request::Sa(id, answer));
        wait(half.name, answer).ok().flatten()
    }

    /// What each half counted.
    pub(crate) fn count(&mut self) -> impl Iterator<Item = (Direction, HalfCounters)> {
        let workers = self.deal.workers();
        let counted = self.ask_all(Request::Count).into_iter().enumerate();
        counted.filter_map(move |(i, half)| {
            let direction = if i < workers { Direction::Outbound } else { Direction::Inbound };
            Some((direction, half.ok()?))
        })
    }

    fn half(&mut self, direction: Direction, worker: usize) -> &mut Half {
        match direction {
            Direction::Outbound => &mut self.outbound[worker],
            Direction::Inbound => &mut self.inbound[worker],
        }
    }

    fn halves(&mut self) -> impl Iterator<Item = &mut Half> {
        self.outbound.iter_mut().chain(&mut self.inbound)
    }

    /// Asks all at once, and waits for all answers: outbound, then inbound.
    fn ask_all<T>(&mut self, request: impl Fn(Sender<T>) -> Request) -> Vec<Result<T, DataPlaneError>> {
        let asked: Vec<_> = self.halves().map(|half| (half.name, half.begin(&request))).collect();
        asked.into_iter().map(|(name, answer)| wait(name, answer)).collect()
    }
}

/// One half, as the daemon's thread holds it. Dropping it stops the thread that serves it.
struct Half {
    name: &'static str,
    requests: Sender<Request>,
    wake: Wake,
}

impl Half {
    /// The way of requests to a half whose thread waits for `wake`.
    fn new(name: &'static str, wake: Wake) -> (Self, Receiver<Request>) {
        let (requests, received) = channel();
        (Half { name, requests, wake }, received)
    }

    fn post(&mut self, op: &DataPlaneOp) -> Applied {
        self.begin(|answer| Request::Apply(Box::new(op.clone()), Some(answer)))
    }

    /// Sends a request. The answer does not come where the thread has ended.
    fn begin<T>(&mut self, request: impl FnOnce(Sender<T>) -> Request) -> Receiver<T> {
        let (answer, answered) = channel();
        let _ = self.tell(request(answer));
        answered
    }

    /// Sends a request that has no answer.
    fn tell(&mut self, request: Request) -> Result<(), DataPlaneError> {
        self.leave(request).inspect(|()| self.wake.set())
    }

    /// Leaves a request for the next time that the thread wakes.
    fn leave(&mut self, request: Request) -> Result<(), DataPlaneError> {
        self.requests.send(request).map_err(|_| ended(self.name))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Stop);
        self.wake.set();
    }
}

fn wait<T>(name: &str, answer: Receiver<T>) -> Result<T, DataPlaneError> {
    answer.recv().map_err(|_| ended(name))
}

fn ended(name: &str) -> DataPlaneError {
    DataPlaneError::System(format!("the {name} thread has ended; restart the daemon"))
}

/// The threads that carry packets. Dropping it awaits their end.
struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    fn new() -> Self {
        Threads(Vec::new())
    }

    fn spawn(&mut self, name: &str, worker: Worker) -> Result<(), Error> {
        let thread = std::thread::Builder::new().name(format!("ravelin-{name}"));
        let thread = thread.spawn(move || worker.run());
        self.0.push(thread.map_err(|error| Error::system(format!("start the {name} thread"), error))?);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that carries packets ended in a panic");
            }
        }
    }
}
