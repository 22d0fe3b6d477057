//! What the kernel says over netlink.

use ravelin_xfrm::msg::Message;

/// Two bytes of number, one that says whether it is a dump, and a message: what is accepted is emitted and accepted again
/// as the same.
pub fn message(input: &[u8]) {
    let Some((&[low, high, dump], bytes)) = input.split_first_chunk() else { return };
    let kind = u16::from_le_bytes([low, high]);
    let Ok(message) = Message::parse(kind, dump & 1 == 1, bytes) else { return };
    let mut out = Vec::new();
    message.emit(&mut out);
    let again = Message::parse(kind, dump & 1 == 1, &out).expect("what was emitted is accepted");
    let mut twice = Vec::new();
    again.emit(&mut twice);
    assert_eq!(out, twice);
    assert_eq!(format!("{message:?}"), format!("{again:?}"));
}
