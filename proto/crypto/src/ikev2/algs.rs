//! Negotiated suites, looked up in a provider.

use ravelin_types::proposal::{EspSuite, IkeSuite, Suite};
use ravelin_types::transform::{EncrId, IntegId};

use crate::encryption::EncrAlg;
use crate::provider::{CryptoProvider, IntegAlg, KeAlg, PrfAlg};

/// The algorithms of an IKE SA.
#[derive(Clone, Copy)]
pub struct IkeAlgs {
    /// Encryption of the SK payload.
    pub encr: &'static dyn EncrAlg,
    /// Key length in bits (without a salt).
    pub encr_key_bits: u16,
    /// Integrity; `None` with an AEAD cipher.
    pub integ: Option<&'static dyn IntegAlg>,
    /// Pseudorandom function.
    pub prf: &'static dyn PrfAlg,
    /// Key exchange method.
    pub ke: &'static dyn KeAlg,
}

impl IkeAlgs {
    /// Looks a suite up. `None` when the provider lacks a part of it, or when the parts do not fit together: a cipher
    /// that does not authenticate needs an integrity algorithm, an AEAD cipher must not have one (RFC 5282 §8).
    pub fn find(provider: &CryptoProvider, suite: &IkeSuite) -> Option<Self> {
        // RFC 7296 §5: what does not encrypt is for ESP alone.
        if matches!(suite.encr, EncrId::NULL | EncrId::NULL_AES_GMAC) {
            return None;
        }
        // RFC 8750 §7: IKE messages have no number that is theirs alone.
        if provider.encr(suite.encr)?.implicit_iv() {
            return None;
        }
        let (encr, integ) = encr_and_integ(provider, suite.encr, suite.encr_key_bits, suite.integ)?;
        let prf = provider.prf(suite.prf)?;
        let ke = provider.ke(suite.ke)?;
        Some(IkeAlgs { encr, encr_key_bits: suite.encr_key_bits, integ, prf, ke })
    }
}

/// The algorithms of a Child SA.
#[derive(Clone, Copy)]
pub enum ChildAlgs {
    /// ESP.
    Esp {
        /// Encryption.
        encr: &'static dyn EncrAlg,
        /// Key length in bits (without a salt).
        encr_key_bits: u16,
        /// Integrity; `None` with an AEAD cipher.
        integ: Option<&'static dyn IntegAlg>,
    },
    /// AH, with its integrity algorithm.
    Ah(&'static dyn IntegAlg),
}

impl ChildAlgs {
    /// Looks a suite up, by the rules of [`IkeAlgs::find`]. Encryption without integrity is refused for ESP too:
    /// RFC 4303 allows it, RFC 8221 §4 does not. `None` also for AH and ESP together, which IKEv2 does not negotiate.
    pub fn find(provider: &CryptoProvider, suite: &Suite) -> Option<Self> {
        match suite {
            Suite::Esp(EspSuite { encr, encr_key_bits, integ, .. }) => {
                let (encr, integ) = encr_and_integ(provider, *encr, *encr_key_bits, *integ)?;
                Some(ChildAlgs::Esp { encr, encr_key_bits: *encr_key_bits, integ })
            }
            Suite::Ah(suite) => provider.integ(suite.integ).map(ChildAlgs::Ah),
            Suite::AhEsp { .. } => None,
        }
    }
}

pub(crate) fn encr_key_len(encr: &dyn EncrAlg, key_bits: u16) -> usize {
    usize::from(key_bits) / 8 + encr.salt_len()
}

type EncrAndInteg = (&'static dyn EncrAlg, Option<&'static dyn IntegAlg>);

fn encr_and_integ(provider: &CryptoProvider, encr: EncrId, key_bits: u16, integ: IntegId) -> Option<EncrAndInteg> {
    let encr = provider.encr(encr)?;
    if !encr.key_bits().contains(&key_bits) {
        return None;
    }
    match (encr.is_aead(), integ) {
        (true, IntegId::NONE) => Some((encr, None)),
        // RFC 4543 §5.3: an integrity algorithm with an IV is for AH alone.
        (false, id) if id != IntegId::NONE => {
            provider.integ(id).filter(|integ| integ.iv_len() == 0).map(|integ| (encr, Some(integ)))
        }
        _ => None,
    }
}
