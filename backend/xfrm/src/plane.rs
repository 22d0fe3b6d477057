//! The data plane as the daemon sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlane, DataPlaneError, DataPlaneEvent, DataPlaneOp, Flow, Interface, SaStatus};
use ravelin_types::policy::{Action, Domain, PolicyId};
use ravelin_types::sa::{Direction, SaCounters, SaId, SaParams, UdpEncap};
use ravelin_types::selector::select;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::book::{Book, Step};
use crate::config::XfrmConfig;
use crate::error::{Error, refused};
use crate::links::Links;
use crate::msg::attribute::Attribute;
use crate::msg::parts::{Address, INET, INET6, Id};
use crate::msg::policy::Acquire;
use crate::msg::state::{SpiRange, StateInfo};
use crate::msg::{Body, Message, kind};
use crate::netlink::{Events, Netlink, Notice, Request, group};
use crate::probe::Capabilities;
use crate::sockets::{IkeDatagram, Sockets};
use crate::states::Name;
use crate::{own, policies, reconcile, selectors, states};

/// Flows whose acquire is under way that are told apart; more are handed on each time their packets ask.
const MAX_PENDING: usize = 1 << 17;
/// Looking through the SAs takes no more than one part in so many of the time.
const SURVEY_SHARE: u32 = 10;

/// A running data plane: policies and SAs in the kernel, and the sockets of IKE.
///
/// It belongs to the network namespace of the thread that started it.
pub struct XfrmDataPlane {
    pub(crate) netlink: Netlink,
    pub(crate) book: Book,
    links: Links,
    interfaces: BTreeMap<Domain, u32>,
    events: Events,
    pub(crate) policy_events: Events,
    sockets: Sockets,
    timer: OwnedFd,
    /// Readable when the kernel has told something, or the timer wants a look at the SAs.
    ready: OwnedFd,
    config: XfrmConfig,
    capabilities: Capabilities,
    pub(crate) queue: VecDeque<DataPlaneEvent>,
    alive: VecDeque<Spi>,
    pending: BTreeMap<(PolicyId, Flow), Note>,
    seen: BTreeMap<SaId, Seen>,
    survey_took: Duration,
    /// Seconds between two ticks of the timer; 0: it is off.
    armed: i64,
}

/// The kernel's note that an SA is on its way.
#[derive(Clone)]
struct Note {
    id: Id,
    src: Address,
    seq: u32,
    since: Instant,
}

/// What the last look at an SA showed.
#[derive(Clone, Copy)]
struct Seen {
    packets: u64,
    /// When packets were counted last.
    used: Instant,
    /// When it was reported as idle last.
    idle: Instant,
    /// When a keepalive was sent last.
    keepalive: Instant,
    gone: bool,
}

impl XfrmDataPlane {
    /// Connects to the kernel in the network namespace of the calling thread, of which [`probe`](fn@crate::probe) found out
    /// what it can do. What an earlier daemon has left there stays
    /// as it is until [`XfrmDataPlane::settle`].
    ///
    /// # Errors
    /// What failed and what mends it.
    pub fn start(config: XfrmConfig, capabilities: Capabilities) -> Result<Self, Error> {
        config.check()?;
        let no_xfrm = |error| Error::system("speak with the kernel's IPsec (XFRM)", error);
        let mut netlink = Netlink::open().map_err(no_xfrm)?;
        let events = Events::open(&[group::ACQUIRE, group::EXPIRE, group::MAPPING]).map_err(no_xfrm)?;
        let policy_events = Events::open(&[group::POLICY]).map_err(no_xfrm)?;
        let links = Links::open().map_err(|error| Error::system("speak with the kernel's links", error))?;
        let sockets = Sockets::open(&config)?;
        let found =
            reconcile::find(&mut netlink).map_err(|refusal| Error::refused("list what is in the kernel", &refusal))?;
        let descriptor = |error: io::Error| Error::system("make an event descriptor", error);
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
        let timer = timer.map_err(|error| descriptor(error.into()))?;
        let ready = any_of([events.as_fd(), policy_events.as_fd(), timer.as_fd()]).map_err(descriptor)?;
        let mut plane = XfrmDataPlane {
            netlink,
            book: Book::with(found),
            links,
            interfaces: BTreeMap::new(),
            events,
            policy_events,
            sockets,
            timer,
            ready,
            config,
            capabilities,
            queue: VecDeque::new(),
            alive: VecDeque::new(),
            pending: BTreeMap::new(),
            seen: BTreeMap::new(),
            survey_took: Duration::ZERO,
            armed: 0,
        };
        plane.let_neighbours_pass()?;
        Ok(plane)
    }

