//! Memory that is freed and asked for again.

use std::hint::black_box;
use std::sync::Once;

/// The largest block by which the GNU C library raises its thresholds on a 64-bit machine, 32 MiB, less what the
/// block may grow by when it is rounded up to whole pages.
const LARGEST: usize = (32 << 20) - (64 << 10);

/// Lets each heap of the process keep up to 64 MiB of what is freed, where the allocator is that of the GNU C
/// library on a 64-bit machine.
///
/// Batches of one size come again and again, each with some megabytes of factors and gradients. Returned to
/// the operating system in between, as small heaps are by default, every page of them costs a fault at its first
/// touch: more time than the numbers in it. The library gives back a heap's free end only beyond twice the size of
/// the largest block that it ever mapped and freed, and maps only larger blocks by themselves (mallopt(3),
/// `M_MMAP_THRESHOLD`). So one such block is asked for, never touched, and freed, which raises these two thresholds of
/// the process for good. Whoever sets one of them turns that rule off; another allocator has its own.
///
/// Once in a process, at no cost after.
pub fn keep_freed_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut block: Vec<u8> = Vec::new();
        // Where there is not so much memory there is none to keep.
        if block.try_reserve_exact(LARGEST).is_ok() {
            drop(black_box(block));
        }
    });
}
