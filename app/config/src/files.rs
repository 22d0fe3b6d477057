//! Files of any syntax, told apart by their names.

use std::path::Path;

use crate::model::Model;
use crate::rc::{self, Loaded};
use crate::remark::FileError;
use crate::swanctl;

/// Reads a file and applies it to a copy of `model`: one whose name ends with `.conf` is a `swanctl.conf` and takes the
/// place of everything that was loaded before, any other is a list of command lines.
///
/// # Errors
/// When it cannot be read, or something in it is wrong or not supported.
pub fn load(path: &Path, model: &Model) -> Result<Loaded, FileError> {
    match path.extension().is_some_and(|extension| extension == "conf") {
        true => Ok(Loaded { model: swanctl::load(path, model)?, notes: Vec::new(), commands: Vec::new() }),
        false => rc::load(path, model),
    }
}
