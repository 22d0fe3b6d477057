//! Policies as messages have them, and as the SPD has them.

use alloc::string::String;
use alloc::vec;

use ravelin_types::ErrorCode;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::{Df, Dummies, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Mode, Policy, PriorityLevel, Protection, Ways};
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::mgmt::{Endpoint, PolicyAction, PolicyBody, PolicyFlags, TrafficIdentity};

use crate::limits::{REPLAY_WINDOW, TFC_PADDING};
use crate::world::Keying;

/// Every flag that has an effect.
const KNOWN: PolicyFlags = PolicyFlags::PROTO_AH
    .with(PolicyFlags::PROTO_ESP)
    .with(PolicyFlags::CHECK_REPLAY)
    .with(PolicyFlags::CHECK_ESP_PAD)
    .with(PolicyFlags::FULL_ECN)
    .with(PolicyFlags::DF_COPY)
    .with(PolicyFlags::DF_SET)
    .with(PolicyFlags::KEYNEG_MANUAL)
    .with(PolicyFlags::TX_DUMMY_PKT)
    .with(PolicyFlags::TX_TFC_PADDING)
    .with(PolicyFlags::AUTH_SHA2_ICV_SHORT);

/// The policy of a message.
pub(crate) fn parse(body: &PolicyBody) -> Result<(Policy, Keying), ErrorCode> {
    let selector = |identity: &TrafficIdentity| identity.selector(body.protocol);
    let (local, remote) = (selector(&body.source)?, selector(&body.destination)?);
    if local.is_ipv4() != remote.is_ipv4() {
        return Err(ErrorCode::BadAddrRange);
    }
    // ICMP is of one family.
    if (body.protocol == 1 && !local.is_ipv4()) || (body.protocol == 58 && local.is_ipv4()) {
        return Err(ErrorCode::UnknownIpProtocol);
    }
    let (action, keying) = match body.action {
        PolicyAction::DROP => (Action::Discard, Keying::Own),
        PolicyAction::BYPASS => (Action::Bypass, Keying::Own),
        PolicyAction::SECURE_TUNNEL => protection(body, Mode::Tunnel)?,
        PolicyAction::SECURE_TRANSPORT => transport(body, &local, &remote)?,
        _ => return Err(ErrorCode::BadParam),
    };
    let ways = match (body.action, body.flags) {
        (PolicyAction::SECURE_TUNNEL | PolicyAction::SECURE_TRANSPORT, _) => Ways::Both,
        (_, PolicyFlags::OUTBOUND_ONLY) => Ways::Outbound,
        (_, PolicyFlags::INBOUND_ONLY) => Ways::Inbound,
        (_, flags) if flags == PolicyFlags::default() => Ways::Both,
        _ => return Err(ErrorCode::BadParam),
    };
    let level = PriorityLevel::from_number(body.priority).map(PriorityLevel::priority);
    let policy = Policy {
        id: body.id,
        name: String::new(),
        domain: body.domain,
        priority: level.unwrap_or(body.priority),
        local: vec![local],
        remote: vec![remote],
        action,
        ways,
    };
    Ok((policy, keying))
}

/// In transport mode the SA joins the hosts that talk, so its ends are those of the traffic (RFC 4301 §4.1).
fn transport(
    body: &PolicyBody,
    local: &TrafficSelector,
    remote: &TrafficSelector,
) -> Result<(Action, Keying), ErrorCode> {
    let host = |selector: &TrafficSelector| {
        let (first, last) = selector.addresses().into_inner();
        (first == last).then_some(first)
    };
    if host(remote) != body.remote.0 || host(local).is_none() {
        return Err(ErrorCode::BadParam);
    }
    let local = Endpoint(body.local.0.or(host(local)));
    protection(&PolicyBody { local, ..*body }, Mode::Transport)
}

