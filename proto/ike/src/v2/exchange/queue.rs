//! The tasks of an established IKE SA: their queue, the clock, and the step from a task to an open request.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::dataplane::PacketStart;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;
use ravelin_types::{Instant, Spi};
use ravelin_wire::ike::v2::Payload;

use super::create_child::CreateChild;
use super::informational::{self, Close, DeleteChild};
use super::mobike::Addresses;
use super::redirect;
use super::rekey_ike::RekeyIke;
use super::ticket;
use super::{After, Exchange, Open, Request, Task, What};
use crate::child::ChildState;
use crate::children::Children;
use crate::context::Core;
use crate::error::no_answer;
use crate::error::{Error, Place};
use crate::extensions::NewGateway;
use crate::gateways;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::limits;
use crate::live::Live;
use crate::output::DownReason;
use crate::retry::{Due, Retry};
use crate::silence::Silence;
use crate::v2::feature::crash_detection;
use crate::v2::feature::reauthentication::{self, Authenticated};
use crate::v2::feature::redirect::Redirects;
use crate::v2::feature::window_size;
use crate::v2::phase::established::{Established, Stage};
use crate::want::Want;

impl Established {
    /// Adds a task unless the same is waiting, which waits no longer for a time when this one does not.
    pub(crate) fn add_task(&mut self, task: Task) {
        match self.tasks.iter_mut().find(|other| other.what == task.what) {
            Some(other) if task.at.is_none() => other.at = None,
            Some(_) => {}
            None => self.tasks.push_back(task),
        }
    }

    /// When a task may begin; `None`: at once.
    fn begins_at(&self, task: &Task) -> Option<Instant> {
        let held = self.promises.iter().filter(|promise| promise.holds(&task.what)).map(|promise| promise.until);
        held.chain(task.at).max()
    }

    fn is_due(&self, task: &Task, now: Instant) -> bool {
        self.begins_at(task).is_none_or(|at| at <= now)
    }

