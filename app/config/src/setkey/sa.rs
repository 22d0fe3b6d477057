//! Statements about SAs.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::Mode;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Secret, Spi};

use super::token::{Word, Words};
use super::{Fault, NO_LABELS, names};
use crate::remark::Place;
use crate::spec::setkey::{Padding, Sa, SaName, SaProtocol};
use crate::value::{did_you_mean, identity};

/// The longest key in bytes: more than any algorithm takes.
const MAX_KEY: usize = 128;
/// The longest window against replays, in the octets of its bitmap.
const MAX_WINDOW: u32 = 512;
/// The highest number that binds an SA to a policy.
pub(super) const MAX_REQID: u32 = 32767;

/// What addresses must be.
#[derive(Clone, Copy, Default)]
pub(super) struct Family {
    v4: bool,
    v6: bool,
}

impl Family {
    /// `-4`, `-6` and `-n`, which is always so: names are not looked up.
    pub(super) fn read(words: &mut Words<'_>) -> Self {
        let mut family = Family::default();
        let is_flag = |word: &Word<'_>| {
            let letters = word.text.strip_prefix('-').unwrap_or_default();
            !word.quoted && !letters.is_empty() && letters.chars().all(|c| "46n".contains(c))
        };
        while let Some(flags) = words.next_if(is_flag) {
            family.v4 |= flags.text.contains('4');
            family.v6 |= flags.text.contains('6');
        }
        family
    }

    pub(super) fn check(self, word: &Word<'_>, address: IpAddr) -> Result<(), Fault> {
        match address {
            IpAddr::V6(_) if self.v4 => Err(word.fault("with -4 expected an IPv4 address")),
            IpAddr::V4(_) if self.v6 => Err(word.fault("with -6 expected an IPv6 address")),
            _ => Ok(()),
        }
    }
}

/// `[-46n] src dst`
pub(super) fn ends(words: &mut Words<'_>) -> Result<(IpAddr, IpAddr), Fault> {
    let family = Family::read(words);
    let mut end = |what: &str| -> Result<(Word<'_>, IpAddr), Fault> {
        let word = words.next(what)?;
        if let Some(at) = word.text.find('[') {
            return Err(word.fault_at(at, "ports of SAs are for ESP in UDP, which is not keyed by hand here"));
        }
        let address = identity::host(word.text).map_err(|error| word.fault(error.message))?;
        family.check(&word, address)?;
        Ok((word, address))
    };
    let (_, src) = end("the address of who sends")?;
    let (word, dst) = end("the address of who receives")?;
    if src.is_ipv4() != dst.is_ipv4() {
        return Err(word.fault("the two ends belong to different address families"));
    }
    Ok((src, dst))
}

/// `esp` or `ah`.
pub(super) fn protocol(words: &mut Words<'_>) -> Result<SaProtocol, Fault> {
    let word = words.next("esp or ah")?;
    protocol_word(word.text).map_err(|why| word.fault(why))
}

/// The same, or nothing for both.
pub(super) fn any_protocol(words: &mut Words<'_>) -> Result<Option<SaProtocol>, Fault> {
    if words.more() { protocol(words).map(Some) } else { Ok(None) }
}

pub(super) fn protocol_word(text: &str) -> Result<SaProtocol, String> {
    match text {
        "esp" => Ok(SaProtocol::Esp),
        "ah" => Ok(SaProtocol::Ah),
        "ipcomp" => Err("ipcomp is refused: packets are compressed where IKE negotiates it, not by hand".into()),
        "esp-old" | "ah-old" => Err(format!("{text} is refused: RFC 1826 and RFC 1827 are obsolete; use esp or ah")),
        "esp-udp" => Err("esp-udp is refused: ESP in UDP is not keyed by hand here; IKE finds NATs by itself".into()),
        "tcp" => Err("tcp is refused: TCP-MD5 (RFC 2385) is no IPsec".into()),
        other => Err(format!("expected esp or ah{}", did_you_mean(other, ["esp", "ah"]))),
    }
}

