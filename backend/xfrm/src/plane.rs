//! The data plane as the daemon sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ravelin_inbox::{IkeDatagram, Progress};
use ravelin_types::dataplane::{DataPlane, DataPlaneError, DataPlaneEvent, DataPlaneOp, Flow, SaStatus};
use ravelin_types::interface::{Interface, InterfaceStatus};
use ravelin_types::options::{IpComp, Offload, SaOptions};
use ravelin_types::policy::{Action, PolicyId};
use ravelin_types::sa::{Direction, Encap, SaId, SaParams};
use ravelin_types::selector::select;
use ravelin_types::{IkeSpi, Spi};
use rustix::event::epoll;
use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

use crate::book::{Book, Step};
use crate::config::XfrmConfig;
use crate::error::{Error, refused};
use crate::links::Links;
use crate::msg::attribute::Attribute;
use crate::msg::info::{SadInfo, SpdInfo};
use crate::msg::{Body, Message, kind};
use crate::netlink::{Events, Netlink, Notice, Request, group};
use crate::notes::{self, Note};
use crate::probe::Capabilities;
use crate::sockets::Sockets;
use crate::states::Name;
use crate::watch::Seen;
use crate::{offload, policies, reconcile, states, watch};

/// Operations for which the kernel is asked at once.
const AT_ONCE: usize = 64;

