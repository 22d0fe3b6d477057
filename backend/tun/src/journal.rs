//! Changes to the system that outlive the process: noted in the store before they are made and after they are undone,
//! so that a killed daemon leaves nothing behind for longer than until its next start.
//!
//! The device, its routes and the sockets need no note: the kernel removes them with the process.

use ravelin_types::record::{Record, Store, SystemChange};

use crate::error::Error;
use crate::netlink::Netlink;
use crate::nft;

/// Undoes what a daemon that was killed left in this network namespace, as its store tells. Call it before
/// [`TunDataPlane::start`](crate::TunDataPlane::start). Returns one line for each change undone.
///
/// # Errors
/// When the store cannot be read or a change cannot be undone.
pub fn undo_leftovers(store: &mut dyn Store) -> Result<Vec<String>, Error> {
    let mut outstanding: Vec<SystemChange> = Vec::new();
    store.load(&mut |record| match record {
        // Whoever put them there takes them away.
        Record::Changing(SystemChange::Address { .. }) => {}
        Record::Changing(change) => {
            outstanding.retain(|other| *other != change);
            outstanding.push(change);
        }
        Record::Undone(change) => outstanding.retain(|other| *other != change),
    })?;
    let mut undone = Vec::new();
    // The newest first: the capture ends before the guard falls.
    for change in outstanding.into_iter().rev() {
        undone.extend(undo(&change)?);
        store.append(&Record::Undone(change))?;
    }
    Ok(undone)
}

/// Undoes one change, as often as it is called. A line that says what was found, or nothing.
pub(crate) fn undo(change: &SystemChange) -> Result<Option<String>, Error> {
    match change {
        SystemChange::Address { .. } => Ok(None),
        SystemChange::FilterTable(table) => {
            let found = nft::delete_table(table)?;
            Ok(found.then(|| format!("removed the packet filter table inet {table}")))
        }
        SystemChange::RoutingRules { priority, table } => {
            let delete = || {
                let mut netlink = Netlink::open()?;
                Ok(netlink.delete_rules(true, *priority, *table)? + netlink.delete_rules(false, *priority, *table)?)
            };
            let found = delete().map_err(|error: std::io::Error| {
                Error::system(format!("remove the routing rules of priority {priority} to table {table}"), error)
            })?;
            Ok((found > 0).then(|| format!("removed {found} routing rules of priority {priority} to table {table}")))
        }
    }
}
