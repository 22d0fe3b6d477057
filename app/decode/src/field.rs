//! What a decoded packet consists of: layers, fields, and what is wrong with them.

use std::net::SocketAddr;

/// What was found in one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Source of the outermost IP packet, with port 0 where it has none.
    pub src: Option<SocketAddr>,
    /// Its destination.
    pub dst: Option<SocketAddr>,
    /// The protocols of IPsec in it, outermost first. Empty: none of this crate's business.
    pub layers: Vec<Layer>,
    /// What is wrong outside the layers.
    pub problems: Vec<String>,
    /// What an ESP or AH packet carries in the end, in a few words.
    pub payload: Option<String>,
}

impl Decoded {
    /// Whether anything is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.layers.iter().all(|layer| layer.problems.is_empty())
    }
}

/// One protocol of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// The name that Wireshark has for it: `isakmp`, `esp`, `ah`, `udpencap`, `ipcomp`; of `aggfrag` it knows nothing.
    pub name: &'static str,
    /// Its fields, in order. Offsets count from the beginning of the layer.
    pub fields: Vec<Field>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// One field of a packet, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name that Wireshark has for it.
    pub name: &'static str,
    /// Offset in the packet's protocol layer. What was decrypted has the offset of its ciphertext.
    pub at: usize,
    /// The bytes, decrypted where the field was; empty for a group and for a part of another field, such as one flag.
    pub bytes: Vec<u8>,
    /// What the bytes say.
    pub value: Value,
    /// The line for a reader; empty for a group and for a part of another field.
    pub text: String,
    /// Who may see the content.
    pub secrecy: Secrecy,
    /// The fields of a group, in order, or the parts of a field.
    pub children: Vec<Field>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, big-endian on the wire.
    Number(u64),
    /// The bytes as they are.
    Bytes,
    /// An address or a name.
    Text(String),
}

/// How much a field tells about people and secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Secrecy {
    /// Anybody on the path could see it, or it tells nothing.
    #[default]
    Open,
    /// Names a person, a host or an inner network, and was encrypted.
    Identity,
    /// Proves an identity or is a password.
    Secret,
}

/// Something wrong with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Offset in the protocol layer.
    pub at: usize,
    /// What is wrong, in words.
    pub text: String,
}
