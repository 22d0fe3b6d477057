//! Methods of authentication, one file each. All of them sign the octets of RFC 7296 §2.15.

pub(crate) mod psk;
