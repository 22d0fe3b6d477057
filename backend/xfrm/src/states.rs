//! SAs as the kernel has them: a state, or two where AH goes around ESP, and one more where packets are compressed before.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::options::{self, Df, Dscp};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaCounters, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::SnId;
use ravelin_types::{Carrier, Cpi, Secret, Spi};

use crate::algorithms;
use crate::msg::attribute::{Attribute, Encap, MAX_WINDOW_WORDS, Offload, ReplayEsn, SA_IN, SA_OUT, offload};
use crate::msg::bytes::Port;
use crate::msg::parts::{Id, Limits, Mark, Selector, family};
use crate::msg::state::{StateId, StateInfo, extra, flag, mode};
use crate::msg::{Body, Message, kind};
use crate::offload::of_packets;
use crate::own::{self, Tie};
use crate::policies::{AH, COMP, ESP, check_options};
use crate::selectors::{Way, selectors, single};

/// `UDP_ENCAP_ESPINUDP`: as in RFC 3948.
const ESP_IN_UDP: u16 = 2;
/// Packets after which another SA is asked for, whatever the lifetime, where sequence numbers have 32 bits (RFC 4303 §3.3.3).
/// The kernel sends no more when they have run out, and says nothing before.
const MANY_PACKETS: u64 = 0xf000_0000;
/// The longest window that has its place in the fixed part.
const SHORT_WINDOW: u32 = 32;

/// Selectors of the policy that an SA serves, where it is known.
pub(crate) type PolicySelectors<'a> = Option<(&'a [TrafficSelector], &'a [TrafficSelector])>;

/// What names a state: receiver, protocol, SPI.
pub(crate) type Name = (IpAddr, u8, Spi);

