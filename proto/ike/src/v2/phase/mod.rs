//! The initial exchanges, one struct per phase, and the phase they lead to.
//!
//! ```text
//!   sa_init.rs   HDR, SAi1, KEi, Ni  -->              InitRequested
//!                <--  HDR, SAr1, KEr, Nr              InitAnswered
//!   auth.rs      HDR, SK {IDi, AUTH, SAi2, TSi, TSr}  -->      AuthRequested
//!                <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
//!   established.rs   everything after, by exchange/
//! ```
//! Read RFC 7296 §1.2, §2.1, §2.6, §2.15 and §2.21 before changing this folder.

pub(crate) mod answer_auth;
pub(crate) mod answer_init;
pub(crate) mod auth;
pub(crate) mod established;
pub(crate) mod sa_init;

use alloc::vec::Vec;

use ravelin_types::dataplane::Flow;
use ravelin_types::policy::PolicyId;

/// A Child SA that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) policy: PolicyId,
    /// The packet that asked.
    pub(crate) flow: Option<Flow>,
}

impl Want {
    /// Adds it unless it is there, and unless enough others wait for the same policy.
    pub(crate) fn add_to(self, wants: &mut Vec<Want>) {
        let same = wants.iter().filter(|want| want.policy == self.policy).count();
        // One Child SA serves all flows of a policy, unless the peer narrows it: the next packet asks again then.
        if same == 0 {
            wants.push(self);
        }
    }
}
