//! Private keys on PKCS #11 tokens: smart cards, HSMs, SoftHSM. A [`Key`] signs there, and its private half never comes
//! here.
//!
//! It never decides when to sign or who waits for it: a token is slow, so whoever asks does that in a thread which nobody
//! else needs ([`PrivateKey::token`](ravelin_crypto::signature::PrivateKey::token)). It never tries a PIN again that the
//! token refused, and none when the token says that one try is left. Read `token.rs` first.
//!
//! ```text
//!   pkcs11:… ─► Place ─► module: the library, loaded once ─► token: session, PIN ─► key: its public half, signatures
//! ```
#![forbid(unsafe_code)]

mod key;
mod module;
mod place;
mod public;
mod token;
mod trouble;

pub use key::Key;
pub use place::{BadPlace, Module, Place};
pub use trouble::Trouble;
