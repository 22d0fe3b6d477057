//! The data plane as the daemon sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_engine::{DropReason, Engine, EngineConfig, NoMatch};
use ravelin_inbox::{IkeDatagram, IkeReceiver, Progress, Wake, ike_queue};
use ravelin_types::dataplane::{DataPlane, DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus, Settled};
use ravelin_types::interface::Interface;
use ravelin_types::options::{Offload, Processors, SaOptions};
use ravelin_types::policy::{Action, Domain, Policy, PolicyId, Protection};
use ravelin_types::record::Store;
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::{Carrier, IkeSpi, Spi, Way};
use ravelin_wire::udp_encap::NON_ESP_MARKER;
use rustix::event::epoll;

use crate::capture::Capture;
use crate::config::{TunConfig, check_device};
use crate::crew::{Crew, Posted, Station};
use crate::deal::SINGLE;
use crate::device::Device;
use crate::error::Error;
use crate::filter;
use crate::inbound::Ports;
use crate::shared::{Clock, HalfCounters, MAX_REPORTS, Report, take};
use crate::sockets::{Sockets, Use};
use crate::streams::Streams;
use crate::sys::{HOPS, Messages, Sending};
use crate::system::System;

/// Counters of the data plane as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaneCounters {
    /// Packets sealed and sent, and packets opened and delivered.
    pub protected: (u64, u64),
    /// Why packets were dropped, and how many; reasons that never occurred are left out.
    pub drops: Vec<(String, u64)>,
    /// ESP packets that came before their SA, and waited for it.
    pub early: u64,
    /// How often `nft` ran since the start because policies changed.
    pub filter_runs: u64,
}

/// A running data plane: the devices, the sockets, the threads, and the rules in the kernel.
///
/// It belongs to the network namespace of the thread that started it; operations are applied from a thread in the
/// same namespace.
pub struct TunDataPlane {
    // The threads end before the devices and the rules go.
    crew: Crew,
    capture: Capture,
    system: System,
    sockets: Arc<Sockets>,
    streams: Arc<Streams>,
    clock: Clock,
    messages: Messages,
    ports: Ports,
    offload: bool,
    policies: BTreeMap<PolicyId, Policy>,
    /// Names of the virtual interfaces.
    interfaces: BTreeMap<Domain, String>,
    reports: Receiver<Report>,
    reports_ready: Wake,
    /// Readable when there are reports or news of the packet filter.
    event_ready: OwnedFd,
    alive: VecDeque<Spi>,
    closed: VecDeque<Way>,
    events: VecDeque<DataPlaneEvent>,
    ike: IkeReceiver,
}

impl TunDataPlane {
    /// Makes the devices, the sockets, the routing rules and the packet filter in the network namespace of the calling
    /// thread, and starts the threads, each with randomness of its own.
    ///
    /// # Errors
    /// What failed and what mends it; everything done until then is undone.
    pub fn start(
        config: TunConfig,
        crypto: CryptoProvider,
        rng: impl Fn() -> Box<dyn SecureRandom>,
        store: &mut dyn Store,
    ) -> Result<Self, Error> {
        config.check()?;
        let workers = 0..config.workers;
        let create = |worker| Device::create(&config.device_of(worker), config.offload).map(Arc::new);
        let devices = workers.clone().map(create).collect::<Result<Vec<_>, _>>()?;
        let open = |worker| Sockets::open(&config, worker).map(Arc::new);
        let all_sockets = workers.map(open).collect::<Result<Vec<_>, _>>()?;
        let sockets = all_sockets[SINGLE].clone();
        let streams = Arc::new(Streams::open(&config, sockets.has_v6())?);
        let system = System::install(&config, sockets.has_v6(), store)?;

        // The filter captures only what policies select: anything else in the device is a race or a mistake.
        let engine = EngineConfig { no_match: NoMatch::Discard, ..EngineConfig::default() };
        let clock = Clock::new();
        let no_descriptor = |error| Error::system("make an event descriptor", error);
        let reports_ready = Wake::new().map_err(no_descriptor)?;
        let capture = Capture::start(&config)?;
        let event_ready = either(reports_ready.as_fd(), capture.fd()).map_err(no_descriptor)?;
        let (report, reports) = sync_channel(MAX_REPORTS);
        let (ike_sender, ike) = ike_queue().map_err(no_descriptor)?;
        let ports = Ports { ike: config.ike_port, nat: config.nat_port };

        let crew = Crew::start(Station {
            config: &config,
            engines: &mut || Engine::new(engine, crypto, rng()),
            devices,
            sockets: all_sockets,
            streams: streams.clone(),
            clock,
            ports,
            reports: (report, reports_ready.clone()),
            ike: ike_sender,
        })?;
        Ok(TunDataPlane {
            crew,
            capture,
            system,
            sockets,
            streams,
            clock,
            messages: Messages::new(),
            ports,
            offload: config.offload,
            policies: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            reports,
            reports_ready,
            event_ready,
            alive: VecDeque::new(),
            closed: VecDeque::new(),
            events: VecDeque::new(),
            ike,
        })
    }

