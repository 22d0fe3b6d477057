//! Sealing and opening packets inside one process, by our engine and by boringtun's tunnel:
//! `cargo xtask bench ravelin-rivals`.
//!
//! One core, IPv4 packets of 64 and 1400 bytes, batches of 64; our engine in tunnel mode with AES-128-GCM, the classifier
//! and the replay check included, boringtun with the one cipher of WireGuard, ChaCha20-Poly1305. Each batch of one is
//! followed by a batch of the other, and the ratio is that of the median batches, so that it holds on a busy machine
//! too. Each is used as its interface wants: our engine works in place, boringtun from one buffer into another.
#![allow(clippy::unwrap_used)] // a panic is how a benchmark fails

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant as Clock};

use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_engine::{Engine, EngineConfig, HEADROOM, OuterMeta, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ip::{protocol, v4};

const BATCH: usize = 64;
/// Batches behind one figure.
const BATCHES: usize = 10_001;
/// Room for a packet and all that is put around it.
const ROOM: usize = 1600;
const SRC: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const DST: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn main() {
    let providers = [Ok(ravelin_crypto_aws_lc::provider()), ravelin_crypto_ipsec_mb::try_provider()];
    for provider in providers.into_iter().flatten() {
        for len in [64, 1400] {
            let (mut ours, mut theirs) = (Ours::new(provider), Theirs::new());
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for _ in 0..BATCHES {
                a.push(ours.batch(len));
                b.push(theirs.batch(len));
            }
            for (what, of) in [("seal", 0), ("open", 1)] {
                let (ours, theirs) = (median(&a, of), median(&b, of));
                let name = provider.name;
                println!(
                    "embedded/{what}/{len}: {:.2} times the packets of boringtun, with {name} ({ours:.0} ns against \
                     {theirs:.0} ns)",
                    theirs / ours
                );
            }
        }
    }
}

/// Nanoseconds per packet of the median batch.
fn median(batches: &[[Duration; 2]], of: usize) -> f64 {
    let mut times: Vec<Duration> = batches.iter().map(|batch| batch[of]).collect();
    times.sort();
    times[times.len() / 2].as_nanos() as f64 / BATCH as f64
}

/// A UDP packet of `len` bytes.
fn write_packet(room: &mut [u8], len: usize) {
    let total_len = len as u16;
    let (src, dst) = (SRC, DST);
    let fields =
        v4::Fields { tos: 0, total_len, id: 0, dont_fragment: true, ttl: 64, protocol: protocol::UDP, src, dst };
    fields.emit(room.first_chunk_mut().unwrap());
    room[20..28].copy_from_slice(&[1, 2, 3, 4, 0, 44, 0, 0]);
}

struct Ours {
    engine: Engine,
    buffers: Vec<[u8; ROOM]>,
    verdicts: [Verdict; BATCH],
}

impl Ours {
    fn new(provider: CryptoProvider) -> Self {
        let mut engine = Engine::new(EngineConfig::default(), provider, Box::new(Counting(0)));
        let (local, remote) = (vec![TrafficSelector::host(SRC.into())], vec![TrafficSelector::host(DST.into())]);
        let encr = EncrId::AES_GCM_16;
        let suite = EspSuite { encr, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };
        let send = SaParams {
            direction: Direction::Outbound,
            spi: Spi(0x100),
            pair: Spi(0x100),
            lookup: SaLookup::Spi,
            src: LOCAL.into(),
            dst: REMOTE.into(),
            mode: Mode::Tunnel,
            encap: None,
            original: None,
            suite: suite.into(),
            keys: SaKeys { encr: Secret::new(vec![7; 20]), ..SaKeys::default() },
            policy: PolicyId(1),
            local_ts: local.clone(),
            remote_ts: remote.clone(),
            lifetime: Lifetime::default(),
            replay_window: 1024,
            options: SaOptions::default(),
        };
        let (local_ts, remote_ts) = (remote.clone(), local.clone());
        let receive = SaParams { direction: Direction::Inbound, local_ts, remote_ts, ..send.clone() };
        let action = Action::Protect(Protection {
            mode: Mode::Tunnel,
            local: None,
            remote: REMOTE.into(),
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window: 1024,
            options: SaOptions::default(),
        });
        let (id, name, domain) = (PolicyId(1), String::new(), Domain::default());
        let policy = Policy { id, name, domain, priority: 1, local, remote, action, ways: Ways::default() };
        for op in [DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(send), DataPlaneOp::AddSa(receive)] {
            engine.apply(&op, Instant::ZERO).unwrap();
        }
        Ours { engine, buffers: vec![[0; ROOM]; BATCH], verdicts: [Verdict::Bypass; BATCH] }
    }

    /// Seals a batch and opens it: how long each took.
    fn batch(&mut self, len: usize) -> [Duration; 2] {
        let Ours { engine, buffers, verdicts } = self;
        let end = HEADROOM + len;
        buffers.iter_mut().for_each(|buffer| write_packet(&mut buffer[HEADROOM..end], len));
        let clear = |buffer| PacketBuf::new(buffer, HEADROOM..end).unwrap();
        let mut packets: Vec<_> = buffers.iter_mut().map(|buffer| clear(&mut buffer[..end + TAILROOM])).collect();
        let start = Clock::now();
        engine.outbound.process_batch(&mut packets, Instant::ZERO, verdicts);
        let sealing = start.elapsed();
        let Verdict::Send(outer) = verdicts[0] else { panic!("{:?}", verdicts[0]) };
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Send(_))));
        let sealed = packets[0].range().start + outer.esp_at..packets[0].range().end;

        let meta = OuterMeta { src: LOCAL.into(), dst: REMOTE.into(), src_port: None, tos: 0, ttl: 64 };
        let mut packets: Vec<_> =
            buffers.iter_mut().map(|buffer| PacketBuf::new(buffer, sealed.clone()).unwrap()).collect();
        let start = Clock::now();
        engine.inbound.process_esp_batch(&mut packets, &[meta; BATCH], Instant::ZERO, verdicts);
        let opening = start.elapsed();
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Deliver), "{:?}", verdicts[0]);
        assert!(packets.iter().all(|packet| packet.len() == len));
        [sealing, opening]
    }
}

