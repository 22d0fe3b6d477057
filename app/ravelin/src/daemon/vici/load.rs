//! Commands that load and unload: connections, secrets, and what is not there yet.

use ravelin_config::swanctl::connection;
use ravelin_config::swanctl::reader::Problems;
use ravelin_config::swanctl::secrets;
use ravelin_config::swanctl::tree::{At, Named, Section, Setting, Values};
use ravelin_config::{Model, ModelError};
use ravelin_control::{Message, Value};
use ravelin_types::Instant;

use super::Answer;
use super::list::{child_name, connection_of};
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;

impl<P: Plane> Core<P> {
    pub(super) fn load_conn(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let root = section(message);
        let (mut newer, mut changed) = (self.model.clone(), false);
        for named in &root.sections {
            let mut problems = Problems::default();
            let read = connection::read(named, &mut problems);
            let why = problems.0.into_iter().next().map(|remark| remark.message);
            let connection = match (read, why) {
                (Some(connection), None) => connection,
                (_, why) => return Err(format!("{}, config discarded", why.unwrap_or_default())),
            };
            changed |= newer.load_connection(connection).map_err(|error| error.to_string())?;
        }
        if changed { self.take(newer, now) } else { Ok(Answer::Now(done())) }
    }

    pub(super) fn unload_conn(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let name = message.text("name").ok_or("unload: missing connection name")?;
        self.changed(now, |model| model.unload_connection(name)).map_err(|why| format!("unload: {why}"))
    }

    pub(super) fn get_conns(&self) -> Answer {
        let mut answer = Message::new();
        answer.put_list("conns", self.model.connections());
        Answer::Now(answer)
    }

    pub(super) fn load_shared(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let secret = secrets::message(&section(message), || self.model.unnamed_secret())?;
        let mut newer = self.model.clone();
        if newer.load_secret(secret) { self.take(newer, now) } else { Ok(Answer::Now(done())) }
    }

    pub(super) fn unload_shared(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let name = message.text("id").ok_or("missing shared key identifier")?;
        let mut newer = self.model.clone();
        match newer.unload_secret(name) {
            true => self.take(newer, now),
            false => Err(format!("shared key '{name}' not found")),
        }
    }

    pub(super) fn get_shared(&self) -> Answer {
        let mut answer = Message::new();
        answer.put_list("keys", self.model.secrets());
        Answer::Now(answer)
    }

    pub(super) fn clear_creds(&mut self, now: Instant) -> Result<Answer, String> {
        self.changed(now, |model| {
            model.clear_credentials();
            Ok(())
        })
    }

    /// Puts the policy of a child in force by itself, or no longer.
    pub(super) fn install(&mut self, message: &Message, trap: bool, now: Instant) -> Result<Answer, String> {
        let child = message.text("child").ok_or("missing configuration name")?;
        let connection = message.text("ike");
        let named = |entry: &&ravelin_config::model::PolicyEntry| {
            child_name(entry) == child && connection.is_none_or(|name| connection_of(entry) == Some(name))
        };
        let entry =
            self.model.policies().find(named).ok_or_else(|| format!("configuration name '{child}' not found"))?;
        if trap && entry.spec.local.is_empty() | entry.spec.remote.is_empty() {
            return Err(format!("'{child}' has a dynamic selector whose address is not known without an SA"));
        }
        let (id, stands) = (entry.id, entry.stands());
        if !trap && !stands {
            return Err(format!("policy '{child}' not found"));
        }
        self.changed(now, |model| {
            model.set_trap(id, trap);
            Ok(())
        })
    }

    pub(super) fn changed(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut Model) -> Result<(), ModelError>,
    ) -> Result<Answer, String> {
        let mut newer = self.model.clone();
        change(&mut newer).map_err(|error| error.to_string())?;
        self.take(newer, now)
    }

    pub(super) fn take(&mut self, newer: Model, now: Instant) -> Result<Answer, String> {
        self.adopt(newer, now).map_err(|refused| refused.why)?;
        Ok(Answer::Now(done()))
    }
}

/// A message as the sections that `swanctl.conf` has. Of several values of one name the first counts.
pub(super) fn section(message: &Message) -> Section {
    let at = At::message();
    let mut section = Section::default();
    for (name, value) in message.items() {
        let values = match value {
            Value::Data(data) => Values::One(data.clone()),
            Value::List(items) => Values::List(items.clone()),
            Value::Section(inner) => {
                let inner = self::section(inner);
                section.sections.push(Named { name: name.to_owned(), at: at.clone(), section: inner });
                continue;
            }
        };
        section.settings.push(Setting { name: name.to_owned(), values, at: at.clone() });
    }
    section
}