/// `[-46n] src dst protocol spi`
pub(super) fn name(words: &mut Words<'_>) -> Result<SaName, Fault> {
    let (src, dst) = ends(words)?;
    let protocol = protocol(words)?;
    let word = words.next("an SPI")?;
    let number = match word.text.strip_prefix("0x").or(word.text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
        None => decimal(word.text),
    };
    let spi = number.map(Spi).filter(|spi| spi.is_usable());
    let spi =
        spi.ok_or_else(|| word.fault("expected an SPI from 256 on, decimal or with 0x: those below are reserved"))?;
    Ok(SaName { src, dst, protocol, spi })
}

/// What stands behind `add`.
pub(super) fn add(words: &mut Words<'_>, place: Place, options: SaOptions) -> Result<Sa, Fault> {
    let name = name(words)?;
    let mut sa = Sa {
        name,
        mode: None,
        reqid: 0,
        replay_window: 0,
        padding: Padding::default(),
        lifetime: Lifetime::default(),
        encr: None,
        integ: None,
        options,
        place: Some(place),
    };
    while words.more() {
        extension(words, &mut sa)?;
    }
    match (name.protocol, &sa.encr, &sa.integ) {
        (SaProtocol::Esp, None, _) => Err(words.missing("-E CIPHER KEY: an SA of ESP has a cipher, if only null")),
        (SaProtocol::Ah, _, None) => Err(words.missing("-A ALGORITHM KEY: AH authenticates")),
        _ => Ok(sa),
    }
}

fn extension(words: &mut Words<'_>, sa: &mut Sa) -> Result<(), Fault> {
    const KNOWN: [&str; 10] = ["-m", "-u", "-r", "-f", "-lh", "-ls", "-bh", "-bs", "-E", "-A"];
    let flag = words.next("an extension")?;
    match flag.text {
        _ if flag.quoted => return Err(flag.fault("expected an extension, as -E or -A, in front of this text")),
        "-m" => sa.mode = mode(words)?,
        "-u" => sa.reqid = number(words, 1, MAX_REQID, "the number of a policy")?,
        "-r" => sa.replay_window = 8 * number(words, 0, MAX_WINDOW, "the octets of the window against replays")?,
        "-f" => padding(words, sa)?,
        "-lh" => sa.lifetime.hard.time = limit(words, "seconds")?.map(Duration::from_secs),
        "-ls" => sa.lifetime.soft.time = limit(words, "seconds")?.map(Duration::from_secs),
        "-bh" => sa.lifetime.hard.bytes = limit(words, "bytes")?,
        "-bs" => sa.lifetime.soft.bytes = limit(words, "bytes")?,
        "-E" if sa.name.protocol == SaProtocol::Ah => return Err(flag.fault("AH does not encrypt; -E goes with esp")),
        "-E" if sa.encr.is_some() => return Err(flag.fault("-E stands here twice")),
        "-A" if sa.integ.is_some() => return Err(flag.fault("-A stands here twice")),
        "-E" => sa.encr = Some(cipher(words)?),
        "-A" => sa.integ = integrity(words)?,
        "-C" => return Err(flag.fault(protocol_word("ipcomp").err().unwrap_or_default())),
        "-ctx" => return Err(flag.fault(NO_LABELS)),
        other => {
            let hint = did_you_mean(other, KNOWN);
            return Err(flag.fault(format!("`{other}` is no extension; expected {} or ;{hint}", KNOWN.join(", "))));
        }
    }
    Ok(())
}

fn mode(words: &mut Words<'_>) -> Result<Option<Mode>, Fault> {
    let word = words.next("transport, tunnel or any")?;
    match word.text {
        "any" => Ok(None),
        text => mode_word(text).map(Some).map_err(|why| word.fault(why)),
    }
}

pub(super) fn mode_word(text: &str) -> Result<Mode, String> {
    match text {
        "transport" => Ok(Mode::Transport),
        "tunnel" => Ok(Mode::Tunnel),
        other => Err(format!("expected transport or tunnel{}", did_you_mean(other, ["transport", "tunnel"]))),
    }
}

