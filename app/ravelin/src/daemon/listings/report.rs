//! What the daemon knows, as messages for `render/` and for any other client. Names and values are those of JSON too;
//! keys go in only when they were asked for.

use ravelin_config::command::options;
use ravelin_config::model::keyed::Keyed;
use ravelin_config::model::{Model, PolicyEntry, RemoteEntry};
use ravelin_config::spec::{ActionWord, OwnRoundSpec, PeerRoundSpec, Role, childless_word};
use ravelin_config::value::algorithm::encr_name;
use ravelin_config::value::if_id;
use ravelin_config::value::priority::Priority;
use ravelin_config::value::protocol::Protocol;
use ravelin_config::value::selector::IdString;
use ravelin_control::Message;
use ravelin_ike::config::{IkeVersion, Liveness};
use ravelin_ike::explain::Failure;
use ravelin_ike::view::{ChildSaView, Counters, HostNameView, IkeSaView};
use ravelin_manage::Keying;
use ravelin_types::dataplane::SaStatus;
use ravelin_types::options::{AggFrag, Processors};
use ravelin_types::policy::{Action, Mode, Ways};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaCounters};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{IntegId, Transform};
use ravelin_types::{Instant, Secret};

use super::failures::Failures;

/// Sections of a listing under one name, in order: a message cannot hold an array of sections, so they are numbered.
pub fn numbered(items: impl IntoIterator<Item = Message>) -> Message {
    let mut all = Message::new();
    for (index, item) in items.into_iter().enumerate() {
        all.put_section(&(index + 1).to_string(), item);
    }
    all
}

/// The SPD, as consulted: by priority, then by number.
pub fn policies(model: &Model) -> Message {
    let named = model.policies().map(|entry| (entry.spd_policy().priority, entry.id, policy_row(entry)));
    let keyed = model.keyed().map(|keyed| (keyed.policy.priority, keyed.policy.id, keyed_row(keyed)));
    let mut rows: Vec<_> = named.chain(keyed).collect();
    rows.sort_by_key(|(priority, id, _)| (*priority, *id));
    numbered(rows.into_iter().map(|(_, _, row)| row))
}

/// A policy that our IKE has no part in.
pub fn keyed_row(keyed: &Keyed) -> Message {
    let policy = &keyed.policy;
    let end = |selectors: &[TrafficSelector]| {
        let ends: Vec<String> = selectors.iter().map(|selector| IdString::from(*selector).to_string()).collect();
        ends.join(",")
    };
    let mut row = Message::new()
        .with("spid", policy.id.0)
        .with("priority", Priority::from(policy.priority))
        .with("protocol", Protocol::from(policy.local.first().map_or(0, TrafficSelector::protocol)))
        .with(
            "action",
            action_name(match policy.action {
                Action::Protect(_) => ActionWord::Secure,
                Action::Bypass => ActionWord::Bypass,
                Action::Discard => ActionWord::Discard,
            }),
        )
        .with("source", end(&policy.local))
        .with("destination", end(&policy.remote));
    if let Action::Protect(protection) = &policy.action {
        row.put("mode", mode_name(protection.mode, protection.options.aggfrag));
        row.put("gateway", protection.remote);
    }
    put_ways(&mut row, policy.ways);
    row.put("name", &policy.name);
    row.put("automatic", yes_no(false));
    if let Keying::Program { manual, .. } = keyed.keying {
        row.put("keys", if manual { "manual" } else { "program" });
    }
    row
}

/// The protocol of a policy, with the types of whichever side has them.
fn protocol(local: &[TrafficSelector], remote: &[TrafficSelector]) -> Protocol {
    let mut protocols = local.iter().chain(remote).map(Protocol::from);
    let first = protocols.clone().next().unwrap_or(Protocol::from(0));
    protocols.find(|protocol| protocol.types.is_some()).unwrap_or(first)
}

