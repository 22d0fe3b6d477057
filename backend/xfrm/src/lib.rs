//! The kernel's own IPsec, XFRM, as a data plane.

pub mod msg;
