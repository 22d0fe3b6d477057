//! Distinguished names (X.501), as far as a peer's identity needs them: to be read, written and compared.
//!
//! The text form is that of the peers' logs, in the order of the encoding: `C=CH, O=Example, CN=gw`. RFC 4514 turns the
//! order around; whoever copies from a tool that does so must turn it back.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use der::asn1::{AnyRef, BmpString, Ia5StringRef, ObjectIdentifier, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::{Decode, Encode, Sequence, Tag, Tagged, ValueOrd};

/// A distinguished name in DER. Equal are two with the same bytes; [`Dn::is`] compares as certificates are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dn(Vec<u8>);

/// Text that is no distinguished name: where in it, in bytes, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDn {
    /// Byte offset.
    pub offset: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// Attribute types with the names that operators write, the one we print first.
const TYPES: &[(&str, ObjectIdentifier)] = &[
    ("CN", dotted("2.5.4.3")),
    ("SN", dotted("2.5.4.4")),
    ("serialNumber", dotted("2.5.4.5")),
    ("C", dotted("2.5.4.6")),
    ("L", dotted("2.5.4.7")),
    ("ST", dotted("2.5.4.8")),
    ("S", dotted("2.5.4.8")),
    ("street", dotted("2.5.4.9")),
    ("O", dotted("2.5.4.10")),
    ("OU", dotted("2.5.4.11")),
    ("T", dotted("2.5.4.12")),
    ("D", dotted("2.5.4.13")),
    ("postalCode", dotted("2.5.4.17")),
    ("N", dotted("2.5.4.41")),
    ("G", dotted("2.5.4.42")),
    ("GN", dotted("2.5.4.42")),
    ("I", dotted("2.5.4.43")),
    ("dnQualifier", dotted("2.5.4.46")),
    ("UID", dotted("0.9.2342.19200300.100.1.1")),
    ("DC", dotted("0.9.2342.19200300.100.1.25")),
    ("E", dotted("1.2.840.113549.1.9.1")),
    ("emailAddress", dotted("1.2.840.113549.1.9.1")),
];

/// Read when this is compiled.
const fn dotted(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
struct Attribute<'a> {
    kind: ObjectIdentifier,
    value: AnyRef<'a>,
}

type Rdn<'a> = SetOfVec<Attribute<'a>>;

/// The value of an attribute as it is compared.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Prepared<'a> {
    /// A string, whatever its kind.
    Text(String),
    /// Anything else, octet by octet.
    Other(AnyRef<'a>),
}

impl Dn {
    /// Takes whatever stands in a payload or a certificate.
    pub fn new(der: &[u8]) -> Self {
        Dn(der.to_vec())
    }

    /// The encoding.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has no parts; so has what is no sequence.
    pub fn is_empty(&self) -> bool {
        AnyRef::from_der(&self.0).map_or(true, |name| name.tag() != Tag::Sequence || name.value().is_empty())
    }

    /// Whether both name the same: part for part, strings without regard to case, kind of string and width of blanks
    /// (RFC 5280 §7.1, without the Unicode tables of RFC 4518).
    pub fn is(&self, other: &Dn) -> bool {
        if self.0 == other.0 {
            return true;
        }
        match (self.rdns(), other.rdns()) {
            (Some(ours), Some(theirs)) => ours.len() == theirs.len() && begins_with(&ours, &theirs),
            _ => false,
        }
    }

    /// Whether `base` is this name or stands above it in the tree: its parts are the first ones of this name.
    pub fn is_within(&self, base: &Dn) -> bool {
        match (self.rdns(), base.rdns()) {
            (Some(ours), Some(base)) => begins_with(&ours, &base),
            _ => false,
        }
    }

    /// Whether it has the parts of `pattern`, where `*` stands for any value of its part.
    pub fn is_like(&self, pattern: &Dn) -> bool {
        let wild = |name: &Rdn<'_>, pattern: &Rdn<'_>| match (name.get(0), pattern.get(0)) {
            (Some(name), Some(star)) if pattern.len() == 1 => {
                name.kind == star.kind && text_of(star).is_some_and(|text| text == "*")
            }
            _ => false,
        };
        match (self.rdns(), pattern.rdns()) {
            (Some(ours), Some(pattern)) => {
                let fits = |(name, pattern)| wild(name, pattern) || same_part(name, pattern);
                ours.len() == pattern.len() && ours.iter().zip(&pattern).all(fits)
            }
            _ => false,
        }
    }

    /// The values of one type of attribute.
    pub fn values(&self, kind: ObjectIdentifier) -> Vec<String> {
        let rdns = self.rdns().unwrap_or_default();
        let attributes = rdns.iter().flat_map(SetOfVec::iter).filter(|attribute| attribute.kind == kind);
        attributes.filter_map(text_of).collect()
    }

