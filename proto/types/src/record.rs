//! What must survive a crash, and the store that keeps it.

use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

/// One line of the log that a daemon replays at its next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A change to the system is about to be made; undo it at the next start unless [`Record::Undone`] follows.
    Changing(SystemChange),
    /// The change was undone.
    Undone(SystemChange),
}

/// Something a daemon puts into the system around it and takes out when it stops.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemChange {
    /// A table of the packet filter, by family `inet` and this name.
    FilterTable(String),
    /// An internal address that a peer gave to this host, with the routes and rules that go with it.
    Address {
        /// The device that has it.
        device: String,
        /// The address.
        address: IpAddr,
    },
    /// All routing rules with this priority that lead to this table, IPv4 and IPv6.
    RoutingRules {
        /// The rule priority.
        priority: u32,
        /// The routing table.
        table: u32,
    },
}

/// A log that is durable on return from `append`.
pub trait Store {
    /// Adds one record.
    ///
    /// # Errors
    /// When the record could not be made durable.
    fn append(&mut self, record: &Record) -> Result<(), StoreError>;

    /// Hands every record to `each`, oldest first. A torn last record (the process died while writing) is left out.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged before its end.
    fn load(&mut self, each: &mut dyn FnMut(Record)) -> Result<(), StoreError>;
}

/// Why a store failed: the file, what was tried, and the system's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for StoreError {}
