//! What can be set about this data plane.

use std::path::PathBuf;
use std::time::Duration;

/// Names, numbers and ports. The defaults suit one daemon per network namespace.
#[derive(Clone, Debug)]
pub struct TunConfig {
    /// Name of the TUN device.
    pub device: String,
    /// MTU of the TUN device: the largest packet that is protected. Sealed packets are up to 94 bytes longer
    /// (IPv6 tunnel, UDP, AES-CBC with HMAC-SHA2-512).
    pub mtu: u16,
    /// The routing table that leads to the device.
    pub table: u32,
    /// Priority of the routing rule that captures; must be below 32766, where the main table is.
    pub capture_priority: u32,
    /// Priority of the routing rule that supplies a route where the host has none; above 32767.
    pub fallback_priority: u32,
    /// The nftables table, family `inet`.
    pub filter_table: String,
    /// The bit of the packet mark that our own packets carry.
    pub own_mark: u32,
    /// The bit of the packet mark that sends a packet into the device.
    pub capture_mark: u32,
    /// UDP port of IKE.
    pub ike_port: u16,
    /// UDP port of IKE and ESP behind a NAT (RFC 3948).
    pub nat_port: u16,
    /// Time between NAT keepalives on SAs inside UDP that have sent nothing else (RFC 3948 §4); `None`: never.
    pub keepalive: Option<Duration>,
    /// How long a packet waits for an SA.
    pub hold: Duration,
    /// The `nft` program.
    pub nft: PathBuf,
}

impl Default for TunConfig {
    fn default() -> Self {
        TunConfig {
            device: "ravelin0".into(),
            mtu: 1400,
            table: 29_302,
            capture_priority: 5_210,
            fallback_priority: 40_000,
            filter_table: "ravelin".into(),
            own_mark: 0x0200_0000,
            capture_mark: 0x0400_0000,
            ike_port: 500,
            nat_port: 4500,
            keepalive: Some(Duration::from_secs(20)),
            hold: Duration::from_secs(30),
            nft: "nft".into(),
        }
    }
}