fn protection(body: &PolicyBody, mode: Mode) -> Result<(Action, Keying), ErrorCode> {
    let flags = body.flags;
    let (ah, esp) = (flags.contains(PolicyFlags::PROTO_AH), flags.contains(PolicyFlags::PROTO_ESP));
    if flags.without(KNOWN) != PolicyFlags::default() || !(ah || esp) {
        return Err(ErrorCode::BadParam);
    }
    let remote = body.remote.0.ok_or(ErrorCode::BadParam)?;
    if body.local.0.is_some_and(|local| local.is_ipv4() != remote.is_ipv4()) {
        return Err(ErrorCode::BadParam);
    }
    let df = match (flags.contains(PolicyFlags::DF_COPY), flags.contains(PolicyFlags::DF_SET)) {
        (true, true) => return Err(ErrorCode::BadParam),
        (true, false) => Df::Copy,
        (false, true) => Df::Set,
        (false, false) => Df::Clear,
    };
    let replay_window = match (flags.contains(PolicyFlags::CHECK_REPLAY), body.replay_window) {
        (false, 0) => 0,
        (false, _) => return Err(ErrorCode::BadParam),
        (true, 0) => REPLAY_WINDOW,
        (true, window) => window,
    };
    let options = SaOptions {
        full_ecn: flags.contains(PolicyFlags::FULL_ECN),
        df,
        pad_check: flags.contains(PolicyFlags::CHECK_ESP_PAD),
        short_icv: flags.contains(PolicyFlags::AUTH_SHA2_ICV_SHORT),
        tfc: if flags.contains(PolicyFlags::TX_TFC_PADDING) { TFC_PADDING } else { 0 },
        dummies: flags.contains(PolicyFlags::TX_DUMMY_PKT).then(Dummies::default),
        ..SaOptions::default()
    };
    let protection = Protection {
        mode,
        local: body.local.0,
        remote,
        pfp: Pfp::NONE,
        lifetime: Lifetime::default(),
        replay_window,
        options,
    };
    let manual = flags.contains(PolicyFlags::KEYNEG_MANUAL);
    Ok((Action::Protect(protection), Keying::Program { manual, ah, esp }))
}

/// The policy as a message has it. A policy with several selectors on one side is told by the first of them, one about a
/// device by all but the device.
pub(crate) fn body(policy: &Policy, keying: Keying) -> PolicyBody {
    let any = TrafficSelector::any_v4();
    let (local, remote) = (policy.local.first().unwrap_or(&any), policy.remote.first().unwrap_or(&any));
    let mut body = PolicyBody {
        id: policy.id,
        action: PolicyAction::BYPASS,
        protocol: local.protocol(),
        domain: policy.domain,
        flags: PolicyFlags::default(),
        priority: policy.priority,
        source: local.into(),
        destination: remote.into(),
        remote: Endpoint(None),
        local: Endpoint(None),
        replay_window: 0,
    };
    body.flags = match policy.ways {
        Ways::Both | Ways::Over(_, None) => PolicyFlags::default(),
        Ways::Outbound | Ways::Over(_, Some(Direction::Outbound)) => PolicyFlags::OUTBOUND_ONLY,
        Ways::Inbound | Ways::Over(_, Some(Direction::Inbound)) => PolicyFlags::INBOUND_ONLY,
    };
    match &policy.action {
        Action::Bypass => {}
        Action::Discard => body.action = PolicyAction::DROP,
        Action::Protect(protection) => {
            body.action = match protection.mode {
                Mode::Tunnel => PolicyAction::SECURE_TUNNEL,
                Mode::Transport => PolicyAction::SECURE_TRANSPORT,
            };
            body.flags = flags(protection, keying);
            (body.remote, body.local) = (Endpoint(Some(protection.remote)), Endpoint(protection.local));
            body.replay_window = protection.replay_window;
        }
    }
    body
}

fn flags(protection: &Protection, keying: Keying) -> PolicyFlags {
    let options = &protection.options;
    // Our IKE negotiates ESP.
    let (manual, ah, esp) = match keying {
        Keying::Own => (false, false, true),
        Keying::Program { manual, ah, esp } => (manual, ah, esp),
    };
    [
        (ah, PolicyFlags::PROTO_AH),
        (esp, PolicyFlags::PROTO_ESP),
        (protection.replay_window > 0, PolicyFlags::CHECK_REPLAY),
        (options.pad_check, PolicyFlags::CHECK_ESP_PAD),
        (options.full_ecn, PolicyFlags::FULL_ECN),
        (options.df == Df::Copy, PolicyFlags::DF_COPY),
        (options.df == Df::Set, PolicyFlags::DF_SET),
        (manual, PolicyFlags::KEYNEG_MANUAL),
        (options.dummies.is_some(), PolicyFlags::TX_DUMMY_PKT),
        (options.tfc > 0, PolicyFlags::TX_TFC_PADDING),
        (options.short_icv, PolicyFlags::AUTH_SHA2_ICV_SHORT),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(PolicyFlags::default(), |flags, (_, flag)| flags.with(flag))
}
