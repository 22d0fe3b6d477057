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
    /// What a session has come to (RFC 2866).
    pub const ACCOUNTING_REQUEST: Code = Code(4);
    /// It is written down.
    pub const ACCOUNTING_RESPONSE: Code = Code(5);
    /// He is asked for more.
    pub const ACCESS_CHALLENGE: Code = Code(11);
    /// Sessions shall end (RFC 5176).
    pub const DISCONNECT_REQUEST: Code = Code(40);
    /// They do.
    pub const DISCONNECT_ACK: Code = Code(41);
    /// They do not.
    pub const DISCONNECT_NAK: Code = Code(42);
    /// Sessions shall be otherwise (RFC 5176).
    pub const COA_REQUEST: Code = Code(43);
    /// They are.
    pub const COA_ACK: Code = Code(44);
    /// They are not.
    pub const COA_NAK: Code = Code(45);
}

/// What an attribute is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute(pub u8);

impl Attribute {
    /// Who wants in.
    pub const USER_NAME: Attribute = Attribute(1);
    /// Who asks, by his IPv4 address.
    pub const NAS_IP_ADDRESS: Attribute = Attribute(4);
    /// What he shall have.
    pub const SERVICE_TYPE: Attribute = Attribute(6);
    /// The user's IPv4 address inside.
    pub const FRAMED_IP_ADDRESS: Attribute = Attribute(8);
    /// RFC 2865 §5.11.
    pub const FILTER_ID: Attribute = Attribute(11);
    /// For people.
    pub const REPLY_MESSAGE: Attribute = Attribute(18);
    /// What the server wants back with the next request.
    pub const STATE: Attribute = Attribute(24);
    /// What the server wants to read in the account.
    pub const CLASS: Attribute = Attribute(25);
    /// Of a vendor, whose number comes first.
    pub const VENDOR_SPECIFIC: Attribute = Attribute(26);
    /// Seconds after which a session ends.
    pub const SESSION_TIMEOUT: Attribute = Attribute(27);
    /// Seconds without traffic after which it does.
    pub const IDLE_TIMEOUT: Attribute = Attribute(28);
    /// Where the user came to.
    pub const CALLED_STATION_ID: Attribute = Attribute(30);
    /// Where the user came from.
    pub const CALLING_STATION_ID: Attribute = Attribute(31);
    /// Who asks, by his name.
    pub const NAS_IDENTIFIER: Attribute = Attribute(32);
    /// Of those between us and the server, given back as it came.
    pub const PROXY_STATE: Attribute = Attribute(33);
    /// What a record of the account says: Start, Stop or an update (RFC 2866 §5.1).
    pub const ACCT_STATUS_TYPE: Attribute = Attribute(40);
    /// Seconds for which we have been trying to send the record (RFC 2866 §5.2).
    pub const ACCT_DELAY_TIME: Attribute = Attribute(41);
    /// Octets from the user, modulo 2^32 (RFC 2866 §5.3).
    pub const ACCT_INPUT_OCTETS: Attribute = Attribute(42);
    /// Octets to the user, modulo 2^32 (RFC 2866 §5.4).
    pub const ACCT_OUTPUT_OCTETS: Attribute = Attribute(43);
    /// The session (RFC 2866 §5.5).
    pub const ACCT_SESSION_ID: Attribute = Attribute(44);
    /// How the user proved himself (RFC 2866 §5.6).
    pub const ACCT_AUTHENTIC: Attribute = Attribute(45);
    /// Seconds that the session has lasted (RFC 2866 §5.7).
    pub const ACCT_SESSION_TIME: Attribute = Attribute(46);
    /// Packets from the user (RFC 2866 §5.8).
    pub const ACCT_INPUT_PACKETS: Attribute = Attribute(47);
    /// Packets to the user (RFC 2866 §5.9).
    pub const ACCT_OUTPUT_PACKETS: Attribute = Attribute(48);
    /// Why the session ended (RFC 2866 §5.10).
    pub const ACCT_TERMINATE_CAUSE: Attribute = Attribute(49);
    /// How often Acct-Input-Octets has passed 2^32 (RFC 2869 §5.1).
    pub const ACCT_INPUT_GIGAWORDS: Attribute = Attribute(52);
    /// How often Acct-Output-Octets has (RFC 2869 §5.2).
    pub const ACCT_OUTPUT_GIGAWORDS: Attribute = Attribute(53);
    /// Seconds since 1970 (RFC 2869 §5.3).
    pub const EVENT_TIMESTAMP: Attribute = Attribute(55);
    /// The kind of port he comes by.
    pub const NAS_PORT_TYPE: Attribute = Attribute(61);
    /// A piece of an EAP message (RFC 3579 §3.1).
    pub const EAP_MESSAGE: Attribute = Attribute(79);
    /// HMAC-MD5 over the packet (RFC 3579 §3.2).
    pub const MESSAGE_AUTHENTICATOR: Attribute = Attribute(80);
    /// Seconds between two updates of the account (RFC 2869 §5.16).
    pub const ACCT_INTERIM_INTERVAL: Attribute = Attribute(85);
    /// Who asks, by his IPv6 address (RFC 3162 §2.1).
    pub const NAS_IPV6_ADDRESS: Attribute = Attribute(95);
    /// Why sessions stay as they are (RFC 5176 §3.5).
    pub const ERROR_CAUSE: Attribute = Attribute(101);
    /// The user's IPv6 address inside (RFC 6911 §3.1).
    pub const FRAMED_IPV6_ADDRESS: Attribute = Attribute(168);
}

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its lengths contradict each other.
    Malformed,
    /// It answers another request.
    Other,
    /// Its authenticator, or its Message-Authenticator, is not of the secret.
    Forged,
    /// It has no Message-Authenticator, or more than one.
    Unproven,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Malformed => "a packet that is malformed",
            Fault::Other => "a reply to another request",
            Fault::Forged => "a packet that is not by the shared secret",
            Fault::Unproven => "a packet without a Message-Authenticator",
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

    /// The number in the first attribute of this kind, where that is four octets.
    pub fn number(&self, kind: Attribute) -> Option<u32> {
        Some(u32::from_be_bytes(self.first(kind)?.try_into().ok()?))
    }

    /// The EAP message, of its pieces in order (RFC 3579 §3.1).
    pub fn eap(&self) -> Option<Vec<u8>> {
        self.first(Attribute::EAP_MESSAGE)?;
        Some(self.all(Attribute::EAP_MESSAGE).flatten().copied().collect())
    }
}

