//! The crypto provider for packets on x86-64: Intel's Multi-Buffer Crypto for IPsec, found when the program starts.
//!
//! Nothing is linked: [`try_provider`] looks for `libIPSec_MB.so.1` (Debian `libipsec-mb1`), judges version and
//! processor, and says in a sentence why not, so that the caller can go on with another provider. It has what packets
//! need and nothing of IKE, never decides which algorithm is used, and never keeps a key longer than its owner. This
//! file holds the lists; read `aead.rs` first, then `batch.rs`. `sys/` holds all `unsafe` code.
//!
//! ```text
//!  AES-GCM, AES-GMAC    direct calls, in place; nothing is kept between two packets
//!  text in pieces       the same, and ChaCha20-Poly1305: begin, each piece, end
//!  ChaCha20-Poly1305    a job on the thread's manager (processors with AVX-512; elsewhere others are faster)
//!  AES-CTR              the same, one packet at a time
//!  all pairs, AES-CCM   many jobs at a time on the thread's manager, up to sixteen packets side by side
//! ```

mod aead;
mod batch;
mod ctr;
mod gmac;
mod sys;

use std::error::Error;
use std::fmt;

use ravelin_crypto::{CryptoProvider, EncrAlg, IntegAlg};

/// Why the library cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It exists for x86-64 only.
    Architecture,
    /// It cannot be loaded; the text is the dynamic linker's.
    Missing(String),
    /// It has another version than the one whose binary layout is known here.
    Version {
        /// The first of three numbers.
        major: u32,
        /// The second.
        minor: u32,
        /// The third.
        patch: u32,
    },
    /// The processor has no AES instructions.
    Processor,
    /// It found itself to compute wrongly.
    SelfTest,
    /// A function is not in it.
    Incomplete,
    /// No memory for its state.
    NoMemory,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Architecture => f.write_str("intel-ipsec-mb exists for x86-64 only"),
            Reason::Missing(text) => write!(f, "intel-ipsec-mb cannot be loaded: {text}"),
            Reason::Version { major, minor, patch } => {
                write!(f, "intel-ipsec-mb is version {major}.{minor}.{patch}, and only 1.3 is known to fit")
            }
            Reason::Processor => f.write_str("the processor has no AES and carry-less multiplication instructions"),
            Reason::SelfTest => f.write_str("the self-test of intel-ipsec-mb failed"),
            Reason::Incomplete => f.write_str("intel-ipsec-mb lacks a function"),
            Reason::NoMemory => f.write_str("there is no memory for the state of intel-ipsec-mb"),
        }
    }
}

impl Error for Reason {}

/// The algorithms that the library has for packets, or why it cannot be used. Looks once per process.
///
/// Compose it with a complete provider: [`CryptoProvider::with_packets_by`].
///
/// # Errors
/// See [`Reason`].
pub fn try_provider() -> Result<CryptoProvider, Reason> {
    const WITH_AVX512: &[&dyn EncrAlg] = &[
        &aead::AES_GCM_16,
        &aead::CHACHA20_POLY1305,
        &aead::AES_GCM_12,
        &aead::AES_GCM_8,
        &aead::NULL_AES_GMAC,
        &aead::AES_GCM_16_IIV,
        &aead::CHACHA20_POLY1305_IIV,
        &ctr::AES_CTR,
    ];
    const WITHOUT_AVX512: &[&dyn EncrAlg] =
        &[&aead::AES_GCM_16, &aead::AES_GCM_12, &aead::AES_GCM_8, &aead::NULL_AES_GMAC, &aead::AES_GCM_16_IIV];
    const INTEG: &[&dyn IntegAlg] = &[&gmac::AES_128_GMAC, &gmac::AES_192_GMAC, &gmac::AES_256_GMAC];
    let library = sys::library().map_err(Reason::clone)?;
    Ok(CryptoProvider {
        name: "intel-ipsec-mb",
        encr: if library.avx512 { WITH_AVX512 } else { WITHOUT_AVX512 },
        integ: INTEG,
        prf: &[],
        ke: &[],
        sha1: |parts| sys::library().expect("it was there when the provider was made").sha1(parts),
        signatures: None,
        batch: Some(&batch::PAIRS),
    })
}
