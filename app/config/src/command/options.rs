//! The flags of `ipsec policy` that say how packets are carried.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ravelin_types::if_id::IfIds;
use ravelin_types::mark::Marks;
use ravelin_types::options::{
    AggFrag, Df, Dscp, Dummies, Fragmentation, IpComp, Mark, Mss, Offload, Processors, SaOptions,
};
use ravelin_types::policy::Mode;

use super::Conflict;
use crate::value::host::Host;
use crate::value::{BadValue, if_id, mark, quantity};

/// As written. What was not given is `None`, so that it can be told from the default.
#[derive(Clone, Debug, Args)]
pub struct OptionArgs {
    /// Hide the length of packets with random padding
    #[arg(short = 'c', long)]
    tfc: bool,
    /// Bytes of such padding, fewer than this [default: 256]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(2..))]
    tfc_max: Option<u16>,
    /// Send dummy packets
    #[arg(short = 'y', long)]
    dummy: bool,
    /// Bytes in a dummy packet, fewer than this [default: 16]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(1..))]
    dummy_size: Option<u16>,
    /// Time between dummy packets, less than this [default: 30]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    dummy_interval: Option<Duration>,
    /// Cut the ICV of HMAC-SHA-2 to 96 bits, for a peer that does not know RFC 4868
    #[arg(short = 'h', long)]
    short_icv: bool,
    /// Pad AH to 64 bits in IPv4 too: for Linux whose SA has no flag align4 (strongSwan and Libreswan set it)
    #[arg(long)]
    ah_align64: bool,
    /// Congestion marks (ECN) of the outer header: full (those of the inner one) or none [default: full]
    #[arg(long, value_enum)]
    ecn: Option<EcnWord>,
    /// DSCP of the outer header: copy (that of the inner one) or 0 to 63 [default: copy]
    #[arg(long, value_name = "DSCP", value_parser = dscp)]
    dscp: Option<Dscp>,
    /// Don't-fragment flag of the outer header: copy, set or clear [default: clear]
    #[arg(long, value_enum)]
    df: Option<DfWord>,
    /// TTL or hop limit of the outer header [default: 64]
    #[arg(long, value_name = "HOPS", value_parser = clap::value_parser!(u8).range(1..))]
    hop_limit: Option<u8>,
    /// Whether the padding of packets that arrive must be as RFC 4303 has it [default: on]
    #[arg(long, value_enum)]
    pad_check: Option<Switch>,
    /// The longest packet that the path takes, outer header included [default: not known]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..65_535))]
    mtu: Option<u16>,
    /// Cut packets that are too long before they are protected, or after [default: before]
    #[arg(long, value_enum)]
    fragment: Option<FragmentWord>,
    /// The largest TCP segment that a handshake inside may announce: off, path (what fits the MTU) or a number
    /// [default: off]
    #[arg(long, value_name = "MSS", value_parser = mss)]
    mss: Option<Mss>,
    /// The policy is only about packets with this mark of the host: VALUE, or VALUE/MASK for some bits, or IN,OUT. What arrives
    /// by its security associations gets it. For peers anywhere, or with internal addresses, also %unique or %unique-dir: each
    /// security association has its own, which its script knows (the kernel's data plane only)
    #[arg(long, value_name = "MARK", value_parser = mark::marks)]
    mark: Option<Marks>,
    /// Mark packets that arrive, once they are opened: VALUE, or VALUE/MASK for some bits (the kernel's data plane only)
    #[arg(long, value_name = "MARK", value_parser = mark::mark)]
    set_mark: Option<Mark>,
    /// Mark packets that leave, once they are sealed: VALUE, or VALUE/MASK for some bits (the kernel's data plane only)
    #[arg(long, value_name = "MARK", value_parser = mark::mark)]
    output_mark: Option<Mark>,
    /// The network device does the cryptography of ESP (crypto), or takes whole packets with their policy (packet), and what it
    /// does not take is refused; auto: as much of it as there is, or nothing (the kernel's data plane only)
    #[arg(long, value_enum)]
    offload: Option<OffloadWord>,
    /// The policy is only about what goes through the virtual interface with this number, of `vti add --if-id` or of
    /// `ip link add DEVICE type xfrm if_id NUMBER`: NUMBER, or IN/OUT. For peers anywhere, or with internal addresses, also
    /// %unique or %unique-dir: each security association has its own; or %ike: what the remote has (the kernel's data plane,
    /// but for a number of `vti add`)
    #[arg(long, value_name = "NUMBER", value_parser = if_id::of_policy)]
    if_id: Option<IfIds>,
    /// Each processor gets a security association of its own when packets of the policy leave from it, beside one for all,
    /// where the peer agrees (RFC 9611; the kernel's data plane only)
    #[arg(long)]
    per_cpu: bool,
    /// Compress packets before they are protected, where the peer agrees (IPComp with DEFLATE, RFC 3173). Their lengths tell then
    /// what is in them: not for traffic to which a stranger can add
    #[arg(long)]
    ipcomp: bool,
    /// Put several packets into one protected packet, and one into several, where the peer agrees (AGGFRAG payloads, RFC 9347):
    /// as-needed, or a number of bits a second, like 2M. With a rate packets of one length go all the time, whatever there is to
    /// send, so that nobody sees how much that is (IP-TFS); the length is that of --mtu [default: 1500], and a peer that does not
    /// agree gets no security association
    #[arg(long, value_name = "RATE", value_parser = iptfs)]
    iptfs: Option<AggFrag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EcnWord {
    Full,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DfWord {
    Copy,
    Set,
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OffloadWord {
    Crypto,
    Packet,
    Auto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FragmentWord {
    Before,
    After,
}

fn dscp(text: &str) -> Result<Dscp, BadValue> {
    match (text, text.parse::<u8>()) {
        ("copy", _) => Ok(Dscp::Copy),
        (_, Ok(dscp)) if dscp < 64 => Ok(Dscp::Set(dscp)),
        _ => Err(BadValue::new("expected copy, or a DSCP of 0 to 63")),
    }
}

fn mss(text: &str) -> Result<Mss, BadValue> {
    match (text, text.parse::<u16>()) {
        ("off", _) => Ok(Mss::Off),
        ("path", _) => Ok(Mss::Path),
        // RFC 9293 §3.7.1: what every host takes unasked.
        (_, Ok(size)) if size >= 536 => Ok(Mss::Set(size)),
        _ => Err(BadValue::new("expected off, path, or a segment size of at least 536 bytes")),
    }
}

fn iptfs(text: &str) -> Result<AggFrag, BadValue> {
    let rate = match text {
        "as-needed" => None,
        _ => {
            let rate = quantity::count(text).ok().filter(|rate| IPTFS_RATES.contains(rate)).and_then(NonZeroU64::new);
            Some(rate.ok_or_else(|| {
                BadValue::new("expected as-needed, or bits a second from 8k to 100G, like 500k, 2M or 1G")
            })?)
        }
    };
    Ok(AggFrag { rate, ..AggFrag::default() })
}

/// Bits a second: from a packet in more than a second to what no processor does.
const IPTFS_RATES: RangeInclusive<u64> = 8_000..=100_000_000_000;

/// Why AGGFRAG payloads do not go with other options, or with AH.
pub(crate) fn beside_iptfs(options: &SaOptions, ah: bool) -> Option<&'static str> {
    options.aggfrag?;
    let others = [
        (ah, "AGGFRAG payloads are of ESP alone: leave AH out"),
        (
            options.ipcomp != IpComp::Off,
            "AGGFRAG payloads carry whole packets, not compressed ones: leave one of the two out",
        ),
        (options.tfc > 0, "AGGFRAG payloads have padding of their own, with a rate: leave -c out"),
        (options.dummies.is_some(), "AGGFRAG payloads come without packets too, with a rate: leave -y out"),
    ];
    others.into_iter().find(|(clash, _)| *clash).map(|(_, why)| why)
}

impl OptionArgs {
    /// Whether each processor gets an SA.
    pub(super) fn per_cpu(&self) -> bool {
        self.per_cpu
    }

    /// The first flag that was given.
    pub(super) fn given(&self) -> Option<(char, &'static str)> {
        self.of_esp().or_else(|| self.of_tunnels()).or_else(|| {
            first([
                (self.short_icv, ('h', "short-icv")),
                (self.ah_align64, ('\0', "ah-align64")),
                (self.mtu.is_some(), ('\0', "mtu")),
                (self.fragment.is_some(), ('\0', "fragment")),
                (self.mss.is_some(), ('\0', "mss")),
                (self.mark.is_some(), ('\0', "mark")),
                (self.set_mark.is_some(), ('\0', "set-mark")),
                (self.output_mark.is_some(), ('\0', "output-mark")),
                (self.offload.is_some(), ('\0', "offload")),
                (self.if_id.is_some(), ('\0', "if-id")),
                (self.per_cpu, ('\0', "per-cpu")),
                (self.ipcomp, ('\0', "ipcomp")),
                (self.iptfs.is_some(), ('\0', "iptfs")),
            ])
        })
    }

    fn of_esp(&self) -> Option<(char, &'static str)> {
        first([
            (self.tfc, ('c', "tfc")),
            (self.tfc_max.is_some(), ('\0', "tfc-max")),
            (self.dummy, ('y', "dummy")),
            (self.dummy_size.is_some(), ('\0', "dummy-size")),
            (self.dummy_interval.is_some(), ('\0', "dummy-interval")),
            (self.pad_check.is_some(), ('\0', "pad-check")),
        ])
    }

    fn of_tunnels(&self) -> Option<(char, &'static str)> {
        first([
            (self.ecn.is_some(), ('\0', "ecn")),
            (self.dscp.is_some(), ('\0', "dscp")),
            (self.df.is_some(), ('\0', "df")),
            (self.hop_limit.is_some(), ('\0', "hop-limit")),
        ])
    }

    /// The numbers of virtual interfaces.
    pub(super) fn if_ids(&self) -> IfIds {
        self.if_id.unwrap_or_default()
    }

    /// The marks of packets.
    pub(super) fn marks(&self) -> Marks {
        self.mark.unwrap_or_default()
    }

    /// The options of an SA in this mode, of ESP or AH, to this end.
    pub(super) fn interpret(
        &self,
        mode: Mode,
        (ah, esp): (bool, bool),
        endpoint: &Host,
    ) -> Result<SaOptions, Conflict> {
        if let Some(flag) = self.of_esp().filter(|_| !esp) {
            return Err(Conflict::at(flag, format!("--{} is about ESP; leave it out, or use -t ESP", flag.1)));
        }
        if self.ah_align64 && !ah {
            return Err(Conflict::at(('\0', "ah-align64"), "--ah-align64 is about AH; leave it out, or use -t AH"));
        }
        if let Some(flag) = self.of_tunnels().filter(|_| mode == Mode::Transport) {
            let why = format!("--{} goes with -m tunnel: in transport mode a packet keeps its own header", flag.1);
            return Err(Conflict::at(flag, why));
        }
        let orphans = [
            (self.tfc_max.is_some() && !self.tfc, "tfc-max", "-c"),
            (self.dummy_size.is_some() && !self.dummy, "dummy-size", "-y"),
            (self.dummy_interval.is_some() && !self.dummy, "dummy-interval", "-y"),
        ];
        if let Some((_, flag, with)) = orphans.into_iter().find(|(orphan, ..)| *orphan) {
            return Err(Conflict::at(('\0', flag), format!("--{flag} goes with {with}")));
        }
        if self.mtu.is_some_and(|mtu| mtu < 1280) && endpoint.address().is_some_and(|end| end.is_ipv6()) {
            return Err(Conflict::at(('\0', "mtu"), "every path of IPv6 takes 1280 bytes; expected at least that"));
        }
        if self.ipcomp && self.tfc {
            let why =
                "--ipcomp shows what is in a packet by its length, and -c hides the length: leave one of the two out";
            return Err(Conflict::at(('\0', "ipcomp"), why));
        }
        if self.iptfs.is_some() && mode == Mode::Transport {
            return Err(Conflict::at(
                ('\0', "iptfs"),
                "--iptfs goes with -m tunnel: AGGFRAG payloads carry whole packets",
            ));
        }
        let default = SaOptions::default();
        let plain = Dummies::default();
        let options = SaOptions {
            full_ecn: self.ecn != Some(EcnWord::None),
            dscp: self.dscp.unwrap_or(default.dscp),
            df: match self.df {
                Some(DfWord::Copy) => Df::Copy,
                Some(DfWord::Set) => Df::Set,
                Some(DfWord::Clear) => Df::Clear,
                None => default.df,
            },
            hop_limit: self.hop_limit.unwrap_or(default.hop_limit),
            pad_check: self.pad_check != Some(Switch::Off),
            short_icv: self.short_icv,
            ah_align64: self.ah_align64,
            mtu: self.mtu,
            fragmentation: match self.fragment {
                Some(FragmentWord::Before) => Fragmentation::Before,
                Some(FragmentWord::After) => Fragmentation::After,
                None => default.fragmentation,
            },
            mss: self.mss.unwrap_or(default.mss),
            tfc: if self.tfc { self.tfc_max.unwrap_or(DEFAULT_TFC) } else { 0 },
            dummies: self.dummy.then_some(Dummies {
                size: self.dummy_size.unwrap_or(plain.size),
                interval: self.dummy_interval.unwrap_or(plain.interval),
            }),
            marks: self.marks(),
            set_mark: self.set_mark,
            output_mark: self.output_mark,
            offload: match self.offload {
                Some(OffloadWord::Crypto) => Offload::Crypto,
                Some(OffloadWord::Packet) => Offload::Packet,
                Some(OffloadWord::Auto) => Offload::Auto,
                None => default.offload,
            },
            if_ids: self.if_ids(),
            processors: if self.per_cpu { Processors::Each } else { Processors::All },
            ipcomp: if self.ipcomp { IpComp::Negotiate } else { IpComp::Off },
            aggfrag: self.iptfs,
            ..default
        };
        match beside_iptfs(&options, ah) {
            Some(why) => Err(Conflict::at(('\0', "iptfs"), why)),
            None => Ok(options),
        }
    }
}

/// `MAX_TFC_PADDING_SIZE` of document 003.
pub(super) const DEFAULT_TFC: u16 = 256;

fn first<const N: usize>(flags: [(bool, (char, &'static str)); N]) -> Option<(char, &'static str)> {
    flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
}

/// What differs from the default, as one would write it. Empty when nothing does.
pub fn written(options: &SaOptions) -> String {
    let default = SaOptions::default();
    let SaOptions {
        full_ecn,
        dscp,
        df,
        hop_limit,
        pad_check,
        short_icv,
        ah_align64,
        mtu,
        fragmentation,
        mss,
        tfc,
        dummies,
        marks,
        set_mark,
        output_mark,
        offload,
        if_ids,
        processors,
        ipcomp,
        aggfrag,
        ..
    } = *options;
    let words = [
        (tfc > 0).then(|| format!("-c --tfc-max {tfc}")),
        dummies.map(|Dummies { size, interval }| {
            format!("-y --dummy-size {size} --dummy-interval {}", interval.as_secs_f64())
        }),
        marks.any().then(|| format!("--mark {}", mark::marks_written(marks))),
        set_mark.map(|it| format!("--set-mark {}", mark::written(it))),
        output_mark.map(|it| format!("--output-mark {}", mark::written(it))),
        match offload {
            Offload::Off => None,
            Offload::Crypto => Some("--offload crypto".to_owned()),
            Offload::Packet => Some("--offload packet".to_owned()),
            Offload::Auto => Some("--offload auto".to_owned()),
        },
        if_ids.any().then(|| format!("--if-id {}", if_id::written(if_ids))),
        (processors != Processors::All).then(|| "--per-cpu".to_owned()),
        (ipcomp != IpComp::Off).then(|| "--ipcomp".to_owned()),
        aggfrag.map(|aggfrag| match aggfrag.rate {
            Some(rate) => format!("--iptfs {rate}"),
            None => "--iptfs as-needed".to_owned(),
        }),
        short_icv.then(|| "-h".to_owned()),
        ah_align64.then(|| "--ah-align64".to_owned()),
        (!full_ecn).then(|| "--ecn none".to_owned()),
        match dscp {
            Dscp::Copy => None,
            Dscp::Set(dscp) => Some(format!("--dscp {dscp}")),
        },
        match df {
            Df::Copy => Some("--df copy".to_owned()),
            Df::Set => Some("--df set".to_owned()),
            Df::Clear => None,
        },
        (hop_limit != default.hop_limit).then(|| format!("--hop-limit {hop_limit}")),
        (!pad_check).then(|| "--pad-check off".to_owned()),
        mtu.map(|mtu| format!("--mtu {mtu}")),
        (fragmentation == Fragmentation::After).then(|| "--fragment after".to_owned()),
        match mss {
            Mss::Off => None,
            Mss::Path => Some("--mss path".to_owned()),
            Mss::Set(size) => Some(format!("--mss {size}")),
        },
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
