//! An allocator that counts, per thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// How often this thread asked for memory so far.
pub fn allocations() -> u64 {
    COUNT.with(Cell::get)
}

/// How often this thread asked for memory or gave some back.
pub fn allocator_calls() -> u64 {
    CALLS.with(Cell::get)
}

/// How many bytes this thread asked for and did not give back.
pub fn live_bytes() -> i64 {
    LIVE.with(Cell::get)
}

fn hold(bytes: i64) {
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

fn call() {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

fn count() {
    call();
    // A thread that is being taken down has no counter any more, and nobody asks for it.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size() as i64);
        // SAFETY: the caller's promises are the ones asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        call();
        hold(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        hold(new_size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
