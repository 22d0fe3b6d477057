//! What stands behind a flag: one file per kind of value, each a function from text to a type.

pub mod address;
pub mod algorithm;
pub mod dns;
pub mod eap;
pub mod encrypted_dns;
pub mod host;
pub mod identity;
pub mod if_id;
pub mod key;
pub mod mark;
pub mod pfp;
pub mod priority;
pub mod protocol;
pub mod quantity;
pub mod restriction;
pub mod selector;
pub mod uri;
pub mod who;

use std::fmt;

use ravelin_types::policy::DeviceName;

/// A value that cannot be taken, and from which byte of it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// Offset into the value.
    pub offset: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl BadValue {
    /// The value as a whole is wrong.
    pub fn new(message: impl Into<String>) -> Self {
        BadValue { offset: 0, message: message.into() }
    }

    /// The part that begins at `offset` is wrong.
    pub fn at(offset: usize, message: impl Into<String>) -> Self {
        BadValue { offset, message: message.into() }
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadValue {}

/// `; did you mean X?` when one of `known` is close to what was written, else nothing.
pub fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let written = written.to_ascii_lowercase();
    let bound = (written.len() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&written, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!("; did you mean {name}?"))
        .unwrap_or_default()
}

/// [`did_you_mean`], and where no name is alike, those that there are.
pub fn among<'a>(written: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    /// More would hide what is said.
    const SHOWN: usize = 8;
    let alike = did_you_mean(written, known.clone());
    if !alike.is_empty() {
        return alike;
    }
    let shown: Vec<&str> = known.clone().take(SHOWN).collect();
    match (shown.len(), known.count()) {
        (0, _) => "; there is none".to_owned(),
        (some, all) if some < all => format!("; there are {} and {} more", shown.join(", "), all - some),
        (1, _) => format!("; there is {}", shown.join(", ")),
        _ => format!("; there are {}", shown.join(", ")),
    }
}

/// A name of a policy or a remote.
///
/// # Errors
/// When it is empty, longer than 64 bytes, or has a character that a listing cannot show.
pub fn name(text: &str) -> Result<String, BadValue> {
    let bad = text.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || "._-:@".contains(*c)));
    match bad {
        _ if text.is_empty() || text.len() > 64 => Err(BadValue::new("expected a name of 1 to 64 characters")),
        Some((offset, _)) => {
            Err(BadValue::at(offset, "a name is made of letters, digits and the characters . _ - : @"))
        }
        None => Ok(text.to_owned()),
    }
}

/// A name of a network device.
///
/// # Errors
/// When it is empty, longer than the 15 bytes of the kernel, or not a letter with letters, digits, `-` and `_` behind.
pub fn device(text: &str) -> Result<String, BadValue> {
    let bad = text.char_indices().find(|(at, c)| {
        let fits = if *at == 0 { c.is_ascii_alphabetic() } else { c.is_ascii_alphanumeric() || "_-".contains(*c) };
        !fits
    });
    match bad {
        _ if text.is_empty() || text.len() > 15 => Err(BadValue::new("expected a device name of 1 to 15 characters")),
        Some((offset, _)) => Err(BadValue::at(offset, "a device name is a letter, then letters, digits, - or _")),
        None => Ok(text.to_owned()),
    }
}

/// The name of a device that the host has, whoever made it: also of a VLAN, `eth0.10`.
///
/// # Errors
/// When no device can have it.
pub fn device_name(text: &str) -> Result<DeviceName, BadValue> {
    DeviceName::new(text).ok_or(BadValue::new("expected a device name: 1 to 15 letters, digits, -, _ or ."))
}

/// The longest command for a script.
const MAX_COMMAND: usize = 1024;

/// A command for `/bin/sh -c`, taken as it is.
///
/// # Errors
/// When it is empty, longer than 1024 bytes, or has a control character.
pub fn shell_command(text: &str) -> Result<String, BadValue> {
    let text = text.trim();
    match text.char_indices().find(|(_, c)| c.is_control()) {
        _ if text.is_empty() || text.len() > MAX_COMMAND => {
            Err(BadValue::new(format!("expected a command for /bin/sh of 1 to {MAX_COMMAND} bytes")))
        }
        Some((offset, _)) => Err(BadValue::at(offset, "a command for /bin/sh is one line without control characters")),
        None => Ok(text.to_owned()),
    }
}

/// The bytes of hexadecimal digits, with colons or underscores between them where somebody put some.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':' && *byte != b'_').collect();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks(2).map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_are_those_that_the_kernel_and_a_shell_take() {
        assert_eq!(device("vti20"), Ok("vti20".into()));
        assert_eq!(device("vti 20").unwrap_err().offset, 3);
        assert_eq!(device("../x").unwrap_err().offset, 0);
        assert!(device("").is_err() && device(&"x".repeat(16)).is_err());
    }

    #[test]
    fn a_command_for_a_shell_is_one_line() {
        assert_eq!(shell_command(" /usr/lib/ipsec/_updown iptables "), Ok("/usr/lib/ipsec/_updown iptables".into()));
        assert_eq!(shell_command("true;\nfalse").unwrap_err().offset, 5);
        assert!(shell_command("a\0b").is_err() && shell_command("  ").is_err());
        assert!(shell_command(&"x".repeat(1024)).is_ok() && shell_command(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn names_have_plain_characters() {
        assert_eq!(name("gw-1.example"), Ok("gw-1.example".into()));
        assert_eq!(name("a b").unwrap_err().offset, 1);
        assert!(name("").is_err());
        assert!(name(&"x".repeat(65)).is_err());
    }

    #[test]
    fn suggests_only_what_is_close() {
        assert_eq!(did_you_mean("aes128-gmc", ["AES128-GCM", "MODP2048"]), "; did you mean AES128-GCM?");
        assert_eq!(did_you_mean("zzz", ["AES128-GCM", "MODP2048"]), "");
        assert_eq!(among("zzz", [].into_iter()), "; there is none");
        assert_eq!(among("zzz", ["gw"].into_iter()), "; there is gw");
        assert_eq!(among("gv", ["gw", "hq"].into_iter()), "; did you mean gw?");
        assert_eq!(among("zzz", ["a"; 10].into_iter()), "; there are a, a, a, a, a, a, a, a and 2 more");
    }
}
