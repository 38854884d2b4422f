//! What a running child has in its memory, as Linux shows it to whoever started it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use super::database::Hay;

const PAGE_BYTES: u64 = 4_096;
const ENTRY_BYTES: u64 = 8;
/// The bits of a page that is in memory, and of one that was swapped out (Documentation/admin-guide/mm/pagemap.rst).
const IS_THERE: u64 = 0b11 << 62;

/// Everything that a process may have written: each stretch of pages that it has touched.
pub fn of_process(id: u32) -> Vec<Hay> {
    let open = |name: &str| File::open(format!("/proc/{id}/{name}")).unwrap();
    let (memory, pages) = (open("mem"), open("pagemap"));
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let mut stretches = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, name) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut entries = vec![0; usize::try_from((to - from) / PAGE_BYTES * ENTRY_BYTES).unwrap()];
        pages.read_exact_at(&mut entries, from / PAGE_BYTES * ENTRY_BYTES).unwrap();
        let is_there = |entry: &[u8]| u64::from_ne_bytes(entry.try_into().unwrap()) & IS_THERE != 0;
        let entries: Vec<bool> = entries.chunks_exact(8).map(is_there).collect();
        let mut at = from;
        for run in entries.chunk_by(|a, b| a == b) {
            let mut bytes = vec![0; run.len() * usize::try_from(PAGE_BYTES).unwrap()];
            // What the process gave back meanwhile cannot be read any more.
            if run[0] && memory.read_exact_at(&mut bytes, at).is_ok() {
                stretches.push(Hay { name: format!("memory at {at:x} of {name}"), bytes });
            }
            at += PAGE_BYTES * u64::try_from(run.len()).unwrap();
        }
    }
    stretches
}
