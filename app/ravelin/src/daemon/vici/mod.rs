//! The commands and events of VICI, as strongSwan publishes them, so that `swanctl` and everything else that speaks it
//! works with this daemon.
//!
//! ```text
//! Request ──► Core::vici ──┬── list.rs: list-sas, list-conns, ... as streams of events (sections: show.rs, connections.rs)
//!                          ├── load.rs, papers.rs, pools.rs: connections, secrets, certificates, pools into the model
//!                          ├── act.rs: initiate, terminate, rekey, ... (answers come with waiting.rs)
//!                          └── tally.rs: get-counters
//! Event of IKE, message that goes by ──► events.rs, log.rs, alert.rs ──► ike-updown, child-updown, ..., log, control-log, alert
//! ```
//! A connection is a remote of the model, its children are the policies that name it.

mod act;
mod alert;
mod connections;
mod date;
mod events;
mod list;
mod load;
mod log;
pub(super) mod names;
mod papers;
mod pools;
mod show;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use ravelin_control::{ClientId, DEBUG_EVENT, Lost, Message, Request};
use ravelin_types::{Instant, Spi};

use super::core::Core;
use super::plane::Plane;
use super::waiting::{done, failed};

pub use date::time_of_day;
pub use log::Group;
pub use tally::Way;

/// What clients can register for.
pub const EVENTS: &[&str] = &[
    "log",
    "control-log",
    "list-sa",
    "list-policy",
    "list-conn",
    "list-cert",
    "list-authority",
    "ike-updown",
    "ike-rekey",
    "ike-update",
    "child-updown",
    "child-rekey",
    "alert",
    // Ours: what `ike debug` shows.
    DEBUG_EVENT,
];

/// The command that loads a connection.
pub const LOAD_CONNECTION: &str = "load-conn";

/// The answer to a command.
pub(super) enum Answer {
    /// At once.
    Now(Message),
    /// When something has happened.
    Later,
    /// A run of this event, then an empty reply.
    Stream(&'static str, Vec<Message>),
}

/// What only VICI needs to know.
#[derive(Debug, Default)]
pub struct Vici {
    /// Events that somebody has registered for.
    awaited: BTreeSet<&'static str>,
    /// Who is told the progress of a command.
    talks: BTreeMap<ClientId, log::Talk>,
    /// A number for each Child SA, by its inbound SPI.
    children: BTreeMap<Spi, u32>,
    next_child: u32,
    seen: events::Seen,
    tally: tally::Tally,
    /// When the daemon was started, as a text.
    since: String,
    /// Events that clients did not get.
    lost: Lost,
}

impl Vici {
    /// What was counted for one connection.
    pub(super) fn counted(&self, connection: &str) -> Message {
        self.tally.of(connection)
    }

    /// The number of a Child SA: given out when it is first seen.
    fn child_id(&mut self, inbound: Spi) -> u32 {
        *self.children.entry(inbound).or_insert_with(|| {
            self.next_child += 1;
            self.next_child
        })
    }
}

impl<P: Plane> Core<P> {
    /// Carries out a command. `None`: there is none of this name.
    pub(super) fn vici(&mut self, request: &Request, now: Instant) -> Option<Answer> {
        let message = &request.message;
        let answer = match request.name.as_str() {
            "version" => Ok(Answer::Now(version())),
            "stats" => Ok(Answer::Now(self.stats(now))),
            "reload-settings" => Ok(Answer::Now(done())),
            "list-sas" => Ok(self.list_sas(message, now)),
            "list-conns" => Ok(self.list_conns(message)),
            "list-policies" => Ok(self.list_policies(message)),
            "get-algorithms" => Ok(Answer::Now(list::algorithms(&self.crypto))),
            "get-counters" => self.get_counters(message),
            "reset-counters" => self.reset_counters(message),
            "initiate" => self.vici_initiate(request.client, message, now),
            "terminate" => self.vici_terminate(request.client, message, now),
            "rekey" => self.vici_rekey(message, now),
            "install" => self.install(message, true, now),
            "uninstall" => self.install(message, false, now),
            LOAD_CONNECTION => self.load_conn(message, now),
            "unload-conn" => self.unload_conn(message, now),
            "get-conns" => Ok(self.get_conns()),
            "load-shared" => self.load_shared(message, now),
            "unload-shared" => self.unload_shared(message, now),
            "get-shared" => Ok(self.get_shared()),
            "clear-creds" => self.clear_creds(now),
            "load-cert" => self.load_cert(message, now),
            "load-key" => self.load_key(message, now),
            "unload-key" => self.unload_key(message, now),
            "get-keys" => Ok(self.get_keys()),
            "list-certs" => self.list_certs(message),
            "flush-certs" => self.flush_certs(message),
            "load-authority" => self.load_authority(message, now),
            "unload-authority" => self.unload_authority(message, now),
            "get-authorities" => Ok(self.get_authorities()),
            "list-authorities" => Ok(self.list_authorities(message)),
            "load-pool" => self.load_pool(message, now),
            "unload-pool" => self.unload_pool(message, now),
            "get-pools" => Ok(self.get_pools(message)),
            "load-token" => self.load_token(message, now),
            "redirect" => self.vici_redirect(message, now),
            _ => return None,
        };
        Some(answer.unwrap_or_else(|why| Answer::Now(failed(why))))
    }

