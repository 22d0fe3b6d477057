//! Offers of algorithms, and what was agreed.

use alloc::vec::Vec;
use core::fmt;

use crate::ids;
use crate::spi::Spi;
use crate::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, Transform};

ids! {
    /// Protocol ID of a proposal, notify or delete (RFC 7296 §3.3.1).
    ProtocolId(u8) {
        NONE = 0 => "none",
        IKE = 1 => "IKE",
        AH = 2 => "AH",
        ESP = 3 => "ESP",
    }
}

/// One combination on offer: any one transform of each type that it lists (RFC 7296 §3.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposal {
    /// What the SA is for.
    pub protocol: ProtocolId,
    /// In the sender's order of preference within each type.
    pub transforms: Vec<Transform>,
}

impl AsRef<Proposal> for Proposal {
    fn as_ref(&self) -> &Proposal {
        self
    }
}

impl fmt::Display for Proposal {
    /// `ESP: AES128-GCM, CURVE25519, NO-ESN`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.protocol)?;
        for (i, transform) in self.transforms.iter().enumerate() {
            write!(f, "{} {transform}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The algorithms of an IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeSuite {
    /// Encryption of the SK payload.
    pub encr: EncrId,
    /// Key length in bits (without a salt).
    pub encr_key_bits: u16,
    /// Integrity; `NONE` with an AEAD cipher.
    pub integ: IntegId,
    /// Pseudorandom function.
    pub prf: PrfId,
    /// Key exchange method.
    pub ke: KeMethod,
}

/// The algorithms of an ESP SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EspSuite {
    /// Encryption.
    pub encr: EncrId,
    /// Key length in bits (without a salt).
    pub encr_key_bits: u16,
    /// Integrity; `NONE` with an AEAD cipher.
    pub integ: IntegId,
    /// 32-bit or extended sequence numbers.
    pub sn: SnId,
}

/// The algorithms of an AH SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AhSuite {
    /// Integrity; says the length of the key too.
    pub integ: IntegId,
    /// 32-bit or extended sequence numbers.
    pub sn: SnId,
}

/// The protocols of an SA, each with its algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// ESP (RFC 4303).
    Esp(EspSuite),
    /// AH (RFC 4302).
    Ah(AhSuite),
    /// Both as one: AH around ESP. The SA's own SPI is that of ESP, and both have the same kind of sequence numbers.
    AhEsp {
        /// Of the outer protocol.
        ah: AhSuite,
        /// The label in the AH header; inbound it is the SPI of ESP.
        ah_spi: Spi,
        /// Of the inner protocol.
        esp: EspSuite,
    },
}

impl Suite {
    /// The algorithms of ESP, where the SA has it.
    pub fn esp(&self) -> Option<&EspSuite> {
        match self {
            Suite::Esp(esp) | Suite::AhEsp { esp, .. } => Some(esp),
            Suite::Ah(_) => None,
        }
    }

    /// The algorithms of AH, where the SA has it.
    pub fn ah(&self) -> Option<&AhSuite> {
        match self {
            Suite::Ah(ah) | Suite::AhEsp { ah, .. } => Some(ah),
            Suite::Esp(_) => None,
        }
    }

    /// The protocol of the SA's own SPI: ESP or AH.
    pub fn protocol(&self) -> ProtocolId {
        match self {
            Suite::Esp(_) | Suite::AhEsp { .. } => ProtocolId::ESP,
            Suite::Ah(_) => ProtocolId::AH,
        }
    }

    /// The same where `spi` is the label in the AH header beside ESP.
    #[must_use]
    pub fn labelled(self, spi: Spi) -> Self {
        match self {
            Suite::AhEsp { ah, esp, .. } => Suite::AhEsp { ah, ah_spi: spi, esp },
            alone => alone,
        }
    }

    /// 32-bit or extended sequence numbers; with AH and ESP those of the outer protocol.
    pub fn sn(&self) -> SnId {
        match self {
            Suite::Esp(esp) => esp.sn,
            Suite::Ah(ah) | Suite::AhEsp { ah, .. } => ah.sn,
        }
    }
}

impl From<EspSuite> for Suite {
    fn from(esp: EspSuite) -> Self {
        Suite::Esp(esp)
    }
}

impl From<AhSuite> for Suite {
    fn from(ah: AhSuite) -> Self {
        Suite::Ah(ah)
    }
}