    /// When the clock has something for it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        // A task without a time was left for the next timer.
        let at = |task: &Task| self.begins_at(task).unwrap_or(self.silence.since());
        // What is alone and due goes on with the responses to open requests, and what came after it behind that.
        let blocks = |task: &Task| task.what.is_alone() && self.begins_at(task).is_none() && !self.open.is_empty();
        let before = self.tasks.iter().take_while(|task| !blocks(task));
        let waiting = before.filter(|task| self.may_begin(&task.what)).map(at).min();
        let promises = self.promises.iter().map(|promise| promise.until).min();
        let liveness = self.silence.deadline(self.remote.liveness).filter(|_| self.stage == Stage::Active);
        let liveness = liveness.filter(|_| self.open.is_empty());
        let open = self.open.iter().filter_map(|open| open.retry().map(|(_, retry)| retry.at())).min();
        let again = self.authenticated.deadline();
        let times = [
            open,
            waiting,
            liveness,
            promises,
            again,
            self.ticket_at(),
            self.rekey_at,
            self.expire_at,
            self.unheard_until,
            self.protection.deadline(),
        ];
        times.into_iter().filter(Option::is_some).min().flatten()
    }

    pub(crate) fn timer(mut self: Box<Self>, mut ends: Ends, core: &mut Core) -> Option<IkeSa> {
        let (mut silent, mut in_vain) = (false, false);
        let tries = self.udp_tries(&ends);
        for retry in self.open.iter_mut().filter_map(Open::retry_mut) {
            match retry.due(core.now) {
                Due::Later => {}
                // RFC 9329 §7.1: the same request by TCP.
                Due::Again(_, sent) if tries.is_some_and(|tries| sent >= tries) => in_vain = true,
                Due::Again(message, sent) => {
                    self.protection.sent_again(message, sent);
                    core.send_again(&ends, message, sent);
                }
                Due::GiveUp => silent = true,
            }
        }
        if in_vain {
            self.fall_back(&mut ends, core);
        }
        if silent && !self.try_elsewhere(&mut ends, core) {
            self.dead(&ends, core);
            return None;
        }
        self.protection.forget(core.now);
        self.forget_promises(core);
        if self.rekey_at.is_some_and(|at| at <= core.now) {
            self.rekey_at = None;
            // An IKE SA outlives the deletion of its remote, but is not prolonged.
            match core.current(&self.remote) {
                Some(remote) if self.authenticated.comes_back(&self.remote, &remote, core) => {
                    self.authenticated.again = Some(core.now);
                }
                Some(_) => self.rekey(),
                None => self.close(DownReason::Expired),
            }
        }
        self.renew_ticket(core.now);
        if self.unheard_until.is_some_and(|at| at <= core.now) {
            reauthentication::heard(&mut self, core);
        }
        reauthentication::due(&mut self, &ends, core);
        if self.authenticated.until.is_some_and(|at| at <= core.now) {
            self.close(DownReason::Expired);
        }
        if self.expire_at.is_some_and(|at| at <= core.now) {
            self.expire_at = None;
            match self.stage {
                Stage::Active => self.close(DownReason::Expired),
                // The peer had its time to delete it.
                Stage::Replaced => {
                    self.end(&ends, DownReason::Replaced, core);
                    return None;
                }
                Stage::Closing => {}
            }
        }
        let active = self.stage == Stage::Active;
        let peer = (&*self.remote.name, &self.identities.1);
        if active && self.silence.is_too_long(self.remote.liveness, &ends, peer, &self.children, core) {
            self.check_liveness(core);
        }
        self.go_on(ends, core)
    }

    /// The peer does not answer any more. Whoever waits for a Child SA gets another try, with a new IKE SA.
    fn dead(self: Box<Self>, ends: &Ends, core: &mut Core) {
        let wants = self.waited_for();
        let exchange = self.exchanges().next().map_or("INFORMATIONAL", |open| super::name(open.kind()));
        let closing = self.stage != Stage::Active;
        let reason = self.closed_for().unwrap_or(DownReason::PeerDead);
        if !closing {
            core.failed(no_answer(self.place(ends, exchange)));
        }
        let remote = self.remote.clone();
        self.end(ends, reason, core);
        gateways::dead(&remote, wants, core);
    }

    /// The Child SAs that somebody waits for.
    pub(crate) fn waited_for(&self) -> Vec<Want> {
        let open = self.exchanges().filter_map(|open| match open {
            Exchange::CreateChild(exchange) => Some(&exchange.task.what),
            _ => None,
        });
        let mut wants = Vec::new();
        for what in open.chain(self.tasks.iter().map(|task| &task.what)) {
            if let What::Create(want) = what {
                want.add_to(&mut wants);
            }
        }
        wants
    }

    /// Why we are deleting it, once the peer was asked to.
    pub(crate) fn closed_for(&self) -> Option<DownReason> {
        self.exchanges().find_map(|open| match open {
            Exchange::Close(Close(reason)) => Some(*reason),
            _ => None,
        })
    }

    /// Makes the request. `None`: there is nothing to do any more.
    fn start(&mut self, task: Task, ends: &Ends, core: &mut Core) -> Result<Option<(Exchange, Vec<Payload>)>, Error> {
        if self.stage == Stage::Replaced && !matches!(task.what, What::Close(_)) {
            return Ok(None);
        }
        match task.what {
            What::Create(want) => {
                let Some(policy) = core.policy(want.policy) else { return Ok(None) };
                self.room(core)?;
                policy.check_peer(&self.identities.1)?;
                let due = self.children.due(want);
                match self.children.shared(&due).filter(|_| due.processor.is_some()) {
                    Some(first) => return CreateChild::sibling_request(task, first, &due, ends, core).map(Some),
                    None if due != want && self.children.serve(&due) => return Ok(None),
                    None => {}
                }
                let want = due;
                let inside = core.inside(ends, &self.remote);
                CreateChild::request(task, policy, &want, &inside, ends, core).map(Some)
            }
            What::RekeyChild(spi) => match self.children.get_mut(&spi) {
                Some(child) if child.is_settled() => CreateChild::rekey_request(task, child, ends, core).map(Some),
                _ => Ok(None),
            },
            What::DeleteChild(protocol, spi, reason) => Ok(Some(DeleteChild::request(protocol, spi, reason))),
            What::RekeyIke => RekeyIke::request(task, self, core).map(Some),
            What::Window => {
                self.window.told(window_size::wanted(&self.remote));
                Ok(Some(informational::window(&self.remote)))
            }
            What::Redirect(to) => Ok(Some(redirect::request(&to))),
            What::Ticket => Ok(Some(ticket::request())),
            What::InvalidSelectors(inbound, packet) => {
                Ok(self.children.get(&inbound).map(|child| informational::invalid_selectors(child, packet)))
            }
            What::CrashToken => Ok(crash_detection::request(&self.remote, ends, core)),
            What::Close(reason) => Ok(Some(Close::request(reason))),
            // RFC 4555 §3.8: behind a NAT the leader also asks how it is seen.
            What::Liveness if !(ends.nat.ours && self.mobike.as_ref().is_some_and(|mobike| mobike.leads)) => {
                Ok(Some(informational::liveness()))
            }
            What::Liveness | What::UpdateAddresses | What::TellAddresses | What::VerifyAddress => {
                Ok(Addresses::request(task.what, self, ends, core))
            }
        }
    }

    /// Whether there is room for another request.
    fn has_room(&self) -> bool {
        let waits = self.open.iter().any(|open| open.id().is_none());
        !waits && self.window.has_room(self.open.first().and_then(Open::id))
    }

    /// Whether something may begin beside what is open.
    fn may_begin(&self, what: &What) -> bool {
        let meets = |open: &Exchange| open.is_alone() || open.ends().is_some_and(|spi| what.ends() == Some(spi));
        self.has_room() && (self.open.is_empty() || !what.is_alone()) && !self.exchanges().any(meets)
    }

    /// The next task whose time has come.
    fn next_task(&self, now: Instant) -> Option<usize> {
        let mut due = self.tasks.iter().enumerate().filter(|(_, task)| self.is_due(task, now));
        // What is about the IKE SA as a whole waits for what is open, and what came after it for that.
        let found = due.find(|(_, task)| task.what.is_alone() || self.may_begin(&task.what));
        found.filter(|(_, task)| self.may_begin(&task.what)).map(|(at, _)| at)
    }

    /// Sends what waits, as far as there is room.
    fn send_waiting(&mut self, ends: &Ends, core: &mut Core) -> After {
        let waits = |open: &Open| open.id().is_none();
        while let Some(at) = self.open.iter().position(waits)
            && self.window.has_room(self.open.first().and_then(Open::id))
        {
            let Open { exchange, request } = self.open.remove(at);
            if let Request::Waits(payloads) = request
                && let After::End(reason) = self.ask(exchange, &payloads, ends, core)
            {
                return After::End(reason);
            }
        }
        After::Stay
    }

    /// Everything on the wire once more, from the start.
    pub(crate) fn ask_again(&mut self, ends: &Ends, core: &mut Core) {
        for retry in self.open.iter_mut().filter_map(Open::retry_mut) {
            let message = retry.restart(core.now).clone();
            core.send(ends.way(), &message, 0);
        }
    }

    /// Sends a request, or has it wait for room in the window.
    pub(crate) fn ask(&mut self, exchange: Exchange, payloads: &[Payload], ends: &Ends, core: &mut Core) -> After {
        if !self.window.has_room(self.open.first().and_then(Open::id)) {
            self.open.push(Open { exchange, request: Request::Waits(payloads.to_vec()) });
            return After::Stay;
        }
        let Some(id) = self.window.next_request() else {
            // RFC 7296 §2.2: no message ID is left, so not even a delete can be sent.
            super::abandon(exchange, self, ends, core);
            return After::End(DownReason::Expired);
        };
        let header = ends.header(exchange.kind(), false, id);
        match self.protection.seal(&header, payloads, &mut *core.rng) {
            Ok(message) => {
                match ends.stream {
                    Some(stream) if stream.is_lost => core.send_again(ends, &message, 0),
                    _ => core.send(ends.way(), &message, 0),
                }
                let retry = Retry::new(message, self.remote.retransmission, core.now);
                let at = self.open.iter().take_while(|open| open.id().is_some()).count();
                // One is under way, as a rule, and of very many IKE SAs: no room for more.
                self.open.reserve_exact(1);
                self.open.insert(at, Open { exchange, request: Request::Sent(id, retry) });
                After::Stay
            }
            Err(unfit) => {
                core.failed(Error::from(unfit).failure(self.place(ends, super::name(exchange.kind()))));
                super::abandon(exchange, self, ends, core);
                // The message ID is spent and the peer waits for it for ever.
                After::End(DownReason::ProtocolError)
            }
        }
    }

    /// Whether there may be one more Child SA on this IKE SA and with its peer.
    pub(crate) fn room(&self, core: &Core) -> Result<(), Error> {
        ike_sa::room(self.children.len(), &self.remote.name, &self.identities.1, core)
    }

    /// A value of ours was made that tasks waited for.
    pub(crate) fn take_up(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        self.tasks = core::mem::take(&mut self.tasks).into_iter().map(Task::taken_up).collect();
        self.go_on(ends, core)
    }

    /// Tries a rekey again after a while; the hard lifetime ends the attempts.
    pub(crate) fn retry_rekey(&mut self, what: What, core: &Core) {
        let task = Task { at: Some(core.now + limits::REKEY_RETRY), ..Task::new(what) };
        self.add_task(task);
    }
}