    /// The policies that were ordered until now are all that there are: removes what an earlier daemon left beyond them.
    /// Its SAs for policies that are there still go on until new ones are installed, which are asked for at once.
    pub fn settle(&mut self) {
        for line in reconcile::settle(self) {
            tracing::info!("{line}");
        }
        let wanted: BTreeSet<u32> = self.interfaces.values().copied().collect();
        let left = self.links.list().unwrap_or_default();
        for link in left.iter().filter(|link| own::policy(link.if_id).is_some() && !wanted.contains(&link.index)) {
            if let Err(error) = self.links.delete(link.index) {
                tracing::warn!("the interface {} of an earlier daemon stays: {error}", link.name);
            }
        }
    }

    /// Removes everything that is ours from the kernel.
    ///
    /// # Errors
    /// The first entry that could not be removed; the others are gone nevertheless.
    pub fn stop(mut self) -> Result<(), Error> {
        let links: Vec<u32> = self.interfaces.values().copied().collect();
        let removed = links.into_iter().try_for_each(|index| self.links.delete(index));
        reconcile::remove_ours(&mut self.netlink)?;
        removed.map_err(|error| Error::system("remove a virtual interface", error))
    }

    /// What the kernel can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Readable while [`XfrmDataPlane::poll_ike`] has something.
    pub fn ike_fd(&self) -> BorrowedFd<'_> {
        self.sockets.readable()
    }

    /// Readable while `poll_event` or [`XfrmDataPlane::poll_alive`] has something to do.
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// The next IKE datagram.
    pub fn poll_ike(&mut self) -> Option<IkeDatagram> {
        self.sockets.receive()
    }

    /// The SPI of the next inbound SA on which authenticated packets arrived since the last look.
    pub fn poll_alive(&mut self) -> Option<Spi> {
        self.alive.pop_front()
    }

    /// Sends an IKE message from the port `local` names, with the non-ESP marker where that is the NAT-traversal port.
    ///
    /// # Errors
    /// The system's answer.
    pub fn send_ike(&mut self, local: SocketAddr, remote: SocketAddr, data: &[u8]) -> io::Result<()> {
        self.sockets.send(local, remote, data)
    }

    /// The address from which packets to `remote` would leave now. `None`: there is no route.
    pub fn source_towards(&self, remote: IpAddr) -> Option<IpAddr> {
        self.sockets.source_towards(remote)
    }

    /// Carries out operations in order, as many as possible with one call of the kernel; stops at the first that fails.
    ///
    /// # Errors
    /// The index of the operation that failed, and why. The ones before it are in force.
    pub fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        let mut at = 0;
        while at < ops.len() {
            let run = ops[at..].iter().take_while(|op| can_be_taken_back(op)).count();
            if run > 1 && self.together(&ops[at..at + run]).is_ok() {
                at += run;
                continue;
            }
            // One by one: to find the one that fails, or because it is alone.
            let end = at + run.max(1);
            while at < end {
                self.apply_one(&ops[at]).map_err(|error| (at, error))?;
                at += 1;
            }
        }
        self.arm();
        Ok(())
    }

    /// What is counted by the kernel for the whole namespace, and by its SAs, by name.
    pub fn counters(&mut self) -> Vec<(String, u64)> {
        let (mut sealed, mut opened) = (0, 0);
        for sa in self.list() {
            match sa.params.direction {
                Direction::Outbound => sealed += sa.counters.packets,
                Direction::Inbound => opened += sa.counters.packets,
            }
        }
        let mut all = vec![("packets-sealed".to_owned(), sealed), ("packets-opened".to_owned(), opened)];
        let text = std::fs::read_to_string("/proc/thread-self/net/xfrm_stat").unwrap_or_default();
        for line in text.lines() {
            if let Some((name, count)) = line.split_once(char::is_whitespace)
                && let Ok(count) = count.trim().parse::<u64>()
                && count > 0
            {
                all.push((format!("kernel: {name}"), count));
            }
        }
        all
    }

    /// Operations that can be taken back, in one go: all or none.
    fn together(&mut self, ops: &[DataPlaneOp]) -> Result<(), DataPlaneError> {
        let mut steps = Vec::new();
        for op in ops {
            match self.plan(op) {
                Ok(more) => steps.extend(more),
                Err(error) => {
                    self.book.roll_back();
                    return Err(error);
                }
            }
        }
        self.carry_out(steps, None)?;
        ops.iter().for_each(|op| self.carried_out(op));
        Ok(())
    }

    fn apply_one(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        match op {
            DataPlaneOp::FailAcquire(policy) => self.fail_acquire(*policy),
            // The kernel learns the MTU of paths by itself.
            DataPlaneOp::SetMtu { id, .. } => self.book.sa(*id).map(drop).ok_or(DataPlaneError::NoSuchSa(*id))?,
            DataPlaneOp::MoveSa { id, src, dst, encap } => self.relocate(*id, (*src, *dst), *encap)?,
            DataPlaneOp::AddInterface(interface) => self.add_interface(interface)?,
            DataPlaneOp::DeleteInterface(domain) => {
                if let Some(index) = self.interfaces.remove(domain)
                    && let Err(error) = self.links.delete(index)
                {
                    tracing::warn!("a virtual interface could not be removed: {error}");
                }
            }
            other => {
                let sa = match other {
                    DataPlaneOp::AddSa(params) => Some(params.id()),
                    _ => None,
                };
                let steps = self.plan(other).inspect_err(|_| self.book.roll_back())?;
                self.carry_out(steps, sa)?;
                self.carried_out(other);
            }
        }
        Ok(())
    }

    fn plan(&mut self, op: &DataPlaneOp) -> Result<Vec<Step>, DataPlaneError> {
        match op {
            DataPlaneOp::AddPolicy(policy) => self.book.add_policy(policy),
            DataPlaneOp::DeletePolicy(id) => self.book.delete_policy(*id),
            DataPlaneOp::AddSa(params) => self.book.add_sa(params),
            DataPlaneOp::DeleteSa(id) => self.book.delete_sa(*id),
            _ => Ok(Vec::new()),
        }
    }

    /// Asks the kernel for all steps, and takes back what it did when it refuses one.
    fn carry_out(&mut self, steps: Vec<Step>, sa: Option<SaId>) -> Result<(), DataPlaneError> {
        let requests: Vec<Request> = steps.iter().map(|step| step.request.clone()).collect();
        let mut refusals = self.netlink.requests(&requests);
        refusals.retain(|(index, refusal)| {
            !(steps[*index].may_be_gone && matches!(refusal.errno, libc::ESRCH | libc::ENOENT))
        });
        let Some((index, refusal)) = refusals.first() else {
            self.book.commit();
            return Ok(());
        };
        let error = refused(&steps[*index].request.message, sa, refusal);
        let failed: BTreeSet<usize> = refusals.iter().map(|(index, _)| *index).collect();
        let done = steps.into_iter().enumerate().filter(|(index, _)| !failed.contains(index));
        let undo: Vec<Request> = done.filter_map(|(_, step)| step.undo).rev().collect();
        for (index, refusal) in self.netlink.requests(&undo) {
            let line = crate::text::command(&undo[index].message);
            tracing::error!("a change that failed could not be taken back: {refusal}; by hand: `{line}`");
        }
        self.book.roll_back();
        Err(error)
    }

    /// What else an operation means that the kernel has carried out.
    fn carried_out(&mut self, op: &DataPlaneOp) {
        let now = Instant::now();
        match op {
            DataPlaneOp::AddSa(params) => {
                self.seen.insert(params.id(), Seen { packets: 0, used: now, idle: now, keepalive: now, gone: false });
                if params.direction == Direction::Outbound {
                    let serves = |(id, flow): &(PolicyId, Flow)| {
                        *id == params.policy && select(&params.local_ts, &params.remote_ts, flow)
                    };
                    self.pending.retain(|key, _| !serves(key));
                    reconcile::relieve(self, params.policy);
                }
            }
            DataPlaneOp::DeleteSa(id) => drop(self.seen.remove(id)),
            DataPlaneOp::DeletePolicy(id) => self.pending.retain(|(policy, _), _| policy != id),
            _ => {}
        }
    }

    fn add_interface(&mut self, interface: &Interface) -> Result<(), DataPlaneError> {
        let Interface { domain, name } = interface;
        let refused = |error: io::Error| {
            let why =
                format!("cannot make the interface {name}: {error}; by hand: `ip link add {name} type xfrm if_id ...`");
            DataPlaneError::System(why)
        };
        let if_id = own::interface(*domain)
            .ok_or_else(|| DataPlaneError::Invalid("the default domain has no interface".into()))?;
        let there = |links: &mut Links| links.list().map(|all| all.into_iter().find(|link| link.name == *name));
        // One that an earlier daemon made is the same.
        let link = match there(&mut self.links).map_err(refused)? {
            Some(link) if link.if_id == if_id => link,
            _ => {
                self.links.add(name, if_id).map_err(refused)?;
                there(&mut self.links).map_err(refused)?.ok_or_else(|| refused(io::ErrorKind::NotFound.into()))?
            }
        };
        self.interfaces.insert(*domain, link.index);
        Ok(())
    }

    /// IPv6 finds its neighbours in the clear, whatever a policy says of ICMPv6.
    fn let_neighbours_pass(&mut self) -> Result<(), Error> {
        let requests: Vec<Request> =
            reconcile::neighbours().into_iter().map(|message| policies::update(&message).into()).collect();
        match self.netlink.requests(&requests).first() {
            Some((_, refusal)) => Err(Error::refused("let IPv6 find its neighbours", refusal)),
            None => Ok(()),
        }
    }

    /// Takes back the kernel's note that an SA is on its way: the next packet that needs one asks again.
    fn fail_acquire(&mut self, policy: PolicyId) {
        let failed: Vec<(PolicyId, Flow)> = self.pending.keys().filter(|(id, _)| *id == policy).copied().collect();
        for key in failed {
            if let Some(note) = self.pending.remove(&key) {
                self.release(&note);
            }
        }
    }

    /// The kernel's note has no SPI, so it cannot be named; given one, it can.
    fn release(&mut self, note: &Note) {
        let state = StateInfo {
            id: note.id.clone(),
            src: note.src,
            seq: note.seq,
            family: family_of(note),
            ..StateInfo::default()
        };
        let range = SpiRange { state, min: Spi::MIN.0, max: u32::MAX };
        let Ok(Message { body: Body::State(named), .. }) =
            self.netlink.ask(&Message::new(kind::ALLOC_SPI, Body::SpiRange(range)))
        else {
            return; // It is gone already.
        };
        if let Some(name) = states::name(&named) {
            let _ = self.netlink.request(&states::removal(name).into());
        }
    }

    /// Sets the timer: while there is something to look after, it ticks each second, or less often where looking takes
    /// long.
    fn arm(&mut self) {
        let idle = self.book.sa_count() == 0 && self.pending.is_empty();
        let seconds = if idle { 0 } else { 1 + (self.survey_took * SURVEY_SHARE).as_secs() as i64 };
        if seconds == self.armed {
            return;
        }
        let every = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: every, it_value: every };
        match timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec) {
            Ok(_) => self.armed = seconds,
            Err(error) => tracing::error!("the timer of the data plane cannot be set: {error}"),
        }
    }

    /// Takes in what the kernel has told, one datagram of it.
    fn take_events(&mut self) -> bool {
        let Some(notices) = self.events.poll() else { return false };
        for notice in notices {
            match notice {
                Notice::Message(message) => self.event(&message),
                Notice::Lost => {
                    tracing::warn!("the kernel had more to tell than there was room for; looking through its SAs");
                    self.recover();
                }
            }
        }
        true
    }

    fn event(&mut self, message: &Message) {
        match &message.body {
            Body::Acquire(acquire) => {
                let templates = message.find(|a| if let Attribute::Templates(all) = a { Some(all) } else { None });
                let reqid = templates.and_then(|all| all.first()).map_or(0, |template| template.reqid);
                self.acquire(acquire, reqid);
            }
            Body::Expire(expire) => {
                if let Some(id) = states::name(&expire.state).and_then(|name| self.book.named(name)) {
                    self.expired(id, expire.hard != 0);
                }
            }
            Body::Mapping(mapping) => {
                let name = mapping.id.dst.ip(mapping.id.family).map(|dst| (dst, mapping.id.protocol, mapping.id.spi));
                let Some(id) = name.and_then(|name| self.book.named(name)) else { return };
                let Some(src) = mapping.new_src.ip(mapping.id.family) else { return };
                let event = DataPlaneEvent::PeerMoved { id, src, src_port: Some(mapping.new_port.0) };
                // The kernel says so with each packet.
                if !self.queue.contains(&event) {
                    self.queue.push_back(event);
                }
            }
            _ => {}
        }
    }

    fn acquire(&mut self, acquire: &Acquire, reqid: u32) {
        let Some(id) = own::policy(reqid) else { return };
        let Some(policy) = self.book.policy(id) else { return };
        let Action::Protect(protection) = &policy.action else { return };
        let Some(flow) = selectors::flow(&acquire.selector) else { return };
        let per_flow = protection.pfp.any();
        let key = (id, if per_flow { protection.pfp.key(&flow) } else { flow });
        let now = Instant::now();
        let note = Note { id: acquire.id.clone(), src: acquire.src, seq: acquire.seq, since: now };
        let known = self.pending.get(&key);
        // Told twice: among the notes, and by the kernel itself.
        if known.is_some_and(|known| known.seq == note.seq) {
            return;
        }
        let under_way = known.is_some_and(|known| now - known.since < self.config.acquire);
        if per_flow {
            // While the kernel has its note, it asks for no other flow between the two ends.
            self.release(&note);
            if under_way {
                return;
            }
        }
        if self.pending.len() < MAX_PENDING {
            self.pending.insert(key, note);
            self.arm();
        }
        self.queue.push_back(DataPlaneEvent::Acquire { policy: id, flow });
    }

    fn expired(&mut self, id: SaId, hard: bool) {
        let event = if hard { DataPlaneEvent::HardExpire(id) } else { DataPlaneEvent::SoftExpire(id) };
        if let Some(seen) = self.seen.get_mut(&id) {
            // A pair of states is one SA.
            if seen.gone {
                return;
            }
            seen.gone = hard;
        }
        if !self.queue.contains(&event) {
            self.queue.push_back(event);
        }
    }

    /// Events were lost: acquires are found among the kernel's notes, everything else by a look at the SAs.
    fn recover(&mut self) {
        let mut notes = Vec::new();
        let listed = self.netlink.dump(&Message::new(kind::GET_SA, Body::Empty), &mut |message| {
            if let Body::State(state) = &message.body
                && state.id.spi == Spi(0)
                && own::policy(state.reqid).is_some()
            {
                notes.push(state.clone());
            }
        });
        if let Err(refusal) = listed {
            tracing::warn!("the kernel's SAs cannot be listed: {refusal}");
        }
        for state in notes {
            let acquire = Acquire {
                id: state.id.clone(),
                src: state.src,
                selector: state.selector.clone(),
                seq: state.seq,
                ..Acquire::default()
            };
            self.acquire(&acquire, state.reqid);
        }
        self.survey();
    }

    /// Looks through the SAs: which had packets, which have been idle, which are gone.
    fn survey(&mut self) {
        let now = Instant::now();
        let acquire = self.config.acquire;
        self.pending.retain(|_, note| now - note.since < acquire);
        if self.book.sa_count() == 0 {
            return self.arm();
        }
        let counted = self.count();
        self.survey_took = now.elapsed();
        let mut keepalives = Vec::new();
        for (id, params) in self.book.sas() {
            let Some(seen) = self.seen.get_mut(id) else { continue };
            let Some(counters) = counted.get(id) else {
                if !seen.gone {
                    // Its numbers are lost, so it cannot be put back: whoever negotiates makes another.
                    seen.gone = true;
                    tracing::warn!("the SA with SPI {} to {} has gone from the kernel", id.spi, id.dst);
                    self.queue.push_back(DataPlaneEvent::HardExpire(*id));
                }
                continue;
            };
            if counters.packets != seen.packets {
                seen.packets = counters.packets;
                seen.used = now;
                seen.idle = now;
                match id.direction {
                    Direction::Inbound => self.alive.push_back(id.spi),
                    Direction::Outbound => seen.keepalive = now,
                }
            } else if let Some(limit) = params.lifetime.idle
                && now - seen.idle >= limit
            {
                seen.idle = now;
                self.queue.push_back(DataPlaneEvent::Idle(*id));
            }
            if let (Direction::Outbound, Some(encap), Some(every)) = (id.direction, params.encap, self.config.keepalive)
                && now - seen.keepalive >= every
            {
                seen.keepalive = now;
                keepalives.push((params.src, SocketAddr::new(params.dst, encap.dst_port)));
            }
        }
        keepalives.sort();
        keepalives.dedup();
        for (local, remote) in keepalives {
            if let Err(error) = self.sockets.keep_alive(local, remote) {
                tracing::debug!("no NAT keepalive to {remote}: {error}");
            }
        }
        self.arm();
    }

    /// The counters of the SAs that are in the kernel.
    fn count(&mut self) -> BTreeMap<SaId, SaCounters> {
        let mut counted: BTreeMap<SaId, SaCounters> = BTreeMap::new();
        let book = &self.book;
        let listed = self.netlink.dump(&Message::new(kind::GET_SA, Body::Empty), &mut |message| {
            let Body::State(state) = &message.body else { return };
            let Some(id) = states::name(state).and_then(|name| book.named(name)) else { return };
            let counters = states::counters(&message);
            counted
                .entry(id)
                .and_modify(|sum| {
                    // The two states of AH around ESP see the same packets.
                    sum.replayed += counters.replayed;
                    sum.too_old += counters.too_old;
                    sum.forged += counters.forged;
                })
                .or_insert(counters);
        });
        if let Err(refusal) = listed {
            tracing::warn!("the kernel's SAs cannot be listed: {refusal}");
        }
        counted
    }

    /// Gives an SA other outer addresses.
    fn relocate(
        &mut self,
        id: SaId,
        (src, dst): (IpAddr, IpAddr),
        encap: Option<UdpEncap>,
    ) -> Result<(), DataPlaneError> {
        let old = self.book.sa(id).cloned().ok_or(DataPlaneError::NoSuchSa(id))?;
        let new = SaParams { src, dst, encap, ..SaParams::clone(&old) };
        let policy = self.book.policy(new.policy);
        let selectors = policy.map(|policy| (policy.local.as_slice(), policy.remote.as_slice()));
        let domain = policy.map_or(Domain::default(), |policy| policy.domain);
        let messages = states::additions(&new, selectors, domain)?;
        let names: Vec<Name> = states::names(&old);
        for (name, message) in names.into_iter().zip(messages) {
            let same_ends = (old.src, old.dst) == (new.src, new.dst) && old.encap.is_some() == new.encap.is_some();
            let message = match same_ends {
                true => Message { kind: kind::UPD_SA, ..message },
                false => self.take_out(name, message)?,
            };
            let result = self.netlink.request(&message.clone().into());
            result.map_err(|refusal| refused(&message, Some(new.id()), &refusal))?;
        }
        let seen = self.seen.remove(&old.id());
        let id = new.id();
        let steps = self.book.replace_sa(old.id(), new)?;
        self.seen.extend(seen.map(|seen| (id, seen)));
        self.carry_out(steps, Some(id))
    }

    /// Removes a state, and gives its numbers to the request for the one that takes its place. The kernel tells how far
    /// it was when it is gone: a number that was read before could have been used again meanwhile, under the same key.
    fn take_out(&mut self, name: Name, mut successor: Message) -> Result<Message, DataPlaneError> {
        let lost = |what: &str| DataPlaneError::System(format!("the SA {} to {} cannot move: {what}", name.2, name.0));
        let mut witness = Events::open(&[group::SA]).map_err(|error| lost(&error.to_string()))?;
        let removal = states::removal(name);
        self.netlink.request(&removal.clone().into()).map_err(|refusal| refused(&removal, None, &refusal))?;
        let mut last = None;
        while let Some(notices) = witness.poll() {
            for notice in notices {
                if let Notice::Message(message) = notice
                    && message.kind == kind::DEL_SA
                    && let Body::StateId(id) = &message.body
                    && id.dst.ip(id.family).map(|dst| (dst, id.protocol, id.spi)) == Some(name)
                {
                    last = Some(message);
                }
            }
        }
        let last = last.ok_or_else(|| lost("the kernel did not tell its last number"))?;
        successor.attributes.retain(|a| !matches!(a, Attribute::ReplayEsn(_) | Attribute::Replay(_)));
        let kept = last.attributes.iter().filter(|a| matches!(a, Attribute::ReplayEsn(_) | Attribute::Replay(_)));
        successor.attributes.extend(kept.cloned());
        Ok(successor)
    }
}

