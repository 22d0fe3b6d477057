//! The protocols of an SA with their keys in place: ESP, AH, or AH around ESP as one SA.

use alloc::boxed::Box;

use ravelin_crypto::{BadKey, CryptoProvider};
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::policy::Mode;
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaKeys, SaParams};
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
    /// What no SA can be, whatever its algorithms.
    pub fn check(params: &SaParams) -> Result<(), DataPlaneError> {
        let invalid = |what: &'static str| Err(DataPlaneError::Invalid(what.into()));
        match &params.suite {
            Suite::Ah(_) | Suite::AhEsp { .. } if params.encap.is_some() || params.original.is_some() => {
                invalid(NO_NAT)
            }
            Suite::AhEsp { ah_spi, .. } if params.direction == Direction::Inbound && *ah_spi != params.spi => {
                invalid("inbound, AH and ESP of one SA have one SPI")
            }
            Suite::AhEsp { ah, esp, .. } if ah.sn != esp.sn => {
                invalid("AH and ESP of one SA have the same kind of sequence numbers")
            }
            _ if params.options.aggfrag.is_none() => Ok(()),
            Suite::Esp(_) if params.mode == Mode::Tunnel => Ok(()),
            _ => invalid("only ESP in tunnel mode has AGGFRAG payloads (RFC 9347 §5.1)"),
        }
    }

    /// Readies the keys of parameters that pass [`KeyedSuite::check`].
    pub fn new(params: &SaParams, crypto: &CryptoProvider) -> Result<Self, DataPlaneError> {
        let (keys, options) = (&params.keys, &params.options);
        match &params.suite {
            Suite::Esp(esp) => Ok(KeyedSuite::Esp(Esp::new(esp, keys, options, crypto)?)),
            Suite::Ah(ah) => Ok(KeyedSuite::Ah(Box::new(Ah::new(ah, params.spi, keys, options, crypto)?))),
            Suite::AhEsp { ah, ah_spi, esp } => Ok(KeyedSuite::AhEsp(Box::new(AhEsp {
                ah: Ah::new(ah, *ah_spi, keys, options, crypto)?,
                esp: Esp::new(esp, keys, options, crypto)?,
                esp_window: ReplayWindow::new(esp_window(params)),
            }))),
        }
    }

    /// Becomes that of an SA with the same algorithms and as long keys, in the memory that it has.
    pub fn renew(&mut self, params: &SaParams, crypto: &CryptoProvider) -> Result<(), BadKey> {
        self.replace(&params.keys)?;
        let options = &params.options;
        match (self, &params.suite) {
            (KeyedSuite::Esp(esp), Suite::Esp(suite)) => esp.renew(suite, options, crypto),
            (KeyedSuite::Ah(ah), Suite::Ah(suite)) => ah.renew(suite, params.spi, options, crypto),
            (KeyedSuite::AhEsp(both), Suite::AhEsp { ah, ah_spi, esp }) => {
                both.ah.renew(ah, *ah_spi, options, crypto);
                both.esp.renew(esp, options, crypto);
                both.esp_window.renew(esp_window(params));
            }
            _ => {}
        }
        Ok(())
    }

    /// Gets other keys of the same lengths, in the memory of those that it has.
    pub fn replace(&mut self, keys: &SaKeys) -> Result<(), BadKey> {
        match self {
            KeyedSuite::Esp(esp) => esp.replace(keys),
            KeyedSuite::Ah(ah) => ah.replace(keys),
            KeyedSuite::AhEsp(both) => {
                both.ah.replace(keys)?;
                both.esp.replace(keys)
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

    /// Whether the ciphers take text in pieces. What only authenticates does.
    pub fn takes_pieces(&self) -> bool {
        self.esp().is_none_or(Esp::takes_pieces)
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

/// The size of the window of ESP behind AH.
fn esp_window(params: &SaParams) -> u32 {
    match params.direction {
        Direction::Inbound => params.replay_window,
        Direction::Outbound => 0,
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
