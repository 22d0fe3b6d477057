//! `why PEER`: the last failure of each exchange as a difference, and what to change.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ravelin_config::model::RemoteEntry;
use ravelin_config::value::host::Host;
use ravelin_control::Message;
use ravelin_ike::explain::{Failure, Gap, Means, Part};
use ravelin_types::transform::TransformType;
use ravelin_types::{HostName, Instant};

use super::report::{self, yes_no};
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;

impl<P: Plane> Core<P> {
    /// What failed with a peer: a remote, the remote of a policy, or an address.
    ///
    /// # Errors
    /// When it is none of these.
    pub(in crate::daemon) fn why(&self, peer: &str, now: Instant) -> Result<Message, String> {
        let by_policy = || {
            let esp = self.model.find_policy(peer).ok()?.spec.esp.as_ref()?;
            self.model.find_remote(&esp.remote).ok()
        };
        let found = match (self.model.find_remote(peer), peer.parse::<IpAddr>()) {
            (Ok(remote), _) => vec![remote],
            (Err(_), Ok(address)) => {
                let known = self.endpoint.host_names();
                let leads =
                    |name: &HostName| known.iter().any(|it| it.name == *name && it.addresses.contains(&address));
                let there = |host: &Host| host.address() == Some(address) || host.name().is_some_and(leads);
                self.model.remotes().filter(|entry| entry.spec.hosts().any(there)).collect()
            }
            (Err(error), Err(_)) => {
                let name = HostName::new(peer).ok();
                let named = |entry: &&RemoteEntry| entry.spec.names().any(|own| Some(own) == name.as_ref());
                match by_policy().or_else(|| self.model.remotes().find(named)) {
                    Some(remote) => vec![remote],
                    None => return Err(error.to_string()),
                }
            }
        };
        let mut peers: Vec<Message> = found.iter().map(|entry| self.why_remote(entry, now)).collect();
        if let Ok(address) = peer.parse::<IpAddr>() {
            let unknown = self.failures.by_exchange(None).filter(|(_, failure)| failure.address == address);
            let failures: Vec<Message> =
                unknown.map(|(at, failure)| self.difference(*at, failure, None, now)).collect();
            if !failures.is_empty() || peers.is_empty() {
                let mut stranger = Message::new().with("name", "").with("address", address);
                stranger.put("state", "no remote is configured for this address");
                stranger.put_section("exchanges", report::numbered(failures));
                peers.push(stranger);
            }
        }
        let mut answer = done();
        answer.put_section("why", report::numbered(peers));
        Ok(answer)
    }

    fn why_remote(&self, entry: &RemoteEntry, now: Instant) -> Message {
        let name = &entry.spec.name;
        let mut peer = Message::new().with("name", name).with("address", &entry.spec.endpoint);
        peer.put("state", self.state_of(entry));
        let names = self.name_lines(&entry.spec, now);
        if !names.is_empty() {
            peer.put_list("names", names);
        }
        let mut failures: Vec<_> = self.failures.by_exchange(Some(name)).collect();
        failures.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let failures = failures.into_iter().map(|(at, failure)| self.difference(*at, failure, Some(entry), now));
        peer.put_section("exchanges", report::numbered(failures));
        let notes = self.without_aggfrag(name);
        if !notes.is_empty() {
            peer.put_list("notes", notes);
        }
        peer
    }

    /// Where Child SAs are in plain tunnel mode, though their policies ask for AGGFRAG payloads (RFC 9347 §5.1).
    fn without_aggfrag(&self, remote: &str) -> BTreeSet<String> {
        let views = self.endpoint.ike_sas_of(remote).into_iter();
        let plain = views.flat_map(|view| view.children).filter(|child| child.aggfrag.is_none());
        let policies = plain.filter_map(|child| self.model.policy_by_id(child.policy));
        let asking = policies
            .filter(|policy| policy.spec.esp.as_ref().is_some_and(|esp| esp.options.aggfrag.is_some()))
            .map(|policy| &policy.spec.name);
        let why = match self.plane.aggfrag() {
            true => {
                "the peer does not take AGGFRAG payloads (RFC 9347): give its side IP-TFS too (strongSwan: mode = iptfs)"
            }
            false => "the data plane here has no AGGFRAG payloads (RFC 9347): ravelin algorithms --kernel, or over TUN",
        };
        asking.map(|name| format!("{name} is in plain tunnel mode: {why}")).collect()
    }

    /// How far it is, and what would begin it.
    fn state_of(&self, entry: &RemoteEntry) -> String {
        let name = &entry.spec.name;
        let mut policies =
            self.model.policies().filter(|policy| policy.spec.esp.as_ref().is_some_and(|esp| esp.remote == *name));
        let views = self.endpoint.ike_sas_of(name);
        if let Some(view) = views.iter().max_by_key(|view| view.children.len()) {
            return format!("IKE SA {}, {} Child SAs", view.state, view.children.len());
        }
        match (policies.next(), entry.spec.initiate) {
            (None, _) => "no IKE SA: no policy names this remote (ipsec policy -g)".to_owned(),
            (Some(_), false) => {
                let began = self.failures.by_exchange(Some(name)).next().is_some();
                let peer = if began { "what the peer began has failed" } else { "the peer has not begun" };
                format!("no IKE SA: this side only accepts (no -w), and {peer}")
            }
            (Some(policy), true) => {
                format!("no IKE SA: the first packet of a policy begins one, or ike initiate {}", policy.spec.name)
            }
        }
    }

