//! The packet ciphers of this provider against those of AWS-LC: `cargo bench -p ravelin-crypto-ipsec-mb`.
//!
//! One core, keys readied before, in place, 64 packets after each other in memory that stays in the cache; opening
//! includes a copy of the packet. Both providers take turns, and the fastest of their many short rounds counts: that is
//! what the cipher takes while nothing else runs. AES-CBC with HMAC is measured for different numbers of packets per
//! call, each packet under a key of its own.
#![allow(clippy::unwrap_used)] // a panic is how a benchmark fails

use std::hint::black_box;
use std::time::Instant;

use ravelin_crypto::{BatchCrypto, BatchKey, BatchPacket, CryptoProvider, EncrKey, IntegKey};
use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_types::transform::{EncrId, IntegId};

const PACKETS: usize = 64;
const ROUNDS: usize = 150;
/// How often the packets are gone through in a round.
const TURNS: usize = 4;
/// `ESP header | IV` of AES-CBC.
const HEAD: usize = 8 + 16;

fn main() {
    let fast = match try_provider() {
        Ok(provider) => provider,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let aws_lc = ravelin_crypto_aws_lc::provider();
    for (id, bits) in [(EncrId::AES_GCM_16, 128), (EncrId::AES_GCM_16, 256), (EncrId::CHACHA20_POLY1305, 256)] {
        if fast.encr(id).is_none() {
            println!("{id}: not on this processor");
            continue;
        }
        for len in [64, 1400] {
            let (mut one, mut two) = (Aead::new(&fast, id, bits, len), Aead::new(&aws_lc, id, bits, len));
            report(&format!("{id}-{bits}/seal/{len}"), || one.seal(), || two.seal());
            report(&format!("{id}-{bits}/open/{len}"), || one.open(), || two.open());
        }
    }
    for integ in [IntegId::HMAC_SHA1_96, IntegId::HMAC_SHA2_256_128, IntegId::HMAC_SHA2_512_256] {
        for len in [64, 1408] {
            for at_once in [1, 2, 4, 8, 16, 32, 64] {
                let (mut one, mut two) = (Pair::new(&fast, &aws_lc, integ, len), Pair::new(&fast, &aws_lc, integ, len));
                let name = format!("AES-CBC-128 {integ}/seal/{len}, {at_once} at once");
                report(&name, || one.seal_batch(at_once), || two.seal());
                let name = format!("AES-CBC-128 {integ}/open/{len}, {at_once} at once");
                report(&name, || one.open_batch(at_once), || two.open());
            }
        }
    }
}

/// Prints the times of both and their ratio. Each call goes through all packets.
fn report(name: &str, mut fast: impl FnMut(), mut other: impl FnMut()) {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..TURNS).for_each(|_| work());
        start.elapsed().as_nanos() as f64 / (TURNS * PACKETS) as f64
    };
    let (mut best, mut other_best) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        best = best.min(time(&mut fast));
        other_best = other_best.min(time(&mut other));
    }
    println!("{name}: {:.2} of aws-lc ({best:.0} ns against {other_best:.0} ns)", best / other_best);
}

/// Packets of one SA with an AEAD cipher.
struct Aead {
    key: Box<dyn EncrKey>,
    packets: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
}

impl Aead {
    fn new(provider: &CryptoProvider, id: EncrId, bits: usize, len: usize) -> Self {
        let alg = provider.encr(id).unwrap();
        let key = alg.key(&vec![3; bits / 8 + alg.salt_len()]).unwrap();
        let packets = vec![vec![5; len + 16]; PACKETS];
        let mut this = Aead { key, sealed: packets.clone(), packets };
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
type Keys = (Box<dyn BatchKey>, Box<dyn EncrKey>, Box<dyn IntegKey>);

/// Packets with AES-CBC and HMAC, each of another SA.
struct Pair {
    batch: &'static dyn BatchCrypto,
    sas: Vec<Keys>,
    icv_len: usize,
    packets: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
}

impl Pair {
    fn new(fast: &CryptoProvider, aws_lc: &CryptoProvider, integ: IntegId, len: usize) -> Self {
        let batch = fast.batch.unwrap();
        let (encr_alg, integ_alg) = (aws_lc.encr(EncrId::AES_CBC).unwrap(), aws_lc.integ(integ).unwrap());
        let sa = |n: usize| {
            let (encr_key, integ_key) = (vec![n as u8; 16], vec![n as u8; integ_alg.key_len()]);
            let fast = batch.key((EncrId::AES_CBC, &encr_key), (integ, &integ_key)).unwrap().unwrap();
            (fast, encr_alg.key(&encr_key).unwrap(), integ_alg.key(&integ_key).unwrap())
        };
        let packets = vec![vec![5; HEAD + len + integ_alg.icv_len()]; PACKETS];
        let sas = (0..PACKETS).map(sa).collect();
        let mut this = Pair { batch, sas, icv_len: integ_alg.icv_len(), sealed: packets.clone(), packets };
        this.seal();
        this.sealed.clone_from(&this.packets);
        this
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
        self.packets.clone_from(&self.sealed);
        let batch = self.batch;
        self.in_batches(at_once, |packets| {
            batch.open(packets);
            assert!(packets.iter().all(|packet| !packet.forged));
        });
    }

    fn seal(&mut self) {
        for (packet, (_, encr, integ)) in self.packets.iter_mut().zip(&self.sas) {
            let at = packet.len() - self.icv_len;
            let (text, icv) = packet.split_at_mut(at);
            let (head, data) = text.split_at_mut(HEAD);
            encr.seal(&head[8..], &[], data, &mut []);
            integ.sign(&[text], icv);
        }
        black_box(&mut self.packets);
    }

    fn open(&mut self) {
        self.packets.clone_from(&self.sealed);
        for (packet, (_, encr, integ)) in self.packets.iter_mut().zip(&self.sas) {
            let at = packet.len() - self.icv_len;
            let (text, icv) = packet.split_at_mut(at);
            integ.verify(&[text], icv).unwrap();
            let (head, data) = text.split_at_mut(HEAD);
            encr.open(&head[8..], &[], data, &[]).unwrap();
        }
        black_box(&mut self.packets);
    }
}
