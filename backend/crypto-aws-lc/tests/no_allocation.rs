//! The packet path allocates nothing, neither in Rust nor in the C library.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

use ravelin_crypto_aws_lc::provider;
use ravelin_testkit::SeededRandom;
use ravelin_types::transform::KeMethod;

// Allocations of this thread since its start: what the test harness does beside it is not counted.
thread_local! {
    static RUST: Cell<usize> = const { Cell::new(0) };
    static C: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        RUST.set(RUST.get() + 1);
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

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn realloc(ptr: *mut c_void, size: usize) -> *mut c_void;
    fn free(ptr: *mut c_void);
}

unsafe extern "C" fn counting_malloc(size: usize, _file: *const c_char, _line: c_int) -> *mut c_void {
    C.set(C.get() + 1);
    // SAFETY: any size may be asked for.
    unsafe { malloc(size) }
}

unsafe extern "C" fn counting_realloc(
    ptr: *mut c_void,
    size: usize,
    _file: *const c_char,
    _line: c_int,
) -> *mut c_void {
    C.set(C.get() + 1);
    // SAFETY: the library passes what it got from here.
    unsafe { realloc(ptr, size) }
}

unsafe extern "C" fn plain_free(ptr: *mut c_void, _file: *const c_char, _line: c_int) {
    // SAFETY: the library passes what it got from here.
    unsafe { free(ptr) }
}

/// Runs `work` once to let anything lazy happen, then counts.
fn allocations(mut work: impl FnMut()) -> usize {
    work();
    let total = || RUST.get() + C.get();
    let before = total();
    for _ in 0..10 {
        work();
    }
    total() - before
}

/// One test function: another thread of the test runner would be counted too.
#[test]
fn packets_are_protected_without_allocation() {
    // SAFETY: nothing has called the library yet, and the three functions belong together.
    let set = unsafe {
        aws_lc_sys::CRYPTO_set_mem_functions(Some(counting_malloc), Some(counting_realloc), Some(plain_free))
    };
    assert_eq!(set, 1, "the library takes the counters");
    let provider = provider();
    // A big number is on the heap, so the counters work.
    let ecp = provider.ke(KeMethod::ECP256).unwrap();
    assert!(allocations(|| drop(ecp.generate(&mut SeededRandom::new(1)))) > 0);
    assert!(C.get() > 0 && RUST.get() > 0);

    let mut data = [0; 1408];
    for alg in provider.encr {
        for bits in alg.key_bits() {
            let key = alg.key(&vec![7; usize::from(*bits) / 8 + alg.salt_len()]).unwrap();
            let (iv, mut icv) = (vec![1; alg.iv_len()], vec![0; alg.icv_len()]);
            let aad: &[u8] = if alg.is_aead() { &[0; 12] } else { &[] };
            let count = allocations(|| {
                key.seal(&iv, aad, &mut data, &mut icv);
                key.open(&iv, aad, &mut data, &icv).unwrap();
                if alg.is_aead() {
                    key.open(&iv, aad, &mut data, &icv).unwrap_err();
                }
            });
            assert_eq!(count, 0, "{} {bits}", alg.id());
            let pieces = key.in_pieces().unwrap();
            let count = allocations(|| {
                let (front, back) = data.split_at_mut(3);
                let text = &mut [front, back];
                pieces.seal(&iv, aad, text, &mut icv);
                pieces.open(&iv, aad, text, &icv).unwrap();
                if alg.is_aead() {
                    pieces.open(&iv, aad, text, &icv).unwrap_err();
                }
            });
            assert_eq!(count, 0, "{} {bits} in pieces", alg.id());
        }
    }
    for alg in provider.integ {
        let key = alg.key(&vec![7; alg.key_len()]).unwrap();
        let mut icv = vec![0; alg.icv_len()];
        let count = allocations(|| {
            key.sign(&[&data, &[1, 2, 3]], &mut icv);
            key.verify(&[&data, &[1, 2, 3]], &icv).unwrap();
            key.verify(&[&data], &icv).unwrap_err();
        });
        assert_eq!(count, 0, "{}", alg.id());
    }
}
