//! (crate root)
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod esp;
pub mod ip;
pub mod udp_encap;
