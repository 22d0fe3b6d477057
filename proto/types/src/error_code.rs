//! The 33 error codes of document 003 §3.15, as the management messages and the C interface carry them.
//!
//! A status on the wire is 0 for success or the number of a code, which is its place in the document's list.

use core::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal => $original:literal, $text:literal;)*) => {
        /// Why a packet or a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The code of this number.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($value => Some(ErrorCode::$name),)* _ => None }
            }

            /// The document's name.
            pub fn original(self) -> &'static str {
                match self { $(ErrorCode::$name => $original,)* }
            }

            /// What it means, in the document's words.
            pub fn text(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }
        }
    };
}

error_codes! {
    /// The ICV of an AH packet does not verify.
    AhDigestMismatch = 1 => "XE_AH_DIGEST_MISMATCH", "AH digest mismatch";
    /// An address range that runs backwards, mixes families, or has a mask with a gap.
    BadAddrRange = 2 => "XE_BAD_ADDR_RANGE", "bad IP address range";
    /// No SA has the SPI of an AH packet, or the SPI is reserved.
    BadAhSpi = 3 => "XE_BAD_AH_SPI", "bad AH SPI";
    /// No SA has the SPI of an ESP packet, or the SPI is reserved.
    BadEspSpi = 4 => "XE_BAD_ESP_SPI", "bad ESP SPI";
    /// An identity of an unknown type.
    BadIdType = 5 => "XE_BAD_ID_TYPE", "bad ID type";
    /// The padding of an authentic ESP packet is not as RFC 4303 §2.4 has it.
    BadPadData = 6 => "XE_BAD_PAD_DATA", "bad pad data";
    /// A parameter that makes no sense, or an unknown message.
    BadParam = 7 => "XE_BAD_PARAM", "bad parameter";
    /// A port range that runs backwards, or a port for a protocol without ports.
    BadPortNumber = 8 => "XE_BAD_PORT_NUMBER", "bad TCP or UDP port number";
    /// Replayed, too old, or no number is left to send with.
    BadSequenceNumber = 9 => "XE_BAD_SEQUENCE_NUMBER", "replay failure: bad AH or ESP sequence number";
    /// The SA is there and cannot be used.
    BadSessErr = 10 => "XE_BAD_SESS_ERR", "bad IPsec session status";
    /// The packet that came out is cut short.
    DstOutOfData = 11 => "XE_DST_OUT_OF_DATA", "ran out of data on destination packet";
    /// No room for what protection adds.
    DstOutOfSpace = 12 => "XE_DST_OUT_OF_SPACE", "ran out of space in destination packet";
    /// The ICV of an ESP packet does not verify.
    EspDigestMismatch = 13 => "XE_ESP_DIGEST_MISMATCH", "ESP digest mismatch";
    /// The same is there already.
    Exist = 14 => "XE_EXIST", "an identical entry already exists";
    /// An SA with AH got a packet without it.
    ExpectedAhProto = 15 => "XE_EXPECTED_AH_PROTO", "expected the next protocol to be AH";
    /// An SA with ESP got a packet without it.
    ExpectedEspProto = 16 => "XE_EXPECTED_ESP_PROTO", "expected the next protocol to be ESP";
    /// A clear packet where a policy asks for protection.
    InboundExpectedSecurePacket = 17
        => "XE_INBOUND_EXPECTED_SECURE_PACKET", "received an unsecured packet when policy specifies secure";
    /// Protected by an SA that may not carry it.
    InboundPolicyFailure = 18 => "XE_INBOUND_POLICY_FAILURE", "inbound policy mismatch";
    /// Protected, where a policy wants it in the clear or not at all.
    InboundUnexpectedSecuredPacket = 19
        => "XE_INBOUND_UNEXPECTED_SECURED_PACKET", "received a secured packet when policy specifies drop or bypass";
    /// The packet waits for an SA.
    KeynegInprogress = 20 => "XE_KEYNEG_INPROGRESS", "key negotiation is in progress";
    /// Larger than the path takes.
    MtuExceeded = 21 => "XE_MTU_EXCEEDED", "packet larger than MTU";
    /// The system has no more to give.
    Nomem = 22 => "XE_NOMEM", "out of memory";
    /// Too short to be what it says.
    NoData = 23 => "XE_NO_DATA", "not enough data";
    /// No packet is left in the pool.
    OutOfPackets = 24 => "XE_OUT_OF_PACKETS", "unable to allocate a packet";
    /// The SPD is full.
    OutOfPolicies = 25 => "XE_OUT_OF_POLICIES", "unable to allocate a policy";
    /// Too many requests are open.
    OutOfReqs = 26 => "XE_OUT_OF_REQS", "unable to allocate a request";
    /// The SAD is full.
    OutOfSessions = 27 => "XE_OUT_OF_SESSIONS", "unable to allocate a session";
    /// No such policy, or none matches.
    PolicyNotFound = 28 => "XE_POLICY_NOT_FOUND", "policy not found";
    /// No such SA.
    SaNotFound = 29 => "XE_SA_NOT_FOUND", "security association not found";
    /// The SA cannot send dummy packets.
    SessUnavlForDummyTx = 30
        => "XE_SESS_UNAVL_FOR_DUMMY_TX", "secure session can't be used to transmit a dummy packet";
    /// The packet that came in is cut short.
    SrcOutOfData = 31 => "XE_SRC_OUT_OF_DATA", "ran out of data on source packet";
    /// An algorithm that is not there.
    UnknownAlgorithm = 32 => "XE_UNKNOWN_ALGORITHM", "unknown algorithm";
    /// A protocol that cannot be here.
    UnknownIpProtocol = 33 => "XE_UNKNOWN_IP_PROTOCOL", "unknown IP protocol";
}

impl ErrorCode {
    /// The number on the wire, never 0.
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.original())
    }
}

impl core::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    // Document 003 §3.15: 33 codes.
    #[test]
    fn every_code_survives_its_number() {
        assert_eq!(ErrorCode::ALL.len(), 33);
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert!(code.original().starts_with("XE_"));
        }
        assert_eq!((ErrorCode::from_number(0), ErrorCode::from_number(34)), (None, None));
    }
}
