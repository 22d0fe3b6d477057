//! What can be set about this data plane.

use std::time::Duration;

use crate::error::Error;

/// Bytes by which a sealed packet is longer than the packet, at most.
pub(crate) const SEALED_EXCESS: usize = 94;

/// Names, numbers and ports. The defaults suit one daemon per network namespace.
#[derive(Clone, Debug)]
pub struct TunConfig {
    /// Name of the TUN device.
    pub device: String,
    /// The longest packet that must not be fragmented, and the longest TCP segment with its headers. Sealed packets
    /// are up to 94 bytes longer (IPv6 tunnel, UDP, AES-CBC with HMAC-SHA2-512) and should fit the outer path.
    pub mtu: u16,
    /// The first of three routing tables: capture, capture of what must not be fragmented, routes of last resort.
    pub table: u32,
    /// Priority of the first of two routing rules that capture; below 32766, where the main table is.
    pub capture_priority: u32,
    /// Priority of the routing rule that supplies a route where the host has none; above 32767.
    pub fallback_priority: u32,
    /// The nftables table, family `inet`.
    pub filter_table: String,
    /// The bit of the packet mark that our own packets carry.
    pub own_mark: u32,
    /// The bit of the packet mark that sends a packet into the device.
    pub capture_mark: u32,
    /// The bit that says with `capture_mark` that the packet must not be fragmented.
    pub limit_mark: u32,
    /// UDP port of IKE.
    pub ike_port: u16,
    /// UDP port of IKE and ESP behind a NAT (RFC 3948).
    pub nat_port: u16,
    /// TCP port on which peers are let in that UDP does not reach (RFC 9329); `None`: none. To open connections takes none.
    pub tcp_port: Option<u16>,
    /// Time between NAT keepalives to the peers of SAs inside UDP (RFC 3948 §4); `None`: never.
    pub keepalive: Option<Duration>,
    /// How long a packet waits for an SA.
    pub hold: Duration,
    /// Whether the device exchanges super-packets with the stack where the kernel can (segmentation offload), which
    /// makes TCP several times as fast.
    pub offload: bool,
    /// Threads for each direction, at most [`MAX_WORKERS`]. An SA belongs to one of them. Each but the first has a device of
    /// its own beside the first, for packets to be sealed.
    pub workers: usize,
    /// Three bits of the packet mark beside each other: the worker of a packet that is captured, where there are several.
    pub worker_mark: u32,
}

/// The most workers for each direction.
pub const MAX_WORKERS: usize = 8;

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
            limit_mark: 0x0800_0000,
            ike_port: 500,
            nat_port: 4500,
            tcp_port: None,
            keepalive: Some(Duration::from_secs(20)),
            hold: Duration::from_secs(30),
            offload: true,
            workers: default_workers(),
            worker_mark: 0x7000_0000,
        }
    }
}

