//! The kernel's own IPsec, XFRM, as a data plane: policies and states over netlink. It never negotiates anything, never
//! decides policy, never touches an entry that it has not made, and never sees a packet.
//!
//! Read [`plane`](XfrmDataPlane) first; below it:
//!
//! ```text
//!  DataPlaneOp ─► book.rs: what should be ─► policies.rs, additions.rs: as the kernel's entries ─► msg/ ─► netlink.rs
//!    device.rs: by a device? └► reconcile.rs: what is, and what is to be done about it; losses.rs: the same of SAs
//!  DataPlaneEvent ◄─ watch.rs ◄─ netlink.rs: acquire, expire, mapping   ◄─ a look at the SAs each second: alive, idle
//!  probe.rs: what the running kernel has      sockets.rs: IKE      links.rs: virtual interfaces
//! ```
//!
//! **Policies** become entries for each pair of prefixes, way and direction, and follow the SAs: the kernel wants to know
//! with a policy what is only agreed with its first SA. Before that they let nothing through in the clear.
//!
//! **Leaving.** The entries hold when the daemon is killed, and its SAs go on. The next one finds them by their mark
//! (`own`), takes up those that it was told to have, too, and removes the others.
//!
//! Everything is called from a thread in the network namespace in which the data plane was started.

mod additions;
mod algorithms;
mod book;
mod config;
mod device;
mod error;
mod links;
mod losses;
pub mod msg;
pub mod netlink;
mod notes;
mod offload;
mod own;
mod plane;
mod policies;
mod probe;
mod reconcile;
mod selectors;
mod sockets;
mod states;
mod sys;
mod text;
mod watch;

pub use config::XfrmConfig;
pub use error::Error;
pub use own::reqid;
pub use plane::XfrmDataPlane;
pub use probe::{Capabilities, probe};
pub use reconcile::remove_leftovers;
