//! What the tests of the engine share: packets, SAs and engines made from a few words.

use std::net::IpAddr;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_engine::{Engine, EngineConfig, HEADROOM, NoMatch, OuterMeta, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::{EspSuite, Suite};
use ravelin_types::sa::{Direction, Encap, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::{checksum, protocol, v4, v6};

pub const NOW: Instant = Instant::ZERO;

/// A repeatable source.
pub struct Seeded(pub u64);

impl SecureRandom for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An engine that lets pass what no policy is about.
pub fn engine() -> Engine {
    engine_with(EngineConfig { no_match: NoMatch::Bypass, ..EngineConfig::default() })
}

pub fn engine_with(config: EngineConfig) -> Engine {
    Engine::new(config, ravelin_crypto_aws_lc::provider(), Box::new(Seeded(7)))
}

/// The provider that has every algorithm.
pub fn portable() -> CryptoProvider {
    ravelin_crypto_rustcrypto::provider_with_legacy()
}

pub fn portable_engine() -> Engine {
    Engine::new(EngineConfig::default(), portable(), Box::new(Seeded(7)))
}

pub const AES_GCM: EspSuite =
    EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };

pub fn suite(encr: EncrId, encr_key_bits: u16, integ: IntegId) -> EspSuite {
    EspSuite { encr, encr_key_bits, integ, sn: SnId::SEQUENTIAL_32 }
}

pub fn with_esn(suite: EspSuite) -> EspSuite {
    EspSuite { sn: SnId::PARTIAL_64, ..suite }
}

fn keys(suite: EspSuite) -> SaKeys {
    let salt = if suite.integ == IntegId::NONE { 4 } else { 0 };
    let integ = match suite.integ {
        IntegId::NONE => 0,
        IntegId::HMAC_SHA1_96 => 20,
        IntegId::HMAC_SHA2_256_128 => 32,
        IntegId::HMAC_SHA2_384_192 => 48,
        _ => 64,
    };
    let bytes = |len: usize, from: u8| Secret::new((0..len).map(|i| from.wrapping_add(i as u8)).collect());
    SaKeys {
        encr: bytes(usize::from(suite.encr_key_bits) / 8 + salt, 1),
        integ: bytes(integ, 100),
        ..SaKeys::default()
    }
}

/// The SA from `src` to `dst` as its sender (`Outbound`) or receiver sees it, with selectors for everything.
pub fn sa(direction: Direction, mode: Mode, src: &str, dst: &str, suite: EspSuite) -> SaParams {
    let any = vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    SaParams {
        direction,
        spi: Spi(0x1000_0001),
        pair: Spi(0x1000_0002),
        lookup: SaLookup::Spi,
        src: ip(src),
        dst: ip(dst),
        mode,
        encap: None,
        original: None,
        suite: suite.into(),
        keys: keys(suite),
        policy: PolicyId(1),
        local_ts: any.as_slice().into(),
        remote_ts: any.into(),
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    }
}

pub fn in_udp(params: SaParams, src_port: u16, dst_port: u16) -> SaParams {
    SaParams { encap: Some(Encap::udp(src_port, dst_port)), ..params }
}

pub fn policy(id: u32, priority: u32, local: &[TrafficSelector], remote: &[TrafficSelector], action: Action) -> Policy {
    Policy {
        id: PolicyId(id),
        name: format!("p{id}"),
        domain: Domain::default(),
        priority,
        local: local.into(),
        remote: remote.into(),
        action,
        ways: Ways::default(),
    }
}

pub fn protect() -> Action {
    Action::Protect(Protection {
        mode: Mode::Tunnel,
        local: None,
        remote: ip("192.0.2.2"),
        pfp: Pfp::NONE,
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    })
}

pub fn protect_all(id: u32) -> Policy {
    let any = [TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    policy(id, 10, &any, &any, protect())
}

/// An engine that protects everything with this SA (given as its sender sees it) and opens it too.
pub fn looped(params: &SaParams) -> Engine {
    looped_in(engine(), params)
}

/// [`looped`] in an engine without SAs.
pub fn looped_in(mut engine: Engine, params: &SaParams) -> Engine {
    let receive = SaParams { direction: Direction::Inbound, ..params.clone() };
    for op in [DataPlaneOp::AddPolicy(protect_all(1)), DataPlaneOp::AddSa(params.clone()), DataPlaneOp::AddSa(receive)]
    {
        engine.apply(&op, NOW).unwrap();
    }
    engine
}

/// The SA with protocols and algorithms of the portable provider, and keys of their lengths.
pub fn with_suite(params: SaParams, suite: Suite) -> SaParams {
    let bytes = |len: usize, from: u8| Secret::new((0..len).map(|i| from.wrapping_add(i as u8)).collect());
    let integ_len = |id| portable().integ(id).map_or(0, |alg| alg.key_len());
    let mut keys = SaKeys::default();
    if let Some(esp) = suite.esp() {
        let salt_len = portable().encr(esp.encr).unwrap().salt_len();
        keys.encr = bytes(usize::from(esp.encr_key_bits) / 8 + salt_len, 1);
        keys.integ = bytes(integ_len(esp.integ), 100);
    }
    if let Some(ah) = suite.ah() {
        keys.ah = bytes(integ_len(ah.integ), 200);
    }
    SaParams { suite, keys, ..params }
}

/// A UDP packet with a good checksum.
pub fn udp(src: &str, dst: &str, ports: (u16, u16), len: usize) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(ports.0.to_be_bytes());
    datagram.extend(ports.1.to_be_bytes());
    datagram.extend((8 + len as u16).to_be_bytes());
    datagram.extend([0; 2]);
    datagram.extend((0..len).map(|i| i as u8));
    let (src, dst) = (ip(src), ip(dst));
    let pseudo = checksum::sum_address(src) + checksum::sum_address(dst) + datagram.len() as u64 + 17;
    let sum = checksum::finish(pseudo + checksum::sum(&datagram));
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    packet(src, dst, protocol::UDP, &datagram)
}

pub fn packet(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = [0; v4::HEADER_LEN];
            let total_len = (v4::HEADER_LEN + payload.len()) as u16;
            v4::Fields { tos: 0, total_len, id: 9, dont_fragment: true, ttl: 61, protocol, src, dst }.emit(&mut header);
            out.extend(header);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = [0; v6::HEADER_LEN];
            let payload_len = payload.len() as u16;
            v6::Fields { tos: 0, payload_len, next_header: protocol, hop_limit: 61, src, dst }.emit(&mut header);
            out.extend(header);
        }
        _ => panic!("mixed families"),
    }
    out.extend(payload);
    out
}

