//! Memory of the first heap, of a thread's heap and of large pieces is memory for which large pages were asked.

use std::fs;
use std::path::Path;

#[global_allocator]
static MEMORY: ravelin_pages::LargePages = ravelin_pages::LargePages;

/// Bytes of the pieces: of a keyed cipher.
const PIECE: usize = 700;
const MIB: usize = 1 << 20;

/// What of this program's memory is to be in large pages, in MiB (`proc(5)`: `hg` of `VmFlags`).
fn asked_mib() -> usize {
    let mut resident = 0;
    let mut asked = 0;
    for line in fs::read_to_string("/proc/self/smaps").expect("smaps").lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["Rss:", kib, "kB"] => resident = kib.parse::<usize>().expect("a number"),
            ["VmFlags:", ref flags @ ..] if flags.contains(&"hg") => asked += resident,
            _ => {}
        }
    }
    asked / 1024
}

fn pieces(mib: usize) -> Vec<Box<[u8]>> {
    (0..mib * MIB / PIECE).map(|_| vec![1; PIECE].into_boxed_slice()).collect()
}

/// Without the harness, which would have each test in a thread: the first heap is the main thread's.
fn main() {
    if cfg!(not(all(target_os = "linux", target_env = "gnu")))
        || !Path::new("/sys/kernel/mm/transparent_hugepage").exists()
    {
        return println!("skipped: no transparent huge pages, or another C library");
    }
    let elsewhere = || std::thread::spawn(|| pieces(200)).join().expect("the thread");
    let before = (pieces(100), elsewhere());
    assert_eq!(asked_mib(), 0, "nobody has asked");
    ravelin_pages::ask();
    assert_eq!(asked_mib(), 0, "a program with little state takes no more than before");
    let here = pieces(200);
    let first = asked_mib();
    assert!(first >= 180, "{first} MiB of 200 in the first heap");
    let there = elsewhere();
    let both = asked_mib();
    assert!(both >= first + 130, "{both} MiB after {first} and 200 more of a thread");
    let large = vec![1u8; 100 * MIB];
    let all = asked_mib();
    assert!(all >= both + 90, "{all} MiB after {both} and 100 more in one piece");
    drop((before, here, there, large));
}
