//! Labels of compressed packets (RFC 3173): those that we receive by, and those that peers have told us.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use ravelin_types::{Cpi, Spi};

use crate::view::Labels;

/// Those of all Child SAs, by inbound SPI of these.
#[derive(Default)]
pub(crate) struct Cpis {
    taken: BTreeSet<Cpi>,
    inbound: BTreeMap<Spi, Cpi>,
    outbound: BTreeMap<(IpAddr, Cpi), Spi>,
}

impl Cpis {
    /// Reserves a label of ours; false when it is in use.
    pub(crate) fn claim(&mut self, cpi: Cpi, inbound: Spi) -> bool {
        let free = self.taken.insert(cpi);
        if free {
            self.inbound.insert(inbound, cpi);
        }
        free
    }

    /// Frees the label of ours that a Child SA has, if it has one.
    pub(crate) fn release(&mut self, inbound: Spi) {
        if let Some(cpi) = self.inbound.remove(&inbound) {
            self.taken.remove(&cpi);
        }
    }

    /// Whether a Child SA sends to this address with this label. The label is the receiver's choice, but one address may hide
    /// several receivers (NAT), and a data plane may tell them apart by nothing else.
    pub(crate) fn is_sent_to(&self, dst: IpAddr, cpi: Cpi) -> bool {
        self.outbound.contains_key(&(dst, cpi))
    }

    /// Notes that a Child SA does.
    pub(crate) fn note(&mut self, dst: IpAddr, labels: Option<Labels>, inbound: Spi) {
        if let Some(cpi) = labels.and_then(|labels| labels.outbound) {
            self.outbound.insert((dst, cpi), inbound);
        }
    }

    /// Forgets that a Child SA did.
    pub(crate) fn forget(&mut self, dst: IpAddr, labels: Option<Labels>, inbound: Spi) {
        if let Some(cpi) = labels.and_then(|labels| labels.outbound)
            && self.outbound.get(&(dst, cpi)) == Some(&inbound)
        {
            self.outbound.remove(&(dst, cpi));
        }
    }
}
