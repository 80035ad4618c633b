//! Compares opml's machines with others. Run with `cargo bench -p opml-peers`, or for selected programs with
//! `cargo bench -p opml-peers -- keccak sieve`.
//!
//! With OPML_BLESS=1 the tables are also written to docs/machines.md.

#[path = "machines/engines.rs"]
mod engines;
#[path = "machines/programs.rs"]
mod programs;

use engines::{Engine, Run};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use opml_tests::random::Random;
use opml_tests::report::{self, grouped, number};
use opml_tests::tools::{QEMU, in_repository};
use programs::Program;

/// How often each run is timed. The median counts.
const ROUNDS: usize = 5;
/// How often the start is timed, which takes milliseconds.
const STARTS: usize = 21;
/// The steps between two stops.
const SLICE: u64 = 1_000_000;
/// The programs whose runs are cut into slices.
const SLICED: [(&str, &str); 4] = [
    ("keccak", "C, rv64im"),
    ("bytecode", "C, rv64im"),
    ("matmul_tile", "C, rv64imfd"),
    ("two convolutions", "model, rv64imfd"),
];

/// The measurements of a program, one for each engine that can run it.
struct Line {
    name: String,
    build: &'static str,
    /// Steps from the start to the end.
    steps: u64,
    /// Million steps per second.
    speeds: Vec<Option<f64>>,
    /// Milliseconds before the first step.
    starts: Vec<Option<f64>>,
}

/// The cost of stopping, for engines that can stop.
struct Stops {
    program: String,
    engine: &'static str,
    free: f64,
    sliced: f64,
    once: f64,
}

fn main() {
    // Cargo's test runner also starts benchmarks, but only `cargo bench` should measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let engines = engines::all();
    let start_ups = start_ups(&engines);
    let programs = programs::all().into_iter().filter(|it| wanted.is_empty() || wanted.contains(&it.name));
    let (mut lines, mut stops) = (Vec::new(), Vec::new());
    for program in programs {
        let line = measure(&engines, &start_ups, &program);
        if SLICED.contains(&(&program.name, program.build)) {
            stops.extend(engines.iter().filter_map(|engine| stop(engine.as_ref(), &program, line.steps)));
        }
        eprintln!("{}, {}: {} steps, {:.0?}", line.name, line.build, grouped(line.steps), line.speeds);
        lines.push(line);
    }
    let page = page(&engines, &lines, &stops);
    println!("{page}");
    if std::env::var_os("OPML_BLESS").is_some() && wanted.is_empty() {
        std::fs::write(in_repository("docs/machines.md"), page).expect("docs/machines.md can be written");
    }
}

