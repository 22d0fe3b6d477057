//! An allocator that serves one thread from a pool of a fixed size while it asks for that, as a system without a heap does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::source::Manual;

struct Pooled;

#[global_allocator]
static ALLOCATOR: Pooled = Pooled;

static POOL: Mutex<Talc<Manual, DefaultBinning>> = Mutex::new(Talc::new(Manual));
/// Where the pool stands: memory goes back to where it came from.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static REFUSED: Cell<u64> = const { Cell::new(0) };
}

/// Makes the pool. Once.
pub fn make_pool(bytes: usize) {
    let room = vec![0u8; bytes].leak().as_mut_ptr();
    START.store(room as usize, Ordering::SeqCst);
    END.store(room as usize + bytes, Ordering::SeqCst);
    // SAFETY: the memory is nobody else's, and is never given back.
    unsafe { POOL.lock().unwrap().claim(room, bytes) }.unwrap();
}

/// Runs `body` with memory from the pool alone.
pub fn from_pool<R>(body: impl FnOnce() -> R) -> R {
    let outside = INSIDE.replace(true);
    let result = body();
    INSIDE.set(outside);
    result
}

/// How often the pool had too little.
pub fn refused() -> u64 {
    REFUSED.get()
}

// SAFETY: each block goes back to the allocator that it came from, and callers' promises are passed on to it.
unsafe impl GlobalAlloc for Pooled {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !INSIDE.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: the caller's promises.
            return unsafe { System.alloc(layout) };
        }
        let mut pool = POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // SAFETY: the caller's promises.
        let block = unsafe { pool.allocate(layout) };
        block.map_or_else(
            || {
                let _ = REFUSED.try_with(|refused| refused.set(refused.get() + 1));
                ptr::null_mut()
            },
            |block| block.as_ptr(),
        )
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if (START.load(Ordering::Relaxed)..END.load(Ordering::Relaxed)).contains(&(block as usize)) {
            let mut pool = POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // SAFETY: it came from the pool, with this layout.
            unsafe { pool.deallocate(block, layout) }
        } else {
            // SAFETY: it came from the system, with this layout.
            unsafe { System.dealloc(block, layout) }
        }
    }
}
