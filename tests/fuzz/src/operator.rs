//! What a local user can hand to the daemon: packets of the control socket, the command lines and configurations in them,
//! and files.

use ravelin_config::papers::Loaded;
use ravelin_config::remark::FileError;
use ravelin_config::swanctl::reader::Problems;
use ravelin_config::swanctl::tree::{At, Named, Section, Setting, Values};
use ravelin_config::{Model, setkey, swanctl};
use ravelin_control::packet::{first, framed};
use ravelin_control::{Message, Packet, Value};
use ravelin_pkcs11::Place;
use ravelin_types::options::SaOptions;

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

/// A `swanctl.conf` without includes: it is taken whole, or every mistake has a place in it.
pub fn swanctl(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let file = std::path::Path::new("fuzz");
    let contents = swanctl::parse::parse(text, file).and_then(|root| swanctl::contents(&root, Loaded::default()));
    match contents {
        Ok(contents) => {
            let mut model = Model::new();
            if model.replace_loaded(contents).is_ok() {
                assert!(model.difference(&model.clone()).is_empty());
            }
        }
        Err(FileError::Lines(remarks)) => {
            let lines = text.chars().filter(|c| *c == '\n').count() + 1;
            for remark in remarks {
                assert!((1..=lines).contains(&remark.place.line) && remark.place.column > 0, "{remark}");
                assert!(!remark.message.is_empty());
            }
        }
        Err(FileError::Io(..) | FileError::Secret(_)) => panic!("a text is not read from a file"),
    }
}

/// A script of setkey(8): it is taken whole and comes to the same twice, or every mistake has a place in it.
pub fn setkey(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let file = std::path::Path::new("fuzz");
    let lines = text.chars().filter(|c| *c == '\n').count() + 1;
    let mut model = Model::new();
    match setkey::parse(text, file, SaOptions::default()).and_then(|script| {
        model.setkey(&script)?;
        Ok(script)
    }) {
        Ok(script) => {
            let mut again = model.clone();
            if again.setkey(&script).is_ok() {
                assert_eq!(again.keyed().count(), model.keyed().count());
            }
        }
        Err(FileError::Lines(remarks)) => {
            for remark in remarks {
                assert!((1..=lines).contains(&remark.place.line) && remark.place.column > 0, "{remark}");
                assert!(!remark.message.is_empty());
            }
        }
        Err(FileError::Io(..) | FileError::Secret(_)) => panic!("a text is not read from a file"),
    }
}

/// The place of a key on a token (RFC 7512).
pub fn token_uri(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Place::parse(text) {
        Ok(place) => assert!(Place::is_meant(text) && place.id.is_none_or(|id| id.len() <= text.len())),
        Err(bad) => assert!(!bad.to_string().is_empty()),
    }
}

/// A message of `load-conn` and of `load-shared`.
pub fn vici_connection(input: &[u8]) {
    let Ok(message) = Message::parse(input) else { return };
    let root = section(&message);
    for named in &root.sections {
        let mut problems = Problems::default();
        let read = swanctl::connection::read(named, &mut problems);
        assert_eq!(read.is_none(), !problems.0.is_empty(), "{:?}", problems.0);
    }
    drop(swanctl::secrets::message(&root, String::new));
}

fn section(message: &Message) -> Section {
    let at = At::message();
    let mut section = Section::default();
    for (name, value) in message.items() {
        let name = name.to_owned();
        match value {
            Value::Data(data) => {
                section.settings.push(Setting { name, values: Values::One(data.clone()), at: at.clone() });
            }
            Value::List(items) => {
                section.settings.push(Setting { name, values: Values::List(items.clone()), at: at.clone() });
            }
            Value::Section(inner) => {
                section.sections.push(Named { name, at: at.clone(), section: self::section(inner) });
            }
        }
    }
    section
}
