//! Packets that others made: the example of RFC 7634, those of scapy, and captures.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::SecureRandom;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::Header;
use serde_json::Value;

use crate::{DropReason, Engine, EngineConfig, PacketBuf, Verdict};

struct Constant;

impl SecureRandom for Constant {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0x5c);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// An inbound SA for the packet `esp`, which has its outer headers.
fn params(esp: &[u8], spi: u32, mode: Mode, suite: EspSuite, encr: &[u8], integ: &[u8]) -> SaParams {
    let outer = Header::parse(esp).unwrap();
    let any = vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    SaParams {
        direction: Direction::Inbound,
        spi: Spi(spi),
        pair: Spi(0x1000),
        lookup: SaLookup::Spi,
        src: outer.src,
        dst: outer.dst,
        mode,
        encap: None,
        original: None,
        suite: suite.into(),
        keys: SaKeys { encr: Secret::from(encr), integ: Secret::from(integ), ..SaKeys::default() },
        policy: PolicyId(1),
        local_ts: any.as_slice().into(),
        remote_ts: any.into(),
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    }
}

fn engine() -> Engine {
    let provider = ravelin_crypto_rustcrypto::provider_with_legacy();
    Engine::new(EngineConfig::default(), provider, Box::new(Constant))
}

/// Opens `esp` as the first packet after number `before`; a flipped ICV first, which must not pass.
fn open(params: SaParams, before: u64, esp: &[u8]) -> (Verdict, Vec<u8>) {
    let mut engine = engine();
    let forged_reason = if params.suite.ah().is_some() { DropReason::AhForged } else { DropReason::Forged };
    engine.apply(&DataPlaneOp::AddSa(params), Instant::ZERO).unwrap();
    assert!(before == 0 || engine.inbound.newest_for_test(before));
    let mut forged = esp.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let mut pkt = PacketBuf::new(&mut forged, 0..esp.len()).unwrap();
    assert_eq!(engine.inbound.process(&mut pkt, Instant::ZERO), Verdict::Drop(forged_reason));
    let mut bytes = esp.to_vec();
    let mut pkt = PacketBuf::new(&mut bytes, 0..esp.len()).unwrap();
    let verdict = engine.inbound.process(&mut pkt, Instant::ZERO);
    (verdict, pkt.packet().to_vec())
}

#[test]
fn the_example_of_rfc_7634() {
    // RFC 7634 Appendix A.
    let keymat = unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3");
    let source = unhex(
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec1000073627\
         08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
    );
    let esp = unhex(
        "4500008c234500004032de5bcb007199cb0071050102030400000005101112131415161724039428b97f417e3c13753a\
         4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2fac\
         c638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43",
    );
    let suite =
        EspSuite { encr: EncrId::CHACHA20_POLY1305, encr_key_bits: 256, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };
    let params = params(&esp, 0x0102_0304, Mode::Tunnel, suite, &keymat, &[]);
    assert_eq!(open(params, 4, &esp), (Verdict::Deliver, source));
}

/// The collection under this name in the test kit.
macro_rules! collection {
    ($name:literal) => {
        serde_json::from_str::<Vec<Value>>(include_str!(concat!("../../../../tests/testkit/data/", $name))).unwrap()
    };
}

fn number(case: &Value, name: &str) -> u64 {
    case[name].as_u64().unwrap()
}

fn bytes(case: &Value, name: &str) -> Vec<u8> {
    unhex(case[name].as_str().unwrap())
}

/// The inbound SA of a collected packet.
fn collected(case: &Value, packet: &[u8], mode: Mode) -> SaParams {
    let id = |name| number(case, name) as u16;
    let sn = if case["high"].is_u64() { SnId::PARTIAL_64 } else { SnId::SEQUENTIAL_32 };
    let integ = IntegId(id("integ"));
    let esp = EspSuite { encr: EncrId(id("encr")), encr_key_bits: id("bits"), integ, sn };
    let spi = number(case, "spi") as u32;
    let mut sa = params(packet, spi, mode, esp, &bytes(case, "encr_key"), &bytes(case, "integ_key"));
    if let Some(integ) = case["ah"].as_u64().filter(|integ| *integ != 0) {
        let ah = AhSuite { integ: IntegId(integ as u16), sn };
        sa.suite = if esp.encr == EncrId(0) { ah.into() } else { Suite::AhEsp { ah, ah_spi: Spi(spi), esp } };
        sa.keys.ah = Secret::new(bytes(case, "ah_key"));
    }
    sa.options.short_icv = case["short_icv"] == true;
    sa
}