    fn rdns(&self) -> Option<Vec<Rdn<'_>>> {
        Vec::<Rdn<'_>>::from_der(&self.0).ok()
    }
}

fn begins_with(name: &[Rdn<'_>], base: &[Rdn<'_>]) -> bool {
    name.len() >= base.len() && name.iter().zip(base).all(|(name, base)| same_part(name, base))
}

/// Each attribute of one has its own in the other: `CN=a+CN=A` is not `CN=a+CN=b`.
fn same_part(one: &Rdn<'_>, other: &Rdn<'_>) -> bool {
    one == other || (one.len() == other.len() && prepared(one) == prepared(other))
}

/// The attributes as they are compared, in an order of their own: those of the encoding are ordered by the octets.
fn prepared<'a>(part: &Rdn<'a>) -> Vec<(ObjectIdentifier, Prepared<'a>)> {
    let prepare = |attribute: &Attribute<'a>| match text_of(attribute) {
        Some(text) => {
            let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
            (attribute.kind, Prepared::Text(words.join(" ")))
        }
        None => (attribute.kind, Prepared::Other(attribute.value)),
    };
    let mut attributes: Vec<_> = part.iter().map(prepare).collect();
    attributes.sort();
    attributes
}

/// The value of a string of any kind.
fn text_of(attribute: &Attribute<'_>) -> Option<String> {
    let bytes = attribute.value.value();
    match attribute.value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => core::str::from_utf8(bytes).ok().map(String::from),
        // What is called T.61 is Latin-1 in every certificate that has it.
        Tag::TeletexString => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            attribute.value.decode_as::<BmpString>().ok().map(|text| alloc::string::ToString::to_string(&text))
        }
        _ => None,
    }
}

impl fmt::Display for Dn {
    /// `C=CH, O=Example, CN=gw`, control characters escaped; hexadecimal when it is no distinguished name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rdns) = self.rdns() else {
            f.write_str("0x")?;
            return self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
        };
        for (at, rdn) in rdns.iter().enumerate() {
            for (inner, attribute) in rdn.iter().enumerate() {
                f.write_str(match (at, inner) {
                    (0, 0) => "",
                    (_, 0) => ", ",
                    _ => "+",
                })?;
                write_attribute(attribute, f)?;
            }
        }
        Ok(())
    }
}

fn write_attribute(attribute: &Attribute<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let known = TYPES.iter().find(|(_, oid)| *oid == attribute.kind);
    match known {
        Some((name, _)) => write!(f, "{name}=")?,
        None => write!(f, "{}=", attribute.kind)?,
    }
    let Some(text) = text_of(attribute) else {
        f.write_str("#")?;
        return attribute.value.value().iter().try_for_each(|byte| write!(f, "{byte:02x}"));
    };
    for character in text.chars() {
        match character {
            ',' | '+' | '\\' | '=' => write!(f, "\\{character}")?,
            '"' | '\'' => write!(f, "{character}")?,
            other => write!(f, "{}", other.escape_debug())?,
        }
    }
    Ok(())
}

impl FromStr for Dn {
    type Err = BadDn;

    /// Reads `C=CH, O=Example, CN=gw`: parts in the order of the encoding, `+` between attributes of one part, a
    /// backslash before `,`, `+`, `=` and itself. A type is one of the usual names, in any case, or a dotted number.
    fn from_str(text: &str) -> Result<Self, BadDn> {
        let mut rdns: Vec<Vec<(ObjectIdentifier, String)>> = Vec::new();
        let mut joins = false;
        for piece in pieces(text) {
            let bad = |expected| BadDn { offset: piece.offset, expected };
            let (kind, value) = piece.text.split_once('=').ok_or(bad("a type, = and a value, as in CN=gateway"))?;
            let attribute = (oid(kind.trim()).ok_or(bad("a type of attribute, as C, O, OU or CN"))?, unescaped(value));
            if attribute.1.is_empty() {
                return Err(bad("a value"));
            }
            match rdns.last_mut().filter(|_| joins) {
                Some(rdn) => rdn.push(attribute),
                None => rdns.push([attribute].into()),
            }
            joins = piece.joins;
        }
        encode(&rdns).ok_or(BadDn { offset: 0, expected: "a distinguished name" })
    }
}

struct Piece<'a> {
    offset: usize,
    text: &'a str,
    /// A `+` follows.
    joins: bool,
}