/// Two ends of a WireGuard tunnel.
struct Theirs {
    from: Tunn,
    to: Tunn,
    clear: Vec<[u8; ROOM]>,
    sealed: Vec<[u8; ROOM]>,
    opened: [u8; ROOM],
}

impl Theirs {
    fn new() -> Self {
        let (a, b) = (StaticSecret::from([1; 32]), StaticSecret::from([2; 32]));
        let (of_a, of_b) = (PublicKey::from(&a), PublicKey::from(&b));
        let (mut from, mut to) = (Tunn::new(a, of_b, None, None, 1, None), Tunn::new(b, of_a, None, None, 2, None));
        // Handshake: initiation, response, and a keepalive that confirms it.
        let mut rooms = [[0; ROOM]; 3];
        let [first, second, third] = &mut rooms;
        let TunnResult::WriteToNetwork(initiation) = from.format_handshake_initiation(first, false) else { panic!() };
        let TunnResult::WriteToNetwork(response) = to.decapsulate(None, initiation, second) else { panic!() };
        let TunnResult::WriteToNetwork(keepalive) = from.decapsulate(None, response, third) else { panic!() };
        assert!(matches!(to.decapsulate(None, keepalive, &mut [0; ROOM]), TunnResult::Done));
        Theirs { from, to, clear: vec![[0; ROOM]; BATCH], sealed: vec![[0; ROOM]; BATCH], opened: [0; ROOM] }
    }

    fn batch(&mut self, len: usize) -> [Duration; 2] {
        let Theirs { from, to, clear, sealed, opened } = self;
        clear.iter_mut().for_each(|packet| write_packet(&mut packet[..len], len));
        let mut sealed_len = 0;
        let start = Clock::now();
        for (clear, sealed) in clear.iter().zip(sealed.iter_mut()) {
            let TunnResult::WriteToNetwork(packet) = from.encapsulate(&clear[..len], sealed) else { panic!() };
            sealed_len = packet.len();
        }
        let sealing = start.elapsed();
        let start = Clock::now();
        for sealed in sealed.iter() {
            let TunnResult::WriteToTunnelV4(packet, _) = to.decapsulate(None, &sealed[..sealed_len], opened) else {
                panic!()
            };
            assert_eq!(packet.len(), len);
            black_box(packet);
        }
        [sealing, start.elapsed()]
    }
}

/// Numbers for what need not be secret here.
struct Counting(u8);

impl SecureRandom for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(17);
            *byte = self.0;
        }
    }
}
