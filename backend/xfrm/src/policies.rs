//! Policies as the kernel has them: an entry for each pair of prefixes, way and direction.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::Spi;
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::mark::Marks;
use ravelin_types::options::{Df, Dscp, Mss, Processors, SaOptions};
use ravelin_types::policy::{Action, Mode, Policy, Protection};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaParams};

use crate::msg::attribute::{Attribute, Offload, offload};
use crate::msg::bytes::Field;
use crate::msg::parts::{Id, Limits, Selector, family};
use crate::msg::policy::{PolicyInfo, Template, action, direction, flag};
use crate::msg::state::mode;
use crate::msg::{Body, Message, kind};
use crate::offload::of_packets;
use crate::own::{self, Tie};
use crate::selectors::{Way, selectors};

pub(crate) const ESP: u8 = 50;
pub(crate) const AH: u8 = 51;
pub(crate) const COMP: u8 = 108;

/// What names an entry of the kernel: direction, interface, and selector with mark.
pub(crate) type Key = (u8, u32, Vec<u8>);

/// How the SAs of a policy look. The kernel wants to know with the policy what is only agreed with its first SA, so the
/// entries follow the SAs; before there is one, ESP between the policy's ends is as good a reason for an acquire as any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    protocols: Protocols,
    mode: Mode,
    /// Packets that leave, and that arrive, may be compressed.
    ipcomp: (bool, bool),
    /// ESP carries AGGFRAG payloads (RFC 9347), which the kernel has as a mode of its own.
    aggfrag: bool,
    /// Processors ask for SAs of their own.
    per_processor: bool,
    local: Option<IpAddr>,
    remote: IpAddr,
    /// The device that takes whole packets.
    device: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocols {
    Esp,
    Ah,
    AhEsp,
}

impl Shape {
    /// Before there is an SA; with the device that takes whole packets, where one does.
    pub(crate) fn of_policy(protection: &Protection, device: Option<i32>) -> Self {
        let Protection { mode, local, remote, .. } = *protection;
        let per_processor = protection.options.processors != Processors::All;
        let (protocols, ipcomp, aggfrag) = (Protocols::Esp, (false, false), false);
        Shape { protocols, mode, ipcomp, aggfrag, per_processor, local, remote, device }
    }

    /// That of an outbound SA; `expands` where the inbound one beside it has a label for compressed packets.
    pub(crate) fn of_sa(params: &SaParams, expands: bool, device: Option<i32>) -> Self {
        let protocols = match params.suite {
            Suite::Esp(_) => Protocols::Esp,
            Suite::Ah(_) => Protocols::Ah,
            Suite::AhEsp { .. } => Protocols::AhEsp,
        };
        let per_processor = params.options.processors != Processors::All;
        let ipcomp = (params.options.ipcomp.cpi().is_some(), expands);
        Shape {
            protocols,
            mode: params.mode,
            ipcomp,
            aggfrag: params.options.aggfrag.is_some(),
            per_processor,
            local: Some(params.src),
            remote: params.dst,
            device,
        }
    }

    /// The same, with processors that do not ask.
    pub(crate) fn without_asking(self) -> Self {
        Shape { per_processor: false, ..self }
    }

    /// Whether a device takes whole packets.
    pub(crate) fn gives_packets(&self) -> bool {
        self.device.is_some()
    }

    /// The ends of the tunnel, ours first.
    pub(crate) fn tunnel(&self) -> Option<(IpAddr, IpAddr)> {
        self.local.filter(|_| self.mode == Mode::Tunnel).map(|local| (local, self.remote))
    }
}

