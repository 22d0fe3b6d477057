//! A child of a connection: what becomes a policy.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_ike::config::DynamicTs;
use ravelin_ike::limits::SELECTORS;
use ravelin_types::if_id::{IfId, IfIds};
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::mark::{Marks, PolicyMark};
use ravelin_types::options::{AggFrag, Df, Dscp, IpComp, Mark, Offload, Processors, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Mode, PriorityLevel, Ways};
use ravelin_types::proposal::Proposal;
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};

use super::ends::{self, Ends};
use super::proposal;
use super::reader::{Problems, Reader, count, time};
use super::tree::Named;
use super::value::{Selector, selector};
use crate::command::options;
use crate::spec::{ActionWord, Afterwards, EspSpec, PolicySpec, Start};
use crate::value::priority::Priority;
use crate::value::selector::begin_alike;
use crate::value::{mark, name, shell_command};

/// The largest anti-replay window.
const MAX_WINDOW: u32 = 4096;
const DEFAULT_WINDOW: u32 = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Protect(Mode),
    /// Tunnel mode with AGGFRAG payloads (RFC 9347).
    AggFrag,
    Pass,
    Drop,
}

impl Kind {
    fn read(reader: &mut Reader<'_>) -> Self {
        let kinds = [
            ("tunnel", Kind::Protect(Mode::Tunnel)),
            ("transport", Kind::Protect(Mode::Transport)),
            ("iptfs", Kind::AggFrag),
            ("pass", Kind::Pass),
            ("drop", Kind::Drop),
        ];
        reader.word("mode", &kinds).unwrap_or(Kind::Protect(Mode::Tunnel))
    }

    /// `None`: nothing is protected.
    fn mode(self) -> Option<Mode> {
        match self {
            Kind::Protect(mode) => Some(mode),
            Kind::AggFrag => Some(Mode::Tunnel),
            Kind::Pass | Kind::Drop => None,
        }
    }

    fn action(self) -> ActionWord {
        match self {
            Kind::Protect(_) | Kind::AggFrag => ActionWord::Secure,
            Kind::Pass => ActionWord::Bypass,
            Kind::Drop => ActionWord::Discard,
        }
    }
}

/// Reads a child; its policy has the name of the connection in front.
pub(super) fn read(named: &Named, connection: &str, ends: &Ends, problems: &mut Problems) -> Option<PolicySpec> {
    let before = problems.0.len();
    let name = format!("{connection}.{}", named.name);
    let name = problems.take(self::name(&name).map_err(|error| named.at.remark(format!("{}: {error}", named.name))))?;
    let mut reader = Reader::new(&named.section, &named.at, problems);
    refuse(&mut reader);
    let kind = Kind::read(&mut reader);
    let shunt = kind.mode().is_none();
    let Suites { window, proposals, of_ah } = Suites::read(&mut reader);
    let lifetime = lifetime(&mut reader);
    let options = options_of(&mut reader, kind, of_ah, ends);
    let updown = updown(&mut reader);
    let starts = [
        ("none", (false, false)),
        ("trap", (true, false)),
        ("start", (false, true)),
        ("trap|start", (true, true)),
        ("start|trap", (true, true)),
        ("route", (true, false)),
    ];
    let (trap, start) = reader.word("start_action", &starts).unwrap_or((false, false));
    let afterwards = [
        ("none", Afterwards::Nothing),
        ("clear", Afterwards::Nothing),
        ("trap", Afterwards::Trap),
        ("start", Afterwards::Start),
        ("restart", Afterwards::Start),
    ];
    let closed = reader.word("close_action", &afterwards).unwrap_or_default();
    let dead = reader.word("dpd_action", &afterwards).unwrap_or_default();
    let priority = reader.value("priority", |text| text.parse::<u32>().map_err(|_| "expected a number".to_owned()));
    // A trap for whomever packets are to: in transport mode a packet itself says between which hosts its SA is.
    let wherever = trap && kind == Kind::Protect(Mode::Transport) && ends.is_for_anybody();
    let pfp = Pfp { local: wherever, remote: wherever, ..Pfp::NONE };
    let mut traffic = Traffic::read(&mut reader, ends, wherever);
    if shunt && (traffic.local.is_empty() || traffic.remote.is_empty()) {
        reader.wrong("traffic that passes or is dropped needs local_ts and remote_ts, or addresses for dynamic ones");
    }
    if trap {
        traffic.may_trap(&mut reader, ends, shunt || wherever, &options);
    }
    if start && ends.endpoint.is_anybody() && !shunt {
        reader.wrong("start_action = start needs a peer to initiate to in remote_addrs");
    }
    traffic.pair(&mut reader);
    reader.finish(&[]);
    if problems.0.len() > before {
        return None;
    }
    let Traffic { local, remote, dynamic } = traffic;
    let priority = match priority {
        None | Some(0) => dynamic_priority(&local, &remote, shunt),
        Some(number) => number,
    };
    let esp = kind.mode().map(|mode| EspSpec {
        remote: connection.to_owned(),
        endpoint: ends.endpoint.clone(),
        local: ends.local,
        mode,
        proposals,
        ah: Vec::new(),
        lifetime,
        replay_window: window,
        pfp,
        start: if start { Start::Now } else { Start::OnDemand },
        options,
        closed,
        dead,
        persistent: ends.persistent,
        dynamic,
        names: Vec::new(),
        updown,
    });
    Some(PolicySpec {
        name,
        priority: Priority::from(priority),
        local,
        remote,
        action: kind.action(),
        ways: Ways::Both,
        trap,
        esp,
        interface: None,
        connection: Some(connection.to_owned()),
    })
}

