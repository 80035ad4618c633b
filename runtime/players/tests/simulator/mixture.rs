//! Random mixtures of everything.

use super::cast::Character;
use super::node::{Faults, Random};
use super::{Outcome, Scene, Trace, play};
use contracts::Standing;
use std::time::Duration;

/// How many mixtures are played if `OPML_RUNS` doesn't say so. They are split over tests that run side by side.
const RUNS: u64 = 400;
/// The most calls per second, on an average of a run.
const MOST_CALLS: u64 = 12;

/// The number that a variable of the environment sets.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays a part of the mixtures. `OPML_RUNS` sets how many there are in all, `OPML_SEED` the first one.
fn play_part(part: u64, of: u64) {
    let (first, runs) = (number("OPML_SEED").unwrap_or(0), number("OPML_RUNS").unwrap_or(RUNS));
    let mut failed = Vec::new();
    for seed in (first..first + runs).skip(part as usize).step_by(of as usize) {
        let (scene, outcome) = (mixture(seed), play(mixture(seed)));
        let mut wrong = outcome.verdict.wrong.clone();
        wrong.extend(outcome.traces.iter().flat_map(|trace| excess(&scene, &outcome, trace)));
        if !wrong.is_empty() {
            println!("{seed}: {scene:#?}");
            failed.push((seed, wrong));
        }
    }
    assert!(failed.is_empty(), "{} runs failed: {:?}", failed.len(), &failed[..failed.len().min(10)]);
}

/// What a player asks and keeps too much.
fn excess(scene: &Scene, outcome: &Outcome, trace: &Trace) -> Vec<String> {
    let mut excess = Vec::new();
    let (character, calls) = (trace.character, trace.calls.values().sum::<u64>());
    if calls > MOST_CALLS * trace.seconds {
        excess.push(format!("{character:?}: {calls} calls in {} s: {:?}", trace.seconds, trace.calls));
    }
    let settled = outcome.standings().iter().all(|standing| *standing == Standing::Final);
    if settled && !scene.until_settled {
        // Some heads and runs of models are kept, but nothing of any request.
        let kept =
            trace.kept.iter().filter(|(what, count)| !["heads", "inferences"].contains(what) && *count > 0);
        excess.extend(kept.map(|kept| format!("{character:?} still keeps {kept:?}")));
    }
    excess
}

#[test]
fn whatever_the_weather_nobody_honest_loses() {
    play_part(0, 2);
}

#[test]
fn whatever_the_weather_nobody_honest_loses_either() {
    play_part(1, 2);
}

fn mixture(seed: u64) -> Scene {
    use Character::{
        Elsewhere, Griefer, Late, LateGriefer, Liar, Poor, Server, Silent, SilentGriefer, Validator,
    };
    let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let mut cast = match random.below(12) {
        0 => vec![Server, Validator],
        1 => vec![Silent, Validator],
        2 => vec![Liar, Server, Validator],
        3 => vec![Late, Validator],
        4 => vec![Server, Griefer, SilentGriefer],
        5 => vec![Server, LateGriefer, Griefer, Validator],
        6 => vec![Liar, Poor, Validator],
        7 => vec![Liar, Validator, Validator],
        8 => vec![Liar, Poor],
        _ => vec![Liar, Validator],
    };
    let nodes = (0..1 + random.below(2)).map(|_| faults(&mut random)).collect();
    let mut requests: Vec<u64> = (0..1 + random.below(3)).map(|_| 3 + random.below(40)).collect();
    if random.chance(20) {
        // All in one block.
        let first = requests[0];
        requests.fill(first);
    }
    let free = match random.chance(20) {
        true => (0..random.below(6)).map(|_| 3 + random.below(40)).collect(),
        false => Vec::new(),
    };
    let others: Vec<u64> = match random.chance(20) {
        true => (0..1 + random.below(3)).map(|_| 3 + random.below(40)).collect(),
        false => Vec::new(),
    };
    if !others.is_empty() && random.chance(50) {
        cast.push(Elsewhere);
    }
    let reorganizations = match random.below(3) {
        0 => vec![(20 + random.below(60), 1 + random.below(8) as usize)],
        _ => Vec::new(),
    };
    let kills = (0..random.below(4)).map(|_| 4 + random.below(80)).collect();
    let mut at = |percent| random.chance(percent).then(|| 4 + random.below(60));
    let (full, dear, leap) = (at(25), at(15), at(15));
    let full = full.map(|from| from..from + random.below(8));
    let dear = dear.map(|from| (from..from + random.below(8), 1000));
    let leaps = leap.map(|at| (at, random.below(16) as i64 - 8)).into_iter().collect();
    // Several faults at once, in several games: each takes its share of the clock.
    let clock = 48;
    let varied = random.chance(50);
    // Some runs go on until everything is forgotten.
    let until_settled = random.chance(90);
    let end = if until_settled { 500 } else { 700 };
    Scene {
        cast,
        nodes,
        requests,
        free,
        others,
        varied,
        reorganizations,
        kills,
        full,
        dear,
        leaps,
        clock,
        end,
        until_settled,
        ..Scene::lie(seed, Faults::default())
    }
}

/// What may be wrong with a node.
fn faults(random: &mut Random) -> Faults {
    let mut faults = Faults::default();
    let from = 2 + random.below(60);
    for _ in 0..random.below(4) {
        match random.below(14) {
            0 => faults.errors = 5 + random.below(20),
            1 => faults.latency = Duration::from_millis(random.below(400)),
            2 => faults.hangs = random.below(4),
            3 => faults.rate = Some(6 + random.below(20) as u32),
            4 => faults.range = Some(1 + random.below(50)),
            5 => faults.no_events = Some(from..from + random.below(60)),
            6 => faults.late_events = random.below(5),
            7 => faults.twice = true,
            8 => faults.nonces = Some((from..from + random.below(6), 1 + random.below(5))),
            9 => faults.estimates = Some((from..from + random.below(6), 21_000 * (1 + random.below(3)))),
            10 => faults.away = Some(from..from + random.below(12)),
            11 => faults.pruned = true,
            12 => faults.absurd = Some(from..from + random.below(6)),
            _ => faults.forgets = random.below(60),
        }
    }
    faults
}

#[test]
#[ignore = "shows what a run costs"]
fn what_runs_ask() {
    for seed in 0..40 {
        let start = std::time::Instant::now();
        let scene = mixture(seed);
        let outcome = play(scene.clone());
        let took = start.elapsed().as_millis();
        let calls: Vec<_> = outcome.traces.iter().map(|trace| (trace.character, &trace.calls)).collect();
        println!(
            "{seed}: {took} ms {:?} {:?} {}: {calls:?}",
            scene.cast, scene.requests, scene.until_settled
        );
    }
}
