//! Opponents that play for time or to do harm, little money, dear gas, and clocks that leap.

use super::cast::Character;
use super::node::Faults;
use super::scenes::{overturned, well};
use super::{Scene, mixture::number, play};
use contracts::Standing;
use std::time::Duration;

use Character::{Griefer, Late, LateGriefer, Liar, Poor, Poorest, Server, Silent, SilentGriefer, Validator};

/// Real terms, as far as a run of minutes allows: what takes minutes loses nothing.
fn long(seed: u64) -> Scene {
    Scene { window: 600, clock: 600, end: 6000, ..Scene::lie(seed, Faults::default()) }
}

#[test]
fn an_opponent_may_move_in_the_last_second_of_its_clock() {
    for from in 3..13 {
        let away = Faults { away: Some(from..from + 12), ..Faults::default() };
        let outcome = overturned(Scene { cast: vec![Late, Validator], ..Scene::lie(from, away) });
        assert_eq!(outcome.verdict.won, 1);
    }
}

#[test]
fn an_answer_may_be_challenged_by_many_to_no_purpose() {
    let cast = vec![Server, Griefer, SilentGriefer, LateGriefer, Griefer];
    for seed in 0..2 {
        let (cast, requests) = (cast.clone(), vec![3, 3, 5]);
        let outcome = overturned(Scene { cast, requests, clock: 48, ..Scene::lie(seed, Faults::default()) });
        // Each answer against each challenger.
        assert_eq!(outcome.verdict.won, 3 * 4);
    }
}

#[test]
fn requests_without_a_fee_cost_nothing() {
    let cast = vec![Server, Validator];
    let free: Vec<u64> = (0..200).map(|number| 3 + number / 20).collect();
    let outcome = well(Scene {
        cast,
        requests: vec![20],
        free,
        until_settled: false,
        end: 300,
        ..Scene::lie(1, Faults::default())
    });
    let answered = outcome.standings().iter().filter(|standing| **standing != Standing::None);
    assert_eq!((answered.count(), outcome.standings().len()), (1, 201));
    for trace in &outcome.traces {
        let calls: u64 = trace.quiet.values().sum();
        // The head at each look, and two calls at each new one.
        assert!(calls <= 200 + 2 * 50 + 10, "{:?}: {:?}", trace.character, trace.quiet);
    }
}

#[test]
fn whoever_has_little_money_begins_only_what_it_can_finish() {
    for seed in 0..4 {
        let faults = Faults { latency: Duration::from_millis(80 * seed), ..Faults::default() };
        let scene = Scene { cast: vec![Liar, Poor], requests: vec![3; 30], ..Scene::lie(seed, faults) };
        let outcome = well(scene);
        let (won, trace) = (outcome.verdict.won, &outcome.traces[0]);
        assert!((1..30).contains(&won), "{won} of 30 games: {:?}", outcome.standings());
        assert!(trace.red.contains_key("money"), "{:?}", trace.red);
        // What it can't do costs no calls at every look.
        let calls: u64 = trace.calls.values().sum();
        assert!(calls <= 6 * trace.seconds, "{calls} calls in {} s: {:?}", trace.seconds, trace.calls);
    }
}

#[test]
fn whoever_can_pay_for_a_bond_only_begins_no_game() {
    let outcome = well(Scene { cast: vec![Liar, Poorest], ..Scene::lie(1, Faults::default()) });
    assert_eq!((outcome.verdict.won, outcome.standings()), (0, &[Standing::Final][..]));
    assert!(outcome.traces[0].red.contains_key("money"), "{:?}", outcome.traces[0].red);
}

#[test]
fn whoever_has_little_money_offers_no_more_than_that() {
    for from in 3..12 {
        let (cast, dear) = (vec![Liar, Poor], Some((from..from + 14, 1000)));
        overturned(Scene { cast, dear, clock: 48, ..Scene::lie(from, Faults::default()) });
    }
}

#[test]
fn rich_and_poor_may_challenge_the_same_lies() {
    for seed in 0..4 {
        let cast = vec![Liar, Poor, Validator, Validator];
        overturned(Scene {
            cast,
            requests: vec![3, 3, 4, 9],
            clock: 48,
            ..Scene::lie(seed, Faults::default())
        });
    }
}

