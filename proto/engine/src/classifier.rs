//! Who finds the policy of a packet: tables in memory (ADR 0009), or what an embedder has for it, a TCAM or a network
//! processor (S-010).
//!
//! ```text
//!  packet ──► flow cache ──► known decision
//!                │ unknown
//!                └─► classifier ──► number of the policy ──► what that says
//! ```
//! A classifier is asked for the first packet of a flow alone; what it said is kept until a policy or an SA changes. So
//! one more step to it costs nothing for each packet, and there is none to the tables.

use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::policy::{Policy, PolicyId};

pub use crate::spd::Seen;

/// What a classifier finds for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The first policy that selects it.
    Policy(PolicyId),
    /// The packet hides whether a policy that protects or discards selects it: it is dropped.
    Hidden,
    /// No policy selects it.
    Nothing,
}

/// Finds the first policy, by priority and then by number, that selects a packet. Each half of an engine has one.
///
/// Which one that is, is RFC 4301's to say: a selector of each side must have the packet's address, protocol and port of that
/// side; of a protocol with one field instead of ports only the source's side is asked (§4.4.1.1), and only policies of the
/// packet's domain are. For a packet that hides its ports (§7) those policies count whose ports are ANY or OPAQUE. A policy
/// on ports before the first of them, which protects or discards, might be meant: then the packet is [`Found::Hidden`],
/// unless a policy on OPAQUE ports has it. One before it that lets pass is passed over.
pub trait Classifier: Send {
    /// Takes in a policy about packets of this half's direction, in place of the one with the same number.
    ///
    /// # Errors
    /// When it cannot: [`DataPlaneError::Full`] where there is no room. Nothing has changed then.
    fn add(&mut self, policy: &Policy) -> Result<(), DataPlaneError>;

    /// Forgets the policy.
    fn delete(&mut self, id: PolicyId);

    /// Which policy a packet falls under. Called for packets: it neither allocates nor waits.
    fn find(&self, seen: &Seen) -> Found;
}
