//! What happens, told to whoever registered for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ravelin_control::Message;
use ravelin_ike::Event;
use ravelin_ike::explain::Failure;
use ravelin_ike::output::DownReason;
use ravelin_ike::view::{ChildSaView, IkeSaView};
use ravelin_types::dataplane::{DataPlaneOp, SaStatus};
use ravelin_types::{IkeSpi, Instant, Spi};

use super::log::Group;
use super::show::{self, Sas};
use crate::daemon::core::{Core, Said, reason_text};
use crate::daemon::plane::Plane;

/// The SPIs of an IKE SA, those of its original initiator first.
type Spis = (IkeSpi, IkeSpi);

/// The last that was seen of SAs: when they are gone, this is what can be told of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ike: BTreeMap<Spis, IkeSaView>,
    children: BTreeMap<Spi, (ChildSaView, Spis)>,
    /// With the last counters.
    sas: Vec<SaStatus>,
}

impl<P: Plane> Core<P> {
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
            Event::IkeUp { spis, .. } => self.ike_up(*spis, now),
            Event::IkeRekeyed { old, new, .. } => self.ike_rekeyed(*old, *new, now),
            Event::IkeMoved { spis, local, peer, .. } => self.ike_moved(*spis, [*local, *peer], now),
            Event::IkeDown { spis, reason, .. } => self.ike_down(*spis, *reason, now),
            Event::ChildUp { inbound, .. } => self.child_up(*inbound, now),
            Event::ChildRekeyed { old, inbound, .. } => self.child_rekeyed(*old, *inbound, now),
            Event::ChildDown { inbound, reason, .. } => self.child_down(*inbound, *reason, now),
            // The listings have the addresses.
            Event::Granted { .. }
            | Event::GrantEnded { .. }
            | Event::GatewaySilent { .. }
            | Event::HostFound { .. }
            | Event::HostNotFound { .. }
            | Event::Redirected { .. } => {}
            // The new one came up before, and the old one goes.
            Event::IkeReauthenticated { .. } => {}
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

    fn ike_up(&mut self, spis: Spis, now: Instant) {
        let Some(view) = self.see(spis) else { return };
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

    fn ike_rekeyed(&mut self, old: Spis, new: Spis, now: Instant) {
        let Some(view) = self.see(new) else { return };
        self.vici.tally.ike_rekeyed(&view.remote, view.initiator);
        self.say_of(&view, 0, || format!("IKE_SA {}[{}] rekeyed", view.remote, view.serial));
        if let Some(before) = self.vici.seen.ike.get(&old)
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

    /// `ends` are ours and the peer's, as they are now.
    fn ike_moved(&mut self, spis: Spis, ends: [SocketAddr; 2], now: Instant) {
        let before = self.vici.seen.ike.get(&spis).cloned();
        let Some(view) = self.see(spis) else { return };
        let [local, peer] = ends;
        self.say_of(&view, 0, || format!("IKE_SA {}[{}] goes on between {local}...{peer}", view.remote, view.serial));
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

    fn ike_down(&mut self, spis: Spis, reason: DownReason, now: Instant) {
        let Some(view) = self.vici.seen.ike.remove(&spis) else { return };
        let why = reason_text(reason);
        self.say_of(&view, 0, || format!("IKE_SA {}[{}] is gone: {why}", view.remote, view.serial));
        self.alert_end(reason, &view, now);
        if reason != DownReason::Replaced {
            let view = IkeSaView { state: "DELETING", ..view };
            self.updown("ike-updown", false, &view, None, now);
        }
    }

    fn child_up(&mut self, inbound: Spi, now: Instant) {
        let Some((view, child)) = self.see_child(inbound) else { return };
        let (name, id) = (self.child_name_of(child.policy), self.vici.child_id(inbound));
        let text = child_text(&name, id, &child);
        self.say_of(&view, 0, || format!("{text} established"));
        self.updown("child-updown", true, &view, Some(&child), now);
    }

    fn child_rekeyed(&mut self, old: Spi, inbound: Spi, now: Instant) {
        let Some((view, child)) = self.see_child(inbound) else { return };
        self.vici.tally.child_rekeyed(&view.remote);
        let (name, id) = (self.child_name_of(child.policy), self.vici.child_id(inbound));
        let text = child_text(&name, id, &child);
        self.say_of(&view, 0, || format!("{text} established in place of {:08x}_i", old.0));
        if self.vici.awaited.contains("child-rekey")
            && let Some((before, _)) = self.vici.seen.children.get(&old).cloned()
        {
            let sas = Sas::new(self.plane.list());
            let old_id = self.vici.child_id(old);
            let mut both = Message::new();
            both.put_section("old", show::child_sa(&before, &name, old_id, &sas, now));
            both.put_section("new", show::child_sa(&child, &name, id, &sas, now));
            let mut children = Message::new();
            children.put_section(&format!("{name}-{old_id}"), both);
            self.tell_children("child-rekey", None, &view, children, now);
        }
    }

    fn child_down(&mut self, inbound: Spi, reason: DownReason, now: Instant) {
        let Some((child, spis)) = self.vici.seen.children.remove(&inbound) else { return };
        let view = self.endpoint_view(spis).or_else(|| self.vici.seen.ike.get(&spis).cloned());
        if let Some(view) = view {
            let (name, id) = (self.child_name_of(child.policy), self.vici.child_id(inbound));
            let why = reason_text(reason);
            self.say_of(&view, 1, || format!("CHILD_SA {name}{{{id}}} closed: {why}"));
            if reason != DownReason::Replaced {
                self.updown("child-updown", false, &view, Some(&child), now);
            }
        }
        self.vici.seen.sas.retain(|sa| ![sa.params.spi, sa.params.pair].contains(&inbound));
        self.vici.children.remove(&inbound);
    }

    pub(in crate::daemon) fn endpoint_view(&self, spis: Spis) -> Option<IkeSaView> {
        let views = [spis.0, spis.1].into_iter().filter_map(|spi| self.endpoint.ike_sa(spi));
        views.into_iter().find(|view| view.spis == spis)
    }

    /// Looks at an IKE SA and remembers what it sees.
    fn see(&mut self, spis: Spis) -> Option<IkeSaView> {
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
