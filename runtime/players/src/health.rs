//! How a player or a worker is, for whoever watches over it.
//!
//! It notes what it sees in a [`Health`], and the endpoint `/health` asks it for a [`Report`]. Both have the same one,
//! and the report is made when it is asked for: a player that hangs notes nothing more, and is red by that.

use contracts::U256;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How old the last block that was looked at may be, in seconds, if the clock allows for it.
const OLD: u64 = 120;

/// How many polls in a row fail, or jobs about a model, before that is a reason to act. Nodes fail now and then.
const MANY: u64 = 3;

/// How far the last block may be ahead of the computer's clock, in seconds.
const AHEAD: u64 = 60;

/// What a player or a worker knows about itself.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    /// What the computer takes for the time, in seconds since 1970. It may be set at any moment, so only the age of the
    /// last block depends on it, and never alone.
    clock: fn() -> u64,
}

impl Default for Health {
    fn default() -> Self {
        Self::with_clock(now)
    }
}

#[derive(Debug, Default)]
struct State {
    /// The time that a player has for all its moves in a game, in seconds; 0 while it isn't known.
    clock: u64,
    /// The last block that was looked at.
    head: Option<Seen>,
    /// Why the last poll failed, and how many failed in a row.
    failed: Option<(u64, String)>,
    /// When the clock of a game ends that runs against the player.
    deadline: Option<u64>,
    /// The duties that could not be done, by request and name.
    waiting: BTreeMap<(U256, String), Waiting>,
    /// By what the money is needed for.
    money: BTreeMap<String, String>,
    /// By the name of the model.
    checks: BTreeMap<String, String>,
    /// Of a worker, which has no chain to follow.
    database: Option<Silence>,
    /// Why the last job failed, and how many failed in a row, by the name of the model.
    jobs: BTreeMap<String, (u64, String)>,
    store: Option<String>,
    kept: Vec<(&'static str, usize)>,
}

impl State {
    fn tell_waiting(&self) {
        metrics::gauge!("opml_undone_duties").set(self.waiting.len() as f64);
    }
}

/// A block.
#[derive(Debug, Clone, Copy)]
struct Seen {
    number: u64,
    /// When it was made, in seconds since 1970.
    time: u64,
    /// When it was first seen.
    since: Instant,
}

impl Seen {
    /// How long ago it was first seen, in seconds.
    fn standstill(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs()
    }
}

/// A duty that could not be done yet.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    deadline: Option<u64>,
    reason: String,
    /// Whether it was said again since the last block.
    still: bool,
}

/// How long nothing was heard of the database that a worker depends on.
#[derive(Debug)]
struct Silence {
    /// For how many seconds it may last: then others get the worker's jobs.
    most: u64,
    since: Instant,
    /// Why it lasts, if that is known.
    reason: Option<String>,
}

impl Silence {
    fn too_long(&self) -> Option<String> {
        let lasts = self.since.elapsed().as_secs();
        let reason = self.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        (lasts > self.most).then(|| format!("database: no answer for {lasts} s{reason}"))
    }
}

/// A health at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ok` or `red`.
    pub status: &'static str,
    /// Why it is red: each reason begins with a word that stays the same.
    pub reasons: Vec<String>,
    /// The last block that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
    /// How long ago that block was made, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_age: Option<u64>,
    /// The seconds to the nearest deadline of a game that waits for this player.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_deadline: Option<u64>,
}

impl Report {
    /// Whether somebody has to act.
    #[must_use]
    pub fn is_red(&self) -> bool {
        !self.reasons.is_empty()
    }
}

impl Health {
    /// The health of a worker. It must hear from the database at least once in so many seconds.
    #[must_use]
    pub fn of_worker(most: u64) -> Self {
        let database = Some(Silence { most, since: Instant::now(), reason: None });
        Self { state: Mutex::new(State { database, ..State::default() }), clock: now }
    }

    /// The database has answered a worker, or failed for this reason.
    pub fn heard(&self, failure: Option<String>) {
        if let Some(silence) = &mut self.state().database {
            if failure.is_none() {
                silence.since = Instant::now();
            }
            silence.reason = failure;
        }
    }

    /// A job about a model was done, or failed for this reason.
    pub fn worked(&self, model: impl ToString, failure: Option<String>) {
        let jobs = &mut self.state().jobs;
        match failure {
            Some(reason) => count(jobs.entry(model.to_string()).or_default(), reason),
            None => drop(jobs.remove(&model.to_string())),
        }
    }

    /// Of a player on a computer with this clock, which tells the seconds since 1970.
    #[must_use]
    pub fn with_clock(clock: fn() -> u64) -> Self {
        Self { state: Mutex::default(), clock }
    }

