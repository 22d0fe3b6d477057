//! What an ISAKMP SA has to do: the queue, and the step from a task to a message.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;
use ravelin_types::{Instant, Spi};

use super::exchange::{begin, informational, mode_config, quick_mode, replace, xauth};
use super::phase::Phase;
use super::session::{Session, Stage};
use crate::child::ChildState;
use crate::children::Children;
use crate::context::Core;
use crate::error::{Error, Place};
use crate::ike_sa::{Ends, IkeSa};
use crate::limits;
use crate::live::Live;
use crate::output::DownReason;
use crate::silence::Silence;
use crate::want::Want;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A Child SA.
    Create(Want),
    /// Another Child SA in place of the one with this inbound SPI.
    RekeyChild(Spi),
    /// The end of the Child SA with this inbound SPI.
    DeleteChild(Spi, DownReason),
    /// Another ISAKMP SA in place of this one.
    Rekey,
    /// A sign of life.
    Probe,
    /// A question for name and password of the peer.
    AskLogin,
    /// A question for addresses inside.
    AskAddresses,
    /// Addresses inside for the peer.
    Give,
}

impl Session {
    /// Adds a task unless the same is waiting.
    pub(super) fn add_task(&mut self, task: Task) {
        if !self.tasks.contains(&task) {
            self.tasks.push_back(task);
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`Error::PutOff`]: not yet.
    fn perform(&mut self, task: Task, ends: &Ends, core: &mut Core) -> Result<(), Error> {
        match task {
            Task::Create(want) => quick_mode::create(self, ends, want, core)?,
            Task::RekeyChild(spi) => quick_mode::rekey(self, ends, spi, core)?,
            Task::DeleteChild(spi, reason) => {
                let Some(child) = self.children.get(&spi) else { return Ok(()) };
                let suite = child.terms.suite;
                // First, for what takes its place may begin to send.
                self.children.take_down(spi, reason, core);
                informational::send_delete(self, ends, &suite, spi, core);
            }
            Task::Rekey => {
                self.stage = Stage::Rekeying;
                let remote = core.current(&self.remote).unwrap_or_else(|| self.remote.clone());
                let here = remote.staying_at(self.remote.remote, ends.local.ip(), &core.hosts);
                // Where nobody has moved it in the configuration, the peer is where it is.
                match here.remote == self.remote.remote {
                    true => replace(here, ends, core),
                    false => begin(here, Vec::new(), Some(ends.our_spi()), core),
                }
            }
            Task::Probe => informational::probe(self, ends, core),
            Task::AskLogin => xauth::request(self, ends, core),
            Task::AskAddresses => mode_config::request(self, ends, core),
            Task::Give => mode_config::give(self, ends, core),
        }
        Ok(())
    }
}

impl Live for Session {
    fn children(&self) -> &Children {
        &self.children
    }

    fn children_mut(&mut self) -> &mut Children {
        &mut self.children
    }

    fn want(&mut self, want: Want) {
        let asked = self.exchanges.values().any(|exchange| exchange.brings(&want));
        let waits = |task: &Task| matches!(task, Task::Create(other) if other.is_served_with(&want));
        if !asked && !self.children.serve(&want) && !self.tasks.iter().any(waits) && self.tasks.len() < limits::WANTS {
            self.tasks.push_back(Task::Create(want));
        }
    }

    fn forget_wants(&mut self, policy: Option<PolicyId>) {
        let waits =
            |task: &Task| matches!(task, Task::Create(want) if policy.is_none_or(|policy| policy == want.policy));
        self.tasks.retain(|task| !waits(task));
    }

    fn rekey(&mut self) {
        if self.stage == Stage::Active {
            self.rekey_at = None;
            self.add_task(Task::Rekey);
        }
    }

    fn rekey_child(&mut self, inbound: Spi) {
        if self.children.get(&inbound).is_some_and(|child| child.is_settled()) {
            self.add_task(Task::RekeyChild(inbound));
        }
    }

    fn delete_child(&mut self, inbound: Spi, reason: DownReason) {
        if let Some(child) = self.children.get_mut(&inbound)
            && child.state != ChildState::Deleting
        {
            child.state = ChildState::Deleting;
            self.add_task(Task::DeleteChild(inbound, reason));
        }
    }

    fn child_idle(&mut self, inbound: Spi, direction: Direction, now: Instant) {
        let child = self.children.get_mut(&inbound).filter(|child| child.is_settled());
        if child.is_some_and(|child| child.note_idle(direction, now)) {
            self.delete_child(inbound, DownReason::Idle);
        }
    }

    fn close(&mut self, reason: DownReason) {
        if !matches!(self.stage, Stage::Closing(_)) {
            self.stage = Stage::Closing(reason);
        }
    }

    fn check_liveness(&mut self, _core: &Core) {
        if self.can_probe() {
            self.add_task(Task::Probe);
        }
    }

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

    fn alive(&mut self, now: Instant) {
        self.silence = Silence::new(now);
        self.probe = None;
    }

    fn follow(&mut self, ends: &mut Ends, from: SocketAddr, core: &mut Core) {
        // A mapping of a NAT has one address family; what comes in the other was sent on by somebody else.
        let same_family = from.is_ipv4() == ends.peer.is_ipv4();
        if from != ends.peer && same_family && ends.nat.follows() && self.children.may_go_to(from.ip(), core) {
            ends.peer = from;
            self.children.follow(ends, core);
        }
    }

    fn place(&self, ends: &Ends) -> Place {
        self.place_of(ends, "Quick Mode", None)
    }

    fn go_on(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if let Stage::Closing(reason) = self.stage {
            for spi in self.children.keys().copied().collect::<Vec<_>>() {
                // It waits for nothing.
                let _ = self.perform(Task::DeleteChild(spi, reason), &ends, core);
            }
            informational::send_delete_ike(&mut self, &ends, core);
            self.end(&ends, reason, core);
            return None;
        }
        let mut held = VecDeque::new();
        while let Some(task) = self.tasks.pop_front() {
            match task {
                Task::Create(_) | Task::RekeyChild(_) if !self.gate.is_open() || !quick_mode::may_ask(&self) => {
                    held.push_back(task)
                }
                task => {
                    if self.perform(task, &ends, core).is_err() {
                        core.put_off_own(ends.our_spi());
                        held.push_back(task);
                    }
                }
            }
        }
        self.tasks = held;
        Some(Phase::Session(self).with(ends))
    }
}
