//! Numbers of virtual interfaces (`if_id`) and marks of packets that nobody chose: each IKE SA or Child SA that wants a unique one
//! gets one, and what takes its place has the same.

use alloc::collections::BTreeMap;

use ravelin_types::Spi;
use ravelin_types::if_id::{IfIds, MAX_IF_ID};
use ravelin_types::mark::Marks;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::Action;

use crate::config::Config;

/// So many numbers are tried for one that has no other meaning.
const TRIES: usize = 1 << 16;

/// What was given.
#[derive(Default)]
pub(crate) struct Numbers {
    last_if_id: u32,
    last_mark: u32,
    /// By the inbound SPI of the Child SA that has them.
    held: BTreeMap<Spi, Held>,
}

/// What tells the traffic of a Child SA apart from that of others with the same selectors.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) if_ids: IfIds,
    pub(crate) marks: Marks,
}

impl Numbers {
    /// Numbers of interfaces in the place of what was left open.
    pub(crate) fn settle(&mut self, wanted: IfIds, of_ike: IfIds, config: &Config) -> IfIds {
        wanted.settled(of_ike, || next(&mut self.last_if_id, |number| is_if_id(number, config)))
    }

    /// Those of a Child SA with these options, and its marks.
    pub(crate) fn of_child(
        &mut self,
        inbound: Spi,
        options: &SaOptions,
        of_ike: IfIds,
        replaces: Option<Spi>,
        config: &Config,
    ) -> Held {
        let SaOptions { if_ids, marks, .. } = *options;
        if !if_ids.come_with_the_sa() && !marks.come_with_the_sa() {
            return Held { if_ids, marks };
        }
        let held = match replaces.and_then(|old| self.held.get(&old)) {
            Some(held) => *held,
            None => Held {
                if_ids: self.settle(if_ids, of_ike, config),
                marks: marks.settled(|| next(&mut self.last_mark, |number| is_mark(number, config))),
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

/// Whether an interface has this number.
fn is_if_id(number: u32, config: &Config) -> bool {
    let names = |ids: IfIds| [ids.inbound.number(), ids.outbound.number()].contains(&number);
    let policies = options(config).map(|options| options.if_ids);
    policies.chain(config.remotes.iter().map(|remote| remote.if_ids)).any(names)
}

/// Whether a policy is about packets with this mark.
fn is_mark(number: u32, config: &Config) -> bool {
    let mut marks = options(config).flat_map(|options| [options.marks.inbound, options.marks.outbound]);
    marks.any(|mark| mark.mark().is_some_and(|mark| number & mark.mask == mark.value))
}

fn options(config: &Config) -> impl Iterator<Item = &SaOptions> {
    config.policies.iter().filter_map(|child| match &child.policy.action {
        Action::Protect(protection) => Some(&protection.options),
        Action::Bypass | Action::Discard => None,
    })
}