/// Whether the UDP or TCP checksum of a packet is right.
pub fn checksum_holds(packet: &[u8]) -> bool {
    let header = ravelin_wire::ip::Header::parse(packet).unwrap();
    let payload = &packet[header.payload_at..header.total_len];
    let pseudo = checksum::sum_address(header.src)
        + checksum::sum_address(header.dst)
        + payload.len() as u64
        + u64::from(header.protocol);
    checksum::finish(pseudo + checksum::sum(payload)) == 0
}

/// A buffer of its own around a packet.
pub struct Buffer {
    bytes: Vec<u8>,
    range: std::ops::Range<usize>,
}

impl Buffer {
    pub fn new(packet: &[u8]) -> Self {
        let mut bytes = vec![0xa5; HEADROOM];
        bytes.extend(packet);
        bytes.extend([0x5a; TAILROOM]);
        Buffer { bytes, range: HEADROOM..HEADROOM + packet.len() }
    }

    /// The packet in it; what becomes of its place is not kept.
    pub fn buf(&mut self) -> PacketBuf<'_> {
        PacketBuf::new(&mut self.bytes, self.range.clone()).unwrap()
    }

    /// Runs `f` on the packet and keeps what it became.
    pub fn with<R>(&mut self, f: impl FnOnce(&mut PacketBuf<'_>) -> R) -> R {
        let mut pkt = PacketBuf::new(&mut self.bytes, self.range.clone()).unwrap();
        let result = f(&mut pkt);
        self.range = pkt.range();
        result
    }

    pub fn packet(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

/// An engine that sends and receives over `count` SAs, the n-th for packets from 10.0.x.y, and has a policy without SA
/// for 172.16.0.0/12.
pub fn many_sas(count: u32) -> Engine {
    let mut engine = engine();
    let remote = TrafficSelector::prefix(ip("10.9.0.0"), 16).unwrap();
    for n in 0..count {
        let local = TrafficSelector::host(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
        let send = SaParams {
            spi: Spi(0x1000 + n),
            policy: PolicyId(n),
            local_ts: [local].into(),
            remote_ts: [remote].into(),
            ..params
        };
        let receive = SaParams {
            direction: Direction::Inbound,
            local_ts: [remote].into(),
            remote_ts: [local].into(),
            ..send.clone()
        };
        let policy = policy(n, 10, &[local], &[remote], protect());
        for op in [DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(send), DataPlaneOp::AddSa(receive)] {
            engine.apply(&op, NOW).unwrap();
        }
    }
    let waiting = TrafficSelector::prefix(ip("172.16.0.0"), 12).unwrap();
    engine.apply(&DataPlaneOp::AddPolicy(policy(count, 10, &[waiting], &[waiting], protect())), NOW).unwrap();
    engine
}

/// The SA as its receiver sees it.
pub fn received(params: &SaParams) -> SaParams {
    SaParams {
        direction: Direction::Inbound,
        local_ts: params.remote_ts.clone(),
        remote_ts: params.local_ts.clone(),
        ..params.clone()
    }
}

/// Offers a packet to the outbound half; returns the verdict and what the packet became.
pub fn send(engine: &mut Engine, packet: &[u8], now: Instant) -> (Verdict, Vec<u8>) {
    let mut buffer = Buffer::new(packet);
    let verdict = buffer.with(|pkt| engine.outbound.process(pkt, now));
    (verdict, buffer.packet().to_vec())
}

/// Like [`send`], for a packet that must be protected.
pub fn sealed(engine: &mut Engine, packet: &[u8]) -> Vec<u8> {
    match send(engine, packet, NOW) {
        (Verdict::Send(_), sealed) => sealed,
        (other, _) => panic!("{other:?}"),
    }
}

/// Offers a whole IP packet to the inbound half.
pub fn receive(engine: &mut Engine, packet: &[u8]) -> (Verdict, Vec<u8>) {
    let mut buffer = Buffer::new(packet);
    let verdict = buffer.with(|pkt| engine.inbound.process(pkt, NOW));
    (verdict, buffer.packet().to_vec())
}

/// An authentic ESP packet with `plain` as its whole plaintext: payload, padding and trailer as the test wants them.
pub fn authentic(params: &SaParams, sequence: u32, plain: &[u8]) -> Vec<u8> {
    let alg = ravelin_crypto_aws_lc::provider().encr(params.suite.esp().unwrap().encr).unwrap();
    assert!(alg.is_aead());
    let key = alg.key(params.keys.encr.expose()).unwrap();
    let header = [params.spi.0.to_be_bytes(), sequence.to_be_bytes()].concat();
    let iv = u64::from(sequence).to_be_bytes();
    let (mut text, mut icv) = (plain.to_vec(), [0; 16]);
    key.seal(&iv, &header, &mut text, &mut icv);
    [&header[..], &iv, &text, &icv].concat()
}

/// `payload` with padding and trailer, for [`authentic`].
pub fn padded(payload: &[u8], next_header: u8) -> Vec<u8> {
    let pad = ravelin_wire::esp::padding(payload.len(), 4);
    let mut plain = payload.to_vec();
    plain.resize(payload.len() + pad + 2, 0);
    ravelin_wire::esp::emit_trailer(&mut plain[payload.len()..], pad + 2, next_header);
    plain
}

/// Offers an ESP packet without its outer headers to the inbound half, from the SA's own addresses.
pub fn receive_esp(engine: &mut Engine, params: &SaParams, esp: &[u8]) -> (Verdict, Vec<u8>) {
    let src_port = params.encap.map(|encap| encap.src_port);
    let meta = OuterMeta { src: params.src, dst: params.dst, src_port, tos: 0, ttl: 33 };
    let mut buffer = Buffer::new(esp);
    let verdict = buffer.with(|pkt| engine.inbound.process_esp(pkt, &meta, NOW));
    (verdict, buffer.packet().to_vec())
}
