//! IKE messages on their way from the sockets of a data plane to the daemon, the same for every data plane. What asks for an IKE SA
//! waits by itself, behind what may belong to one (`queue`). This crate opens no socket, reads no message and knows no peer.
//!
//! [`Wake`] is how threads tell each other that there is something to do.
#![forbid(unsafe_code)]

mod queue;
mod wake;

pub use queue::{IkeDatagram, IkeReceiver, IkeSender, Progress, ike_queue};
pub use wake::Wake;
