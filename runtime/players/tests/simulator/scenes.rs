//! The runs: what happened to players in the field, one by one, and random mixtures of it.

use super::node::{Faults, Random};
use super::{Character, Outcome, Scene, play};
use contracts::Standing;
use std::time::Duration;

fn well(outcome: &Outcome) -> bool {
    outcome.wrong.is_empty()
}

#[track_caller]
fn overturned(scene: Scene) -> Outcome {
    let outcome = play(scene);
    assert!(well(&outcome), "{:?}", outcome.wrong);
    // The validator has put the right answer in the place of the lie.
    assert_eq!(outcome.standings, [Standing::Final], "{:?}", outcome.calls);
    outcome
}

#[test]
fn a_lie_is_overturned_in_good_weather() {
    let outcome = overturned(Scene::lie(1, Faults::default()));
    println!("{:?}", outcome.calls);
}

#[test]
fn an_honest_server_is_paid() {
    let scene =
        Scene { cast: vec![Character::Server, Character::Validator], ..Scene::lie(2, Faults::default()) };
    overturned(scene);
}

#[test]
fn a_third_of_all_answers_may_be_errors() {
    for (seed, kind) in
        ["", "head", "logs", "call", "send", "estimate", "nonce", "balance", "receipt"].iter().enumerate()
    {
        overturned(Scene::lie(seed as u64, Faults { errors: 30, errors_in: kind, ..Faults::default() }));
    }
}

#[test]
fn answers_may_take_a_second() {
    overturned(Scene::lie(1, Faults { latency: Duration::from_secs(1), ..Faults::default() }));
}

#[test]
fn a_node_may_look_only_at_ten_blocks_at_once() {
    overturned(Scene::lie(1, Faults { range: Some(10), ..Faults::default() }));
    overturned(Scene::lie(2, Faults { range: Some(1), ..Faults::default() }));
}

#[test]
fn a_node_may_have_no_events_for_forty_blocks() {
    overturned(Scene::lie(1, Faults { no_events: Some(0..80), ..Faults::default() }));
    overturned(Scene::lie(1, Faults { no_events: Some(8..88), ..Faults::default() }));
}

#[test]
fn events_may_be_late_and_come_twice() {
    for late in [1, 3, 5] {
        overturned(Scene::lie(late, Faults { late_events: late, twice: true, ..Faults::default() }));
    }
}

#[test]
fn a_wrong_nonce_is_not_believed_for_long() {
    // Seen once or for some seconds, when the challenge or a move is sent.
    for from in 4..24 {
        overturned(Scene::lie(from, Faults { nonces: Some((from..from + 2, 3)), ..Faults::default() }));
    }
}

#[test]
fn a_wrong_estimate_is_not_believed_for_long() {
    for (from, gas) in (4..24).flat_map(|from| [(from, 21_000), (from, 60_000)]) {
        overturned(Scene::lie(from, Faults { estimates: Some((from..from + 3, gas)), ..Faults::default() }));
    }
}

#[test]
fn a_game_is_won_without_any_estimate() {
    let without = |from| Faults { no_estimates: Some(from..1000), ..Faults::default() };
    // The repair of the lie has no deadline, and waits for an estimate.
    for from in [6, 10, 14] {
        let outcome = play(Scene::lie(from, without(from)));
        assert!(well(&outcome) && outcome.standings == [Standing::Overturned], "{:?}", outcome.standings);
    }
}

#[test]
fn an_outage_of_half_a_clock_loses_nothing() {
    for from in 3..30 {
        overturned(Scene::lie(from, Faults { away: Some(from..from + 12), ..Faults::default() }));
    }
}

#[test]
fn a_node_that_is_away_at_the_start_is_waited_for() {
    overturned(Scene::lie(1, Faults { away: Some(0..20), ..Faults::default() }));
}

#[test]
fn a_node_may_forget_the_state_of_all_blocks_but_the_last() {
    overturned(Scene::lie(1, Faults { pruned: true, ..Faults::default() }));
}

#[test]
fn a_node_may_forget_half_of_all_transactions() {
    for seed in 0..4 {
        overturned(Scene::lie(seed, Faults { forgets: 50, ..Faults::default() }));
    }
}

#[test]
fn a_head_that_stands_still_is_no_harm_if_another_node_goes_on() {
    let still = Faults { still: Some(5..300), ..Faults::default() };
    let scene = Scene { nodes: vec![still, Faults::default()], ..Scene::lie(1, Faults::default()) };
    overturned(scene);
}

#[test]
fn a_block_that_is_yet_to_come_is_soon_forgotten() {
    for from in 3..24 {
        overturned(Scene::lie(from, Faults { absurd: Some(from..from + 4), ..Faults::default() }));
    }
}

