//! What is to be done: a pure function of what the chain says.

use contracts::{Address, Answer, B256, Game, Request, Standing, Terms, U256};

/// What a player is there for. Whoever answers defends its answers; whoever challenges plays its games.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Answers requests, if they pay this much (in wei).
    pub answers: Option<U256>,
    /// Challenges answers that are wrong.
    pub challenges: bool,
    /// Answers requests whose last answer has fallen.
    pub repairs: bool,
}

/// How a game stands.
#[derive(Debug, Clone)]
pub enum GameStanding {
    /// There is none.
    None,
    /// It goes on.
    Open(Box<Game>),
    /// It goes on, but in a state that the player hasn't seen.
    Unseen,
    /// It is over.
    Over,
}

/// A request, its answer and the games that concern a player, as of one block.
#[derive(Debug, Clone)]
pub struct Case {
    /// The request's number.
    pub id: U256,
    /// The request; `None` if it was cancelled.
    pub request: Option<Request>,
    /// The last answer.
    pub answer: Answer,
    /// The games by their ids: those against the player's answers, and its own.
    pub games: Vec<(U256, GameStanding)>,
    /// The output root that the player has computed.
    pub truth: Option<B256>,
    /// Whether the player has ever answered the request.
    pub answered: bool,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Find out what the answer is.
    Compute,
    /// Answer.
    Answer,
    /// Challenge the answer.
    Challenge,
    /// Move in a game.
    Reply(U256),
    /// Say that the opponent's time is over.
    Timeout(U256),
    /// Make the answer final.
    Settle,
    /// Get a bond back.
    Reclaim(U256),
}

/// The id of a challenger's game against an answer.
#[must_use]
pub fn game_id(request: U256, attempt: u16, challenger: Address) -> U256 {
    (request << 176) | (U256::from(attempt) << 160) | U256::from_be_slice(challenger.as_slice())
}

/// The request and the attempt that a game is about.
#[must_use]
pub fn game_of(game: U256) -> (U256, u16) {
    let attempt: U256 = (game >> 160) & U256::from(u16::MAX);
    (game >> 176, attempt.to())
}

/// What `me` has to do about a case at this time.
#[must_use]
pub fn duties(role: &Role, me: Address, terms: &Terms, now: u64, case: &Case) -> Vec<Duty> {
    let mut duties = Vec::new();
    let answer = &case.answer;
    let pending = answer.standing == Standing::Pending;
    for (id, standing) in &case.games {
        let alive = pending && game_of(*id).1 == answer.attempt;
        let GameStanding::Open(game) = standing else { continue };
        let mover = if game.asserterMoves { game.asserter } else { game.challenger };
        let clock = if game.asserterMoves { game.asserterClock } else { game.challengerClock };
        let late = now.saturating_sub(game.since) > clock.into();
        match () {
            () if !alive && game.challenger == me => duties.push(Duty::Reclaim(*id)),
            () if !alive => {}
            () if mover == me && !late => duties.push(Duty::Reply(*id)),
            () if mover != me && late => duties.push(Duty::Timeout(*id)),
            () => {}
        }
    }
    let Some(request) = &case.request else { return duties };
    let age = now.saturating_sub(answer.posted.to());
    match answer.standing {
        Standing::None | Standing::Fallen => {
            let wanted = if answer.standing == Standing::Fallen { role.repairs } else { false };
            let paid = role.answers.is_some_and(|least| U256::from(request.fee) >= least);
            // Whose answer has fallen doesn't say it again.
            if (wanted || paid) && !case.answered {
                duties.push(if case.truth.is_some() { Duty::Answer } else { Duty::Compute });
            }
        }
        Standing::Pending if answer.asserter == me => {
            if age >= terms.window.into() && answer.openGames == 0 {
                duties.push(if case.truth.is_some() { Duty::Settle } else { Duty::Compute });
            }
        }
        Standing::Pending if role.challenges && age < terms.window.into() => {
            let mine = game_id(case.id, answer.attempt, me);
            let playing = case.games.iter().any(|(id, game)| *id == mine && !matches!(game, GameStanding::None));
            match case.truth {
                _ if playing => {}
                None => duties.push(Duty::Compute),
                Some(truth) if truth != answer.outputRoot => duties.push(Duty::Challenge),
                Some(_) => {}
            }
        }
        _ => {}
    }
    duties
}