/// Splits at commas and plus signs that no backslash stands before.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut escaped) = (0, false);
    let ends = text.char_indices().chain([(text.len(), ',')]);
    for (at, character) in ends {
        if !escaped && matches!(character, ',' | '+') {
            let piece = text.get(begin..at).unwrap_or_default();
            let offset = begin + (piece.len() - piece.trim_start().len());
            pieces.push(Piece { offset, text: piece.trim(), joins: character == '+' });
            begin = at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    pieces
}

fn unescaped(value: &str) -> String {
    let mut escaped = false;
    let keep = |character: &char| {
        let kept = escaped || *character != '\\';
        escaped = !kept;
        kept
    };
    value.trim_start().chars().filter(keep).collect()
}

fn oid(name: &str) -> Option<ObjectIdentifier> {
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, oid)| *oid);
    known.or_else(|| ObjectIdentifier::new(name).ok())
}

fn encode(rdns: &[Vec<(ObjectIdentifier, String)>]) -> Option<Dn> {
    let attribute = |(kind, text): &'_ (ObjectIdentifier, String)| {
        let (kind, text) = (*kind, text.as_str());
        let ascii = ["DC", "E"].iter().any(|name| oid(name) == Some(kind));
        let printable = ["C", "serialNumber", "dnQualifier"].iter().any(|name| oid(name) == Some(kind));
        // RFC 5280 §4.1.2.4 and appendix A: UTF8String but for the types that have another one.
        let value = match (ascii, printable) {
            (true, _) => Ia5StringRef::new(text).ok()?.to_der(),
            (_, true) => PrintableStringRef::new(text).ok()?.to_der(),
            _ => Utf8StringRef::new(text).ok()?.to_der(),
        };
        Some((kind, value.ok()?))
    };
    let encoded: Vec<Vec<_>> = rdns.iter().map(|rdn| rdn.iter().map(attribute).collect()).collect::<Option<_>>()?;
    let mut name = Vec::new();
    for rdn in &encoded {
        let mut set = Rdn::new();
        for (kind, value) in rdn {
            set.insert(Attribute { kind: *kind, value: AnyRef::from_der(value).ok()? }).ok()?;
        }
        name.push(set);
    }
    name.to_der().ok().map(Dn)
}

impl fmt::Display for BadDn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl core::error::Error for BadDn {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn dn(text: &str) -> Dn {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_written_as_it_was_read() {
        for text in [
            "C=CH, O=Example, CN=gw",
            "C=CH, O=Example\\, Inc., OU=a\\+b, CN=gw\\=1",
            "DC=org, DC=example, UID=joe+E=joe@example.org",
            "CN=Zürich",
            "1.2.3.4=x",
        ] {
            assert_eq!(dn(text).to_string(), text);
        }
        assert_eq!(dn(" c=CH ,o=A B/emailAddress=x").to_string(), "C=CH, O=A B/emailAddress\\=x");
        assert_eq!(Dn::new(b"\x30\x80").to_string(), "0x3080");
        // RFC 5280 appendix A: the country is a PrintableString, the rest is UTF-8.
        assert_eq!(dn("C=CH").der(), b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02CH");
        assert_eq!(dn("CN=a").der(), b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01a");
    }

    #[test]
    fn wrong_text_is_located() {
        assert_eq!("CN".parse::<Dn>().unwrap_err().offset, 0);
        assert_eq!("C=CH, XX=1".parse::<Dn>().unwrap_err().offset, 6);
        assert_eq!("C=CH,".parse::<Dn>().unwrap_err().offset, 5);
        assert!("".parse::<Dn>().is_err() && "CN=".parse::<Dn>().is_err() && "C=ü".parse::<Dn>().is_err());
    }

    #[test]
    fn names_are_compared_as_certificates_compare_them() {
        let printable = Dn::new(b"\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x0a\x13\x03A b");
        assert!(printable.is(&dn("O=a  B")) && printable != dn("O=A b"));
        assert!(!dn("O=a, CN=b").is(&dn("CN=b, O=a")) && !dn("O=a").is(&dn("OU=a")));
        assert!(dn("O=a, CN=b").is_within(&dn("O=A")) && !dn("O=a").is_within(&dn("O=a, CN=b")));
        assert!(dn("CN=a+OU=b").is(&dn("OU=B+CN=A")) && dn("CN=a+CN=A").is(&dn("CN=A+CN=a")));
        for other in ["CN=a", "CN=a, CN=A", "CN=a+CN=b", "CN=b+CN=B", "CN=a+OU=A", "CN=a+CN=A+CN=b"] {
            assert!(!dn("CN=a+CN=A").is(&dn(other)) && !dn(other).is(&dn("CN=a+CN=A")), "{other}");
        }
        assert!(!Dn::new(b"x").is(&dn("O=a")) && Dn::new(b"x").is(&Dn::new(b"x")) && Dn::new(b"x").is_empty());
    }

    // docs/HISTORY.md, row 53: what a peer sends is escaped before it is shown.
    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(dn("CN=a\u{1b}[2J\nb").to_string(), "CN=a\\u{1b}[2J\\nb");
    }
}