/// The processor time in seconds, including the system's, that this process and its children have used.
fn processor_time() -> f64 {
    let of = |who| {
        let usage = getrusage(who).expect("the system counts");
        (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
    };
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}

/// The time and the result of `work`.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = processor_time();
    let result = work();
    (processor_time() - before, result)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The time that each engine takes to run a program that does nothing, since a process must be started.
fn start_ups(engines: &[Box<dyn Engine>]) -> Vec<f64> {
    let empty = programs::empty();
    let once = |engine: &dyn Engine| {
        let mut run = engine.start(&empty).expect("every engine can do nothing");
        timed(|| run.run(u64::MAX)).0
    };
    engines.iter().map(|engine| median((0..STARTS).map(|_| once(engine.as_ref())).collect())).collect()
}

/// Times a program on all engines in turn, after a run that compares their results.
fn measure(engines: &[Box<dyn Engine>], start_ups: &[f64], program: &Program) -> Line {
    let steps = compare(engines, program);
    let mut samples = vec![Vec::new(); engines.len()];
    for _ in 0..ROUNDS {
        for ((engine, start_up), samples) in engines.iter().zip(start_ups).zip(&mut samples) {
            samples.extend(round(engine.as_ref(), *start_up, program, steps));
        }
    }
    let median = |pick: fn(&(f64, f64)) -> f64| {
        samples.iter().map(|of| (!of.is_empty()).then(|| median(of.iter().map(pick).collect()))).collect()
    };
    let (starts, speeds) = (median(|sample| sample.0), median(|sample| sample.1));
    Line { name: program.name.clone(), build: program.build, steps, speeds, starts }
}

/// Runs a program to its end on all engines. All must have the same result. Engines that count steps must
/// agree on the number, which is returned.
fn compare(engines: &[Box<dyn Engine>], program: &Program) -> u64 {
    let (mut checksum, mut steps) = (None, None);
    for engine in engines {
        let Some(mut run) = engine.start(program) else { continue };
        run.run(u64::MAX);
        let place = format!("{}, {} on {}", program.name, program.build, engine.name());
        assert_ne!(run.checksum(), Some(0), "{place}: its own check failed");
        for (first, found) in [(&mut checksum, run.checksum()), (&mut steps, run.steps())] {
            if let Some(found) = found {
                assert_eq!(*first.get_or_insert(found), found, "{place}");
            }
        }
    }
    steps.expect("the interpreter counts")
}

/// Milliseconds to prepare a program, and million steps per second after that.
fn round(engine: &dyn Engine, start_up: f64, program: &Program, steps: u64) -> Option<(f64, f64)> {
    let repeat = program.repeat;
    let (start, runs) = timed(|| (0..repeat).map(|_| engine.start(program)).collect::<Option<Vec<_>>>());
    let mut runs = runs?;
    let (seconds, ()) = timed(|| runs.iter_mut().for_each(|run| run.run(u64::MAX)));
    let repeat = repeat as f64;
    let start_up = if engine.is_process(program) { start_up } else { 0.0 };
    let steps = steps as f64 * repeat;
    Some((start * 1e3 / repeat, steps / (seconds - start_up * repeat).max(1e-6) / 1e6))
}

/// The cost of stopping, for machines that can stop exactly.
fn stop(engine: &dyn Engine, program: &Program, steps: u64) -> Option<Stops> {
    engine.start(program)?.steps()?;
    let mut random = Random::new(3);
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let somewhere = 1 + random.below(steps - 1);
        let every = |slice: u64| (1..=steps.div_ceil(slice)).map(move |index| index * slice).collect();
        let ways: [Vec<u64>; 3] = [vec![steps], every(SLICE), vec![somewhere, steps]];
        for (stops, samples) in ways.iter().zip(&mut samples) {
            let mut run = engine.start(program)?;
            samples.push(timed(|| stops.iter().for_each(|&stop| run_to(run.as_mut(), stop, steps))).0);
        }
    }
    let [free, sliced, once] = samples.map(median);
    Some(Stops {
        program: format!("{}, {}", program.name, program.build),
        engine: engine.name(),
        free,
        sliced,
        once,
    })
}

/// Runs to a step and checks that it is this one.
fn run_to(run: &mut dyn Run, stop: u64, end: u64) {
    run.run(stop);
    assert_eq!(run.steps(), Some(stop.min(end)));
    assert_eq!(run.checksum().is_some(), stop >= end);
}

/// The page with the tables.
fn page(engines: &[Box<dyn Engine>], lines: &[Line], stops: &[Stops]) -> String {
    let names: Vec<&str> = engines.iter().map(|engine| engine.name()).collect();
    let [.., native] = names.as_slice() else { panic!("there are engines") };
    assert_eq!(*native, "native", "the last one is what the others are compared with");
    format!(
        "# Machines

How fast programs run on our machines and on others.

    OPML_BLESS=1 cargo bench -p opml-peers

wrote this page on {}:

- computer: {}
- compiler: {}
- emulator: {}

Every figure is the median of {ROUNDS} rounds in which all machines took turns. Times are processor time of
the process that ran the program, system time included. Where a result can be seen (one byte of a C program;
of models, not in qemu), it was the same on all machines. Machines that count instructions counted the same
number.

## Million instructions a second

Instructions are the guest's, as our machine counts them. Time starts with the first step; where a process has
to be started, an empty program's time is subtracted. The first two groups are C programs
(`tests/benches/guests`) that gcc compiled with -O2: `rv64im` uses libgcc's software floats, `rv64imfd` has
instructions for them. The third group is models that our compiler compiled.

{}
\"-\": ckb-vm has no float instructions and at most 4 MiB of memory; the MNIST networks end before qemu has
started. A mean is over those programs of its group that every machine in it runs.

## Times slower than the same program on this computer

C programs are compiled by gcc -O2 -fno-tree-vectorize, with hardware floats, fused where the guest's are.
Models run in the native executor on one thread, whose code is scalar too.

{}
## Milliseconds before the first step

From the image or the ELF file in memory to a machine that can run. Our JIT and qemu translate while they run,
which the figures above include. In a short run, such as the MNIST networks, our JIT translates nothing.

{}
## What stopping costs

How much longer a run takes if it is stopped every {} steps, or once somewhere, and resumed. Every stop is
checked to be at exactly that step. qemu can't stop.

{}",
        report::today(),
        report::computer(),
        report::said_by("riscv64-unknown-elf-gcc", &["--version"]),
        report::said_by(QEMU, &["--version"]),
        speed_table(&names, lines),
        slowdown_table(&names, lines),
        start_table(&names, lines),
        grouped(SLICE),
        stop_table(stops),
    )
}

