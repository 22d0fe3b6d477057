//! RADIUS packets: what is read fits into what was there, and what opens is by the secret.

use ravelin_radius::{Attribute, Packet, msk, reply};
use ravelin_types::Secret;

/// What a server, or somebody else, sends.
pub fn packet(input: &[u8]) {
    let (request, secret) = ([7; 16], Secret::from(&b"testing123"[..]));
    let Ok(packet) = Packet::parse(input) else {
        assert!(reply(input, input.get(1).copied().unwrap_or_default(), &request, &secret).is_err());
        return;
    };
    let attributes: usize = packet.attributes.iter().map(|(_, value)| 2 + value.len()).sum();
    assert_eq!(20 + attributes, usize::from(u16::from_be_bytes([input[2], input[3]])));
    let pieces: usize = packet.all(Attribute::EAP_MESSAGE).map(<[u8]>::len).sum();
    assert_eq!(packet.eap().map_or(0, |eap| eap.len()), pieces);
    if let Some(msk) = msk(&packet, &request, &secret) {
        assert!((64..=2 * 255).contains(&msk.len()));
    }
    if let Ok(proven) = reply(input, packet.identifier, &request, &secret) {
        assert_eq!(proven.all(Attribute::MESSAGE_AUTHENTICATOR).count(), 1);
    }
}