/// The requests that install an SA; `one_way` where the kernel keeps states to one direction, and with the device that has the
/// address of our end.
///
/// # Errors
/// What the kernel cannot do.
pub(crate) fn additions(
    params: &SaParams,
    policy: PolicySelectors<'_>,
    tie: &Tie,
    one_way: bool,
    device: Option<i32>,
) -> Result<Vec<Message>, DataPlaneError> {
    let invalid = |why: String| DataPlaneError::invalid(format_args!("SA {}: {why}", params.spi));
    check_options(&params.options, params.mode).map_err(invalid)?;
    if params.lookup == SaLookup::Source {
        return Err(invalid("the kernel finds an SA by receiver and SPI, never by its sender".into()));
    }
    let across = params.mode == Mode::Tunnel && params.local_ts.iter().any(|ts| ts.is_ipv4() != params.dst.is_ipv4());
    let bundle = params.options.ipcomp.cpi().is_some() || matches!(params.suite, Suite::AhEsp { .. });
    if across && bundle && !is_all_of(params, policy).map_err(invalid)? {
        return Err(invalid(
            "the peer agreed to a part of the policy, with another family inside than outside, which the kernel cannot keep AH around \
             ESP, or compression, to: give the parts policies of their own, or use the data plane `tun`"
                .into(),
        ));
    }
    let selector = selector(params, policy).map_err(invalid)?;
    let esn = params.suite.sn() == SnId::PARTIAL_64;
    let window = window(params, esn, one_way).map_err(invalid)?;
    let offload = by_device(params, device).map_err(invalid)?;
    let outbound = params.direction == Direction::Outbound;
    let limits = limits(params);
    let aggfrag = params.options.aggfrag;
    let state = |protocol: u8, spi: Spi, transport: bool, own: Vec<Attribute>| -> Result<Message, DataPlaneError> {
        let mut flags = 0;
        let mut more = 0;
        let secures = protocol != COMP;
        // For packets that come uncompressed the kernel has one state between two ends, which gets the selector of the first of IPComp.
        // So what an SA may carry is said by its state of ESP or AH alone.
        let mut selector = if secures || outbound { selector.clone() } else { None };
        // Linux takes no transport mode with a selector of another family. Behind a tunnel the tunnel and the policy say it all.
        if transport && across {
            selector = None;
            flags |= flag::AF_UNSPEC;
        }
        if esn && secures {
            flags |= flag::ESN;
        }
        if !transport {
            if selector.is_none() {
                flags |= flag::AF_UNSPEC;
            }
            if !params.options.full_ecn {
                flags |= flag::NO_ECN;
            }
            // About what is sent: a kernel that knows directions refuses them for what is received.
            if outbound && params.options.df == Df::Clear {
                flags |= flag::NO_PMTU_DISC;
            }
            if outbound && params.options.dscp == Dscp::Set(0) {
                more |= extra::DONT_ENCAP_DSCP;
            }
        }
        if protocol == AH && params.dst.is_ipv4() && !params.options.ah_align64 {
            // RFC 4302 §2.6: IPv4 aligns to 4 bytes; Linux to 8 unless told.
            flags |= flag::ALIGN4;
        }
        let info = StateInfo {
            selector: selector.unwrap_or_default(),
            id: Id { dst: params.dst.into(), spi, protocol },
            src: params.src.into(),
            limits: if secures { limits.clone() } else { Limits::none() },
            reqid: own::reqid(params.policy)?,
            family: family(params.dst),
            mode: match (transport, aggfrag) {
                (true, _) => mode::TRANSPORT,
                (false, None) => mode::TUNNEL,
                (false, Some(_)) => mode::IPTFS,
            },
            replay_window: if window.1.is_some() || !secures { 0 } else { window.0 as u8 },
            flags,
            ..StateInfo::default()
        };
        let mut attributes = own;
        attributes.extend(window.1.clone().filter(|_| secures).map(Attribute::ReplayEsn));
        if protocol == ESP {
            if params.encap.is_some_and(|encap| encap.carrier == Carrier::Tcp) {
                return Err(invalid("the data plane `kernel` carries no ESP in TCP: use the data plane `tun`".into()));
            }
            attributes.extend(encap(params).map(Attribute::Encap));
        }
        let marked = match params.direction {
            // Its policy may be about packets with a mark alone, also those that come by the SA.
            Direction::Inbound => params.options.set_mark.or(params.options.marks.inbound.mark()),
            Direction::Outbound => params.options.output_mark,
        };
        if let Some(mark) = marked {
            attributes.extend([Attribute::SetMark(mark.value), Attribute::SetMarkMask(mark.mask)]);
        }
        if one_way {
            attributes.push(Attribute::Direction(if outbound { SA_OUT } else { SA_IN }));
        }
        // RFC 9347 §6.1.4: about what is sent. Of everything else the kernel's own defaults are good.
        if outbound && aggfrag.is_some_and(|aggfrag| !aggfrag.fragments) {
            attributes.push(Attribute::IptfsDontFragment(()));
        }
        // What is received may be so on any processor.
        attributes.extend(params.options.processors.one().filter(|_| outbound).map(Attribute::Processor));
        attributes.extend(offload.clone().map(Attribute::Offload));
        if more != 0 {
            attributes.push(Attribute::ExtraFlags(more));
        }
        attributes.extend(tie.interface(params.direction));
        attributes.extend(mark(params).map(Attribute::Mark));
        Ok(Message { kind: kind::NEW_SA, body: Body::State(info), attributes })
    };
    let transport = params.mode == Mode::Transport;
    let short = params.options.short_icv;
    let mut states = Vec::new();
    if let Some(cpi) = params.options.ipcomp.cpi() {
        states.push(state(COMP, spi_of(cpi), transport, vec![algorithms::deflate()])?);
    }
    // The innermost is the tunnel.
    let transport = transport || !states.is_empty();
    match &params.suite {
        Suite::Esp(suite) => {
            states.push(state(ESP, params.spi, transport, algorithms::esp(suite, &params.keys, short)?)?);
        }
        Suite::Ah(suite) => {
            if params.encap.is_some() {
                return Err(invalid("AH does not pass a NAT".into()));
            }
            states.push(state(AH, params.spi, transport, algorithms::ah(suite, &params.keys, short)?)?);
        }
        Suite::AhEsp { ah, ah_spi, esp } => {
            states.push(state(ESP, params.spi, transport, algorithms::esp(esp, &params.keys, short)?)?);
            states.push(state(AH, *ah_spi, true, algorithms::ah(ah, &params.keys, short)?)?);
        }
    }
    Ok(states)
}

/// The kernel keeps the label of compressed packets as an SPI.
fn spi_of(cpi: Cpi) -> Spi {
    Spi(cpi.0.into())
}

