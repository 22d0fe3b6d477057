//! RADIUS packets: what is read fits into what was there, and what opens is by the secret.

use ravelin_radius::{Attribute, Authorization, Code, Packet, acknowledgement, msk, reply, request};
use ravelin_types::Secret;

/// What a server, or somebody else, sends.
pub fn packet(input: &[u8]) {
    let (asked, secret) = ([7; 16], Secret::from(&b"testing123"[..]));
    let Ok(packet) = Packet::parse(input) else {
        assert!(reply(input, input.get(1).copied().unwrap_or_default(), &asked, &secret).is_err());
        assert!(request(input, &secret).is_err());
        return;
    };
    let attributes: usize = packet.attributes.iter().map(|(_, value)| 2 + value.len()).sum();
    assert_eq!(20 + attributes, usize::from(u16::from_be_bytes([input[2], input[3]])));
    let pieces: usize = packet.all(Attribute::EAP_MESSAGE).map(<[u8]>::len).sum();
    assert_eq!(packet.eap().map_or(0, |eap| eap.len()), pieces);
    if let Some(msk) = msk(&packet, &asked, &secret) {
        assert!((64..=2 * 255).contains(&msk.len()));
    }
    let said = Authorization::of(&packet);
    assert!(said.addresses.len() <= 2 && said.class.len() <= packet.attributes.len());
    assert!(said.interim.is_none_or(|time| time.as_secs() >= 60));
    // Both are proven alike, from zeros in the place of the authenticator.
    let taken = acknowledgement(input, packet.identifier, &[0; 16], &secret).is_ok();
    assert_eq!(taken, request(input, &secret).is_ok() && packet.code == Code::ACCOUNTING_RESPONSE);
    if let Ok(proven) = reply(input, packet.identifier, &asked, &secret) {
        assert_eq!(proven.all(Attribute::MESSAGE_AUTHENTICATOR).count(), 1);
    }
}
