//! SAs that other programs have removed, replaced or changed. One that is lost cannot be put back: how far its numbers had come is
//! not known for sure, and a nonce must not come twice under a key. So it is taken out of use whole, whatever stands under its name
//! with it, and told of, that whoever negotiated makes another at once. What a program can change of a state that stays is
//! as it was again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::select;

use crate::book::Book;
use crate::msg::{Body, Message, kind};
use crate::netlink::{Notice, Request};
use crate::plane::XfrmDataPlane;
use crate::states::{self, Name};
use crate::{reconcile, text};

/// How long another may take to come in the place of an SA that is lost. After that it counts as expired.
const PATIENCE: Duration = Duration::from_secs(30);
/// An SA that is lost sooner than this is told of with the next look at all: who removes SAs without end has us negotiate once a
/// second, not more often.
const YOUNG: Duration = Duration::from_secs(1);

/// How an SA is found in the kernel.
pub(crate) enum Condition {
    AsWanted,
    /// By the requests that make it as it was.
    Changed(Vec<Message>),
    /// Not all of its states are there.
    Gone,
    /// A state of its name has other keys or ends.
    Replaced,
}

/// The condition of an SA, where these states of ours were found.
pub(crate) fn condition(book: &Book, params: &SaParams, found: &BTreeMap<Name, Message>) -> Condition {
    // An SA that is in the book was asked for by these.
    let Ok(wanted) = book.states(params) else { return Condition::AsWanted };
    let mut changed = Vec::new();
    for (name, wanted) in states::names(params).into_iter().zip(wanted) {
        match found.get(&name) {
            None => return Condition::Gone,
            Some(there) if !states::same(there, &wanted) => return Condition::Replaced,
            Some(there) if !states::unchanged(there, &wanted) => changed.push(wanted),
            Some(_) => {}
        }
    }
    if changed.is_empty() { Condition::AsWanted } else { Condition::Changed(changed) }
}

impl XfrmDataPlane {
    /// Takes in what other programs did to states.
    pub(crate) fn take_losses(&mut self) {
        let mut unsure = false;
        while let Some(notices) = self.state_events.poll() {
            for notice in notices {
                match notice {
                    Notice::Message(message) if message.kind != kind::FLUSH_SA => self.state_touched(&message),
                    Notice::Message(_) | Notice::Lost => unsure = true,
                }
            }
        }
        if unsure {
            self.look_for_losses();
        }
    }

    /// Another program has added, changed or removed a state.
    fn state_touched(&mut self, message: &Message) {
        let name = match &message.body {
            Body::State(state) => states::name(state),
            Body::StateId(id) => id.dst.ip(id.family).map(|dst| (dst, id.protocol, id.spi)),
            _ => None,
        };
        let Some((name, id)) = name.and_then(|name| Some((name, self.book.named(name)?))) else { return };
        let Some(params) = self.book.sa(id).cloned() else { return };
        // With another mark it is another state of the same name.
        if states::mark_of(message) != states::mark(&params) {
            return;
        }
        let condition = match message.kind {
            kind::DEL_SA => Condition::Gone,
            // What it could be added in place of has gone before.
            kind::NEW_SA => Condition::Replaced,
            _ => {
                let found = BTreeMap::from([(name, message.clone())]);
                let wanted = self.book.states(&params).unwrap_or_default();
                let its = states::names(&params).into_iter().zip(wanted).find(|(its, _)| *its == name);
                match its {
                    Some((_, wanted)) if !states::same(&found[&name], &wanted) => Condition::Replaced,
                    Some((_, wanted)) if !states::unchanged(&found[&name], &wanted) => Condition::Changed(vec![wanted]),
                    _ => Condition::AsWanted,
                }
            }
        };
        self.act_on(id, condition);
    }

    /// Compares all SAs with what is in the kernel.
    fn look_for_losses(&mut self) {
        let found = match reconcile::find(&mut self.netlink) {
            Ok(found) => found.states,
            Err(refusal) => return tracing::error!("the kernel's SAs cannot be listed: {refusal}"),
        };
        let all: Vec<(SaId, Condition)> =
            self.book.sas().map(|(id, params)| (*id, condition(&self.book, params, &found))).collect();
        for (id, condition) in all {
            self.act_on(id, condition);
        }
    }

    fn act_on(&mut self, id: SaId, condition: Condition) {
        match condition {
            Condition::AsWanted => {}
            Condition::Changed(messages) => self.restore(id, messages),
            Condition::Gone => self.lose(id, "has gone from the kernel"),
            Condition::Replaced => self.lose(id, "was replaced in the kernel by another program"),
        }
    }

    /// Gives the states of an SA back what was changed of them.
    fn restore(&mut self, id: SaId, messages: Vec<Message>) {
        tracing::warn!("another program changed the SA with SPI {} to {}; it is as it was again", id.spi, id.dst);
        for message in messages {
            let request = Request::from(Message { kind: kind::UPD_SA, ..message });
            if let Err(refusal) = self.netlink.request(&request) {
                let line = text::command(&request.message);
                tracing::error!("a state cannot be brought in order: {refusal}; by hand: `{line}`");
            }
        }
    }

    /// An SA is not in the kernel as it was installed: it is out of use from now on.
    pub(crate) fn lose(&mut self, id: SaId, how: &str) {
        let Some(params) = self.book.sa(id).cloned() else { return };
        if self.seen.get(&id).is_none_or(|seen| seen.gone) {
            return;
        }
        // What else stands under its name is another program's, and half an SA is none.
        let removals = states::names(&params).into_iter().map(|name| states::removal(name, states::mark(&params)));
        self.netlink.requests(&removals.map(Request::from).collect::<Vec<_>>());
        let now = Instant::now();
        let young = self.seen.get(&id).is_some_and(|seen| now - seen.since < YOUNG);
        if !young && !self.lost.contains_key(&id) {
            self.tell_lost(id, params.policy, how, now);
        }
    }

    fn tell_lost(&mut self, id: SaId, policy: PolicyId, how: &str, now: Instant) {
        tracing::warn!("the SA with SPI {} to {} {how}; it is out of use", id.spi, id.dst);
        self.lost.insert(id, (policy, now));
        self.queue.push_back(DataPlaneEvent::Lost(id));
    }

    /// A look at all SAs has not found this one.
    pub(crate) fn missed(&mut self, id: SaId, policy: PolicyId, now: Instant) {
        let Some(seen) = self.seen.get_mut(&id).filter(|seen| !seen.gone) else { return };
        match self.lost.get(&id) {
            None => self.tell_lost(id, policy, "has gone from the kernel", now),
            Some((_, since)) if now - *since >= PATIENCE => {
                seen.gone = true;
                self.queue.push_back(DataPlaneEvent::HardExpire(id));
                self.forget_lost(id);
            }
            Some(_) => {}
        }
    }

    /// Whether the SA for a packet is lost: another is on its way, which nobody need ask for.
    pub(crate) fn is_replaced_soon(&self, policy: PolicyId, flow: &Flow) -> bool {
        let its = self.lost.iter().filter(|(id, (of, _))| *of == policy && id.direction == Direction::Outbound);
        let mut sas = its.filter_map(|(id, _)| self.book.sa(*id));
        sas.any(|sa| select(&sa.local_ts, &sa.remote_ts, flow))
    }

    /// Another is not waited for any more. Where none has come, the next packet asks for one.
    pub(crate) fn forget_lost(&mut self, id: SaId) {
        if let Some((policy, _)) = self.lost.remove(&id) {
            self.fail_acquire(policy);
        }
    }
}
