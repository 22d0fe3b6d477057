//! The numbers that functions return.

use std::ffi::{CStr, c_char};

use ravelin_types::ErrorCode;
use ravelin_types::dataplane::DataPlaneError;

/// What became of a call: 0, or why nothing was done. 1 to 33 are the error codes of the toolkit's document in the order of
/// its list; a packet's reason is one of them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum RvlStatus {
    /// Done.
    Ok = 0,
    /// The ICV of an AH packet does not verify.
    AhDigestMismatch = 1,
    /// No address, an address range that runs backwards, or has a mask with a gap; a policy of two address families.
    BadAddrRange = 2,
    /// No SA has the SPI of an AH packet, or the SPI is reserved.
    BadAhSpi = 3,
    /// No SA has the SPI of an ESP packet, or the SPI is reserved.
    BadEspSpi = 4,
    /// An identity of an unknown type.
    BadIdType = 5,
    /// The padding of an authentic ESP packet is wrong.
    BadPadData = 6,
    /// A parameter that makes no sense.
    BadParam = 7,
    /// A port that is no number of 16 bits, a port range that runs backwards, or a port for a protocol without ports.
    BadPortNumber = 8,
    /// Replayed, too old, or no number is left to send with.
    BadSequenceNumber = 9,
    /// The SA is there and cannot be used.
    BadSessErr = 10,
    /// The packet that came out is cut short.
    DstOutOfData = 11,
    /// No room for what protection adds.
    DstOutOfSpace = 12,
    /// The ICV of an ESP packet does not verify.
    EspDigestMismatch = 13,
    /// The same is there already.
    Exist = 14,
    /// An SA with AH got a packet without it.
    ExpectedAhProto = 15,
    /// An SA with ESP got a packet without it.
    ExpectedEspProto = 16,
    /// A clear packet where a policy asks for protection.
    InboundExpectedSecurePacket = 17,
    /// Protected by an SA that may not carry it.
    InboundPolicyFailure = 18,
    /// Protected, where a policy wants it in the clear or not at all.
    InboundUnexpectedSecuredPacket = 19,
    /// The packet waits for an SA.
    KeynegInprogress = 20,
    /// Larger than the path takes.
    MtuExceeded = 21,
    /// The system has no more to give.
    Nomem = 22,
    /// Too short to be what it says.
    NoData = 23,
    /// No packet is left in the pool.
    OutOfPackets = 24,
    /// The SPD is full.
    OutOfPolicies = 25,
    /// Too many requests are open.
    OutOfReqs = 26,
    /// The SAD is full.
    OutOfSessions = 27,
    /// No such policy, or none matches.
    PolicyNotFound = 28,
    /// No such SA.
    SaNotFound = 29,
    /// The SA cannot send dummy packets.
    SessUnavlForDummyTx = 30,
    /// The packet that came in is cut short.
    SrcOutOfData = 31,
    /// An algorithm that is not there, or a key of a length that it does not take.
    UnknownAlgorithm = 32,
    /// A protocol that cannot be here.
    UnknownIpProtocol = 33,
    /// A pointer is null that must not be.
    Null = 64,
    /// A pointer is not aligned for what it points to, or a length is beyond any memory.
    BadPointer = 65,
    /// The handle was never given out, is of another kind, or was freed.
    BadHandle = 66,
    /// Called from a callback of another call.
    Reentered = 67,
    /// No handle is left.
    OutOfHandles = 68,
    /// Nothing to report.
    Empty = 69,
    /// The buffer of the caller is too small; nothing was taken off the queue.
    TooSmall = 70,
    /// A fault of this library. The handle is of no use any more but to be freed.
    Internal = 71,
}

/// Every status that is not a code of the document, with its text.
const OWN: &[(RvlStatus, &CStr)] = &[
    (RvlStatus::Ok, c"done"),
    (RvlStatus::Null, c"a pointer is null"),
    (RvlStatus::BadPointer, c"a pointer is not aligned or a length is impossible"),
    (RvlStatus::BadHandle, c"the handle is not a live one of this kind"),
    (RvlStatus::Reentered, c"called from within a callback"),
    (RvlStatus::OutOfHandles, c"no handle is left"),
    (RvlStatus::Empty, c"nothing to report"),
    (RvlStatus::TooSmall, c"the buffer is too small"),
    (RvlStatus::Internal, c"internal fault"),
];

