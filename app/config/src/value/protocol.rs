//! Upper-layer protocols behind `-p`, with types where a protocol has those instead of ports.
//!
//! ```text
//! any  udp  tcp  sctp  icmp  icmp6  mh  NUMBER
//! icmp/TYPE  icmp/TYPE/CODE  icmp/FIRST-LAST   (icmp6 likewise)   mh/TYPE  mh/FIRST-LAST
//! ```

use std::fmt;
use std::ops::RangeInclusive;

use ravelin_types::selector::{ANY_PROTOCOL, TrafficSelector};

use super::{BadValue, did_you_mean};

const ICMP: u8 = 1;
const ICMP6: u8 = 58;
const MH: u8 = 135;
const NAMES: &[(&str, u8)] =
    &[("any", ANY_PROTOCOL), ("icmp", ICMP), ("tcp", 6), ("udp", 17), ("icmp6", ICMP6), ("sctp", 132), ("mh", MH)];

/// A protocol, and which of its types are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// IP protocol number, 0 for any.
    pub number: u8,
    /// Types in the form of ports (RFC 4301 §4.4.1.1): ICMP type * 256 + code, Mobility Header type * 256. `None`: any.
    pub types: Option<RangeInclusive<u16>>,
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        Protocol { number, types: None }
    }
}

impl From<&TrafficSelector> for Protocol {
    /// With the types that stand in the place of ports.
    fn from(selector: &TrafficSelector) -> Self {
        let number = selector.protocol();
        let typed = [ICMP, ICMP6, MH].contains(&number) && !selector.any_port() && !selector.is_opaque();
        Protocol { number, types: typed.then(|| selector.ports()) }
    }
}

/// A protocol as written behind `-p` of `ipsec policy`.
///
/// # Errors
/// When it has none of the forms above.
pub fn protocol(text: &str) -> Result<Protocol, BadValue> {
    let (name, types) = match text.split_once('/') {
        Some((name, types)) => (name, Some(types)),
        None => (text, None),
    };
    let named = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number);
    let number = named.or_else(|| name.parse().ok()).ok_or_else(|| {
        let hint = did_you_mean(name, NAMES.iter().map(|(known, _)| *known));
        BadValue::new(format!("expected udp, tcp, icmp, icmp6, mh, any or a number from 0 to 255{hint}"))
    })?;
    let types = types.map(|types| type_range(number, types, name.len() + 1)).transpose()?;
    Ok(Protocol { number, types })
}

fn type_range(number: u8, text: &str, offset: usize) -> Result<RangeInclusive<u16>, BadValue> {
    let byte = |text: &str, what| {
        text.parse::<u8>().map(u16::from).map_err(|_| BadValue::at(offset, format!("expected {what} from 0 to 255")))
    };
    match (number, text.split_once('/')) {
        (ICMP | ICMP6, Some((kind, code))) => {
            let both = byte(kind, "a type")? << 8 | byte(code, "a code")?;
            Ok(both..=both)
        }
        (ICMP | ICMP6 | MH, _) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (first, last) = (byte(first, "a type")?, byte(last, "a type")?);
            if first > last {
                return Err(BadValue::at(offset, "the first type is above the last"));
            }
            // RFC 7296 §3.13.1: of the Mobility Header the lower eight bits are zero.
            Ok(first << 8..=last << 8 | if number == MH { 0 } else { 0xff })
        }
        _ => Err(BadValue::at(offset, "only icmp, icmp6 and mh have types; ports stand behind the addresses")),
    }
}

impl fmt::Display for Protocol {
    /// As it is written; `0` for any, as document 003 lists it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, known)| *known == self.number && self.number != ANY_PROTOCOL) {
            Some((name, _)) => f.write_str(name)?,
            None => write!(f, "{}", self.number)?,
        }
        let Some(types) = &self.types else { return Ok(()) };
        let ((first, code), (last, _)) = (split(*types.start()), split(*types.end()));
        match (first == last, types.start() == types.end() && self.number != MH) {
            (_, true) => write!(f, "/{first}/{code}"),
            (true, _) => write!(f, "/{first}"),
            (false, _) => write!(f, "/{first}-{last}"),
        }
    }
}

fn split(value: u16) -> (u16, u16) {
    (value >> 8, value & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_by_name_and_number() {
        for (text, number, shown) in
            [("TCP", 6, "tcp"), ("89", 89, "89"), ("icmp6", 58, "icmp6"), ("any", 0, "0"), ("135", 135, "mh")]
        {
            let parsed = protocol(text).unwrap();
            assert_eq!((parsed.number, parsed.to_string().as_str()), (number, shown));
        }
        assert!(protocol("256").is_err());
        assert!(protocol("tpc").unwrap_err().message.ends_with("did you mean tcp?"));
    }

    #[test]
    fn types_stand_behind_the_protocol() {
        for (text, types) in [
            ("icmp/8", 0x0800..=0x08ff),
            ("icmp/3/1", 0x0301..=0x0301),
            ("icmp6/133-137", 0x8500..=0x89ff),
            ("mh/5", 0x0500..=0x0500),
            ("mh/5-6", 0x0500..=0x0600),
        ] {
            let parsed = protocol(text).unwrap();
            assert_eq!(parsed.types, Some(types), "{text}");
            assert_eq!(parsed.to_string(), text);
        }
        for (text, offset) in
            [("tcp/8", 4), ("icmp/256", 5), ("icmp/9-8", 5), ("icmp/8/x", 5), ("mh/5/1", 3), ("any/1", 4)]
        {
            assert_eq!(protocol(text).unwrap_err().offset, offset, "{text}");
        }
    }
}