/// The entries of a policy for packets with these marks, in the order in which they are added: what lets nothing through in the
/// clear comes first.
///
/// # Errors
/// What the kernel has no words for.
pub(crate) fn entries(
    policy: &Policy,
    shape: Option<Shape>,
    tie: &Tie,
    marks: Marks,
) -> Result<Vec<Message>, DataPlaneError> {
    let named = |why: String| DataPlaneError::invalid(format_args!("policy {}: {why}", policy.name));
    let tag = own::reqid(policy.id)?;
    let select = |way| selectors(&policy.local, &policy.remote, way).map_err(named);
    let (out, back) = (select(Way::Out)?, select(Way::In)?);
    if marks.any() && matches!(tie, Tie::Vti(_)) {
        return Err(named("a VTI selects by its key: leave --mark out, or make its interface without --key".into()));
    }
    let entry = |selector: &Selector, towards: u8, action: u8, templates: Vec<Template>| {
        let selector = Selector { user: tag, ..selector.clone() };
        let info = PolicyInfo {
            selector,
            limits: Limits::none(),
            priority: policy.priority,
            direction: towards,
            action,
            ..PolicyInfo::default()
        };
        let mut message = Message::new(kind::NEW_POLICY, Body::Policy(info));
        if !templates.is_empty() {
            message.attributes.push(Attribute::Templates(templates));
        }
        let way = if towards == direction::OUT { Direction::Outbound } else { Direction::Inbound };
        message.attributes.extend(tie.attribute(way));
        message.attributes.extend(marks.of(way).mark().map(|mark| Attribute::Mark(mark.into())));
        message
    };
    let mut all = Vec::new();
    match (&policy.action, shape) {
        (Action::Protect(protection), shape) => {
            check_options(&protection.options, protection.mode).map_err(named)?;
            let shape = shape.unwrap_or_else(|| Shape::of_policy(protection, None));
            let outbound = out.iter().map(|s| entry(s, direction::OUT, action::ALLOW, templates(shape, tag, Way::Out)));
            all.extend(
                outbound
                    .map(|message| if shape.per_processor { asked_by_processors(message) } else { message })
                    .map(|message| by_device(message, shape.device)),
            );
            let inbound = || templates(shape, tag, Way::In);
            let received = back.iter().map(|s| entry(s, direction::IN, action::ALLOW, inbound()));
            all.extend(received.map(|message| by_device(message, shape.device)));
            if shape.mode == Mode::Tunnel {
                all.extend(back.iter().map(|s| entry(s, direction::FORWARD, action::ALLOW, inbound())));
            }
        }
        (other, _) => {
            let (leaves, arrives) = (policy.is_about(Direction::Outbound), policy.is_about(Direction::Inbound));
            let out: Vec<&Selector> = out.iter().filter(|_| leaves).collect();
            let back: Vec<&Selector> = back.iter().filter(|_| arrives).collect();
            let action = if *other == Action::Discard { action::BLOCK } else { action::ALLOW };
            all.extend(out.iter().map(|s| entry(s, direction::OUT, action, Vec::new())));
            all.extend(back.iter().map(|s| entry(s, direction::IN, action, Vec::new())));
            // What passes through this host may go either way.
            let both = out.iter().chain(back.iter().filter(|s| !out.contains(s)));
            all.extend(both.map(|s| entry(s, direction::FORWARD, action, Vec::new())));
        }
    }
    Ok(all)
}

/// The entry as one for which each processor asks for an SA of its own.
fn asked_by_processors(mut message: Message) -> Message {
    if let Body::Policy(policy) = &mut message.body {
        policy.flags |= flag::PROCESSOR_ACQUIRE;
    }
    message
}

/// The entry as one that a device has, too. What is forwarded has come in by the inbound one.
fn by_device(mut message: Message, device: Option<i32>) -> Message {
    let packets = |interface| Attribute::Offload(Offload { interface, flags: offload::PACKET });
    message.attributes.extend(device.map(packets));
    message
}

/// What names an entry.
pub(crate) fn key(message: &Message) -> Key {
    let interface = message.find(|a| if let Attribute::IfId(id) = a { Some(*id) } else { None }).unwrap_or(0);
    let mut bytes = Vec::new();
    let direction = match &message.body {
        Body::Policy(policy) => {
            policy.selector.write(&mut bytes);
            policy.direction
        }
        Body::PolicyId(id) => {
            id.selector.write(&mut bytes);
            id.direction
        }
        _ => 0,
    };
    if let Some(mark) = message.find(|a| if let Attribute::Mark(mark) = a { Some(mark) } else { None }) {
        mark.write(&mut bytes);
    }
    (direction, interface, bytes)
}

/// What two entries of one name must have in common to be the same. The kernel's counters and numbers are not among it.
pub(crate) fn same(a: &Message, b: &Message) -> bool {
    let core = |message: &Message| match &message.body {
        Body::Policy(policy) => Some((policy.priority, policy.action, policy.flags)),
        _ => None,
    };
    let templates = |message: &Message| {
        let found = message.find(|a| if let Attribute::Templates(all) = a { Some(all.clone()) } else { None });
        found.unwrap_or_default()
    };
    core(a) == core(b) && templates(a) == templates(b) && of_packets(a) == of_packets(b)
}

