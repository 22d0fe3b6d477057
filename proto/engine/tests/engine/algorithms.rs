//! Every algorithm of the provider that has all, in every mix of protocol, mode and family.

use crate::common::*;
use ravelin_engine::{Engine, Verdict};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_wire::ip::{Header, protocol};

const AH_SPI: ravelin_types::Spi = ravelin_types::Spi(0x1000_0001);

/// Every cipher with each length of its key; those that do not authenticate with every integrity algorithm.
pub fn esp_suites() -> Vec<EspSuite> {
    let integs = esp_integs();
    let mut suites = Vec::new();
    for alg in portable().encr {
        for &bits in alg.key_bits() {
            let with = |integ| suite(alg.id(), bits, integ);
            match alg.is_aead() {
                true => suites.push(with(IntegId::NONE)),
                // Of the lengths that CBC and CTR share, each integrity algorithm sees the first.
                false if bits == alg.key_bits()[0] => suites.extend(integs.iter().map(|&id| with(id))),
                false => suites.push(with(IntegId::HMAC_SHA2_256_128)),
            }
        }
    }
    suites
}

fn esp_integs() -> Vec<IntegId> {
    portable().integ.iter().filter(|alg| alg.iv_len() == 0).map(|alg| alg.id()).collect()
}

pub fn ah_suites() -> Vec<AhSuite> {
    portable().integ.iter().map(|alg| AhSuite { integ: alg.id(), sn: SnId::SEQUENTIAL_32 }).collect()
}

/// Each protocol with each of its algorithms, and the two as one SA.
pub fn every_suite() -> Vec<Suite> {
    let esp = esp_suites();
    let ah = ah_suites();
    let pairs = ah.len().max(esp.len());
    let both = (0..pairs).map(|n| Suite::AhEsp { ah: ah[n % ah.len()], ah_spi: AH_SPI, esp: esp[n % esp.len()] });
    let single = esp.iter().map(|&esp| Suite::Esp(esp)).chain(ah.iter().map(|&ah| Suite::Ah(ah)));
    single.chain(both).flat_map(|suite| [suite, extended(suite)]).collect()
}

fn extended(suite: Suite) -> Suite {
    let sn = SnId::PARTIAL_64;
    match suite {
        Suite::Esp(esp) => Suite::Esp(EspSuite { sn, ..esp }),
        Suite::Ah(ah) => Suite::Ah(AhSuite { sn, ..ah }),
        Suite::AhEsp { ah, ah_spi, esp } => {
            Suite::AhEsp { ah: AhSuite { sn, ..ah }, ah_spi, esp: EspSuite { sn, ..esp } }
        }
    }
}

fn round_trip(engine: &mut Engine, params: &SaParams, clear: &[u8]) {
    let sealed = sealed(engine, clear);
    let header = Header::parse(&sealed).unwrap();
    assert_eq!(header.total_len, sealed.len());
    let at = header.payload_at;
    match params.suite {
        Suite::Esp(_) => assert_eq!(header.protocol, protocol::ESP),
        Suite::Ah(_) => {
            assert_eq!(header.protocol, protocol::AH);
            let inner = if params.mode == Mode::Transport { Header::parse(clear).unwrap().payload_at } else { 0 };
            assert!(sealed.ends_with(&clear[inner..]), "AH hides nothing");
        }
        Suite::AhEsp { .. } => {
            assert_eq!((header.protocol, sealed[at]), (protocol::AH, protocol::ESP));
            // RFC 4302 §2.2, and the numbers of both.
            let esp_at = at + (usize::from(sealed[at + 1]) + 2) * 4;
            assert_eq!(sealed[at + 4..at + 12], sealed[esp_at..esp_at + 8]);
        }
    }
    let hidden = params.suite.esp().is_some_and(|esp| ![EncrId::NULL, EncrId::NULL_AES_GMAC].contains(&esp.encr));
    if hidden && clear.len() >= 60 {
        assert!(!sealed.windows(16).any(|w| w == &clear[clear.len() - 16..]), "the payload is on the wire");
    }
    assert_eq!(receive(engine, &sealed), (Verdict::Deliver, clear.to_vec()), "{:?}", params.suite);
    assert_eq!(engine.outbound.counters().all_dropped() + engine.inbound.counters().all_dropped(), 0);
}

