//! What an operator asks for, whatever he wrote it in.
//!
//! ```text
//!   command ─┐
//!   swanctl ─┼─► spec ─► model
//!   setkey  ─┘
//! ```

mod eap;
mod extension;
mod manual;
mod policy;
mod pool;
mod remote;
mod rounds;
mod secret;
pub mod setkey;
mod x509;

pub use eap::{Beside, EapSpec, RadiusSpec, Role};
pub(crate) use extension::TCP_PORT;
pub use extension::{CHILDLESS, ExtensionSpec, FULL_TRANSCRIPT, OCSP, Ocsp, PPK_IN, UNIQUE, childless_word};
pub use manual::ManualSpec;
pub use policy::{ActionWord, Afterwards, EspSpec, PolicySpec, Start};
pub use pool::PoolSpec;
pub(crate) use remote::GATEWAYS;
pub use remote::{LoadedSpec, NullSides, RemoteSpec, Revocation, SignatureSpec, XauthSpec};
pub use rounds::{OwnBy, OwnRoundSpec, PeerBy, PeerRoundSpec, RoundsSpec};
pub use secret::{SecretKind, SharedSecret};
pub use x509::X509Spec;

/// One by its name, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// ALLPOLICIES, ALLREMOTES, ALLPOOLS
    All,
    /// The one of this name.
    Named(String),
}
