//! The messages, carried out on engines: an application is bytes in and bytes out.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod host;
mod keying;
mod refusals;