/// The names of an SA's states, in the order in which they are added.
pub(crate) fn names(params: &SaParams) -> Vec<Name> {
    let dst = params.dst;
    let mut names: Vec<Name> = params.options.ipcomp.cpi().map(|cpi| (dst, COMP, spi_of(cpi))).into_iter().collect();
    match params.suite {
        Suite::Esp(_) => names.push((dst, ESP, params.spi)),
        Suite::Ah(_) => names.push((dst, AH, params.spi)),
        Suite::AhEsp { ah_spi, .. } => names.extend([(dst, ESP, params.spi), (dst, AH, ah_spi)]),
    }
    names
}

/// The name of the state that a message is about.
pub(crate) fn name(state: &StateInfo) -> Option<Name> {
    Some((state.id.dst.ip(state.family)?, state.id.protocol, state.id.spi))
}

/// The mark by which the kernel finds an SA for a policy. What arrives is found by its SPI, whatever mark it has.
pub(crate) fn mark(params: &SaParams) -> Option<Mark> {
    params.options.marks.outbound.mark().filter(|_| params.direction == Direction::Outbound).map(Mark::from)
}

/// The mark in a message.
pub(crate) fn mark_of(message: &Message) -> Option<Mark> {
    message.find(|attribute| if let Attribute::Mark(mark) = attribute { Some(mark.clone()) } else { None })
}

/// The request that removes a state, which is not found without its mark.
pub(crate) fn removal((dst, protocol, spi): Name, mark: Option<Mark>) -> Message {
    let id = StateId { dst: dst.into(), spi, family: family(dst), protocol };
    let mut message = Message::new(kind::DEL_SA, Body::StateId(id));
    message.attributes.extend(mark.map(Attribute::Mark));
    message
}

/// The same of a state as the kernel lists it, or as it was asked for.
pub(crate) fn removal_of(name: Name, state: &Message) -> Message {
    removal(name, mark_of(state))
}

/// Whether nothing differs that another program can change of a state that stays (`ip xfrm state update`).
pub(crate) fn unchanged(found: &Message, wanted: &Message) -> bool {
    let limits = |message: &Message| match &message.body {
        Body::State(state) => Some(state.limits.clone()),
        _ => None,
    };
    let encap =
        |message: &Message| message.find(|a| if let Attribute::Encap(it) = a { Some(it.clone()) } else { None });
    let number = |message: &Message| message.find(|a| if let Attribute::IfId(it) = a { Some(*it) } else { None });
    let mark = |message: &Message| {
        let value = message.find(|a| if let Attribute::SetMark(value) = a { Some(*value) } else { None });
        let mask = message.find(|a| if let Attribute::SetMarkMask(mask) = a { Some(*mask) } else { None });
        (value.unwrap_or(0), mask.unwrap_or(0))
    };
    let all = |message| (limits(message), encap(message), number(message), mark(message));
    all(found) == all(wanted)
}

