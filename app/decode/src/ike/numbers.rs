//! What a header says of its message.

use ravelin_types::IkeSpi;

/// The numbers of a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub initiator: IkeSpi,
    pub responder: IkeSpi,
    pub first: u8,
    pub version: u8,
    pub exchange: u8,
    pub flags: u8,
    pub message_id: u32,
}

impl Numbers {
    /// Whether the sender is the original initiator (IKEv2).
    pub fn by_initiator(&self) -> bool {
        self.flags & 0x08 != 0
    }

    /// Whether the payloads are encrypted (IKEv1).
    pub fn encrypted(&self) -> bool {
        self.flags & 0x01 != 0
    }
}
