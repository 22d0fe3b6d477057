//! The IPsec of the Linux kernel.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result, bail};
use ravelin_inbox::{IkeDatagram, Progress};
use ravelin_rtnetlink::InsideConfig;
use ravelin_store::FileStore;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::interface::InterfaceStatus;
use ravelin_types::policy::PolicyId;
use ravelin_types::transform::Transform;
use ravelin_types::{IkeSpi, Spi, Way};
use ravelin_xfrm::{Capabilities, XfrmConfig, XfrmDataPlane};

use super::{Plane, Running, Settings};

/// What serves packets, for listings.
pub const NAME: &str = "kernel";

/// What the running kernel can do.
///
/// # Errors
/// That it has no ESP, or that it cannot be told.
pub fn capabilities() -> Result<Capabilities> {
    let found = ravelin_xfrm::probe()?;
    if !found.is_usable() {
        bail!("it has no ESP (modules esp4 and esp6)");
    }
    Ok(found)
}

/// Undoes what a killed daemon of another data plane left, and starts.
///
/// # Errors
/// What failed, and what mends it.
pub fn start(settings: &Settings, capabilities: Capabilities, _store: &mut FileStore) -> Result<XfrmDataPlane> {
    #[cfg(feature = "tun")]
    for undone in ravelin_tun::undo_leftovers(_store)? {
        tracing::warn!("a daemon before this one was killed; undone: {undone}");
    }
    tracing::info!("the kernel protects packets: {capabilities}");
    let usual = XfrmConfig::default();
    let config = XfrmConfig { acquire: settings.acquire.unwrap_or(usual.acquire), ..usual };
    Ok(XfrmDataPlane::start(config, capabilities)?)
}

impl Plane for XfrmDataPlane {
    fn note_ike(&mut self, spis: (IkeSpi, IkeSpi), progress: Progress) {
        XfrmDataPlane::note_ike(self, spis, progress);
    }

    fn send_ike(&mut self, way: Way, data: &[u8]) -> io::Result<()> {
        XfrmDataPlane::send_ike(self, way.local, way.remote, data)
    }

    fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        XfrmDataPlane::apply_all(self, ops)
    }

    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr> {
        XfrmDataPlane::source_towards(self, remote)
    }

    fn device_of(&mut self, local: IpAddr) -> Option<String> {
        let found = ravelin_host::device_of(local);
        found.inspect_err(|error| tracing::warn!("the device of {local} cannot be found: {error}")).ok().flatten()
    }

    fn reqid(&self, policy: PolicyId) -> u32 {
        ravelin_xfrm::reqid(policy).unwrap_or(policy.0)
    }

    fn counters(&mut self) -> Vec<(String, u64)> {
        XfrmDataPlane::counters(self)
    }

    fn has(&self, transform: &Transform) -> bool {
        self.capabilities().has(transform)
    }

    fn processors(&self) -> u32 {
        self.capabilities().processors
    }

    fn ipcomp(&self) -> bool {
        self.capabilities().ipcomp
    }

    fn aggfrag(&self) -> bool {
        self.capabilities().iptfs
    }

    fn interfaces(&mut self) -> Vec<InterfaceStatus> {
        XfrmDataPlane::interfaces(self)
    }

    fn differences(&mut self) -> Result<Vec<String>, String> {
        XfrmDataPlane::differences(self).map_err(|error| error.to_string())
    }
}

impl Running for XfrmDataPlane {
    fn ike_fd(&self) -> BorrowedFd<'_> {
        XfrmDataPlane::ike_fd(self)
    }

    fn event_fd(&self) -> BorrowedFd<'_> {
        XfrmDataPlane::event_fd(self)
    }

    fn poll_ike(&mut self) -> Option<IkeDatagram> {
        XfrmDataPlane::poll_ike(self)
    }

    fn poll_alive(&mut self) -> Option<Spi> {
        XfrmDataPlane::poll_alive(self)
    }

    fn inside(&self) -> InsideConfig {
        InsideConfig { device: "lo".to_owned(), own_mark: None }
    }

    fn settle(&mut self) {
        XfrmDataPlane::settle(self);
    }

    fn stop(self, _: &mut FileStore) -> Result<()> {
        XfrmDataPlane::stop(self).context("the kernel's policies and SAs")
    }
}
