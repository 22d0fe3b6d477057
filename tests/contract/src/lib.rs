//! What every data plane does alike: one suite of cases, and three pairs of hosts that it runs between.
//!
//! | pair | data plane | where |
//! |---|---|---|
//! | [`memory`] | the engine as the simulator has it, on virtual time | everywhere |
//! | [`hosts`] with [`hosts::tun`] | the engine over TUN devices, in network namespaces | where those are allowed |
//! | [`hosts`] with [`hosts::kernel`] | the kernel's IPsec, in network namespaces | where the kernel has ESP: the interop lab's guest |
//!
//! A case knows nothing of the pair it runs between: it orders operations, sends datagrams, and looks at events and
//! listings. Read `cases.rs` first.

// The whole crate is tests, which the lint cannot see.
#![allow(clippy::unwrap_used)]

pub mod cases;
pub mod hosts;
pub mod make;
pub mod memory;
mod sys;

use std::net::SocketAddr;
use std::time::Duration;

use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The first.
    A,
    /// The second.
    B,
}

impl End {
    /// Both.
    pub const BOTH: [End; 2] = [End::A, End::B];

    /// The other one.
    pub fn other(self) -> End {
        if self == End::A { End::B } else { End::A }
    }
}

/// Two hosts with a data plane each, and a wire between them.
pub trait Pair {
    /// Carries out an operation at one end.
    ///
    /// # Errors
    /// As the data plane refuses it.
    fn apply(&mut self, end: End, op: DataPlaneOp) -> Result<(), DataPlaneError>;

    /// The next event at one end; waits a while for it.
    fn event(&mut self, end: End) -> Option<DataPlaneEvent>;

    /// The events at one end that come without being waited for much.
    fn events(&mut self, end: End) -> Vec<DataPlaneEvent>;

    /// The SAs at one end.
    fn list(&mut self, end: End) -> Vec<SaStatus>;

    /// Sends a UDP datagram from an address of one end to one of the other; whether it arrived there.
    fn send(&mut self, from: End, src: SocketAddr, dst: SocketAddr) -> bool;

    /// Sends a UDP datagram, and does not look whether it arrives.
    fn offer(&mut self, from: End, src: SocketAddr, dst: SocketAddr);

    /// Lets time pass.
    fn wait(&mut self, time: Duration);
}
