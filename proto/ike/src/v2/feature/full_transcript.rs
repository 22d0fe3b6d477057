//! AUTH about both messages of IKE_SA_INIT in the place of the prover's own, so that nobody between the two can show each side
//! another exchange (draft-ietf-ipsecme-ikev2-downgrade-prevention-08).
//!
//! ```text
//!   HDR, SAi1, KEi, Ni, N(IKE_SA_INIT_FULL_TRANSCRIPT_AUTH)  -->
//!                             <--  HDR, SAr1, KEr, Nr, N(IKE_SA_INIT_FULL_TRANSCRIPT_AUTH)
//!
//!   InitiatorSignedOctets = eight octets of zero | RealMessage2 | RealMessage1 | NonceRData | MACedIDForI | IntAuth
//!   ResponderSignedOctets = eight octets of zero | RealMessage1 | RealMessage2 | NonceIData | MACedIDForR | IntAuth
//! ```
//! With RFC 7296 alone, whoever has the key of one side and can undo a weak key exchange takes the strong ones out of the request:
//! the other side proves its answer, and that is what was seen. Each side says the notify whether or not the other does. If the
//! responder said it only to who said it, taking it out of the request would take it out of both.
//! The two messages are the last ones, with what COOKIE and INVALID_KE_PAYLOAD had changed. An IKE SA that is resumed does what the
//! first one did, with the two of IKE_SESSION_RESUME, where nothing is negotiated.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::config::Remote;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::extensions::FullTranscript;
use crate::v2::message::Payloads;

fn does(remote: &Remote) -> bool {
    remote.extensions.full_transcript != FullTranscript::Never
}

/// `N(IKE_SA_INIT_FULL_TRANSCRIPT_AUTH)`, if one of the remotes that the peer may be does it.
pub(crate) fn notify<'a>(mut remotes: impl Iterator<Item = &'a Remote>) -> Option<Payload> {
    let notify = || Notify::new(NotifyType::IKE_SA_INIT_FULL_TRANSCRIPT_AUTH, Vec::new());
    remotes.any(does).then(|| Payload::Notify(notify()))
}

/// Whether both sides have said it.
pub(crate) fn agreed<'a>(mut remotes: impl Iterator<Item = &'a Remote>, payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::IKE_SA_INIT_FULL_TRANSCRIPT_AUTH).is_some() && remotes.any(does)
}

/// Whether the remote has an IKE SA as it was agreed on.
pub(crate) fn admit(remote: &Remote, agreed: bool) -> Result<(), Error> {
    if agreed || remote.extensions.full_transcript != FullTranscript::Require {
        return Ok(());
    }
    let theirs = vec!["no IKE_SA_INIT_FULL_TRANSCRIPT_AUTH".into()];
    let ours = vec!["AUTH about both messages of IKE_SA_INIT is required".into()];
    Err(Error::Authentication(Disagreement::new(Part::Transcript, theirs, ours)))
}
