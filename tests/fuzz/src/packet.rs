//! Packets: every offset that a decoder hands out lies inside the packet, and points at what it says.

use ravelin_engine::ip_options::{self, Rules};
use ravelin_wire::udp_encap::{self, Payload};
use ravelin_wire::{ah, esp, ip};

/// An IP packet.
pub fn ip(input: &[u8]) {
    let Ok(header) = ip::Header::parse(input) else { return };
    assert!(header.esp_protocol_at < header.esp_at);
    assert!(header.esp_at <= header.payload_at);
    assert!(header.payload_at <= header.total_len);
    assert!(header.total_len <= input.len());
    assert_eq!(input[header.esp_protocol_at], header.esp_protocol);
    assert_eq!(header.src.is_ipv4(), header.dst.is_ipv4());
    let flow = header.flow(input);
    assert_eq!((flow.src, flow.dst, flow.protocol), (header.src, header.dst, header.protocol));
    assert!(header.fragment != ip::Fragment::Later || flow.src_port.is_none());
}

/// A packet whose options are judged: what is told of one lies inside it, and who knows more options refuses no more.
pub fn ip_options(input: &[u8]) {
    let strict = ip_options::check(input, &Rules::default());
    let lenient = ip_options::check(input, &Rules { ended_source_routes: true, knows: |_| true });
    match strict {
        Ok(()) => assert!(lenient.is_ok() && ip::Header::parse(input).is_ok()),
        Err(refused) => {
            let pointer = refused.answer.map(|problem| usize::from(problem.pointer));
            let header_len = ip::Header::parse(input).map_or(0, |header| header.payload_at);
            assert!(pointer.is_none_or(|pointer| pointer < header_len));
        }
    }
}

/// An ESP packet, and the same bytes as a decrypted payload with its trailer.
pub fn esp(input: &[u8]) {
    if let Some(header) = esp::EspHeader::parse(input) {
        let mut out = [0; esp::HEADER_LEN];
        header.emit(&mut out);
        assert_eq!(out, input[..esp::HEADER_LEN]);
    }
    let unchecked = esp::parse_trailer(input, false);
    if let Some(trailer) = esp::parse_trailer(input, true) {
        assert_eq!(unchecked, Some(trailer));
        let padding_at = trailer.payload_len;
        let mut out = vec![0; input.len() - padding_at];
        let len = out.len();
        esp::emit_trailer(&mut out, len, trailer.next_header);
        assert_eq!(out, input[padding_at..]);
    }
}

/// An AH header, and the same bytes as the headers before one.
pub fn ah(input: &[u8]) {
    if let Some(header) = ah::AhHeader::parse(input) {
        assert!((ah::FIXED_LEN..=input.len()).contains(&header.len));
        let mut out = [0; ah::FIXED_LEN];
        header.emit(&mut out);
        assert_eq!((&out[..2], &out[4..]), (&input[..2], &input[4..ah::FIXED_LEN]));
    }
    if let Ok(covered) = ah::Covered::new(input) {
        assert_eq!(covered.bytes()[0] >> 4, input[0] >> 4);
        assert!(covered.bytes().len() <= input.len());
        // What cannot change any more does not.
        let again = ah::Covered::new(covered.bytes()).expect("covered headers are headers");
        assert_eq!(again.bytes(), covered.bytes());
        assert!(again.at_destination());
    }
}

/// A datagram on the port that IKE and ESP share.
pub fn udp_encap(input: &[u8]) {
    match udp_encap::classify(input) {
        Payload::Ike(message) => {
            assert_eq!([udp_encap::NON_ESP_MARKER.as_slice(), message].concat(), input);
            super::ike::message(message);
        }
        Payload::Esp(packet) => {
            assert_eq!(packet, input);
            let header = esp::EspHeader::parse(packet).expect("an ESP packet has a header");
            assert_ne!(header.spi.0, 0);
            esp(packet);
        }
        Payload::Keepalive => assert_eq!(input, udp_encap::KEEPALIVE),
        Payload::Malformed => assert!(input.len() < esp::HEADER_LEN),
    }
}