impl Live for Established {
    fn children(&self) -> &Children {
        &self.children
    }

    fn children_mut(&mut self) -> &mut Children {
        &mut self.children
    }

    fn forget_wants(&mut self, policy: Option<PolicyId>) {
        let waits = |task: &Task| match task.what {
            What::Create(want) => policy.is_none_or(|policy| policy == want.policy),
            _ => false,
        };
        self.tasks.retain(|task| !waits(task));
    }

    fn want(&mut self, want: Want) {
        let want = self.children.due(want);
        let waits = |what: &What| matches!(what, What::Create(other) if other.is_served_with(&want));
        let is_it = |open: &Exchange| matches!(open, Exchange::CreateChild(open) if waits(&open.task.what));
        let open = self.exchanges().any(is_it);
        let served = self.children.serve(&want);
        let waiting = self.tasks.iter().filter(|task| matches!(task.what, What::Create(_)));
        let full = waiting.clone().count() >= limits::WANTS;
        if !open && !served && !full && !waiting.clone().any(|task| waits(&task.what)) {
            self.add_task(Task::new(What::Create(want)));
        }
    }

    fn rekey_child(&mut self, inbound: Spi) {
        if self.children.get(&inbound).is_some_and(|child| child.is_settled()) {
            self.add_task(Task::new(What::RekeyChild(inbound)));
        }
    }