/// `esp_proposals` or `ah_proposals`, and `replay_window`, which says whether they are with extended sequence numbers.
struct Suites {
    window: u32,
    proposals: Vec<Proposal>,
    of_ah: bool,
}

impl Suites {
    fn read(reader: &mut Reader<'_>) -> Self {
        let window = reader.value("replay_window", |text| {
            let window = text.parse().ok().filter(|window| *window <= MAX_WINDOW);
            window.ok_or_else(|| format!("expected a number up to {MAX_WINDOW}"))
        });
        let window = window.unwrap_or(DEFAULT_WINDOW);
        let esp = reader.list("esp_proposals", |text| proposal::esp(text, window == 0)).map(|lists| lists.concat());
        let ah = reader.list("ah_proposals", |text| proposal::ah(text, window == 0)).map(|lists| lists.concat());
        if esp.is_some() && ah.is_some() {
            reader.wrong("a child has esp_proposals or ah_proposals, not both");
        }
        let of_ah = ah.is_some();
        let default = || proposal::esp("default", window == 0).unwrap_or_default();
        Suites { window, proposals: ah.or(esp).unwrap_or_else(default), of_ah }
    }
}

/// How packets are carried, and by which virtual interface.
fn options_of(reader: &mut Reader<'_>, kind: Kind, of_ah: bool, ends: &Ends) -> SaOptions {
    let shunt = kind.mode().is_none();
    let if_ids = if_ids(reader, ends, shunt);
    let aggfrag = (kind == Kind::AggFrag).then(AggFrag::default);
    let options = SaOptions { if_ids, aggfrag, ..carried(reader) };
    if let Some(why) = options::beside_iptfs(&options, of_ah) {
        reader.wrong(format!("mode = iptfs: {why}"));
    }
    if shunt && (options.marks.any() || options.set_mark.is_some() || options.output_mark.is_some()) {
        reader.wrong(
            "what passes or is dropped is so with every mark: `mark_in`, `mark_out` and `set_mark` go with protection",
        );
    }
    options
}

/// What a child is about.
struct Traffic {
    local: Vec<TrafficSelector>,
    remote: Vec<TrafficSelector>,
    /// What gets its address with the SA.
    dynamic: DynamicTs,
}

