//! An allocator that counts, for the tests that hold how much is allocated.
//!
//! Each thread has counters of its own, so tests beside each other do not disturb each other. A test uses it by saying
//! `#[global_allocator] static COUNTING: Counting = Counting;`.
//! Left out on purpose: sizes as the system rounds them; these are the ones that were asked for.

// Who includes this uses a part of it.
#![allow(dead_code)]
// An allocator cannot be without it. The library and the program forbid it; this only hands on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, and a note of what is asked of it.
pub(crate) struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, size(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, size(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(1, size(new_size) - size(layout.size()));
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, -size(layout.size()));
        unsafe { System.dealloc(block, layout) }
    }
}

fn size(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

/// A thread that is ending has no counters any more, and nobody who reads them.
fn note(allocations: usize, bytes: isize) {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + allocations));
    let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + bytes));
}

/// How often this thread has asked for memory while it did `work`, growing a block included.
pub(crate) fn allocations<T>(work: impl FnOnce() -> T) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    drop(work());
    ALLOCATIONS.with(Cell::get) - before
}

/// How many bytes more this thread has in use than it has given back, since it began.
pub(crate) fn live_bytes() -> isize {
    LIVE_BYTES.with(Cell::get)
}
