//! Batches whose ciphers run side by side give what one packet after the other gives.

use std::any::Any;

use crate::common::*;
use crate::sys::allocations;
use ravelin_crypto::{BadKey, BatchCrypto, BatchKey, BatchPacket, CryptoProvider, EncrKey, IntegKey, SecureRandom};
use ravelin_engine::{DropReason, Engine, EngineConfig, HEADROOM, OuterMeta, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::{AhSuite, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Spi};
use ravelin_wire::ip::Header;

/// Batches of the portable ciphers: not fast, but the engine goes through the same steps as with fast ones.
struct Company;

struct Pair {
    encr: Box<dyn EncrKey>,
    integ: Box<dyn IntegKey>,
    icv_len: usize,
}

impl BatchKey for Pair {
    fn replace(&mut self, encr: &[u8], integ: &[u8]) -> Result<(), BadKey> {
        self.encr.replace(encr)?;
        self.integ.replace(integ)
    }
}

const IV_LEN: usize = 16;

impl Pair {
    fn of(key: &dyn BatchKey) -> &Pair {
        let key: &dyn Any = key;
        key.downcast_ref().unwrap()
    }

    fn parts<'a>(&self, esp: &'a mut [u8]) -> (&'a mut [u8], &'a mut [u8], &'a mut [u8]) {
        let (head, rest) = esp.split_at_mut(8 + IV_LEN);
        let (text, icv) = rest.split_at_mut(rest.len() - self.icv_len);
        (head, text, icv)
    }
}

impl BatchCrypto for Company {
    fn least(&self) -> usize {
        3
    }

    fn key(
        &self,
        (encr, encr_key): (EncrId, &[u8]),
        (integ, integ_key): (IntegId, &[u8]),
    ) -> Result<Option<Box<dyn BatchKey>>, BadKey> {
        if encr != EncrId::AES_CBC || integ == IntegId::AES_CMAC_96 {
            return Ok(None);
        }
        let (encr, integ) = (portable().encr(encr).unwrap(), portable().integ(integ).unwrap());
        let pair = Pair { encr: encr.key(encr_key)?, integ: integ.key(integ_key)?, icv_len: integ.icv_len() };
        Ok(Some(Box::new(pair)))
    }

    fn seal(&self, packets: &mut [BatchPacket<'_>]) {
        assert!(packets.len() >= self.least());
        for packet in packets {
            let pair = Pair::of(packet.key);
            let (head, text, icv) = pair.parts(packet.esp);
            pair.encr.seal(&head[8..], &[], text, &mut []);
            let high = packet.high.map(u32::to_be_bytes);
            pair.integ.sign(&[head, text, high.as_ref().map_or(&[], |high| high)], icv);
        }
    }

    fn open(&self, packets: &mut [BatchPacket<'_>]) {
        assert!(packets.len() >= self.least());
        for packet in packets {
            let pair = Pair::of(packet.key);
            let (head, text, icv) = pair.parts(packet.esp);
            let high = packet.high.map(u32::to_be_bytes);
            let genuine = pair.integ.verify(&[head, text, high.as_ref().map_or(&[], |high| high)], icv);
            packet.forged = genuine.and_then(|()| pair.encr.open(&head[8..], &[], text, &[])).is_err();
        }
    }
}

/// SAs with and without batches, one for each host 10.0.0.n; one more has none.
fn sas() -> Vec<SaParams> {
    let cbc = |integ| Suite::Esp(suite(EncrId::AES_CBC, 128, integ));
    let extended = Suite::Esp(with_esn(suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128)));
    let ah = AhSuite { integ: IntegId::HMAC_SHA2_512_256, sn: SnId::SEQUENTIAL_32 };
    let esp = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96);
    let v4 = ("192.0.2.1", "192.0.2.2");
    let v6 = ("2001:db8::1", "2001:db8::2");
    let tunnel =
        |ends: (&str, &str), suite| with_suite(sa(Direction::Outbound, Mode::Tunnel, ends.0, ends.1, AES_GCM), suite);
    let mut short = tunnel(v4, cbc(IntegId::HMAC_SHA2_256_128));
    short.options.short_icv = true;
    let sas = [
        tunnel(v4, cbc(IntegId::HMAC_SHA1_96)),
        tunnel(v4, extended),
        tunnel(v6, cbc(IntegId::HMAC_SHA2_384_192)),
        in_udp(tunnel(v4, cbc(IntegId::HMAC_SHA2_512_256)), 4500, 4500),
        in_udp(tunnel(v6, cbc(IntegId::HMAC_SHA2_256_128)), 4500, 4500),
        tunnel(v4, Suite::Esp(AES_GCM)),
        tunnel(v4, cbc(IntegId::AES_CMAC_96)),
        tunnel(v4, Suite::Ah(ah)),
        tunnel(v6, Suite::AhEsp { ah, ah_spi: Spi(0x1008), esp }),
        short,
    ];
    let with_names = |(n, params): (usize, SaParams)| SaParams {
        spi: Spi(0x1000 + n as u32),
        policy: PolicyId(n as u32),
        local_ts: [TrafficSelector::host(host(n))].into(),
        ..params
    };
    sas.into_iter().enumerate().map(with_names).collect()
}

