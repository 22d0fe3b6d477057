//! What an operator gives to `ravelin decode`: captures and files of keys.

use ravelin_decode::keys::Keys;
use ravelin_decode::render::{json, text};
use ravelin_decode::{Decoder, Field, Link, Options, Secrecy, capture};

/// Keys for the packets of the corpus, so that what is decrypted is read too.
const KEYS: &str = "0101010101010101,00112233445566778899aabbccddeeff\n\
    0202020202020202,0303030303030303,,,NULL,,,NONE\n\
    IPv4,*,*,0x00001000,NULL,,NONE,";

/// An IP packet.
pub fn frame(input: &[u8]) {
    let mut keys = Keys::default();
    keys.add(KEYS).expect("these keys are good");
    let mut decoder = Decoder::new(keys, Options { ignore_icv: true });
    let decoded = decoder.packet(Link::IP, input);
    for layer in &decoded.layers {
        layer.fields.iter().for_each(within);
    }
    // What is hidden stays hidden, and neither form fails.
    let _ = json::frame(1, None, &decoded, Secrecy::Open).to_string();
    for shown in [Secrecy::Open, Secrecy::Secret] {
        text::frame(1, "-", input, &decoded, text::Style { shown, hex: true });
    }
}

/// Fields of one group follow one another.
fn within(field: &Field) {
    let mut at = 0;
    for child in field.children.iter().filter(|child| !child.bytes.is_empty()) {
        assert!(child.at >= at || child.name == "isakmp.enc.contained", "{} at {}, before {at}", child.name, child.at);
        at = child.at;
    }
    field.children.iter().for_each(within);
}

/// A capture file.
pub fn capture_file(input: &[u8]) {
    let mut last = 0;
    let _ = capture::frames(input, |number, frame| {
        assert_eq!(number, last + 1);
        assert!(frame.data.len() <= input.len() * 2000);
        last = number;
    });
}

/// A file of keys.
pub fn keys(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(bad) = Keys::default().add(text) {
        assert!(bad.line >= 1 && !bad.reason.is_empty());
    }
}
