//! Parts of the language as listings have them.

use ravelin_types::policy::Mode;
use ravelin_types::selector::TrafficSelector;

use super::names::upper_word;
use crate::spec::setkey::{About, Rule, SaName};
use crate::value::protocol::Protocol;

/// `ADDRESS/BITS[PORT]`; without bits it is one address. A range that is no prefix is `FIRST-LAST`.
pub fn range(selector: &TrafficSelector) -> String {
    let prefixes = selector.prefixes();
    let (first, last) = selector.addresses().into_inner();
    let addresses = match prefixes[..] {
        [_] if first == last => first.to_string(),
        [(base, len)] => format!("{base}/{len}"),
        _ => format!("{first}-{last}"),
    };
    let (low, high) = selector.ports().into_inner();
    // Types stand behind the protocol.
    match Protocol::from(selector).types {
        Some(_) => addresses,
        None if selector.any_port() => format!("{addresses}[any]"),
        None if selector.is_opaque() => format!("{addresses}[opaque]"),
        None if low == high => format!("{addresses}[{low}]"),
        None => format!("{addresses}[{low}-{high}]"),
    }
}

/// The upper-layer protocol, with type and code.
pub fn upper(selector: &TrafficSelector) -> String {
    let protocol = Protocol::from(selector);
    let name = upper_word(protocol.number);
    match protocol.types {
        Some(types) => {
            let (first, last) = (types.start() >> 8, types.end() >> 8);
            match types.start() == types.end() {
                true => format!("{name} {first},{}", types.start() & 0xff),
                false if first == last => format!("{name} {first},0"),
                // No script can say this.
                false => format!("{name} {first}-{last}"),
            }
        }
        None => name,
    }
}

/// Which packets: as behind `spdadd`.
pub fn about(about: &About) -> String {
    let About { direction, source, destination } = about;
    format!("{} {} {} -P {}", range(source), range(destination), upper(source), direction.word())
}

/// Which SA: as behind `add`.
pub fn sa(name: &SaName) -> String {
    format!("{} {} {} {:#x}", name.src, name.dst, name.protocol.word(), name.spi.0)
}

/// `protocol/mode/src-dst/level`
pub fn rule(rule: &Rule) -> String {
    let ends = rule.ends.map(|(src, dst)| format!("{src}-{dst}")).unwrap_or_default();
    let level = rule.reqid.map_or_else(|| "require".to_owned(), |id| format!("unique:{id}"));
    format!("{}/{}/{ends}/{level}", rule.protocol.word(), mode_word(rule.mode))
}

/// Tunnel or transport.
pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Transport => "transport",
        Mode::Tunnel => "tunnel",
    }
}
