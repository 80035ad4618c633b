//! How a player is, for whoever watches over it.
//!
//! The player notes what it sees in a [`Health`], and the endpoint `/health` asks it for a [`Report`]. Both have the
//! same one, and the report is made when it is asked for: a player that hangs notes nothing more, and is red by that.

use contracts::U256;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How old the last block that was looked at may be, in seconds, if the clock allows for it.
const OLD: u64 = 120;

/// What a player knows about itself.
#[derive(Debug)]
pub struct Health {
    /// The time that a player has for all its moves in a game, in seconds.
    clock: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last block that was looked at: its number, and its time.
    head: Option<(u64, u64)>,
    /// Why the last poll failed.
    poll: Option<String>,
    /// When the clock of a game ends that runs against the player.
    deadline: Option<u64>,
    /// The duties that could not be done, by request and name.
    waiting: BTreeMap<(U256, String), Waiting>,
    /// By what the money is needed for.
    money: BTreeMap<String, String>,
    /// By the name of the model.
    checks: BTreeMap<String, String>,
    store: Option<String>,
}

/// A duty that could not be done yet.
#[derive(Debug)]
struct Waiting {
    since: u64,
    deadline: Option<u64>,
    reason: String,
}

/// A player's health at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ok` or `red`.
    pub status: &'static str,
    /// Why it is red: each reason begins with a word that stays the same.
    pub reasons: Vec<String>,
    /// The last block that was looked at.
    pub head: Option<u64>,
    /// How long ago that block was made, in seconds.
    pub head_age: Option<u64>,
    /// The seconds to the nearest deadline of a game that waits for this player.
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
    /// That of a player with this clock, which has seen nothing yet.
    #[must_use]
    pub fn new(clock: u64) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// A poll looked at this block, made at `time` in seconds since 1970, and did all that it could.
    pub fn polled(&self, number: u64, time: u64) {
        let mut state = self.state();
        state.head = Some((number, time));
        state.poll = None;
    }

    /// A poll failed.
    pub fn poll_failed(&self, reason: impl ToString) {
        self.state().poll = Some(reason.to_string());
    }

    /// The nearest deadline of a game in which it is the player's turn, in seconds since 1970; `None` if it has no turn.
    pub fn deadline(&self, deadline: Option<u64>) {
        self.state().deadline = deadline;
    }

    /// A duty can't be done now. It counts from the first time that this is said, until it is [`done`](Self::done).
    pub fn waits(&self, request: U256, duty: impl ToString, deadline: Option<u64>, reason: impl ToString) {
        let (now, reason) = (now(), reason.to_string());
        let mut state = self.state();
        let waiting = state.waiting.entry((request, duty.to_string()));
        let waiting = waiting.or_insert(Waiting { since: now, deadline, reason: String::new() });
        (waiting.deadline, waiting.reason) = (deadline, reason);
    }

    /// A duty is done, or isn't wanted any more.
    pub fn done(&self, request: U256, duty: impl ToString) {
        self.state().waiting.remove(&(request, duty.to_string()));
    }

    /// Nothing is wanted of a request any more.
    pub fn closed(&self, request: U256) {
        self.state().waiting.retain(|(id, _), _| *id != request);
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

    /// The health now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report_at(now())
    }

    fn report_at(&self, now: u64) -> Report {
        let state = self.state();
        let mut reasons = Vec::new();
        let age = state.head.map(|(_, time)| now.saturating_sub(time));
        // A player whose clock is short needs younger blocks.
        let old = OLD.min(self.clock / 3).max(10);
        match age {
            None => reasons.push("head: no block was looked at yet".to_owned()),
            Some(age) if age > old => {
                reasons.push(format!("head: the last block is {age} s old, not {old} s at most"))
            }
            Some(_) => {}
        }
        let left = state.deadline.map(|deadline| deadline.saturating_sub(now));
        if let Some(left) = left.filter(|&left| left < self.clock / 3) {
            reasons.push(format!("deadline: {left} s are left for a move, less than a third of the clock"));
        }
        reasons.extend(state.poll.iter().map(|reason| format!("poll: {reason}")));
        reasons.extend(state.store.iter().map(|reason| format!("store: {reason}")));
        reasons.extend(state.money.iter().map(|(what, reason)| format!("money: {what}: {reason}")));
        reasons.extend(state.checks.iter().map(|(model, reason)| format!("check: {model}: {reason}")));
        reasons.extend(state.waiting.iter().map(|((request, duty), waiting)| {
            let since = now.saturating_sub(waiting.since);
            let deadline = waiting.deadline.map_or_else(
                || "no deadline".to_owned(),
                |deadline| format!("deadline in {} s", deadline.saturating_sub(now)),
            );
            let reason = &waiting.reason;
            format!("duty: request {request}: {duty} not done for {since} s, {deadline}: {reason}")
        }));
        let status = if reasons.is_empty() { "ok" } else { "red" };
        Report {
            status,
            reasons,
            head: state.head.map(|(number, _)| number),
            head_age: age,
            nearest_deadline: left,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    const NOW: u64 = 1_700_000_000;

    /// A player whose last poll went well.
    fn healthy() -> Health {
        let health = Health::new(600);
        health.polled(7, NOW - 12);
        health
    }

    /// What is wrong, if exactly one thing is.
    fn reason(health: &Health) -> String {
        let report = health.report_at(NOW);
        assert_eq!((report.status, report.reasons.len(), report.is_red()), ("red", 1, true), "{report:?}");
        report.reasons[0].clone()
    }

    #[test]
    fn a_player_that_polls_is_well_until_its_last_block_is_old() {
        assert!(reason(&Health::new(600)).starts_with("head: no block"));
        let health = healthy();
        let report = health.report_at(NOW);
        assert_eq!((report.status, report.head, report.head_age), ("ok", Some(7), Some(12)), "{report:?}");
        assert_eq!(health.report_at(NOW + OLD - 12).status, "ok");
        assert_eq!(health.report_at(NOW + OLD - 11).status, "red");
        // A short clock allows for less.
        let short = Health::new(60);
        short.polled(7, NOW - 20);
        assert_eq!(short.report_at(NOW).status, "ok");
        assert_eq!(short.report_at(NOW + 1).status, "red");
    }

    #[test]
    fn a_deadline_is_near_when_less_than_a_third_of_the_clock_is_left() {
        let health = healthy();
        health.deadline(Some(NOW + 200));
        assert_eq!(health.report_at(NOW).nearest_deadline, Some(200));
        assert_eq!(health.report_at(NOW).status, "ok");
        health.deadline(Some(NOW + 199));
        assert!(reason(&health).starts_with("deadline: 199 s are left"));
        health.deadline(Some(NOW - 5));
        assert!(reason(&health).starts_with("deadline: 0 s are left"));
        health.deadline(None);
        assert_eq!(health.report_at(NOW).status, "ok");
    }

    #[test]
    fn a_duty_is_named_with_its_age_and_deadline_until_it_is_done() {
        let health = healthy();
        let request = U256::from(3);
        health.waits(request, "settle", None, "the first reason");
        health.waits(request, "settle", Some(u64::MAX), "the node refuses");
        health.waits(request, "challenge", None, "no money");
        assert_eq!(health.report_at(NOW).reasons.len(), 2);
        health.done(request, "challenge");
        let text = reason(&health);
        assert!(
            text.starts_with("duty: request 3: settle not done for ") && text.ends_with("the node refuses"),
            "{text}"
        );
        health.waits(U256::from(4), "settle", None, "");
        health.closed(U256::from(4));
        health.done(request, "settle");
        assert_eq!(health.report_at(NOW).status, "ok");
    }

    #[test]
    fn every_trouble_is_a_reason_until_it_is_over() {
        let health = healthy();
        let troubles: [(&str, &dyn Fn(Option<&str>)); 3] = [
            ("money: bonds: 1 ETH is missing", &|it| {
                health.money("bonds", it.map(|_| "1 ETH is missing".to_owned()))
            }),
            ("check: mnist: damaged", &|it| health.check("mnist", it.map(|_| "damaged".to_owned()))),
            ("store: the disk is full", &|it| health.store(it.map(|_| "the disk is full".to_owned()))),
        ];
        for (text, set) in troubles {
            set(Some(""));
            assert_eq!(reason(&health), text);
            set(None);
            assert_eq!(health.report_at(NOW).status, "ok");
        }
        health.poll_failed("no answer");
        assert_eq!(reason(&health), "poll: no answer");
        health.polled(8, NOW);
        assert_eq!(health.report_at(NOW).status, "ok");
    }
}
