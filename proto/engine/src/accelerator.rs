//! Hardware that does the work of packets, all of it or the cipher alone, and is done with them later.
//!
//! ```text
//!  Share::Whole    decide, number ──► hardware: headers, padding, cipher ··· done ──► window, selectors
//!  Share::Cipher   decide, number, headers, padding ──► hardware: cipher, ICV ··· done ──► window, padding, headers, selectors
//! ```
//! The engine stays the one that decides: it finds policy and SA, gives out sequence numbers, keeps the anti-replay window
//! and checks what came out against the selectors. So any packet can go back to software at any time, and none is sent
//! with a number that was used before. A cipher that is done when its call returns is a crypto provider
//! ([`CryptoProvider`](ravelin_crypto::CryptoProvider)) instead.

use core::ops::Range;

use ravelin_types::sa::{SaId, SaParams};

use crate::requests::Ticket;
use crate::verdict::DropReason;

/// What of the packets of an SA is the hardware's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Nothing.
    #[default]
    Nothing,
    /// To encrypt and authenticate ESP packets that are ready for it, or to verify and decrypt them.
    Cipher,
    /// Whole packets: headers, padding, cipher, ICV. In tunnel mode the inner packet is delivered with the ECN field that
    /// RFC 6040 asks for.
    Whole,
}

/// One packet for an [`Accelerator`].
#[derive(Debug)]
pub struct Job<S, B> {
    /// The SA of which the accelerator took a share; its direction says what is to be done.
    pub sa: SaId,
    /// What of it is to be done.
    pub share: Share,
    /// Outbound: the number that the packet gets (RFC 4303 §2.2), and the IV of counter-mode ciphers. Inbound: the whole
    /// number of which the packet may carry half; an ICV over another one does not verify.
    pub sequence: u64,
    /// The packet as it came.
    pub source: S,
    /// Where the result goes. The packet stands there already, at `packet`, with room at both ends.
    pub result: B,
    /// Outbound: the whole IP packet that is to be protected. Inbound: the whole IP packet that arrived. Of a cipher's work,
    /// outbound, the packet as it will be sent: its IV is in place, text and trailer are in the clear, and the ICV, at its
    /// end, is to be written.
    pub packet: Range<usize>,
    /// Where ESP begins in the packet, counted from the packet's start; 0 in one that is to be protected whole. It goes to
    /// the packet's end.
    pub esp_at: usize,
    pub(crate) ticket: Ticket,
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The hardware did not do it; software will, from the source.
    Failed,
    /// The packet is bad, and dropped. To the cipher alone a packet is bad for one reason: it does not verify.
    Bad(DropReason),
}

/// Where in its `result` the packet of a finished job stands, or why it does not. A cipher leaves it where it was.
pub type Outcome = Result<Range<usize>, Fault>;

/// Hardware, or whatever does its work. What [`Accelerator::poll`] gives back goes on through the engine: the cipher is done,
/// and the checks behind it follow.
pub trait Accelerator<S, B> {
    /// Takes a share of the packets of an ESP SA, at most `most`, or leaves them to software. Packets that are changed
    /// otherwise than to be protected and opened are not given away whole, nor are those that may be too long for their
    /// path.
    fn add(&mut self, params: &SaParams, most: Share) -> Share;

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
    fn add(&mut self, _: &SaParams, _: Share) -> Share {
        Share::Nothing
    }

    fn delete(&mut self, _: SaId) {}

    fn submit(&mut self, job: Job<S, B>) -> Option<Job<S, B>> {
        Some(job)
    }

    fn poll(&mut self) -> Option<(Job<S, B>, Outcome)> {
        None
    }
}