    fn child_idle(&mut self, inbound: Spi, direction: Direction, now: Instant) {
        let child = self.children.get_mut(&inbound).filter(|child| child.is_settled());
        if child.is_some_and(|child| child.note_idle(direction, now)) {
            self.delete_child(inbound, DownReason::Idle);
        }
    }

    fn delete_child(&mut self, inbound: Spi, reason: DownReason) {
        let Some(child) = self.children.get_mut(&inbound) else { return };
        if child.state != ChildState::Deleting {
            child.state = ChildState::Deleting;
            let protocol = child.terms.suite.protocol();
            self.add_task(Task::new(What::DeleteChild(protocol, inbound, reason)));
        }
    }

    fn rekey(&mut self) {
        let open = self.exchanges().any(|open| matches!(open, Exchange::RekeyIke(_)));
        if self.stage == Stage::Active && !open {
            self.rekey_at = None;
            self.add_task(Task::new(What::RekeyIke));
        }
    }

    fn reauthenticate(&mut self, now: Instant) {
        if self.stage == Stage::Active {
            self.authenticated.again = Some(now);
        }
    }

    fn close(&mut self, reason: DownReason) {
        if self.stage == Stage::Closing {
            return;
        }
        self.stage = Stage::Closing;
        (self.rekey_at, self.authenticated) = (None, Authenticated::default());
        // RFC 7296 §2.8: it is the last request on this IKE SA. What waits behind it ends with the SA.
        self.tasks.push_front(Task::new(What::Close(reason)));
    }