    /// Tells since when the daemon runs, as the operator's clock says.
    pub fn started_at(&mut self, since: String) {
        self.vici.since = since;
    }

    /// The events that somebody has registered for.
    pub fn awaited(&mut self, events: BTreeSet<&'static str>) {
        self.vici.awaited = events;
    }

    /// How many events clients did not get up to now. Those that no packet holds are a line of the log, since nobody else
    /// hears of them.
    pub fn events_lost(&mut self, lost: Lost) {
        let more = lost.too_long.saturating_sub(self.vici.lost.too_long);
        if more > 0 {
            tracing::warn!(events = more, "an event for VICI clients is longer than a packet may be and was left out");
        }
        self.vici.lost = lost;
    }

    fn stats(&mut self, now: Instant) -> Message {
        let ike_sas = self.endpoint.ike_sas();
        let half_open = ike_sas.iter().filter(|sa| matches!(sa.state, "IKE_SA_INIT" | "IKE_AUTH")).count();
        let running = format!("{} seconds", now.since(self.started).as_secs());
        let mut stats = Message::new();
        let uptime = Message::new().with("running", running).with("since", &self.vici.since);
        stats.put_section("uptime", uptime);
        // One thread waits for everything; those of the data plane carry packets alone.
        let none = || Message::new().with("critical", 0).with("high", 0).with("medium", 0).with("low", 0);
        let mut workers = Message::new().with("total", 1).with("idle", 0);
        workers
            .put_section("active", Message::new().with("critical", 1).with("high", 0).with("medium", 0).with("low", 0));
        stats.put_section("workers", workers);
        stats.put_section("queues", none());
        stats.put("scheduled", self.scheduled());
        stats.put_section("ikesas", Message::new().with("total", ike_sas.len()).with("half-open", half_open));
        stats.put_list("plugins", ["ravelin", self.crypto.name, self.packets, "vici"]);
        let ciphers = Message::new().with("ike", self.crypto.name).with("packets", self.packets);
        stats.put_section("ciphers", ciphers);
        stats.put_section("counters", self.counters());
        stats.put_section("ike-counters", self.ike_counters());
        let Lost { unread, too_long } = self.vici.lost;
        stats.put_section("events-lost", Message::new().with("unread", unread).with("too-long", too_long));
        stats
    }

    fn get_counters(&self, message: &Message) -> Result<Answer, String> {
        let (name, all) = (message.text("name"), yes(message, "all"));
        let rows = self.vici.tally.rows(name, all, &self.endpoint.counters());
        let rows = rows.ok_or_else(|| format!("no counters found for '{}'", name.unwrap_or_default()))?;
        let mut answer = Message::new();
        answer.put_section("counters", rows);
        Ok(Answer::Now(answer.with("success", "yes")))
    }

    fn reset_counters(&mut self, message: &Message) -> Result<Answer, String> {
        let (name, all) = (message.text("name"), yes(message, "all"));
        match self.vici.tally.reset(name, all, &self.endpoint.counters()) {
            true => Ok(Answer::Now(done())),
            false => Err(format!("no counters found for '{}'", name.unwrap_or_default())),
        }
    }
}

fn version() -> Message {
    let system = rustix::system::uname();
    Message::new()
        .with("daemon", "ravelin")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("sysname", system.sysname().to_string_lossy())
        .with("release", system.release().to_string_lossy())
        .with("machine", system.machine().to_string_lossy())
}

/// Whether a flag is set. Clients of strongSwan write `yes`, `true`, `enabled` or `1`.
fn yes(message: &Message, name: &str) -> bool {
    let value = message.text(name).unwrap_or_default();
    ["yes", "true", "enabled", "1"].iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// A number of the message; 0 when there is none.
///
/// # Errors
/// When it is no number.
fn number(message: &Message, name: &str) -> Result<i64, String> {
    match message.text(name) {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| format!("invalid value for: {name}, expected a number")),
    }
}
