//! Answers that come later: a client asked for something that takes an exchange with the peer.

use std::collections::BTreeSet;

use ravelin_control::{ClientId, Message};
use ravelin_ike::Event;
use ravelin_ike::output::DownReason;
use ravelin_types::policy::PolicyId;
use ravelin_types::{IkeSpi, Instant, Spi};

/// What a client waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// An SA for the policy, which the remote serves.
    ChildUp(PolicyId, String),
    /// A fresh SA for the policy, which the remote serves.
    ChildRekeyed(PolicyId, String),
    /// An IKE SA with the remote.
    IkeUp(String),
    /// A fresh IKE SA with the remote.
    IkeRekeyed(String),
    /// None of these SAs.
    Gone(Gone),
}

/// SAs that shall go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// IKE SAs, by both SPIs.
    pub ike: BTreeSet<(IkeSpi, IkeSpi)>,
    /// Child SAs, by the inbound SPI.
    pub children: BTreeSet<Spi>,
    /// How many there were.
    pub of: usize,
}

impl Gone {
    /// The answer, once none is left.
    pub fn answer(&self) -> Option<Message> {
        let left = self.ike.len() + self.children.len();
        (left == 0).then(|| done().with("matches", self.of).with("terminated", self.of))
    }
}

/// A client, its goal, and when it gives up.
#[derive(Debug)]
struct Waiter {
    client: ClientId,
    goal: Goal,
    /// `None`: as long as it takes.
    until: Option<Instant>,
}

/// Everyone who waits. Bounded by the number of clients: each has one command under way.
#[derive(Debug, Default)]
pub struct Waiting(Vec<Waiter>);

impl Waiting {
    /// Remembers a client.
    pub fn add(&mut self, client: ClientId, goal: Goal, until: Option<Instant>) {
        self.0.push(Waiter { client, goal, until });
    }

    /// Forgets a client that has hung up.
    pub fn forget(&mut self, client: ClientId) {
        self.0.retain(|waiter| waiter.client != client);
    }

    /// The answers that an event brings.
    pub fn event(&mut self, event: &Event) -> Vec<(ClientId, Message)> {
        self.take(|waiter| waiter.goal.outcome(event))
    }

    /// The answers that the end of these IKE SAs brings, which ended without an event: with these remotes there is none left.
    pub fn gone(&mut self, ike: &BTreeSet<(IkeSpi, IkeSpi)>, remotes: &BTreeSet<String>) -> Vec<(ClientId, Message)> {
        self.take(|waiter| match &mut waiter.goal {
            Goal::Gone(gone) => {
                gone.ike.retain(|spis| !ike.contains(spis));
                gone.answer()
            }
            goal => {
                let waits = remotes.iter().any(|remote| goal.needs_ike_with(remote));
                waits.then(|| failed("somebody terminated the negotiation".to_owned()))
            }
        })
    }

    /// The answers to those who have waited long enough.
    pub fn expire(&mut self, now: Instant) -> Vec<(ClientId, Message)> {
        self.take(|waiter| {
            let late =
                || failed("it is not done yet; `ike netstat` shows how far it is, or raise --timeout".to_owned());
            waiter.until.is_some_and(|until| until <= now).then(late)
        })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// When the next one gives up.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|waiter| waiter.until).min()
    }

    fn take(&mut self, mut outcome: impl FnMut(&mut Waiter) -> Option<Message>) -> Vec<(ClientId, Message)> {
        let mut answers = Vec::new();
        self.0.retain_mut(|waiter| match outcome(waiter) {
            Some(message) => {
                answers.push((waiter.client, message));
                false
            }
            None => true,
        });
        answers
    }
}

impl Goal {
    /// The answer, if the event decides the matter.
    fn outcome(&mut self, event: &Event) -> Option<Message> {
        if let Goal::Gone(gone) = self {
            match event {
                Event::IkeDown { spis, .. } => _ = gone.ike.remove(spis),
                Event::ChildDown { inbound, .. } => _ = gone.children.remove(inbound),
                _ => {}
            }
            return gone.answer();
        }
        let reached = match (&*self, event) {
            (Goal::ChildUp(id, _), Event::ChildUp { policy, inbound, outbound }) if id == policy => {
                done().with("inbound", inbound).with("outbound", outbound)
            }
            (Goal::IkeUp(name), Event::IkeUp { remote, spis, .. }) if name == remote => {
                done().with("initiator-spi", spis.0).with("responder-spi", spis.1)
            }
            (Goal::ChildRekeyed(id, _), Event::ChildRekeyed { policy, inbound, outbound, .. }) if id == policy => {
                done().with("inbound", inbound).with("outbound", outbound)
            }
            (Goal::IkeRekeyed(name), Event::IkeRekeyed { remote, new, .. }) if name == remote => {
                done().with("initiator-spi", new.0).with("responder-spi", new.1)
            }
            (goal, Event::Failed(failure)) if goal.concerns(failure.policy, failure.remote.as_deref()) => {
                failed(failure.to_string())
            }
            // A redundant IKE SA of a collision may go; the other one serves.
            (goal, Event::IkeDown { remote, reason, .. })
                if *reason != DownReason::Replaced && goal.needs_ike_with(remote) =>
            {
                failed(format!("the IKE SA went down: {reason:?}"))
            }
            _ => return None,
        };
        Some(reached)
    }

    /// Whether a failure of this policy, or of the remote as a whole, is a failure of this goal.
    fn concerns(&self, policy: Option<PolicyId>, remote: Option<&str>) -> bool {
        match self {
            Goal::ChildUp(id, name) | Goal::ChildRekeyed(id, name) => {
                policy.map_or(remote == Some(name), |policy| policy == *id)
            }
            Goal::IkeUp(name) => remote == Some(name),
            Goal::IkeRekeyed(name) => policy.is_none() && remote == Some(name),
            Goal::Gone(_) => false,
        }
    }

    fn needs_ike_with(&self, remote: &str) -> bool {
        match self {
            Goal::ChildUp(_, name) | Goal::ChildRekeyed(_, name) | Goal::IkeUp(name) | Goal::IkeRekeyed(name) => {
                name == remote
            }
            Goal::Gone(_) => false,
        }
    }
}

/// The answer to a command that was carried out.
pub fn done() -> Message {
    Message::new().with("success", "yes")
}

/// The answer to a command that was not.
pub fn failed(why: String) -> Message {
    Message::new().with("success", "no").with("errmsg", why)
}
