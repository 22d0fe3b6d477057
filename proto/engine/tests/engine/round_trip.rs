//! What one half protects the other opens, in every mix of mode, family, encapsulation and suite.

use crate::common::*;
use ravelin_engine::{OuterMeta, Verdict};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_wire::ip::{Header, protocol};

fn suites() -> Vec<EspSuite> {
    let plain = [
        AES_GCM,
        suite(EncrId::AES_GCM_16, 256, IntegId::NONE),
        suite(EncrId::CHACHA20_POLY1305, 256, IntegId::NONE),
        suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96),
        suite(EncrId::AES_CBC, 192, IntegId::HMAC_SHA2_384_192),
        suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128),
        suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_512_256),
    ];
    plain.into_iter().flat_map(|suite| [suite, with_esn(suite)]).collect()
}

/// Protects `clear`, checks the outer headers, opens it both ways, and returns the protected packet.
fn round_trip(params: &SaParams, clear: &[u8]) -> Vec<u8> {
    let mut engine = looped(params);
    let mut buffer = Buffer::new(clear);
    let Verdict::Send(outer) = buffer.with(|pkt| engine.outbound.process(pkt, NOW)) else {
        panic!("not sent: {params:?}");
    };
    let sealed = buffer.packet().to_vec();
    let header = Header::parse(&sealed).unwrap();
    assert_eq!(header.total_len, sealed.len());
    assert_eq!((header.src, header.dst, header.tos), (outer.src, outer.dst, outer.tos));
    assert_eq!(header.dont_fragment, outer.dont_fragment);
    assert_eq!(&sealed[outer.esp_at..outer.esp_at + 8], &[0x10, 0, 0, 1, 0, 0, 0, 1]);
    match params.encap {
        None => assert_eq!((header.protocol, header.payload_at), (protocol::ESP, outer.esp_at)),
        Some(encap) => {
            let flow = header.flow(&sealed);
            assert_eq!((header.protocol, header.payload_at), (protocol::UDP, outer.esp_at - 8));
            assert_eq!((flow.src_port, flow.dst_port), (Some(encap.src_port), Some(encap.dst_port)));
            assert!(outer.src.is_ipv4() || checksum_holds(&sealed));
        }
    }
    if clear.len() >= 60 {
        assert!(!sealed.windows(16).any(|w| w == &clear[clear.len() - 16..]), "the payload is on the wire");
    }

    assert_eq!(buffer.with(|pkt| engine.inbound.process(pkt, NOW)), Verdict::Deliver);
    assert_eq!(buffer.packet(), clear);

    let mut engine = looped(params);
    let mut bare = Buffer::new(&sealed[outer.esp_at..]);
    let meta = OuterMeta {
        src: outer.src,
        dst: outer.dst,
        src_port: params.encap.map(|encap| encap.src_port),
        tos: header.tos,
        ttl: header.ttl,
    };
    assert_eq!(bare.with(|pkt| engine.inbound.process_esp(pkt, &meta, NOW)), Verdict::Deliver);
    let inner = Header::parse(bare.packet()).unwrap();
    let original = Header::parse(clear).unwrap();
    assert_eq!(inner.flow(bare.packet()), original.flow(clear));
    assert_eq!(&bare.packet()[inner.payload_at..], &clear[original.payload_at..]);
    if params.mode == Mode::Tunnel {
        assert_eq!(bare.packet(), clear);
    }
    sealed
}

#[test]
fn tunnel_mode_in_every_mix() {
    let inner = [("10.1.0.1", "10.2.0.2"), ("2001:db8:1::1", "2001:db8:2::2")];
    let outer = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")];
    for suite in suites() {
        for (inner, outer) in inner.iter().flat_map(|i| outer.iter().map(move |o| (i, o))) {
            let params = sa(Direction::Outbound, Mode::Tunnel, outer.0, outer.1, suite);
            for len in [0, 1, 2, 3, 15, 16, 17, 64, 1400] {
                let clear = udp(inner.0, inner.1, (1000, 2000), len);
                round_trip(&params, &clear);
                round_trip(&in_udp(params.clone(), 61234, 4500), &clear);
            }
        }
    }
}

#[test]
fn transport_mode_in_every_mix() {
    for suite in suites() {
        for (src, dst) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let params = sa(Direction::Outbound, Mode::Transport, src, dst, suite);
            for len in [0, 1, 16, 1400] {
                let clear = udp(src, dst, (1000, 2000), len);
                round_trip(&params, &clear);
                round_trip(&in_udp(params.clone(), 4500, 4500), &clear);
            }
        }
    }
}