/// The request that removes an entry.
pub(crate) fn removal(message: &Message) -> Message {
    let Body::Policy(policy) = &message.body else { return message.clone() };
    let id = crate::msg::policy::PolicyId {
        selector: policy.selector.clone(),
        direction: policy.direction,
        ..crate::msg::policy::PolicyId::default()
    };
    let mut removal = Message::new(kind::DEL_POLICY, Body::PolicyId(id));
    removal
        .attributes
        .extend(message.attributes.iter().filter(|a| matches!(a, Attribute::IfId(_) | Attribute::Mark(_))).cloned());
    removal
}

/// The same entry as a request that replaces.
pub(crate) fn update(message: &Message) -> Message {
    Message { kind: kind::UPD_POLICY, ..message.clone() }
}

/// What must have happened to a packet, innermost first.
fn templates(shape: Shape, reqid: u32, way: Way) -> Vec<Template> {
    let nowhere = |like: IpAddr| -> IpAddr {
        if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
    };
    let template = |protocol: u8, transport: bool| {
        // A transport-mode SA is between the ends of the packet, and an inbound packet may come from wherever a NAT or a
        // move of the peer has brought it: its SA counts.
        let (src, dst) = match way {
            Way::Out if !transport => (shape.local.unwrap_or(nowhere(shape.remote)), shape.remote),
            _ => (nowhere(shape.remote), nowhere(shape.remote)),
        };
        Template {
            id: Id { dst: dst.into(), spi: Spi(0), protocol },
            family: family(shape.remote),
            src: src.into(),
            reqid,
            mode: match transport {
                true => mode::TRANSPORT,
                false if shape.aggfrag => mode::IPTFS,
                false => mode::TUNNEL,
            },
            integrity: u32::MAX,
            ciphers: u32::MAX,
            compressions: u32::MAX,
            ..Template::default()
        }
    };
    let transport = shape.mode == Mode::Transport;
    let compressed = if way == Way::Out { shape.ipcomp.0 } else { shape.ipcomp.1 };
    let mut all = Vec::new();
    if compressed {
        // RFC 3173 §2: what arrives need not be compressed. What leaves the kernel gives to the state all the same, which lets what
        // does not shrink pass as it is.
        all.push(Template { optional: u8::from(way == Way::In), ..template(COMP, transport) });
    }
    // The innermost is the tunnel.
    let transport = transport || compressed;
    match shape.protocols {
        Protocols::Esp => all.push(template(ESP, transport)),
        Protocols::Ah => all.push(template(AH, transport)),
        Protocols::AhEsp => all.extend([template(ESP, transport), template(AH, true)]),
    }
    all
}

/// What the kernel can do of the options of a policy.
///
/// # Errors
/// The first that it cannot, and what does instead.
pub(crate) fn check_options(options: &SaOptions, mode: Mode) -> Result<(), String> {
    let default = SaOptions::default();
    let refused = |what: &str, instead: &str| {
        Err(format!("the kernel's IPsec has no {what}: {instead}, or use the data plane `tun`"))
    };
    if mode == Mode::Tunnel {
        match (options.dscp, options.df) {
            (Dscp::Set(1..), _) => return refused("fixed DSCP of the outer header but 0", "set it by nftables"),
            (_, Df::Set) => return refused("don't-fragment flag that is always set", "say `copy`"),
            _ => {}
        }
        if options.hop_limit != default.hop_limit {
            return refused("hop limit of an SA", "set net.ipv4.ip_default_ttl");
        }
    }
    if options.mtu.is_some() {
        return refused("MTU of an SA", "give the route an MTU");
    }
    if options.mss != Mss::Off {
        return refused("limit of TCP segment sizes", "set `tcp option maxseg` by nftables");
    }
    if options.tfc > 0 {
        return refused("random padding", "leave it out");
    }
    if options.dummies.is_some() {
        return refused("dummy packets", "leave them out");
    }
    if options.aggfrag.is_some_and(|aggfrag| aggfrag.rate.is_some()) {
        return refused("packets at a constant rate (IP-TFS)", "say `--iptfs as-needed`");
    }
    if options.zero_checksum {
        return refused("UDP without checksum over IPv6", "leave it out");
    }
    Ok(())
}
