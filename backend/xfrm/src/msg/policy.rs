//! Messages about policies, the kernel's SPD, and about the acquires that they raise.

use super::bytes::structure;
use super::parts::{Address, Id, Limits, Selector, Used};

/// Values of [`PolicyInfo::direction`].
pub mod direction {
    #![allow(missing_docs)]
    pub const IN: u8 = 0;
    pub const OUT: u8 = 1;
    pub const FORWARD: u8 = 2;
}

/// Values of [`PolicyInfo::action`].
pub mod action {
    #![allow(missing_docs)]
    pub const ALLOW: u8 = 0;
    pub const BLOCK: u8 = 1;
}

/// Bits of [`PolicyInfo::flags`].
pub mod flag {
    /// ICMP errors that belong to selected packets, too.
    pub const ICMP: u8 = 2;
    /// A processor without a state of its own asks for one, and uses meanwhile the one for all (Linux 6.13).
    pub const PROCESSOR_ACQUIRE: u8 = 4;
}

structure! {
    /// A policy: `xfrm_userpolicy_info`.
    pub struct PolicyInfo {
        /// The packets it selects.
        selector: Selector,
        /// Limits.
        limits: Limits,
        /// Use; from the kernel.
        used: Used,
        /// The lowest number counts.
        priority: u32,
        /// The kernel's number for it; the lowest three bits are the direction.
        index: u32,
        /// See [`direction`].
        direction: u8,
        /// See [`action`].
        action: u8,
        /// See [`flag`].
        flags: u8,
        /// Not looked at by the kernel.
        share: u8 [4],
    }
}

structure! {
    /// The name of a policy in requests and events: `xfrm_userpolicy_id`.
    pub struct PolicyId {
        /// By its packets,
        selector: Selector,
        /// or by its number, where that is not 0.
        index: u32,
        /// See [`direction`].
        direction: u8 [3],
    }
}

structure! {
    /// How a policy wants its packets: `xfrm_user_tmpl`.
    pub struct Template {
        /// Receiver and protocol; an SPI only where one state alone will do.
        id: Id,
        /// Of the two addresses.
        family: u16 [2],
        /// The sender; zero: whatever is ours towards `id.dst`.
        src: Address,
        /// Only states with this; 0: any.
        reqid: u32,
        /// As in a state.
        mode: u8,
        /// Not looked at by the kernel.
        share: u8,
        /// 1: inbound, packets may come without.
        optional: u8 [1],
        /// Integrity algorithms that will do, by their numbers in PF_KEY; all bits set: whatever the state has.
        integrity: u32,
        /// Ciphers that will do.
        ciphers: u32,
        /// Compressions that will do.
        compressions: u32,
    }
}

structure! {
    /// A packet needs a state: `xfrm_user_acquire`.
    pub struct Acquire {
        /// Receiver and protocol of the state.
        id: Id,
        /// The sender.
        src: Address,
        /// The packet.
        selector: Selector,
        /// The policy.
        policy: PolicyInfo,
        /// Integrity algorithms that will do.
        integrity: u32,
        /// Ciphers that will do.
        ciphers: u32,
        /// Compressions that will do.
        compressions: u32,
        /// The number of the acquire.
        seq: u32,
    }
}

structure! {
    /// A limit of a policy was passed: `xfrm_user_polexpire`.
    pub struct PolicyExpire {
        /// The policy.
        policy: PolicyInfo,
        /// 1: it is gone; 0: soft.
        hard: u8 [7],
    }
}

structure! {
    /// A pair of addresses moves: `xfrm_user_migrate`.
    pub struct Migrate {
        /// Receiver until now.
        old_dst: Address,
        /// Sender until now.
        old_src: Address,
        /// Receiver from now on.
        new_dst: Address,
        /// Sender from now on.
        new_src: Address,
        /// 50 ESP, 51 AH, 108 IPComp.
        protocol: u8,
        /// As in a state.
        mode: u8 [2],
        /// Of the states.
        reqid: u32,
        /// Of the addresses until now.
        old_family: u16,
        /// Of the addresses from now on.
        new_family: u16,
    }
}

structure! {
    /// What happens to packets without a policy, 1: they are dropped, 2: they pass: `xfrm_userpolicy_default`.
    pub struct Defaults {
        /// Received by this host.
        input: u8,
        /// Forwarded.
        forward: u8,
        /// Sent by this host.
        output: u8,
    }
}
