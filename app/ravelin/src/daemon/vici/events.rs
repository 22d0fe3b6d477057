//! What happens, told to whoever registered for it.

use std::fmt;

use ravelin_control::{ClientId, Message};
use ravelin_ike::explain::Failure;
use ravelin_ike::view::{ChildSaView, IkeSaView};
use ravelin_ike::{Datagram, Event, Transmit};
use ravelin_types::dataplane::{DataPlaneOp, SaStatus};
use ravelin_types::{IkeSpi, Instant, Spi};
use ravelin_wire::ike::header::{Header, Version};

use super::show::{self, Sas};
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

/// The last that was seen of SAs: when they are gone, this is what can be told of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ike: std::collections::BTreeMap<(IkeSpi, IkeSpi), IkeSaView>,
    children: std::collections::BTreeMap<Spi, (ChildSaView, (IkeSpi, IkeSpi))>,
    /// With the last counters.
    sas: Vec<SaStatus>,
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

    /// SAs are about to be deleted: their counters are read for the last time.
    pub(in crate::daemon) fn note_last_counters(&mut self, op: &DataPlaneOp) {
        if let DataPlaneOp::DeleteSa(id) = op
            && self.vici.awaited.contains("child-updown")
        {
            self.vici.seen.sas.extend(self.plane.sa(*id));
        }
    }

    /// Tells what IKE has to tell.
    pub(in crate::daemon) fn vici_event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::IkeUp { spis, .. } => {
                let Some(view) = self.see(*spis) else { return };
                let (local, peer) = (view.local.ip(), view.peer.ip());
                let ids = show::identities(&view);
                self.say_of(&view, 0, || {
                    format!(
                        "IKE_SA {}[{}] established between {local}[{}]...{peer}[{}]",
                        view.remote, view.serial, ids.0, ids.1
                    )
                });
                self.updown("ike-updown", true, &view, None, now);
            }
            Event::IkeRekeyed { old, new, .. } => {
                let Some(view) = self.see(*new) else { return };
                self.vici.tally.ike_rekeyed(&view.remote, view.initiator);
                self.say_of(&view, 0, || format!("IKE_SA {}[{}] rekeyed", view.remote, view.serial));
                if let Some(before) = self.vici.seen.ike.get(old)
                    && self.vici.awaited.contains("ike-rekey")
                {
                    let mut both = Message::new();
                    both.put_section("old", show::ike_sa(before, now));
                    both.put_section("new", show::ike_sa(&view, now));
                    let mut message = Message::new();
                    message.put_section(&view.remote, both);
                    self.said.push(Said::Event("ike-rekey", message));
                }
            }
            Event::IkeMoved { spis, local, peer, .. } => {
                let before = self.vici.seen.ike.get(spis).cloned();
                let Some(view) = self.see(*spis) else { return };
                self.say_of(&view, 0, || {
                    format!("IKE_SA {}[{}] goes on between {local}...{peer}", view.remote, view.serial)
                });
                if let Some(before) = before.filter(|_| self.vici.awaited.contains("ike-update")) {
                    let mut message = Message::new();
                    for (name, end) in [("local", local), ("remote", peer)] {
                        message.put(&format!("{name}-host"), end.ip());
                        message.put(&format!("{name}-port"), end.port());
                    }
                    message.put_section(&view.remote, show::ike_sa(&before, now));
                    self.said.push(Said::Event("ike-update", message));
                }
            }
            Event::IkeDown { spis, reason, .. } => {
                let Some(view) = self.vici.seen.ike.remove(spis) else { return };
                let why = crate::daemon::core::reason_text(*reason);
                self.say_of(&view, 0, || format!("IKE_SA {}[{}] is gone: {why}", view.remote, view.serial));
                self.alert_end(*reason, &view, now);
                if *reason != ravelin_ike::output::DownReason::Replaced {
                    let view = IkeSaView { state: "DELETING", ..view };
                    self.updown("ike-updown", false, &view, None, now);
                }
            }
            // The listings have the addresses.
            Event::Granted { .. }
            | Event::GrantEnded { .. }
            | Event::GatewaySilent { .. }
            | Event::HostFound { .. }
            | Event::HostNotFound { .. }
            | Event::Redirected { .. } => {}
            // The new one came up before, and the old one goes.
            Event::IkeReauthenticated { .. } => {}
            Event::ChildUp { inbound, .. } => {
                let Some((view, child)) = self.see_child(*inbound) else { return };
                let (name, id) = (self.child_name_of(child.policy), self.vici.child_id(*inbound));
                let text = child_text(&name, id, &child);
                self.say_of(&view, 0, || format!("{text} established"));
                self.updown("child-updown", true, &view, Some(&child), now);
            }
            Event::ChildRekeyed { old, inbound, .. } => {
                let Some((view, child)) = self.see_child(*inbound) else { return };
                self.vici.tally.child_rekeyed(&view.remote);
                let (name, id) = (self.child_name_of(child.policy), self.vici.child_id(*inbound));
                let text = child_text(&name, id, &child);
                self.say_of(&view, 0, || format!("{text} established in place of {:08x}_i", old.0));
                if self.vici.awaited.contains("child-rekey")
                    && let Some((before, _)) = self.vici.seen.children.get(old).cloned()
                {
                    let sas = Sas::new(self.plane.list());
                    let old_id = self.vici.child_id(*old);
                    let mut both = Message::new();
                    both.put_section("old", show::child_sa(&before, &name, old_id, &sas, now));
                    both.put_section("new", show::child_sa(&child, &name, id, &sas, now));
                    let mut children = Message::new();
                    children.put_section(&format!("{name}-{old_id}"), both);
                    self.tell_children("child-rekey", None, &view, children, now);
                }
            }
            Event::ChildDown { inbound, reason, .. } => {
                let Some((child, spis)) = self.vici.seen.children.remove(inbound) else { return };
                let view = self.endpoint_view(spis).or_else(|| self.vici.seen.ike.get(&spis).cloned());
                if let Some(view) = view {
                    let (name, id) = (self.child_name_of(child.policy), self.vici.child_id(*inbound));
                    let why = crate::daemon::core::reason_text(*reason);
                    self.say_of(&view, 1, || format!("CHILD_SA {name}{{{id}}} closed: {why}"));
                    if *reason != ravelin_ike::output::DownReason::Replaced {
                        self.updown("child-updown", false, &view, Some(&child), now);
                    }
                }
                self.vici.seen.sas.retain(|sa| ![sa.params.spi, sa.params.pair].contains(inbound));
                self.vici.children.remove(inbound);
            }
            Event::Failed(failure) => {
                self.alert_failure(failure);
                self.say_failure(failure);
            }
            Event::OutsideSelectors(failure) => self.say_failure(failure),
        }
    }

    fn say_failure(&mut self, failure: &Failure) {
        self.say(Group::Ike, 1, failure.remote.as_deref().map(|name| (name, 0)), || failure.to_string());
    }

    fn say_of(&mut self, view: &IkeSaView, level: i64, text: impl FnOnce() -> String) {
        self.say(Group::Ike, level, Some((&view.remote, view.serial)), text);
    }

    pub(in crate::daemon) fn endpoint_view(&self, spis: (IkeSpi, IkeSpi)) -> Option<IkeSaView> {
        let views = [spis.0, spis.1].into_iter().filter_map(|spi| self.endpoint.ike_sa(spi));
        views.into_iter().find(|view| view.spis == spis)
    }

    /// Looks at an IKE SA and remembers what it sees.
    fn see(&mut self, spis: (IkeSpi, IkeSpi)) -> Option<IkeSaView> {
        let view = IkeSaView { children: Vec::new(), ..self.endpoint_view(spis)? };
        self.vici.seen.ike.insert(spis, view.clone());
        Some(view)
    }

    fn see_child(&mut self, inbound: Spi) -> Option<(IkeSaView, ChildSaView)> {
        let view = self.endpoint.ike_sa_of(inbound)?;
        let child = view.children.iter().find(|child| child.inbound == inbound)?.clone();
        self.vici.seen.children.insert(inbound, (child.clone(), view.spis));
        Some((IkeSaView { children: Vec::new(), ..view }, child))
    }

    fn updown(&mut self, event: &'static str, up: bool, view: &IkeSaView, child: Option<&ChildSaView>, now: Instant) {
        if !self.vici.awaited.contains(event) {
            return;
        }
        let mut children = Message::new();
        if let Some(child) = child {
            let (name, id) = (self.child_name_of(child.policy), self.vici.child_id(child.inbound));
            let sas: Vec<SaStatus> = match up {
                true => self.plane.list(),
                false => self.vici.seen.sas.clone(),
            };
            let shown = show::child_sa(child, &name, id, &Sas::new(sas), now);
            children.put_section(&format!("{name}-{id}"), shown);
        }
        self.tell_children(event, up.then_some("yes"), view, children, now);
    }

    fn tell_children(
        &mut self,
        event: &'static str,
        up: Option<&str>,
        view: &IkeSaView,
        children: Message,
        now: Instant,
    ) {
        let mut shown = show::ike_sa(view, now);
        if event.starts_with("child") {
            shown.put_section("child-sas", children);
        }
        let mut message = Message::new();
        if let Some(up) = up {
            message.put("up", up);
        }
        message.put_section(&view.remote, shown);
        self.said.push(Said::Event(event, message));
    }
}

/// `CHILD_SA net{1} with SPIs ..._i ..._o and TS ... === ...`
fn child_text(name: &str, id: u32, child: &ChildSaView) -> String {
    let list = |selectors: &[ravelin_types::selector::TrafficSelector]| {
        selectors.iter().map(super::names::selector).collect::<Vec<_>>().join(" ")
    };
    format!(
        "CHILD_SA {name}{{{id}}} with SPIs {:08x}_i {:08x}_o and TS {} === {}",
        child.inbound.0,
        child.outbound.0,
        list(&child.local_ts),
        list(&child.remote_ts)
    )
}

/// `192.0.2.1[500]`
fn endpoint(address: std::net::SocketAddr) -> String {
    format!("{}[{}]", address.ip(), address.port())
}
