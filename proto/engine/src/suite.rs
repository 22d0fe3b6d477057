//! The protocols of an SA with their keys in place: ESP, AH, or AH around ESP as one SA.

use alloc::boxed::Box;

use ravelin_crypto::CryptoProvider;
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaParams};
use ravelin_wire::esp::{ALIGNMENT, TRAILER_LEN, padding};

use crate::ah::Ah;
use crate::esp::Esp;
use crate::fetch::fetch;
use crate::replay::ReplayWindow;

/// ESP alone is what the packet path is made for; the others are behind one more step.
pub(crate) enum KeyedSuite {
    Esp(Esp),
    Ah(Box<Ah>),
    AhEsp(Box<AhEsp>),
}

/// AH around ESP. The sender counts once for both, and the SA's window is that of AH.
pub(crate) struct AhEsp {
    pub ah: Ah,
    pub esp: Esp,
    /// Inbound: the numbers of ESP that were received. Each protocol is checked for itself, as a peer may count for
    /// each (RFC 4302 §3.4.3, RFC 4303 §3.4.3).
    pub esp_window: ReplayWindow,
}

/// What a suite adds around a payload.
pub(crate) struct Added {
    /// The whole AH header.
    pub ah: usize,
    /// ESP header and IV.
    pub esp_head: usize,
    /// Padding and trailer of ESP.
    pub tail: usize,
    /// The ICV of ESP.
    pub icv: usize,
}

impl KeyedSuite {
    pub fn new(params: &SaParams, crypto: &CryptoProvider) -> Result<Self, DataPlaneError> {
        let (keys, options) = (&params.keys, &params.options);
        let invalid = |what: &str| Err(DataPlaneError::Invalid(what.into()));
        if params.suite.ah().is_some() && (params.encap.is_some() || params.original.is_some()) {
            return invalid(NO_NAT);
        }
        match &params.suite {
            Suite::Esp(esp) => Ok(KeyedSuite::Esp(Esp::new(esp, keys, options, crypto)?)),
            Suite::Ah(ah) => Ok(KeyedSuite::Ah(Box::new(Ah::new(ah, params.spi, keys, options, crypto)?))),
            Suite::AhEsp { ah, ah_spi, esp } => {
                if params.direction == Direction::Inbound && *ah_spi != params.spi {
                    return invalid("inbound, AH and ESP of one SA have one SPI");
                }
                if ah.sn != esp.sn {
                    return invalid("AH and ESP of one SA have the same kind of sequence numbers");
                }
                let esp_window = match params.direction {
                    Direction::Inbound => params.replay_window,
                    Direction::Outbound => 0,
                };
                Ok(KeyedSuite::AhEsp(Box::new(AhEsp {
                    ah: Ah::new(ah, *ah_spi, keys, options, crypto)?,
                    esp: Esp::new(esp, keys, options, crypto)?,
                    esp_window: ReplayWindow::new(esp_window),
                })))
            }
        }
    }

    /// Extended (64-bit) sequence numbers.
    #[inline]
    pub fn extended(&self) -> bool {
        match self {
            KeyedSuite::Esp(esp) => esp.extended,
            KeyedSuite::Ah(ah) => ah.extended,
            KeyedSuite::AhEsp(both) => both.ah.extended,
        }
    }

    /// Has the processor fetch the keys ahead of their use for a packet of `len` bytes, with 0 where they begin.
    #[inline]
    pub fn fetch(&self, len: usize) {
        match self {
            KeyedSuite::Esp(esp) => esp.fetch(len),
            KeyedSuite::Ah(ah) => fetch(&**ah),
            KeyedSuite::AhEsp(both) => fetch(&**both),
        }
    }

    /// AH, where the suite has it.
    #[inline]
    pub fn ah(&self) -> Option<&Ah> {
        match self {
            KeyedSuite::Esp(_) => None,
            KeyedSuite::Ah(ah) => Some(ah),
            KeyedSuite::AhEsp(both) => Some(&both.ah),
        }
    }

    /// ESP, where the suite has it.
    #[inline]
    pub fn esp(&self) -> Option<&Esp> {
        match self {
            KeyedSuite::Esp(esp) => Some(esp),
            KeyedSuite::Ah(_) => None,
            KeyedSuite::AhEsp(both) => Some(&both.esp),
        }
    }

    /// Whether packets can be given to the provider together: ESP alone, with a cipher that gains by it.
    #[inline]
    pub fn is_batched(&self) -> bool {
        matches!(self, KeyedSuite::Esp(esp) if esp.batch_key().is_some())
    }

    /// The longest payload of which a packet of that family has no more than `room` bytes from AH or ESP on.
    pub fn largest_payload(&self, room: usize, ipv6: bool) -> usize {
        let Added { ah, esp_head, icv, .. } = self.added(0, ipv6);
        let room = room.saturating_sub(ah + esp_head + icv);
        match self.esp() {
            Some(esp) => (room & !(esp.block_len().max(ALIGNMENT) - 1)).saturating_sub(TRAILER_LEN),
            None => room,
        }
    }

    /// What is added around `payload` bytes in a packet of that family.
    pub fn added(&self, payload: usize, ipv6: bool) -> Added {
        Added::by(self.ah(), self.esp(), payload, ipv6)
    }
}

impl Added {
    /// What these protocols, one or both of them, add around `payload` bytes in a packet of that family.
    #[inline]
    pub fn by(ah: Option<&Ah>, esp: Option<&Esp>, payload: usize, ipv6: bool) -> Added {
        let ah = ah.map_or(0, |ah| ah.header_len(ipv6));
        match esp {
            None => Added { ah, esp_head: 0, tail: 0, icv: 0 },
            Some(esp) => Added {
                ah,
                esp_head: esp.head_len(),
                tail: padding(payload, esp.block_len()) + TRAILER_LEN,
                icv: esp.icv_len(),
            },
        }
    }
}

/// RFC 3715 §2.1: no NAT leaves alone what AH covers, and RFC 3948 has nothing for it.
pub(crate) const NO_NAT: &str = "AH covers the addresses, so it passes no NAT and does not travel in UDP";
