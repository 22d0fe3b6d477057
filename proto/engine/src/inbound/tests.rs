//! Packets that others made: the example of RFC 7634, and a collection that is read where it lies (its packets were
//! made with a GPL tool, so it is not part of this repository).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use std::string::String;

use ravelin_crypto::SecureRandom;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::EspSuite;
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
        local_ts: any.clone(),
        remote_ts: any,
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    }
}

/// Opens `esp` as the first packet after number `before`; a flipped ICV first, which must not pass.
fn open(params: SaParams, before: u64, esp: &[u8]) -> (Verdict, Vec<u8>) {
    let mut engine = Engine::new(EngineConfig::default(), ravelin_crypto_aws_lc::provider(), Box::new(Constant));
    engine.apply(&DataPlaneOp::AddSa(params), Instant::ZERO).unwrap();
    assert!(before == 0 || engine.inbound.newest_for_test(before));
    let mut forged = esp.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let mut pkt = PacketBuf::new(&mut forged, 0..esp.len()).unwrap();
    assert_eq!(engine.inbound.process(&mut pkt, Instant::ZERO), Verdict::Drop(DropReason::Forged));
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

/// The suite of a collected packet, or `None` for one that was not meant to be among them.
fn suite(case: &Value, key_len: usize) -> Option<EspSuite> {
    let (encr, salt) = match case["encr"].as_str()? {
        "AES-GCM" if case["icv_len"] == 16 => (EncrId::AES_GCM_16, 4),
        "CHACHA20-POLY1305" => (EncrId::CHACHA20_POLY1305, 4),
        "AES-CBC" => (EncrId::AES_CBC, 0),
        _ => return None,
    };
    let integ = match case["integ"].as_str() {
        None => IntegId::NONE,
        Some("HMAC-SHA1-96") => IntegId::HMAC_SHA1_96,
        Some("SHA2-256-128") => IntegId::HMAC_SHA2_256_128,
        Some("SHA2-384-192") => IntegId::HMAC_SHA2_384_192,
        Some("SHA2-512-256") => IntegId::HMAC_SHA2_512_256,
        Some(_) => return None,
    };
    let sn = if case["esn"] == true { SnId::PARTIAL_64 } else { SnId::SEQUENTIAL_32 };
    Some(EspSuite { encr, encr_key_bits: (key_len - salt) as u16 * 8, integ, sn })
}

#[test]
fn packets_of_another_implementation() {
    let text = include_str!("../../../../tests/testkit/data/scapy/esp.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 120);
    for case in &cases {
        let field = |name: &str| unhex(case[name].as_str().unwrap_or_default());
        let (encr, integ, esp) = (field("encr_key"), field("integ_key"), field("esp_packet"));
        let suite = suite(case, encr.len()).unwrap();
        let mode = if case["mode"] == "transport" { Mode::Transport } else { Mode::Tunnel };
        let spi: String = case["spi"].as_str().unwrap().into();
        let spi = u32::from_str_radix(spi.trim_start_matches("0x"), 16).unwrap();
        let sequence = case["esn_high"].as_u64().unwrap_or(0) << 32 | case["seq"].as_u64().unwrap();
        let result = open(params(&esp, spi, mode, suite, &encr, &integ), sequence - 1, &esp);
        assert_eq!(result, (Verdict::Deliver, field("inner_packet")), "{}", case["id"]);
    }
}
