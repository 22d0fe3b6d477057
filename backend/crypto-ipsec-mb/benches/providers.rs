//! The packet ciphers of all providers: `cargo bench -p ravelin-crypto-ipsec-mb`.
//!
//! One core, keys readied before, in place, 64 packets after each other in memory that stays in the cache; opening
//! includes a copy of the packet. All take turns, and the fastest of the many short rounds of each counts: that is what
//! the cipher takes while nothing else runs. Behind each time stands its ratio to that of AWS-LC. What goes in batches
//! is measured for different numbers of packets per call, each packet under a key of its own.
#![allow(clippy::unwrap_used)] // a panic is how a benchmark fails

use std::fmt::Display;
use std::hint::black_box;
use std::time::Instant;

use ravelin_crypto::{BatchCrypto, BatchKey, BatchPacket, CryptoProvider, EncrKey, IntegKey};
use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_types::transform::{EncrId, IntegId};

const PACKETS: usize = 64;
const ROUNDS: usize = 150;
/// How often the packets are gone through in a round.
const TURNS: usize = 4;

fn main() {
    let fast = match try_provider() {
        Ok(provider) => provider,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let (aws_lc, portable) = (ravelin_crypto_aws_lc::provider(), ravelin_crypto_rustcrypto::provider_with_legacy());
    for (id, bits) in [(EncrId::AES_GCM_16, 128), (EncrId::AES_GCM_16, 256), (EncrId::CHACHA20_POLY1305, 256)] {
        for len in [64, 1400] {
            let mut all: Vec<Aead> = [&aws_lc, &fast, &portable]
                .iter()
                .filter(|provider| provider.encr(id).is_some())
                .map(|provider| Aead::new(provider, id, bits, len))
                .collect();
            report(&format!("{id}-{bits}/seal/{len}"), &mut all, |aead| aead.name, Aead::seal);
            report(&format!("{id}-{bits}/open/{len}"), &mut all, |aead| aead.name, Aead::open);
        }
    }
    for (encr, key_len, integ) in [
        (EncrId::AES_CBC, 16, IntegId::HMAC_SHA1_96),
        (EncrId::AES_CBC, 16, IntegId::HMAC_SHA2_256_128),
        (EncrId::AES_CBC, 16, IntegId::HMAC_SHA2_512_256),
        (EncrId::AES_CBC, 16, IntegId::AES_XCBC_96),
        (EncrId::AES_CTR, 20, IntegId::HMAC_SHA2_256_128),
        (EncrId::AES_CTR, 20, IntegId::AES_CMAC_96),
        (EncrId::NULL, 0, IntegId::HMAC_SHA2_256_128),
        (EncrId::DES3, 24, IntegId::HMAC_SHA1_96),
        (EncrId::AES_CCM_16, 19, IntegId::NONE),
    ] {
        let suite = Suite { encr, key_len, integ };
        for len in [64, 1408] {
            let has = |single: &&CryptoProvider| {
                single.encr(encr).is_some() && (integ == IntegId::NONE || single.integ(integ).is_some())
            };
            let single =
                [&aws_lc, &portable].into_iter().filter(has).map(|single| Pair::new(&fast, single, suite, len, None));
            let batches =
                [1, 2, 4, 8, 16, 32, 64].map(|at_once| Pair::new(&fast, &portable, suite, len, Some(at_once)));
            let mut all: Vec<Pair> = single.chain(batches).collect();
            report(&format!("{encr} {integ}/seal/{len}"), &mut all, Pair::name, Pair::seal);
            report(&format!("{encr} {integ}/open/{len}"), &mut all, Pair::name, Pair::open);
        }
    }
    for len in [64, 1408] {
        let mut all: Vec<Ctr> = [&aws_lc, &fast, &portable]
            .iter()
            .filter_map(|provider| Some((provider.name, provider.encr(EncrId::AES_CTR)?.key(&[3; 20]).unwrap())))
            .map(|(name, key)| Ctr { name, key, packet: vec![5; len] })
            .collect();
        report(&format!("AES-CTR-128/{len}"), &mut all, |ctr| ctr.name, Ctr::run);
    }
}

/// Counter mode alone, one packet at a time.
struct Ctr {
    name: &'static str,
    key: Box<dyn EncrKey>,
    packet: Vec<u8>,
}

impl Ctr {
    fn run(&mut self) {
        for n in 0..PACKETS {
            self.key.seal(&(n as u64).to_be_bytes(), &[], &mut self.packet, &mut []);
        }
        black_box(&mut self.packet);
    }
}

/// Two algorithms and the length of the first one's key.
#[derive(Clone, Copy)]
struct Suite {
    encr: EncrId,
    key_len: usize,
    integ: IntegId,
}

/// Prints the time per packet of each contender, and its ratio to that of the first. A call goes through all packets.
fn report<T, N: Display>(what: &str, contenders: &mut [T], name: impl Fn(&T) -> N, work: impl Fn(&mut T)) {
    let mut best = vec![f64::INFINITY; contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, best) in contenders.iter_mut().zip(&mut best) {
            let start = Instant::now();
            (0..TURNS).for_each(|_| work(contender));
            *best = best.min(start.elapsed().as_nanos() as f64 / (TURNS * PACKETS) as f64);
        }
    }
    println!("{what}");
    for (contender, time) in contenders.iter().zip(&best) {
        println!("    {time:6.0} ns  {:5.2}  {}", time / best[0], name(contender));
    }
}

/// Packets of one SA with an AEAD cipher.
struct Aead {
    name: &'static str,
    key: Box<dyn EncrKey>,
    packets: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
}