fn padding(words: &mut Words<'_>, sa: &mut Sa) -> Result<(), Fault> {
    const KNOWN: [&str; 4] = ["seq-pad", "zero-pad", "random-pad", "nocyclic-seq"];
    let word = words.next("seq-pad, zero-pad, random-pad or nocyclic-seq")?;
    match word.text {
        "seq-pad" => sa.padding = Padding::Sequence,
        "zero-pad" | "random-pad" => sa.padding = Padding::Other,
        // RFC 4303 §3.3.3: numbers never begin anew under a key.
        "nocyclic-seq" => {}
        other => return Err(word.fault(format!("expected {}{}", KNOWN.join(", "), did_you_mean(other, KNOWN)))),
    }
    Ok(())
}

fn cipher(words: &mut Words<'_>) -> Result<(EncrId, Secret), Fault> {
    let word = words.next("a cipher")?;
    let id = names::encr(word.text).map_err(|why| word.fault(why))?;
    let key = if id == EncrId::NULL { unused_key(words)? } else { key(words)? };
    Ok((id, key))
}

fn integrity(words: &mut Words<'_>) -> Result<Option<(IntegId, Secret)>, Fault> {
    let word = words.next("an authentication algorithm")?;
    let id = names::integ(word.text).map_err(|why| word.fault(why))?;
    if id == IntegId::NONE {
        unused_key(words)?;
        return Ok(None);
    }
    Ok(Some((id, key(words)?)))
}

/// `null` takes a key and does not use it.
fn unused_key(words: &mut Words<'_>) -> Result<Secret, Fault> {
    words.next_if(|word| word.quoted || word.text.starts_with("0x"));
    Ok(Secret::default())
}

/// `"text"`, or hexadecimal digits behind `0x`. The message never repeats it.
fn key(words: &mut Words<'_>) -> Result<Secret, Fault> {
    const EXPECTED: &str = "a key: \"TEXT\", or hexadecimal digits behind 0x";
    let word = words.next(EXPECTED)?;
    if word.quoted {
        let bytes = word.text.as_bytes();
        return if (1..=MAX_KEY).contains(&bytes.len()) {
            Ok(Secret::from(bytes))
        } else {
            Err(word.fault(format!("expected a key of 1 to {MAX_KEY} characters")))
        };
    }
    let digits = word.text.strip_prefix("0x").or(word.text.strip_prefix("0X"));
    let digits = digits.ok_or_else(|| word.fault(format!("expected {EXPECTED}")))?.as_bytes();
    if !(1..=2 * MAX_KEY).contains(&digits.len()) {
        return Err(word.fault(format!("expected a key of 1 to {} hexadecimal digits", 2 * MAX_KEY)));
    }
    // As setkey(8) has it, the first digit of an odd number is a byte.
    let (first, pairs) = digits.split_at(digits.len() % 2);
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(2));
    for pair in std::iter::once(first).filter(|first| !first.is_empty()).chain(pairs.chunks_exact(2)) {
        let byte = pair.iter().try_fold(0, |byte, digit| Some(byte << 4 | char::from(*digit).to_digit(16)?));
        let byte = byte.and_then(|byte| u8::try_from(byte).ok());
        bytes.push(byte.ok_or_else(|| word.fault("behind 0x a key is made of hexadecimal digits"))?);
    }
    Ok(Secret::new(bytes))
}

/// A limit of a lifetime; 0 for none.
fn limit(words: &mut Words<'_>, unit: &str) -> Result<Option<u64>, Fault> {
    let word = words.next(unit)?;
    let number = word.text.parse::<u64>().ok().filter(|_| !word.text.starts_with('+'));
    let number = number.ok_or_else(|| word.fault(format!("expected a number of {unit}")))?;
    Ok((number > 0).then_some(number))
}

fn number(words: &mut Words<'_>, least: u32, most: u32, what: &str) -> Result<u32, Fault> {
    let word = words.next(what)?;
    let number = decimal(word.text).filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| word.fault(format!("expected {what}, {least} to {most}")))
}

/// A number of digits alone.
pub(super) fn decimal(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