/// One side of a policy.
fn ends(side: &[TrafficSelector], other: &[TrafficSelector]) -> String {
    let protocol = protocol(side, other);
    let ends: Vec<String> = side.iter().map(|selector| IdString::beside(&protocol, *selector).to_string()).collect();
    if ends.is_empty() { "dynamic".to_owned() } else { ends.join(",") }
}

fn policy_row(entry: &PolicyEntry) -> Message {
    let spec = &entry.spec;
    let mut row = Message::new()
        .with("spid", entry.id.0)
        .with("priority", spec.priority)
        .with("protocol", protocol(&spec.local, &spec.remote))
        .with("action", action_name(spec.action))
        .with("source", ends(&spec.local, &spec.remote))
        .with("destination", ends(&spec.remote, &spec.local));
    if let Some(esp) = &spec.esp {
        row.put("mode", mode_name(esp.mode, esp.options.aggfrag));
        row.put("gateway", &esp.endpoint);
    }
    put_ways(&mut row, spec.ways);
    row.put("name", &spec.name);
    row.put("automatic", yes_no(entry.automatic));
    row
}

/// Which packets a policy is about, where it is not about all.
fn put_ways(row: &mut Message, ways: Ways) {
    match ways {
        Ways::Both => {}
        Ways::Outbound => row.put("direction", "out"),
        Ways::Inbound => row.put("direction", "in"),
        Ways::Over(device, only) => {
            match only {
                None => {}
                Some(Direction::Outbound) => row.put("direction", "out"),
                Some(Direction::Inbound) => row.put("direction", "in"),
            }
            row.put("device", device);
        }
    }
}

/// One policy with everything that was configured for it.
pub fn policy_detail(entry: &PolicyEntry, model: &Model) -> Message {
    let mut detail = policy_row(entry);
    if let Some(interface) = &entry.spec.interface {
        detail.put("interface", interface);
    }
    if let Some(esp) = &entry.spec.esp {
        let resolved = model.find_remote(&esp.remote).is_ok();
        detail.put("remote", &esp.remote);
        detail.put("remote-configured", yes_no(resolved));
        if !esp.names.is_empty() {
            detail.put_list("for", &esp.names);
        }
        if let Some(local) = esp.local {
            detail.put("local", local);
        }
        detail.put_list("proposals", &esp.proposals);
        if !esp.ah.is_empty() {
            detail.put_list("ah", esp.ah.iter().map(|id| Transform::Integ(*id)));
        }
        put_limits(&mut detail, "hard", &esp.lifetime.hard);
        put_limits(&mut detail, "soft", &esp.lifetime.soft);
        detail.put("replay-window", esp.replay_window);
        let start = match esp.start {
            ravelin_config::spec::Start::OnDemand => "on-demand",
            ravelin_config::spec::Start::Now => "now",
        };
        detail.put("start", start);
        if esp.pfp.any() {
            detail.put("pfp", ravelin_config::value::pfp::words(esp.pfp));
        }
        if let Some(idle) = esp.lifetime.idle {
            detail.put("inactivity", idle.as_secs());
        }
        let options = options::written(&esp.options);
        if !options.is_empty() {
            detail.put("options", options);
        }
        if let Some(command) = &esp.updown {
            detail.put("updown", command);
        }
    }
    detail.put("command", entry.spec.line());
    detail
}

fn put_limits(to: &mut Message, prefix: &str, limits: &ravelin_types::lifetime::Limits) {
    if let Some(time) = limits.time {
        to.put(&format!("{prefix}-seconds"), time.as_secs());
    }
    if let Some(bytes) = limits.bytes {
        to.put(&format!("{prefix}-bytes"), bytes);
    }
    if let Some(packets) = limits.packets {
        to.put(&format!("{prefix}-packets"), packets);
    }
}