/// A running data plane: policies and SAs in the kernel, and the sockets of IKE.
///
/// It belongs to the network namespace of the thread that started it.
pub struct XfrmDataPlane {
    pub(crate) netlink: Netlink,
    pub(crate) book: Book,
    pub(crate) links: Links,
    pub(crate) events: Events,
    pub(crate) policy_events: Events,
    /// What others do to states.
    pub(crate) state_events: Events,
    pub(crate) sockets: Sockets,
    pub(crate) timer: OwnedFd,
    /// Readable when the kernel has told something, or the timer wants a look at the SAs.
    ready: OwnedFd,
    pub(crate) config: XfrmConfig,
    capabilities: Capabilities,
    pub(crate) queue: VecDeque<DataPlaneEvent>,
    pub(crate) alive: VecDeque<Spi>,
    pub(crate) pending: BTreeMap<(PolicyId, Flow), Note>,
    pub(crate) seen: BTreeMap<SaId, Seen>,
    /// SAs that others have removed or replaced, and since when that is known.
    pub(crate) lost: BTreeMap<SaId, (PolicyId, Instant)>,
    pub(crate) survey_took: Duration,
    /// Seconds between two ticks of the timer; 0: it is off.
    pub(crate) armed: i64,
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
        let state_events = Events::open(&[group::SA]).map_err(no_xfrm)?.of_others(&netlink);
        let links = Links::open().map_err(|error| Error::system("speak with the kernel's links", error))?;
        let sockets = Sockets::open(&config)?;
        let found =
            reconcile::find(&mut netlink).map_err(|refusal| Error::refused("list what is in the kernel", &refusal))?;
        let descriptor = |error: io::Error| Error::system("make an event descriptor", error);
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
        let timer = timer.map_err(|error| descriptor(error.into()))?;
        let ready =
            any_of([events.as_fd(), policy_events.as_fd(), state_events.as_fd(), timer.as_fd()]).map_err(descriptor)?;
        let mut plane = XfrmDataPlane {
            netlink,
            book: Book::with(found, &capabilities),
            links,
            events,
            policy_events,
            state_events,
            sockets,
            timer,
            ready,
            config,
            capabilities,
            queue: VecDeque::new(),
            alive: VecDeque::new(),
            pending: BTreeMap::new(),
            seen: BTreeMap::new(),
            lost: BTreeMap::new(),
            survey_took: Duration::ZERO,
            armed: 0,
        };
        plane.let_neighbours_pass()?;
        // What waits for an earlier daemon asks again.
        notes::release_all(&mut plane.netlink)
            .map_err(|refusal| Error::refused("list what is in the kernel", &refusal))?;
        Ok(plane)
    }

    /// The policies that were ordered until now are all that there are: removes what an earlier daemon left beyond them.
    /// Its SAs for policies that are there still go on until new ones are installed, which are asked for at once; and so are those of
    /// policies that packets have met, where others have removed all SAs.
    pub fn settle(&mut self) {
        for line in reconcile::settle(self) {
            tracing::info!("{line}");
        }
        for (name, error) in self.links.settle() {
            tracing::warn!("the interface {name} of an earlier daemon stays: {error}");
        }
    }

    /// Removes everything that is ours from the kernel.
    ///
    /// # Errors
    /// The first entry that could not be removed; the others are gone nevertheless.
    pub fn stop(mut self) -> Result<(), Error> {
        let removed = self.links.delete_all();
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

    /// The next IKE datagram, oldest first; those that ask for an IKE SA seldom before others.
    pub fn poll_ike(&mut self) -> Option<IkeDatagram> {
        self.sockets.receive()
    }

    /// An IKE SA is so far now: its messages do not wait behind those of anybody.
    pub fn note_ike(&mut self, spis: (IkeSpi, IkeSpi), progress: Progress) {
        self.sockets.note(spis, progress);
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
        let unread = self.sockets.counters().into_iter().filter(|(_, count)| *count > 0);
        all.extend(unread.map(|(name, count)| (name.to_owned(), count)));
        let text = std::fs::read_to_string("/proc/thread-self/net/xfrm_stat").unwrap_or_default();
        for line in text.lines() {
            if let Some((name, count)) = line.split_once(char::is_whitespace)
                && let Ok(count) = count.trim().parse::<u64>()
                && count > 0
            {
                all.push((format!("kernel: {name}"), count));
            }
        }
        all.extend(self.sizes());
        all
    }

    /// How many entries the kernel's two tables have in this namespace, whoever put them there.
    fn sizes(&mut self) -> impl Iterator<Item = (String, u64)> {
        let states = self.netlink.ask(&Message::new(kind::GET_SAD_INFO, Body::SadInfo(0, Vec::new())));
        let states = match states.map(|answer| answer.body) {
            Ok(Body::SadInfo(_, all)) => {
                all.into_iter().find_map(|it| if let SadInfo::Count(count) = it { Some(count) } else { None })
            }
            _ => None,
        };
        let policies = self.netlink.ask(&Message::new(kind::GET_SPD_INFO, Body::SpdInfo(0, Vec::new())));
        let policies = match policies.map(|answer| answer.body) {
            Ok(Body::SpdInfo(_, all)) => all.into_iter().find_map(|it| match it {
                SpdInfo::Counts(counts) => Some(counts.input + counts.output + counts.forward),
                _ => None,
            }),
            _ => None,
        };
        let named = [("kernel: states", states), ("kernel: policies", policies)];
        named.into_iter().filter_map(|(name, count)| Some((name.to_owned(), u64::from(count?))))
    }

    /// Operations that can be taken back: all or none. The kernel is asked for some while the next are not yet thought about, for it
    /// enlarges its tables by a worker of its own, which falls behind where all come in one go: each entry is then looked for longer.
    fn together(&mut self, ops: &[DataPlaneOp]) -> Result<(), DataPlaneError> {
        let mut undo = Vec::new();
        for some in ops.chunks(AT_ONCE) {
            let steps = some.iter().map(|op| self.plan(op)).collect::<Result<Vec<_>, _>>();
            let asked = steps.and_then(|steps| self.ask_for(steps.into_iter().flatten().collect(), None, &mut undo));
            if let Err(error) = asked {
                self.take_back(undo);
                return Err(error);
            }
        }
        self.book.commit();
        ops.iter().for_each(|op| self.carried_out(op));
        Ok(())
    }

    fn apply_one(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        match op {
            DataPlaneOp::FailAcquire(policy) => self.fail_acquire(*policy),
            // The kernel drops what comes before its SA.
            DataPlaneOp::OfferSa(_) => {}
            // The kernel learns the MTU of paths by itself.
            DataPlaneOp::SetMtu { id, .. } => self.book.sa(*id).map(drop).ok_or(DataPlaneError::NoSuchSa(*id))?,
            DataPlaneOp::TellUse(id) => {
                self.seen.get_mut(id).map(Seen::tell_use).ok_or(DataPlaneError::NoSuchSa(*id))?
            }
            DataPlaneOp::MoveSa { id, src, dst, encap } => self.relocate(*id, (*src, *dst), *encap)?,
            DataPlaneOp::SkipNumbers { id, count } => self.skip_numbers(*id, *count)?,
            DataPlaneOp::AddInterface(interface) => self.add_interface(interface)?,
            DataPlaneOp::DeleteInterface(domain) => {
                self.book.forget_tie(*domain);
                if let Err(error) = self.links.delete(*domain) {
                    tracing::warn!("a virtual interface could not be removed: {error}");
                }
            }
            other if offload::wanted(other) != Offload::Off => self.add_by_device(other)?,
            other => self.change(other)?,
        }
        Ok(())
    }

    /// Adds or deletes a policy or an SA as it is.
    pub(crate) fn change(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        let sa = match op {
            DataPlaneOp::AddSa(params) => Some(params.id()),
            _ => None,
        };
        let steps = self.plan(op).inspect_err(|_| self.book.roll_back())?;
        self.carry_out(steps, sa)?;
        self.carried_out(op);
        Ok(())
    }

    pub(crate) fn plan(&mut self, op: &DataPlaneOp) -> Result<Vec<Step>, DataPlaneError> {
        match op {
            DataPlaneOp::AddPolicy(policy) => self.book.add_policy(policy),
            DataPlaneOp::DeletePolicy(id) => self.book.delete_policy(*id),
            DataPlaneOp::AddSa(params) => self.book.add_sa(params),
            DataPlaneOp::DeleteSa(id) => self.book.delete_sa(*id),
            _ => Ok(Vec::new()),
        }
    }

    /// Asks the kernel for all steps, and takes back what it did when it refuses one.
    pub(crate) fn carry_out(&mut self, steps: Vec<Step>, sa: Option<SaId>) -> Result<(), DataPlaneError> {
        let mut undo = Vec::new();
        match self.ask_for(steps, sa, &mut undo) {
            Ok(()) => self.book.commit(),
            Err(error) => {
                self.take_back(undo);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Asks the kernel for all steps, and adds to `undo` what takes back those that it took.
    fn ask_for(&mut self, steps: Vec<Step>, sa: Option<SaId>, undo: &mut Vec<Request>) -> Result<(), DataPlaneError> {
        let mut refusals = self.netlink.requests(&steps);
        refusals.retain(|(index, refusal)| {
            !(steps[*index].may_be_gone && matches!(refusal.errno, libc::ESRCH | libc::ENOENT))
        });
        let first = refusals.first();
        let error = first.map(|(index, refusal)| refused(&steps[*index].request.message, sa, refusal));
        let failed: BTreeSet<usize> = refusals.into_iter().map(|(index, _)| index).collect();
        let done = steps.into_iter().enumerate().filter(|(index, _)| !failed.contains(index));
        undo.extend(done.filter_map(|(_, step)| step.undo));
        error.map_or(Ok(()), Err)
    }

    /// What the kernel and the book have of a change that failed is as it was.
    fn take_back(&mut self, mut undo: Vec<Request>) {
        undo.reverse();
        for (index, refusal) in self.netlink.requests(&undo) {
            let line = crate::text::command(&undo[index].message);
            tracing::error!("a change that failed could not be taken back: {refusal}; by hand: `{line}`");
        }
        self.book.roll_back();
    }

    /// What else an operation means that the kernel has carried out.
    fn carried_out(&mut self, op: &DataPlaneOp) {
        let now = Instant::now();
        match op {
            DataPlaneOp::AddSa(params) => {
                self.seen.insert(params.id(), Seen::at(now));
                if params.direction == Direction::Outbound {
                    let serves = |(id, flow): &(PolicyId, Flow)| {
                        *id == params.policy && select(&params.local_ts, &params.remote_ts, flow)
                    };
                    let served: Vec<_> =
                        self.pending.extract_if(.., |key, _| serves(key)).map(|(_, note)| note).collect();
                    self.release_served(&served, params);
                    reconcile::relieve(self, params.policy);
                }
            }
            DataPlaneOp::AddPolicy(policy) => {
                if let Action::Protect(protection) = &policy.action {
                    self.look_at_missing(&policy.name, &protection.options);
                }
            }
            DataPlaneOp::DeleteSa(id) => {
                self.seen.remove(id);
                self.forget_lost(*id);
            }
            DataPlaneOp::DeletePolicy(id) => self.pending.retain(|(policy, _), _| policy != id),
            _ => {}
        }
    }

    /// What a policy asks for and does without, since this kernel lacks it.
    fn look_at_missing(&self, policy: &str, options: &SaOptions) {
        if options.ipcomp != IpComp::Off && !self.capabilities.ipcomp {
            tracing::warn!("policy {policy}: packets are not compressed, for this kernel has no IPComp with DEFLATE");
        }
        if options.aggfrag.is_some() && !self.capabilities.iptfs {
            tracing::warn!(
                "policy {policy}: packets do not share AGGFRAG payloads (RFC 9347), for this kernel has no IP-TFS: Linux 6.14 \
                 has, with the module `xfrm_iptfs` (CONFIG_XFRM_IPTFS). The data plane `tun` has them with any kernel"
            );
        }
    }

    fn add_interface(&mut self, interface: &Interface) -> Result<(), DataPlaneError> {
        self.links
            .add(interface)
            .map_err(|why| DataPlaneError::System(format!("cannot make the interface {}: {why}", interface.name)))?;
        self.book.set_tie(interface);
        Ok(())
    }

    /// What has become of the virtual interfaces.
    pub fn interfaces(&mut self) -> Vec<InterfaceStatus> {
        self.links.status()
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

    /// Gives an SA other outer addresses.
    fn relocate(&mut self, id: SaId, (src, dst): (IpAddr, IpAddr), encap: Option<Encap>) -> Result<(), DataPlaneError> {
        let old = self.book.sa(id).cloned().ok_or(DataPlaneError::NoSuchSa(id))?;
        let new = SaParams { src, dst, encap, ..SaParams::clone(&old) };
        if new.options.offload == Offload::Packet {
            self.find_device(offload::ends(&new));
        }
        let messages = self.book.states(&new)?;
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

    /// Gives the next packet of an SA a higher number.
    fn skip_numbers(&mut self, id: SaId, count: u64) -> Result<(), DataPlaneError> {
        let params = self.book.sa(id).cloned().ok_or(DataPlaneError::NoSuchSa(id))?;
        if params.options.offload == Offload::Packet {
            // The device numbers them by itself. Those of another SA begin anew.
            self.queue.push_back(DataPlaneEvent::SoftExpire(id));
            return Ok(());
        }
        let messages = self.book.states(&params)?;
        for (name, message) in states::names(&params).into_iter().zip(messages) {
            let mut message = self.take_out(name, message)?;
            states::skip(&mut message, &params, count);
            let result = self.netlink.request(&message.clone().into());
            result.map_err(|refusal| refused(&message, Some(id), &refusal))?;
        }
        Ok(())
    }

    /// Removes a state, and gives its numbers to the request for the one that takes its place. The kernel tells how far
    /// it was when it is gone: a number that was read before could have been used again meanwhile, under the same key.
    fn take_out(&mut self, name: Name, mut successor: Message) -> Result<Message, DataPlaneError> {
        let lost = |what: &str| DataPlaneError::System(format!("the SA {} to {} cannot move: {what}", name.2, name.0));
        let mut witness = Events::open(&[group::SA]).map_err(|error| lost(&error.to_string()))?;
        let removal = states::removal_of(name, &successor);
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
        // Its limits are about all of its packets, and its age begins where it began.
        let used = last.find(|a| if let Attribute::State(state) = a { Some(state.used.clone()) } else { None });
        successor.attributes.extend(used.map(Attribute::Used));
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
            // Before the acquires of packets whose SA is lost.
            self.take_losses();
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
        let counted = self.count().unwrap_or_default();
        let status = |(id, params): (&SaId, &std::sync::Arc<SaParams>)| SaStatus {
            params: SaParams::clone(params),
            counters: counted.get(id).copied().unwrap_or_default(),
        };
        self.book.sas().map(status).collect()
    }

    fn sa(&mut self, id: SaId) -> Option<SaStatus> {
        let params = self.book.sa(id).cloned()?;
        let names = states::names(&params).into_iter().filter(watch::counts);
        let found: Vec<Message> =
            names.filter_map(|name| self.netlink.ask(&states::question(name, &params)).ok()).collect();
        let counters = found.iter().map(states::counters).reduce(watch::sum).unwrap_or_default();
        Some(SaStatus { params: SaParams::clone(&params), counters })
    }
}

/// Whether an operation is one step, and leaves nothing that is lost when it is taken back.
fn can_be_taken_back(op: &DataPlaneOp) -> bool {
    offload::wanted(op) == Offload::Off
        && matches!(op, DataPlaneOp::AddPolicy(_) | DataPlaneOp::DeletePolicy(_) | DataPlaneOp::AddSa(_))
}

fn any_of<const N: usize>(fds: [BorrowedFd<'_>; N]) -> io::Result<OwnedFd> {
    let all = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for fd in fds {
        epoll::add(&all, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    }
    Ok(all)
}
