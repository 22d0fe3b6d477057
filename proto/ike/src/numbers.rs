//! Numbers of virtual interfaces (`if_id`) and marks of packets that nobody chose: each IKE SA or Child SA that wants a unique one
//! gets one, and what takes its place has the same.

use alloc::collections::{BTreeMap, BTreeSet};

use ravelin_types::Spi;
use ravelin_types::if_id::{IfIds, MAX_IF_ID};
use ravelin_types::mark::{Marks, PolicyMark};
use ravelin_types::options::SaOptions;
use ravelin_types::policy::Action;

use crate::config::Config;

/// So many numbers are tried for one that has no other meaning.
const TRIES: usize = 1 << 16;

/// What was given, and what the operator has given.
#[derive(Default)]
pub(crate) struct Numbers {
    last_if_id: u32,
    last_mark: u32,
    /// By the inbound SPI of the Child SA that has them.
    held: BTreeMap<Spi, Held>,
    /// The numbers of interfaces in the configuration.
    if_ids: BTreeSet<u32>,
    /// The values of the marks in it, by their masks, which are few.
    marks: BTreeMap<u32, BTreeSet<u32>>,
}

/// What tells the traffic of a Child SA apart from that of others with the same selectors.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) if_ids: IfIds,
    pub(crate) marks: Marks,
}

impl Numbers {
    /// Takes another configuration.
    pub(crate) fn configure(&mut self, config: &Config) {
        let options = || {
            config.policies.iter().filter_map(|child| match &child.policy.action {
                Action::Protect(protection) => Some(&protection.options),
                Action::Bypass | Action::Discard => None,
            })
        };
        let remotes = config.remotes.iter().map(|remote| remote.if_ids);
        let if_ids = options().map(|options| options.if_ids).chain(remotes);
        self.if_ids = if_ids.flat_map(|ids| [ids.inbound.number(), ids.outbound.number()]).collect();
        self.marks.clear();
        let marks = options().flat_map(|options| [options.marks.inbound, options.marks.outbound]);
        for mark in marks.filter_map(PolicyMark::mark) {
            self.marks.entry(mark.mask).or_default().insert(mark.value);
        }
    }

    /// Numbers of interfaces in the place of what was left open.
    pub(crate) fn settle(&mut self, wanted: IfIds, of_ike: IfIds) -> IfIds {
        wanted.settled(of_ike, || next(&mut self.last_if_id, |number| self.if_ids.contains(&number)))
    }

    /// Those of a Child SA with these options, and its marks.
    pub(crate) fn of_child(&mut self, inbound: Spi, options: &SaOptions, of_ike: IfIds, replaces: Option<Spi>) -> Held {
        let SaOptions { if_ids, marks, .. } = *options;
        if !if_ids.come_with_the_sa() && !marks.come_with_the_sa() {
            return Held { if_ids, marks };
        }
        let held = match replaces.and_then(|old| self.held.get(&old)) {
            Some(held) => *held,
            None => Held {
                if_ids: self.settle(if_ids, of_ike),
                marks: marks.settled(|| next(&mut self.last_mark, |number| is_mark(number, &self.marks))),
            },
        };
        self.held.insert(inbound, held);
        held
    }

    /// A Child SA is gone.
    pub(crate) fn release(&mut self, inbound: Spi) {
        self.held.remove(&inbound);
    }
}

/// The next number that the operator has given to nothing. Marks with masks may name them all.
fn next(last: &mut u32, is_named: impl Fn(u32) -> bool) -> u32 {
    for _ in 0..TRIES {
        *last = *last % MAX_IF_ID + 1;
        if !is_named(*last) {
            break;
        }
    }
    *last
}

/// Whether a policy is about packets with this mark.
fn is_mark(number: u32, marks: &BTreeMap<u32, BTreeSet<u32>>) -> bool {
    marks.iter().any(|(mask, values)| values.contains(&(number & mask)))
}
