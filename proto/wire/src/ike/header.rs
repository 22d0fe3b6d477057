//! The 28-byte header of every IKE message (RFC 7296 §3.1; RFC 2408 §3.1 has the same layout).
//!
//! ```text
//!  initiator SPI (8) | responder SPI (8) | first payload (1) | version (1) | exchange (1) | flags (1)
//!  | message ID (4) | length (4)
//! ```

use alloc::vec::Vec;
use core::fmt;

use ravelin_types::{IkeSpi, ids};

use super::error::Malformed;
use super::reader::Reader;

ids! {
    /// Exchange type. The two versions share one number space.
    ExchangeType(u8) {
        IDENTITY_PROTECTION = 2 => "Identity Protection",
        AUTHENTICATION_ONLY = 3 => "Authentication Only",
        AGGRESSIVE = 4 => "Aggressive",
        INFORMATIONAL_V1 = 5 => "Informational (IKEv1)",
        TRANSACTION = 6 => "Transaction",
        QUICK_MODE = 32 => "Quick Mode",
        NEW_GROUP_MODE = 33 => "New Group Mode",
        IKE_SA_INIT = 34 => "IKE_SA_INIT",
        IKE_AUTH = 35 => "IKE_AUTH",
        CREATE_CHILD_SA = 36 => "CREATE_CHILD_SA",
        INFORMATIONAL = 37 => "INFORMATIONAL",
        IKE_SESSION_RESUME = 38 => "IKE_SESSION_RESUME",
        GSA_AUTH = 39 => "GSA_AUTH",
        GSA_REGISTRATION = 40 => "GSA_REGISTRATION",
        GSA_REKEY = 41 => "GSA_REKEY",
        IKE_INTERMEDIATE = 43 => "IKE_INTERMEDIATE",
        IKE_FOLLOWUP_KE = 44 => "IKE_FOLLOWUP_KE",
    }
}

ids! {
    /// Payload type of IKEv2 (RFC 7296 §3.2), and with `V1_` of IKEv1 (RFC 2408 §3.1). IKEv1 uses 1 to 32 and private
    /// numbers, so the two do not collide.
    PayloadType(u8) {
        NONE = 0 => "no",
        V1_SA = 1 => "SA",
        V1_PROPOSAL = 2 => "P",
        V1_TRANSFORM = 3 => "T",
        V1_KE = 4 => "KE",
        V1_ID = 5 => "ID",
        V1_CERT = 6 => "CERT",
        V1_CERTREQ = 7 => "CR",
        V1_HASH = 8 => "HASH",
        V1_SIG = 9 => "SIG",
        V1_NONCE = 10 => "NONCE",
        V1_NOTIFY = 11 => "N",
        V1_DELETE = 12 => "D",
        V1_VENDOR = 13 => "VID",
        V1_CFG = 14 => "ATTR",
        V1_NAT_D = 20 => "NAT-D",
        V1_NAT_OA = 21 => "NAT-OA",
        SA = 33 => "SA",
        KE = 34 => "KE",
        IDI = 35 => "IDi",
        IDR = 36 => "IDr",
        CERT = 37 => "CERT",
        CERTREQ = 38 => "CERTREQ",
        AUTH = 39 => "AUTH",
        NONCE = 40 => "Nonce",
        NOTIFY = 41 => "N",
        DELETE = 42 => "D",
        VENDOR = 43 => "V",
        TSI = 44 => "TSi",
        TSR = 45 => "TSr",
        SK = 46 => "SK",
        CP = 47 => "CP",
        EAP = 48 => "EAP",
        GSPM = 49 => "GSPM",
        IDG = 50 => "IDg",
        GSA = 51 => "GSA",
        KD = 52 => "KD",
        SKF = 53 => "SKF",
        PS = 54 => "PS",
        V1_NAT_D_DRAFT = 130 => "NAT-D (draft)",
        V1_NAT_OA_DRAFT = 131 => "NAT-OA (draft)",
        V1_FRAGMENT = 132 => "FRAG",
    }
}

/// Protocol version: major in the high four bits, minor in the low four.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u8);

impl Version {
    /// IKEv1, `1.0`.
    pub const V1: Version = Version(0x10);
    /// IKEv2, `2.0`.
    pub const V2: Version = Version(0x20);

    /// The part that changes the meaning of everything else.
    pub fn major(self) -> u8 {
        self.0 >> 4
    }

    /// The part that a receiver ignores (RFC 7296 §2.5).
    pub fn minor(self) -> u8 {
        self.0 & 0x0f
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

/// Flags of the header, as received; bits without a meaning are ignored (RFC 7296 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag: a request from the original responder.
    pub const NONE: Flags = Flags(0);
    /// E of IKEv1: everything after the header is encrypted (RFC 2408 §3.1).
    pub const V1_ENCRYPTED: Flags = Flags(0x01);
    /// C of IKEv1: wait for a CONNECTED notify (RFC 2408 §3.1).
    pub const V1_COMMIT: Flags = Flags(0x02);
    /// A of IKEv1: authenticated, not encrypted (RFC 2408 §3.1).
    pub const V1_AUTHENTICATED: Flags = Flags(0x04);
    /// I: sent by the original initiator of the IKE SA.
    pub const INITIATOR: Flags = Flags(0x08);
    /// V: the sender speaks a higher major version than the message's.
    pub const HIGHER_VERSION: Flags = Flags(0x10);
    /// R: a response to the request with the same message ID.
    pub const RESPONSE: Flags = Flags(0x20);

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }

    /// I: sent by the original initiator.
    pub const fn is_initiator(self) -> bool {
        self.contains(Flags::INITIATOR)
    }

    /// R: a response.
    pub const fn is_response(self) -> bool {
        self.contains(Flags::RESPONSE)
    }
}

/// The header without what follows from the rest of the message (first payload and length).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the original initiator, never zero in a valid message (RFC 7296 §3.1 lets the caller judge).
    pub initiator_spi: IkeSpi,
    /// Chosen by the original responder; zero in the first request.
    pub responder_spi: IkeSpi,
    /// Version of the message.
    pub version: Version,
    /// Exchange.
    pub exchange: ExchangeType,
    /// Flags.
    pub flags: Flags,
    /// Message ID.
    pub message_id: u32,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 28;

    /// Reads the header of a datagram (after a non-ESP marker) of any version, and the type of the first payload.
    ///
    /// # Errors
    /// When the datagram is shorter than a header, or the length field is not the datagram's length.
    pub fn parse(datagram: &[u8]) -> Result<(Header, PayloadType), Malformed> {
        let mut r = Reader::new(datagram, 0, PayloadType::NONE);
        let initiator_spi = IkeSpi(r.u64()?);
        let responder_spi = IkeSpi(r.u64()?);
        let first = PayloadType(r.u8()?);
        let version = Version(r.u8()?);
        let exchange = ExchangeType(r.u8()?);
        let flags = Flags(r.u8()?);
        let message_id = r.u32()?;
        let at_length = r.clone();
        if usize::try_from(r.u32()?) != Ok(datagram.len()) {
            return Err(at_length.malformed("length is not that of the datagram"));
        }
        Ok((Header { initiator_spi, responder_spi, version, exchange, flags, message_id }, first))
    }

    /// Writes the header of a message of `length` bytes in all.
    pub(crate) fn emit(&self, first: PayloadType, length: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.initiator_spi.0.to_be_bytes());
        out.extend_from_slice(&self.responder_spi.0.to_be_bytes());
        out.extend_from_slice(&[first.0, self.version.0, self.exchange.0, self.flags.0]);
        out.extend_from_slice(&self.message_id.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
    }
}
