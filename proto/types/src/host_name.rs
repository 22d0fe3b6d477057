//! Names of hosts, as the DNS has them.

use alloc::string::String;
use core::fmt;

/// The longest name, as text without a dot at its end: 255 octets on the wire, each label with its length in front and an empty
/// one behind (RFC 1035 §2.3.4).
const LONGEST: usize = 253;
/// The longest label (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// A name for which a resolver can be asked. Names are compared without case (RFC 1035 §2.3.3), so this one has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// A name of letters, digits and hyphens (RFC 1123 §2.1), and underscores, which many names have. Others are written as the
    /// DNS has them (`xn--`, RFC 5890 §2.3.2.1).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if !text.is_ascii() {
            return Err("a name is written as the DNS has it, in ASCII: xn--...");
        }
        if name.len() > LONGEST {
            return Err("a name has up to 253 characters");
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > LONGEST_LABEL {
                return Err("each part of a name between dots has 1 to 63 characters");
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
                return Err("a name has letters, digits, hyphens and underscores");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err("no part of a name begins or ends with a hyphen");
            }
        }
        // Resolvers take `192.0.2` and `0x7f.1` for addresses.
        let last = name.rsplit('.').next().unwrap_or_default();
        let hex = last.get(..2).filter(|start| start.eq_ignore_ascii_case("0x")).and_then(|_| last.get(2..));
        if last.bytes().all(|byte| byte.is_ascii_digit())
            || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err("a name whose last part is a number would be taken for an address");
        }
        Ok(HostName(text.to_ascii_lowercase()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn names_are_those_of_the_dns() {
        for name in
            ["gw", "gw.example.org", "gw.example.org.", "3com.example", "_vpn.example.org", "xn--bcher-kva.example"]
        {
            assert_eq!(HostName::new(name).map(|name| name.to_string()), Ok(name.to_string()));
        }
        assert_eq!(HostName::new("GW.Example.org"), HostName::new("gw.example.ORG"));
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(HostName::new(&longest).is_ok() && HostName::new(&format!("{longest}.")).is_ok());
        assert!(HostName::new(&format!("{longest}a")).is_err() && HostName::new(&format!("a{label}.example")).is_err());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ".",
            "gw..example",
            "-gw",
            "gw-.example",
            "gw example",
            "gw/24",
            "bücher.example",
            "a:b",
            "gw\0",
            "*.example",
        ] {
            assert!(HostName::new(text).is_err(), "{text}");
        }
        // A mistyped address is none either.
        for text in ["192.0.2", "192.0.2.256", "1", "0x7f000001", "0x7f.1", "gw.0x", "10.1.2.3.4."] {
            assert!(HostName::new(text).is_err_and(|why| why.contains("address")), "{text}");
        }
    }
}
