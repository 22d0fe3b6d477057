//! `setkey`: a script is carried out as one change of the model, and then what it deletes beside that, and what it lists.

use std::collections::BTreeSet;

use ravelin_config::command::SetkeyJob;
use ravelin_config::model::keyed::Keyed;
use ravelin_config::model::setkey::{Carried, Listing, Sas, names};
use ravelin_config::setkey::{self, encr_word, integ_word, written};
use ravelin_config::spec::setkey::{About, Direction, Rule, Sa, SaName, SaProtocol, Treatment};
use ravelin_control::Message;
use ravelin_manage::Keying;
use ravelin_types::dataplane::SaStatus;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::policy::{Action, Policy, PolicyId, Protection};
use ravelin_types::proposal::ProtocolId;
use ravelin_types::sa::{Direction as Way, SaId, SaParams};
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Instant, Secret};

use crate::daemon::core::Core;
use crate::daemon::listings::report::{numbered, put_key};
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;

impl<P: Plane> Core<P> {
    /// Carries out a script; `input` is the standard input of who called.
    ///
    /// # Errors
    /// What is wrong with it, and where; nothing was changed then.
    pub(in crate::daemon) fn setkey(
        &mut self,
        job: &SetkeyJob,
        input: Option<&str>,
        now: Instant,
    ) -> Result<Message, String> {
        let script = setkey::of(job, input).map_err(|error| error.to_string())?;
        let before = self.plane.list();
        let held: BTreeSet<PolicyId> = before.iter().map(|sa| sa.params.policy).collect();
        let mut newer = self.model.clone();
        newer.forget_ended_scripts(|id| held.contains(&id));
        let carried = newer.setkey(&script).map_err(|error| error.to_string())?;
        let advice = match carried.changed {
            true => self.adopt(newer, now).map_err(|refused| refused.why)?,
            false => Vec::new(),
        };
        let notes = self.delete_besides(&before, &carried, now);
        let mut answer = done();
        answer.put_list("notes", carried.notes.iter().map(ToString::to_string).chain(notes).chain(advice));
        if !carried.listings.is_empty() {
            let listings = carried.listings.iter().map(|listing| match listing {
                Listing::Sas(which) => ("sas", self.setkey_sas(which, job.show_keys)),
                Listing::Policies => ("policies", self.setkey_policies()),
            });
            let listings: Vec<Message> = listings
                .map(|(name, rows)| {
                    let mut listing = Message::new();
                    listing.put_section(name, rows);
                    listing
                })
                .collect();
            answer.put_section("setkey", numbered(listings));
        }
        Ok(answer)
    }

    /// Deletes SAs that no script made, as of IKE, and those whose policy stays; what was not there is noted.
    fn delete_besides(&mut self, before: &[SaStatus], carried: &Carried, now: Instant) -> Vec<String> {
        let mut notes = Vec::new();
        let mut gone = BTreeSet::new();
        for deleted in &carried.deleted {
            let found: Vec<&SaParams> =
                before.iter().map(|sa| &sa.params).filter(|sa| deleted.which.include_params(sa)).collect();
            if let (Some(missed), true) = (&deleted.missed, found.is_empty()) {
                notes.push(missed.to_string());
            }
            // A session has both directions or none.
            let twin = |sa: &SaParams| {
                let other = found.iter().any(|found| {
                    (found.policy, found.spi, found.pair, found.src, found.dst)
                        == (sa.policy, sa.pair, sa.spi, sa.dst, sa.src)
                });
                other || found.iter().any(|found| found.id() == sa.id())
            };
            gone.extend(before.iter().map(|sa| &sa.params).filter(|sa| twin(sa)).map(|sa| (sa.id(), sa.policy)));
        }
        // What a script deletes and adds again in the same words has stayed, and what took the place of another is not it.
        let stays = |id: PolicyId| self.model.keyed_by_id(id).is_some_and(|keyed| keyed.session.is_some());
        gone.retain(|(_, policy)| !stays(*policy));
        let now_there = self.plane.list();
        let ids = now_there.iter().map(|sa| (sa.params.id(), sa.params.policy)).filter(|sa| gone.contains(sa));
        let ids: Vec<SaId> = ids.map(|(id, _)| id).collect();
        if !ids.is_empty() {
            self.delete_sas(&ids, now);
        }
        self.tell_changes();
        notes
    }

    /// The SAs of the data plane, and behind them those of scripts that wait for a policy or for their other direction.
    fn setkey_sas(&mut self, which: &Sas, show_keys: bool) -> Message {
        let sas = self.plane.list();
        let mut rows = Vec::new();
        for status in &sas {
            let params = &status.params;
            for name in names(params).into_iter().filter(|name| which.include(name)) {
                let made = self.model.keyed_by_id(params.policy).and_then(|keyed| keyed.made.as_ref());
                let reqid = made.and_then(|made| made.sas.iter().find(|sa| sa.name == name)).map_or(0, |sa| sa.reqid);
                let mut row = sa_row(&name, Some(written::mode_word(params.mode)), reqid, &params.lifetime);
                let keys = &params.keys;
                match (name.protocol, params.suite.esp(), params.suite.ah()) {
                    (SaProtocol::Esp, Some(esp), _) => {
                        put_cipher(&mut row, esp.encr, &keys.encr, show_keys);
                        put_integrity(&mut row, esp.integ, &keys.integ, show_keys);
                    }
                    (_, _, Some(ah)) => put_integrity(&mut row, ah.integ, &keys.ah, show_keys),
                    _ => {}
                }
                row.put("sequence", status.counters.sequence);
                row.put("replay", if params.direction == Way::Inbound { params.replay_window / 8 } else { 0 });
                row.put("bytes", status.counters.bytes);
                row.put("packets", status.counters.packets);
                row.put("state", "mature");
                rows.push(row);
            }
        }
        rows.extend(self.model.unused_sas().filter(|sa| which.include(&sa.name)).map(|sa| waiting(sa, show_keys)));
        numbered(rows)
    }