    /// Stops the threads and undoes every change to the system. Dropping the value does the same, only without
    /// noting it in the store; but in a panic the guards against clear text stay, for the next start to remove.
    ///
    /// # Errors
    /// The first change that could not be undone; the others are undone nevertheless.
    pub fn stop(self, store: &mut dyn Store) -> Result<(), Error> {
        let TunDataPlane { capture, mut system, .. } = self;
        // Its thread would put back what is removed.
        drop(capture);
        system.remove(Some(store))
    }

    /// What it was started with.
    pub fn config(&self) -> &TunConfig {
        &self.system.config
    }

    /// Readable while [`TunDataPlane::poll_ike`] has something.
    pub fn ike_fd(&self) -> BorrowedFd<'_> {
        self.ike.as_fd()
    }

    /// Readable while `poll_event`, [`TunDataPlane::poll_alive`] or [`TunDataPlane::poll_settled`] has something.
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.event_ready.as_fd()
    }

    /// The next IKE datagram that arrived, oldest first; those that ask for an IKE SA seldom before others.
    pub fn poll_ike(&mut self) -> Option<IkeDatagram> {
        self.ike.next()
    }

    /// An IKE SA is so far now: its messages do not wait behind those of anybody.
    pub fn note_ike(&mut self, spis: (IkeSpi, IkeSpi), progress: Progress) {
        self.ike.note(spis, progress);
    }

    /// The SPI of the next inbound SA on which authenticated packets arrived, reported at most once a second.
    pub fn poll_alive(&mut self) -> Option<Spi> {
        self.sort_reports();
        self.alive.pop_front()
    }

    /// The next TCP connection that is gone without [`TunDataPlane::close_stream`].
    pub fn poll_closed(&mut self) -> Option<Way> {
        self.sort_reports();
        self.closed.pop_front()
    }

    /// Begins to open a TCP connection for IKE and ESP (RFC 9329), from `local` if that is specified. Gives our end; what is
    /// sent before it stands waits.
    ///
    /// # Errors
    /// The system's answer: no route, an address that is not ours, too many connections.
    pub fn open_stream(&mut self, local: IpAddr, remote: SocketAddr) -> io::Result<SocketAddr> {
        let opened = self.streams.connect(local, remote, self.clock.now());
        // The thread that reads learns that it has to look at the clock.
        self.crew.wake_single();
        opened
    }

    /// Closes a TCP connection once what waits is sent.
    pub fn close_stream(&mut self, way: Way) {
        self.streams.close(way, self.clock.now());
        self.crew.wake_single();
    }

    /// Sends an IKE message by a TCP connection, or from the UDP port `local` names, with the non-ESP marker where that is the
    /// NAT-traversal port.
    ///
    /// # Errors
    /// The system's answer: no route, an address that is not ours, a message too long, no room now.
    pub fn send_ike(&mut self, way: Way, data: &[u8]) -> io::Result<()> {
        let Way { local, remote, carrier } = way;
        if carrier == Carrier::Tcp {
            return self.streams.send_ike(way, data);
        }
        let mut marked = Vec::new();
        let (what, bytes) = if local.port() == self.ports.nat {
            marked.extend_from_slice(&NON_ESP_MARKER);
            marked.extend_from_slice(data);
            (Use::Nat, marked.as_slice())
        } else {
            (Use::Ike, data)
        };
        let socket = self.sockets.get(what, remote.ip()).ok_or(io::ErrorKind::Unsupported)?;
        let sending = Sending { start: 0, end: bytes.len(), remote, local: local.ip(), tos: 0, hops: HOPS };
        let mut result = Ok(());
        let done = self.messages.send(socket, bytes, &[sending], false, &mut |_, error| result = Err(error));
        if done == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { result }
    }

    /// The address from which our packets to `remote` would leave now. `None`: there is no route.
    pub fn source_towards(&self, remote: IpAddr) -> Option<IpAddr> {
        self.sockets.source_towards(remote).ok()
    }

    /// Carries out several operations with one change of the packet filter, and waits for that; stops at the first that fails
    /// and says which one.
    ///
    /// # Errors
    /// The index of the operation that failed, and why. The ones before it are in force; but where the packet filter
    /// was refused, the policies are what they were before the call.
    pub fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        let first_policy = ops.iter().position(|op| policy_of(op).is_some());
        let before = self.now(ops);
        let result = ops.iter().enumerate().try_for_each(|(i, op)| self.apply_one(op).map_err(|error| (i, error)));
        if let Some(first) = first_policy
            && before.iter().any(|(id, policy)| self.policies.get(id) != policy.as_ref())
            && let Err(error) = self.follow_policies(&before).and_then(|_| self.capture.wait())
        {
            self.restore(before);
            return Err((first, error));
        }
        result
    }

    /// Carries out operations that are not about policies or interfaces, and waits for the threads once. What came of each.
    pub fn apply_each(&mut self, ops: &[DataPlaneOp]) -> Vec<Result<(), DataPlaneError>> {
        let post = |op| {
            self.streams.note(op);
            self.post(op)
        };
        let posted: Vec<Posted> = ops.iter().map(post).collect();
        posted.into_iter().map(|posted| self.crew.settle(posted)).collect()
    }

    /// Carries out one operation without waiting for the packet filter. Where that has to follow, the number of the change: by
    /// it [`TunDataPlane::poll_settled`] tells that the filter has it. Until then packets of a new policy may not be captured yet,
    /// and those of one that is gone are dropped.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn begin(&mut self, op: &DataPlaneOp) -> Result<Option<u64>, DataPlaneError> {
        let before = self.now(std::slice::from_ref(op));
        // The engine first, the filter after: what is captured and not known to the engine is dropped, not leaked.
        self.apply_one(op)?;
        if before.iter().all(|(id, policy)| self.policies.get(id) == policy.as_ref()) {
            return Ok(None);
        }
        self.follow_policies(&before).map(Some).inspect_err(|_| self.restore(before))
    }

    /// How far the packet filter has followed what was begun.
    pub fn poll_settled(&mut self) -> Option<Settled> {
        self.capture.poll()
    }

    /// Everything that was counted.
    pub fn counters(&mut self) -> PlaneCounters {
        let mut counters = PlaneCounters { filter_runs: self.capture.runs(), ..PlaneCounters::default() };
        for (direction, HalfCounters { engine, early, around }) in self.crew.count() {
            match direction {
                Direction::Outbound => counters.protected.0 += engine.protected,
                Direction::Inbound => counters.protected.1 += engine.protected,
            }
            // What waits for its SA came to the engine without one.
            counters.early += early;
            let dropped = |(reason, count): (DropReason, u64)| match reason {
                DropReason::UnknownSpi => (reason.text().to_owned(), count.saturating_sub(early)),
                _ => (reason.text().to_owned(), count),
            };
            counters.drops.extend(engine.drops().map(dropped));
            counters.drops.extend(around);
        }
        counters.drops.extend(self.ike.counters().map(|(text, count)| (text.to_owned(), count)));
        match self.system.counters() {
            Ok(filtered) => counters.drops.extend(filtered.into_iter().map(|(text, count)| (text.to_owned(), count))),
            Err(error) => tracing::warn!("the counters of the packet filter are missing: {error}"),
        }
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (text, count) in counters.drops.drain(..).filter(|(_, count)| *count > 0) {
            *sums.entry(text).or_default() += count;
        }
        counters.drops = sums.into_iter().collect();
        counters
    }

    fn apply_one(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        self.streams.note(op);
        match op {
            DataPlaneOp::AddPolicy(Policy {
                name,
                domain,
                action: Action::Protect(Protection { options, .. }),
                ..
            }) if let Some(why) = of_the_kernel(options, *domain) => {
                Err(DataPlaneError::invalid(format_args!("policy {name}: {why}")))
            }
            DataPlaneOp::AddPolicy(policy) => {
                let before = self.policies.get(&policy.id).cloned();
                let back = before.map_or(DataPlaneOp::DeletePolicy(policy.id), DataPlaneOp::AddPolicy);
                self.crew.apply_to_all(op, &back)?;
                self.policies.insert(policy.id, policy.clone());
                Ok(())
            }
            DataPlaneOp::DeletePolicy(id) => {
                let before = self.policies.get(id).ok_or(DataPlaneError::NoSuchPolicy(*id))?;
                self.crew.apply_to_all(op, &DataPlaneOp::AddPolicy(before.clone()))?;
                self.policies.remove(id);
                Ok(())
            }
            DataPlaneOp::AddInterface(interface) => self.add_interface(interface),
            DataPlaneOp::DeleteInterface(domain) => {
                self.interfaces.remove(domain);
                self.crew.give_device(*domain, None);
                Ok(())
            }
            _ => {
                let posted = self.post(op);
                self.crew.settle(posted)
            }
        }
    }

    /// Hands an operation that is not about a policy or an interface over to the thread that it concerns.
    fn post(&mut self, op: &DataPlaneOp) -> Posted {
        let domain = match op {
            DataPlaneOp::AddSa(SaParams { policy, .. }) | DataPlaneOp::FailAcquire(policy) => self.domain(*policy),
            _ => Domain::default(),
        };
        self.crew.post(op, domain)
    }

    /// Makes a virtual interface, up and without an address. It vanishes with the last half that lets it go.
    fn add_interface(&mut self, interface: &Interface) -> Result<(), DataPlaneError> {
        let refused = |error: Error| DataPlaneError::System(error.to_string());
        check_device("interface", &interface.name).map_err(refused)?;
        let Interface { name, addresses, mtu, vrf, namespace, vti, .. } = interface;
        if !addresses.is_empty() || mtu.is_some() || vrf.is_some() || namespace.is_some() || vti.is_some() {
            let why = format!(
                "a TUN device is made without address, MTU, VRF, namespace and key: make {name} bare and give it these by \
                 `ip address` and `ip link`, or use the data plane `kernel`"
            );
            return Err(DataPlaneError::Invalid(why.into()));
        }
        let device = Device::create(&interface.name, self.offload).map_err(refused)?;
        self.system.take_up(&interface.name, self.sockets.has_v6()).map_err(refused)?;
        self.crew.give_device(interface.domain, Some(Arc::new(device)));
        self.interfaces.insert(interface.domain, interface.name.clone());
        Ok(())
    }

    /// The domain of a policy; that of what is captured where there is no such policy any more.
    fn domain(&self, policy: PolicyId) -> Domain {
        self.policies.get(&policy).map_or(Domain::default(), |policy| policy.domain)
    }

    /// The policies that the operations are about, as they are now.
    fn now(&self, ops: &[DataPlaneOp]) -> BTreeMap<PolicyId, Option<Policy>> {
        ops.iter().filter_map(policy_of).map(|id| (id, self.policies.get(&id).cloned())).collect()
    }

    /// Has the packet filter follow the policies of these numbers. The number of the change.
    fn follow_policies(&mut self, changed: &BTreeMap<PolicyId, Option<Policy>>) -> Result<u64, DataPlaneError> {
        // Nothing is captured for virtual interfaces.
        let captured = |policy: &&Policy| policy.domain == Domain::default();
        filter::check(self.policies.values().filter(captured)).map_err(|why| DataPlaneError::Invalid(why.into()))?;
        let used: BTreeSet<Domain> = match self.interfaces.is_empty() {
            true => BTreeSet::new(),
            false => self.policies.values().map(|policy| policy.domain).collect(),
        };
        let interfaces = self.interfaces.iter().filter(|(domain, _)| used.contains(domain));
        let interfaces = interfaces.map(|(_, name)| name.clone()).collect();
        let policies = changed.keys().map(|id| (*id, self.policies.get(id).filter(captured).cloned()));
        Ok(self.capture.change(policies, interfaces))
    }

    /// Puts policies back to what they were.
    fn restore(&mut self, before: BTreeMap<PolicyId, Option<Policy>>) {
        for (id, policy) in &before {
            let op = match policy {
                same if self.policies.get(id) == same.as_ref() => continue,
                Some(policy) => DataPlaneOp::AddPolicy(policy.clone()),
                None => DataPlaneOp::DeletePolicy(*id),
            };
            if let Err(error) = self.apply_one(&op) {
                tracing::error!("cannot take back a change of the policies: {error}");
            }
        }
        if let Err(error) = self.follow_policies(&before) {
            tracing::error!("cannot take back a change of the packet filter: {error}");
        }
    }

    /// Splits what the threads reported into events and signs of life.
    fn sort_reports(&mut self) {
        while self.events.len().max(self.closed.len()) < MAX_REPORTS
            && let Some(report) = take(&self.reports, &self.reports_ready)
        {
            match report {
                // A worker that read a packet of another's policy hands it over, and he asks for the SA.
                Report::Event(DataPlaneEvent::Acquire { policy, .. }, worker)
                    if !self.crew.seals(worker, policy, self.domain(policy)) => {}
                Report::Event(event, _) => self.events.push_back(event),
                Report::Alive(spi) if self.alive.len() < MAX_REPORTS => self.alive.push_back(spi),
                // It is reported again when its next packet comes.
                Report::Alive(_) => {}
                Report::Closed(way) => self.closed.push_back(way),
            }
        }
    }
}

