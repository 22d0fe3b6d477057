//! What IKE_INTERMEDIATE exchanges add to AUTH (RFC 9242).
//!
//! ```text
//!   IntAuth_i(n) = prf(SK_pi(n), IntAuth_i(n-1) | A | P)        the same for the responder with SK_pr
//!   A: the message up to the content of SK, with lengths as if P alone followed      P: the content of SK
//!   IntAuth      = IntAuth_iN | IntAuth_rN | message ID of IKE_AUTH
//! ```
//! Both sides see the same A and P whether or not a message went in fragments.
//! Read RFC 9242 §3.1 to §3.3, and §5 (there are never more than were agreed on), before changing this file.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::PrfAlg;
use ravelin_types::Secret;
use ravelin_wire::ike::header::{Header, PayloadType};
use ravelin_wire::ike::v2::{Chain, Notify, NotifyType, Payload, emit_head};

use crate::v2::message::{GENERIC_HEADER_LEN, Payloads};

/// The notify.
pub(crate) fn notify() -> Payload {
    Payload::Notify(Notify::new(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED, Vec::new()))
}

/// Whether the peer of an IKE_SA_INIT message does these exchanges.
pub(crate) fn supported(payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED).is_some()
}

/// What the exchanges of one IKE SA come to so far; empty before the first.
#[derive(Default)]
pub(crate) struct IntAuth {
    initiator: Vec<u8>,
    responder: Vec<u8>,
}

impl IntAuth {
    /// Takes in a message. `head` is it up to the content of SK, `content` what SK holds.
    pub(crate) fn absorb(
        &mut self,
        from_initiator: bool,
        prf: &dyn PrfAlg,
        sk_p: &Secret,
        head: &[u8],
        content: &[u8],
    ) {
        let chunk = if from_initiator { &mut self.initiator } else { &mut self.responder };
        let mut head = head.to_vec();
        adjust(&mut head, content.len());
        let mut next = vec![0; prf.output_len()];
        prf.prf(sk_p.expose(), &[chunk, &head, content], &mut next);
        *chunk = next;
    }

    /// IntAuth, when IKE_AUTH begins with this message ID; nothing where no exchange took place.
    pub(crate) fn octets(&self, auth_id: u32) -> Vec<u8> {
        if self.initiator.is_empty() {
            return Vec::new();
        }
        [&self.initiator[..], &self.responder, &auth_id.to_be_bytes()].concat()
    }
}

/// The head of a message of ours, before it is sealed or cut.
pub(crate) fn head(header: &Header, chain: &Chain) -> Vec<u8> {
    emit_head(header, chain.first(), None, chain.bytes().len())
}

/// The head of a message that came in one piece, or, of one in fragments, of the first of them, as if it had come in
/// one: SKF becomes SK, and the numbers go.
pub(crate) fn received_head(datagram: &[u8], content_at: usize, fragment: bool) -> Vec<u8> {
    let mut head: Vec<u8> = datagram.get(..content_at).unwrap_or(datagram).to_vec();
    if !fragment {
        return head;
    }
    head.truncate(head.len().saturating_sub(4));
    // The byte that names the SKF: in the header, or in the last payload before it.
    let (mut next, mut at) = (16, Header::LEN);
    while head.get(next) != Some(&PayloadType::SKF.0) {
        let Some([high, low]) = head.get(at + 2..at + 4) else { return head };
        next = at;
        at += usize::from(u16::from_be_bytes([*high, *low])).max(GENERIC_HEADER_LEN);
    }
    head[next] = PayloadType::SK.0;
    head
}

/// RFC 9242 §3.3.2: the lengths of message and payload do not count IV, padding and ICV.
fn adjust(head: &mut [u8], content: usize) {
    // Chains are below 2^16, so are their sums with a head.
    let (message, payload) = ((head.len() + content) as u32, (GENERIC_HEADER_LEN + content) as u16);
    head[24..28].copy_from_slice(&message.to_be_bytes());
    let at = head.len() - 2;
    head[at..].copy_from_slice(&payload.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_types::IkeSpi;
    use ravelin_wire::ike::header::{ExchangeType, Flags, Version};
    use ravelin_wire::ike::v2::Fragment;

    #[test]
    fn both_sides_see_one_head() {
        let header = Header {
            initiator_spi: IkeSpi(1),
            responder_spi: IkeSpi(2),
            version: Version::V2,
            exchange: ExchangeType::IKE_INTERMEDIATE,
            flags: Flags::INITIATOR,
            message_id: 1,
        };
        let chain = Chain::new(&[notify()]).unwrap();
        let ours = head(&header, &chain);
        let len = chain.bytes().len();
        for fragment in [None, Fragment::new(1, 3)] {
            let sent = emit_head(&header, chain.first(), fragment, 100);
            let mut seen = received_head(&sent, sent.len(), fragment.is_some());
            adjust(&mut seen, len);
            assert_eq!(seen, ours);
        }
        // Unknown payloads before the SKF of the first fragment.
        let mut sent = emit_head(&header, chain.first(), Fragment::new(1, 3), 100);
        sent.splice(28..28, [53, 0, 0, 6, 1, 2]);
        sent[16] = 200;
        let seen = received_head(&sent, sent.len(), true);
        assert_eq!((seen[16], seen[28], seen.len()), (200, 46, ours.len() + 6));
    }
}
