//! The log of the daemon as strongSwan's clients have it: lines to whoever registered for them, or waits for a command of its own.

use std::fmt;

use ravelin_control::{ClientId, Message};
use ravelin_ike::view::IkeSaView;
use ravelin_ike::{Datagram, Transmit};
use ravelin_wire::ike::header::{Header, Version};

use super::{Way, number};
use crate::daemon::core::{Core, Said};
use crate::daemon::plane::Plane;

/// Lines above this level go to nobody but the one who asked for them with a command.
const LOG_LEVEL: i64 = 1;

/// The part of the daemon that a line of the log is about, as strongSwan names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What was asked for, and configurations.
    Cfg,
    /// Messages as such.
    Enc,
    /// IKE SAs and Child SAs.
    Ike,
    /// Datagrams.
    Net,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Group::Cfg => "CFG",
            Group::Enc => "ENC",
            Group::Ike => "IKE",
            Group::Net => "NET",
        })
    }
}

/// A client whose command is under way: it is told what happens to these connections.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    level: i64,
    connections: Vec<String>,
}

impl Talk {
    pub(super) fn new(message: &Message, connections: Vec<String>) -> Result<Self, String> {
        let level = if message.text("loglevel").is_some() { number(message, "loglevel")? } else { LOG_LEVEL };
        Ok(Talk { level, connections })
    }
}

impl<P: Plane> Core<P> {
    fn is_heard(&self) -> bool {
        !self.vici.talks.is_empty() || self.vici.awaited.contains("log") || self.tap.trace.wants_lines()
    }

    /// A line of the log. `about` is the IKE SA's connection and number.
    pub(super) fn say(&mut self, group: Group, level: i64, about: Option<(&str, u64)>, text: impl FnOnce() -> String) {
        if !self.is_heard() {
            return;
        }
        let line = |threaded: bool, text: &str| {
            let mut line = Message::new().with("group", group).with("level", level);
            if threaded {
                line.put("thread", 1);
            }
            if let Some((name, id)) = about {
                line.put("ikesa-name", name);
                line.put("ikesa-uniqueid", id);
            }
            line.with("msg", text)
        };
        let text = text();
        let of = about.map(|(name, _)| format!("{name}: ")).unwrap_or_default();
        self.debug_line(&format!("{group} {of}{text}"));
        if level <= LOG_LEVEL && self.vici.awaited.contains("log") {
            self.said.push(Said::Event("log", line(true, &text)));
        }
        let concerned = |talk: &Talk| {
            level <= talk.level && about.is_none_or(|(name, _)| talk.connections.iter().any(|other| other == name))
        };
        let clients: Vec<ClientId> =
            self.vici.talks.iter().filter(|(_, talk)| concerned(talk)).map(|(id, _)| *id).collect();
        for client in clients {
            self.said.push(Said::Progress(client, "control-log", line(false, &text)));
        }
    }

    /// The command of a client has come to its end, or nobody waits for it any more.
    pub(in crate::daemon) fn talk_ended(&mut self, client: ClientId) {
        self.vici.talks.remove(&client);
    }

    /// An IKE message arrives. To be told before it is handled; the connection is that of the IKE SA it names.
    pub(in crate::daemon) fn note_received(&mut self, datagram: &Datagram<'_>) {
        let Ok((header, _)) = Header::parse(datagram.data) else { return };
        self.note_message(&header, Way::In, || {
            let (from, to, len) = (datagram.remote, datagram.local, datagram.data.len());
            format!("received packet: from {} to {} ({len} bytes)", endpoint(from), endpoint(to))
        });
    }

    /// An IKE message leaves.
    pub(in crate::daemon) fn note_sent(&mut self, transmit: &Transmit) {
        let Ok((header, _)) = Header::parse(&transmit.data) else { return };
        self.note_message(&header, Way::Out, || {
            let (from, to, len) = (transmit.local, transmit.remote, transmit.data.len());
            format!("sending packet: from {} to {} ({len} bytes)", endpoint(from), endpoint(to))
        });
    }

    fn note_message(&mut self, header: &Header, way: Way, packet: impl FnOnce() -> String) {
        let own = self.endpoint.own_spi(header);
        let about = own.and_then(|own| self.endpoint.remote_of(own)).map(|(name, id)| (name.to_owned(), id));
        self.vici.tally.message(header, way, about.as_ref().map(|(name, _)| name.as_str()));
        if !self.is_heard() {
            return;
        }
        let about = about.as_ref().map(|(name, id)| (name.as_str(), *id));
        // IKEv1 has neither.
        let kind = match (header.version, header.flags.is_response()) {
            (Version::V1, _) => "message",
            (_, true) => "response",
            (_, false) => "request",
        };
        let verb = if way == Way::In { "received" } else { "made" };
        let text = format!("{verb} {} {kind} {}", header.exchange, header.message_id);
        match way {
            Way::In => {
                self.say(Group::Net, 1, about, packet);
                self.say(Group::Enc, 1, about, || text);
            }
            Way::Out => {
                self.say(Group::Enc, 1, about, || text);
                self.say(Group::Net, 1, about, packet);
            }
        }
    }

    /// A line about an IKE SA.
    pub(super) fn say_of(&mut self, view: &IkeSaView, level: i64, text: impl FnOnce() -> String) {
        self.say(Group::Ike, level, Some((&view.remote, view.serial)), text);
    }
}

/// `192.0.2.1[500]`
fn endpoint(address: std::net::SocketAddr) -> String {
    format!("{}[{}]", address.ip(), address.port())
}