impl DataPlane for XfrmDataPlane {
    fn apply(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        self.apply_one(op)?;
        self.arm();
        Ok(())
    }

    fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            // What the kernel tells goes before a look: it tells of a soft limit first, and of the SA's end after that.
            if self.take_events() {
                continue;
            }
            reconcile::watch(self);
            let mut ticks = [0; 8];
            if rustix::io::read(&self.timer, &mut ticks).is_ok() {
                self.survey();
            }
            if self.queue.is_empty() {
                return None;
            }
        }
    }

    fn list(&mut self) -> Vec<SaStatus> {
        let counted = self.count();
        let status = |(id, params): (&SaId, &std::sync::Arc<SaParams>)| SaStatus {
            params: SaParams::clone(params),
            counters: counted.get(id).copied().unwrap_or_default(),
        };
        self.book.sas().map(status).collect()
    }
}

/// Whether an operation leaves nothing that is lost when it is taken back.
fn can_be_taken_back(op: &DataPlaneOp) -> bool {
    matches!(op, DataPlaneOp::AddPolicy(_) | DataPlaneOp::DeletePolicy(_) | DataPlaneOp::AddSa(_))
}

/// The family of an acquire's ends. It is not told: IPv4 has nothing behind its four bytes.
fn family_of(note: &Note) -> u16 {
    let is_v4 = |address: Address| address.0[4..].iter().all(|byte| *byte == 0);
    if is_v4(note.id.dst) && is_v4(note.src) { INET } else { INET6 }
}

fn any_of<const N: usize>(fds: [BorrowedFd<'_>; N]) -> io::Result<OwnedFd> {
    let all = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for fd in fds {
        epoll::add(&all, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    }
    Ok(all)
}
