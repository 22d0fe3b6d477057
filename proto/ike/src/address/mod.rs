//! Internal addresses (RFC 7296 §2.19): which IKE SA has which, as responder from pools and as initiator from its peer.
//! Both versions of IKE use it, and it knows neither's messages:
//!
//! ```text
//!   responder   Wishes::parse(request) ─► Core::lend ─► Grant::emit        lent until the IKE SA ends
//!   initiator   Wishes::of(addresses)  ─► request;  reply ─► Grant::parse ─► Core::borrow
//!   both        Core::inside: what dynamic selectors stand for             Addresses::pass_on: the IKE SA was rekeyed
//! ```
//! `ike_sa::down` gives everything back. `pool` has the leases, `link` what a peer with prefixes of its own has, `grant` the
//! attributes, `names` which of those about names are taken, `table` who holds what.

mod grant;
pub mod link;
pub mod names;
pub mod pool;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod table;

pub use grant::Grant;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
pub(crate) use grant::Wishes;
pub use ravelin_wire::ike::cfg_value::{CfgValue, DnsDigest, EncryptedDns, TrustAnchor};
pub use ravelin_wire::ike::svc_params::SvcParams;
pub use ravelin_wire::ike::v2::CfgAttributeType;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
pub(crate) use table::{Addresses, Inside};