impl DataPlane for TunDataPlane {
    fn apply(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        self.apply_all(std::slice::from_ref(op)).map_err(|(_, error)| error)
    }

    fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        self.sort_reports();
        self.events.pop_front()
    }

    fn list(&mut self) -> Vec<SaStatus> {
        self.crew.list()
    }

    fn sa(&mut self, id: SaId) -> Option<SaStatus> {
        self.crew.sa(id)
    }
}

/// The policy that an operation changes.
fn policy_of(op: &DataPlaneOp) -> Option<PolicyId> {
    match op {
        DataPlaneOp::AddPolicy(policy) => Some(policy.id),
        DataPlaneOp::DeletePolicy(id) => Some(*id),
        _ => None,
    }
}

/// What of a policy only the kernel can, and why.
fn of_the_kernel(options: &SaOptions, domain: Domain) -> Option<&'static str> {
    if options.marks.any() || options.set_mark.or(options.output_mark).is_some() {
        return Some(
            "a TUN device carries no marks: nftables can give what comes out of it one (`iifname`), and the data plane \
             `kernel` selects and marks by the policy",
        );
    }
    if options.if_ids.any() && (domain == Domain::default() || options.if_ids.of_one_device().is_none()) {
        return Some(
            "a TUN device has no `if_id`: make an interface with that number first (vti add DEVICE --if-id NUMBER), one for \
             both directions, or use the data plane `kernel`",
        );
    }
    if matches!(options.offload, Offload::Crypto | Offload::Packet) {
        return Some(
            "no network device takes cryptography from a program: say --offload auto or leave it out, or use the data plane \
             `kernel`",
        );
    }
    (options.processors != Processors::All).then_some(
        "all SAs of a policy are of one worker, whichever processor its packets come from: leave --per-cpu out, or use the \
         data plane `kernel`",
    )
}

/// A descriptor that is readable while one of two others is.
fn either(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let both = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for fd in [one, other] {
        epoll::add(&both, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    }
    Ok(both)
}
