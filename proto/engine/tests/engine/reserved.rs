//! An engine that takes all memory at its start, whatever comes and goes after it.

use std::time::Duration;

use crate::common::*;
use crate::numbers::{Numbers, SUITES};
use crate::sys::allocator_calls;
use ravelin_crypto::CryptoProvider;
use ravelin_engine::{Engine, EngineConfig, HEADROOM, Limits, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::options::{Dummies, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Policy, PolicyId, Protection};
use ravelin_types::sa::{Direction, Encap, SaId, SaParams};
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Instant, Secret, Spi};

const LIMITS: Limits = Limits {
    policies: 64,
    sas: 64,
    selectors: 2,
    replay_window: 4096,
    events: 64,
    acquires: 64,
    flow_sets: 64,
    suites: &SUITES,
    ipcomp: false,
};
const BATCH: usize = 16;

/// An engine, the pairs of SAs in it, and how often it called the allocator.
struct Host {
    engine: Engine,
    numbers: Numbers,
    live: Vec<SaParams>,
    spis: u32,
    now: Instant,
    calls: u64,
    done: Done,
}

#[derive(Debug, Default)]
struct Done {
    added: u32,
    rekeyed: u32,
    deleted: u32,
    full: u32,
    policies: u32,
    sent: u32,
    delivered: u32,
    dummies: u32,
    refused: u32,
    listed: u32,
}

impl Host {
    fn new(provider: CryptoProvider) -> Self {
        let config = EngineConfig { limits: LIMITS, ..EngineConfig::default() };
        let engine = Engine::new(config, provider, Box::new(Seeded(7)));
        let (numbers, live, done) = (Numbers(3), Vec::new(), Done::default());
        Host { engine, numbers, live, spis: 0, now: NOW, calls: 0, done }
    }

    /// What `act` does of itself counts; what it is given and what it gives back are the caller's.
    fn counted<R>(&mut self, act: impl FnOnce(&mut Engine, Instant) -> R) -> R {
        let before = allocator_calls();
        let result = act(&mut self.engine, self.now);
        self.calls += allocator_calls() - before;
        result
    }

