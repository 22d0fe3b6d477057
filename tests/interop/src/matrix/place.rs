//! Modes and address families.

use std::fmt;
use std::net::IpAddr;

use ravelin_types::policy::Mode;

/// Where packets go, and in what mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Transport or tunnel.
    pub mode: Mode,
    /// The payload's family is IPv6.
    inner6: bool,
    /// The family between the two hosts is IPv6.
    outer6: bool,
}

impl Place {
    /// Every mode with every mix of families that it allows.
    pub fn all() -> Vec<Place> {
        let place = |mode, inner6, outer6| Place { mode, inner6, outer6 };
        vec![
            place(Mode::Transport, false, false),
            place(Mode::Tunnel, false, false),
            place(Mode::Transport, true, true),
            place(Mode::Tunnel, true, true),
            place(Mode::Tunnel, false, true),
            place(Mode::Tunnel, true, false),
        ]
    }

    /// The ends of the SAs: ours, then the kernel's.
    pub fn outer(&self) -> (IpAddr, IpAddr) {
        if self.outer6 {
            ([0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1].into(), [0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 2].into())
        } else {
            ([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
        }
    }

    /// The ends of the payload: ours, then the kernel's.
    pub fn inner(&self) -> (IpAddr, IpAddr) {
        match (self.mode, self.inner6) {
            (Mode::Transport, _) => self.outer(),
            (Mode::Tunnel, false) => ([10, 1, 0, 1].into(), [10, 2, 0, 1].into()),
            (Mode::Tunnel, true) => {
                ([0x2001, 0xdb8, 1, 0, 0, 0, 0, 1].into(), [0x2001, 0xdb8, 2, 0, 0, 0, 0, 1].into())
            }
        }
    }

    /// Whether the families differ.
    pub fn mixed(&self) -> bool {
        self.inner6 != self.outer6
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |is6| if is6 { 6 } else { 4 };
        match self.mode {
            Mode::Transport => write!(f, "transport-{}", digit(self.outer6)),
            Mode::Tunnel => write!(f, "tunnel-{}in{}", digit(self.inner6), digit(self.outer6)),
        }
    }
}
