//! `ipsec policy`: flags as written, and what they mean together.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ravelin_ike::config::{DynamicTs, IdPattern};
use ravelin_ike::limits::SELECTORS;
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{DeviceName, Mode, Ways};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{IntegId, Transform};

use super::internal::{End, end};
use super::options::OptionArgs;
use super::{Command, Conflict};
use crate::spec::{ActionWord, Afterwards, EspSpec, PolicySpec, Start, Which};
use crate::value::algorithm::{self, Encr, Esn};
use crate::value::host::Host;
use crate::value::priority::{Priority, priority};
use crate::value::protocol::{Protocol, protocol};
use crate::value::selector::{IdString, begin_alike};
use crate::value::who;
use crate::value::{device, device_name, identity, name, pfp, quantity, shell_command};

/// The flags of `ipsec policy`.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct PolicyArgs {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong, display_order = 1001)]
    help: Option<bool>,
    /// Name of the policy, known to this host only
    #[arg(short = 'n', long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Source: ADDRESS, ADDRESS/BITS, ADDRESS/MASK, FIRST-LAST, any (IPv4) or any6, each with ,PORT or ,FIRST-LAST, or
    /// ,opaque for packets that show no port; internal or internal6 for the address that the remote gives us (ike remote
    /// --vip); several -s are several sources, of both families if there are destinations of both
    #[arg(short = 's', long, value_name = "ID", value_parser = end)]
    source: Vec<End>,
    /// Destination, written like the source, internal being the address that we give the remote (ike remote --pool); the
    /// policy is about packets from any source to any destination
    #[arg(short = 'd', long, value_name = "ID", value_parser = end)]
    destination: Vec<End>,
    /// Upper-layer protocol: udp, tcp, icmp, icmp6, mh (Mobility Header), any, or a number; with types icmp/8,
    /// icmp/3/1 (type and code), icmp6/133-137, mh/5
    #[arg(short = 'p', long, value_name = "PROTOCOL", default_value = "any", value_parser = protocol)]
    protocol: Protocol,
    /// What happens to the traffic
    #[arg(long, value_enum, default_value = "secure")]
    action: ActionWord,
    /// Packets that the policy is about, with --action bypass or discard
    #[arg(long, value_enum, default_value = "both")]
    direction: WayWord,
    /// With --action bypass or discard: the policy is about packets that leave or arrive by this device alone, such as
    /// those of a network on this side
    #[arg(long, value_name = "DEVICE", value_parser = device_name)]
    device: Option<DeviceName>,
    /// Name of the remote (`ike remote -n NAME`) to negotiate with
    #[arg(short = 'g', long, value_name = "NAME", value_parser = name)]
    remote: Option<String>,
    /// Address or name of the remote endpoint, as its remote has it; any or any6 where the peer comes from wherever it is: the
    /// policy is then in force for the addresses that a peer negotiated, as long as it has an SA
    #[arg(short = 'r', long, value_name = "ADDRESS", value_parser = identity::peer)]
    endpoint: Option<Host>,
    /// Name of the policy as its peers have it (RFC 4301): only peers that proved to be this may use it. An identity as
    /// ike remote -f has it, or several with several --for
    #[arg(long = "for", value_name = "ID", value_parser = who::pattern)]
    names: Vec<IdPattern>,
    /// Address of the local endpoint (default: the one from which the remote endpoint is reached)
    #[arg(long, value_name = "ADDRESS", value_parser = identity::host)]
    local: Option<IpAddr>,
    /// transport (between the two endpoints) or tunnel
    #[arg(short = 'm', long, value_enum, ignore_case = true)]
    mode: Option<ModeWord>,
    /// Type of the security association: ESP, or AH, which does not encrypt
    #[arg(short = 't', long = "type", value_enum, ignore_case = true, default_value = "esp")]
    kind: KindWord,
    /// Encryption algorithms, best first: AES128-, AES192- or AES256- with GCM, GCM-12, GCM-8, GCM-IIV, CCM,
    /// CCM-12, CCM-8, CCM-8-IIV, GMAC, CBC or CTR; CHACHA20-POLY1305, CHACHA20-POLY1305-IIV; CAMELLIA128-CBC and its
    /// sisters; NULL_ENC, 3DES-CBC, DES-CBC
    /// [default: AES128-GCM,AES256-GCM,CHACHA20-POLY1305,AES128-CBC,AES256-CBC]
    #[arg(short = 'e', long, value_name = "LIST", value_parser = ListParser(algorithm::encr_list))]
    encryption: Option<List<Encr>>,
    /// Integrity algorithms for AH, and for ciphers that do not authenticate by themselves: HMAC-SHA-2-256,
    /// HMAC-SHA-2-384, HMAC-SHA-2-512, HMAC-SHA-1, HMAC-MD5, AES-XCBC, AES-CMAC; for AH also AES128-GMAC and its sisters
    /// [default: HMAC-SHA-2-256,HMAC-SHA-2-384,HMAC-SHA-2-512]
    #[arg(short = 'a', long, value_name = "LIST", value_parser = ListParser(algorithm::integ_list))]
    integrity: Option<List<IntegId>>,
    /// Key exchange groups for a fresh exchange with each rekey (perfect forward secrecy), or none; KE1_ and a name: one
    /// more after it (RFC 9370), KE1_NONE: not needed
    #[arg(long, value_name = "LIST", default_value = "none", value_parser = ListParser(algorithm::pfs_list))]
    pfs: List<Transform>,
    /// Extended sequence numbers
    #[arg(long, value_enum, default_value = "prefer")]
    esn: Esn,
    /// Virtual interface (route-based IPsec): the policy is about what the host routes to this device, which is made
    /// with the first policy that names it, and about nothing else
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    interface: Option<String>,
    /// Number of packets in the anti-replay window, up to 4096; 0 switches the check off
    #[arg(long, value_name = "PACKETS", default_value = "1024", value_parser = clap::value_parser!(u32).range(0..=4096))]
    replay_window: u32,
    /// Priority: 1 (consulted first) to 7, or highest, high, med-high, medium, med-low, low, lowest; or a number from
    /// 1000 on, where 4500 is between 4 and 5
    #[arg(short = 'l', long, value_name = "LEVEL", default_value = "4", value_parser = priority)]
    priority: Priority,
    /// Lifetime of a security association; before its end it is replaced
    #[arg(short = 'k', long, value_name = "TIME", default_value = "3600", value_parser = quantity::duration)]
    lifetime: Duration,
    /// Lifetime in bytes: 500M, 2G [default: none]
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    life_bytes: Option<u64>,
    /// Lifetime in packets: 500k, 2M [default: none]
    #[arg(long, value_name = "PACKETS", value_parser = quantity::count)]
    life_packets: Option<u64>,
    /// Populate from packet, or clone policy: what of a packet gives it a security association of its own. A list of
    /// local, remote, protocol, local-port and remote-port (for ICMP its type and code), or all [default: none]
    #[arg(long, alias = "clone", value_name = "LIST", value_parser = pfp::list)]
    pfp: Option<Pfp>,
    /// Delete a security association that carried no packet for this time [default: never]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    inactivity: Option<Duration>,
    /// When to negotiate: with the first packet, or at once
    #[arg(long, value_enum, default_value = "on-demand")]
    start: Start,
    /// Command that /bin/sh runs when an SA came up and when it went down, with what strongSwan's updown scripts find in
    /// their environment: PLUTO_VERB (up-client, down-client, up-host, down-host), PLUTO_PEER_CLIENT and others
    #[arg(long, value_name = "COMMAND", value_parser = shell_command)]
    updown: Option<String>,
    /// View the policies, or with -n one
    #[arg(short = 'v', long, conflicts_with = "delete")]
    view: bool,
    /// Delete the policy of this name, or ALLPOLICIES
    #[arg(short = 'x', long, value_name = "NAME", value_parser = name)]
    delete: Option<String>,
    /// View as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: OptionArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WayWord {
    /// Those that leave and those that arrive
    Both,
    /// Those that leave
    Out,
    /// Those that arrive
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ModeWord {
    Transport,
    Tunnel,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Transport => Mode::Transport,
            ModeWord::Tunnel => Mode::Tunnel,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindWord {
    Esp,
    Ah,
    Ahesp,
}

impl KindWord {
    /// Whether there is AH, and whether there is ESP.
    fn protocols(self) -> (bool, bool) {
        (self != KindWord::Esp, self != KindWord::Ah)
    }
}

/// A list behind one flag. (Clap would take a `Vec` for a flag that is given several times.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List<T>(pub(super) Vec<T>);

/// Makes clap's value parser out of a function that reads a list.
#[derive(Clone)]
pub(super) struct ListParser<T>(pub(super) fn(&str) -> Result<Vec<T>, crate::value::BadValue>);

impl<T: Clone + Send + Sync + 'static> clap::builder::TypedValueParser for ListParser<T> {
    type Value = List<T>;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<List<T>, clap::Error> {
        let read = self.0;
        let parser = move |text: &str| read(text).map(List);
        clap::builder::TypedValueParser::parse_ref(&parser, command, arg, value)
    }
}

