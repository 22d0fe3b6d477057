//! What Ravelin needs from cryptography, described but not implemented: the traits a provider fills in, and the key
//! schedules of IKEv1 and IKEv2 built on them.
//!
//! This crate never contains a cipher, a hash or a group. A [`CryptoProvider`] is a value that the application picks
//! and passes in; everything above asks it for algorithms by their IKEv2 identifiers. Read [`provider`] first and [`encryption`], then
//! [`ikev2`] (or [`ikev1`]) for how keys are derived, [`batch`] for ciphers that are faster in company, and [`pieces`] for
//! packets that do not lie in one piece.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod batch;
pub mod encryption;
pub mod error;
pub mod ikev1;
pub mod ikev2;
pub mod pieces;
pub mod provider;
pub mod signature;

pub use batch::{BatchCrypto, BatchKey, BatchPacket};
pub use encryption::{EncrAlg, EncrKey, EncrShape, IvKind};
pub use error::{BadKey, BadPublicValue, Forged};
pub use pieces::{Pieces, PiecesKey, PiecesMut};
pub use provider::{CryptoProvider, HashFn, IntegAlg, IntegKey, KeAlg, KePrivate, PrfAlg, PrfKey, SecureRandom};
