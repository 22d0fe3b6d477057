//! What else a program can embed to protect packets, beside our engine: `benches/embedded.rs`. A crate of its own, so
//! that the others' code is built only for that.
