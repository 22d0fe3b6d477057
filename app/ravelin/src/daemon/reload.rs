//! The configuration read again, all of it or nothing, with the difference shown.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ravelin_config::command::ReloadArgs;
use ravelin_config::rc::{self, Later, Loaded};
use ravelin_config::remark::FileError;
use ravelin_config::{Model, swanctl};
use ravelin_control::Message;
use ravelin_types::Instant;

use super::core::Core;
use super::listings::report;
use super::plane::Plane;
use super::waiting::done;

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
    pub fn load(&self) -> Result<Loaded, FileError> {
        let model = if self.test_bypass { Model::new().with_test_bypass() } else { Model::new() };
        let mut loaded = match &self.rc {
            Some(path) => rc::load(path, &model)?,
            None => Loaded { model, notes: Vec::new(), commands: Vec::new() },
        };

        if let Some(path) = &self.swanctl {
            let conf = swanctl::load(path, &loaded.model, &is_own)?;
            loaded.model = conf.model;
            loaded.notes.extend(conf.notes);
        }
        Ok(loaded)
    }
}

/// Whether an address is of this host, as far as the kernel says.
pub fn is_own(address: IpAddr) -> bool {
    ravelin_host::device_of(address).is_ok_and(|device| device.is_some())
}

impl<P: Plane> Core<P> {
    /// The files that are read again, and what they ask for besides the configuration.
    pub fn started_with(&mut self, files: Files, commands: Vec<Later>, now: Instant) {
        self.files = files;
        self.carry_out_later(commands, now);
    }

    /// Carries out `ike reload`.
    pub(super) fn reload(&mut self, args: &ReloadArgs, now: Instant) -> Result<Message, String> {
        let loaded = match &args.file {
            Some(file) => swanctl::load(file, &self.model, &is_own).map_err(|error| error.to_string())?,
            None if self.files.rc.is_none() && self.files.swanctl.is_none() => {
                return Err("the daemon was started without a file: name one (ravelin reload FILE)".to_owned());
            }
            None => {
                let loaded = self.files.load().map_err(|error| error.to_string())?;
                Loaded { model: self.model.renumbered(loaded.model).map_err(|error| error.to_string())?, ..loaded }
            }
        };
        self.put_in_force(loaded, args.dry_run, now)
    }

    /// Carries out `call`: what configures is in force then, the other commands are the caller's.
    pub(super) fn call(&mut self, file: &Path, now: Instant) -> Result<Message, String> {
        let loaded = rc::load(file, &self.model).map_err(|error| error.to_string())?;
        let commands = loaded.commands.clone();
        let later = commands.iter().map(|later| {
            let directory = later.file.parent().unwrap_or(Path::new("/"));
            let mut command = Message::new().with("place", later.at()).with("cwd", directory.display());
            command.put_list("argv", &later.arguments);
            command
        });
        let mut answer = self.put_in_force(Loaded { commands: Vec::new(), ..loaded }, false, now)?;
        answer.put_section("commands", report::numbered(later));
        Ok(answer)
    }

    fn put_in_force(&mut self, loaded: Loaded, dry_run: bool, now: Instant) -> Result<Message, String> {
        let Loaded { model: newer, notes, commands } = loaded;
        let (changes, advice) = (self.model.changes(&newer), newer.advice_since(&self.model));
        if !dry_run {
            self.adopt(newer, now).map_err(|refused| refused.why)?;
            self.carry_out_later(commands, now);
        }
        let mut answer = done();
        answer.put_list("notes", notes.iter().map(ToString::to_string).chain(advice));
        answer.put_list("changes", changes);
        Ok(answer)
    }
}