    fn close_at(&mut self, reason: DownReason, at: Instant) {
        if self.stage == Stage::Active {
            self.stage = Stage::Closing;
            (self.rekey_at, self.authenticated) = (None, Authenticated::default());
            self.tasks = [Task { at: Some(at), ..Task::new(What::Close(reason)) }].into();
        }
    }

    fn check_liveness(&mut self, core: &Core) {
        let busy = !self.open.is_empty() || self.tasks.iter().any(|task| self.is_due(task, core.now));
        if self.stage == Stage::Active && !busy {
            self.add_task(Task::new(What::Liveness));
        }
    }

    fn go_on(mut self: Box<Self>, mut ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if let After::End(reason) = self.send_waiting(&ends, core) {
            self.end(&ends, reason, core);
            return None;
        }
        while let Some(index) = self.next_task(core.now) {
            let Some(task) = self.tasks.remove(index).map(Task::taken_up) else { break };
            match self.start(task.clone(), &ends, core) {
                Ok(None) => {}
                Err(Error::PutOff) => {
                    self.tasks.insert(index, task.put_off(core.now));
                    core.put_off_own(ends.our_spi());
                }
                Ok(Some((exchange, payloads))) => {
                    if let After::End(reason) = self.ask(exchange, &payloads, &ends, core) {
                        self.end(&ends, reason, core);
                        return None;
                    }
                }
                Err(error) => {
                    let mut place = self.place(&ends, "CREATE_CHILD_SA");
                    if let What::Create(want) = task.what {
                        place.policy = Some(want.policy);
                    }
                    core.failed(error.failure(place));
                }
            }
        }
        // What is due and could not begin waits for no time any more.
        let now = core.now;
        let due = |task: &&mut Task| task.what.is_alone() && task.at.is_some_and(|at| at <= now);
        self.tasks.iter_mut().filter(due).for_each(|task| task.at = None);
        reauthentication::take_over(&mut self, &mut ends, core);
        Some(self.keep(ends))
    }

    /// Asks whether the peer lives because of a hint, at a limited rate.
    fn doubt(&mut self, core: &mut Core) {
        let lately = self.hinted.is_some_and(|at| core.now.since(at) < limits::HINT_INTERVAL);
        if !lately {
            self.hinted = Some(core.now);
            self.check_liveness(core);
        }
    }

    fn sent(&mut self, core: &Core) {
        if self.silence.is_broken(self.remote.liveness, core.now) {
            self.check_liveness(core);
        }
    }

    fn tell_outside(&mut self, inbound: Spi, packet: PacketStart) {
        // One at a time, however long the peer does not answer.
        let waits = |task: &Task| matches!(task.what, What::InvalidSelectors(spi, _) if spi == inbound);
        if !self.tasks.iter().any(waits) {
            self.add_task(Task::new(What::InvalidSelectors(inbound, packet)));
        }
    }

    fn redirect(&mut self, to: NewGateway) {
        if self.redirect == Some(Redirects::Sends) && self.stage == Stage::Active {
            self.add_task(Task::new(What::Redirect(to)));
        }
    }

    fn alive(&mut self, now: Instant) {
        self.silence = Silence::new(now);
    }

    fn host_changed(&mut self, ends: &mut Ends, core: &mut Core) {
        Established::host_changed(self, ends, core);
    }

    fn follow(&mut self, ends: &mut Ends, from: SocketAddr, core: &mut Core) {
        Established::follow(self, ends, from, core);
    }

    fn place(&self, ends: &Ends) -> Place {
        Established::place(self, ends, "CREATE_CHILD_SA")
    }
}