/// The codes of the document in their order, with their texts.
const CODES: &[(RvlStatus, &CStr)] = &[
    (RvlStatus::AhDigestMismatch, c"AH digest mismatch"),
    (RvlStatus::BadAddrRange, c"bad IP address range"),
    (RvlStatus::BadAhSpi, c"bad AH SPI"),
    (RvlStatus::BadEspSpi, c"bad ESP SPI"),
    (RvlStatus::BadIdType, c"bad ID type"),
    (RvlStatus::BadPadData, c"bad pad data"),
    (RvlStatus::BadParam, c"bad parameter"),
    (RvlStatus::BadPortNumber, c"bad TCP or UDP port number"),
    (RvlStatus::BadSequenceNumber, c"replay failure: bad AH or ESP sequence number"),
    (RvlStatus::BadSessErr, c"bad IPsec session status"),
    (RvlStatus::DstOutOfData, c"ran out of data on destination packet"),
    (RvlStatus::DstOutOfSpace, c"ran out of space in destination packet"),
    (RvlStatus::EspDigestMismatch, c"ESP digest mismatch"),
    (RvlStatus::Exist, c"an identical entry already exists"),
    (RvlStatus::ExpectedAhProto, c"expected the next protocol to be AH"),
    (RvlStatus::ExpectedEspProto, c"expected the next protocol to be ESP"),
    (RvlStatus::InboundExpectedSecurePacket, c"received an unsecured packet when policy specifies secure"),
    (RvlStatus::InboundPolicyFailure, c"inbound policy mismatch"),
    (RvlStatus::InboundUnexpectedSecuredPacket, c"received a secured packet when policy specifies drop or bypass"),
    (RvlStatus::KeynegInprogress, c"key negotiation is in progress"),
    (RvlStatus::MtuExceeded, c"packet larger than MTU"),
    (RvlStatus::Nomem, c"out of memory"),
    (RvlStatus::NoData, c"not enough data"),
    (RvlStatus::OutOfPackets, c"unable to allocate a packet"),
    (RvlStatus::OutOfPolicies, c"unable to allocate a policy"),
    (RvlStatus::OutOfReqs, c"unable to allocate a request"),
    (RvlStatus::OutOfSessions, c"unable to allocate a session"),
    (RvlStatus::PolicyNotFound, c"policy not found"),
    (RvlStatus::SaNotFound, c"security association not found"),
    (RvlStatus::SessUnavlForDummyTx, c"secure session can't be used to transmit a dummy packet"),
    (RvlStatus::SrcOutOfData, c"ran out of data on source packet"),
    (RvlStatus::UnknownAlgorithm, c"unknown algorithm"),
    (RvlStatus::UnknownIpProtocol, c"unknown IP protocol"),
];

/// The status in words, in a string that lives forever; for numbers that are none too.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_status_text(status: i32) -> *const c_char {
    let known = OWN.iter().chain(CODES).find(|(known, _)| *known as i32 == status);
    known.map_or(c"not a status", |(_, text)| text).as_ptr()
}

impl From<ErrorCode> for RvlStatus {
    fn from(code: ErrorCode) -> Self {
        CODES.get(usize::from(code.number()) - 1).map_or(RvlStatus::Internal, |(status, _)| *status)
    }
}

impl From<DataPlaneError> for RvlStatus {
    fn from(error: DataPlaneError) -> Self {
        error.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_the_document_keep_number_and_text() {
        for code in ErrorCode::ALL {
            let status = RvlStatus::from(*code);
            assert_eq!(status as i32, i32::from(code.number()));
            let text = CODES.iter().find(|(known, _)| *known == status).unwrap().1;
            assert_eq!(text.to_str(), Ok(code.text()));
        }
        assert_eq!(CODES.len(), ErrorCode::ALL.len());
    }
}
