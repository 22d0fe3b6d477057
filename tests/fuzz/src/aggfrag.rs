//! AGGFRAG payloads from a peer that holds the keys: whatever is in them, what comes out are IP packets.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_engine::{Engine, OuterMeta, PacketBuf, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::{AggFrag, SaOptions};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::{Header, protocol};

/// Payloads of one SA, each behind four octets: how far its number is from that of the one before, ECN, and its length. One that
/// is cut off is shorter.
pub fn payloads(input: &[u8]) {
    let mut sender = receiver();
    let params = params();
    let (src, dst) = (params.src, params.dst);
    let Some(cipher) = ravelin_crypto_rustcrypto::provider().encr(EncrId::AES_GCM_16) else { return };
    let Ok(key) = cipher.key(params.keys.encr.expose()) else { return };
    let (mut rest, mut sequence, mut now) = (input, 10u32, Instant::ZERO);
    let mut room = vec![0; 70_000];
    while let Some((&[step, tos, high, low], bytes)) = rest.split_first_chunk() {
        let (payload, others) = bytes.split_at(usize::from(u16::from_be_bytes([high, low]) % 2048).min(bytes.len()));
        rest = others;
        sequence = sequence.wrapping_add(u32::from(step % 8)).wrapping_sub(2).max(1);
        let mut packet = [&params.spi.0.to_be_bytes()[..], &sequence.to_be_bytes(), &[0; 8]].concat();
        packet[12..16].copy_from_slice(&sequence.to_be_bytes());
        let pad = ravelin_wire::esp::padding(payload.len(), 4);
        let mut text = payload.to_vec();
        text.resize(payload.len() + pad + 2, 0);
        ravelin_wire::esp::emit_trailer(&mut text[payload.len()..], pad + 2, protocol::AGGFRAG);
        let mut icv = [0; 16];
        let (header, iv) = packet.split_at(8);
        key.seal(iv, header, &mut text, &mut icv);
        packet.extend([&text[..], &icv].concat());
        let whole = 0..packet.len();
        let mut packet = PacketBuf::new(&mut packet, whole).expect("the whole buffer");
        let meta = OuterMeta { src, dst, src_port: None, tos, ttl: 64 };
        let verdict = sender.inbound.process_esp(&mut packet, &meta, now);
        assert!(matches!(verdict, Verdict::Taken | Verdict::Drop(_)), "{verdict:?}");
        // Time goes on, and what is awaited is given up.
        now = now + Duration::from_millis(u64::from(step));
        let mut packet = PacketBuf::new(&mut room, 0..0).expect("an empty packet");
        while let Some(verdict) = sender.inbound.poll_packet(&mut packet, now) {
            if verdict == Verdict::Deliver {
                let header = Header::parse(packet.packet()).expect("an IP packet");
                assert_eq!(header.total_len, packet.len());
            }
        }
    }
}

fn params() -> SaParams {
    let any = vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    let suite =
        EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };
    SaParams {
        direction: Direction::Inbound,
        spi: Spi(0x1000_0001),
        pair: Spi(0x1000_0002),
        lookup: SaLookup::Spi,
        src: IpAddr::from([192, 0, 2, 1]),
        dst: IpAddr::from([192, 0, 2, 2]),
        mode: Mode::Tunnel,
        encap: None,
        original: None,
        suite: suite.into(),
        keys: SaKeys { encr: Secret::new((1..=20).collect()), ..SaKeys::default() },
        policy: PolicyId(1),
        local_ts: any.as_slice().into(),
        remote_ts: any.into(),
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions { aggfrag: Some(AggFrag::default()), ..SaOptions::default() },
    }
}

fn receiver() -> Engine {
    let mut engine = crate::engine();
    engine.apply(&DataPlaneOp::AddSa(params()), Instant::ZERO).expect("an SA that can be");
    engine
}