impl Traffic {
    fn read(reader: &mut Reader<'_>, ends: &Ends, wherever: bool) -> Self {
        let mut side = |name: &'static str| {
            let any = || vec![Selector::Dynamic(TrafficSelector::any_v4())];
            reader.list(name, selector).unwrap_or_else(any)
        };
        let (local, remote) = (side("local_ts"), side("remote_ts"));
        for (side, list) in [("local_ts", &local), ("remote_ts", &remote)] {
            if list.len() > SELECTORS {
                reader.wrong(format!("`{side}` has {} selectors; a child takes up to {SELECTORS}", list.len()));
            }
        }
        let peer = ends.endpoint.address().filter(|address| !address.is_unspecified());
        let (local, dynamic_local) = match ends.local {
            None if wherever => (anywhere(local), Vec::new()),
            own => settle(local, own.filter(|_| !ends.virtual_local)),
        };
        let (remote, dynamic_remote) = match wherever {
            true => (anywhere(remote), Vec::new()),
            false => settle(remote, peer.filter(|_| !ends.virtual_remote)),
        };
        Traffic { local, remote, dynamic: DynamicTs { local: dynamic_local, remote: dynamic_remote } }
    }

    /// Whether its packets can ask for an SA, before there is one; `free` where no peer is needed for that.
    fn may_trap(&self, reader: &mut Reader<'_>, ends: &Ends, free: bool, options: &SaOptions) {
        // Its address is known when its name was looked up.
        let named = ends.endpoint.name().is_some() && !ends.virtual_remote;
        if !free && (self.remote.is_empty() && !named || ends.endpoint.is_anybody()) {
            reader.wrong(
                "start_action = trap needs a peer to initiate to in remote_addrs; with mode = transport and no pools that is \
                 whomever a packet is to",
            );
        }
        if self.local.is_empty() && ends.virtual_local {
            reader.wrong(
                "start_action = trap with local_ts = dynamic does not go with vips: the address comes with the SA",
            );
        } else if self.local.is_empty() {
            reader.wrong("start_action = trap with local_ts = dynamic needs an address of this host in local_addrs");
        }
        if options.if_ids.come_with_the_sa() {
            reader.wrong("start_action = trap does not go with a unique if_id, which comes with the SA");
        }
        if options.marks.come_with_the_sa() {
            reader.wrong("start_action = trap does not go with a unique mark, which comes with the SA");
        }
    }

    /// Has both sides be of the same address families, and begin with the same one.
    fn pair(&mut self, reader: &mut Reader<'_>) {
        // An address that comes with the SA may be of either family.
        let alone = |ends: &[TrafficSelector], others: &[TrafficSelector], dynamic: &[TrafficSelector]| {
            dynamic.is_empty() && ends.iter().any(|end| !others.iter().any(|it| it.is_ipv4() == end.is_ipv4()))
        };
        let Traffic { local, remote, dynamic } = self;
        if alone(local, remote, &dynamic.remote) || alone(remote, local, &dynamic.local) {
            reader.wrong("each address family in local_ts is to be in remote_ts too, and the other way round");
        }
        begin_alike(local, remote);
    }
}

/// Those of the child, else those of the connection, where a unique one is that of the IKE SA.
fn if_ids(reader: &mut Reader<'_>, ends: &Ends, shunt: bool) -> IfIds {
    let own = ends::if_ids(reader);
    if shunt && own.any() {
        reader
            .wrong("what passes or is dropped is so on every interface: `if_id_in` and `if_id_out` go with protection");
    }
    let or = |own: IfId, default: IfId| match (own, default) {
        (IfId::None, default) if default.comes_with_the_sa() => IfId::OfIkeSa,
        (IfId::None, default) => default,
        (own, _) => own,
    };
    IfIds { inbound: or(own.inbound, ends.if_ids.inbound), outbound: or(own.outbound, ends.if_ids.outbound) }
}

/// Selectors where a dynamic one is every address of its family.
fn anywhere(list: Vec<Selector>) -> Vec<TrafficSelector> {
    list.into_iter()
        .map(|selector| match selector {
            Selector::Fixed(it) | Selector::Dynamic(it) => it,
        })
        .collect()
}

