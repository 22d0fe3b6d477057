//! The data plane in user space: policies capture traffic into a TUN device, `ravelin-engine` protects it on a
//! few threads, and sockets carry ESP as IP protocol 50 or inside UDP 4500, and AH as IP protocol 51. It never negotiates
//! anything, never decides policy and never reads IKE beyond the non-ESP marker.
//!
//! Read [`plane`](TunDataPlane) first; the modules in the order of a packet's way out:
//!
//! ```text
//!  host stack / forwarding
//!      │  filter.rs: an nftables chain walks the SPD in order, sets `capture_mark` on what must be protected
//!      │  netlink.rs: `ip rule fwmark capture_mark lookup table` -> `default dev ravelin0`
//!      ▼
//!  device.rs (TUN) ─► outbound.rs ─► engine Outbound ─► departure.rs ─► sockets.rs (sendmmsg; raw ESP, AH, UDP 4500;
//!                        └► hold.rs: packets that wait for an SA                     all `own_mark`)
//!  device.rs (TUN) ◄─ opener.rs (engine Inbound) ◄─ intake.rs: by SPI ◄─ inbound.rs ◄─ sockets.rs (recvmmsg)
//!                        └► early.rs: before their SA      └► parcel.rs: to other workers     └► IKE, to the event loop
//! ```
//!
//! **Capture.** A packet is marked after the stack chose its source address (a `route` chain at output) or before it
//! is routed (prerouting, for forwarded packets), and `ip rule` selects our routing table by the mark. So address and
//! port ranges, the order of the SPD, bypass policies and sockets without a bound source address need no
//! approximation by `ip rule` prefixes. Where the host has no route to the remote side of a policy, a rule behind the
//! main table supplies one, so that the stack lets the packet come as far as the capture. Our own packets carry
//! `own_mark`, which capture, guard and that last rule leave alone: they never loop.
//!
//! **Guards.** What a protect policy selects and leaves by another device than ours is dropped and counted; what
//! arrives in clear although a policy wants it protected is dropped and counted, except ESP, AH, IKE and IPv6 neighbour
//! discovery. The guards are kernel state: they hold when the daemon or its device dies. When somebody else removes
//! them, as a reload of the host's firewall does, they are put back at once. A thread of its own does that, and follows the
//! policies (`capture`, ADR 0054).
//!
//! **Size.** The device takes packets of any length, since ESP in transport mode protects whole datagrams; the kernel
//! fragments the ESP packets, and AH packets, whose headers it is given, are cut here. Forwarded packets that must not
//! be fragmented, and TCP segments, meet a route with [`TunConfig::mtu`] and are answered by the stack; TCP handshakes
//! through the device agree on segments that fit. What routers, or the link at hand, say of the path of a tunnel goes to
//! the engine (`path`), which tells the senders of what is too long for it.
//!
//! **Speed.** The device exchanges super-packets with the stack where the kernel can (`offload`): what TCP or UDP
//! sends at once is read at once and cut here, and segments or datagrams that arrive together are merged. ESP in UDP
//! crosses the sockets in trains, which the kernels at both ends carry as one; raw sockets know no such thing, so plain
//! ESP goes in batches. Where a kernel refuses any of this, each packet goes by itself.
//!
//! **Threads.** Each direction has a thread, a process with one processor one for both, and one with more than two a thread
//! for each direction and processor (`worker`). Each has a half of the engine of its own, and an SA is of one of them (`deal`), so
//! a sequence number takes no lock (ADR 0022). The filter sends a packet to the device of the worker that seals for its policy;
//! what arrives is sorted by SPI where it is received (`parcel`). Nothing is queued in between: while a socket has no room, the
//! sealed batch waits in its slots, what comes after it in the device, whose queue is bounded, and requests of the daemon are
//! served all the same. Before a thread sleeps it looks again for a moment, where that brings something (`busy`).
//!
//! **Virtual interfaces.** Each is one more TUN device with a domain of its own in the SPD. Nothing is captured into it:
//! the host's routes lead there, and what comes out of an SA of its policies comes out of it.
//!
//! **Leaving.** Each change to the system is in the [`Store`](ravelin_types::record::Store) before it is made;
//! [`TunDataPlane::stop`] undoes all, and [`undo_leftovers`] does so for a daemon that was killed.
//!
//! # For the daemon
//!
//! ```no_run
//! # use ravelin_tun::*;
//! # use ravelin_types::dataplane::{DataPlane, DataPlaneOp};
//! # fn daemon(store: &mut dyn ravelin_types::record::Store, crypto: ravelin_crypto::CryptoProvider,
//! #     rng: fn() -> Box<dyn ravelin_crypto::SecureRandom>, policies: Vec<DataPlaneOp>) -> Result<(), Box<dyn std::error::Error>> {
//! for line in undo_leftovers(store)? {
//!     eprintln!("{line}");
//! }
//! let mut plane = TunDataPlane::start(TunConfig::default(), crypto, rng, store)?;
//! plane.apply_all(&policies).map_err(|(_, error)| error)?;
//! // poll(2) `plane.ike_fd()` and `plane.event_fd()`; when readable, drain:
//! while let Some(datagram) = plane.poll_ike() { /* Input::Datagram */ }
//! while let Some(settled) = plane.poll_settled() { /* what was begun with `begin` */ }
//! while let Some(event) = plane.poll_event() { /* Input::DataPlane */ }
//! while let Some(spi) = plane.poll_alive() { /* Command::Alive */ }
//! while let Some(way) = plane.poll_closed() { /* Input::Closed */ }
//! // Output::Transmit: plane.send_ike(way, &data); Output::Stream: plane.open_stream(...); Output::Apply: plane.apply(&op)
//! plane.stop(store)?;
//! # Ok(())
//! # }
//! ```
//! Each descriptor is readable until its queues are drained to `None`. Everything is called from a thread in the
//! network namespace in which the data plane was started.

mod busy;
mod capture;
mod config;
mod crew;
mod deal;
mod departure;
mod device;
mod devices;
mod early;
mod error;
mod filter;
mod hold;
mod inbound;
mod intake;
mod journal;
mod keepalive;
mod last_resort;
mod mail;
mod netlink;
mod nft;
mod offload;
mod opener;
mod outbound;
mod parcel;
mod path;
mod plane;
mod shared;
mod slots;
mod sockets;
mod streams;
mod sys;
mod system;
mod wait;
mod watch;
mod worker;

pub use config::{MAX_WORKERS, TunConfig};
pub use error::Error;
pub use journal::undo_leftovers;
pub use plane::{PlaneCounters, TunDataPlane};
