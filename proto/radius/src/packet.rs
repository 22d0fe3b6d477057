//! Packets: `| code | identifier | length | authenticator (16) | attributes ... |`, all numbers in network order (RFC 2865 §3).

use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use ravelin_types::Secret;
use subtle::ConstantTimeEq;

const HEADER: usize = 20;
/// RFC 2865 §3.
const MAX: usize = 4096;
/// Octets of a value (RFC 2865 §5).
const VALUE: usize = 253;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u8);

impl Code {
    /// Somebody wants in.
    pub const ACCESS_REQUEST: Code = Code(1);
    /// He may.
    pub const ACCESS_ACCEPT: Code = Code(2);
    /// He may not.
    pub const ACCESS_REJECT: Code = Code(3);
    /// He is asked for more.
    pub const ACCESS_CHALLENGE: Code = Code(11);
}

/// What an attribute is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute(pub u8);

impl Attribute {
    /// Who wants in.
    pub const USER_NAME: Attribute = Attribute(1);
    /// What he shall have.
    pub const SERVICE_TYPE: Attribute = Attribute(6);
    /// For people.
    pub const REPLY_MESSAGE: Attribute = Attribute(18);
    /// What the server wants back with the next request.
    pub const STATE: Attribute = Attribute(24);
    /// Of a vendor, whose number comes first.
    pub const VENDOR_SPECIFIC: Attribute = Attribute(26);
    /// Who asks.
    pub const NAS_IDENTIFIER: Attribute = Attribute(32);
    /// The kind of port he comes by.
    pub const NAS_PORT_TYPE: Attribute = Attribute(61);
    /// A piece of an EAP message (RFC 3579 §3.1).
    pub const EAP_MESSAGE: Attribute = Attribute(79);
    /// HMAC-MD5 over the packet (RFC 3579 §3.2).
    pub const MESSAGE_AUTHENTICATOR: Attribute = Attribute(80);
}

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its lengths contradict each other.
    Malformed,
    /// It answers another request.
    Other,
    /// Its Response Authenticator is not of the secret.
    Forged,
    /// It has no Message-Authenticator, or more than one.
    Unproven,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Malformed => "a reply that is malformed",
            Fault::Other => "a reply to another request",
            Fault::Forged => "a reply that is not by the shared secret",
            Fault::Unproven => "a reply without a Message-Authenticator",
        })
    }
}

/// A packet whose lengths fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub code: Code,
    /// Which request it belongs to.
    pub identifier: u8,
    /// The Request or Response Authenticator.
    pub authenticator: [u8; 16],
    /// In order.
    pub attributes: Vec<(Attribute, Vec<u8>)>,
}

impl Packet {
    /// Reads a packet. Octets behind its length are padding (RFC 2865 §3).
    ///
    /// # Errors
    /// [`Fault::Malformed`]: among others for attributes of a length of 0 or 1, or beyond the packet.
    pub fn parse(bytes: &[u8]) -> Result<Packet, Fault> {
        let [code, identifier, high, low, ..] = *bytes else { return Err(Fault::Malformed) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let whole = bytes.get(..length).filter(|_| (HEADER..=MAX).contains(&length)).ok_or(Fault::Malformed)?;
        let (header, mut rest) = whole.split_first_chunk::<HEADER>().ok_or(Fault::Malformed)?;
        let authenticator = *header.last_chunk::<16>().ok_or(Fault::Malformed)?;
        let mut attributes = Vec::new();
        while let [kind, length, ..] = *rest {
            let value = rest.get(2..usize::from(length)).ok_or(Fault::Malformed)?;
            attributes.push((Attribute(kind), value.to_vec()));
            rest = rest.get(usize::from(length)..).ok_or(Fault::Malformed)?;
        }
        if !rest.is_empty() {
            return Err(Fault::Malformed);
        }
        Ok(Packet { code: Code(code), identifier, authenticator, attributes })
    }

    /// The first attribute of this kind.
    pub fn first(&self, kind: Attribute) -> Option<&[u8]> {
        self.all(kind).next()
    }

    /// Every attribute of this kind.
    pub fn all(&self, kind: Attribute) -> impl Iterator<Item = &[u8]> {
        self.attributes.iter().filter(move |(other, _)| *other == kind).map(|(_, value)| value.as_slice())
    }

    /// The EAP message, of its pieces in order (RFC 3579 §3.1).
    pub fn eap(&self) -> Option<Vec<u8>> {
        self.first(Attribute::EAP_MESSAGE)?;
        Some(self.all(Attribute::EAP_MESSAGE).flatten().copied().collect())
    }
}

/// The attributes of a request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    attributes: Vec<u8>,
}