/// Fixed selectors, and dynamic ones whose address is not known yet.
fn settle(list: Vec<Selector>, address: Option<IpAddr>) -> (Vec<TrafficSelector>, Vec<TrafficSelector>) {
    let (mut fixed, mut dynamic) = (Vec::new(), Vec::new());
    for selector in list {
        match (selector, address) {
            (Selector::Fixed(selector), _) => fixed.push(selector),
            (Selector::Dynamic(selector), Some(address)) => {
                let host = TrafficSelector::host(address);
                fixed.push(host.with(selector.protocol(), selector.ports()).unwrap_or(host));
            }
            (Selector::Dynamic(selector), None) => dynamic.push(selector),
        }
    }
    (fixed, dynamic)
}

/// Narrow selectors are consulted before wide ones, and what passes or is dropped before what is protected.
fn dynamic_priority(local: &[TrafficSelector], remote: &[TrafficSelector], shunt: bool) -> u32 {
    let width = |selectors: &[TrafficSelector]| {
        let widest = selectors.iter().map(|selector| {
            let (bits, len) = if selector.is_ipv4() { (32, 1) } else { (128, 4) };
            let prefixes = selector.prefixes();
            let shortest = prefixes.iter().map(|(_, len)| u32::from(*len)).min().unwrap_or(0);
            (bits - shortest.min(bits)) / len * 4
                + u32::from(selector.protocol() == 0)
                + u32::from(selector.ports() == ANY_PORTS)
        });
        widest.max().unwrap_or(4 * 32)
    };
    let level = if shunt { PriorityLevel::MedHigh } else { PriorityLevel::Medium };
    level.priority() + width(local) + width(remote)
}

fn lifetime(reader: &mut Reader<'_>) -> Lifetime {
    let time_limit = reader.value("rekey_time", time).unwrap_or(Duration::from_secs(3600));
    let tenth_more = |value: u64| value + value / 10;
    let hard_time = reader.value("life_time", time).unwrap_or(time_limit + time_limit / 10);
    reader.only("rand_time", &["0", "0s"], "up to a tenth is taken off rekey_time at random");
    let bytes = reader.value("rekey_bytes", count).unwrap_or(0);
    let hard_bytes = reader.value("life_bytes", count).unwrap_or_else(|| tenth_more(bytes));
    reader.only("rand_bytes", &["0"], "an SA is rekeyed at rekey_bytes exactly");
    let packets = reader.value("rekey_packets", count).unwrap_or(0);
    let hard_packets = reader.value("life_packets", count).unwrap_or_else(|| tenth_more(packets));
    reader.only("rand_packets", &["0"], "an SA is rekeyed at rekey_packets exactly");
    let idle = reader.value("inactivity", time).filter(|idle| !idle.is_zero());
    let some = |value: u64| Some(value).filter(|value| *value > 0);
    let some_time = |time: Duration| Some(time).filter(|time| !time.is_zero());
    let soft = Limits { time: some_time(time_limit), bytes: some(bytes), packets: some(packets) };
    let hard = Limits { time: some_time(hard_time), bytes: some(hard_bytes), packets: some(hard_packets) };
    let below = |soft: Option<u64>, hard: Option<u64>| soft.zip(hard).is_some_and(|(soft, hard)| hard < soft);
    let seconds = |limits: &Limits| limits.time.map(|time| time.as_secs());
    if below(seconds(&soft), seconds(&hard)) || below(soft.bytes, hard.bytes) || below(soft.packets, hard.packets) {
        reader.wrong("an SA would end before it is rekeyed: life_time, life_bytes or life_packets is below its rekey_");
    }
    Lifetime { soft, hard, idle }
}