/// Pairs of SAs. `sas` is what the data plane holds, `ike_sas` tells since when.
pub fn sessions(sas: &[SaStatus], ike_sas: &[IkeSaView], model: &Model, now: Instant, show_keys: bool) -> Message {
    let children: Vec<&ChildSaView> = ike_sas.iter().flat_map(|ike| &ike.children).collect();
    let inbound = sas.iter().filter(|sa| sa.params.direction == Direction::Inbound);
    numbered(inbound.map(|inbound| {
        let params = &inbound.params;
        let outbound = sas.iter().find(|sa| {
            sa.params.direction == Direction::Outbound && sa.params.spi == params.pair && sa.params.pair == params.spi
        });
        let child = children.iter().find(|child| child.inbound == params.spi);
        let policy = model.policy_by_id(params.policy).and_then(|entry| entry.spec.esp.as_ref());
        let cloned = policy.is_some_and(|esp| esp.pfp.any());
        session(inbound, outbound, child.copied(), now, show_keys).with("cloned", yes_no(cloned))
    }))
}

fn session(
    inbound: &SaStatus,
    outbound: Option<&SaStatus>,
    child: Option<&ChildSaView>,
    now: Instant,
    show_keys: bool,
) -> Message {
    let params = &inbound.params;
    let mut session = Message::new().with("spi", params.spi).with("spid", params.policy.0);
    if let Some(child) = child {
        let age = now.since(child.created);
        session.put("created", child.created.since_origin().as_secs());
        session.put("age", age.as_secs());
        session.put("state", child.state);
        for (name, limits) in [("hard", &params.lifetime.hard), ("soft", &params.lifetime.soft)] {
            if let Some(time) = limits.time {
                session.put(&format!("{name}-in"), time.saturating_sub(age).as_secs());
            }
        }
    }
    put_limits(&mut session, "hard", &params.lifetime.hard);
    session.put("mode", mode_name(params.mode, params.options.aggfrag));
    session.put("local", params.dst);
    session.put("remote", params.src);
    if let Some(encap) = params.encap {
        // As the packets that we receive carry them: the source is the peer's.
        session.put("udp-local-port", encap.dst_port);
        session.put("udp-remote-port", encap.src_port);
    }
    session.put_list("local-ts", &params.local_ts);
    session.put_list("remote-ts", &params.remote_ts);
    if let Some(outbound) = outbound {
        session.put_section("outbound", sa(outbound, show_keys));
    }
    session.put_section("inbound", sa(inbound, show_keys));
    session
}

fn sa(status: &SaStatus, show_keys: bool) -> Message {
    let (params, counters) = (&status.params, &status.counters);
    let mut sa = Message::new().with("type", type_name(&params.suite)).with("spi", params.spi);
    if let Suite::AhEsp { ah_spi, .. } = &params.suite {
        sa.put("ah-spi", ah_spi);
    }
    if let Some(ah) = params.suite.ah() {
        sa.put("ah-integrity", hash_name(ah.integ));
        put_key(&mut sa, "ah-integrity-key", &params.keys.ah, show_keys);
    }
    if let Some(esp) = params.suite.esp() {
        sa.put("integrity", hash_name(esp.integ));
        put_key(&mut sa, "integrity-key", &params.keys.integ, show_keys);
        sa.put("encryption", encr_name(esp.encr, Some(esp.encr_key_bits)));
        put_key(&mut sa, "encryption-key", &params.keys.encr, show_keys);
    }
    sa.put("sequence-numbers", params.suite.sn());
    let options = options::written(&params.options);
    if !options.is_empty() {
        sa.put("options", options);
    }
    sa.put("packets", counters.packets);
    sa.put("bytes", counters.bytes);
    sa.put("sequence", counters.sequence);
    sa.put("dummy-packets", counters.dummies);
    if params.direction == Direction::Inbound {
        sa.put("replay-window", params.replay_window);
    }
    let drops = drops(counters);
    let concerned = |name| (name == "unsendable") == (params.direction == Direction::Outbound);
    for (name, count) in drops.into_iter().filter(|(name, _)| *name == "expired" || concerned(*name)) {
        sa.put(name, count);
    }
    sa
}

