//! A pool of internal addresses as it was described.

use std::net::IpAddr;

use ravelin_ike::address::pool::Pool;

/// A pool as it was described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// What IKE works with.
    pub pool: Pool,
    /// The first address as written: that of the network where a subnet was.
    pub base: IpAddr,
    /// Whether it was loaded, and is replaced and unloaded with other such pools.
    pub loaded: bool,
}