impl TunConfig {
    /// Names and numbers that cannot work are refused before anything is changed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Config(text));
        check_device("device", &self.device)?;
        check_name("filter table", &self.filter_table, 63)?;
        let marks = [self.own_mark, self.capture_mark, self.limit_mark];
        if marks.iter().any(|mark| mark.count_ones() != 1)
            || marks.iter().fold(0, |all, mark| all | mark).count_ones() != 3
        {
            return refuse(format!("the marks {marks:x?} must be three different single bits"));
        }
        if self.workers == 0 || self.workers > MAX_WORKERS {
            return refuse(format!("{} workers: expected 1 to {MAX_WORKERS}", self.workers));
        }
        let bits = self.worker_mark >> self.worker_mark.trailing_zeros().min(31);
        if bits != 7 || marks.iter().any(|mark| mark & self.worker_mark != 0) {
            let mark = self.worker_mark;
            return refuse(format!(
                "the mark {mark:#x} of workers must be three bits beside each other, and none of {marks:x?}"
            ));
        }
        (0..self.workers).try_for_each(|worker| check_device("device", &self.device_of(worker)))?;
        if self.mtu < 1280 {
            return refuse(format!("MTU {}: IPv6 needs at least 1280 (RFC 8200 §5)", self.mtu));
        }
        if self.ike_port == 0 || self.nat_port == 0 || self.ike_port == self.nat_port {
            return refuse(format!("IKE ports {} and {}: expected two different ports", self.ike_port, self.nat_port));
        }
        if self.tcp_port == Some(0) {
            return refuse("TCP port 0: expected 1 to 65535".into());
        }
        if self.capture_priority == 0 || self.capture_priority >= 32_765 || self.fallback_priority <= 32_767 {
            return refuse(format!(
                "rule priorities {} and {}: expected 1 to 32764 and above 32767",
                self.capture_priority, self.fallback_priority
            ));
        }
        if self.tables(self.workers - 1).0 < 256 || self.table > u32::MAX - 2 {
            return refuse(format!("routing table {}: the first 256 belong to the system", self.table));
        }
        Ok(())
    }

    /// The device from which this worker reads what is captured.
    pub(crate) fn device_of(&self, worker: usize) -> String {
        if worker == 0 { self.device.clone() } else { format!("{}-{worker}", self.device) }
    }

    /// The marks of what this worker is to read, without and with [`TunConfig::limit_mark`], and the bits in which they stand.
    pub(crate) fn marks(&self, worker: usize) -> (u32, u32, u32) {
        let (number, mask) = match self.workers {
            1 => (0, 0),
            _ => ((worker as u32) << self.worker_mark.trailing_zeros(), self.worker_mark),
        };
        let capture = self.capture_mark | number;
        (capture, capture | self.limit_mark, mask)
    }

    /// The routing tables of this worker: capture, and what must not be fragmented. Those of the others are before the first.
    pub(crate) fn tables(&self, worker: usize) -> (u32, u32) {
        let table = self.table.saturating_sub(2 * worker as u32);
        (table, table.saturating_add(1))
    }

    /// The routing table of the routes of last resort.
    pub(crate) fn fallback_table(&self) -> u32 {
        self.table + 2
    }
}

/// As many as there are processors. Where there are two, the two directions have one each.
fn default_workers() -> usize {
    match std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        ..=2 => 1,
        processors => processors.min(MAX_WORKERS),
    }
}

/// The longest name of a device.
const DEVICE_NAME: usize = 15;

/// Refuses a name of a device that cannot stand everywhere without quotes.
pub(crate) fn check_device(what: &str, name: &str) -> Result<(), Error> {
    check_name(what, name, DEVICE_NAME)
}

fn check_name(what: &str, name: &str, longest: usize) -> Result<(), Error> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let allowed = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if starts && allowed && name.len() <= longest {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{what} name {name:?}: expected a letter, then up to {} letters, digits, '-' or '_'",
        longest - 1
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_nonsense_is_named() {
        assert!(TunConfig::default().check().is_ok());
        let bad = |change: fn(&mut TunConfig)| {
            let mut config = TunConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(bad(|c| c.device = "a b".into()).contains("device name"));
        assert!(bad(|c| c.filter_table = "x; flush ruleset".into()).contains("filter table name"));
        assert!(bad(|c| c.capture_mark = c.own_mark).contains("single bits"));
        assert!(bad(|c| c.mtu = 576).contains("1280"));
        assert!(bad(|c| c.nat_port = 500).contains("two different ports"));
        assert!(bad(|c| c.fallback_priority = 100).contains("priorities"));
        assert!(bad(|c| c.table = 254).contains("belong to the system"));
        assert!(bad(|c| c.workers = 0).contains("1 to 8") && bad(|c| c.workers = 9).contains("1 to 8"));
        assert!(bad(|c| c.worker_mark = 0x0700_0000).contains("of workers"));
        assert!(bad(|c| (c.workers, c.device) = (2, "fourteen-bytes".into())).contains("device name"));
    }
}
