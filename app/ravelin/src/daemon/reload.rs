//! The configuration read again, all of it or nothing, with the difference shown.

use std::path::{Path, PathBuf};

use ravelin_config::rc::{self, Loaded, RcError};
use ravelin_config::{Model, swanctl};
use ravelin_control::Message;
use ravelin_types::Instant;

use super::core::Core;
use super::plane::Plane;
use super::waiting::{done, failed};

/// The files that a daemon is started with.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Lines of commands.
    pub rc: Option<PathBuf>,
    /// In the syntax of strongSwan.
    pub swanctl: Option<PathBuf>,
    /// Behind all policies everything passes, for tests.
    pub test_bypass: bool,
}

impl Files {
    /// The model that they make from nothing.
    ///
    /// # Errors
    /// When one cannot be read, or something in it is wrong.
    pub fn load(&self) -> Result<Loaded, RcError> {
        let model = if self.test_bypass { Model::new().with_test_bypass() } else { Model::new() };
        let mut loaded = match &self.rc {
            Some(path) => rc::load(path, &model)?,
            None => Loaded { model, notes: Vec::new() },
        };

        if let Some(path) = &self.swanctl {
            loaded.model = swanctl::load(path, &loaded.model)?;
        }
        Ok(loaded)
    }
}

impl<P: Plane> Core<P> {
    /// The files that are read again.
    pub fn started_with(&mut self, files: Files) {
        self.files = files;
    }

    /// Carries out [`ravelin_control::RELOAD`].
    pub(super) fn reload(&mut self, message: &Message, now: Instant) -> Message {
        let file = message.text("file").map(Path::new);
        self.reloaded(file, message.text("dry-run") == Some("yes"), now).unwrap_or_else(failed)
    }

    fn reloaded(&mut self, file: Option<&Path>, dry_run: bool, now: Instant) -> Result<Message, String> {
        let (newer, notes) = match file {
            Some(file) => (swanctl::load(file, &self.model).map_err(|error| error.to_string())?, Vec::new()),
            None if self.files.rc.is_none() && self.files.swanctl.is_none() => {
                return Err("the daemon was started without a file; name one".to_owned());
            }
            None => {
                let loaded = self.files.load().map_err(|error| error.to_string())?;
                (self.model.renumbered(loaded.model).map_err(|error| error.to_string())?, loaded.notes)
            }
        };
        let changes = self.model.changes(&newer);
        if !dry_run {
            self.adopt(newer, now).map_err(|refused| refused.why)?;
        }
        let mut answer = done();
        answer.put_list("notes", notes);
        answer.put_list("changes", changes);
        Ok(answer)
    }
}
