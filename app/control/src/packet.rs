//! How messages travel: a 32-bit length, a type byte, for some types a name, then the message.

use crate::limits::MAX_PACKET;
use crate::message::{Malformed, Message, Reader, TooLong};

const CMD_REQUEST: u8 = 0;
const CMD_RESPONSE: u8 = 1;
const CMD_UNKNOWN: u8 = 2;
const EVENT_REGISTER: u8 = 3;
const EVENT_UNREGISTER: u8 = 4;
const EVENT_CONFIRM: u8 = 5;
const EVENT_UNKNOWN: u8 = 6;
const EVENT: u8 = 7;

/// Bytes of the length field.
const LENGTH: usize = 4;

/// One packet, its message still as bytes: a message that does not parse is answered, a packet that does not parse
/// ends the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks.
    Request(String, &'a [u8]),
    /// The daemon answers.
    Response(&'a [u8]),
    /// The daemon does not know the command.
    UnknownCommand,
    /// A client wants an event from now on.
    Register(String),
    /// A client no longer wants an event.
    Unregister(String),
    /// The registration was changed.
    Confirm,
    /// The daemon does not know the event, or the client had not registered it.
    UnknownEvent,
    /// Something happened.
    Event(String, &'a [u8]),
}

impl<'a> Packet<'a> {
    /// Reads what follows the length field.
    ///
    /// # Errors
    /// When the type is unknown or the name is cut short.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, offset: 0 };
        let kind = reader.byte().ok_or(Malformed { offset: 0, what: "an empty packet" })?;
        Ok(match kind {
            CMD_REQUEST => Packet::Request(reader.name()?, reader.rest()),
            CMD_RESPONSE => Packet::Response(reader.rest()),
            CMD_UNKNOWN => Packet::UnknownCommand,
            EVENT_REGISTER => Packet::Register(reader.name()?),
            EVENT_UNREGISTER => Packet::Unregister(reader.name()?),
            EVENT_CONFIRM => Packet::Confirm,
            EVENT_UNKNOWN => Packet::UnknownEvent,
            EVENT => Packet::Event(reader.name()?, reader.rest()),
            _ => return Err(Malformed { offset: 0, what: "unknown packet type" }),
        })
    }

    /// The packet with its length field.
    ///
    /// # Errors
    /// When the name is longer than 255 bytes or the packet longer than [`MAX_PACKET`].
    pub fn emit(&self) -> Result<Vec<u8>, TooLong> {
        let (kind, name, body): (u8, Option<&str>, &[u8]) = match self {
            Packet::Request(name, body) => (CMD_REQUEST, Some(name), body),
            Packet::Response(body) => (CMD_RESPONSE, None, body),
            Packet::UnknownCommand => (CMD_UNKNOWN, None, &[]),
            Packet::Register(name) => (EVENT_REGISTER, Some(name), &[]),
            Packet::Unregister(name) => (EVENT_UNREGISTER, Some(name), &[]),
            Packet::Confirm => (EVENT_CONFIRM, None, &[]),
            Packet::UnknownEvent => (EVENT_UNKNOWN, None, &[]),
            Packet::Event(name, body) => (EVENT, Some(name), body),
        };
        let mut out = vec![0; LENGTH];
        out.push(kind);
        if let Some(name) = name {
            out.push(u8::try_from(name.len()).map_err(|_| TooLong(name.to_owned()))?);
            out.extend(name.as_bytes());
        }
        out.extend(body);
        let len = out.len() - LENGTH;
        let field = u32::try_from(len).ok().filter(|_| len <= MAX_PACKET);
        let field = field.ok_or_else(|| TooLong(name.unwrap_or("response").to_owned()))?;
        out.splice(..LENGTH, field.to_be_bytes());
        Ok(out)
    }
}

/// A request with its length field.
///
/// # Errors
/// When something in it is too long.
pub fn request(name: &str, message: &Message) -> Result<Vec<u8>, TooLong> {
    let mut body = Vec::new();
    message.emit(&mut body)?;
    Packet::Request(name.to_owned(), &body).emit()
}

/// A response with its length field.
///
/// # Errors
/// When something in it is too long.
pub fn response(message: &Message) -> Result<Vec<u8>, TooLong> {
    let mut body = Vec::new();
    message.emit(&mut body)?;
    Packet::Response(&body).emit()
}

/// The first packet in `buffer`: its bytes after the length field. `None`: more bytes are needed.
///
/// # Errors
/// When the length is zero or above [`MAX_PACKET`], before any of it is stored.
pub fn first(buffer: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some((length, rest)) = buffer.split_first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    match len {
        0 => Err(Malformed { offset: 0, what: "an empty packet" }),
        _ if len > MAX_PACKET => Err(Malformed { offset: 0, what: "a packet longer than 512 KiB" }),
        _ => Ok(rest.get(..len)),
    }
}

/// Bytes that a packet of this length takes in a buffer.
pub fn framed(len: usize) -> usize {
    LENGTH + len
}

#[cfg(test)]
mod tests {
    use super::*;

    // Frames as strongSwan 5.9.8 and its clients exchange them.
    const VERSION_REQUEST: &str = "00000009000776657273696f6e";
    const VERSION_RESPONSE: &str = "0000005c0103066461656d6f6e0006636861726f6e030776657273696f6e0005352e392e38\
        03077379736e616d6500054c696e7578030772656c65617365000f362e31382e34342d66632d7634343503076d616368696e65\
        00067838365f3634";

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn reads_and_writes_what_strongswan_does() {
        let frame = unhex(VERSION_REQUEST);
        let body = first(&frame).unwrap().unwrap();
        assert_eq!(Packet::parse(body), Ok(Packet::Request("version".into(), &[])));
        assert_eq!(request("version", &Message::new()).unwrap(), frame);

        let frame = unhex(VERSION_RESPONSE);
        let Ok(Packet::Response(body)) = Packet::parse(first(&frame).unwrap().unwrap()) else { panic!() };
        let message = Message::parse(body).unwrap();
        assert_eq!(message.text("daemon"), Some("charon"));
        assert_eq!(message.text("version"), Some("5.9.8"));
        assert_eq!(message.text("machine"), Some("x86_64"));
        assert_eq!(response(&message).unwrap(), frame);
    }

    #[test]
    fn unknown_names_have_the_answers_of_strongswan() {
        assert_eq!(Packet::UnknownCommand.emit().unwrap(), unhex("0000000102"));
        assert_eq!(Packet::Confirm.emit().unwrap(), unhex("0000000105"));
        assert_eq!(Packet::UnknownEvent.emit().unwrap(), unhex("0000000106"));
        let register = unhex("0000000c030a696b652d7570646f776e");
        assert_eq!(Packet::parse(&register[4..]), Ok(Packet::Register("ike-updown".into())));
    }

    #[test]
    fn bad_frames_are_refused_before_they_are_stored() {
        assert!(first(&unhex("00000000")).is_err());
        assert!(first(&unhex("7fffffff00")).is_err());
        assert!(first(&unhex("0008000100")).is_err());
        assert_eq!(first(&unhex("0000000900")), Ok(None));
        assert_eq!(first(&unhex("0000")), Ok(None));
        assert_eq!(Packet::parse(&[9]).unwrap_err().what, "unknown packet type");
        assert_eq!(Packet::parse(&unhex("0020766572")).unwrap_err().what, "cut short");
    }

    #[test]
    fn every_packet_survives_the_wire() {
        for packet in [
            Packet::Request("stats".into(), b"x"),
            Packet::Response(b""),
            Packet::UnknownCommand,
            Packet::Register("log".into()),
            Packet::Unregister("log".into()),
            Packet::Confirm,
            Packet::UnknownEvent,
            Packet::Event("log".into(), b"yz"),
        ] {
            let frame = packet.emit().unwrap();
            assert_eq!(Packet::parse(first(&frame).unwrap().unwrap()), Ok(packet));
        }
    }
}