    /// The time that a player has for all its moves in a game, in seconds.
    pub fn clock(&self, seconds: u64) {
        metrics::gauge!("opml_clock_seconds").set(seconds as f64);
        self.state().clock = seconds;
    }

    /// A poll looked at this block, made at `time` in seconds since 1970, and tried everything that is due. A duty of
    /// which nobody said since the block before that it [waits](Self::waits) is done, or isn't wanted any more.
    pub fn polled(&self, number: u64, time: u64) {
        let mut state = self.state();
        let same = state.head.filter(|head| (head.number, head.time) == (number, time));
        state.head = same.or_else(|| Some(Seen { number, time, since: Instant::now() }));
        state.failed = None;
        // What was refused isn't tried again before the next block.
        if same.is_none() {
            state.waiting.retain(|_, waiting| std::mem::replace(&mut waiting.still, false));
        }
        state.tell_waiting();
    }

    /// A poll failed.
    pub fn poll_failed(&self, reason: impl ToString) {
        let mut state = self.state();
        count(state.failed.get_or_insert_default(), reason.to_string());
        state.tell_waiting();
    }

    /// The nearest deadline of a game in which it is the player's turn, in seconds since 1970; `None` if it has no turn.
    pub fn deadline(&self, deadline: Option<u64>) {
        self.state().deadline = deadline;
    }

    /// A duty can't be done now. The player says so again at every block at which that is so.
    pub fn waits(&self, request: U256, duty: impl ToString, deadline: Option<u64>, reason: impl ToString) {
        let mut state = self.state();
        let waiting = state.waiting.entry((request, duty.to_string()));
        let waiting = waiting.or_insert_with(|| Waiting {
            since: Instant::now(),
            deadline: None,
            reason: String::new(),
            still: false,
        });
        (waiting.deadline, waiting.reason, waiting.still) = (deadline, reason.to_string(), true);
    }

    /// There is too little money for something: `what` names it, `reason` says how much is missing. `None` once there is
    /// enough.
    pub fn money(&self, what: impl ToString, reason: Option<String>) {
        set(&mut self.state().money, what.to_string(), reason);
    }

    /// A model can't be used to check answers, and why. `None` once it can.
    pub fn check(&self, model: impl ToString, reason: Option<String>) {
        set(&mut self.state().checks, model.to_string(), reason);
    }

    /// The state file can't be used, and why. `None` once it can.
    pub fn store(&self, reason: Option<String>) {
        self.state().store = reason;
    }

