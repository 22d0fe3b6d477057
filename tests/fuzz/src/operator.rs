//! What a local user can hand to the daemon: packets of the control socket, and the command lines in them.

use ravelin_control::packet::{first, framed};
use ravelin_control::{Message, Packet};

/// A stream of packets: what is accepted is emitted as it was.
pub fn control(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some(body)) = first(rest) {
        if let Ok(packet) = Packet::parse(body) {
            // A packet without a name or a message may have bytes behind its type, which have no meaning.
            if let Packet::Request(_, message) | Packet::Response(message) | Packet::Event(_, message) = &packet {
                let frame = packet.emit().expect("a packet that came in fits");
                assert_eq!(frame, rest[..framed(body.len())]);
                if let Ok(parsed) = Message::parse(message) {
                    let mut out = Vec::new();
                    parsed.emit(&mut out).expect("a message that came in fits");
                    assert_eq!(out, *message);
                }
            }
        }
        rest = &rest[framed(body.len())..];
    }
}

/// Arguments, separated by line ends: a mistake is located inside of them. No file is opened.
pub fn command_line(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let arguments: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if let Err(error) = ravelin_config::parse(&arguments)
        && let Some(at) = error.at
    {
        assert!(at.offset <= arguments[at.argument].len());
        assert!(!error.message.is_empty());
    }
}
