//! IKE SAs, Child SAs and policies as sections with strongSwan's names.

use std::collections::BTreeMap;

use ravelin_config::model::PolicyEntry;
use ravelin_config::spec::{ActionWord, Afterwards, EspSpec};
use ravelin_control::Message;
use ravelin_ike::view::{ChildSaView, IkeSaView};
use ravelin_types::dataplane::SaStatus;
use ravelin_types::if_id::IfIds;
use ravelin_types::mark::Marks;
use ravelin_types::options::Processors;
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Spi};

use super::names;

/// What the data plane holds, by direction and SPI.
pub struct Sas(BTreeMap<(Direction, Spi), SaStatus>);

impl Sas {
    /// From a listing.
    pub fn new(sas: Vec<SaStatus>) -> Self {
        Sas(sas.into_iter().map(|sa| ((sa.params.direction, sa.params.spi), sa)).collect())
    }

    fn get(&self, direction: Direction, spi: Spi) -> Option<&SaStatus> {
        self.0.get(&(direction, spi))
    }
}

/// An IKE SA without its children.
pub fn ike_sa(view: &IkeSaView, now: Instant) -> Message {
    let (own_id, peer_id) = identities(view);
    let state = match view.state {
        "IKE_SA_INIT" | "IKE_AUTH" | "MAIN_MODE" | "AGGRESSIVE" => "CONNECTING",
        state => state,
    };
    let mut sa = Message::new()
        .with("uniqueid", view.serial)
        .with("version", view.version)
        .with("state", state)
        .with("local-host", view.local.ip())
        .with("local-port", view.local.port())
        .with("local-id", own_id)
        .with("remote-host", view.peer.ip())
        .with("remote-port", view.peer.port())
        .with("remote-id", peer_id);
    if view.initiator {
        sa.put("initiator", "yes");
    }
    sa.put("initiator-spi", hex(view.spis.0.0));
    sa.put("responder-spi", hex(view.spis.1.0));
    for (found, name) in [(view.nat.0, "nat-local"), (view.nat.1, "nat-remote"), (view.nat.0 || view.nat.1, "nat-any")]
    {
        if found {
            sa.put(name, "yes");
        }
    }
    if let Some(suite) = &view.suite {
        sa.put("encr-alg", names::encr(suite.encr));
        put_key_size(&mut sa, suite.encr, suite.encr_key_bits);
        if suite.integ != IntegId::NONE {
            sa.put("integ-alg", names::integ(suite.integ));
        }
        sa.put("prf-alg", names::prf(suite.prf));
        sa.put("dh-group", names::ke(suite.ke));
        if view.ppk {
            sa.put("ppk", "yes");
        }
        if view.full_transcript {
            sa.put("full-transcript-auth", "yes");
        }
    }
    put_if_ids(&mut sa, view.if_ids);
    for (addresses, name) in [(&view.inside.0, "local-vips"), (&view.inside.1, "remote-vips")] {
        if !addresses.is_empty() {
            sa.put_list(name, addresses.iter().map(ToString::to_string));
        }
    }
    for (prefixes, name) in [(&view.prefixes.0, "local-prefixes"), (&view.prefixes.1, "remote-prefixes")] {
        if !prefixes.is_empty() {
            sa.put_list(name, prefixes.iter().map(ToString::to_string));
        }
    }
    if state == "ESTABLISHED" {
        sa.put("established", now.since(view.created).as_secs());
        if let Some(at) = view.rekey_at {
            sa.put("rekey-time", at.since(now).as_secs());
        }
        if let Some(at) = view.reauth_at {
            sa.put("reauth-time", at.since(now).as_secs());
        }
    }
    sa
}

/// Who we are and who the peer is; `%any` as long as nobody knows.
pub fn identities(view: &IkeSaView) -> (String, String) {
    match &view.identities {
        Some((own, peer)) => (names::identity(own), names::identity(peer)),
        None => ("%any".to_owned(), "%any".to_owned()),
    }
}

/// The length of a key, for ciphers that have several.
fn put_key_size(to: &mut Message, encr: EncrId, bits: u16) {
    if !matches!(
        encr,
        EncrId::CHACHA20_POLY1305 | EncrId::CHACHA20_POLY1305_IIV | EncrId::DES | EncrId::DES3 | EncrId::NULL
    ) {
        to.put("encr-keysize", bits);
    }
}

/// The numbers of virtual interfaces, where there are any.
fn put_if_ids(to: &mut Message, ids: IfIds) {
    for (name, id) in [("if-id-in", ids.inbound), ("if-id-out", ids.outbound)] {
        if id.number() != 0 {
            to.put(name, format!("{:08x}", id.number()));
        }
    }
}

/// The marks of packets, where they have some.
fn put_marks(to: &mut Message, marks: Marks) {
    for (way, mark) in [("in", marks.inbound), ("out", marks.outbound)] {
        let Some(mark) = mark.mark() else { continue };
        to.put(&format!("mark-{way}"), format!("{:08x}", mark.value));
        if mark.mask != u32::MAX {
            to.put(&format!("mark-mask-{way}"), format!("{:08x}", mark.mask));
        }
    }
}

fn hex(spi: u64) -> String {
    format!("{spi:016x}")
}