/// A figure, or a mark if there is none.
fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

fn head(first: &[&str], names: &[&str]) -> Vec<String> {
    first.iter().chain(names).map(|&name| name.to_owned()).collect()
}

fn speed_table(names: &[&str], lines: &[Line]) -> String {
    let machines = names.len() - 1;
    let mut rows = vec![head(&["program", "compiled for", "million instructions"], &names[..machines])];
    for group in lines.chunk_by(|a, b| a.build == b.build) {
        let mut values = Vec::new();
        for line in group {
            let first = [line.name.clone(), line.build.to_owned(), number(line.steps as f64 / 1e6)];
            rows.push(first.into_iter().chain(line.speeds[..machines].iter().copied().map(cell)).collect());
            values.push(line.speeds[..machines].to_vec());
        }
        rows.push(mean_row(&values, &["**geometric mean**", group[0].build, ""]));
    }
    report::table(&rows)
}

fn slowdown_table(names: &[&str], lines: &[Line]) -> String {
    let machines = names.len() - 1;
    let mut rows = vec![head(&["program", "compiled for"], &names[..machines])];
    for group in lines.chunk_by(|a, b| a.build == b.build) {
        let mut values = Vec::new();
        for line in group {
            let Some(native) = line.speeds[machines] else { continue };
            let slower: Vec<_> =
                line.speeds[..machines].iter().map(|speed| speed.map(|speed| native / speed)).collect();
            let first = [line.name.clone(), line.build.to_owned()];
            rows.push(first.into_iter().chain(slower.iter().copied().map(cell)).collect());
            values.push(slower);
        }
        if !values.is_empty() {
            rows.push(mean_row(&values, &["**geometric mean**", group[0].build]));
        }
    }
    report::table(&rows)
}

/// The geometric mean of each machine's figures, over the programs that all machines with figures have run.
fn mean_row(values: &[Vec<Option<f64>>], first: &[&str]) -> Vec<String> {
    let machines = 0..values.first().map_or(0, Vec::len);
    let takes_part: Vec<bool> =
        machines.clone().map(|machine| values.iter().any(|of| of[machine].is_some())).collect();
    let full = |of: &&Vec<Option<f64>>| {
        of.iter().zip(&takes_part).all(|(value, takes_part)| value.is_some() == *takes_part)
    };
    let common: Vec<_> = values.iter().filter(full).collect();
    let mean = |machine: usize| {
        let logarithms: Vec<f64> = common.iter().filter_map(|of| of[machine]).map(f64::ln).collect();
        (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
    };
    let first = first.iter().map(|&text| text.to_owned());
    first.chain(machines.map(|machine| cell(mean(machine)))).collect()
}

fn start_table(names: &[&str], lines: &[Line]) -> String {
    let here: Vec<usize> =
        (0..names.len()).filter(|&at| !["native", "qemu-user"].contains(&names[at])).collect();
    let shown: Vec<&str> = here.iter().map(|&at| names[at]).collect();
    let mut rows = vec![head(&["program", "compiled for"], &shown)];
    for line in lines {
        let first = [line.name.clone(), line.build.to_owned()];
        rows.push(first.into_iter().chain(here.iter().map(|&at| cell(line.starts[at]))).collect());
    }
    report::table(&rows)
}

fn stop_table(stops: &[Stops]) -> String {
    let mut rows = vec![head(&["program", "machine", "every 1,000,000 steps", "once"], &[])];
    for Stops { program, engine, free, sliced, once } in stops {
        let more = |seconds: f64| format!("{:+.1} %", (seconds / free - 1.0) * 100.0);
        rows.push(vec![program.clone(), (*engine).to_owned(), more(*sliced), more(*once)]);
    }
    report::table(&rows)
}
