//! Waiting for the final answer of a request, as `opml request --wait` and `opml result --wait` do.

use crate::failure::Failure;
use crate::network::Session;
use crate::output::Output;
use contracts::{Answer, B256, IInferenceService, RequestStatus, Standing, Terms, U256};
use std::time::{Duration, Instant};

/// The pause between two polls.
const POLL: Duration = Duration::from_secs(1);

/// The final answer of a request. Waits for it if `patience`, in seconds, is given.
pub async fn final_answer(
    session: &Session,
    id: U256,
    patience: Option<u64>,
    output: Output,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    let terms = session.terms().await?;
    let notes = output.notes();
    loop {
        let statuses = session.service(&IInferenceService::statusOfCall { ids: vec![id] }).await?;
        let status = statuses.into_iter().next();
        let RequestStatus { hash, answer, .. } =
            status.ok_or_else(|| Failure::new("the node gives no status of the request"))?;
        if answer.standing == Standing::Final {
            return Ok(answer);
        }
        if hash == B256::ZERO {
            return Err(Failure::new(format!("there is no request {id}, or it was cancelled"))
                .hint("`opml request` prints the number of a request"));
        }
        let state = state(&answer, &terms, session.head().await?.time);
        let left = patience.map(|patience| Duration::from_secs(patience).saturating_sub(start.elapsed()));
        match left {
            None => {
                return Err(Failure::pending(format!("request {id} has no final answer: {state}"))
                    .hint(format!("--wait waits for it; `opml status {id}` shows its history")));
            }
            Some(Duration::ZERO) => {
                let waited = start.elapsed().as_secs();
                return Err(Failure::pending(format!("request {id} is not final after {waited} s: {state}"))
                    .hint(format!("`opml status {id}` shows its history")));
            }
            Some(left) => {
                notes.show(&state.to_string(), &state.what);
                tokio::time::sleep(POLL.min(left)).await;
            }
        }
    }
}

/// Describes what the command waits for, and until when.
struct State {
    what: String,
    until: String,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.what, self.until)
    }
}

/// Describes the state of a request that isn't final.
fn state(answer: &Answer, terms: &Terms, now: u64) -> State {
    let ends = answer.posted.to::<u64>() + u64::from(terms.window);
    let (what, until) = match (answer.standing, answer.openGames.to::<u32>()) {
        (Standing::Pending, 0) if ends > now => {
            let what = format!("answered by {}; the answer can still be challenged", answer.asserter);
            (what, format!(" for {} s", ends - now))
        }
        (Standing::Pending, 0) => {
            ("the window is over; waiting for the server to settle the answer".to_owned(), String::new())
        }
        (Standing::Pending, games) => {
            let games = if games == 1 { "1 game".to_owned() } else { format!("{games} games") };
            let clock = format!(" (each side has {} s for its moves)", terms.clock);
            (format!("the answer of {} is challenged in {games}", answer.asserter), clock)
        }
        _ if answer.attempt > 0 => {
            (format!("answer {} was overturned; waiting for another", answer.attempt), String::new())
        }
        _ => ("waiting for an answer".to_owned(), String::new()),
    };
    State { what, until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(non_snake_case, reason = "fields have the contract's names")]
    fn it_says_what_is_waited_for_and_until_when() {
        let terms = Terms { window: 60, clock: 30, ..Terms::default() };
        let state = |standing, attempt, games, posted: u64| {
            let (posted, openGames) = (U256::from(posted).to(), U256::from(games).to());
            let (asserter, result, delivered) = Default::default();
            let answer = Answer { asserter, posted, attempt, openGames, standing, delivered, result };
            state(&answer, &terms, 1000).to_string()
        };
        assert_eq!(state(Standing::None, 0, 0, 0), "waiting for an answer");
        assert!(state(Standing::Pending, 1, 0, 950).ends_with("can still be challenged for 10 s"));
        assert!(state(Standing::Pending, 1, 0, 940).contains("settle"));
        assert!(state(Standing::Pending, 1, 2, 950).contains("in 2 games (each side has 30 s"));
        assert_eq!(state(Standing::None, 1, 0, 950), "answer 1 was overturned; waiting for another");
    }
}
