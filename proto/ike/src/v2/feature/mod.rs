//! Extensions carried by notifies, one file each.

pub(crate) mod cookie;
pub(crate) mod fragmentation;
pub(crate) mod initial_contact;
pub(crate) mod intermediate;
pub(crate) mod nat;
pub(crate) mod signature_hashes;
