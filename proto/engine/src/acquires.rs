//! The acquires that wait for an SA (RFC 4301 §4.4.1.1): one for each part of a policy's traffic that has none.

use alloc::collections::VecDeque;

use hashbrown::HashMap;
use ravelin_types::Instant;
use ravelin_types::dataplane::Flow;
use ravelin_types::policy::PolicyId;

use crate::hash::HashKey;
use crate::limits::{Limits, MAX_ACQUIRES_PER_POLICY, MAX_EVENTS};
use crate::sad::WHOLE;

/// Bounded in all and for each policy, so that a policy with very many flows takes nothing from the others. The room
/// that a burst needs is there from the start.
pub(crate) struct Acquires {
    open: HashMap<(PolicyId, Flow), Instant, HashKey>,
    of_policy: HashMap<PolicyId, usize, HashKey>,
    /// When each ends, in order, with some that were answered since.
    ends: VecDeque<(Instant, PolicyId, Flow)>,
    most: usize,
    /// So many acquires have room from the start.
    ready: usize,
}

/// Whether an acquire is to be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Yes,
    /// It was, and is open.
    Open,
    /// Too many are open.
    Full,
}

impl Acquires {
    pub fn new(seed: u64, limits: &Limits) -> Self {
        let (hash, most) = (HashKey::new(seed), limits.acquires);
        let ready = most.min(MAX_EVENTS).max(limits.reserved(most));
        // Twice: so much a table must have to be tidied up in its place, and the list keeps what was answered for a while.
        let room = 2 * ready;
        Acquires {
            open: HashMap::with_capacity_and_hasher(room, hash),
            of_policy: HashMap::with_capacity_and_hasher(room, hash),
            ends: VecDeque::with_capacity(room),
            most,
            ready,
        }
    }

    /// What a packet of this part of the policy's traffic asks for.
    pub fn ask(&mut self, policy: PolicyId, part: Flow, now: Instant) -> Ask {
        while let Some((until, policy, part)) = self.ends.pop_front_if(|(until, ..)| *until <= now) {
            if self.open.get(&(policy, part)) == Some(&until) {
                self.close(policy, part);
            }
        }
        if self.open.contains_key(&(policy, part)) {
            return Ask::Open;
        }
        let of_policy = self.of_policy.get(&policy).copied().unwrap_or_default();
        let full = of_policy >= MAX_ACQUIRES_PER_POLICY || self.open.len() >= self.most;
        if full { Ask::Full } else { Ask::Yes }
    }

    /// The acquire was raised; it stays open so long. Each is given as much time as those before it.
    pub fn raised(&mut self, policy: PolicyId, part: Flow, until: Instant) {
        if self.ends.len() >= 2 * self.open.len().max(self.ready) {
            self.ends.retain(|(until, policy, part)| self.open.get(&(*policy, *part)) == Some(until));
        }
        self.open.insert((policy, part), until);
        self.ends.push_back((until, policy, part));
        *self.of_policy.entry(policy).or_default() += 1;
    }

    /// There is an SA for this part of the policy's traffic.
    pub fn close(&mut self, policy: PolicyId, part: Flow) {
        if self.open.remove(&(policy, part)).is_some()
            && let Some(count) = self.of_policy.get_mut(&policy)
        {
            *count -= 1;
            if *count == 0 {
                self.of_policy.remove(&policy);
            }
        }
    }

    /// There is an SA for more than one part, or the policy is gone.
    pub fn close_all(&mut self, policy: PolicyId) {
        self.close(policy, WHOLE);
        if self.of_policy.remove(&policy).is_some() {
            self.open.retain(|(of, _), _| *of != policy);
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.of_policy.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn part(n: u32) -> Flow {
        Flow { src: n.to_be_bytes().into(), ..WHOLE }
    }

    #[test]
    fn each_part_asks_once_until_it_is_answered_or_old() {
        let mut acquires = Acquires::new(1, &Limits::default());
        let (one, two) = (PolicyId(1), PolicyId(2));
        let later = Instant::ZERO + Duration::from_secs(30);
        assert_eq!(acquires.ask(one, part(1), Instant::ZERO), Ask::Yes);
        acquires.raised(one, part(1), later);
        assert_eq!(acquires.ask(one, part(1), Instant::ZERO), Ask::Open);
        assert_eq!(acquires.ask(one, part(2), Instant::ZERO), Ask::Yes);
        assert_eq!(acquires.ask(two, part(1), Instant::ZERO), Ask::Yes);
        assert_eq!(acquires.ask(one, part(1), later), Ask::Yes);
        assert!(acquires.is_empty());
    }

    #[test]
    fn a_policy_that_is_full_harms_no_other_and_has_room_again() {
        let mut acquires = Acquires::new(1, &Limits::default());
        let (full, other) = (PolicyId(1), PolicyId(2));
        let later = Instant::ZERO + Duration::from_secs(30);
        for n in 0..MAX_ACQUIRES_PER_POLICY as u32 {
            assert_eq!(acquires.ask(full, part(n), Instant::ZERO), Ask::Yes);
            acquires.raised(full, part(n), later);
        }
        assert_eq!(acquires.ask(full, part(u32::MAX), Instant::ZERO), Ask::Full);
        assert_eq!(acquires.ask(full, part(0), Instant::ZERO), Ask::Open);
        assert_eq!(acquires.ask(other, part(u32::MAX), Instant::ZERO), Ask::Yes);
        acquires.close(full, part(7));
        assert_eq!(acquires.ask(full, part(u32::MAX), Instant::ZERO), Ask::Yes);
        acquires.raised(other, part(0), later);
        acquires.close_all(full);
        assert_eq!(acquires.ask(other, part(0), Instant::ZERO), Ask::Open);
        acquires.close_all(other);
        assert!(acquires.is_empty());
    }

    #[test]
    fn what_was_answered_leaves_nothing_behind() {
        let mut acquires = Acquires::new(1, &Limits::default());
        for n in 0..10 * MAX_EVENTS as u32 {
            let until = Instant::ZERO + Duration::from_secs(30) + Duration::from_millis(n.into());
            assert_eq!(acquires.ask(PolicyId(1), part(n), Instant::ZERO), Ask::Yes);
            acquires.raised(PolicyId(1), part(n), until);
            acquires.close(PolicyId(1), part(n));
        }
        assert!(acquires.is_empty() && acquires.ends.len() <= 2 * MAX_EVENTS);
    }
}
