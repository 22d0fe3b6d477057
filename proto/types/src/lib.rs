//! The nouns that every part of Ravelin shares: SPIs, time, traffic selectors, transforms, security associations,
//! policies, and the operations and events that pass between key management and a data plane.
//!
//! Plain data only: this crate never parses packets, never touches a key except to hold and wipe it, and knows no
//! clock, socket or allocator beyond `alloc`. Read [`dataplane`] first: it is the seam between `ravelin-ike` and
//! every data plane, and the other modules are the words it uses.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod dataplane;
pub mod error_code;
pub mod host_name;
pub mod identity;
pub mod if_id;
pub mod instant;
pub mod interface;
pub mod lifetime;
pub mod mark;
pub mod options;
pub mod pfp;
pub mod policy;
pub mod proposal;
pub mod record;
pub mod sa;
pub mod secret;
pub mod selector;
pub mod spi;
pub mod transform;
pub mod way;
pub mod words;

pub use error_code::ErrorCode;
pub use host_name::HostName;
pub use identity::{Dn, IdType, Identity};
pub use instant::Instant;
pub use secret::Secret;
pub use spi::{Cpi, IkeSpi, Spi};
pub use way::{Carrier, Way};
pub use words::Words;
