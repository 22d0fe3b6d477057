//! The devices that one half works with: the one into which policies capture traffic, and virtual interfaces.

use std::sync::Arc;

use ravelin_types::policy::Domain;

use crate::device::Device;

/// Each device with the domain of its packets.
pub(crate) struct Devices {
    list: Vec<(Domain, Arc<Device>)>,
    /// Which was read from last.
    turn: usize,
}

impl Devices {
    pub(crate) fn new(capture: Arc<Device>) -> Self {
        Devices { list: vec![(Domain::default(), capture)], turn: 0 }
    }

    /// Puts a device in the place of the one of its domain; without one, the domain has none any more.
    pub(crate) fn set(&mut self, domain: Domain, device: Option<Arc<Device>>) {
        self.list.retain(|(other, _)| *other != domain);
        self.list.extend(device.map(|device| (domain, device)));
        self.turn = 0;
    }

    pub(crate) fn get(&self, domain: Domain) -> Option<&Arc<Device>> {
        Some(&self.list.iter().find(|(other, _)| *other == domain)?.1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Domain, &Device)> {
        self.list.iter().map(|(domain, device)| (*domain, &**device))
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The devices one after the other, beginning behind the one that had its turn last.
    pub(crate) fn next(&mut self) -> Option<(Domain, Arc<Device>)> {
        self.turn = (self.turn + 1) % self.list.len().max(1);
        self.list.get(self.turn).cloned()
    }
}
