//! What the engine costs on top of its cipher, and what very many SAs cost: `cargo bench -p ravelin-engine`.
//!
//! AES-128-GCM, tunnel mode, IPv4 in IPv4, one core, packets in batches of 64. Every figure is the ratio of two things
//! measured in turns in the same run, each by its median batch, so it holds on a busy machine too.
//!
//! - `of the raw cipher`: the time of the cipher alone, with the same provider, key and bytes, divided by the time
//!   of the engine. Parsing, SPD, SAD, replay check, selectors, outer headers and counters make the difference.
//! - `of the time with aws-lc`: other algorithms, with the ciphers of the multi-buffer library, whose AES-CBC with HMAC
//!   works on many packets at once, divided by the time with AWS-LC, one packet after the other.
//! - `of the time in one piece`: a packet that stands in pieces, of as many bytes as mbufs hold, sealed or opened where it lies,
//!   and the same packet gathered into one buffer and then sealed or opened, each divided by the time of a packet that stood in
//!   one piece.
//! - `with 100000 SAs`: the time of a packet with that many SAs, each with keys, a policy and a flow of its own,
//!   divided by the time of a packet with one SA. Each packet uses another SA than the one before: in turn, as they
//!   were installed, or `at random`, where no prefetcher of the processor helps and all of the keys, which are more
//!   than a cache holds, come from memory.
//! - `with 100000 policies`: the time to decide about a packet with that many policies that bypass or discard, divided
//!   by the time with 10 of the same shapes: networks and hosts that overlap, with and without protocols and port
//!   ranges. `the first packet of a flow` asks the classifier, `a packet of a known flow` the flow cache; `policy
//!   replaced` takes one out and puts it back, while no packet is decided.
#![allow(clippy::unwrap_used)] // a panic is how a benchmark fails

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant as Clock};

use ravelin_crypto::{CryptoProvider, EncrKey, SecureRandom};
use ravelin_engine::{ChainBuf, Engine, EngineConfig, HEADROOM, OuterMeta, PacketBuf, TAILROOM, Verdict};
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
/// What an mbuf holds of a packet.
const PIECE: usize = 224;
const MANY: u32 = 100_000;
/// Batches of each kind behind one figure.
const BATCHES: usize = 20_001;
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const SUITE: EspSuite =
    EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };

fn main() {
    // Any argument that is not an option names the groups of figures to take: `cipher`, `suites`, `pieces`, `policies`, `SAs`,
    // and `million`, which takes some gigabytes and therefore has to be named.
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |group: &str| only.is_empty() || only.iter().any(|name| name == group);
    let portable = ravelin_crypto_aws_lc::provider();
    if wanted("cipher") {
        [Ok(portable), ravelin_crypto_ipsec_mb::try_provider()].into_iter().flatten().for_each(against_the_cipher);
    }
    if let (true, Ok(fast)) = (wanted("suites"), ravelin_crypto_ipsec_mb::try_provider()) {
        other_suites(portable, portable.with_packets_by(&fast));
    }
    if wanted("pieces") {
        [Ok(portable), ravelin_crypto_ipsec_mb::try_provider()].into_iter().flatten().for_each(in_pieces);
    }
    if wanted("policies") {
        many_policies();
    }
    if wanted("SAs") {
        many_sas(portable, MANY);
    }
    if only.iter().any(|name| name == "million") {
        many_sas(portable, 1_000_000);
    }
}

fn against_the_cipher(provider: CryptoProvider) {
    let mut one = Node::new(1, provider, SUITE);
    for len in [1400, 64] {
        let raw = Raw::new(len, provider);
        let text = format!("of the raw cipher of {}", provider.name);
        report(&format!("engine/seal/{len}"), &text, &mut |buffers| (raw.seal(buffers), one.seal(buffers, len)));
        report(&format!("engine/open/{len}"), &text, &mut |buffers| (raw.open(buffers), one.open(buffers, len)));
    }
}