/// What an SA dropped, by cause.
fn drops(counters: &SaCounters) -> [(&'static str, u64); 11] {
    [
        ("replayed", counters.replayed),
        ("too-old", counters.too_old),
        ("forged", counters.forged),
        ("bad-length", counters.bad_length),
        ("bad-padding", counters.bad_padding),
        ("bad-next-header", counters.bad_next_header),
        ("bad-inner", counters.bad_inner),
        ("bad-selector", counters.bad_selector),
        ("bad-policy", counters.bad_policy),
        ("expired", counters.expired),
        ("unsendable", counters.unsendable),
    ]
}

/// The length of a key, and the key itself where it was asked for.
pub fn put_key(to: &mut Message, name: &str, key: &Secret, show: bool) {
    to.put(&format!("{name}-len"), key.len());
    if show && !key.is_empty() {
        let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        to.put(name, hex);
    }
}

/// IKE SAs.
pub fn ike_sas(views: &[IkeSaView], model: &Model, now: Instant) -> Message {
    numbered(views.iter().map(|view| ike_sa(view, model, now)))
}

fn ike_sa(view: &IkeSaView, model: &Model, now: Instant) -> Message {
    let mut sa = Message::new()
        .with("remote", &view.remote)
        .with("state", view.state)
        .with("version", view.version)
        .with("role", if view.initiator { "initiator" } else { "responder" })
        .with("initiator-spi", view.spis.0)
        .with("responder-spi", view.spis.1)
        .with("local-address", view.local)
        .with("remote-address", view.peer);
    if let Some((own, peer)) = &view.identities {
        sa.put("local-id", own);
        sa.put("remote-id", peer);
    }
    if let Some(suite) = &view.suite {
        sa.put("encryption", encr_name(suite.encr, Some(suite.encr_key_bits)));
        sa.put("integrity", suite.integ);
        sa.put("prf", suite.prf);
        let methods = [suite.ke].into_iter().chain(view.additional.iter().copied());
        sa.put("key-exchange", methods.map(|method| method.to_string()).collect::<Vec<_>>().join("+"));
        sa.put("full-transcript", yes_no(view.full_transcript));
    }
    sa.put("carrier", view.carrier);
    sa.put("nat-local", yes_no(view.nat.0));
    sa.put("nat-remote", yes_no(view.nat.1));
    sa.put("age", now.since(view.created).as_secs());
    if let Some(at) = view.reauth_at {
        sa.put("reauth-in", at.since(now).as_secs());
    }
    if let Some(at) = view.rekey_at {
        sa.put("rekey-in", at.since(now).as_secs());
    }
    sa.put_section("children", numbered(view.children.iter().map(|child| child_sa(child, model, now))));
    sa
}

fn child_sa(child: &ChildSaView, model: &Model, now: Instant) -> Message {
    let mut sa = Message::new().with("spid", child.policy.0);
    if let Some(entry) = model.policy_by_id(child.policy) {
        sa.put("policy", &entry.spec.name);
    }
    sa.put("type", type_name(&child.suite));
    sa.put("state", child.state);
    sa.put("mode", mode_name(child.mode, child.aggfrag));
    sa.put("inbound", child.inbound);
    sa.put("outbound", child.outbound);
    if let Some(ah) = child.suite.ah() {
        sa.put("ah-integrity", ah.integ);
    }
    if let Some(esp) = child.suite.esp() {
        sa.put("encryption", encr_name(esp.encr, Some(esp.encr_key_bits)));
        sa.put("integrity", esp.integ);
    }
    sa.put("sequence-numbers", child.suite.sn());
    match child.processors {
        Processors::All => {}
        Processors::Each => sa.put("processors", "all that have no SA of their own"),
        Processors::One(number) => sa.put("processors", number),
    }
    if let Some(labels) = child.ipcomp {
        sa.put("ipcomp", "DEFLATE");
        sa.put("cpi-in", labels.inbound);
        if let Some(cpi) = labels.outbound {
            sa.put("cpi-out", cpi);
        }
    }
    sa.put_list("local-ts", &child.local_ts);
    sa.put_list("remote-ts", &child.remote_ts);
    sa.put("age", now.since(child.created).as_secs());
    sa
}

/// One remote with its policies and what failed with it lately. The key is never in it, nor its length.
pub fn remote(entry: &RemoteEntry, model: &Model, failures: &Failures, now: Instant) -> Message {
    let spec = &entry.spec;
    let mut remote =
        Message::new().with("name", &spec.name).with("version", spec.version.number()).with("endpoint", &spec.endpoint);
    if !spec.alternates.is_empty() {
        remote.put_list("alternates", &spec.alternates);
    }
    if let Some(own) = spec.own_hosts().next() {
        remote.put("local", own);
    }
    remote.put("own-id", &spec.own_id);
    remote.put("peer-id", spec.peers.as_ref().map_or_else(|| spec.peer_id.to_string(), ToString::to_string));
    remote.put("initiate", yes_no(spec.initiate));
    remote.put("accept", yes_no(spec.accept));
    if let IkeVersion::V1(v1) = &spec.version {
        remote.put("aggressive", yes_no(v1.aggressive));
    }
    if let Some(eap) = &spec.eap {
        remote.put_list("eap-methods", &eap.methods);
        match &eap.role {
            Role::User(user) => remote.put("eap-user", user),
            Role::Authenticator { users, .. } => remote.put("eap-users", users),
        }
    }
    match (&spec.signature, &spec.secret_file) {
        (Some(signature), _) => {
            remote.put("auth", if spec.eap.is_some() { "EAP and RSASIG" } else { "RSASIG" });
            remote.put_list("certificates", signature.own.iter().map(|file| file.display()));
            if let Some(peer) = &signature.peer {
                remote.put("peer-certificate", peer.display());
            }
        }
        (None, file) => {
            remote.put("auth", if spec.eap.is_some() { "EAP and PresharedKey" } else { "PresharedKey" });
            remote.put("secret-file", file.as_ref().map_or("loaded".to_owned(), |file| file.display().to_string()));
        }
    }
    let rounds = &spec.rounds;
    for (name, words) in [
        ("then-own", rounds.own.iter().map(OwnRoundSpec::word).collect::<Vec<_>>()),
        ("then-peer", rounds.peer.iter().map(PeerRoundSpec::word).collect()),
    ] {
        if !words.is_empty() {
            remote.put_list(name, words);
        }
    }
    if spec.if_ids.any() {
        remote.put("if-id", if_id::written(spec.if_ids));
    }
    remote.put_list("proposals", &spec.proposals);
    remote.put("lifetime", spec.lifetime.as_secs());
    remote.put("retransmit-ms", spec.retransmission.initial.as_millis());
    remote.put("tries", spec.retransmission.tries);
    remote.put("liveness", spec.liveness.after().map_or_else(|| "off".to_owned(), |time| time.as_secs().to_string()));
    remote.put("liveness-regular", yes_no(matches!(spec.liveness, Liveness::Regular(_))));
    remote.put("encap", yes_no(spec.encap));
    remote.put("mobike", yes_no(spec.extensions.mobike));
    remote.put("resumption", yes_no(spec.extensions.resumption));
    remote.put("crash-detection", yes_no(spec.extensions.crash_detection));
    remote.put("announce", yes_no(spec.extensions.announce));
    remote.put("childless", childless_word(spec.extensions.childless));
    remote.put("full-transcript", spec.extensions.full_transcript_word());
    if let Some(reauth) = spec.extensions.reauth {
        remote.put("reauth", reauth.as_secs());
    }
    remote.put("unique", spec.extensions.unique_word());
    remote.put_list("follow", spec.extensions.follow.iter().map(ToString::to_string));
    if let Some(gateway) = &spec.extensions.redirect {
        remote.put("redirect", gateway);
    }
    if let Some(id) = &spec.extensions.ppk_id {
        remote.put("ppk-id", id);
        remote.put("ppk-required", yes_no(spec.extensions.ppk_required));
        remote.put("ppk-in", spec.extensions.ppk_in_word());
    }
    let served = |policy: &&PolicyEntry| policy.spec.esp.as_ref().is_some_and(|esp| esp.remote == spec.name);
    remote.put_list("policies", model.policies().filter(served).map(|policy| policy.spec.name.clone()));
    remote.put("command", spec.line());
    remote.put_section("failures", recent_failures(failures.of(Some(&spec.name)), now));
    remote
}

/// Where the host of a name is, or since when nobody can say that.
pub fn host_name(host: &HostNameView, now: Instant) -> String {
    let HostNameView { name, addresses, failed, is_asked, next } = host;
    let at: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let at = at.join(", ");
    let again = if *is_asked {
        "it is being looked up".to_owned()
    } else {
        format!("next attempt in {} s", next.since(now).as_secs())
    };
    match failed {
        Some((since, why)) => {
            let since = now.since(*since).as_secs();
            let before = if at.is_empty() { String::new() } else { format!("; until then it was at {at}") };
            format!("{name} did not resolve: {why}, since {since} s, {again}{before}")
        }
        None if at.is_empty() => format!("{name}: {again}"),
        None => format!("{name} is at {at}"),
    }
}

/// Failures, oldest first.
pub fn recent_failures<'a>(failures: impl Iterator<Item = &'a (Instant, Failure)>, now: Instant) -> Message {
    numbered(failures.map(|(at, failure)| {
        let mut message = Message::new()
            .with("age", now.since(*at).as_secs())
            .with("address", failure.address)
            .with("exchange", failure.exchange)
            .with("what", failure.part);
        message.put_list("theirs", &failure.theirs);
        message.put_list("ours", &failure.ours);
        message.put("advice", &failure.advice);
        message
    }))
}

