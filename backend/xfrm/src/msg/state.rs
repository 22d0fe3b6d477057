//! Messages about states, the kernel's word for SAs.

use ravelin_types::Spi;

use super::bytes::{Port, structure};
use super::parts::{Address, Drops, Id, Limits, Selector, Used};

/// Values of [`StateInfo::mode`] and of the mode of a template.
pub mod mode {
    #![allow(missing_docs)]
    pub const TRANSPORT: u8 = 0;
    pub const TUNNEL: u8 = 1;
    pub const BEET: u8 = 4;
    pub const IPTFS: u8 = 5;
}

/// Bits of [`StateInfo::flags`].
pub mod flag {
    /// The outer header says that the packet's transport knows no congestion marks.
    pub const NO_ECN: u8 = 1;
    /// The outer IPv4 header may be fragmented.
    pub const NO_PMTU_DISC: u8 = 4;
    /// The selector of a tunnel may be of any family.
    pub const AF_UNSPEC: u8 = 32;
    /// AH over IPv4 has its ICV aligned to 4 bytes (RFC 4302 §2.6), not to 8.
    pub const ALIGN4: u8 = 64;
    /// Extended sequence numbers.
    pub const ESN: u8 = 128;
}

/// Bits of the attribute `ExtraFlags`.
pub mod extra {
    /// The outer header has DSCP 0.
    pub const DONT_ENCAP_DSCP: u32 = 1;
}

structure! {
    /// A state: `xfrm_usersa_info`.
    pub struct StateInfo {
        /// The packets it takes.
        selector: Selector,
        /// Its name.
        id: Id,
        /// The sender.
        src: Address,
        /// Limits.
        limits: Limits,
        /// Use; from the kernel.
        used: Used,
        /// Drops; from the kernel.
        drops: Drops,
        /// Number of the acquire that it answers.
        seq: u32,
        /// Ties it to policies.
        reqid: u32,
        /// Of `id.dst` and `src`.
        family: u16,
        /// See [`mode`].
        mode: u8,
        /// Packets, up to 32; longer windows are an attribute.
        replay_window: u8,
        /// See [`flag`].
        flags: u8 [7],
    }
}

structure! {
    /// The name of a state in requests and events: `xfrm_usersa_id`.
    pub struct StateId {
        /// The receiver.
        dst: Address,
        /// The label.
        spi: Spi,
        /// Of `dst`.
        family: u16,
        /// 50 ESP, 51 AH, 108 IPComp.
        protocol: u8 [1],
    }
}

structure! {
    /// Asks the kernel for an SPI: `xfrm_userspi_info`.
    pub struct SpiRange {
        /// The state to be.
        state: StateInfo,
        /// The least.
        min: u32,
        /// The greatest.
        max: u32,
    }
}

structure! {
    /// A limit of a state was passed: `xfrm_user_expire`.
    pub struct Expire {
        /// The state.
        state: StateInfo,
        /// 1: it is gone; 0: soft.
        hard: u8 [7],
    }
}

structure! {
    /// What an async event is about: `xfrm_aevent_id`.
    pub struct EventId {
        /// The state.
        id: StateId,
        /// The sender.
        src: Address,
        /// Why, and what is in it.
        flags: u32,
        /// Of the state.
        reqid: u32,
    }
}

structure! {
    /// The packets of a state in UDP come from another place: `xfrm_user_mapping`.
    pub struct Mapping {
        /// The state.
        id: StateId,
        /// Of the state.
        reqid: u32,
        /// The sender until now.
        old_src: Address,
        /// The sender now.
        new_src: Address,
        /// Its port until now.
        old_port: Port,
        /// Its port now.
        new_port: Port,
    }
}

structure! {
    /// A packet that no policy could be found for: `xfrm_user_report`.
    pub struct Report {
        /// Next layer protocol.
        protocol: u8 [3],
        /// The packet.
        selector: Selector,
    }
}