fn other_suites(slow: CryptoProvider, fast: CryptoProvider) {
    let cbc = |integ| EspSuite { encr: EncrId::AES_CBC, integ, ..SUITE };
    for (name, suite) in [
        ("AES-256-GCM", EspSuite { encr_key_bits: 256, ..SUITE }),
        ("ChaCha20-Poly1305", EspSuite { encr: EncrId::CHACHA20_POLY1305, encr_key_bits: 256, ..SUITE }),
        ("AES-128-CBC, HMAC-SHA2-256", cbc(IntegId::HMAC_SHA2_256_128)),
        ("AES-128-CBC, HMAC-SHA1", cbc(IntegId::HMAC_SHA1_96)),
    ] {
        let (mut with, mut without) = (Node::new(1, fast, suite), Node::new(1, slow, suite));
        for len in [1400, 64] {
            let text = format!("of the time with aws-lc, {name}");
            report(&format!("engine/seal/{len}"), &text, &mut |buffers| {
                (with.seal(buffers, len), without.seal(buffers, len))
            });
            report(&format!("engine/open/{len}"), &text, &mut |buffers| {
                (with.open(buffers, len), without.open(buffers, len))
            });
        }
    }
}

fn in_pieces(provider: CryptoProvider) {
    let (mut one, mut many) = (Node::new(1, provider, SUITE), Node::new(1, provider, SUITE));
    for len in [1400, 9000] {
        for gathered in [false, true] {
            let how = if gathered { "gathered from pieces" } else { "in pieces" };
            let text = format!("of the time in one piece, {how}, {}", provider.name);
            for (name, seals) in [("seal", true), ("open", false)] {
                report(&format!("engine/{name}/{len}"), &text, &mut |_| {
                    (many.pieces(len, gathered, seals), one.alone(len, seals))
                });
            }
        }
    }
}

fn many_policies() {
    for (name, flows) in [("first packet of a flow", 1 << 22), ("packet of a known flow", 512)] {
        let (mut few, mut lots) = (Filter::new(10, flows), Filter::new(MANY, flows));
        let text = format!("times the cost with 10 policies, with {MANY} policies");
        report(&format!("engine/{name}"), &text, &mut |buffers| (lots.decide(buffers), few.decide(buffers)));
    }
    let (mut few, mut lots) = (Filter::new(10, 1), Filter::new(MANY, 1));
    let text = format!("times the cost with 10 policies, with {MANY} policies");
    report("engine/policy replaced in both halves", &text, &mut |_| (lots.replace(), few.replace()));
}

fn many_sas(provider: CryptoProvider, count: u32) {
    let (mut one, mut many) = (Node::new(1, provider, SUITE), Node::new(count, provider, SUITE));
    println!("engine/memory: {} MiB with {count} SA pairs, their policies and flows", resident_mib());
    // The first lap makes every flow known.
    let mut buffers = Buffers::new();
    (0..count as usize / BATCH).for_each(|_| _ = many.seal(&mut buffers, 64));
    for order in ["in turn", "at random"] {
        if order == "at random" {
            many.shuffle();
        }
        for len in [1400, 64] {
            let text = format!("times the cost with 1 SA, with {count} SAs {order}");
            report(&format!("engine/seal/{len}"), &text, &mut |buffers| {
                (many.seal(buffers, len), one.seal(buffers, len))
            });
            report(&format!("engine/open/{len}"), &text, &mut |buffers| {
                (many.open(buffers, len), one.open(buffers, len))
            });
        }
    }
}

/// What of this program is in memory.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

/// Takes batches of both kinds in turns, and prints the ratio of the median batch of the first kind to the median
/// batch of the second. The median does not see the batches during which the machine did something else.
fn report(name: &str, text: &str, batch: &mut dyn FnMut(&mut Buffers) -> (Duration, Duration)) {
    let mut buffers = Buffers::new();
    // The first lap makes every flow known.
    for _ in 0..MANY as usize / BATCH {
        batch(&mut buffers);
    }
    let (mut first, mut second): (Vec<Duration>, Vec<Duration>) = (0..BATCHES).map(|_| batch(&mut buffers)).unzip();
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[BATCHES / 2].as_nanos() as f64 / BATCH as f64
    };
    let (first, second) = (median(&mut first), median(&mut second));
    println!("{name}: {:.2} {text} ({first:.0} ns against {second:.0} ns)", first / second);
}

/// The buffers of one batch.
struct Buffers(Vec<[u8; 1600]>);

impl Buffers {
    fn new() -> Self {
        Buffers(vec![[0; 1600]; BATCH])
    }
}

/// The cipher alone.
struct Raw {
    key: Box<dyn EncrKey>,
    len: usize,
}

const AAD: [u8; 8] = [7; 8];

impl Raw {
    fn new(len: usize, provider: CryptoProvider) -> Self {
        let alg = provider.encr(EncrId::AES_GCM_16).unwrap();
        Raw { key: alg.key(&[3; 20]).unwrap(), len }
    }

