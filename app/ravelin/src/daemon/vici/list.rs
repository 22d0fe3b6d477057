//! The listings, each a stream of events.

use std::collections::{BTreeMap, BTreeSet};

use ravelin_config::model::PolicyEntry;
use ravelin_config::spec::ActionWord;
use ravelin_control::Message;
use ravelin_crypto::CryptoProvider;
use ravelin_ike::view::IkeSaView;
use ravelin_types::Instant;

use super::show::Sas;
use super::{Answer, connections, names, show, yes};
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;

impl<P: Plane> Core<P> {
    pub(super) fn list_sas(&mut self, message: &Message, now: Instant) -> Answer {
        let wanted = |name: &str, value: &str| message.text(name).is_none_or(|text| text == value);
        let views = self.ike_sas_named(message);
        let sas = Sas::new(self.plane.list());
        let mut listed = Vec::new();
        for view in views {
            if !wanted("ike_id", &view.serial.to_string()) {
                continue;
            }
            let only = |name: &str, id: u32| wanted("child", name) && wanted("child_id", &id.to_string());
            let children = self.children(&view, &sas, now, only);
            let filtered = message.text("child").or(message.text("child_id")).is_some();
            if filtered && children.items().next().is_none() {
                continue;
            }
            let mut shown = show::ike_sa(&view, now);
            shown.put_section("child-sas", children);
            let mut event = Message::new();
            event.put_section(&view.remote, shown);
            listed.push(event);
        }
        Answer::Stream("list-sa", listed)
    }

    /// The Child SAs of an IKE SA that are wanted, under names that no two of them share.
    pub(super) fn children(
        &mut self,
        view: &IkeSaView,
        sas: &Sas,
        now: Instant,
        only: impl Fn(&str, u32) -> bool,
    ) -> Message {
        let mut children = Message::new();
        for child in &view.children {
            let id = self.vici.child_id(child.inbound);
            let name = self.child_name_of(child.policy);
            if only(&name, id) {
                children.put_section(&format!("{name}-{id}"), show::child_sa(child, &name, id, sas, now));
            }
        }
        children
    }

    pub(super) fn list_conns(&mut self, message: &Message) -> Answer {
        let wanted = |name: &str| message.text("ike").is_none_or(|text| text == name);
        let mut children: BTreeMap<&str, Message> = BTreeMap::new();
        for entry in self.model.policies() {
            if let Some(connection) = connection_of(entry).filter(|name| wanted(name)) {
                let shown = show::child(entry);
                children.entry(connection).or_default().put_section(child_name(entry), shown);
            }
        }
        let mut listed = Vec::new();
        // A name with an entry for each version is one connection.
        let mut told = BTreeSet::new();
        let names = self.model.remotes().map(|entry| entry.spec.name.as_str()).filter(|name| told.insert(*name));
        for name in names.filter(|name| wanted(name)) {
            let Ok(entry) = self.model.find_remote(name) else { continue };
            let versions: Vec<u8> = self.model.versions(name).map(|entry| entry.spec.version.number()).collect();
            let version = match versions.as_slice() {
                [1] => "IKEv1",
                [2] => "IKEv2",
                _ => "IKEv1/2",
            };
            let children = children.remove(entry.spec.name.as_str()).unwrap_or_default();
            let mut event = Message::new();
            event.put_section(&entry.spec.name, connections::connection(entry, version, children));
            listed.push(event);
        }
        // Connections whose children only let pass or drop have nobody to talk to.
        for (name, children) in children {
            let mut event = Message::new();
            event.put_section(name, connections::nobody(children));
            listed.push(event);
        }
        Answer::Stream("list-conn", listed)
    }

    pub(super) fn list_policies(&mut self, message: &Message) -> Answer {
        let of_kind = |entry: &PolicyEntry| match entry.spec.action {
            ActionWord::Secure => yes(message, "trap"),
            ActionWord::Bypass => yes(message, "pass"),
            ActionWord::Discard => yes(message, "drop"),
        };
        let wanted = |key: &str, name: &str| message.text(key).is_none_or(|text| text == name);
        let mut listed = Vec::new();
        for entry in self.model.policies().filter(|entry| !entry.automatic && entry.stands() && of_kind(entry)) {
            let (connection, child) = (connection_of(entry).unwrap_or_default(), child_name(entry));
            if wanted("ike", connection) && wanted("child", child) {
                let name = if connection.is_empty() { child.to_owned() } else { format!("{connection}/{child}") };
                let mut event = Message::new();
                event.put_section(&name, show::policy(entry, connection, child));
                listed.push(event);
            }
        }
        Answer::Stream("list-policy", listed)
    }

    /// The name under which clients know the child of a policy.
    pub(super) fn child_name_of(&self, id: ravelin_types::policy::PolicyId) -> String {
        self.model.policy_by_id(id).map_or_else(|| format!("policy{}", id.0), |entry| child_name(entry).to_owned())
    }
}

/// The connection that a policy belongs to.
pub(super) fn connection_of(entry: &PolicyEntry) -> Option<&str> {
    entry.spec.connection.as_deref().or(entry.spec.esp.as_ref().map(|esp| esp.remote.as_str()))
}

/// The name of a policy, without that of its connection in front.
pub(super) fn child_name(entry: &PolicyEntry) -> &str {
    entry.spec.child_name()
}

/// What is built in, by type, with the library that computes it.
pub(super) fn algorithms(crypto: &CryptoProvider) -> Message {
    let section = |names: Vec<String>| {
        let mut section = Message::new();
        for name in names {
            section.put(&name, crypto.name);
        }
        section
    };
    let (aead, plain): (Vec<_>, Vec<_>) = crypto.encr.iter().partition(|alg| alg.is_aead());
    let encr = |algs: Vec<&&dyn ravelin_crypto::EncrAlg>| algs.iter().map(|alg| names::encr(alg.id())).collect();
    let mut all = Message::new();
    all.put_section("encryption", section(encr(plain)));
    all.put_section("integrity", section(crypto.integ.iter().map(|alg| names::integ(alg.id())).collect()));
    all.put_section("aead", section(encr(aead)));
    all.put_section("prf", section(crypto.prf.iter().map(|alg| names::prf(alg.id())).collect()));
    all.put_section("ke", section(crypto.ke.iter().map(|alg| names::ke(alg.id())).collect()));
    all
}
