//! The data plane in user space: policies capture traffic into a TUN device, `ravelin-engine` protects it on two
//! threads, and sockets carry ESP as IP protocol 50 or inside UDP 4500. It never negotiates anything, never decides
//! policy and never reads IKE beyond the non-ESP marker.
//!
//! Read [`plane`](TunDataPlane) first; the modules in the order of a packet's way out:
//!
//! ```text
//!  host stack / forwarding
//!      │  filter.rs: an nftables chain walks the SPD in order, sets `capture_mark` on what must be protected
//!      │  netlink.rs: `ip rule fwmark capture_mark lookup table` -> `default dev ravelin0`
//!      ▼
//!  device.rs (TUN) ─► outbound.rs ─► engine Outbound ─► sockets.rs (sendmmsg; raw ESP, UDP 4500; all `own_mark`)
//!                        └► hold.rs: packets that wait for an SA
//!  device.rs (TUN) ◄─ inbound.rs  ◄─ engine Inbound  ◄─ sockets.rs (recvmmsg) ─► IKE datagrams, to the event loop
//! ```
//!
//! **Capture.** A packet is marked after the stack chose its source address (a `route` chain at output) or before it
//! is routed (prerouting, for forwarded packets), and the mark alone selects our routing table. So address and port
//! ranges, the order of the SPD, bypass policies and sockets without a bound source address need no approximation
//! by `ip rule` prefixes. Where the host has no route to the remote side of a policy, a rule behind the main table
//! supplies one, so that the stack lets the packet come as far as the capture. Our own packets carry `own_mark` and
//! are looked at by neither.
//!
//! **Guards.** What a protect policy selects and leaves by another device than ours is dropped and counted
//! (`leaked`); what arrives in clear although a policy wants it protected is dropped and counted (`clear_inbound`),
//! except ESP, IKE and IPv6 neighbour discovery. The guards are kernel state: they hold when the daemon dies.
//!
//! **Leaving.** Each change to the system is in the [`Store`](ravelin_types::record::Store) before it is made;
//! [`TunDataPlane::stop`] undoes all, and [`undo_leftovers`] does so for a daemon that was killed.
//!
//! The event loop polls [`TunDataPlane::ike_fd`] and [`TunDataPlane::event_fd`] and drains
//! [`poll_ike`](TunDataPlane::poll_ike), [`poll_event`](ravelin_types::dataplane::DataPlane::poll_event) and
//! [`poll_alive`](TunDataPlane::poll_alive).

mod config;
mod device;
mod error;
mod filter;
mod hold;
mod inbound;
mod journal;
mod keepalive;
mod netlink;
mod nft;
mod outbound;
mod plane;
mod shared;
mod slots;
mod sockets;
mod sys;
mod system;
mod wait;

pub use config::TunConfig;
pub use error::Error;
pub use journal::undo_leftovers;
pub use plane::{PlaneCounters, TunDataPlane};
pub use shared::IkeDatagram;
