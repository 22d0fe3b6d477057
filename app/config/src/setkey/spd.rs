//! Statements about policies.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ravelin_types::policy::Mode;
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};

use super::sa::{Family, MAX_REQID, decimal, mode_word, protocol_word};
use super::token::{Word, Words};
use super::{Fault, NO_LABELS, names};
use crate::remark::Place;
use crate::spec::setkey::{About, Direction, Entry, Rule, SaProtocol, Treatment};
use crate::value::selector::IdString;
use crate::value::{did_you_mean, identity};

const ICMP: u8 = 1;
const ICMP6: u8 = 58;
const MH: u8 = 135;
const GRE: u8 = 47;
/// More would be a packet in a packet in a packet.
const MAX_RULES: usize = 8;

/// What stands behind `spdadd`.
pub(super) fn entry(words: &mut Words<'_>, place: Place) -> Result<Entry, Fault> {
    let about = about(words)?;
    let word = words.next("discard, none or ipsec")?;
    let treatment = match word.text {
        "discard" => Treatment::Discard,
        "none" => Treatment::Bypass,
        "ipsec" => Treatment::Protect(rules(words)?),
        "prio" | "priority" => {
            let why = "priorities are refused: policies are consulted in the order in which they were added";
            return Err(word.fault(why));
        }
        other => {
            let known = ["discard", "none", "ipsec"];
            return Err(word.fault(format!("expected discard, none or ipsec{}", did_you_mean(other, known))));
        }
    };
    Ok(Entry { about, treatment, order: 0, place: Some(place) })
}

/// `[-46n] src_range dst_range upper [type,code] -P direction`
pub(super) fn about(words: &mut Words<'_>) -> Result<About, Fault> {
    let family = Family::read(words);
    if let Some(word) = words.next_if(|word| word.text == "tagged") {
        return Err(word.fault("tagged is refused: tags are of the packet filter of BSD"));
    }
    let source = range(words, family, "the source: ADDRESS/BITS[PORT]")?;
    let destination = range(words, family, "the destination: ADDRESS/BITS[PORT]")?;
    if source.1.is_ipv4() != destination.1.is_ipv4() {
        return Err(destination.0.fault("source and destination belong to different address families"));
    }
    let word = words.next("an upper-layer protocol, or any")?;
    let number = names::upper(word.text).map_err(|why| word.fault(why))?;
    match (number, source.1.is_ipv4()) {
        (ICMP, false) => return Err(word.fault("icmp is of IPv4; use icmp6")),
        (ICMP6, true) => return Err(word.fault("icmp6 is of IPv6; use icmp")),
        (MH, true) => return Err(word.fault("mh, the Mobility Header, is of IPv6")),
        _ => {}
    }
    let types = match words.next_if(|word| !word.text.starts_with('-')) {
        Some(word) => types(&word, number)?,
        None => ANY_PORTS,
    };
    let bind = |(word, selector): (Word<'_>, TrafficSelector)| -> Result<TrafficSelector, Fault> {
        IdString::from(selector)
            .check_ports(&number.into())
            .map_err(|_| word.fault("a port needs tcp, udp or sctp"))?;
        let ports = if types == ANY_PORTS { selector.ports() } else { types.clone() };
        selector.with(number, ports).map_err(|error| word.fault(error.to_string()))
    };
    let (source, destination) = (bind(source)?, bind(destination)?);
    if let Some(word) = words.next_if(|word| word.text == "-ctx") {
        return Err(word.fault(NO_LABELS));
    }
    let flag = words.next("-P out, in or fwd")?;
    if flag.text != "-P" {
        return Err(flag.fault("expected -P out, in or fwd"));
    }
    let word = words.next("out, in or fwd")?;
    let direction = match word.text {
        "out" => Direction::Out,
        "in" => Direction::In,
        "fwd" => Direction::Forward,
        other => {
            return Err(word.fault(format!("expected out, in or fwd{}", did_you_mean(other, ["out", "in", "fwd"]))));
        }
    };
    Ok(About { direction, source, destination })
}

/// `ADDRESS`, `ADDRESS/BITS`, each with `[PORT]` behind.
fn range<'a>(words: &mut Words<'a>, family: Family, what: &str) -> Result<(Word<'a>, TrafficSelector), Fault> {
    let word = words.next(what)?;
    let (addresses, ports) = match word.text.split_once('[') {
        Some((addresses, rest)) => (addresses, port(&word, addresses.len() + 1, rest)?),
        None => (word.text, ANY_PORTS),
    };
    let (base, bits) = match addresses.split_once('/') {
        Some((base, bits)) => (base, Some(bits)),
        None => (addresses, None),
    };
    let address: IpAddr = base.parse().map_err(|_| {
        word.fault("expected an IP address (names are not looked up, since whoever answers could name any address)")
    })?;
    family.check(&word, address)?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let len = match bits {
        Some(bits) => decimal(bits)
            .filter(|len| *len <= whole)
            .ok_or_else(|| word.fault_at(base.len() + 1, format!("expected the length of a prefix, 0 to {whole}")))?,
        None => whole,
    };
    let selector = TrafficSelector::prefix(address, u8::try_from(len).unwrap_or(u8::MAX));
    let selector = selector.and_then(|selector| selector.with(0, ports));
    Ok((word, selector.map_err(|error| word.fault(error.to_string()))?))
}

