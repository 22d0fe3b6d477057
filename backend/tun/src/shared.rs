//! What the threads and the daemon's thread share: a clock, requests down and reports up.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError};

use ravelin_engine::Counters;
use ravelin_inbox::Wake;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};
use ravelin_types::policy::Domain;
use ravelin_types::sa::SaId;
use ravelin_types::{Instant, Spi, Way};

use crate::device::Device;

/// Events that wait for the daemon; more wait in the engine.
pub(crate) const MAX_REPORTS: usize = 4096;

/// Monotonic time for the engine. All clones count from one origin.
#[derive(Clone, Copy)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Clock(std::time::Instant::now())
    }

    pub(crate) fn now(self) -> Instant {
        Instant::from_duration(self.0.elapsed())
    }
}

/// What the daemon's thread asks of a half.
pub(crate) enum Request {
    /// Carry out an operation, and say what came of it where somebody waits.
    Apply(Box<DataPlaneOp>, Option<Sender<Result<(), DataPlaneError>>>),
    /// Work with this device for the packets of the domain, or with none.
    Device(Domain, Option<Arc<Device>>),
    /// List the SAs.
    List(Sender<Vec<SaStatus>>),
    /// One of them.
    Sa(SaId, Sender<Option<SaStatus>>),
    /// Tell what was counted.
    Count(Sender<HalfCounters>),
    /// End.
    Stop,
}

/// The counters of one half.
pub(crate) struct HalfCounters {
    pub engine: Counters,
    /// ESP packets that the engine had no SA for, and that were kept.
    pub early: u64,
    /// What this crate counted around the engine.
    pub around: Vec<(String, u64)>,
}

/// What a half reports.
pub(crate) enum Report {
    /// An event of the engine of this worker.
    Event(DataPlaneEvent, usize),
    /// Authenticated packets came on this inbound SA.
    Alive(Spi),
    /// A TCP connection is gone.
    Closed(Way),
}

/// The way of reports to the daemon. A report that finds the queue full waits here.
pub(crate) struct Reporter {
    queue: SyncSender<Report>,
    ready: Wake,
    waiting: Option<Report>,
}

impl Reporter {
    pub(crate) fn new(queue: SyncSender<Report>, ready: Wake) -> Self {
        Reporter { queue, ready, waiting: None }
    }

    /// Whether a report waits for room in the queue.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.is_some()
    }

    /// Sends what `next` yields until there is no more of it or no room.
    pub(crate) fn send(&mut self, mut next: impl FnMut() -> Option<Report>) {
        let mut sent = false;
        while let Some(report) = self.waiting.take().or_else(&mut next) {
            match self.queue.try_send(report) {
                Ok(()) => sent = true,
                Err(TrySendError::Full(report)) => {
                    self.waiting = Some(report);
                    break;
                }
                // The daemon has gone; this thread is about to be told.
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        if sent {
            self.ready.set();
        }
    }
}

/// Says what came of an operation to whoever waits for it.
pub(crate) fn tell(answer: Option<Sender<Result<(), DataPlaneError>>>, result: Result<(), DataPlaneError>) {
    match (answer, result) {
        // An answer nobody waits for any more is not missed.
        (Some(answer), result) => _ = answer.send(result),
        (None, Err(error)) => tracing::warn!("the data plane refused an operation: {error}"),
        (None, Ok(())) => {}
    }
}

/// Takes the next element of a queue whose sender sets `ready` behind each. `ready` is cleared before the queue is
/// found empty for the second time, so nothing is left behind unnoticed.
pub(crate) fn take<T>(queue: &Receiver<T>, ready: &Wake) -> Option<T> {
    queue.try_recv().ok().or_else(|| {
        ready.clear();
        queue.try_recv().ok().inspect(|_| ready.set())
    })
}