/// The attributes of a packet of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

    /// Adds a number.
    pub fn add_number(&mut self, kind: Attribute, value: u32) {
        self.add(kind, &value.to_be_bytes());
    }

    /// Adds an EAP message, in pieces where it is long (RFC 3579 §3.1).
    pub fn add_eap(&mut self, message: &[u8]) {
        message.chunks(VALUE).for_each(|piece| self.add(Attribute::EAP_MESSAGE, piece));
    }

    /// The Access-Request, its Message-Authenticator in front; `authenticator` is fresh and unpredictable. `None`: it is too
    /// long for a packet.
    pub fn seal(&self, identifier: u8, authenticator: &[u8; 16], secret: &Secret) -> Option<Vec<u8>> {
        self.proven(Code::ACCESS_REQUEST, identifier, authenticator, secret)
    }

    /// The Accounting-Request, with its authenticator, which proves it (RFC 2866 §3). `None`: it is too long for a packet.
    pub fn seal_account(&self, identifier: u8, secret: &Secret) -> Option<(Vec<u8>, [u8; 16])> {
        let mut packet = emit(Code::ACCOUNTING_REQUEST, identifier, &[0; 16], &[], &self.attributes)?;
        let authenticator = digest(&packet, secret);
        packet.get_mut(4..HEADER)?.copy_from_slice(&authenticator);
        Some((packet, authenticator))
    }

    /// The answer to a request, with both proofs (RFC 5176 §2.3, §3.4). `None`: it is too long for a packet.
    pub fn seal_answer(&self, code: Code, request: &Packet, secret: &Secret) -> Option<Vec<u8>> {
        let mut packet = self.proven(code, request.identifier, &request.authenticator, secret)?;
        let authenticator = digest(&packet, secret);
        packet.get_mut(4..HEADER)?.copy_from_slice(&authenticator);
        Some(packet)
    }

    /// A packet with a Message-Authenticator (RFC 3579 §3.2).
    fn proven(&self, code: Code, identifier: u8, authenticator: &[u8; 16], secret: &Secret) -> Option<Vec<u8>> {
        let blank = [&[Attribute::MESSAGE_AUTHENTICATOR.0, 18][..], &[0; 16]].concat();
        let mut packet = emit(code, identifier, authenticator, &blank, &self.attributes)?;
        let proof = message_authenticator(&packet, secret);
        packet.get_mut(HEADER + 2..HEADER + 18)?.copy_from_slice(&proof);
        Some(packet)
    }
}