    fn seal(&self, buffers: &mut Buffers) -> Duration {
        let start = Clock::now();
        for (n, buffer) in buffers.0.iter_mut().enumerate() {
            let (text, icv) = buffer[HEADROOM..HEADROOM + self.len + 16].split_at_mut(self.len);
            self.key.seal(&(n as u64).to_be_bytes(), &AAD, text, icv);
        }
        start.elapsed()
    }

    fn open(&self, buffers: &mut Buffers) -> Duration {
        self.seal(buffers);
        let start = Clock::now();
        for (n, buffer) in buffers.0.iter_mut().enumerate() {
            let (text, icv) = buffer[HEADROOM..HEADROOM + self.len + 16].split_at_mut(self.len);
            self.key.open(&(n as u64).to_be_bytes(), &AAD, text, icv).unwrap();
        }
        start.elapsed()
    }
}

/// An engine that talks to itself over some number of SAs, each with a policy of its own.
struct Node {
    engine: Engine,
    /// The SAs in the order of their use.
    order: Vec<u32>,
    next: usize,
    verdicts: Vec<Verdict>,
}

impl Node {
    fn new(sas: u32, provider: CryptoProvider, suite: EspSuite) -> Self {
        let key_len = usize::from(suite.encr_key_bits) / 8 + provider.encr(suite.encr).unwrap().salt_len();
        let integ_len = provider.integ(suite.integ).map_or(0, |alg| alg.key_len());
        let mut rng = Lcg(1);
        let mut engine = Engine::new(EngineConfig::default(), provider, Box::new(Lcg(2)));
        for n in 0..sas {
            let [src, dst] = ends(n).map(IpAddr::from);
            let (local, remote) = (vec![TrafficSelector::host(src)], vec![TrafficSelector::host(dst)]);
            let (mut key, mut integ) = (vec![0; key_len], vec![0; integ_len]);
            rng.fill(&mut key);
            rng.fill(&mut integ);
            let send = SaParams {
                direction: Direction::Outbound,
                spi: Spi(0x100 + n),
                pair: Spi(0x100 + n),
                lookup: SaLookup::Spi,
                src: LOCAL.into(),
                dst: REMOTE.into(),
                mode: Mode::Tunnel,
                encap: None,
                original: None,
                suite: suite.into(),
                keys: SaKeys { encr: Secret::new(key), integ: Secret::new(integ), ..SaKeys::default() },
                policy: PolicyId(n),
                local_ts: local.as_slice().into(),
                remote_ts: remote.as_slice().into(),
                lifetime: Lifetime::default(),
                replay_window: 64,
                options: SaOptions::default(),
            };
            let receive = SaParams {
                direction: Direction::Inbound,
                local_ts: remote.as_slice().into(),
                remote_ts: local.as_slice().into(),
                ..send.clone()
            };
            let action = Action::Protect(Protection {
                mode: Mode::Tunnel,
                local: None,
                remote: REMOTE.into(),
                pfp: Pfp::NONE,
                lifetime: Lifetime::default(),
                replay_window: 64,
                options: SaOptions::default(),
            });
            let policy = Policy {
                id: PolicyId(n),
                name: String::new(),
                domain: Domain::default(),
                priority: 1,
                local,
                remote,
                action,
                ways: Ways::default(),
            };
            for op in [DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(send), DataPlaneOp::AddSa(receive)] {
                engine.apply(&op, Instant::ZERO).unwrap();
            }
        }
        Node { engine, order: (0..sas).collect(), next: 0, verdicts: vec![Verdict::Bypass; BATCH] }
    }

    /// From now on the SAs are used in a random order.
    fn shuffle(&mut self) {
        let mut rng = Lcg(3);
        for last in (1..self.order.len()).rev() {
            let mut random = [0; 8];
            rng.fill(&mut random);
            self.order.swap(last, u64::from_ne_bytes(random) as usize % (last + 1));
        }
    }

    /// Seals one batch; the time is that of the engine alone.
    fn seal(&mut self, buffers: &mut Buffers, len: usize) -> Duration {
        self.clear(buffers, len);
        self.protect(buffers, len).0
    }

    /// Seals one batch and opens it; the time is that of opening.
    fn open(&mut self, buffers: &mut Buffers, len: usize) -> Duration {
        self.clear(buffers, len);
        let (_, sealed) = self.protect(buffers, len);
        let meta = OuterMeta { src: LOCAL.into(), dst: REMOTE.into(), src_port: None, tos: 0, ttl: 64 };
        let metas = [meta; BATCH];
        let mut packets: Vec<PacketBuf<'_>> =
            buffers.0.iter_mut().map(|b| PacketBuf::new(b, sealed.clone()).unwrap()).collect();
        let start = Clock::now();
        self.engine.inbound.process_esp_batch(&mut packets, &metas, Instant::ZERO, &mut self.verdicts);
        let time = start.elapsed();
        assert!(self.verdicts.iter().all(|verdict| *verdict == Verdict::Deliver), "{:?}", self.verdicts[0]);
        black_box(packets);
        time
    }

