//! The packet filter has a thread of its own: a change is a run of `nft`, some 30 ms, and nobody else shall wait for it
//! (ADR 0006).
//!
//! ```text
//!   event loop ─ change(policy) ─► wanted, by policy: the newest word counts
//!                                    │ all that came while `nft` ran
//!                                    ▼
//!                                  one script, where it differs from the one in force ─► nft, routes of last resort
//!   event loop ◄─ up to which change the filter has come, or that it was refused ◄─┘
//! ```
//! What is late here is the filter, never the engine: a packet that is captured and not known to the engine is dropped. Who must
//! not rely on a policy before its packets are captured awaits the number of its change.
//!
//! The thread also notices when somebody else removes the table, and puts it back.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ravelin_inbox::Wake;
use ravelin_types::dataplane::{DataPlaneError, Settled};
use ravelin_types::policy::{Policy, PolicyId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::TunConfig;
use crate::error::Error;
use crate::last_resort::LastResort;
use crate::shared::take;
use crate::watch::FilterWatch;
use crate::{filter, nft};

/// How long after a refusal the system is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// The packet filter, as the daemon's thread sees it. Dropping it awaits the end of the thread, which leaves the filter as it is.
pub(crate) struct Capture {
    shared: Arc<Shared>,
    /// Each is the answer to a change that the daemon's thread made, so there are never many.
    settled: Receiver<Settled>,
    ready: Wake,
    /// Taken from there and not asked for yet.
    known: VecDeque<Settled>,
    /// The number of the last change.
    last: u64,
    thread: Option<JoinHandle<()>>,
}

/// What both threads see.
struct Shared {
    wanted: Mutex<Wanted>,
    wake: Wake,
    runs: AtomicU64,
}

/// What has changed since the thread last looked.
#[derive(Default)]
struct Wanted {
    /// Policies as they shall be; `None`: gone.
    policies: BTreeMap<PolicyId, Option<Policy>>,
    /// The virtual interfaces, where these are others.
    interfaces: Option<Vec<String>>,
    /// The number of the last change, if there is one.
    change: Option<u64>,
    stop: bool,
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capture {
    /// Starts the thread, in the network namespace of the caller. The table is there, without policies.
    pub(crate) fn start(config: &TunConfig) -> Result<Self, Error> {
        let no_descriptor = |error| Error::system("make an event descriptor", error);
        let (wake, ready) = (Wake::new().map_err(no_descriptor)?, Wake::new().map_err(no_descriptor)?);
        let shared = Arc::new(Shared { wanted: Mutex::default(), wake, runs: AtomicU64::new(0) });
        let (answer, settled) = channel();
        let keeper = Keeper {
            config: config.clone(),
            shared: shared.clone(),
            watch: FilterWatch::new().map_err(|error| Error::system("watch the packet filter", error))?,
            last_resort: LastResort::new(config)?,
            answers: (answer, ready.clone()),
            policies: BTreeMap::new(),
            interfaces: Vec::new(),
            in_force: None,
        };
        let thread = std::thread::Builder::new().name("filter".to_owned()).spawn(move || keeper.run());
        let thread = Some(thread.map_err(|error| Error::system("start the thread of the packet filter", error))?);
        Ok(Capture { shared, settled, ready, known: VecDeque::new(), last: 0, thread })
    }

    /// Readable while [`Capture::poll`] has something.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// Wants these policies, or that there are none of these numbers, and these virtual interfaces. The number of the change.
    pub(crate) fn change(
        &mut self,
        policies: impl Iterator<Item = (PolicyId, Option<Policy>)>,
        interfaces: Vec<String>,
    ) -> u64 {
        self.last += 1;
        let mut wanted = self.shared.wanted();
        wanted.policies.extend(policies);
        wanted.interfaces = Some(interfaces);
        wanted.change = Some(self.last);
        drop(wanted);
        self.shared.wake.set();
        self.last
    }

    /// Waits until the last change is in force, or refused.
    pub(crate) fn wait(&mut self) -> Result<(), DataPlaneError> {
        loop {
            let Ok(settled) = self.settled.recv() else {
                return Err(DataPlaneError::System("the thread of the packet filter has ended".to_owned()));
            };
            let (change, result) = (settled.change, settled.result.clone());
            self.known.push_back(settled);
            if change == self.last {
                return result;
            }
        }
    }

    /// The next answer: how far the filter has come.
    pub(crate) fn poll(&mut self) -> Option<Settled> {
        self.known.pop_front().or_else(|| take(&self.settled, &self.ready))
    }

    /// How often `nft` ran for changes.
    pub(crate) fn runs(&self) -> u64 {
        self.shared.runs.load(Ordering::Relaxed)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.wanted().stop = true;
        self.shared.wake.set();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the packet filter panicked");
        }
    }
}

/// The thread.
struct Keeper {
    config: TunConfig,
    shared: Arc<Shared>,
    watch: FilterWatch,
    last_resort: LastResort,
    answers: (Sender<Settled>, Wake),
    policies: BTreeMap<PolicyId, Policy>,
    interfaces: Vec<String>,
    /// The script that was carried out last.
    in_force: Option<String>,
}

impl Keeper {
    /// Runs until it is told to stop.
    fn run(mut self) {
        let mut again: Option<Instant> = None;
        loop {
            self.sleep(again);
            self.shared.wake.clear();
            let wanted = std::mem::take(&mut *self.shared.wanted());
            if wanted.stop {
                return;
            }
            let change = self.learn(wanted);
            let removed = self.watch.table_removed();
            let due = again.is_some_and(|at| at <= Instant::now());
            if change.is_none() && !removed && !due {
                continue;
            }
            let result = if removed { self.restore() } else { self.follow() };
            match &result {
                Ok(()) if again.take().is_some() => tracing::info!("the packet filter is as it should be again"),
                Ok(()) => {}
                Err(error) => {
                    // A refused change is its owner's to report.
                    if change.is_none() {
                        tracing::error!("traffic may leave in clear, the packet filter is not in force: {error}");
                    }
                    again = Some(Instant::now() + AGAIN);
                }
            }
            if let Some(change) = change {
                let result = result.map_err(|error| DataPlaneError::System(error.to_string()));
                // Nobody listens at the end.
                let _ = self.answers.0.send(Settled { change, result });
                self.answers.1.set();
            }
        }
    }

    /// Until there is something to look at.
    fn sleep(&self, until: Option<Instant>) {
        let timeout = until.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let mut fds =
            [self.shared.wake.as_fd(), self.watch.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        if let Err(error) = poll(&mut fds, timeout.as_ref())
            && error != rustix::io::Errno::INTR
        {
            tracing::error!("the thread of the packet filter cannot wait: {error}");
            std::thread::sleep(AGAIN);
        }
    }

    fn learn(&mut self, wanted: Wanted) -> Option<u64> {
        for (id, policy) in wanted.policies {
            match policy {
                Some(policy) => drop(self.policies.insert(id, policy)),
                None => drop(self.policies.remove(&id)),
            }
        }
        if let Some(interfaces) = wanted.interfaces {
            self.interfaces = interfaces;
        }
        wanted.change
    }

    /// Brings the filter up to date.
    fn follow(&mut self) -> Result<(), Error> {
        let script = self.script();
        if self.in_force.as_ref() != Some(&script) {
            if let Err(error) = self.run_nft(|_| nft::run(&script)) {
                if error.is_late() {
                    // Nobody knows what is in force, and whoever asks next may hang as well.
                    self.in_force = None;
                    return Err(error);
                }
                // Somebody may have removed the table a moment ago.
                return if nft::exists(&self.config.filter_table)? { Err(error) } else { self.restore() };
            }
            self.in_force = Some(script);
        }
        self.last_resort.follow(order(&self.policies).into_iter());
        Ok(())
    }

    /// Puts the filter back where somebody removed it.
    fn restore(&mut self) -> Result<(), Error> {
        if nft::exists(&self.config.filter_table)? {
            return self.follow();
        }
        self.in_force = None;
        let script = self.script();
        self.run_nft(|config| make(config, &script))?;
        self.in_force = Some(script);
        tracing::error!("the packet filter was removed from outside (a reload of the firewall?): restored");
        self.follow()
    }

    fn script(&self) -> String {
        filter::policies(&self.config, order(&self.policies).into_iter(), &self.interfaces)
    }

    fn run_nft(&self, run: impl FnOnce(&TunConfig) -> Result<(), Error>) -> Result<(), Error> {
        self.shared.runs.fetch_add(1, Ordering::Relaxed);
        run(&self.config)
    }
}

/// The order of the SPD.
fn order(policies: &BTreeMap<PolicyId, Policy>) -> Vec<&Policy> {
    let mut order: Vec<&Policy> = policies.values().collect();
    order.sort_by_key(|policy| (policy.priority, policy.id));
    order
}

/// Makes the table, with what `policies` adds to it, at once.
pub(crate) fn make(config: &TunConfig, policies: &str) -> Result<(), Error> {
    nft::run(&(filter::create(config) + policies))?;
    if let Err(error) = nft::run(&filter::streams(config)) {
        tracing::warn!("IKE in TCP is not told from clear packets where a policy is about the peer itself: {error}");
    }
    Ok(())
}
