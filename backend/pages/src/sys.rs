//! The heaps of glibc as it lays them out, and what the kernel is asked for them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A large page.
const PAGE: usize = 2 << 20;
/// glibc's heaps of threads are aligned to this and never longer; the first heap is made to grow by as much.
const AREA: usize = 64 << 20;
/// What stays in small pages of each heap: a large one is there as a whole, of which a program with little state has no use.
const KEPT: usize = 8 << 20;
/// A piece of memory of this size and more may be a mapping of its own,
const MAPPED: usize = 128 << 10;
/// which gets large pages from this size on.
const LARGE: usize = 16 << 20;

/// Where the first heap ended when pages were asked for; 0: they were not.
static START: AtomicUsize = AtomicUsize::new(0);
/// Up to where they were asked for there.
static END: AtomicUsize = AtomicUsize::new(0);
/// Heaps of threads for which they were asked for, each in the place that its address gives.
static AREAS: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];

/// The system's allocator. Once [`ask`] was called, the kernel is asked for large pages for whatever memory comes to be used, of
/// all threads; the first 8 MiB of each heap stay as they are.
pub struct LargePages;

/// Has memory be in pages of 2 MiB from now on, where [`LargePages`] is the program's allocator.
pub fn ask() {
    // SAFETY: neither has preconditions; with 0 the end of the heap is told and not moved.
    let end = unsafe {
        // Large pages go where a heap has grown in advance.
        libc::mallopt(libc::M_TOP_PAD, AREA as libc::c_int);
        libc::sbrk(0)
    };
    let end = end.addr().next_multiple_of(PAGE) + KEPT;
    END.store(end, Relaxed);
    START.store(end, Relaxed);
}

// SAFETY: every call is the system's allocator's with the same arguments; its results are only looked at.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        noted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        noted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        noted(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[inline]
fn noted(memory: *mut u8, size: usize) -> *mut u8 {
    let (start, at) = (START.load(Relaxed), memory.addr());
    // Below is what was there before, and null.
    if start != 0 && at > start && at >= END.load(Relaxed) {
        note(at, size);
    }
    memory
}

/// Memory at `at` came to be used, where the kernel was not asked yet, as far as the first heap is concerned.
fn note(at: usize, size: usize) {
    if size >= LARGE {
        return advise(at.next_multiple_of(PAGE), at + size);
    }
    if size >= MAPPED {
        return;
    }
    let (area, place) = (at & !(AREA - 1), &AREAS[at / AREA % AREAS.len()]);
    if place.load(Relaxed) == area {
        return;
    }
    // SAFETY: with 0 it tells where the first heap ends, and moves nothing.
    let top = unsafe { libc::sbrk(0) }.addr();
    if at >= top {
        place.store(area, Relaxed);
        advise(area + KEPT, area + AREA);
    } else if top - top % PAGE > END.load(Relaxed) {
        let end = END.swap(top - top % PAGE, Relaxed);
        advise(end, top - top % PAGE);
    }
}

/// Asks for large pages between two addresses, as far as there is memory.
fn advise(from: usize, to: usize) {
    if let Some(size) = to.checked_sub(from).filter(|size| *size >= PAGE) {
        let from = std::ptr::without_provenance_mut(from);
        // SAFETY: the call changes nothing that the program can see; addresses without memory are an error, which is no harm.
        unsafe { libc::madvise(from, size, libc::MADV_HUGEPAGE) };
    }
}