    /// Every policy, as consulted, each direction by itself.
    fn setkey_policies(&mut self) -> Message {
        let mut spd = self.model.spd();
        spd.sort_by_key(|policy| (policy.priority, policy.id));
        let rows: Vec<Message> = spd.iter().flat_map(|policy| self.entries(policy)).collect();
        numbered(rows)
    }

    fn entries(&mut self, policy: &Policy) -> Vec<Message> {
        if let Some(Keyed { made: Some(made), .. }) = self.model.keyed_by_id(policy.id) {
            return made.entries.iter().map(|entry| entry_row(policy, &entry.about, &entry.treatment)).collect();
        }
        let (there, back) = match &policy.action {
            Action::Protect(protection) => self.rules(policy, protection),
            Action::Bypass => (Treatment::Bypass, Treatment::Bypass),
            Action::Discard => (Treatment::Discard, Treatment::Discard),
        };
        let mut rows = Vec::new();
        for (local, remote) in policy.local.iter().flat_map(|local| policy.remote.iter().map(move |it| (*local, *it))) {
            let out = About { direction: Direction::Out, source: local, destination: remote };
            let inbound = About { direction: Direction::In, source: remote, destination: local };
            if policy.is_about(Way::Outbound) {
                rows.push(entry_row(policy, &out, &there));
            }
            if policy.is_about(Way::Inbound) {
                rows.push(entry_row(policy, &inbound, &back));
            }
        }
        rows
    }

    /// How a policy protects, out and in: its SAs are its own.
    fn rules(&mut self, policy: &Policy, protection: &Protection) -> (Treatment, Treatment) {
        let (esp, ah) = match self.model.keyed_by_id(policy.id).map(|keyed| keyed.keying) {
            Some(Keying::Program { ah, esp, .. }) => (esp, ah),
            _ => {
                let spec = self.model.policy_by_id(policy.id).and_then(|entry| entry.spec.esp.as_ref());
                let ah_alone = spec.is_some_and(|esp| esp.proposals.iter().all(|it| it.protocol == ProtocolId::AH));
                (!ah_alone, ah_alone || spec.is_some_and(|esp| !esp.ah.is_empty()))
            }
        };
        let local = protection.local.or_else(|| self.plane.source_towards(protection.remote));
        let ends = local.map(|local| (local, protection.remote));
        let protocols = [esp.then_some(SaProtocol::Esp), ah.then_some(SaProtocol::Ah)];
        let rule = |protocol| Rule { protocol, mode: protection.mode, ends, reqid: Some(policy.id.0) };
        let out: Vec<Rule> = protocols.into_iter().flatten().map(rule).collect();
        let turned = |rule: &Rule| Rule { ends: rule.ends.map(|(src, dst)| (dst, src)), ..*rule };
        let inbound = out.iter().map(turned).collect();
        (Treatment::Protect(out), Treatment::Protect(inbound))
    }
}

fn entry_row(policy: &Policy, about: &About, treatment: &Treatment) -> Message {
    let mut row = Message::new()
        .with("source", written::range(&about.source))
        .with("destination", written::range(&about.destination))
        .with("upper", written::upper(&about.source))
        .with("direction", about.direction.word())
        .with("spid", policy.id.0);
    let (word, rules) = match treatment {
        Treatment::Discard => ("discard", Vec::new()),
        Treatment::Bypass => ("none", Vec::new()),
        Treatment::Protect(rules) => ("ipsec", rules.iter().map(written::rule).collect()),
    };
    row.put("treatment", word);
    row.put_list("rules", rules);
    if let Some(device) = policy.device() {
        row.put("device", device);
    }
    row
}

fn sa_row(name: &SaName, mode: Option<&str>, reqid: u32, lifetime: &Lifetime) -> Message {
    let mut row = Message::new()
        .with("source", name.src)
        .with("destination", name.dst)
        .with("protocol", name.protocol.word())
        .with("mode", mode.unwrap_or("any"))
        .with("spi", name.spi.0)
        .with("reqid", reqid);
    for (which, limits) in [("hard", &lifetime.hard), ("soft", &lifetime.soft)] {
        row.put(&format!("{which}-seconds"), limits.time.map_or(0, |time| time.as_secs()));
        row.put(&format!("{which}-bytes"), limits.bytes.unwrap_or(0));
        row.put(&format!("{which}-packets"), limits.packets.unwrap_or(0));
    }
    row
}

/// An SA of a script that no data plane has yet.
fn waiting(sa: &Sa, show_keys: bool) -> Message {
    let mut row = sa_row(&sa.name, sa.mode.map(written::mode_word), sa.reqid, &sa.lifetime);
    if let Some((id, key)) = &sa.encr {
        put_cipher(&mut row, *id, key, show_keys);
    }
    if let Some((id, key)) = &sa.integ {
        put_integrity(&mut row, *id, key, show_keys);
    }
    row.with("sequence", 0)
        .with("replay", sa.replay_window / 8)
        .with("bytes", 0)
        .with("packets", 0)
        .with("state", "larval")
}

fn put_cipher(row: &mut Message, id: EncrId, key: &Secret, show: bool) {
    row.put("encryption", encr_word(id));
    put_key(row, "encryption-key", key, show);
}

fn put_integrity(row: &mut Message, id: IntegId, key: &Secret, show: bool) {
    if id != IntegId::NONE {
        row.put("integrity", integ_word(id));
        put_key(row, "integrity-key", key, show);
    }
}