const NAME: (char, &str) = ('n', "name");

impl PolicyArgs {
    /// Whether a listing shall be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    pub(super) fn interpret(&self, notes: &mut Vec<String>) -> Result<Command, Conflict> {
        if let Some(name) = &self.delete {
            let which = if name == "ALLPOLICIES" { Which::All } else { Which::Named(name.clone()) };
            return Ok(Command::DeletePolicy(which));
        }
        if self.view {
            return Ok(Command::ViewPolicies(self.name.clone()));
        }
        self.refuse_what_is_not_there()?;
        let name = self.name.clone().ok_or_else(|| Conflict::missing("expected -n NAME, -v or -x NAME"))?;
        if name == "ALLPOLICIES" {
            return Err(Conflict::at(NAME, "ALLPOLICIES means all policies and cannot be the name of one"));
        }
        self.check_traffic()?;
        let esp = match self.action {
            ActionWord::Secure => Some(self.esp(notes)?),
            ActionWord::Bypass | ActionWord::Discard => {
                self.refuse_protection()?;
                None
            }
        };
        let (local, mut remote) = (self.bound(&self.source, false), self.bound(&self.destination, false));
        begin_alike(&local, &mut remote);
        let (priority, action, interface) = (self.priority, self.action, self.interface.clone());
        // Where its peers are, and which internal addresses there are, is known with the SAs.
        let trap = !self.anywhere() && !self.is_internal();
        let ways = match (self.device, self.direction) {
            (None, WayWord::Both) => Ways::Both,
            (None, WayWord::Out) => Ways::Outbound,
            (None, WayWord::In) => Ways::Inbound,
            (Some(device), WayWord::Both) => Ways::Over(device, None),
            (Some(device), WayWord::Out) => Ways::Over(device, Some(Direction::Outbound)),
            (Some(device), WayWord::In) => Ways::Over(device, Some(Direction::Inbound)),
        };
        let spec = PolicySpec { name, priority, local, remote, action, ways, trap, esp, interface, connection: None };
        Ok(Command::AddPolicy(Box::new(spec)))
    }

    /// Those of the ends that are internal addresses, or the others.
    fn bound(&self, ends: &[End], internal: bool) -> Vec<TrafficSelector> {
        let wanted = ends.iter().filter(|end| matches!(end, End::Internal(_)) == internal);
        wanted.map(|end| end.id().bind(&self.protocol)).collect()
    }

    /// Whether one of its ends is an internal address.
    fn is_internal(&self) -> bool {
        self.source.iter().chain(&self.destination).any(|end| matches!(end, End::Internal(_)))
    }

    /// Whether its peers may be anywhere.
    fn anywhere(&self) -> bool {
        self.endpoint.as_ref().is_some_and(Host::is_anybody)
    }

    fn refuse_what_is_not_there(&self) -> Result<(), Conflict> {
        let refused = [
            (
                self.kind == KindWord::Ah && self.encryption.is_some(),
                ('e', "encryption"),
                "AH does not encrypt; leave -e out, or use -t ESP",
            ),
            (
                self.replay_window == 0 && self.esn == Esn::Require,
                ('\0', "esn"),
                "extended sequence numbers need the anti-replay check; give --replay-window a size",
            ),
            (
                self.pfp.is_some() && self.start == Start::Now,
                ('\0', "pfp"),
                "there is nothing to populate from before a packet comes; leave --start now out",
            ),
            (
                self.pfp.is_some() && self.options.per_cpu(),
                ('\0', "per-cpu"),
                "--pfp has the flows on SAs of their own already; leave one of the two out",
            ),
            (
                self.inactivity.is_some() && self.start == Start::Now,
                ('\0', "inactivity"),
                "what is negotiated at once shall stay; leave --start now or --inactivity out",
            ),
            (
                self.interface.is_some() && self.mode == Some(ModeWord::Transport),
                ('m', "mode"),
                "what is routed to a virtual interface travels in a tunnel; use -m tunnel",
            ),
            (
                self.direction != WayWord::Both && self.action == ActionWord::Secure,
                ('\0', "direction"),
                "what is protected is so both ways; --direction goes with --action bypass or discard",
            ),
            (
                self.device.is_some() && self.action == ActionWord::Secure,
                ('\0', "device"),
                "what is protected is so whichever device it leaves by; --device goes with --action bypass or discard, and \
                 --interface protects what is routed to a virtual interface",
            ),
            (
                self.device.is_some() && self.interface.is_some(),
                ('\0', "device"),
                "what is routed to a virtual interface goes by that one; leave --device out",
            ),
            (
                self.anywhere() && self.mode == Some(ModeWord::Transport),
                ('m', "mode"),
                "peers that may be anywhere take a tunnel; use -m tunnel, or name the endpoint",
            ),
            (
                self.anywhere() && self.start == Start::Now,
                ('\0', "start"),
                "a peer that may be anywhere starts by itself; leave --start now out",
            ),
            (
                self.anywhere() && self.interface.is_some(),
                ('\0', "interface"),
                "a virtual interface leads to one endpoint; name it with -r",
            ),
            (
                self.is_internal() && self.mode == Some(ModeWord::Transport),
                ('m', "mode"),
                "internal addresses are those of a tunnel; use -m tunnel",
            ),
            (
                self.is_internal() && self.interface.is_some(),
                ('\0', "interface"),
                "internal addresses come with the SA, and what an interface takes is known before; leave --interface out",
            ),
            (
                self.is_internal() && self.action != ActionWord::Secure,
                ('\0', "action"),
                "internal addresses come with an SA; use --action secure",
            ),
            (
                self.interface.is_some() && self.options.if_ids().any(),
                ('\0', "if-id"),
                "a policy is about one virtual interface: name it, or give its number",
            ),
            (
                self.options.if_ids().come_with_the_sa() && !self.anywhere() && !self.is_internal(),
                ('\0', "if-id"),
                "this policy holds traffic before there is an SA, with which a unique number comes; give a number",
            ),
            (
                self.options.marks().come_with_the_sa() && !self.anywhere() && !self.is_internal(),
                ('\0', "mark"),
                "this policy holds traffic before there is an SA, with which a unique mark comes; give a mark",
            ),
            (self.json, ('j', "json"), "--json goes with -v"),
        ];
        match refused.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, why)) => Err(Conflict::at(flag, why)),
            None => Ok(()),
        }
    }

    fn refuse_protection(&self) -> Result<(), Conflict> {
        let given = [
            (self.remote.is_some(), ('g', "remote")),
            (self.endpoint.is_some(), ('r', "endpoint")),
            (self.mode.is_some(), ('m', "mode")),
            (self.encryption.is_some(), ('e', "encryption")),
            (self.integrity.is_some(), ('a', "integrity")),
            (self.local.is_some(), ('\0', "local")),
            (!self.names.is_empty(), ('\0', "for")),
            (self.pfp.is_some(), ('\0', "pfp")),
            (self.inactivity.is_some(), ('\0', "inactivity")),
            (self.updown.is_some(), ('\0', "updown")),
            (self.interface.is_some() && self.action == ActionWord::Bypass, ('\0', "interface")),
        ];
        let given = given.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag);
        match given.or_else(|| self.options.given()) {
            Some(flag) => Err(Conflict::at(
                flag,
                format!("--{} goes with --action secure: this traffic is not protected", flag.1),
            )),
            None => Ok(()),
        }
    }

    fn check_traffic(&self) -> Result<(), Conflict> {
        let (source, destination) = self.ids();
        if source.is_empty() {
            return Err(Conflict::missing("expected -s SOURCE: an address, any or any6"));
        }
        if destination.is_empty() {
            return Err(Conflict::missing("expected -d DESTINATION: an address, any or any6"));
        }
        for (ends, flag) in [(&source, ('s', "source")), (&destination, ('d', "destination"))] {
            if ends.len() > SELECTORS {
                return Err(Conflict::at(flag, format!("expected at most {SELECTORS} of them in one policy")));
            }
        }
        let ends =
            [(&destination, &source, ('d', "destination"), "-s"), (&source, &destination, ('s', "source"), "-d")];
        for (ends, others, flag, other) in ends {
            if let Some(alone) = ends.iter().find(|end| !others.iter().any(|it| it.is_ipv4() == end.is_ipv4())) {
                let family = if alone.is_ipv4() { "IPv4" } else { "IPv6" };
                let why = format!("-s and -d belong to different address families: there is no {other} of {family}");
                return Err(Conflict::at(flag, why));
            }
            ends.iter().try_for_each(|end| check_end(&self.protocol, *end, flag))?;
        }
        Ok(())
    }

    /// Both ends without the difference between addresses that are known and those that come with an SA.
    fn ids(&self) -> (Vec<IdString>, Vec<IdString>) {
        let ids = |ends: &[End]| ends.iter().map(|end| end.id()).collect();
        (ids(&self.source), ids(&self.destination))
    }

    fn esp(&self, notes: &mut Vec<String>) -> Result<EspSpec, Conflict> {
        let missing = |what: &str| Conflict::missing(format!("expected {what}, or --action bypass or discard"));
        let remote = self.remote.clone().ok_or_else(|| missing("-g REMOTE"))?;
        let endpoint = self.endpoint.clone().ok_or_else(|| missing("-r ADDRESS of the remote endpoint"))?;
        let mode = Mode::from(self.mode.ok_or_else(|| missing("-m transport or -m tunnel"))?);
        let (source, destination) = self.ids();
        let local = local_end(mode, &source, &destination, &endpoint, self.local)?;
        let options = self.options.interpret(mode, self.kind.protocols(), &endpoint)?;
        let afterwards = if self.start == Start::Now { Afterwards::Start } else { Afterwards::Nothing };
        Ok(EspSpec {
            remote,
            endpoint,
            local,
            mode,
            proposals: self.proposals(notes)?,
            ah: self.ah().to_vec(),
            lifetime: self.lifetime()?,
            replay_window: self.replay_window,
            pfp: self.pfp.unwrap_or_default(),
            start: self.start,
            options,
            closed: afterwards,
            dead: afterwards,
            persistent: self.start == Start::Now,
            dynamic: DynamicTs { local: self.bound(&self.source, true), remote: self.bound(&self.destination, true) },
            names: self.names.clone(),
            updown: self.updown.clone(),
        })
    }

    /// What AH around ESP takes.
    fn ah(&self) -> &[IntegId] {
        match self.kind {
            KindWord::Ahesp => self.integrity.as_ref().map_or(algorithm::DEFAULT_INTEG, |list| &list.0),
            KindWord::Esp | KindWord::Ah => &[],
        }
    }

    fn proposals(&self, notes: &mut Vec<String>) -> Result<Vec<Proposal>, Conflict> {
        let encr = self.encryption.as_ref().map_or(algorithm::DEFAULT_ENCR, |list| &list.0);
        let integ = self.integrity.as_ref().map_or(algorithm::DEFAULT_INTEG, |list| &list.0);
        let mut rest = self.pfs.0.clone();
        let esn = match (self.replay_window, self.esn) {
            // RFC 4303 §3.3.3, §3.4.3: without the anti-replay check the high half of the number cannot be followed.
            (0, Esn::Prefer) => {
                notes.push("extended sequence numbers need the anti-replay check; 32-bit ones are used".to_owned());
                Esn::Off
            }
            (_, esn) => esn,
        };
        rest.extend(esn.transforms());
        if self.kind == KindWord::Ah {
            return Ok(algorithm::ah_proposals(integ, &rest));
        }
        if let Some(id) = integ.iter().find(|id| algorithm::is_ah_only(**id)) {
            let why = format!("{id} is an integrity algorithm of AH; for ESP it is a cipher: -e {id}");
            return Err(Conflict::at(('a', "integrity"), why));
        }
        notes.extend(unused_integrity(self.integrity.is_some() && self.kind == KindWord::Esp, encr));
        Ok(algorithm::proposals(ProtocolId::ESP, encr, integ, &rest))
    }

    /// The hard limits are what was written; the soft ones, at nine tenths, leave time to rekey.
    fn lifetime(&self) -> Result<Lifetime, Conflict> {
        if self.lifetime < Duration::from_secs(5) {
            return Err(Conflict::at(('k', "lifetime"), "a lifetime below 5 seconds leaves no time to rekey"));
        }
        if self.inactivity.is_some_and(|idle| idle < Duration::from_secs(5)) {
            return Err(Conflict::at(('\0', "inactivity"), "a time below 5 seconds would end what is in use"));
        }
        let nine_tenths = |value: u64| value - value / 10;
        let hard = Limits { time: Some(self.lifetime), bytes: self.life_bytes, packets: self.life_packets };
        let soft = Limits {
            time: Some(self.lifetime - self.lifetime / 10),
            bytes: self.life_bytes.map(nine_tenths),
            packets: self.life_packets.map(nine_tenths),
        };
        Ok(Lifetime { soft, hard, idle: self.inactivity })
    }
}

