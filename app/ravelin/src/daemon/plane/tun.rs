//! The packet engine behind a TUN device.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use anyhow::Result;
use ravelin_crypto::CryptoProvider;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_inbox::{IkeDatagram, Progress};
use ravelin_rtnetlink::InsideConfig;
use ravelin_store::FileStore;
use ravelin_tun::{TunConfig, TunDataPlane};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp, Settled};
use ravelin_types::{IkeSpi, Spi, Way};

use super::{Plane, Running, Settings};

/// Undoes what a killed daemon left, and starts.
///
/// # Errors
/// What failed, and what mends it.
pub fn start(settings: &Settings, packets: CryptoProvider, store: &mut FileStore) -> Result<TunDataPlane> {
    for undone in ravelin_tun::undo_leftovers(store)? {
        tracing::warn!("a daemon before this one was killed; undone: {undone}");
    }
    #[cfg(feature = "kernel")]
    if let left @ 1.. = ravelin_xfrm::remove_leftovers()? {
        tracing::warn!("a daemon before this one left {left} entries in the kernel's IPsec; they are removed");
    }
    let mut config = TunConfig { tcp_port: settings.tcp_port, ..TunConfig::default() };
    if let Some(device) = &settings.device {
        config.device.clone_from(device);
    }
    if let Some(workers) = settings.workers {
        config.workers = workers.into();
    }
    Ok(TunDataPlane::start(config, packets, || Box::new(SystemRandom), store)?)
}

impl Plane for TunDataPlane {
    fn note_ike(&mut self, spis: (IkeSpi, IkeSpi), progress: Progress) {
        TunDataPlane::note_ike(self, spis, progress);
    }

    fn send_ike(&mut self, way: Way, data: &[u8]) -> io::Result<()> {
        TunDataPlane::send_ike(self, way, data)
    }

    fn open_stream(&mut self, local: IpAddr, remote: SocketAddr) -> io::Result<SocketAddr> {
        TunDataPlane::open_stream(self, local, remote)
    }

    fn close_stream(&mut self, way: Way) {
        TunDataPlane::close_stream(self, way);
    }

    fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        TunDataPlane::apply_all(self, ops)
    }

    fn apply_each(&mut self, ops: &[DataPlaneOp]) -> Vec<Result<(), DataPlaneError>> {
        TunDataPlane::apply_each(self, ops)
    }

    fn begin(&mut self, op: &DataPlaneOp) -> Result<Option<u64>, DataPlaneError> {
        TunDataPlane::begin(self, op)
    }

    fn poll_settled(&mut self) -> Option<Settled> {
        TunDataPlane::poll_settled(self)
    }

    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr> {
        TunDataPlane::source_towards(self, remote)
    }

    fn device_of(&mut self, _local: IpAddr) -> Option<String> {
        Some(self.config().device.clone())
    }

    fn ipcomp(&self) -> bool {
        true
    }

    fn aggfrag(&self) -> bool {
        true
    }

    fn counters(&mut self) -> Vec<(String, u64)> {
        let counters = TunDataPlane::counters(self);
        let (sealed, opened) = counters.protected;
        let counted = [
            ("packets-sealed", sealed),
            ("packets-opened", opened),
            ("packets-before-their-sa", counters.early),
            ("packet-filter-runs", counters.filter_runs),
        ];
        counted
            .map(|(name, count)| (name.to_owned(), count))
            .into_iter()
            .chain(counters.drops.into_iter().map(|(why, count)| (format!("dropped: {why}"), count)))
            .collect()
    }
}

impl Running for TunDataPlane {
    fn ike_fd(&self) -> BorrowedFd<'_> {
        TunDataPlane::ike_fd(self)
    }

    fn event_fd(&self) -> BorrowedFd<'_> {
        TunDataPlane::event_fd(self)
    }

    fn poll_ike(&mut self) -> Option<IkeDatagram> {
        TunDataPlane::poll_ike(self)
    }

    fn poll_alive(&mut self) -> Option<Spi> {
        TunDataPlane::poll_alive(self)
    }

    fn poll_closed(&mut self) -> Option<Way> {
        TunDataPlane::poll_closed(self)
    }

    fn inside(&self) -> InsideConfig {
        let config = self.config();
        InsideConfig { device: config.device.clone(), own_mark: Some(config.own_mark) }
    }

    fn stop(self, store: &mut FileStore) -> Result<()> {
        Ok(TunDataPlane::stop(self, store)?)
    }
}