/// How packets are carried.
fn carried(reader: &mut Reader<'_>) -> SaOptions {
    let mut options = SaOptions { df: Df::Copy, ..SaOptions::default() };
    if let Some(copy) = reader.flag("copy_df") {
        options.df = if copy { Df::Copy } else { Df::Clear };
    }
    if let Some(copy) = reader.flag("copy_ecn") {
        options.full_ecn = copy;
    }
    if let Some(copy) = reader.word("copy_dscp", &[("out", true), ("no", false)]) {
        options.dscp = if copy { Dscp::Copy } else { Dscp::Set(0) };
    }
    options.short_icv = reader.flag("sha256_96").unwrap_or(false);
    let offload = [
        ("no", Offload::Off),
        ("yes", Offload::Crypto),
        ("crypto", Offload::Crypto),
        ("packet", Offload::Packet),
        ("auto", Offload::Auto),
    ];
    options.offload = reader.word("hw_offload", &offload).unwrap_or_default();
    if reader.value("per_cpu_sas", per_cpu).unwrap_or(false) {
        options.processors = Processors::Each;
    }
    if reader.flag("ipcomp").unwrap_or(false) {
        options.ipcomp = IpComp::Negotiate;
    }
    // What arrives gets the mark from its SA, so no rule has to mark what is opened, whether or not `mark_in_sa` asks for that.
    reader.flag("mark_in_sa");
    let mark = |text: &str| mark::of_policy(text).map_err(|error| error.message);
    let inbound = reader.value("mark_in", mark).map(about).unwrap_or_default();
    let outbound = reader.value("mark_out", mark).map(about).unwrap_or_default();
    options.marks = Marks { inbound, outbound };
    options.set_mark = reader.value("set_mark_in", |text| set_mark(text, inbound, "mark_in")).flatten();
    options.output_mark = reader.value("set_mark_out", |text| set_mark(text, outbound, "mark_out")).flatten();
    options
}

/// 0 with all bits is none, as strongSwan has it.
fn about(mark: PolicyMark) -> PolicyMark {
    if mark.mark() == Some(Mark { value: 0, mask: u32::MAX }) { PolicyMark::Any } else { mark }
}

/// A mark, or `%same`: the value of that of the packets that the policy is about, with a mask of its own. One without bits
/// changes nothing.
fn set_mark(text: &str, about: PolicyMark, option: &str) -> Result<Option<Mark>, String> {
    let (value, mask) = text.split_once('/').map_or((text, None), |(value, mask)| (value, Some(mask)));
    let text = match value.eq_ignore_ascii_case("%same") {
        true => {
            let about = match about {
                PolicyMark::Is(mark) => mark,
                PolicyMark::Any => return Err(format!("`%same` is that of `{option}`, and there is none")),
                PolicyMark::Unique | PolicyMark::UniqueDir => {
                    return Err(format!("`%same` is that of `{option}`, which is another with each SA: write a mark"));
                }
            };
            let mask = mask.map_or_else(String::new, |mask| format!("/{mask}"));
            format!("{}{mask}", about.value)
        }
        false => text.to_owned(),
    };
    let mark = mark::mark(&text).map_err(|error| error.message)?;
    Ok(Some(mark).filter(|mark| mark.mask != 0 && *mark != Mark { value: 0, mask: u32::MAX }))
}

fn per_cpu(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        "encap" => Err("SAs of processors in UDP have no ports of their own: expected yes or no".into()),
        _ => Err("expected no or yes".into()),
    }
}

/// `hostaccess` is a variable more for the script.
fn updown(reader: &mut Reader<'_>) -> Option<String> {
    let host_access = reader.flag("hostaccess").unwrap_or(false);
    let command = reader.value("updown", |text| shell_command(text).map_err(|error| error.message))?;
    Some(if host_access { format!("export PLUTO_HOST_ACCESS=1; {command}") } else { command })
}

/// What has no meaning here, or none with the value that it has.
fn refuse(reader: &mut Reader<'_>) {
    reader.only("policies", &["yes"], "an SA without a policy carries nothing; leave it out");
    reader.flag("policies_fwd_out");
    reader.only(
        "reqid",
        &["0"],
        "SAs are told apart by the number of their policy, which scripts have as PLUTO_REQID; leave it out",
    );
    reader.refuse(&["interface"], "policies are about all devices; say the addresses of the device in local_ts, or have a virtual interface by if_id_in and if_id_out");
    reader.only(
        "icmp",
        &["no"],
        "what a router says of a packet is judged by the policies like any other packet; let local_ts hold the router",
    );
    reader.refuse(&["label"], "there are no security labels; tell children apart by mark_in and mark_out");
    reader.only("label_mode", &["system"], "there are no security labels; leave it out");
    reader.only("tfc_padding", &["0"], "write the policy as `ipsec policy --tfc`, which pads up to a random length");
}
