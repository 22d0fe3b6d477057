//! What the tests of several crates share: repeatable randomness, programs of cases without the standard harness, and the
//! published vectors with one function that runs a crypto provider against all of them.
//!
//! Nothing here is part of the product, and nothing here implements an algorithm: expected values come from the data
//! files, whose origin and licence are in `data/README.md`, and certificates from a crate. Read [`vectors`] first.

pub mod crl;
pub mod namespace;
pub mod ocsp;
pub mod papers;
pub mod pieces;
pub mod program;
pub mod random;
pub mod vectors;

pub use random::{ReplayedRandom, SeededRandom};