fn host(n: usize) -> std::net::IpAddr {
    [10, 0, 0, n as u8].into()
}

fn engine_of(crypto: CryptoProvider) -> Engine {
    let mut engine = Engine::new(EngineConfig::default(), crypto, Box::new(Seeded(11)));
    let any = TrafficSelector::any_v4();
    for params in sas() {
        let policy = policy(params.policy.0, 10, &params.local_ts, &[any], protect());
        for op in [DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(received(&params)), DataPlaneOp::AddSa(params)] {
            engine.apply(&op, NOW).unwrap();
        }
    }
    let waiting = policy(99, 10, &[TrafficSelector::host(host(99))], &[any], protect());
    engine.apply(&DataPlaneOp::AddPolicy(waiting), NOW).unwrap();
    engine
}

fn with_batches() -> CryptoProvider {
    CryptoProvider { batch: Some(&Company), ..portable() }
}

/// Two runs over the same packets: all at once with batches, and one at a time without.
struct Runs {
    together: Engine,
    alone: Engine,
}

impl Runs {
    fn new(crypto: CryptoProvider) -> Self {
        Runs { together: engine_of(crypto), alone: engine_of(portable()) }
    }

    fn send(&mut self, packets: &[Vec<u8>]) -> Vec<(Verdict, Vec<u8>)> {
        let batch = batch(packets, |packets, verdicts| self.together.outbound.process_batch(packets, NOW, verdicts));
        let single: Vec<_> = packets.iter().map(|packet| send(&mut self.alone, packet, NOW)).collect();
        compare(&batch, &single);
        assert_eq!(self.together.outbound.counters(), self.alone.outbound.counters());
        batch
    }

    fn receive(&mut self, packets: &[Vec<u8>]) -> Vec<(Verdict, Vec<u8>)> {
        let batch = batch(packets, |packets, verdicts| self.together.inbound.process_batch(packets, NOW, verdicts));
        let single: Vec<_> = packets.iter().map(|packet| receive(&mut self.alone, packet)).collect();
        compare(&batch, &single);
        assert_eq!(self.together.inbound.counters(), self.alone.inbound.counters());
        let counters = |engine: &Engine| engine.list().iter().map(|sa| sa.counters).collect::<Vec<_>>();
        assert_eq!(counters(&self.together), counters(&self.alone));
        batch
    }
}

