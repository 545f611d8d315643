//! What the worst files cost: time and memory of each, printed. Nothing is asserted, because a busy
//! machine is slow; that each is refused, and by which rule, is a test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pipelines::definition::Definition;

#[path = "worst/files.rs"]
mod files;

/// Counts what is allocated, and the most there was.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe to write; this one only counts"
)]
// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often each file is read.
const TIMES: u32 = 10;

fn main() {
    println!(
        "{:>9}  {:>9}  file, and the first thing that is wrong",
        "time", "memory"
    );
    for (name, text) in files::all() {
        let before = NOW.load(Relaxed);
        MOST.store(before, Relaxed);
        // The best of a few: what is left is the machine's other work.
        let (mut best, mut result) = (Duration::MAX, None);
        for _ in 0..TIMES {
            let start = Instant::now();
            result = Definition::parse(&text).err();
            best = best.min(start.elapsed());
        }
        let kib = MOST.load(Relaxed).saturating_sub(before) / 1024;
        let words = result.and_then(|problems| problems.first().map(ToString::to_string));
        let words = words.unwrap_or_else(|| "accepted".to_owned());
        let ms = best.as_secs_f64() * 1000.0;
        println!("{ms:>6.2} ms  {kib:>5} KiB  {name}: {words}");
    }
}
