//! Numbers of virtual interfaces (`if_id`) that nobody chose: each IKE SA or Child SA that wants a unique one gets one, and
//! what takes its place has the same.

use alloc::collections::BTreeMap;

use ravelin_types::Spi;
use ravelin_types::if_id::{IfIds, MAX_IF_ID};
use ravelin_types::policy::Action;

use crate::config::Config;

/// What was given.
#[derive(Default)]
pub(crate) struct Numbers {
    last: u32,
    /// By the inbound SPI of the Child SA that has them.
    held: BTreeMap<Spi, IfIds>,
}

impl Numbers {
    /// Numbers in the place of what was left open.
    pub(crate) fn settle(&mut self, wanted: IfIds, of_ike: IfIds, config: &Config) -> IfIds {
        wanted.settled(of_ike, || {
            loop {
                self.last = self.last % MAX_IF_ID + 1;
                if !is_named(self.last, config) {
                    return self.last;
                }
            }
        })
    }

    /// Those of a Child SA.
    pub(crate) fn of_child(
        &mut self,
        inbound: Spi,
        wanted: IfIds,
        of_ike: IfIds,
        replaces: Option<Spi>,
        config: &Config,
    ) -> IfIds {
        if !wanted.come_with_the_sa() {
            return wanted;
        }
        let ids = match replaces.and_then(|old| self.held.get(&old)) {
            Some(held) => *held,
            None => self.settle(wanted, of_ike, config),
        };
        self.held.insert(inbound, ids);
        ids
    }

    /// A Child SA is gone.
    pub(crate) fn release(&mut self, inbound: Spi) {
        self.held.remove(&inbound);
    }
}

/// Whether the operator has given a number to something.
fn is_named(number: u32, config: &Config) -> bool {
    let names = |ids: IfIds| [ids.inbound.number(), ids.outbound.number()].contains(&number);
    let policies = config.policies.iter().filter_map(|child| match &child.policy.action {
        Action::Protect(protection) => Some(protection.options.if_ids),
        Action::Bypass | Action::Discard => None,
    });
    policies.chain(config.remotes.iter().map(|remote| remote.if_ids)).any(names)
}
