//! Many requests: how much a player asks, keeps and logs for each.

use super::cast::Character;
use super::mixture::number;
use super::node::Faults;
use super::{Outcome, Scene, play};
use contracts::Standing;
use std::time::Duration;

/// So many requests, one every 8.64 s, that are open for as long: each answer can be challenged for as long as all
/// requests take. One of fifty is answered by a liar. The nodes are ordinary ones.
fn day(count: u64) -> Scene {
    let (last, lies) = (count * 864 / 100, |number: &u64| number % 50 == 7);
    let time = |number: u64| 3 + number * 864 / 100;
    let faults =
        Faults { errors: 2, latency: Duration::from_millis(50), rate: Some(25), ..Faults::default() };
    Scene {
        cast: vec![Character::Server, Character::Elsewhere, Character::Validator],
        requests: (0..count).filter(|number| !lies(number)).map(time).collect(),
        others: (0..count).filter(lies).map(time).collect(),
        varied: true,
        metered: true,
        window: last as u32,
        clock: 1200,
        block: 12,
        poll: Duration::from_secs(3),
        // Everything is final, then buried, and then counted.
        end: 2 * last + 3600,
        until_settled: false,
        ..Scene::lie(1, faults)
    }
}

/// What must be so after such a day.
fn check(count: u64, outcome: &Outcome) {
    for trace in &outcome.traces {
        let (calls, character) = (trace.calls.values().sum::<u64>(), trace.character);
        let each = |total: u64| total as f64 / count as f64;
        println!(
            "{character:?}: {:.1} calls and {:.0} bytes of log a request, {} bytes on disk",
            each(calls),
            each(trace.logged),
            trace.disk
        );
        println!("    {:?}\n    {:?}", trace.calls, trace.kept);
    }
    assert!(outcome.is_well(), "{:?}", outcome.verdict.wrong);
    assert!(outcome.standings().iter().all(|standing| *standing == Standing::Final));
    assert_eq!((outcome.standings().len() as u64, outcome.verdict.won as u64), (count, count / 50));
    for trace in &outcome.traces {
        let (calls, character) = (trace.calls.values().sum::<u64>(), trace.character);
        // Those of looks at a quiet chain included.
        assert!(calls <= 15 * count, "{character:?}: {calls} calls: {:?}", trace.calls);
        assert!(trace.logged <= 1024 * count, "{character:?}: {} bytes of log", trace.logged);
        assert!(trace.disk <= 10_000_000, "{character:?}: {} bytes on disk", trace.disk);
        // Whatever was kept for a request is forgotten.
        assert!(trace.kept.iter().all(|(_, count)| *count <= 64), "{character:?}: {:?}", trace.kept);
    }
}

#[test]
fn an_hour_of_requests_leaves_nothing_behind() {
    check(500, &play(day(500)));
}

/// A day of 10,000 requests; `OPML_REQUESTS` sets another number, which takes as much less of a day.
#[test]
#[ignore = "takes many minutes"]
fn a_day_of_requests_leaves_nothing_behind() {
    let count = number("OPML_REQUESTS").unwrap_or(10_000);
    check(count, &play(day(count)));
}

/// The calls of a validator while so many requests are open, without those for the head, for each head.
fn quiet_calls(open: u64) -> f64 {
    // Nobody answers, so they stay open.
    let requests: Vec<u64> = (0..open).map(|number| 3 + number / 1000).collect();
    let end = 140 + open / 100;
    let scene = Scene {
        cast: vec![Character::Validator],
        requests,
        end,
        until_settled: false,
        ..Scene::lie(1, Faults::default())
    };
    let outcome = play(scene);
    assert!(outcome.is_well(), "{:?}", outcome.verdict.wrong);
    assert_eq!(outcome.standings().len() as u64, open);
    let quiet = &outcome.traces[0].quiet;
    let others = quiet.iter().filter(|(kind, _)| **kind != "head").map(|(_, count)| count);
    println!("{open} open requests: {quiet:?} in 100 s");
    // The events are asked for at each new head.
    others.sum::<u64>() as f64 / quiet["logs"] as f64
}

#[test]
fn a_look_takes_three_calls_however_many_requests_are_open() {
    for open in [0, 150, 600, 10_000] {
        let calls = quiet_calls(open);
        assert!(calls <= 2.0, "{calls} calls for each head while {open} requests are open");
    }
}
