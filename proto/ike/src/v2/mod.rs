//! IKEv2: one IKE SA is an enum of phases, each a struct with exactly the data that is valid in it.
//!
//! ```text
//!   initiator   InitRequested ──► IntermediateRequested ──► AuthRequested ─┐
//!                 IKE_SA_INIT       IKE_INTERMEDIATE          IKE_AUTH      ├──► Established ──► gone
//!   responder   InitAnswered ──────────────────────────────────────────────┘      exchange/: CREATE_CHILD_SA, INFORMATIONAL
//! ```
//! [`phase`] holds the four, `exchange` what happens inside the last, `feature` what notifies switch on.
//! `receive` takes datagrams, `rules` says which payloads where, `window` counts messages, `message` seals and opens them,
//! `keying` is what one IKE SA hands to the next, `offer` and `answer` hold the payloads of `crate::child`'s negotiation.

pub(crate) mod answer;
pub(crate) mod exchange;
pub(crate) mod feature;
pub(crate) mod keying;
pub(crate) mod message;
pub(crate) mod offer;
pub(crate) mod phase;
pub(crate) mod receive;
pub(crate) mod rules;
pub(crate) mod window;

use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};

use crate::ike_sa::Ends;

impl Ends {
    /// The header of our next message.
    pub(crate) fn header(&self, exchange: ExchangeType, response: bool, message_id: u32) -> Header {
        let role = if self.initiator { Flags::INITIATOR } else { Flags::NONE };
        let flags = if response { role.with(Flags::RESPONSE) } else { role };
        Header {
            initiator_spi: self.spi_i,
            responder_spi: self.spi_r,
            version: Version::V2,
            exchange,
            flags,
            message_id,
        }
    }
}