    fn difference(&self, at: Instant, failure: &Failure, entry: Option<&RemoteEntry>, now: Instant) -> Message {
        let policy = failure.policy.and_then(|id| self.model.policy_by_id(id)).map(|policy| policy.spec.name.as_str());
        let mut message = Message::new()
            .with("exchange", failure.exchange)
            .with("age", now.since(at).as_secs())
            .with("address", failure.address)
            .with("what", failure.part);
        if let Some(policy) = policy {
            message.put("policy", policy);
        }
        message.put("resolved", yes_no(self.is_resolved(at, failure)));
        message.put_list("peer", &failure.theirs);
        message.put_list("here", &failure.ours);
        message.put_section(
            "differences",
            report::numbered(failure.gaps.iter().map(|gap| {
                let mut one = Message::new().with("of", kind(gap));
                one.put_list("peer", &gap.theirs);
                one.put_list("here", &gap.ours);
                one
            })),
        );
        message.put_list("change", changes(failure, entry, policy));
        message
    }

    /// Whether it went well since.
    fn is_resolved(&self, at: Instant, failure: &Failure) -> bool {
        let Some(name) = &failure.remote else { return false };
        let mut views = self.endpoint.ike_sas_of(name).into_iter();
        match failure.policy {
            Some(id) => views.any(|view| view.children.iter().any(|child| child.policy == id && child.created > at)),
            None => views.any(|view| view.identities.is_some() && view.created >= at),
        }
    }
}

fn kind(gap: &Gap) -> &'static str {
    match gap.kind {
        TransformType::ENCR => "encryption",
        TransformType::PRF => "pseudorandom function",
        TransformType::INTEG => "integrity",
        TransformType::KE => "key exchange",
        TransformType::SN => "sequence numbers",
        _ => "additional key exchange",
    }
}

/// The flag that names it: of `ike remote`, or of `ipsec policy`.
fn flag(gap: &Gap, of_ike: bool) -> &'static str {
    match gap.kind {
        TransformType::ENCR => "-e",
        TransformType::PRF => "-p",
        TransformType::INTEG => "-a",
        TransformType::KE if !of_ike => "--pfs",
        TransformType::SN => "--esn",
        _ => "-d",
    }
}

/// What mends it, one line each; the advice of IKE last.
fn changes(failure: &Failure, entry: Option<&RemoteEntry>, policy: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    let remote = failure.remote.as_deref().unwrap_or("NAME");
    let of_ike = failure.part != Part::ChildProposal;
    let command = match policy {
        Some(policy) if !of_ike => format!("ipsec policy -n {policy}"),
        _ => format!("ike remote -n {remote}"),
    };
    for gap in &failure.gaps {
        let (flag, what) = (flag(gap, of_ike), kind(gap));
        lines.push(match (gap.theirs.is_empty(), gap.ours.is_empty()) {
            (false, true) => format!("the peer wants {what} as well: {command} ... {flag} {}", gap.theirs.join(",")),
            (true, _) => format!("the peer has no {what}, and this side wants one: leave {flag} out of {command}"),
            (false, false) => {
                format!("here: {command} ... {flag} {}, or there: {}", gap.theirs.join(","), gap.ours.join(","))
            }
        });
    }
    let spec = entry.map(|entry| &entry.spec);
    match (failure.part, spec) {
        (Part::Identity, Some(_)) if !failure.theirs.is_empty() => {
            lines.push(format!("if that is the peer: {command} ... -f {}", failure.theirs[0]));
        }
        (part @ (Part::Authentication | Part::Method | Part::NotBelieved(_)), Some(spec)) => {
            let keyed = matches!(part, Part::Authentication | Part::NotBelieved(Means::SharedKey));
            if let Some(file) = spec.secret_file.as_ref().filter(|_| keyed) {
                lines.push(format!("compare {} with the key of the peer, byte by byte", file.display()));
            }
            lines.push(format!("this side says it is {} and expects {}", spec.own_id, spec.peer_id));
        }
        (Part::TrafficSelectors, _) if failure.theirs.is_empty() => {
            lines.push(
                "the peer's policy must have source and destination the other way round, and overlap with this".into(),
            );
        }
        (Part::NoAnswer, Some(_)) => {
            lines.push(format!(
                "is an IKE daemon running on {}, and does a firewall on the way let UDP 500 and 4500 pass?",
                failure.address
            ));
            lines.push("an implementation that knows no remote for this host may keep silent: see its log".into());
        }
        (Part::NoRemote, _) => {
            lines.push(format!("ike remote -n NAME -u -r {} ..., if it shall be answered", failure.address));
        }
        _ => {}
    }
    if !failure.advice.is_empty() {
        lines.push(failure.advice.clone());
    }
    lines
}