fn batch(packets: &[Vec<u8>], run: impl FnOnce(&mut [PacketBuf<'_>], &mut [Verdict])) -> Vec<(Verdict, Vec<u8>)> {
    let mut buffers: Vec<Vec<u8>> =
        packets.iter().map(|packet| [&[0; HEADROOM][..], packet, &[0; TAILROOM]].concat()).collect();
    let mut pkts: Vec<PacketBuf<'_>> = buffers
        .iter_mut()
        .map(|buffer| {
            let end = buffer.len() - TAILROOM;
            PacketBuf::new(buffer, HEADROOM..end).unwrap()
        })
        .collect();
    let mut verdicts = vec![Verdict::Bypass; packets.len()];
    run(&mut pkts, &mut verdicts);
    verdicts.into_iter().zip(pkts.iter().map(|pkt| pkt.packet().to_vec())).collect()
}

/// What a dropped packet holds is nobody's business.
fn compare(batch: &[(Verdict, Vec<u8>)], single: &[(Verdict, Vec<u8>)]) {
    assert_eq!(batch.len(), single.len());
    for (n, (a, b)) in batch.iter().zip(single).enumerate() {
        assert_eq!(a.0, b.0, "packet {n}");
        if !matches!(a.0, Verdict::Drop(_)) {
            assert_eq!(a.1, b.1, "packet {n}");
        }
    }
}

/// Packets of all hosts mixed, and nonsense.
fn clear(count: usize, rng: &mut Seeded) -> Vec<Vec<u8>> {
    (0..count)
        .map(|_| {
            let [who, a, b] = rng.draw();
            let from = if who % 16 == 15 { 99 } else { usize::from(who) % (sas().len() + 1) };
            let mut packet = udp(&host(from).to_string(), "10.9.0.1", (a.into(), 9), usize::from(b));
            if who == 3 {
                packet.truncate(10);
            }
            packet
        })
        .collect()
}

trait Draw {
    fn draw(&mut self) -> [u8; 3];
}

impl Draw for Seeded {
    fn draw(&mut self) -> [u8; 3] {
        let mut bytes = [0; 3];
        self.fill(&mut bytes);
        bytes
    }
}

fn agree(crypto: CryptoProvider) {
    let mut runs = Runs::new(crypto);
    let mut rng = Seeded(5);
    let mut delivered = 0;
    for count in [0, 1, 2, 3, 63, 64, 65, 200] {
        let sent = runs.send(&clear(count, &mut rng));
        // What arrives: out of order, some of it twice, damaged or cut short.
        let mut arriving: Vec<Vec<u8>> = Vec::new();
        for (_, packet) in sent.into_iter().filter(|(verdict, _)| matches!(verdict, Verdict::Send(_))) {
            let [how, at, place] = rng.draw();
            let mut damaged = packet.clone();
            match how % 8 {
                0 => arriving.push(packet.clone()),
                1 => {
                    let at = usize::from(at) % damaged.len();
                    damaged[at] ^= 1 << (place % 8);
                    arriving.push(damaged);
                }
                2 => {
                    damaged.truncate(usize::from(at));
                    arriving.push(damaged);
                }
                _ => {}
            }
            let place = arriving.len() - arriving.len().min(usize::from(place) % 9);
            arriving.insert(place, packet);
        }
        let verdicts = runs.receive(&arriving);
        delivered += verdicts.iter().filter(|(verdict, _)| *verdict == Verdict::Deliver).count();
    }
    assert!(delivered > 300, "{delivered}");
    let counters = runs.together.inbound.counters();
    for reason in [DropReason::Forged, DropReason::Replayed, DropReason::AhForged, DropReason::BadIpHeader] {
        assert!(counters.dropped(reason) > 0, "no packet was dropped for: {reason}");
    }
}

#[test]
fn batches_do_what_single_packets_do() {
    agree(with_batches());
}

#[test]
fn batches_of_the_multi_buffer_library_do_what_single_packets_do() {
    match ravelin_crypto_ipsec_mb::try_provider() {
        Ok(fast) => agree(portable().with_packets_by(&fast)),
        Err(why) => eprintln!("skipped: {why}"),
    }
}

// A hard limit in the middle of a batch stops the packets behind it, in both directions.
#[test]
fn limits_hold_inside_a_batch() {
    for crypto in [with_batches(), portable()] {
        let limits = Limits { packets: Some(5), ..Limits::default() };
        let lifetime = Lifetime { hard: limits, ..Lifetime::default() };
        let mut params = SaParams { lifetime, policy: PolicyId(1), ..sas().swap_remove(0) };
        params.local_ts = [TrafficSelector::any_v4()].into();
        let sender = Engine::new(EngineConfig::default(), crypto, Box::new(Seeded(1)));
        let mut sender = looped_in(sender, &SaParams { lifetime: Lifetime::default(), ..params.clone() });
        let clear = vec![udp("10.0.0.0", "10.9.0.1", (1, 2), 50); 8];
        let packets: Vec<_> = clear.iter().map(|clear| sealed(&mut sender, clear)).collect();
        let mut engine = looped_in(Engine::new(EngineConfig::default(), crypto, Box::new(Seeded(1))), &params);
        let sent = batch(&clear, |packets, verdicts| engine.outbound.process_batch(packets, NOW, verdicts));
        let passed = |all: &[(Verdict, Vec<u8>)]| {
            all.iter().take_while(|(verdict, _)| matches!(verdict, Verdict::Send(_) | Verdict::Deliver)).count()
        };
        assert_eq!(passed(&sent), 5);
        let opened = batch(&packets, |packets, verdicts| engine.inbound.process_batch(packets, NOW, verdicts));
        assert_eq!(passed(&opened), 5);
        assert!(opened[5..].iter().all(|(verdict, _)| *verdict == Verdict::Drop(DropReason::Expired)));
    }
}

#[test]
fn bare_esp_in_batches() {
    let mut runs = Runs::new(with_batches());
    let sent = runs.send(&clear(100, &mut Seeded(9)));
    let mut metas = Vec::new();
    let mut bare = Vec::new();
    for (verdict, packet) in sent {
        if let Verdict::Send(outer) = verdict
            && outer.protocol != 51
        {
            let header = Header::parse(&packet).unwrap();
            let src_port = outer.encap.map(|encap| encap.src_port);
            metas.push(OuterMeta { src: outer.src, dst: outer.dst, src_port, tos: header.tos, ttl: header.ttl });
            bare.push(packet[outer.esp_at..].to_vec());
        }
    }
    let opened =
        batch(&bare, |packets, verdicts| runs.together.inbound.process_esp_batch(packets, &metas, NOW, verdicts));
    assert!(bare.len() > 50 && opened.iter().all(|(verdict, _)| *verdict == Verdict::Deliver));
    for ((_, opened), (esp, meta)) in opened.iter().zip(bare.iter().zip(&metas)) {
        let mut buffer = Buffer::new(esp);
        let verdict = buffer.with(|pkt| runs.alone.inbound.process_esp(pkt, meta, NOW));
        assert_eq!((verdict, buffer.packet()), (Verdict::Deliver, &opened[..]));
    }
}

#[test]
fn no_batch_allocates() {
    let mut engine = engine_of(with_batches());
    let clear = clear(128, &mut Seeded(2));
    let mut buffers: Vec<Vec<u8>> =
        clear.iter().map(|packet| [&[0; HEADROOM][..], packet, &[0; TAILROOM]].concat()).collect();
    let mut packets: Vec<PacketBuf<'_>> = buffers
        .iter_mut()
        .map(|buffer| {
            let end = buffer.len() - TAILROOM;
            PacketBuf::new(buffer, HEADROOM..end).unwrap()
        })
        .collect();
    let mut verdicts = vec![Verdict::Bypass; packets.len()];
    let before = allocations();
    engine.outbound.process_batch(&mut packets, Instant::ZERO, &mut verdicts);
    engine.inbound.process_batch(&mut packets, Instant::ZERO, &mut verdicts);
    assert_eq!(allocations() - before, 0);
    assert!(verdicts.iter().filter(|verdict| **verdict == Verdict::Deliver).count() > 80);
}