/// What stands in brackets, from this byte of the word on.
fn port(word: &Word<'_>, offset: usize, text: &str) -> Result<RangeInclusive<u16>, Fault> {
    match text.strip_suffix(']') {
        Some("any") => Ok(ANY_PORTS),
        // As setkey(8) has it, 0 is any.
        Some("0") => Ok(ANY_PORTS),
        Some(number) => {
            let port = decimal(number).and_then(|number| u16::try_from(number).ok());
            let port = port.ok_or_else(|| word.fault_at(offset, "expected a port from 1 to 65535, or any"))?;
            Ok(port..=port)
        }
        None => Err(word.fault_at(offset, "the bracket [ is not closed")),
    }
}

/// `type,code` of ICMP; as setkey(8) has it, 0 is any.
fn types(word: &Word<'_>, protocol: u8) -> Result<RangeInclusive<u16>, Fault> {
    match protocol {
        ICMP | ICMP6 => {}
        GRE => return Err(word.fault("keys of GRE are refused: they are no selectors of RFC 4301")),
        _ => return Err(word.fault("expected -P; only icmp and icmp6 have a type and code")),
    }
    let byte = |text: &str| decimal(text).and_then(|number| u8::try_from(number).ok()).map(u16::from);
    let both = word.text.split_once(',').and_then(|(kind, code)| Some((byte(kind)?, byte(code)?)));
    match both.ok_or_else(|| word.fault("expected TYPE,CODE, each from 0 to 255"))? {
        (0, 0) => Ok(ANY_PORTS),
        (0, _) => Err(word.fault("0 is any type, and a code without a type means nothing")),
        (kind, 0) => Ok(kind << 8..=kind << 8 | 0xff),
        (kind, code) => Ok(kind << 8 | code..=kind << 8 | code),
    }
}

fn rules(words: &mut Words<'_>) -> Result<Vec<Rule>, Fault> {
    let mut rules = Vec::new();
    while words.more() {
        let word = words.next("a rule")?;
        if rules.len() == MAX_RULES {
            return Err(word.fault(format!("a policy has at most {MAX_RULES} rules")));
        }
        rules.push((word, rule(&word)?));
    }
    match rules[..] {
        [] => Err(words.missing("a rule: esp/transport//require, or esp/tunnel/SRC-DST/require")),
        [(_, rule)] => Ok(vec![rule]),
        [(_, inner), (word, outer)] => {
            match (inner.protocol, outer.protocol, outer.mode) {
                (SaProtocol::Esp, SaProtocol::Ah, Mode::Transport) => Ok(vec![inner, outer]),
                (SaProtocol::Esp, SaProtocol::Ah, Mode::Tunnel) => {
                    Err(word.fault("AH goes around ESP in transport mode: write ah/transport//require"))
                }
                _ => Err(word
                    .fault("two protocols are ESP and AH around it: write esp/... first, then ah/transport//require")),
            }
        }
        [_, _, (word, _), ..] => Err(word.fault("expected one rule, or ESP and AH around it")),
    }
}

/// `protocol/mode/src-dst/level`
fn rule(word: &Word<'_>) -> Result<Rule, Fault> {
    let mut offset = 0;
    let parts: Vec<(usize, &str)> = word
        .text
        .split('/')
        .map(|part| {
            let at = offset;
            offset += part.len() + 1;
            (at, part)
        })
        .collect();
    let [protocol, mode, ends, level] = parts[..] else {
        return Err(word.fault("expected PROTOCOL/MODE/SRC-DST/LEVEL, as esp/transport//require"));
    };
    let at = |(offset, _): (usize, &str), why: String| word.fault_at(offset, why);
    let rule = Rule {
        protocol: protocol_word(protocol.1).map_err(|why| at(protocol, why))?,
        mode: mode_word(mode.1).map_err(|why| at(mode, why))?,
        ends: ends_of(ends.1).map_err(|why| at(ends, why))?,
        reqid: level_of(level.1).map_err(|why| at(level, why))?,
    };
    if rule.mode == Mode::Tunnel && rule.ends.is_none() {
        return Err(at(ends, "in tunnel mode expected the two ends: SRC-DST".to_owned()));
    }
    Ok(rule)
}

fn ends_of(text: &str) -> Result<Option<(IpAddr, IpAddr)>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let (src, dst) = text.split_once('-').ok_or("expected the two ends: SRC-DST")?;
    if text.contains('[') {
        return Err("ports of SAs are for ESP in UDP, which is not keyed by hand here".to_owned());
    }
    let end = |text| identity::host(text).map_err(|error| error.message);
    let (src, dst) = (end(src)?, end(dst)?);
    if src.is_ipv4() != dst.is_ipv4() {
        return Err("the two ends belong to different address families".to_owned());
    }
    Ok(Some((src, dst)))
}

/// The number that binds to an SA, if there is one.
fn level_of(text: &str) -> Result<Option<u32>, String> {
    match text.split_once(':') {
        Some(("unique", number)) => match decimal(number).filter(|number| (1..=MAX_REQID).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("expected unique:NUMBER, 1 to {MAX_REQID}")),
        },
        // An SA serves one policy here, so each is unique.
        None if ["require", "unique", "default"].contains(&text) => Ok(None),
        None if text == "use" => {
            Err("the level use is refused: without an SA packets would go in the clear, and nobody \
                                      would be told; use require"
                .to_owned())
        }
        _ => Err(format!(
            "expected the level require, unique, unique:NUMBER or default{}",
            did_you_mean(text, ["require", "unique", "default"])
        )),
    }
}