/// What IKE dropped and why, and what it did to protect itself.
pub fn ike_counters(counters: &Counters) -> Message {
    let named = [
        ("malformed", counters.malformed),
        ("other-version", counters.version),
        ("unknown-spi", counters.unknown_spi),
        ("forged", counters.forged),
        ("unexpected", counters.unexpected),
        ("outside-window", counters.outside_window),
        ("repeated", counters.repeated),
        ("refused-half-open", counters.refused_half_open),
        ("refused-tickets", counters.refused_tickets),
        ("refused-tokens", counters.refused_tokens),
        ("refused-resources", counters.refused_resources),
        ("cookies-sent", counters.cookies),
        ("puzzles-sent", counters.puzzles),
        ("rate-limited", counters.rate_limited),
    ];
    named.into_iter().fold(Message::new(), |message, (name, value)| message.with(name, value))
}

/// The short names that document 003's listing of SAs uses.
fn hash_name(integ: IntegId) -> String {
    match integ {
        IntegId::NONE => "none".to_owned(),
        IntegId::HMAC_MD5_96 => "MD5".to_owned(),
        IntegId::HMAC_SHA1_96 => "SHA1".to_owned(),
        IntegId::HMAC_SHA2_256_128 => "SHA256".to_owned(),
        IntegId::HMAC_SHA2_384_192 => "SHA384".to_owned(),
        IntegId::HMAC_SHA2_512_256 => "SHA512".to_owned(),
        other => other.to_string(),
    }
}

fn type_name(suite: &Suite) -> &'static str {
    match suite {
        Suite::Esp(_) => "ESP",
        Suite::Ah(_) => "AH",
        Suite::AhEsp { .. } => "AHESP",
    }
}

/// `iptfs`: tunnel mode with AGGFRAG payloads.
fn mode_name(mode: Mode, aggfrag: Option<AggFrag>) -> &'static str {
    match (mode, aggfrag) {
        (Mode::Transport, _) => "transport",
        (Mode::Tunnel, None) => "tunnel",
        (Mode::Tunnel, Some(_)) => "iptfs",
    }
}

fn action_name(action: ActionWord) -> &'static str {
    match action {
        ActionWord::Secure => "secure",
        ActionWord::Bypass => "bypass",
        ActionWord::Discard => "discard",
    }
}

/// As listings write a truth.
pub fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