    /// One packet after the other, which stood in one piece: the time to seal, or to open, as many as a batch has.
    fn alone(&mut self, len: usize, seals: bool) -> Duration {
        let mut time = Duration::ZERO;
        let (clear, mut buffer) = (clear(len), vec![0; HEADROOM + len + TAILROOM]);
        for _ in 0..BATCH {
            buffer[HEADROOM..HEADROOM + len].copy_from_slice(&clear);
            let mut pkt = PacketBuf::new(&mut buffer, HEADROOM..HEADROOM + len).unwrap();
            let start = Clock::now();
            let sent = self.engine.outbound.process(&mut pkt, Instant::ZERO);
            let between = Clock::now();
            let came = self.engine.inbound.process(&mut pkt, Instant::ZERO);
            time += if seals { between - start } else { between.elapsed() };
            assert!(matches!((sent, came), (Verdict::Send(_), Verdict::Deliver)), "{sent:?} {came:?}");
        }
        time
    }

    /// The same from pieces.
    fn pieces(&mut self, len: usize, gathered: bool, seals: bool) -> Duration {
        let mut time = Duration::ZERO;
        let (clear, mut buffer) = (clear(len), vec![0; HEADROOM + len + HEADROOM + TAILROOM + TAILROOM]);
        let mut cut = |packet: &[u8], seal: bool, engine: &mut Engine| {
            let mut pieces: Vec<Vec<u8>> = packet.chunks(PIECE).map(<[u8]>::to_vec).collect();
            let start = Clock::now();
            let verdict = if gathered {
                let mut pkt = PacketBuf::gather(pieces.iter().map(Vec::as_slice), &mut buffer).unwrap();
                let verdict = match seal {
                    true => engine.outbound.process(&mut pkt, Instant::ZERO),
                    false => engine.inbound.process(&mut pkt, Instant::ZERO),
                };
                (verdict, start.elapsed(), pkt.packet().to_vec())
            } else {
                let mut chain = ChainBuf::new(&mut pieces, &mut buffer).unwrap();
                let verdict = match seal {
                    true => engine.outbound.process_chain(&mut chain, Instant::ZERO),
                    false => engine.inbound.process_chain(&mut chain, Instant::ZERO),
                };
                (verdict, start.elapsed(), chain.parts().flatten().copied().collect())
            };
            black_box(pieces);
            verdict
        };
        for _ in 0..BATCH {
            let (sent, sealing, sealed) = cut(&clear, true, &mut self.engine);
            let (came, opening, _) = cut(&sealed, false, &mut self.engine);
            time += if seals { sealing } else { opening };
            assert!(matches!((sent, came), (Verdict::Send(_), Verdict::Deliver)), "{sent:?} {came:?}");
        }
        time
    }

    fn clear(&mut self, buffers: &mut Buffers, len: usize) {
        for buffer in &mut buffers.0 {
            let [src, dst] = ends(self.order[self.next]);
            self.next = (self.next + 1) % self.order.len();
            let header = buffer[HEADROOM..].first_chunk_mut().unwrap();
            v4::Fields {
                tos: 0,
                total_len: len as u16,
                id: 0,
                dont_fragment: true,
                ttl: 64,
                protocol: protocol::UDP,
                src,
                dst,
            }
            .emit(header);
            buffer[HEADROOM + 20..HEADROOM + 28].copy_from_slice(&[1, 2, 3, 4, 0, 44, 0, 0]);
        }
    }

    fn protect(&mut self, buffers: &mut Buffers, len: usize) -> (Duration, std::ops::Range<usize>) {
        let end = HEADROOM + len;
        let mut packets: Vec<PacketBuf<'_>> =
            buffers.0.iter_mut().map(|b| PacketBuf::new(&mut b[..end + TAILROOM], HEADROOM..end).unwrap()).collect();
        let start = Clock::now();
        self.engine.outbound.process_batch(&mut packets, Instant::ZERO, &mut self.verdicts);
        let time = start.elapsed();
        let Verdict::Send(outer) = self.verdicts[0] else { panic!("{:?}", self.verdicts[0]) };
        assert!(self.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Send(_))));
        let range = packets[0].range();
        (time, range.start + outer.esp_at..range.end)
    }
}

