//! The packet path allocates nothing. (The library itself has no allocator but for its managers.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ravelin_crypto::BatchPacket;
use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_types::transform::{EncrId, IntegId};

use crate::Case;

pub const CASES: &[Case] = &[("packets_are_protected_without_allocation", packets_are_protected_without_allocation)];

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` once to let anything lazy happen, then counts.
fn allocations(mut work: impl FnMut()) -> usize {
    work();
    let before = COUNT.get();
    (0..10).for_each(|_| work());
    COUNT.get() - before
}

fn packets_are_protected_without_allocation() {
    let provider = try_provider().unwrap();
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 10, "the counter works");
    let mut data = [0; 1408];
    for alg in provider.encr {
        for bits in alg.key_bits() {
            let key = alg.key(&vec![7; usize::from(*bits) / 8 + alg.salt_len()]).unwrap();
            let mut icv = vec![0; alg.icv_len()];
            if !alg.is_aead() {
                let count = allocations(|| {
                    key.seal(&[1; 8], &[], &mut data, &mut []);
                    key.open(&[1; 8], &[], &mut data, &[]).unwrap();
                });
                assert_eq!(count, 0, "{} {bits}", alg.id());
                continue;
            }
            let count = allocations(|| {
                key.prefetch(0);
                key.prefetch(100);
                key.seal(&[1; 8], &[2; 12], &mut data, &mut icv);
                key.open(&[1; 8], &[2; 12], &mut data, &icv).unwrap();
                key.open(&[1; 8], &[3; 12], &mut data, &icv).unwrap_err();
            });
            assert_eq!(count, 0, "{} {bits}", alg.id());
        }
    }
    for alg in provider.integ {
        let key = alg.key(&vec![7; alg.key_len()]).unwrap();
        let mut icv = vec![1; alg.icv_len()];
        let count = allocations(|| {
            key.sign(&[&data, &[1, 2, 3]], &mut icv);
            key.verify(&[&data, &[1, 2, 3]], &icv).unwrap();
            key.verify(&[&data], &icv).unwrap_err();
        });
        assert_eq!(count, 0, "{}", alg.id());
    }
    let batch = provider.batch.unwrap();
    let sizes: [(EncrId, &[u8], IntegId, &[u8]); 4] = [
        (EncrId::AES_CBC, &[1; 16], IntegId::HMAC_SHA2_256_128, &[2; 32]),
        (EncrId::AES_CTR, &[1; 20], IntegId::AES_CMAC_96, &[2; 16]),
        (EncrId::DES3, &[1; 24], IntegId::AES_XCBC_96, &[2; 16]),
        (EncrId::AES_CCM_16, &[1; 19], IntegId::NONE, &[]),
    ];
    for (encr, encr_key, integ, integ_key) in sizes {
        let key = batch.key((encr, encr_key), (integ, integ_key)).unwrap().unwrap();
        // The texts are in whole blocks with each.
        let head = 8 + if encr == EncrId::AES_CBC { 16 } else { 8 };
        let icv = if matches!(integ, IntegId::HMAC_SHA2_256_128 | IntegId::NONE) { 16 } else { 12 };
        let mut esps = vec![vec![3; head + 160 + icv]; 100];
        let mut packets: Vec<_> = esps.iter_mut().map(|esp| BatchPacket::new(&*key, esp, Some(4))).collect();
        let count = allocations(|| {
            batch.seal(&mut packets);
            batch.open(&mut packets);
            assert!(packets.iter().all(|packet| !packet.forged));
            batch.open(&mut packets);
            assert!(packets.iter().all(|packet| packet.forged));
        });
        assert_eq!(count, 0, "{encr} {integ}");
    }
}
