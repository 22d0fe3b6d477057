//! The messages that install an SA: its states, which have most in common.

use std::time::Duration;

use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::options::{self, Df, Dscp};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::SnId;
use ravelin_types::{Carrier, Spi};

use crate::algorithms;
use crate::msg::attribute::{Attribute, MAX_WINDOW_WORDS, Offload, ReplayEsn, SA_IN, SA_OUT, offload};
use crate::msg::parts::{Id, Limits, Selector, family};
use crate::msg::state::{StateInfo, extra, flag, mode};
use crate::msg::{Body, Message, kind};
use crate::own::{self, Tie};
use crate::policies::{AH, COMP, ESP, check_options};
use crate::selectors::{Way, selectors, single};
use crate::states::{encap, mark, spi_of};

/// Packets after which another SA is asked for, whatever the lifetime, where sequence numbers have 32 bits (RFC 4303 §3.3.3).
/// The kernel sends no more when they have run out, and says nothing before.
const MANY_PACKETS: u64 = 0xf000_0000;
/// The longest window that has its place in the fixed part.
const SHORT_WINDOW: u32 = 32;

/// Selectors of the policy that an SA serves, where it is known.
pub(crate) type PolicySelectors<'a> = Option<(&'a [TrafficSelector], &'a [TrafficSelector])>;

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
    refuse_what_the_kernel_cannot(params).map_err(invalid)?;
    let reqid = own::reqid(params.policy)?;
    let shared = Shared::new(params, policy, tie, one_way, device, reqid).map_err(invalid)?;
    let transport = params.mode == Mode::Transport;
    let short = params.options.short_icv;
    let mut states = Vec::new();
    if let Some(cpi) = params.options.ipcomp.cpi() {
        states.push(shared.state(COMP, spi_of(cpi), transport, vec![algorithms::deflate()]));
    }
    // The innermost is the tunnel.
    let transport = transport || !states.is_empty();
    match &params.suite {
        Suite::Esp(suite) => {
            states.push(shared.state(ESP, params.spi, transport, algorithms::esp(suite, &params.keys, short)?));
        }
        Suite::Ah(suite) => {
            states.push(shared.state(AH, params.spi, transport, algorithms::ah(suite, &params.keys, short)?));
        }
        Suite::AhEsp { ah, ah_spi, esp } => {
            states.push(shared.state(ESP, params.spi, transport, algorithms::esp(esp, &params.keys, short)?));
            states.push(shared.state(AH, *ah_spi, true, algorithms::ah(ah, &params.keys, short)?));
        }
    }
    Ok(states)
}

fn refuse_what_the_kernel_cannot(params: &SaParams) -> Result<(), String> {
    check_options(&params.options, params.mode)?;
    if params.lookup == SaLookup::Source {
        return Err("the kernel finds an SA by receiver and SPI, never by its sender".into());
    }
    match (&params.suite, params.encap) {
        (Suite::Ah(_), Some(_)) => Err("AH does not pass a NAT".into()),
        (_, Some(encap)) if encap.carrier == Carrier::Tcp => {
            Err("the data plane `kernel` carries no ESP in TCP: use the data plane `tun`".into())
        }
        _ => Ok(()),
    }
}

/// What the states of an SA have in common.
struct Shared<'a> {
    params: &'a SaParams,
    tie: &'a Tie,
    one_way: bool,
    /// Whether another family is inside than outside.
    across: bool,
    selector: Option<Selector>,
    limits: Limits,
    reqid: u32,
    /// The length of the window, and the structure where it is not in the fixed part.
    window: (u32, Option<ReplayEsn>),
    offload: Option<Offload>,
}

impl<'a> Shared<'a> {
    fn new(
        params: &'a SaParams,
        policy: PolicySelectors<'_>,
        tie: &'a Tie,
        one_way: bool,
        device: Option<i32>,
        reqid: u32,
    ) -> Result<Self, String> {
        let across =
            params.mode == Mode::Tunnel && params.local_ts.iter().any(|ts| ts.is_ipv4() != params.dst.is_ipv4());
        let bundle = params.options.ipcomp.cpi().is_some() || matches!(params.suite, Suite::AhEsp { .. });
        if across && bundle && !is_all_of(params, policy)? {
            return Err(
                "the peer agreed to a part of the policy, with another family inside than outside, which the kernel cannot keep AH around \
                 ESP, or compression, to: give the parts policies of their own, or use the data plane `tun`"
                    .into(),
            );
        }
        Ok(Shared {
            params,
            tie,
            one_way,
            across,
            selector: selector(params, policy)?,
            limits: limits(params),
            reqid,
            window: window(params, one_way)?,
            offload: by_device(params, device)?,
        })
    }