/// An engine with policies that let packets pass or not, and random packets for it, of which each falls under one of
/// the policies.
struct Filter {
    engine: Engine,
    policies: u32,
    flows: u32,
    next: u32,
    verdicts: Vec<Verdict>,
}

impl Filter {
    fn new(policies: u32, flows: u32) -> Self {
        let mut engine = Engine::new(EngineConfig::default(), ravelin_crypto_aws_lc::provider(), Box::new(Lcg(4)));
        for n in 0..policies {
            engine.apply(&Self::policy(n), Instant::ZERO).unwrap();
        }
        Filter { engine, policies, flows, next: 0, verdicts: vec![Verdict::Deliver; BATCH] }
    }

    fn policy(n: u32) -> DataPlaneOp {
        let [src, dst] = ends(n).map(IpAddr::from);
        let (host, net) = (TrafficSelector::host, |ip, len| TrafficSelector::prefix(ip, len).unwrap());
        let (local, remote) = match n % 5 {
            0 => (host(src), host(dst)),
            1 => (net(src, 24), host(dst)),
            2 => (TrafficSelector::any_v4(), host(dst).with(protocol::UDP, 1024..=u16::MAX).unwrap()),
            3 => (host(src).with(protocol::UDP, 0..=u16::MAX).unwrap(), net(dst, 20)),
            _ => (net(src, 16), host(dst)),
        };
        let action = if n.is_multiple_of(2) { Action::Bypass } else { Action::Discard };
        let (local, remote) = (vec![local], vec![remote]);
        let domain = Domain::default();
        let policy = Policy {
            id: PolicyId(n),
            name: String::new(),
            domain,
            priority: n % 7,
            local,
            remote,
            action,
            ways: Ways::default(),
        };
        DataPlaneOp::AddPolicy(policy)
    }

    /// The time to replace as many policies, any of them, as a batch has packets.
    fn replace(&mut self) -> Duration {
        let operations: Vec<DataPlaneOp> = (0..BATCH)
            .map(|_| {
                self.next = self.next.wrapping_add(0x9e37_79b9);
                Self::policy(((u64::from(self.next) * u64::from(self.policies)) >> 32) as u32)
            })
            .collect();
        let start = Clock::now();
        for operation in &operations {
            self.engine.apply(operation, Instant::ZERO).unwrap();
        }
        start.elapsed()
    }

    /// The time to decide about one batch.
    fn decide(&mut self, buffers: &mut Buffers) -> Duration {
        const LEN: usize = 64;
        for buffer in &mut buffers.0 {
            self.next = (self.next + 1) % self.flows;
            let spread = self.next.wrapping_mul(0x9e37_79b9);
            let [src, dst] = ends(((u64::from(spread) * u64::from(self.policies)) >> 32) as u32);
            let (total_len, protocol) = (LEN as u16, protocol::UDP);
            v4::Fields { tos: 0, total_len, id: 0, dont_fragment: true, ttl: 64, protocol, src, dst }
                .emit(buffer[HEADROOM..].first_chunk_mut().unwrap());
            let ports = (self.next as u16).to_be_bytes();
            buffer[HEADROOM + 20..HEADROOM + 28].copy_from_slice(&[ports[0], ports[1], 0x20, 1, 0, 44, 0, 0]);
        }
        let end = HEADROOM + LEN;
        let mut packets: Vec<PacketBuf<'_>> =
            buffers.0.iter_mut().map(|b| PacketBuf::new(&mut b[..end], HEADROOM..end).unwrap()).collect();
        let start = Clock::now();
        self.engine.outbound.process_batch(&mut packets, Instant::ZERO, &mut self.verdicts);
        let time = start.elapsed();
        assert!(self.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Bypass | Verdict::Drop(_))));
        black_box(packets);
        time
    }
}

/// A packet of the first SA.
fn clear(len: usize) -> Vec<u8> {
    let mut packet = vec![0x55; len];
    let [src, dst] = ends(0);
    let total_len = len as u16;
    v4::Fields { tos: 0, total_len, id: 0, dont_fragment: true, ttl: 64, protocol: protocol::UDP, src, dst }
        .emit(packet.first_chunk_mut().unwrap());
    packet
}

fn ends(n: u32) -> [Ipv4Addr; 2] {
    [0x0a00_0000 + n, 0x0b00_0000 + n].map(Ipv4Addr::from_bits)
}

struct Lcg(u64);

impl SecureRandom for Lcg {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}