    /// How many entries of each kind the player keeps in memory.
    pub fn keeps(&self, kept: Vec<(&'static str, usize)>) {
        self.state().kept = kept;
    }

    /// The same, as it was noted last. What is kept for a request is forgotten when that is closed, so none of it grows
    /// with the player's age.
    #[must_use]
    pub fn kept(&self) -> Vec<(&'static str, usize)> {
        self.state().kept.clone()
    }

    /// The health now. The metrics that tell it are made from the same report.
    #[must_use]
    pub fn report(&self) -> Report {
        let report = self.report_at((self.clock)(), Instant::now());
        metrics::gauge!("opml_healthy").set(if report.is_red() { 0.0 } else { 1.0 });
        if let Some(age) = report.head_age {
            metrics::gauge!("opml_head_age_seconds").set(age as f64);
        }
        report
    }

    /// The health at a time of the computer's clock, and of one that nobody can set.
    fn report_at(&self, wall: u64, now: Instant) -> Report {
        let state = self.state();
        let mut reasons = Vec::new();
        // The time of the chain: all deadlines are about that.
        let time = state.head.map_or(wall, |head| head.time.saturating_add(head.standstill(now)));
        // The clock may have been set back.
        let age = state.head.map(|head| wall.saturating_sub(head.time).max(head.standstill(now)));
        // A player whose clock is short needs younger blocks.
        let old = if state.clock == 0 { OLD } else { OLD.min(state.clock / 3).max(10) };
        match state.head.zip(age) {
            _ if state.database.is_some() => {}
            None => reasons.push("head: no block was looked at yet".to_owned()),
            Some((head, age)) if age > old => {
                let since = head.standstill(now);
                let but = match since > old {
                    true => String::new(),
                    false => format!(
                        ", though it came {since} s ago: the node is behind, or this computer's clock is wrong"
                    ),
                };
                reasons.push(format!("head: the last block is {age} s old, not {old} s at most{but}"));
            }
            Some(_) => {}
        }
        if let Some(ahead) = state.head.map(|head| head.time.saturating_sub(wall)).filter(|it| *it > AHEAD) {
            reasons.push(format!(
                "clock: the last block is from {ahead} s after the time of this computer's clock, which must be wrong"
            ));
        }
        let left = state.deadline.map(|deadline| deadline.saturating_sub(time));
        if let Some(left) = left.filter(|&left| left < state.clock / 3) {
            reasons.push(format!("deadline: {left} s are left for a move, less than a third of the clock"));
        }
        if let Some((count, reason)) = state.failed.as_ref().filter(|(count, _)| *count >= MANY) {
            reasons.push(format!("poll: {count} polls in a row failed: {reason}"));
        }
        reasons.extend(state.database.iter().filter_map(Silence::too_long));
        reasons.extend(
            state.jobs.iter().filter(|(_, (count, _))| *count >= MANY).map(|(model, (count, reason))| {
                format!("job: {model}: {count} jobs in a row failed: {reason}")
            }),
        );
        reasons.extend(state.store.iter().map(|reason| format!("store: {reason}")));
        reasons.extend(state.money.iter().map(|(what, reason)| format!("money: {what}: {reason}")));
        reasons.extend(state.checks.iter().map(|(model, reason)| format!("check: {model}: {reason}")));
        reasons.extend(state.waiting.iter().map(|((request, duty), waiting)| {
            let since = now.saturating_duration_since(waiting.since).as_secs();
            let deadline = waiting.deadline.map_or_else(
                || "no deadline".to_owned(),
                |deadline| format!("deadline in {} s", deadline.saturating_sub(time)),
            );
            let reason = &waiting.reason;
            format!("duty: request {request}: {duty} not done for {since} s, {deadline}: {reason}")
        }));
        let status = if reasons.is_empty() { "ok" } else { "red" };
        Report {
            status,
            reasons,
            head: state.head.map(|head| head.number),
            head_age: age,
            nearest_deadline: left,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one more failure in a row.
fn count(failed: &mut (u64, String), reason: String) {
    *failed = (failed.0.saturating_add(1), reason);
}

/// Notes a trouble, or forgets it.
fn set(troubles: &mut BTreeMap<String, String>, name: String, reason: Option<String>) {
    match reason {
        Some(reason) => troubles.insert(name, reason),
        None => troubles.remove(&name),
    };
}

/// The time in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: u64 = 1_700_000_000;

    trait AtWall {
        fn at_wall(&self, wall: u64) -> Report;
    }

    impl AtWall for Health {
        fn at_wall(&self, wall: u64) -> Report {
            self.report_at(wall, Instant::now())
        }
    }

    /// A player whose last poll went well.
    fn healthy() -> Health {
        let health = Health::default();
        health.clock(600);
        health.polled(7, NOW - 12);
        health
    }

    /// What is wrong, if exactly one thing is.
    fn reason(health: &Health) -> String {
        let report = health.at_wall(NOW);
        assert_eq!((report.status, report.reasons.len(), report.is_red()), ("red", 1, true), "{report:?}");
        report.reasons[0].clone()
    }

    #[test]
    fn a_player_that_polls_is_well_until_its_last_block_is_old() {
        assert!(reason(&Health::default()).starts_with("head: no block"));
        let health = healthy();
        let report = health.at_wall(NOW);
        assert_eq!((report.status, report.head, report.head_age), ("ok", Some(7), Some(12)), "{report:?}");
        assert_eq!(health.at_wall(NOW + OLD - 12).status, "ok");
        assert_eq!(health.at_wall(NOW + OLD - 11).status, "red");
        // A short clock allows for less.
        let short = Health::default();
        short.clock(60);
        short.polled(7, NOW - 20);
        assert_eq!(short.at_wall(NOW).status, "ok");
        assert_eq!(short.at_wall(NOW + 1).status, "red");
    }

    #[test]
    fn a_deadline_is_near_when_less_than_a_third_of_the_clock_is_left() {
        let health = healthy();
        health.deadline(Some(NOW + 188));
        assert_eq!(health.at_wall(NOW).nearest_deadline, Some(200));
        assert_eq!(health.at_wall(NOW).status, "ok");
        health.deadline(Some(NOW + 187));
        assert!(reason(&health).starts_with("deadline: 199 s are left"));
        health.deadline(Some(NOW - 50));
        assert!(reason(&health).starts_with("deadline: 0 s are left"));
        health.deadline(None);
        assert_eq!(health.at_wall(NOW).status, "ok");
    }

    #[test]
    fn a_clock_that_is_set_hides_nothing() {
        let (health, seen) = (healthy(), Instant::now());
        let later = |seconds| seen + std::time::Duration::from_secs(seconds);
        health.deadline(Some(NOW + 300));
        // Forward or after a suspension, back, and back by so little that it might be the block's.
        let forward = health.report_at(NOW + 7200, later(5));
        assert!(forward.reasons[0].contains("this computer's clock is wrong"), "{forward:?}");
        let back = health.report_at(NOW - 7200, later(5));
        assert!(back.reasons[0].starts_with("clock: the last block is from 7188 s after"), "{back:?}");
        for report in [&forward, &back] {
            // A deadline is as far away as before.
            assert_eq!((report.reasons.len(), report.nearest_deadline), (1, Some(307)), "{report:?}");
        }
        assert_eq!(health.report_at(NOW - 72, later(5)).status, "ok");
        // A block that stays the last one is found out whatever the clock says.
        let stale = health.report_at(NOW - 7200, later(OLD + 1));
        assert!(stale.reasons[0].starts_with("head: the last block is 121 s old, not 120 s"), "{stale:?}");
        health.polled(7, NOW - 12);
        assert_eq!(health.report_at(NOW, later(OLD + 2)).head_age, Some(OLD + 2), "it is the same block");
    }

    #[test]
    fn a_duty_is_named_with_its_age_and_deadline_until_a_block_does_not_miss_it() {
        let health = healthy();
        let poll = |number| health.polled(number, NOW);
        let request = U256::from(3);
        health.waits(request, "settle", None, "the first reason");
        health.waits(request, "challenge", Some(NOW + 60), "no money");
        poll(8);
        let reasons = health.at_wall(NOW).reasons;
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons[0].starts_with("duty: request 3: challenge not done for "), "{reasons:?}");
        assert!(reasons[0].ends_with(" s, deadline in 60 s: no money"), "{reasons:?}");
        health.waits(request, "settle", None, "the node refuses");
        poll(9);
        assert!(reason(&health).ends_with("no deadline: the node refuses"));
        poll(9);
        assert_eq!(health.at_wall(NOW).status, "red", "the same block");
        poll(10);
        assert_eq!(health.at_wall(NOW).status, "ok");
    }

    #[test]
    fn a_worker_needs_no_chain_but_its_database() {
        let health = Health::of_worker(15);
        let report = health.report();
        assert_eq!((report.status, report.head), ("ok", None), "{report:?}");
        assert_eq!(serde_json::json!(report).to_string(), r#"{"reasons":[],"status":"ok"}"#);
        let silent_for = |seconds| {
            let since = Instant::now() - Duration::from_secs(seconds);
            health.state().database.as_mut().expect("a worker's").since = since;
            health.report().reasons
        };
        assert_eq!(silent_for(15), [""; 0]);
        assert_eq!(silent_for(20), ["database: no answer for 20 s"], "it hangs");
        health.heard(Some("it is away".to_owned()));
        assert_eq!(silent_for(20), ["database: no answer for 20 s: it is away"]);
        assert_eq!(silent_for(10), [""; 0], "for a moment");
        let _ = silent_for(20);
        health.heard(None);
        assert_eq!(health.report().status, "ok");
        // That of a player has nothing to do with it.
        let player = healthy();
        player.heard(Some("it is away".to_owned()));
        assert_eq!(player.at_wall(NOW).status, "ok");
    }

    #[test]
    fn jobs_that_fail_in_a_row_are_a_reason() {
        let health = healthy();
        for count in 1..=MANY {
            assert_eq!(health.at_wall(NOW).status, "ok", "{count}");
            health.worked("mnist", Some(format!("reason {count}")));
            health.worked("other", None);
        }
        assert_eq!(reason(&health), "job: mnist: 3 jobs in a row failed: reason 3");
        health.worked("other", Some("once".to_owned()));
        health.worked("mnist", None);
        assert_eq!(health.at_wall(NOW).status, "ok");
        health.worked("mnist", Some("once again".to_owned()));
        assert_eq!(health.at_wall(NOW).status, "ok");
    }

    #[test]
    fn every_trouble_is_a_reason_until_it_is_over() {
        let health = healthy();
        let is = |text: &str| {
            assert_eq!(reason(&health), text);
        };
        health.money("bonds", Some("1 ETH is missing".to_owned()));
        is("money: bonds: 1 ETH is missing");
        health.money("bonds", None);
        health.check("mnist", Some("damaged".to_owned()));
        is("check: mnist: damaged");
        health.check("mnist", None);
        health.store(Some("the disk is full".to_owned()));
        is("store: the disk is full");
        health.store(None);
        for _ in 0..MANY {
            assert_eq!(health.at_wall(NOW).status, "ok");
            health.poll_failed("no answer");
        }
        assert_eq!(reason(&health), "poll: 3 polls in a row failed: no answer");
        health.polled(8, NOW);
        assert_eq!(health.at_wall(NOW).status, "ok");
    }
}