/// Whether a state that was found is the one that a request would install: the same ends, mode, algorithms and keys.
pub(crate) fn same(found: &Message, wanted: &Message) -> bool {
    let (Body::State(a), Body::State(b)) = (&found.body, &wanted.body) else { return false };
    let keys = |message: &Message| -> Vec<(String, u32, Secret)> {
        let algorithms = message.attributes.iter().filter_map(|attribute| match attribute {
            Attribute::Aead(algorithm) | Attribute::AuthTruncated(algorithm) | Attribute::Crypt(algorithm) => {
                Some((algorithm.name.clone(), algorithm.icv_bits, algorithm.key.clone()))
            }
            _ => None,
        });
        let mut all: Vec<_> = algorithms.collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    // Under an entry that gives packets to a device, no state that does not is used, and the reverse.
    let device = of_packets(found) == of_packets(wanted);
    let (found, wanted) = (keys(found), keys(wanted));
    (a.src, a.reqid, a.mode) == (b.src, b.reqid, b.mode)
        && device
        && found.len() == wanted.len()
        && found.iter().zip(&wanted).all(|(a, b)| (&a.0, a.1) == (&b.0, b.1) && is_key(&a.2, &b.2))
}

/// Whether the kernel lists this key. One that is locked down shows zeros in the place of any.
fn is_key(listed: &Secret, key: &Secret) -> bool {
    let (listed, key) = (listed.expose(), key.expose());
    listed.len() == key.len() && (listed.iter().all(|byte| *byte == 0) || listed == key)
}

/// What the kernel counted.
pub(crate) fn counters(message: &Message) -> SaCounters {
    let Body::State(state) = &message.body else { return SaCounters::default() };
    let sequence = message.find(|attribute| match attribute {
        Attribute::ReplayEsn(window) => Some(window.sent.max(window.received)),
        Attribute::Replay(window) => Some(u64::from(window.sent.max(window.received))),
        _ => None,
    });
    SaCounters {
        packets: state.used.packets,
        bytes: state.used.bytes,
        replayed: state.drops.replayed.into(),
        too_old: state.drops.too_old.into(),
        forged: state.drops.forged.into(),
        sequence: sequence.unwrap_or(0),
        ..SaCounters::default()
    }
}

/// The selector of the state. Without one, the SA takes whatever its policy gives it, so it must be the policy's.
fn selector(params: &SaParams, policy: PolicySelectors<'_>) -> Result<Option<Selector>, String> {
    if let Some(one) = single(&params.local_ts, &params.remote_ts, way(params)) {
        return Ok(Some(one));
    }
    match is_all_of(params, policy)? {
        true => Ok(None),
        false => Err(
            "the peer agreed to a part of the policy that is more than one pair of prefixes, which no state of the kernel \
             can be kept to: give each pair a policy of its own, or use the data plane `tun`"
                .into(),
        ),
    }
}

fn way(params: &SaParams) -> Way {
    if params.direction == Direction::Outbound { Way::Out } else { Way::In }
}

/// Whether an SA is for all that its policy selects, where that is known.
fn is_all_of(params: &SaParams, policy: PolicySelectors<'_>) -> Result<bool, String> {
    let sorted = |all: Vec<Selector>| {
        let mut keys: Vec<_> = all.into_iter().map(|s| format!("{s:?}")).collect();
        keys.sort();
        keys
    };
    let Some((local, remote)) = policy else { return Ok(true) };
    let agreed = sorted(selectors(&params.local_ts, &params.remote_ts, way(params))?);
    Ok(sorted(selectors(local, remote, way(params))?) == agreed)
}

/// The window: its length, and the structure where it is not in the fixed part.
fn window(params: &SaParams, esn: bool, one_way: bool) -> Result<(u32, Option<ReplayEsn>), String> {
    let length = params.replay_window;
    match (params.direction, esn) {
        (Direction::Outbound, false) => Ok((0, None)),
        // With extended numbers the kernel wants one, unless it knows that nothing is received.
        (Direction::Outbound, true) => Ok((1, Some(ReplayEsn::new(if one_way { 0 } else { 1 })))),
        (Direction::Inbound, true) if length == 0 => {
            Err("the kernel does not switch the anti-replay check off with extended sequence numbers".into())
        }
        (Direction::Inbound, _) if length > MAX_WINDOW_WORDS * 32 => {
            Err(format!("an anti-replay window of {length} packets: the kernel takes up to {}", MAX_WINDOW_WORDS * 32))
        }
        (Direction::Inbound, false) if length <= SHORT_WINDOW => Ok((length, None)),
        (Direction::Inbound, _) => Ok((length, Some(ReplayEsn::new(length)))),
    }
}

/// What a device does. For the cryptography alone the kernel finds it by the route, and gives it nothing inside UDP.
fn by_device(params: &SaParams, device: Option<i32>) -> Result<Option<Offload>, String> {
    let way = if params.direction == Direction::Inbound { offload::INBOUND } else { 0 };
    let esp = matches!(params.suite, Suite::Esp(_)) && params.options.ipcomp.cpi().is_none();
    Ok(match params.options.offload {
        options::Offload::Packet if !esp => {
            return Err("a device takes whole packets of ESP alone, neither AH nor IPComp".into());
        }
        options::Offload::Packet => {
            let interface = device.ok_or("no device has the address of our end, so none can take whole packets")?;
            Some(Offload { interface, flags: way | offload::PACKET })
        }
        options::Offload::Crypto => {
            Some(Offload { interface: 0, flags: way }).filter(|_| esp && params.encap.is_none())
        }
        options::Offload::Off | options::Offload::Auto => None,
    })
}

/// The request for a state of an SA as it is.
pub(crate) fn question(name: Name, params: &SaParams) -> Message {
    Message { kind: kind::GET_SA, ..removal(name, mark(params)) }
}

pub(crate) fn encap(params: &SaParams) -> Option<Encap> {
    params.encap.map(|encap| Encap {
        kind: ESP_IN_UDP,
        src_port: Port(encap.src_port),
        dst_port: Port(encap.dst_port),
        original: params.original.map(|original| original.src.into()).unwrap_or_default(),
    })
}

fn limits(params: &SaParams) -> Limits {
    let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs().max(1));
    let many = |count: Option<u64>| count.unwrap_or(u64::MAX);
    let (soft, hard) = (&params.lifetime.soft, &params.lifetime.hard);
    let runs_out = params.direction == Direction::Outbound && params.suite.sn() != SnId::PARTIAL_64;
    Limits {
        soft_bytes: many(soft.bytes),
        hard_bytes: many(hard.bytes),
        soft_packets: many(soft.packets).min(if runs_out { MANY_PACKETS } else { u64::MAX }),
        hard_packets: many(hard.packets),
        soft_age: seconds(soft.time),
        hard_age: seconds(hard.time),
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use ravelin_types::options::{AggFrag, SaOptions};
    use ravelin_types::policy::PolicyId;
    use ravelin_types::proposal::EspSuite;
    use ravelin_types::sa::{self, SaKeys};
    use ravelin_types::transform::{EncrId, IntegId};

    use super::*;
    use crate::text;

    fn sa(direction: Direction) -> SaParams {
        let (src, dst) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let sn = SnId::SEQUENTIAL_32;
        SaParams {
            direction,
            spi: Spi(0x1000),
            pair: Spi(0x2000),
            lookup: SaLookup::Spi,
            src,
            dst,
            mode: Mode::Transport,
            encap: None,
            original: None,
            suite: EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn }.into(),
            keys: SaKeys { encr: Secret::new(vec![7; 20]), ..SaKeys::default() },
            policy: PolicyId(1),
            local_ts: vec![TrafficSelector::host(src)],
            remote_ts: vec![TrafficSelector::host(dst)],
            lifetime: ravelin_types::lifetime::Lifetime::default(),
            replay_window: 0,
            options: SaOptions { offload: options::Offload::Crypto, ..SaOptions::default() },
        }
    }

    #[test]
    fn a_state_is_kept_to_its_direction_where_the_kernel_can() {
        let suite = EspSuite { sn: SnId::PARTIAL_64, ..*sa(Direction::Outbound).suite.esp().unwrap() };
        let options = SaOptions { dscp: Dscp::Set(0), ..SaOptions::default() };
        for (direction, way, told) in [(Direction::Outbound, SA_OUT, "out"), (Direction::Inbound, SA_IN, "in")] {
            let params = SaParams {
                suite: suite.into(),
                mode: Mode::Tunnel,
                replay_window: if direction == Direction::Inbound { 64 } else { 0 },
                options,
                ..sa(direction)
            };
            let made = |one_way| additions(&params, None, &Tie::None, one_way, None).unwrap().remove(0);
            let (old, new) = (made(false), made(true));
            let way_of = |m: &Message| m.find(|a| if let Attribute::Direction(way) = a { Some(*way) } else { None });
            assert_eq!((way_of(&old), way_of(&new)), (None, Some(way)));
            assert!(text::command(&new).contains(&format!(" dir {told}")), "{}", text::command(&new));
            // Linux 6.10 refuses these of the other direction.
            let Body::State(state) = &new.body else { panic!("{new:?}") };
            let outbound = direction == Direction::Outbound;
            assert_eq!(state.flags & flag::NO_PMTU_DISC != 0, outbound);
            assert_eq!(new.attributes.iter().any(|a| matches!(a, Attribute::ExtraFlags(_))), outbound);
            let window = new.find(|a| if let Attribute::ReplayEsn(window) = a { Some(window.window) } else { None });
            assert_eq!(window, Some(if outbound { 0 } else { 64 }));
        }
    }

    #[test]
    fn aggfrag_payloads_are_a_mode_of_the_kernel() {
        for (direction, fragments, uncut) in
            [(Direction::Outbound, true, false), (Direction::Outbound, false, true), (Direction::Inbound, false, false)]
        {
            let options = SaOptions { aggfrag: Some(AggFrag { rate: None, fragments }), ..SaOptions::default() };
            let params = SaParams { mode: Mode::Tunnel, options, ..sa(direction) };
            let message = additions(&params, None, &Tie::None, true, None).unwrap().remove(0);
            let Body::State(state) = &message.body else { panic!("{message:?}") };
            assert_eq!(state.mode, mode::IPTFS);
            let line = text::command(&message);
            assert!(line.contains(" mode iptfs"), "{line}");
            assert_eq!(line.contains(" iptfs-opts dont-frag"), uncut, "{line}");
        }
        let rate = std::num::NonZeroU64::new(8000);
        let options = SaOptions { aggfrag: Some(AggFrag { rate, fragments: true }), ..SaOptions::default() };
        let params = SaParams { mode: Mode::Tunnel, options, ..sa(Direction::Outbound) };
        let refused = additions(&params, None, &Tie::None, true, None).unwrap_err().to_string();
        assert!(refused.contains("constant rate") && refused.contains("`tun`"), "{refused}");
    }

    #[test]
    fn a_rekey_is_asked_for_before_the_numbers_run_out() {
        let soft = |params: &SaParams| {
            let message = additions(params, None, &Tie::None, false, None).unwrap().remove(0);
            let Body::State(state) = message.body else { panic!("no state") };
            state.limits.soft_packets
        };
        let out = SaParams { replay_window: 64, ..sa(Direction::Outbound) };
        assert_eq!(soft(&out), MANY_PACKETS);
        assert_eq!(soft(&SaParams { direction: Direction::Inbound, ..out.clone() }), u64::MAX);
        let lower = ravelin_types::lifetime::Limits { packets: Some(1000), ..Default::default() };
        let lifetime = ravelin_types::lifetime::Lifetime { soft: lower, ..Default::default() };
        assert_eq!(soft(&SaParams { lifetime, ..out.clone() }), 1000);
        let extended = EspSuite { sn: SnId::PARTIAL_64, ..*out.suite.esp().unwrap() };
        assert_eq!(soft(&SaParams { suite: extended.into(), ..out }), u64::MAX);
    }

    #[test]
    fn each_direction_has_its_mark() {
        let mark = |value| Some(ravelin_types::options::Mark { value, mask: 0xff });
        let options = SaOptions { set_mark: mark(1), output_mark: mark(2), ..SaOptions::default() };
        for (direction, value) in [(Direction::Inbound, 1), (Direction::Outbound, 2)] {
            let message =
                additions(&SaParams { options, ..sa(direction) }, None, &Tie::None, false, None).unwrap().remove(0);
            let line = text::command(&message);
            assert!(line.contains(&format!(" output-mark 0x{value} mask 0xff")), "{line}");
        }
    }

    #[test]
    fn a_device_is_asked_for_esp_that_is_not_in_udp() {
        let asked = |params: &SaParams| {
            let messages = additions(params, None, &Tie::None, false, Some(1)).unwrap();
            let line = text::command(&messages[0]);
            (messages[0].find(|a| if let Attribute::Offload(asked) = a { Some(asked.clone()) } else { None }), line)
        };
        for (direction, flags, way) in [(Direction::Outbound, 0, "out"), (Direction::Inbound, 2, "in")] {
            let (offload, line) = asked(&sa(direction));
            assert_eq!(offload, Some(Offload { interface: 0, flags }));
            assert!(line.contains(&format!("offload crypto dev DEVICE dir {way}")), "{line}");
            let encap = Some(sa::Encap::udp(4500, 4500));
            assert_eq!(asked(&SaParams { encap, ..sa(direction) }).0, None);
            let options = SaOptions::default();
            assert_eq!(asked(&SaParams { options, ..sa(direction) }).0, None);

            let options = SaOptions { offload: options::Offload::Packet, ..SaOptions::default() };
            let whole = SaParams { options, ..sa(direction) };
            let (offload, line) = asked(&whole);
            assert_eq!(offload, Some(Offload { interface: 1, flags: flags | offload::PACKET }));
            assert!(line.contains(&format!("offload packet dev lo dir {way}")), "{line}");
            let refused = additions(&whole, None, &Tie::None, false, None).unwrap_err().to_string();
            assert!(refused.contains("no device has the address of our end"), "{refused}");
            let ipcomp = options::IpComp::With(Cpi(0x1234));
            let compressed = SaParams { options: SaOptions { ipcomp, ..options }, ..whole };
            let refused = additions(&compressed, None, &Tie::None, false, Some(1)).unwrap_err().to_string();
            assert!(refused.contains("neither AH nor IPComp"), "{refused}");
        }
    }
}