/// A Child SA; `id` is its number.
pub fn child_sa(child: &ChildSaView, name: &str, id: u32, sas: &Sas, now: Instant) -> Message {
    let (inbound, outbound) =
        (sas.get(Direction::Inbound, child.inbound), sas.get(Direction::Outbound, child.outbound));
    let mut sa = Message::new()
        .with("name", name)
        .with("uniqueid", id)
        .with("reqid", child.policy.0)
        .with("state", child.state)
        .with("mode", names::mode(child.mode, child.aggfrag))
        .with("protocol", names::protocol(child.suite.protocol()));
    if inbound.is_some_and(|sa| sa.params.encap.is_some()) {
        sa.put("encap", "yes");
    }
    if child.processors != Processors::All {
        sa.put("per-cpu-sas", "yes");
    }
    if let Some(number) = child.processors.one() {
        sa.put("cpu", number);
    }
    sa.put("spi-in", format!("{:08x}", child.inbound.0));
    sa.put("spi-out", format!("{:08x}", child.outbound.0));
    if let Some(labels) = child.ipcomp {
        sa.put("cpi-in", labels.inbound);
        if let Some(cpi) = labels.outbound {
            sa.put("cpi-out", cpi);
        }
    }
    if let Some(esp) = child.suite.esp() {
        sa.put("encr-alg", names::encr(esp.encr));
        put_key_size(&mut sa, esp.encr, esp.encr_key_bits);
    }
    let integ = child.suite.esp().map_or_else(|| child.suite.ah().map(|ah| ah.integ), |esp| Some(esp.integ));
    if let Some(integ) = integ.filter(|integ| *integ != IntegId::NONE) {
        sa.put("integ-alg", names::integ(integ));
    }
    put_marks(&mut sa, child.marks);
    put_if_ids(&mut sa, child.if_ids);
    if child.suite.sn() == SnId::PARTIAL_64 {
        sa.put("esn", 1);
    }
    for (status, suffix) in [(inbound, "in"), (outbound, "out")] {
        let counters = status.map(|sa| sa.counters).unwrap_or_default();
        sa.put(&format!("bytes-{suffix}"), counters.bytes);
        sa.put(&format!("packets-{suffix}"), counters.packets);
    }
    let age = now.since(child.created);
    if let Some(sa_status) = inbound {
        let lifetime = &sa_status.params.lifetime;
        for (limit, name) in [(lifetime.soft.time, "rekey-time"), (lifetime.hard.time, "life-time")] {
            if let Some(time) = limit {
                sa.put(name, time.saturating_sub(age).as_secs());
            }
        }
    }
    sa.put("install-time", age.as_secs());
    sa.put_list("local-ts", child.local_ts.iter().map(names::selector));
    sa.put_list("remote-ts", child.remote_ts.iter().map(names::selector));
    sa
}

/// What is configured for the children of a connection.
pub fn child(entry: &PolicyEntry) -> Message {
    let mut shown = Message::new().with("mode", mode(entry));
    let seconds = |time: Option<std::time::Duration>| time.map_or(0, |time| time.as_secs());
    let soft = entry.spec.esp.as_ref().map(|esp| esp.lifetime.soft).unwrap_or_default();
    shown.put("rekey_time", seconds(soft.time));
    shown.put("rekey_bytes", soft.bytes.unwrap_or_default());
    shown.put("rekey_packets", soft.packets.unwrap_or_default());
    let afterwards = |choose: fn(&EspSpec) -> Afterwards| {
        let chosen = entry.spec.esp.as_ref().map(choose).unwrap_or_default();
        match chosen {
            Afterwards::Nothing => "none",
            Afterwards::Trap => "trap",
            Afterwards::Start => "start",
        }
    };
    shown.put("dpd_action", afterwards(|esp| esp.dead));
    shown.put("close_action", afterwards(|esp| esp.closed));
    put_selectors(&mut shown, entry);
    shown.put("command", entry.spec.line());
    shown
}

/// A policy in force.
pub fn policy(entry: &PolicyEntry, connection: &str, child: &str) -> Message {
    let mut shown = Message::new().with("child", child).with("ike", connection).with("mode", mode(entry));
    put_selectors(&mut shown, entry);
    shown
}

fn put_selectors(to: &mut Message, entry: &PolicyEntry) {
    let dynamic = entry.spec.esp.as_ref().map(|esp| esp.dynamic.clone()).unwrap_or_default();
    let shown = |fixed: &[TrafficSelector], dynamic: &[TrafficSelector]| {
        let dynamic = dynamic.iter().map(|ts| names::selector(ts).replacen("0.0.0.0/0", "dynamic", 1));
        fixed.iter().map(names::selector).chain(dynamic).collect::<Vec<String>>()
    };
    to.put_list("local-ts", shown(&entry.spec.local, &dynamic.local));
    to.put_list("remote-ts", shown(&entry.spec.remote, &dynamic.remote));
}

/// `TUNNEL`, `TRANSPORT`, `IPTFS`, `PASS` or `DROP`.
fn mode(entry: &PolicyEntry) -> &'static str {
    match (&entry.spec.esp, entry.spec.action) {
        (Some(esp), _) => names::mode(esp.mode, esp.options.aggfrag),
        (None, ActionWord::Bypass) => "PASS",
        (None, ActionWord::Secure | ActionWord::Discard) => "DROP",
    }
}