    fn apply(&mut self, op: &DataPlaneOp) -> bool {
        match self.counted(|engine, now| engine.apply(op, now)) {
            Ok(()) => true,
            Err(DataPlaneError::Full(_, 64)) => {
                self.done.full += 1;
                false
            }
            Err(DataPlaneError::NoSuchPolicy(_)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    /// New parameters with keys and SPI of their own.
    fn params(&mut self) -> SaParams {
        self.spis += 1;
        let params = self.numbers.sa(self.spis, Direction::Outbound);
        let mut keys = params.keys.clone();
        for key in [&mut keys.encr, &mut keys.integ, &mut keys.ah] {
            *key = Secret::new(key.expose().iter().map(|byte| byte ^ self.spis as u8).collect());
        }
        let dummies = self.spis.is_multiple_of(3).then_some(Dummies { size: 40, interval: Duration::from_millis(20) });
        let short_icv = self.spis.is_multiple_of(2);
        SaParams { keys, options: SaOptions { dummies, short_icv, ..params.options }, ..params }
    }

    fn add_pair(&mut self, params: SaParams) -> bool {
        let both = [DataPlaneOp::AddSa(params.clone()), DataPlaneOp::AddSa(received(&params))];
        let added = self.apply(&both[0]);
        if added {
            assert!(self.apply(&both[1]));
            self.live.push(params);
        }
        added
    }

    fn delete_pair(&mut self, at: usize) -> SaParams {
        let old = self.live.swap_remove(at);
        for id in [old.id(), received(&old).id()] {
            assert!(self.apply(&DataPlaneOp::DeleteSa(id)));
        }
        old
    }

    /// One operation of many, as they come.
    fn operate(&mut self) {
        let n = self.numbers.below(90);
        let some = (!self.live.is_empty()).then(|| self.numbers.below(self.live.len().max(1) as u32) as usize);
        match (self.numbers.below(12), some) {
            (0 | 1, _) => {
                let mut policy = self.numbers.policy(n);
                fill_from_packets(&mut policy, self.numbers.below(8));
                self.done.policies += u32::from(self.apply(&DataPlaneOp::AddPolicy(policy)));
            }
            (2, _) => _ = self.apply(&DataPlaneOp::DeletePolicy(PolicyId(n))),
            (3..=5, _) | (_, None) => {
                let params = self.params();
                self.done.added += u32::from(self.add_pair(params));
            }
            (6..=8, Some(at)) => {
                // A rekey: the new pair first where there is room for it.
                let SaParams { policy, local_ts, remote_ts, .. } = self.live[at].clone();
                let new = SaParams { policy, local_ts, remote_ts, ..self.params() };
                if self.live.len() < LIMITS.sas {
                    assert!(self.add_pair(new));
                    self.delete_pair(at);
                } else {
                    self.delete_pair(at);
                    assert!(self.add_pair(new));
                }
                self.done.rekeyed += 1;
            }
            (9, Some(at)) => {
                self.delete_pair(at);
                self.done.deleted += 1;
            }
            (_, Some(at)) => self.change(at),
        }
    }

    /// What becomes of an SA besides.
    fn change(&mut self, at: usize) {
        let (id, src) = (self.live[at].id(), self.live[at].src);
        let dst = ip(&format!("192.0.2.{}", 2 + self.numbers.below(9)));
        let inbound = SaId { direction: Direction::Inbound, ..id };
        for op in [
            DataPlaneOp::TellUse(id),
            DataPlaneOp::SetMtu { id, mtu: Some(1300) },
            DataPlaneOp::FailAcquire(PolicyId(7)),
            DataPlaneOp::MoveSa { id, src, dst, encap: None },
            DataPlaneOp::MoveSa { id: inbound, src, dst, encap: None },
        ] {
            assert!(self.apply(&op));
        }
        self.live[at].dst = dst;
        self.refuse(at);
    }

    /// What cannot be is refused in words.
    fn refuse(&mut self, at: usize) {
        let fresh = self.params();
        let selectors = vec![fresh.local_ts[0]; LIMITS.selectors + 1];
        let mtu = SaOptions { mtu: Some(5), ..fresh.options };
        let refused = [
            SaParams { local_ts: selectors.as_slice().into(), ..fresh.clone() },
            SaParams { replay_window: LIMITS.replay_window + 1, ..fresh.clone() },
            SaParams { options: mtu, ..fresh.clone() },
            SaParams { src: ip("2001:db8::1"), ..fresh.clone() },
            SaParams { encap: Some(Encap::udp(4500, 4500)), suite: SUITES[1], ..fresh.clone() },
            SaParams { suite: suite(EncrId(999), 128, IntegId::NONE).into(), ..fresh.clone() },
        ];
        for params in refused {
            self.refused(&DataPlaneOp::AddSa(params));
        }
        let policy = Policy { local: selectors, ..self.numbers.policy(1) };
        self.refused(&DataPlaneOp::AddPolicy(policy));
        let src = ip("2001:db8::1");
        let (id, dst) = (self.live[at].id(), self.live[at].dst);
        self.refused(&DataPlaneOp::MoveSa { id, src, dst, encap: None });
    }

    fn refused(&mut self, op: &DataPlaneOp) {
        match self.counted(|engine, now| engine.apply(op, now)) {
            Err(DataPlaneError::Invalid(words) | DataPlaneError::Algorithm(words)) => assert!(!words.is_empty()),
            Err(DataPlaneError::Full(_, 64)) => {}
            other => panic!("{other:?} to {op:?}"),
        }
        self.done.refused += 1;
    }

    /// A batch of packets, out and in again.
    fn carry(&mut self) {
        let mut buffers: Vec<(Vec<u8>, usize)> = (0..BATCH)
            .map(|_| {
                let port = self.numbers.below(1 << 16) as u16;
                let clear = udp(&format!("10.0.0.{}", self.numbers.below(90)), "10.0.0.120", (port, 9), 20);
                let room = |len| std::iter::repeat_n(0, len);
                (room(HEADROOM).chain(clear.iter().copied()).chain(room(TAILROOM)).collect(), clear.len())
            })
            .collect();
        let mut packets: Vec<PacketBuf<'_>> =
            buffers.iter_mut().map(|(bytes, len)| PacketBuf::new(bytes, HEADROOM..HEADROOM + *len).unwrap()).collect();
        let mut verdicts = vec![Verdict::Bypass; BATCH];
        self.counted(|engine, now| engine.outbound.process_batch(&mut packets, now, &mut verdicts));
        let mut sent: Vec<PacketBuf<'_>> = packets
            .into_iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| matches!(verdict, Verdict::Send(_)))
            .map(|(pkt, _)| pkt)
            .collect();
        self.done.sent += sent.len() as u32;
        self.counted(|engine, now| engine.inbound.process_batch(&mut sent, now, &mut verdicts));
        self.done.delivered += verdicts.iter().filter(|verdict| **verdict == Verdict::Deliver).count() as u32;
        let clear = udp("10.0.0.120", "10.0.0.7", (9, 9), 20);
        self.counted(|engine, _| engine.inbound.lookup(&clear, Domain::default()));
        self.done.listed +=
            self.counted(|engine, _| engine.sas().filter(|(_, counters)| counters.packets > 0).count()) as u32;
    }

    /// Time passes, and what is due is done.
    fn wait(&mut self) {
        self.now = self.now + Duration::from_millis(10);
        let mut room = [0; 300];
        let dummies = self.counted(|engine, now| {
            engine.tick(now);
            let due = std::iter::from_fn(|| {
                let mut pkt = PacketBuf::new(&mut room, 100..100)?;
                engine.outbound.poll_dummy(&mut pkt, now)
            });
            due.filter(|verdict| matches!(verdict, Verdict::Send(_))).count()
        });
        self.done.dummies += dummies as u32;
        if self.numbers.below(4) == 0 {
            self.counted(|engine, _| while engine.poll_event().is_some() {});
        }
    }
}

/// Some policies have an SA for each flow.
fn fill_from_packets(policy: &mut Policy, which: u32) {
    if let Action::Protect(Protection { pfp, .. }) = &mut policy.action {
        *pfp = match which {
            0 => Pfp::ALL,
            1 => Pfp { remote: true, ..Pfp::NONE },
            _ => Pfp::NONE,
        };
    }
}

fn run(provider: CryptoProvider) {
    let mut host = Host::new(provider);
    for _ in 0..10_000 {
        host.operate();
        host.carry();
        host.wait();
    }
    assert_eq!(host.calls, 0, "{}: {:?}", provider.name, host.done);
    let Done { added, rekeyed, deleted, full, policies, sent, delivered, dummies, refused, listed } = host.done;
    let enough = added > 800 && rekeyed > 1500 && deleted > 500 && full > 500 && policies > 500;
    assert!(refused > 1000 && listed > 10_000, "{}: {:?}", provider.name, host.done);
    assert!(enough && sent > 10_000 && delivered > 5_000 && dummies > 1_000, "{}: {:?}", provider.name, host.done);
}

#[test]
fn the_portable_ciphers_call_no_allocator_after_the_start() {
    run(portable());
}

/// What AWS-LC does in C is not seen here.
#[test]
fn the_ciphers_of_the_other_providers_call_none_either() {
    run(ravelin_crypto_aws_lc::provider());
    if let Ok(fast) = ravelin_crypto_ipsec_mb::try_provider() {
        run(portable().with_packets_by(&fast));
    }
}

#[test]
fn a_suite_that_was_not_reserved_works_and_asks_for_memory() {
    let mut host = Host::new(portable());
    let camellia = suite(EncrId::CAMELLIA_CBC, 256, IntegId::HMAC_SHA2_256_128);
    let params = with_suite(SaParams { spi: Spi(0x2000), ..host.params() }, camellia.into());
    assert!(host.add_pair(params));
    assert!(host.calls > 0);
}
