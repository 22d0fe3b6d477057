//! Hardware that protects and opens whole packets.
//!
//! The engine stays the one that decides: it finds policy and SA, gives out sequence numbers, keeps the anti-replay window
//! and checks what came out against the selectors. So any packet can go back to software at any time, and none is sent
//! with a number that was used before. Hardware that only encrypts is a crypto provider
//! ([`CryptoProvider`](ravelin_crypto::CryptoProvider)) instead.

use core::ops::Range;

use ravelin_types::sa::{SaId, SaParams};

use crate::requests::Ticket;
use crate::verdict::DropReason;

/// One packet for an [`Accelerator`].
#[derive(Debug)]
pub struct Job<S, B> {
    /// The SA, which the accelerator took over; its direction says what is to be done.
    pub sa: SaId,
    /// Outbound: the number that the packet gets (RFC 4303 §2.2), and the IV of counter-mode ciphers. Inbound: the whole
    /// number of which the packet may carry half; an ICV over another one does not verify.
    pub sequence: u64,
    /// The packet as it came.
    pub source: S,
    /// Where the result goes. The packet stands there already, at `packet`, with room at both ends.
    pub result: B,
    /// Outbound: the whole IP packet that is to be protected. Inbound: the whole IP packet that arrived.
    pub packet: Range<usize>,
    /// Where ESP begins in an inbound packet, counted from the packet's start; 0 in an outbound one.
    pub esp_at: usize,
    pub(crate) ticket: Ticket,
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The hardware did not do it; software will, from the source.
    Failed,
    /// The packet is bad, and dropped.
    Bad(DropReason),
}

/// Where in its `result` the packet of a finished job stands, or why it does not.
pub type Outcome = Result<Range<usize>, Fault>;

/// Hardware, or whatever does its work, that takes over the packets of SAs whole: headers, padding, cipher, ICV. In
/// tunnel mode the inner packet is delivered with the ECN field that RFC 6040 asks for.
pub trait Accelerator<S, B> {
    /// Takes over the packets of an ESP SA, or leaves them to software. Asked for SAs alone whose packets are protected
    /// and opened and not changed otherwise; those that may be too long for their path are not submitted.
    fn add(&mut self, params: &SaParams) -> bool;

    /// The SA is no longer its work. Jobs of it may still finish.
    fn delete(&mut self, id: SaId);

    /// Begins with a job. A job comes back when there is no room for it now; software does it.
    fn submit(&mut self, job: Job<S, B>) -> Option<Job<S, B>>;

    /// A job that is finished, in whichever order. The packet is there with all of its headers: outbound the protected one,
    /// inbound the clear one.
    fn poll(&mut self) -> Option<(Job<S, B>, Outcome)>;
}

/// Takes over no SA: everything is done in software, at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Software;

impl<S, B> Accelerator<S, B> for Software {
    fn add(&mut self, _: &SaParams) -> bool {
        false
    }

    fn delete(&mut self, _: SaId) {}

    fn submit(&mut self, job: Job<S, B>) -> Option<Job<S, B>> {
        Some(job)
    }

    fn poll(&mut self) -> Option<(Job<S, B>, Outcome)> {
        None
    }
}
