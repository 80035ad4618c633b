//! What happened to players in the field, one by one.

use super::node::Faults;
use super::{Character, Outcome, Scene, play};
use contracts::Standing;
use std::time::Duration;

/// Plays a scene in which nobody honest may lose.
#[track_caller]
pub fn well(scene: Scene) -> Outcome {
    let outcome = play(scene);
    assert!(outcome.is_well(), "{:?}", outcome.verdict.wrong);
    outcome
}

/// The same; in the end, the right answers are in the place of all lies.
#[track_caller]
pub fn overturned(scene: Scene) -> Outcome {
    let outcome = well(scene);
    let all = outcome.standings().iter().all(|standing| *standing == Standing::Final);
    assert!(all && !outcome.standings().is_empty(), "{:?}", outcome.standings());
    outcome
}

#[test]
fn a_lie_is_overturned_in_good_weather() {
    let outcome = overturned(Scene::lie(1, Faults::default()));
    assert_eq!(outcome.verdict.won, 1);
    println!("{:?}", outcome.traces[0].calls);
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
fn a_node_may_allow_six_calls_a_second() {
    use Character::{Griefer, Liar, Server, SilentGriefer, Validator};
    for seed in 0..6 {
        let faults = Faults { rate: Some(6), ..Faults::default() };
        for cast in [vec![Server, Griefer, SilentGriefer], vec![Liar, Validator]] {
            let (requests, kills) = (vec![4, 4, 4], vec![7 + seed, 21 + seed, 32 + seed]);
            overturned(Scene { cast, requests, kills, clock: 48, ..Scene::lie(seed, faults.clone()) });
        }
    }
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
        let outcome = well(Scene::lie(from, without(from)));
        assert_eq!(outcome.standings(), [Standing::Overturned]);
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
    // Also if it answers only some queries.
    for faults in [Faults { rate: Some(6), ..Faults::default() }, Faults { errors: 30, ..Faults::default() }]
    {
        overturned(Scene::lie(1, Faults { pruned: true, ..faults }));
    }
}

#[test]
fn a_node_that_forgets_may_be_slow_and_fail_too() {
    use Character::{Griefer, LateGriefer, Server, Validator};
    // Each call is asked twice. None may be asked five times in vain.
    let latency = Duration::from_millis(362);
    for seed in 0..4 {
        let faults = Faults { pruned: true, errors: 23, latency, ..Faults::default() };
        let (cast, requests) = (vec![Server, LateGriefer, Griefer, Validator], vec![13, 21, 26]);
        overturned(Scene { cast, requests, clock: 48, ..Scene::lie(seed, faults) });
    }
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
fn a_block_that_is_yet_to_come_does_not_keep_events_from_being_searched() {
    for from in 3..24 {
        // In several looks, and in one of them.
        for (seconds, poll) in [(4, 500), (1, 1000)] {
            let (absurd, no_events) = (Some(from..from + seconds), Some(from..from + 10));
            let scene = Scene::lie(from, Faults { absurd, no_events, ..Faults::default() });
            overturned(Scene { poll: Duration::from_millis(poll), ..scene });
        }
    }
}

#[test]
fn a_block_that_is_yet_to_come_is_not_waited_for() {
    // Here, by a node that is slow, beside one that isn't.
    for latency in [100, 266, 400] {
        for from in [10, 13, 16] {
            let latency = Duration::from_millis(latency);
            let slow = Faults { absurd: Some(from..from + 1), latency, ..Faults::default() };
            let nodes = vec![slow, Faults::default()];
            let requests = vec![from + 6, from + 20];
            overturned(Scene { nodes, requests, clock: 48, ..Scene::lie(from, Faults::default()) });
        }
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
        let kills = vec![4 + seed, 5 + seed, 12 + seed];
        overturned(Scene { kills, ..Scene::lie(seed, Faults::default()) });
    }
}
