//! Files of any syntax, told apart by their names.

use std::net::IpAddr;
use std::path::Path;

use crate::model::Model;
use crate::rc::{self, Loaded};
use crate::remark::FileError;
use crate::swanctl;

/// Reads a file and applies it to a copy of `model`: one whose name ends with `.conf` is a `swanctl.conf` and takes the
/// place of everything that was loaded before, any other is a list of command lines. `own` says whether an address is of this host.
///
/// # Errors
/// When it cannot be read, or something in it is wrong or not supported.
pub fn load(path: &Path, model: &Model, own: &dyn Fn(IpAddr) -> bool) -> Result<Loaded, FileError> {
    match path.extension().is_some_and(|extension| extension == "conf") {
        true => swanctl::load(path, model, own),
        false => rc::load(path, model),
    }
}