#[test]
fn gas_may_cost_a_thousand_times_as_much_for_some_minutes() {
    for from in [4, 6, 8, 10, 14, 20] {
        overturned(Scene { dear: Some((from..from + 240, 1000)), ..long(from) });
    }
}

#[test]
fn the_time_of_blocks_may_leap_by_minutes() {
    for at in [4, 7, 10, 14, 20] {
        for leaps in [vec![(at, 200)], vec![(at, -200)], vec![(at, 150), (at + 10, -150), (at + 170, 100)]] {
            let cast = vec![Liar, Server, Validator, Griefer];
            overturned(Scene { cast, leaps, requests: vec![3, 12], ..long(at) });
        }
    }
}

#[test]
fn the_clock_of_the_computer_may_be_set() {
    // A suspension sets it forward: the time in which a program waits goes on where it was.
    for by in [-7200, -90, 0, 90, 7200] {
        for at in [4, 10, 20] {
            let settings = vec![(at, by), (at + 40, -by)];
            let outcome = overturned(Scene { settings, ..long(at) });
            let red = &outcome.traces[0].red;
            // A time at which nobody could know that nothing is wrong is told, and only then.
            let told: Vec<u64> = red.values().flatten().copied().collect();
            let set = (at..at + 40).filter(|second| second.is_multiple_of(10));
            match by.abs() {
                7200 => assert_eq!(told, set.collect::<Vec<_>>(), "{by}: {red:?}"),
                90 if by < 0 => assert!(red.contains_key("clock"), "{red:?}"),
                90 => assert!(told.is_empty(), "{by}: {red:?}"),
                _ => assert!(told.is_empty(), "{by}: {red:?}"),
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_back_hides_no_head_that_stands_still() {
    let still = Faults { still: Some(20..700), ..Faults::default() };
    for by in [-7200, 0] {
        let scene = Scene { settings: vec![(10, by)], nodes: vec![still.clone()], end: 400, ..long(1) };
        let red = &play(scene).traces[0].red;
        assert!(red.get("head").is_some_and(|times| times.len() > 10), "{by}: {red:?}");
    }
}

#[test]
fn everything_may_be_in_one_block_and_told_twice_and_late() {
    for late in [0, 2, 4] {
        let faults = Faults { twice: true, late_events: late, ..Faults::default() };
        for cast in [vec![Liar, Validator, Validator], vec![Silent, Server, Validator], vec![Server, Griefer]]
        {
            overturned(Scene { cast, requests: vec![5; 4], clock: 48, ..Scene::lie(late, faults.clone()) });
        }
    }
}

/// Kills at random points, ten in each run: in a query, between two, before or after a write.
fn killed(part: u64, of: u64) {
    /// How many kills there are if `OPML_KILLS` doesn't say so.
    const KILLS: u64 = 1000;
    let runs = number("OPML_KILLS").unwrap_or(KILLS).div_ceil(10);
    let (mut kills, mut games) = (0, 0);
    for seed in (0..runs).skip(part as usize).step_by(of as usize) {
        let mut random = super::node::Random(seed);
        let cast = [vec![Liar, Validator], vec![Server, Griefer], vec![Late, Validator]];
        let faults = Faults { latency: Duration::from_millis(random.below(60)), ..Faults::default() };
        // Most games are over within a minute.
        let scene = Scene {
            cast: cast[random.below(3) as usize].clone(),
            kills: (0..10).map(|number| 3 + 5 * number + random.below(5)).collect(),
            clock: 60,
            ..Scene::lie(seed, faults)
        };
        let outcome = overturned(scene);
        (kills, games) = (kills + outcome.kills, games + outcome.verdict.won);
    }
    println!("{kills} kills in {games} games");
    assert!(games as u64 >= runs / of);
}

#[test]
fn kills_at_any_moment_lose_nothing() {
    killed(0, 2);
}

#[test]
fn kills_at_any_other_moment_lose_nothing() {
    killed(1, 2);
}