#[test]
fn of_two_nodes_one_may_be_away_for_ever() {
    let away = Faults { away: Some(0..1000), ..Faults::default() };
    for nodes in [vec![away.clone(), Faults::default()], vec![Faults::default(), away]] {
        overturned(Scene { nodes, ..Scene::lie(1, Faults::default()) });
    }
}

#[test]
fn some_queries_may_never_be_answered() {
    overturned(Scene::lie(3, Faults { hangs: 10, ..Faults::default() }));
}

#[test]
fn a_reorganization_shorter_than_the_clock_is_survived() {
    for (seed, depth) in [(1, 1), (2, 2), (3, 4), (4, 6), (5, 10)] {
        for at in [5, 9, 13, 21] {
            let reorganizations = vec![(at + 2 * depth as u64, depth)];
            overturned(Scene { reorganizations, ..Scene::lie(seed, Faults::default()) });
        }
    }
}

#[test]
fn a_deep_reorganization_with_new_requests_is_noticed() {
    for depth in [33, 40, 60] {
        let scene = Scene {
            requests: vec![20],
            reorganizations: vec![(130, depth)],
            end: 600,
            ..Scene::lie(depth as u64, Faults::default())
        };
        overturned(scene);
    }
}

#[test]
fn a_full_disk_poisons_nothing() {
    for from in 4..24 {
        overturned(Scene { full: Some(from..from + 6), ..Scene::lie(from, Faults::default()) });
    }
}

#[test]
fn a_player_that_is_killed_continues() {
    for seed in 0..20 {
        let crashes = vec![4 + seed, 5 + seed, 12 + seed];
        overturned(Scene { crashes, ..Scene::lie(seed, Faults::default()) });
    }
}

#[test]
fn a_look_takes_three_calls_however_many_requests_are_open() {
    for open in [0, 150, 600] {
        // Nobody answers, so they stay open.
        let requests = (0..open).map(|number| 3 + number / 5).collect();
        let cast = vec![Character::Validator];
        let outcome = play(Scene { cast, requests, end: 350, ..Scene::lie(1, Faults::default()) });
        assert!(well(&outcome), "{:?}", outcome.wrong);
        assert_eq!(outcome.standings.len() as u64, open);
        let heads = 100 / super::BLOCK;
        let others = outcome.quiet.iter().filter(|(kind, _)| **kind != "head").map(|(_, count)| count);
        let others: u64 = others.sum();
        assert!(others <= 2 * heads, "{others} calls after the first at {heads} heads: {:?}", outcome.quiet);
    }
}

/// Mixtures of everything. `OPML_RUNS` sets how many, `OPML_SEED` the first one.
#[test]
fn whatever_the_weather_nobody_honest_loses() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, runs) = (number("OPML_SEED").unwrap_or(0), number("OPML_RUNS").unwrap_or(100));
    let mut failed = Vec::new();
    for seed in first..first + runs {
        let outcome = play(mixture(seed));
        if !well(&outcome) {
            let Scene { cast, nodes, requests, reorganizations, crashes, full, .. } = mixture(seed);
            println!("{seed}: {cast:?} {requests:?} {reorganizations:?} {crashes:?} {full:?} {nodes:#?}");
            failed.push((seed, outcome.wrong));
        }
    }
    assert!(failed.is_empty(), "{} of {runs} runs: {:?}", failed.len(), &failed[..failed.len().min(10)]);
}

fn mixture(seed: u64) -> Scene {
    let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let cast = match random.below(5) {
        0 => vec![Character::Server, Character::Validator],
        1 => vec![Character::Silent, Character::Validator],
        2 => vec![Character::Liar, Character::Server, Character::Validator],
        _ => vec![Character::Liar, Character::Validator],
    };
    let faults = |random: &mut Random| {
        let mut faults = Faults::default();
        let from = 2 + random.below(60);
        for _ in 0..random.below(4) {
            match random.below(13) {
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
                _ => faults.forgets = random.below(60),
            }
        }
        faults
    };
    let nodes = (0..1 + random.below(2)).map(|_| faults(&mut random)).collect();
    let requests = (0..1 + random.below(3)).map(|_| 3 + random.below(40)).collect();
    let reorganizations = match random.below(3) {
        0 => vec![(20 + random.below(60), 1 + random.below(8) as usize)],
        _ => Vec::new(),
    };
    let crashes = (0..random.below(4)).map(|_| 4 + random.below(80)).collect();
    let from = 4 + random.below(60);
    let full = (random.below(4) == 0).then(|| from..from + random.below(8));
    // Several faults at once, in several games: each takes its share of the clock.
    let (clock, end) = (48, 500);
    Scene { seed, cast, nodes, requests, reorganizations, crashes, full, clock, end }
}
