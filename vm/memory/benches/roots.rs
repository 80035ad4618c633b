//! Measures how fast roots are, in one thread and with every hasher that the processor supports. Run with
//! `cargo bench -p opml-memory`.

use memory::{Hasher, Memory, PAGE};
use merkle::Root;
use rayon::ThreadPoolBuilder;
use std::hint::black_box;
use std::time::Instant;

/// How often each measurement is repeated. The best result counts, since other programs may be running.
const ROUNDS: usize = 40;

/// The bytes of memory that are hashed completely.
const FULL: usize = 4 << 20;

/// The number of touched pages, in memory of 2^33 bytes.
const TOUCHED: u64 = 1000;

/// The minimum time in seconds of `work` on the result of `prepare`.
fn best<T, R>(mut prepare: impl FnMut() -> T, mut work: impl FnMut(&mut T) -> R) -> f64 {
    let round = |_| {
        let mut subject = prepare();
        let start = Instant::now();
        black_box(work(&mut subject));
        start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Bytes that are not zero.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect()
}

/// Nanoseconds per hash in a large batch.
fn nodes(parents: impl Fn(&[Root], &mut [Root])) -> f64 {
    let children: Vec<Root> = bytes(32 << 11).as_chunks().0.iter().map(|&bytes| Root(bytes)).collect();
    let mut out = vec![Root::ZERO; children.len() / 2];
    best(|| (), |()| parents(&children, &mut out)) / out.len() as f64 * 1e9
}

/// The baseline: one node after the other, with sha3.
fn one_by_one(children: &[Root], out: &mut [Root]) {
    for (out, [left, right]) in out.iter_mut().zip(children.as_chunks().0) {
        *out = merkle::node(*left, *right);
    }
}

/// Gigabytes per second for the root of memory that was written once, including page faults of the tree.
fn full(hasher: Hasher) -> f64 {
    let bytes = bytes(FULL);
    let prepare = || {
        let mut memory = Memory::new(FULL.ilog2()).expect("memory").with_hasher(hasher);
        memory.write(0, &bytes).expect("inside");
        memory
    };
    FULL as f64 / best(prepare, Memory::root) / 1e9
}

/// Milliseconds for a root after pages were touched, either adjacent or far apart. They had a root before, as
/// between two big steps.
fn touched(hasher: Hasher, apart: u64) -> f64 {
    let bytes = bytes(PAGE);
    let write = |memory: &mut Memory| {
        for page in 0..TOUCHED {
            memory.write(page * apart * PAGE as u64, &bytes).expect("inside");
        }
    };
    let prepare = || {
        let mut memory = Memory::new(33).expect("memory").with_hasher(hasher);
        write(&mut memory);
        memory.root();
        write(&mut memory);
        memory
    };
    best(prepare, Memory::root) * 1e3
}

/// Microseconds for the life of a small memory: created, written and hashed.
fn small() -> f64 {
    let life = |()| {
        for _ in 0..100 {
            let mut memory = Memory::new(16).expect("memory");
            memory.write(0x1000, &[1; 64]).expect("inside");
            black_box(memory.root());
        }
    };
    best(|| (), |()| life(())) * 1e4
}

fn main() {
    let one_thread = ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    one_thread.install(|| {
        println!(
            "| keccak | ns a node | full root, GB/s | {TOUCHED} pages side by side, ms | {TOUCHED} pages apart, ms |"
        );
        println!("|---|---:|---:|---:|---:|");
        println!("| sha3, one by one | {:.0} | - | - | - |", nodes(one_by_one));
        for hasher in Hasher::all() {
            let nodes = nodes(|children, out| hasher.parents(children, out));
            let full = full(hasher);
            let (near, far) = (touched(hasher, 1), touched(hasher, 2097));
            println!("| {} | {nodes:.0} | {full:.3} | {near:.1} | {far:.1} |", hasher.name());
        }
    });
    println!("\nA memory of 64 KiB made, written and hashed: {:.1} microseconds", small());
}