/// Whether both ends and the protocol can be of one packet.
pub(super) fn check_traffic(protocol: &Protocol, source: IdString, destination: IdString) -> Result<(), Conflict> {
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(Conflict::at(('d', "destination"), "-s and -d belong to different address families"));
    }
    check_end(protocol, source, ('s', "source"))?;
    check_end(protocol, destination, ('d', "destination"))
}

/// Whether one end and the protocol can be of one packet.
fn check_end(protocol: &Protocol, end: IdString, flag: (char, &'static str)) -> Result<(), Conflict> {
    end.check_ports(protocol).map_err(|error| Conflict::at(flag, error.message))?;
    match (protocol.number, end.is_ipv4()) {
        (1, false) => Err(Conflict::at(('p', "protocol"), "icmp is of IPv4; use -p icmp6")),
        (58, true) => Err(Conflict::at(('p', "protocol"), "icmp6 is of IPv6; use -p icmp")),
        (135, true) => Err(Conflict::at(('p', "protocol"), "mh, the Mobility Header, is of IPv6")),
        _ => Ok(()),
    }
}

/// This end of an SA. In transport mode the SA joins the hosts that talk, so its ends are those of the traffic
/// (RFC 4301 §4.1).
pub(super) fn local_end(
    mode: Mode,
    source: &[IdString],
    destination: &[IdString],
    endpoint: &Host,
    local: Option<IpAddr>,
) -> Result<Option<IpAddr>, Conflict> {
    if local.is_some_and(|local| endpoint.is_of_another_family(local)) {
        return Err(Conflict::at(('\0', "local"), "--local and -r belong to different address families"));
    }
    if mode == Mode::Tunnel {
        return Ok(local);
    }
    let Some(endpoint) = endpoint.address() else {
        let why = "in transport mode both ends are addresses of the traffic; give it as a number, or use -m tunnel";
        return Err(Conflict::at(('r', "endpoint"), why));
    };
    if destination.iter().any(|end| end.host() != Some(endpoint)) {
        let why = format!("in transport mode -d is the remote endpoint itself, {endpoint}; else use -m tunnel");
        return Err(Conflict::at(('d', "destination"), why));
    }
    let hosts: Option<Vec<IpAddr>> = source.iter().map(|end| end.host()).collect();
    let host =
        hosts.filter(|hosts| hosts.windows(2).all(|pair| pair[0] == pair[1])).and_then(|hosts| hosts.first().copied());
    let host = host.ok_or_else(|| {
        let why = "in transport mode -s is the one address of this host that talks; else use -m tunnel";
        Conflict::at(('s', "source"), why)
    })?;
    match local {
        Some(local) if local != host => {
            Err(Conflict::at(('\0', "local"), format!("in transport mode --local can only be -s, {host}")))
        }
        _ => Ok(Some(host)),
    }
}

/// The note for `-a` next to ciphers that need none.
pub(super) fn unused_integrity(given: bool, encr: &[Encr]) -> Option<String> {
    (given && encr.iter().all(|(id, _)| algorithm::is_aead(*id)))
        .then(|| "-a has no effect here: every cipher of -e authenticates by itself".to_owned())
}