const V4: (&str, &str) = ("192.0.2.1", "192.0.2.2");
const V6: (&str, &str) = ("2001:db8::1", "2001:db8::2");

#[test]
fn every_algorithm_in_tunnel_mode_of_every_family() {
    for suite in every_suite() {
        for (inner, outer) in [(V4, V4), (V6, V4), (V4, V6), (V6, V6)] {
            let params = with_suite(sa(Direction::Outbound, Mode::Tunnel, outer.0, outer.1, AES_GCM), suite);
            let mut engine = looped_in(portable_engine(), &params);
            for len in [0, 1, 2, 3, 15, 16, 17, 100] {
                round_trip(&mut engine, &params, &udp(inner.0, inner.1, (1000, 2000), len));
            }
        }
    }
}

#[test]
fn every_algorithm_in_transport_mode_of_every_family() {
    for suite in every_suite() {
        for ends in [V4, V6] {
            let params = with_suite(sa(Direction::Outbound, Mode::Transport, ends.0, ends.1, AES_GCM), suite);
            let mut engine = looped_in(portable_engine(), &params);
            for len in [0, 1, 2, 3, 15, 16, 17, 100] {
                round_trip(&mut engine, &params, &udp(ends.0, ends.1, (1000, 2000), len));
            }
        }
    }
}

// RFC 4868 §2.1.2 has 128, 192 and 256 bits; the option gives them all 96, and leaves others as they are.
#[test]
fn hmac_sha2_with_the_short_icv() {
    for integ in esp_integs() {
        let params = sa(Direction::Outbound, Mode::Tunnel, V4.0, V4.1, AES_GCM);
        for cut in [Suite::Esp(suite(EncrId::AES_CBC, 128, integ)), Suite::Ah(AhSuite { integ, sn: SnId::PARTIAL_64 })]
        {
            let whole = with_suite(params.clone(), cut);
            let mut short = whole.clone();
            short.options.short_icv = true;
            let clear = udp(V4.0, V4.1, (1, 2), 40);
            let long_packet = sealed(&mut looped_in(portable_engine(), &whole), &clear);
            let mut engine = looped_in(portable_engine(), &short);
            let short_packet = sealed(&mut engine, &clear);
            let icv_len = portable().integ(integ).unwrap().icv_len();
            assert_eq!(long_packet.len() - short_packet.len(), icv_len - 12, "{integ}");
            assert!(matches!(receive(&mut engine, &long_packet).0, Verdict::Drop(_)) || icv_len == 12);
            let mut engine = looped_in(portable_engine(), &short);
            let short_packet = sealed(&mut engine, &clear);
            assert_eq!(receive(&mut engine, &short_packet), (Verdict::Deliver, clear));
        }
    }
}

// RFC 8750 §4: the packet is the one with an explicit IV that is its number, without those 8 bytes.
#[test]
fn implicit_ivs_save_eight_bytes_and_nothing_else() {
    let pairs = [
        (EncrId::AES_CCM_8_IIV, EncrId::AES_CCM_8, 128),
        (EncrId::AES_GCM_16_IIV, EncrId::AES_GCM_16, 256),
        (EncrId::CHACHA20_POLY1305_IIV, EncrId::CHACHA20_POLY1305, 256),
    ];
    for (implicit, explicit, bits) in pairs {
        for sn in [SnId::SEQUENTIAL_32, SnId::PARTIAL_64] {
            let packet = |encr| {
                let suite = Suite::Esp(EspSuite { sn, ..suite(encr, bits, IntegId::NONE) });
                let params = with_suite(sa(Direction::Outbound, Mode::Tunnel, V4.0, V4.1, AES_GCM), suite);
                let mut engine = looped_in(portable_engine(), &params);
                sealed(&mut engine, &udp(V4.0, V4.1, (1, 2), 40));
                sealed(&mut engine, &udp(V4.0, V4.1, (1, 2), 40))[20..].to_vec()
            };
            let (without, with) = (packet(implicit), packet(explicit));
            assert_eq!(with[8..16], 2u64.to_be_bytes());
            assert_eq!(without, [&with[..8], &with[16..]].concat());
        }
    }
}