impl Request {
    /// Adds an attribute; a longer value is cut to what one can hold.
    pub fn add(&mut self, kind: Attribute, value: &[u8]) {
        let value = value.get(..VALUE).unwrap_or(value);
        // Bounded above.
        self.attributes.extend_from_slice(&[kind.0, value.len() as u8 + 2]);
        self.attributes.extend_from_slice(value);
    }

    /// Adds an EAP message, in pieces where it is long (RFC 3579 §3.1).
    pub fn add_eap(&mut self, message: &[u8]) {
        message.chunks(VALUE).for_each(|piece| self.add(Attribute::EAP_MESSAGE, piece));
    }

    /// The Access-Request, its Message-Authenticator in front; `authenticator` is fresh and unpredictable. `None`: it is too
    /// long for a packet.
    pub fn seal(&self, identifier: u8, authenticator: &[u8; 16], secret: &Secret) -> Option<Vec<u8>> {
        let length = HEADER + 18 + self.attributes.len();
        let [high, low] = u16::try_from(length).ok().filter(|_| length <= MAX)?.to_be_bytes();
        let mut packet = Vec::with_capacity(length);
        packet.extend_from_slice(&[Code::ACCESS_REQUEST.0, identifier, high, low]);
        packet.extend_from_slice(authenticator);
        packet.extend_from_slice(&[Attribute::MESSAGE_AUTHENTICATOR.0, 18]);
        packet.extend_from_slice(&[0; 16]);
        packet.extend_from_slice(&self.attributes);
        let proof = message_authenticator(&packet, secret);
        packet.get_mut(HEADER + 2..HEADER + 18)?.copy_from_slice(&proof);
        Some(packet)
    }
}

fn message_authenticator(packet: &[u8], secret: &Secret) -> [u8; 16] {
    // HMAC takes keys of every length.
    let Ok(mac) = Hmac::<Md5>::new_from_slice(secret.expose()) else { return [0; 16] };
    mac.chain_update(packet).finalize().into_bytes().into()
}

/// Reads the reply to a request with this identifier and authenticator, and checks both proofs of the secret.
///
/// # Errors
/// Why it is not taken. Nobody is told: the right one may still come.
pub fn reply(bytes: &[u8], identifier: u8, request: &[u8; 16], secret: &Secret) -> Result<Packet, Fault> {
    let packet = Packet::parse(bytes)?;
    if packet.identifier != identifier {
        return Err(Fault::Other);
    }
    let [_, _, high, low, ..] = *bytes else { return Err(Fault::Malformed) };
    let mut whole = bytes.get(..usize::from(u16::from_be_bytes([high, low]))).ok_or(Fault::Malformed)?.to_vec();
    whole.get_mut(4..HEADER).ok_or(Fault::Malformed)?.copy_from_slice(request);
    // RFC 2865 §3: MD5(code, identifier, length, request authenticator, attributes, secret).
    let expected: [u8; 16] = Md5::new().chain_update(&whole).chain_update(secret.expose()).finalize().into();
    if !bool::from(expected.ct_eq(&packet.authenticator)) {
        return Err(Fault::Forged);
    }
    // RFC 3579 §3.2: over the packet with the request's authenticator, and zeros where the proof stands.
    let mut at = HEADER;
    let mut found = None;
    for (kind, value) in &packet.attributes {
        if *kind == Attribute::MESSAGE_AUTHENTICATOR {
            let proof: [u8; 16] = value.as_slice().try_into().map_err(|_| Fault::Malformed)?;
            if found.replace((at + 2, proof)).is_some() {
                return Err(Fault::Unproven);
            }
        }
        at += 2 + value.len();
    }
    let (at, proof) = found.ok_or(Fault::Unproven)?;
    whole.get_mut(at..at + 16).ok_or(Fault::Malformed)?.fill(0);
    match bool::from(message_authenticator(&whole, secret).ct_eq(&proof)) {
        true => Ok(packet),
        false => Err(Fault::Forged),
    }
}