impl Aead {
    fn new(provider: &CryptoProvider, id: EncrId, bits: usize, len: usize) -> Self {
        let alg = provider.encr(id).unwrap();
        let key = alg.key(&vec![3; bits / 8 + alg.salt_len()]).unwrap();
        let packets = vec![vec![5; len + 16]; PACKETS];
        let mut this = Aead { name: provider.name, key, sealed: packets.clone(), packets };
        this.seal();
        this.sealed.clone_from(&this.packets);
        this
    }

    fn seal(&mut self) {
        for (n, packet) in self.packets.iter_mut().enumerate() {
            let (text, icv) = packet.split_last_chunk_mut::<16>().unwrap();
            self.key.seal(&(n as u64).to_be_bytes(), &[7; 8], text, icv);
        }
        black_box(&mut self.packets);
    }

    fn open(&mut self) {
        for (n, (packet, sealed)) in self.packets.iter_mut().zip(&self.sealed).enumerate() {
            packet.copy_from_slice(sealed);
            let (text, icv) = packet.split_last_chunk_mut::<16>().unwrap();
            self.key.open(&(n as u64).to_be_bytes(), &[7; 8], text, icv).unwrap();
        }
        black_box(&mut self.packets);
    }
}

/// The keys of one SA, for a batch and for one packet at a time.
type Keys = (Box<dyn BatchKey>, Box<dyn EncrKey>, Option<Box<dyn IntegKey>>);

/// Packets of one suite, each of another SA.
struct Pair {
    /// The provider of one packet at a time, and how many are given to the batch instead.
    single: &'static str,
    at_once: Option<usize>,
    batch: &'static dyn BatchCrypto,
    sas: Vec<Keys>,
    head: usize,
    icv_len: usize,
    packets: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
}

impl Pair {
    fn new(fast: &CryptoProvider, single: &CryptoProvider, suite: Suite, len: usize, at_once: Option<usize>) -> Self {
        let batch = fast.batch.unwrap();
        let (encr_alg, integ_alg) = (single.encr(suite.encr).unwrap(), single.integ(suite.integ));
        let sa = |n: usize| {
            // 3DES with three equal keys would be DES.
            let encr_key: Vec<u8> = (0..suite.key_len).map(|at| (n + at) as u8).collect();
            let integ_key = vec![n as u8; integ_alg.map_or(0, |alg| alg.key_len())];
            let fast = batch.key((suite.encr, &encr_key), (suite.integ, &integ_key)).unwrap().unwrap();
            (fast, encr_alg.key(&encr_key).unwrap(), integ_alg.map(|alg| alg.key(&integ_key).unwrap()))
        };
        let (head, icv_len) = (8 + encr_alg.iv_len(), integ_alg.map_or(encr_alg.icv_len(), |alg| alg.icv_len()));
        let packets = vec![vec![5; head + len + icv_len]; PACKETS];
        let sas = (0..PACKETS).map(sa).collect();
        let mut this =
            Pair { single: single.name, at_once, batch, sas, head, icv_len, sealed: packets.clone(), packets };
        this.seal_each();
        this.sealed.clone_from(&this.packets);
        this
    }

    fn name(&self) -> String {
        match self.at_once {
            Some(at_once) => format!("intel-ipsec-mb, {at_once} at once"),
            None => self.single.to_owned(),
        }
    }

    fn seal(&mut self) {
        match self.at_once {
            Some(at_once) => self.seal_batch(at_once),
            None => self.seal_each(),
        }
    }

    fn open(&mut self) {
        self.packets.clone_from(&self.sealed);
        match self.at_once {
            Some(at_once) => self.open_batch(at_once),
            None => self.open_each(),
        }
    }

    fn in_batches(&mut self, at_once: usize, mut call: impl FnMut(&mut [BatchPacket<'_>])) {
        for (packets, sas) in self.packets.chunks_mut(at_once).zip(self.sas.chunks(at_once)) {
            let each = packets.iter_mut().zip(sas);
            let mut packets: Vec<_> = each.map(|(esp, sa)| BatchPacket::new(&*sa.0, esp, None)).collect();
            call(&mut packets);
            black_box(&mut packets);
        }
    }

    fn seal_batch(&mut self, at_once: usize) {
        let batch = self.batch;
        self.in_batches(at_once, |packets| batch.seal(packets));
    }

    fn open_batch(&mut self, at_once: usize) {
        let batch = self.batch;
        self.in_batches(at_once, |packets| {
            batch.open(packets);
            assert!(packets.iter().all(|packet| !packet.forged));
        });
    }

    fn seal_each(&mut self) {
        for (packet, (_, encr, integ)) in self.packets.iter_mut().zip(&self.sas) {
            let at = packet.len() - self.icv_len;
            let (text, icv) = packet.split_at_mut(at);
            let (head, data) = text.split_at_mut(self.head);
            match integ {
                Some(integ) => {
                    encr.seal(&head[8..], &[], data, &mut []);
                    integ.sign(&[text], icv);
                }
                None => encr.seal(&head[8..], &head[..8], data, icv),
            }
        }
        black_box(&mut self.packets);
    }

    fn open_each(&mut self) {
        for (packet, (_, encr, integ)) in self.packets.iter_mut().zip(&self.sas) {
            let at = packet.len() - self.icv_len;
            let (text, icv) = packet.split_at_mut(at);
            if let Some(integ) = integ {
                integ.verify(&[text], icv).unwrap();
            }
            let (head, data) = text.split_at_mut(self.head);
            match integ {
                Some(_) => encr.open(&head[8..], &[], data, &[]).unwrap(),
                None => encr.open(&head[8..], &head[..8], data, icv).unwrap(),
            }
        }
        black_box(&mut self.packets);
    }
}