    /// The request for the state of one protocol, with its algorithms.
    fn state(&self, protocol: u8, spi: Spi, transport: bool, algorithms: Vec<Attribute>) -> Message {
        let Shared { params, window, .. } = self;
        let secures = protocol != COMP;
        let selector = self.selector(protocol, transport);
        let info = StateInfo {
            flags: self.flags(protocol, transport, selector.is_some()),
            selector: selector.unwrap_or_default(),
            id: Id { dst: params.dst.into(), spi, protocol },
            src: params.src.into(),
            limits: if secures { self.limits.clone() } else { Limits::none() },
            reqid: self.reqid,
            family: family(params.dst),
            mode: match (transport, params.options.aggfrag) {
                (true, _) => mode::TRANSPORT,
                (false, None) => mode::TUNNEL,
                (false, Some(_)) => mode::IPTFS,
            },
            replay_window: if window.1.is_some() || !secures { 0 } else { window.0 as u8 },
            ..StateInfo::default()
        };
        let mut attributes = algorithms;
        self.add(&mut attributes, protocol, transport);
        Message { kind: kind::NEW_SA, body: Body::State(info), attributes }
    }

    fn outbound(&self) -> bool {
        self.params.direction == Direction::Outbound
    }

    /// For packets that come uncompressed the kernel has one state between two ends, which gets the selector of the first of IPComp.
    /// So what an SA may carry is said by its state of ESP or AH alone. Linux takes no transport mode with a selector of another
    /// family: behind a tunnel the tunnel and the policy say it all.
    fn selector(&self, protocol: u8, transport: bool) -> Option<Selector> {
        let said = (protocol != COMP || self.outbound()) && !(transport && self.across);
        self.selector.clone().filter(|_| said)
    }

    fn flags(&self, protocol: u8, transport: bool, selector: bool) -> u8 {
        let Shared { params, .. } = self;
        let any_family = if transport { self.across } else { !selector };
        [
            (flag::AF_UNSPEC, any_family),
            (flag::ESN, esn(params) && protocol != COMP),
            (flag::NO_ECN, !transport && !params.options.full_ecn),
            // About what is sent: a kernel that knows directions refuses it for what is received.
            (flag::NO_PMTU_DISC, !transport && self.outbound() && params.options.df == Df::Clear),
            // RFC 4302 §2.6: IPv4 aligns to 4 bytes; Linux to 8 unless told.
            (flag::ALIGN4, protocol == AH && params.dst.is_ipv4() && !params.options.ah_align64),
        ]
        .into_iter()
        .filter(|(_, set)| *set)
        .fold(0, |flags, (flag, _)| flags | flag)
    }

    /// Adds what there is to say of a state beside its algorithms.
    fn add(&self, attributes: &mut Vec<Attribute>, protocol: u8, transport: bool) {
        let Shared { params, .. } = self;
        let outbound = self.outbound();
        attributes.extend(self.window.1.clone().filter(|_| protocol != COMP).map(Attribute::ReplayEsn));
        attributes.extend(encap(params).filter(|_| protocol == ESP).map(Attribute::Encap));
        let marked = match params.direction {
            // Its policy may be about packets with a mark alone, also those that come by the SA.
            Direction::Inbound => params.options.set_mark.or(params.options.marks.inbound.mark()),
            Direction::Outbound => params.options.output_mark,
        };
        if let Some(mark) = marked {
            attributes.extend([Attribute::SetMark(mark.value), Attribute::SetMarkMask(mark.mask)]);
        }
        if self.one_way {
            attributes.push(Attribute::Direction(if outbound { SA_OUT } else { SA_IN }));
        }
        // RFC 9347 §6.1.4: about what is sent. Of everything else the kernel's own defaults are good.
        if outbound && params.options.aggfrag.is_some_and(|aggfrag| !aggfrag.fragments) {
            attributes.push(Attribute::IptfsDontFragment(()));
        }
        // What is received may be so on any processor.
        attributes.extend(params.options.processors.one().filter(|_| outbound).map(Attribute::Processor));
        attributes.extend(self.offload.clone().map(Attribute::Offload));
        if !transport && outbound && params.options.dscp == Dscp::Set(0) {
            attributes.push(Attribute::ExtraFlags(extra::DONT_ENCAP_DSCP));
        }
        attributes.extend(self.tie.interface(params.direction));
        attributes.extend(mark(params).map(Attribute::Mark));
    }
}

fn esn(params: &SaParams) -> bool {
    params.suite.sn() == SnId::PARTIAL_64
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
fn window(params: &SaParams, one_way: bool) -> Result<(u32, Option<ReplayEsn>), String> {
    let length = params.replay_window;
    match (params.direction, esn(params)) {
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

fn limits(params: &SaParams) -> Limits {
    let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs().max(1));
    let many = |count: Option<u64>| count.unwrap_or(u64::MAX);
    let (soft, hard) = (&params.lifetime.soft, &params.lifetime.hard);
    let runs_out = params.direction == Direction::Outbound && !esn(params);
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
    use ravelin_types::{Cpi, Secret};

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
            local_ts: [TrafficSelector::host(src)].into(),
            remote_ts: [TrafficSelector::host(dst)].into(),
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