#[test]
fn packets_of_another_implementation() {
    let cases = collection!("scapy/packets.json");
    assert_eq!(cases.len(), 541);
    for case in &cases {
        let packet = bytes(case, "sealed");
        let mode = if case["mode"] == "transport" { Mode::Transport } else { Mode::Tunnel };
        let sequence = case["high"].as_u64().unwrap_or(0) << 32 | number(case, "seq");
        let result = open(collected(case, &packet, mode), sequence - 1, &packet);
        assert_eq!(result, (Verdict::Deliver, bytes(case, "clear")), "{case}");
    }
}

// FreeS/WAN hosts with 3DES and HMAC-MD5, in UDP or not.
#[test]
fn captures_with_keys() {
    let captures = collection!("captured/esp_ah.json");
    for capture in &captures[..2] {
        let packets = capture["packets"].as_array().unwrap();
        assert_eq!(packets.len(), 8);
        for (index, packet) in packets.iter().enumerate() {
            let packet = unhex(packet.as_str().unwrap());
            let sa = collected(&capture["sa"], &packet, Mode::Tunnel);
            let (verdict, inner) = open(sa, index as u64, &packet);
            assert_eq!(verdict, Verdict::Deliver);
            let header = Header::parse(&inner).unwrap();
            assert_eq!((header.src, header.dst), ([192, 0, 2, 1].into(), [192, 0, 1, 1].into()));
            assert_eq!((header.protocol, inner[header.payload_at], header.total_len), (1, 8, 84), "an ICMP echo");
        }
    }
}

// Of the third capture nobody has the keys: AH around ESP between two routers.
#[test]
fn a_capture_without_keys() {
    let captures = collection!("captured/esp_ah.json");
    let packets = captures[2]["packets"].as_array().unwrap();
    assert_eq!(packets.len(), 10);
    for (index, packet) in packets.iter().enumerate() {
        let mut packet = unhex(packet.as_str().unwrap());
        let (esp_at, len) = (44, packet.len());
        let spi = u32::from_be_bytes(*packet[24..].first_chunk().unwrap());
        assert_eq!(spi, if index % 2 == 0 { 0x8179_b705 } else { 0xba8b_d060 });
        assert_eq!(packet[esp_at + 7], index as u8 / 2 + 1, "the number of ESP is that of AH");
        let ah = AhSuite { integ: IntegId::HMAC_SHA1_96, sn: SnId::SEQUENTIAL_32 };
        let esp = EspSuite { encr: EncrId::DES3, encr_key_bits: 192, integ: ah.integ, sn: ah.sn };
        let mut sa = params(&packet, spi, Mode::Tunnel, esp, &[1; 24], &[2; 20]);
        sa.suite = Suite::AhEsp { ah, ah_spi: Spi(spi), esp };
        sa.keys.ah = Secret::new(vec![3; 20]);
        let mut engine = engine();
        let mut judge = |packet: &mut [u8]| {
            let mut pkt = PacketBuf::new(packet, 0..len).unwrap();
            engine.inbound.process(&mut pkt, Instant::ZERO)
        };
        assert_eq!(judge(&mut packet.clone()), Verdict::Drop(DropReason::UnknownAhSpi));
        engine.apply(&DataPlaneOp::AddSa(sa), Instant::ZERO).unwrap();
        let mut judge = |packet: &mut [u8]| {
            let mut pkt = PacketBuf::new(packet, 0..len).unwrap();
            engine.inbound.process(&mut pkt, Instant::ZERO)
        };
        assert_eq!(judge(&mut packet), Verdict::Drop(DropReason::AhForged));
    }
}
