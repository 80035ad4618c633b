//! What is to be done: a pure function of what the chain says.

use contracts::{Address, Answer, B256, Game, Request, Standing, Terms, U256};

/// What a player is there for. Whoever answers defends its answers; whoever challenges plays its games.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Answers requests, if they pay this much (in wei) and the callback's gas.
    pub answers: Option<U256>,
    /// Challenges answers that are wrong.
    pub challenges: bool,
    /// Answers requests whose last answer has fallen, if they pay the callback's gas.
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
    /// The hash that the contract stores of it; zero if it was cancelled.
    pub hash: B256,
    /// The request; `None` if it was cancelled.
    pub request: Option<Request>,
    /// The last answer.
    pub answer: Answer,
    /// The games by their ids: those against the player's answers, and its own.
    pub games: Vec<(U256, GameStanding)>,
    /// The output root that the player has computed.
    pub truth: Option<B256>,
    /// Whether an answer of the player's to the request has ever been on the chain.
    pub answered: bool,
    /// How many bytes the callback is handed beside the output.
    pub callback_data: usize,
    /// What the player would offer for a unit of gas now, in wei.
    pub gas_price: u128,
}

impl Case {
    /// Whether the chain knows of something that no event has told: a request, or the state of a game of `me`.
    #[must_use]
    pub fn is_untold(&self, me: Address) -> bool {
        let defended = |(id, standing): &&(U256, GameStanding)| matches!(standing, GameStanding::Open(game) if game.asserter == me && game_of(*id).1 == self.answer.attempt);
        let against = if self.answer.standing == Standing::Pending && self.answer.asserter == me {
            self.answer.openGames as usize
        } else {
            0
        };
        let unseen = self.games.iter().any(|(_, standing)| matches!(standing, GameStanding::Unseen));
        let unasked = self.request.is_none() && self.hash != B256::ZERO;
        unseen || unasked || self.games.iter().filter(defended).count() < against
    }
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

/// Whether `me` may have something to do in a game. After an answer has fallen only the challengers have: a bond to get back.
#[must_use]
pub fn concerns(me: Address, answer: &Answer, id: U256, standing: &GameStanding) -> bool {
    match standing {
        GameStanding::Open(game) => game.challenger == me || (game.asserter == me && is_alive(answer, id)),
        _ => id == game_id(game_of(id).0, game_of(id).1, me),
    }
}

/// Whether a game is against an answer that may still stand or fall.
fn is_alive(answer: &Answer, game: U256) -> bool {
    answer.standing == Standing::Pending && game_of(game).1 == answer.attempt
}

/// What `me` has to do about a case at this time.
#[must_use]
pub fn duties(role: &Role, me: Address, terms: &Terms, now: u64, case: &Case) -> Vec<Duty> {
    let games = case.games.iter().filter_map(|(id, standing)| about_game(me, now, case, *id, standing));
    games.chain(about_answer(role, me, terms, now, case)).collect()
}

fn about_game(me: Address, now: u64, case: &Case, id: U256, standing: &GameStanding) -> Option<Duty> {
    let GameStanding::Open(game) = standing else { return None };
    // A game ends with the answer that it is against.
    if !is_alive(&case.answer, id) {
        return (game.challenger == me).then_some(Duty::Reclaim(id));
    }
    let (mover, clock) =
        if game.asserterMoves { (game.asserter, game.asserterClock) } else { (game.challenger, game.challengerClock) };
    match (mover == me, now.saturating_sub(game.since) > clock.into()) {
        (true, false) => Some(Duty::Reply(id)),
        (false, true) => Some(Duty::Timeout(id)),
        _ => None,
    }
}

fn about_answer(role: &Role, me: Address, terms: &Terms, now: u64, case: &Case) -> Option<Duty> {
    let (request, answer) = (case.request.as_ref()?, &case.answer);
    let once_known = |duty| if case.truth.is_some() { duty } else { Duty::Compute };
    let over = now.saturating_sub(answer.posted.to()) >= terms.window.into();
    match answer.standing {
        Standing::None | Standing::Overturned => {
            // Whoever answers has to settle, and to pay what the callback burns, to see its bond again.
            let pays = |least| U256::from(request.fee) >= callback_cost(request, case.gas_price).saturating_add(least);
            let repair = role.repairs && answer.standing == Standing::Overturned && pays(U256::ZERO);
            let paid = role.answers.is_some_and(pays);
            // Whose answer has fallen doesn't say it again.
            ((repair || paid) && !case.answered && can_be_settled(request, case.callback_data))
                .then(|| once_known(Duty::Answer))
        }
        Standing::Pending if answer.asserter == me => (over && answer.openGames == 0).then(|| once_known(Duty::Settle)),
        Standing::Pending if role.challenges && !over => {
            let mine = game_id(case.id, answer.attempt, me);
            let played = case.games.iter().any(|(id, game)| *id == mine && !matches!(game, GameStanding::None));
            let wrong = case.truth != Some(answer.outputRoot);
            (!played && wrong).then(|| once_known(Duty::Challenge))
        }
        _ => None,
    }
}

/// Whether nodes pass on the transaction that settles a request: the output and the callback's data are in it.
fn can_be_settled(request: &Request, callback_data: usize) -> bool {
    /// What else there is: the request, counts, the signature.
    const REST: u64 = 1024;
    request.outputBytes.saturating_add(callback_data as u64).saturating_add(REST) <= chain::MOST_BYTES as u64
}

/// What a callback costs whoever settles, in wei.
fn callback_cost(request: &Request, gas_price: u128) -> U256 {
    let gas = if request.callback == Address::ZERO { 0 } else { request.callbackGas };
    U256::from(gas) * U256::from(gas_price)
}