fn emit(code: Code, identifier: u8, authenticator: &[u8; 16], first: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
    let length = HEADER + first.len() + rest.len();
    let [high, low] = u16::try_from(length).ok().filter(|_| length <= MAX)?.to_be_bytes();
    Some([&[code.0, identifier, high, low], authenticator.as_slice(), first, rest].concat())
}

/// MD5 over a packet and the secret: with the authenticator that belongs into the packet, what proves it (RFC 2865 §3, RFC 2866
/// §3).
fn digest(packet: &[u8], secret: &Secret) -> [u8; 16] {
    Md5::new().chain_update(packet).chain_update(secret.expose()).finalize().into()
}

fn message_authenticator(packet: &[u8], secret: &Secret) -> [u8; 16] {
    // HMAC takes keys of every length.
    let Ok(mac) = Hmac::<Md5>::new_from_slice(secret.expose()) else { return [0; 16] };
    mac.chain_update(packet).finalize().into_bytes().into()
}

/// Reads the reply to an Access-Request with this identifier and authenticator, and checks both proofs of the secret.
///
/// # Errors
/// Why it is not taken. Nobody is told: the right one may still come.
pub fn reply(bytes: &[u8], identifier: u8, request: &[u8; 16], secret: &Secret) -> Result<Packet, Fault> {
    match verify(bytes, Some(identifier), request, secret)? {
        (packet, true) => Ok(packet),
        (_, false) => Err(Fault::Unproven),
    }
}

/// Reads the reply to an Accounting-Request, which has a Message-Authenticator only where its server likes: a forged one hides
/// a record, and lets nobody in.
///
/// # Errors
/// Why it is not taken.
pub fn acknowledgement(bytes: &[u8], identifier: u8, request: &[u8; 16], secret: &Secret) -> Result<Packet, Fault> {
    match verify(bytes, Some(identifier), request, secret)?.0 {
        packet if packet.code == Code::ACCOUNTING_RESPONSE => Ok(packet),
        _ => Err(Fault::Other),
    }
}

/// Reads a request that somebody sends to us, and checks its proofs (RFC 5176 §2.3, §3.4).
///
/// # Errors
/// Why it is not taken. Nobody is told: who sends such packets is unknown.
pub fn request(bytes: &[u8], secret: &Secret) -> Result<Packet, Fault> {
    // Both are made with zeros in the place of the authenticator.
    Ok(verify(bytes, None, &[0; 16], secret)?.0)
}

/// Reads a packet whose proofs are made with `within` in the place of its authenticator; says whether it has a
/// Message-Authenticator.
fn verify(bytes: &[u8], identifier: Option<u8>, within: &[u8; 16], secret: &Secret) -> Result<(Packet, bool), Fault> {
    let packet = Packet::parse(bytes)?;
    if identifier.is_some_and(|identifier| packet.identifier != identifier) {
        return Err(Fault::Other);
    }
    let [_, _, high, low, ..] = *bytes else { return Err(Fault::Malformed) };
    let mut whole = bytes.get(..usize::from(u16::from_be_bytes([high, low]))).ok_or(Fault::Malformed)?.to_vec();
    whole.get_mut(4..HEADER).ok_or(Fault::Malformed)?.copy_from_slice(within);
    // RFC 2865 §3: MD5(code, identifier, length, request authenticator, attributes, secret).
    if !bool::from(digest(&whole, secret).ct_eq(&packet.authenticator)) {
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
    let Some((at, proof)) = found else { return Ok((packet, false)) };
    whole.get_mut(at..at + 16).ok_or(Fault::Malformed)?.fill(0);
    match bool::from(message_authenticator(&whole, secret).ct_eq(&proof)) {
        true => Ok((packet, true)),
        false => Err(Fault::Forged),
    }
}
