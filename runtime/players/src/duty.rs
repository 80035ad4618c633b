//! What a player has to do: a pure function of the state of the chain.

use crate::book::Position;
use crate::model::is_by_root;
use crate::show::GameName;
use contracts::{Address, Answer, B256, Request, Standing, Terms, U256};
use game::Side;
use std::fmt::{Display, Formatter};
use std::ops::RangeInclusive;

/// Whether a player answers or challenges. Either way, it also defends its answers and plays its games.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Answers requests that pay at least this much, in wei, plus the callback's gas.
    pub answers: Option<U256>,
    /// Challenges wrong answers.
    pub challenges: bool,
    /// Answers requests whose last answer was overturned, if they pay for the callback's gas.
    pub repairs: bool,
}

impl Role {
    /// The role's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match (self.answers.is_some(), self.challenges) {
            (true, true) => "server and validator",
            (true, false) => "server",
            (false, _) => "validator",
        }
    }
}

/// The state of a game.
#[derive(Debug, Clone)]
pub enum GameStanding {
    /// There is no game.
    None,
    /// It is running.
    Open(Box<Position>),
    /// It is running, but the player hasn't seen the event of its current state.
    Unseen,
    /// It is over, and this side won. `None` if another game overturned the answer.
    Over(Option<Side>),
}

impl GameStanding {
    /// Whether the game is not over.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Unseen)
    }
}

/// A request, its answer and the games that concern a player, as of one block.
#[derive(Debug, Clone)]
pub struct Case {
    /// The request's number.
    pub id: U256,
    /// The request's hash as the contract stores it; zero if the request was cancelled.
    pub hash: B256,
    /// The request; `None` if it was cancelled.
    pub request: Option<Request>,
    /// When the requester may cancel it; zero if it gave no notice.
    pub cancellable: u64,
    /// The last answer.
    pub answer: Answer,
    /// The games by their IDs: those against the player's answers, and those that it opened.
    pub games: Vec<(U256, GameStanding)>,
    /// The output root that the player has computed.
    pub truth: Option<B256>,
    /// Whether the player has ever answered the request on the chain.
    pub answered: bool,
    /// The size of the callback data in bytes.
    pub callback_data: usize,
    /// What the player would offer for gas now, in wei per unit.
    pub gas_price: u128,
    /// Whether something has changed that hasn't been read yet.
    pub unread: bool,
}

impl Case {
    /// A request of whose state nothing is known yet.
    #[must_use]
    pub fn unseen(id: U256) -> Self {
        let answer = Answer {
            asserter: Address::ZERO,
            posted: U256::ZERO.to(),
            attempt: 0,
            openGames: U256::ZERO.to(),
            standing: Standing::None,
            delivered: false,
            result: B256::ZERO,
        };
        let (hash, request, cancellable, games, truth) = Default::default();
        let (answered, callback_data, gas_price, unread) = (false, 0, 0, true);
        Self {
            id,
            hash,
            request,
            cancellable,
            answer,
            games,
            truth,
            answered,
            callback_data,
            gas_price,
            unread,
        }
    }

    /// Whether the answer can't change any more, or there is no request.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.answer.standing == Standing::Final || self.hash == B256::ZERO
    }

    /// Whether nobody challenges the last answer: then no game against it is running, known or not.
    #[must_use]
    pub fn is_unchallenged(&self) -> bool {
        matches!(self.answer.standing, Standing::Pending | Standing::Final) && self.answer.openGames.is_zero()
    }

    /// The next time at which something may be too late, in seconds since 1970, if answers can be challenged for
    /// so many seconds.
    #[must_use]
    pub fn deadline(&self, window: u64) -> u64 {
        let games = self.games.iter().filter_map(|(_, standing)| match standing {
            GameStanding::Open(state) => Some(state.place().deadline()),
            GameStanding::Unseen => Some(0),
            _ => None,
        });
        let pending = self.answer.standing == Standing::Pending;
        let window = pending.then(|| self.answer.posted.to::<u64>().saturating_add(window));
        games.chain(window).min().unwrap_or(u64::MAX)
    }

    /// Whether the player has missed events: the chain has a request, or a state of one of `me`'s games, for
    /// which no event was seen.
    #[must_use]
    pub fn misses_events(&self, me: Address) -> bool {
        let defended = |(id, standing): &&(U256, GameStanding)| {
            matches!(standing, GameStanding::Open(_)) && game_of(*id).1 == self.answer.attempt
        };
        let against = if self.answer.standing == Standing::Pending && self.answer.asserter == me {
            self.answer.openGames.to()
        } else {
            0
        };
        let unseen = self.games.iter().any(|(_, standing)| matches!(standing, GameStanding::Unseen));
        let unasked = self.request.is_none() && self.hash != B256::ZERO;
        // What has changed is read first.
        !self.unread && (unseen || unasked || self.games.iter().filter(defended).count() < against)
    }
}

/// An action that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Compute the result.
    Compute,
    /// Answer the request.
    Answer,
    /// Challenge the answer.
    Challenge,
    /// Move in a game.
    Reply(U256),
    /// End a game whose mover ran out of time.
    Timeout(U256),
    /// Make the answer final.
    Settle,
    /// Get the bond of a game back.
    Reclaim(U256),
}

impl Duty {
    /// Whether nothing is lost if it is done later.
    pub(crate) fn can_wait(&self) -> bool {
        matches!(self, Self::Answer | Self::Settle | Self::Reclaim(_))
    }
}

impl Display for Duty {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Compute => f.write_str("compute the result"),
            Self::Answer => f.write_str("answer"),
            Self::Challenge => f.write_str("challenge"),
            Self::Reply(game) => write!(f, "move in game {}", GameName(*game)),
            Self::Timeout(game) => write!(f, "end game {} by timeout", GameName(*game)),
            Self::Settle => f.write_str("settle"),
            Self::Reclaim(game) => write!(f, "reclaim the bond of game {}", GameName(*game)),
        }
    }
}

/// The ID of a challenger's game against an answer.
#[must_use]
pub fn game_id(request: U256, attempt: u16, challenger: Address) -> U256 {
    (request << 176) | (U256::from(attempt) << 160) | U256::from_be_slice(challenger.as_slice())
}

/// The IDs of all games about a request.
#[must_use]
pub fn game_ids(request: U256) -> RangeInclusive<U256> {
    let (first, others): (U256, U256) = (request << 176, U256::MAX >> 80);
    first..=first | others
}

/// The request and the attempt that a game is about.
#[must_use]
pub fn game_of(game: U256) -> (U256, u16) {
    let attempt: U256 = (game >> 160) & U256::from(u16::MAX);
    (game >> 176, attempt.to())
}

/// The challenger of a game.
#[must_use]
pub fn challenger_of(game: U256) -> Address {
    Address::from_slice(&game.to_be_bytes::<32>()[12..])
}

/// Whether `me` may have something to do in a game. Once an answer is overturned, only its challengers do:
/// they get their bonds back.
#[must_use]
pub fn concerns(me: Address, answer: &Answer, id: U256, standing: &GameStanding) -> bool {
    match standing {
        GameStanding::Open(_) => challenger_of(id) == me || (answer.asserter == me && is_alive(answer, id)),
        _ => challenger_of(id) == me,
    }
}

/// Whether a game is against an answer that is still pending.
fn is_alive(answer: &Answer, game: U256) -> bool {
    answer.standing == Standing::Pending && game_of(game).1 == answer.attempt
}

/// What `me` has to do about a case at this time.
#[must_use]
pub fn duties(role: &Role, me: Address, terms: &Terms, now: u64, case: &Case) -> Vec<Duty> {
    if case.unread {
        return Vec::new();
    }
    let games = case.games.iter().filter_map(|(id, standing)| about_game(me, now, case, *id, standing));
    games.chain(about_answer(role, me, terms, now, case)).collect()
}

/// From when on `me` may have something to do about a case, if nothing else changes: at once if there is something now,
/// since it may have to be tried again, or a game is running.
#[must_use]
pub fn next_duty(role: &Role, me: Address, terms: &Terms, now: u64, case: &Case) -> u64 {
    /// After so many seconds, gas may be cheap enough for a callback.
    const CHEAPER: u64 = 60;
    let (answer, playing) = (&case.answer, case.games.iter().any(|(_, game)| game.is_running()));
    if playing || !duties(role, me, terms, now, case).is_empty() {
        return 0;
    }
    let calls_back = case.request.as_ref().is_some_and(|request| request.callback != Address::ZERO);
    match answer.standing {
        Standing::None | Standing::Overturned if calls_back && !case.answered => now.saturating_add(CHEAPER),
        Standing::Pending if answer.asserter == me => {
            answer.posted.to::<u64>().saturating_add(terms.window.into())
        }
        _ => u64::MAX,
    }
}

fn about_game(me: Address, now: u64, case: &Case, id: U256, standing: &GameStanding) -> Option<Duty> {
    let GameStanding::Open(game) = standing else { return None };
    // A game ends with the answer that it challenges.
    if !is_alive(&case.answer, id) {
        return (challenger_of(id) == me).then_some(Duty::Reclaim(id));
    }
    let place = game.place();
    let mover = if place.mover == Side::Asserter { case.answer.asserter } else { challenger_of(id) };
    match (mover == me, now > place.deadline()) {
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
            // To get its bond back, the asserter must settle, which also pays for the callback's gas.
            let pays = |least| {
                U256::from(request.fee) >= callback_cost(request, case.gas_price).saturating_add(least)
            };
            let repair = role.repairs && answer.standing == Standing::Overturned && pays(U256::ZERO);
            let paid = role.answers.is_some_and(pays);
            // A player whose answer was overturned doesn't answer again.
            // Whoever shows an answer that can be cancelled away gives it for nothing.
            let safe =
                case.cancellable == 0 || now.saturating_add(u64::from(terms.window) / 2) < case.cancellable;
            ((repair || paid) && !case.answered && safe && can_be_settled(request, case.callback_data))
                .then(|| once_known(Duty::Answer))
        }
        Standing::Pending if answer.asserter == me => {
            // Only a callback needs the outputs.
            let settle = match request.callback {
                Address::ZERO => Duty::Settle,
                _ => once_known(Duty::Settle),
            };
            (over && answer.openGames.is_zero()).then_some(settle)
        }
        Standing::Pending if role.challenges && !over => {
            let mine = game_id(case.id, answer.attempt, me);
            let played =
                case.games.iter().any(|(id, game)| *id == mine && !matches!(game, GameStanding::None));
            let wrong = case.truth != Some(answer.result);
            (!played && wrong).then(|| once_known(Duty::Challenge))
        }
        _ => None,
    }
}

/// Whether the transactions that answer and settle a request are small enough for nodes to relay: they contain
/// the outputs, and the latter the callback data.
#[must_use]
pub fn can_be_settled(request: &Request, callback_data: usize) -> bool {
    /// The size of the rest of a transaction: the request, lengths, the signature.
    const REST: u64 = 1024;
    /// The offset and the length of an output.
    const HEAD: u64 = 64;
    let shown =
        request.outputs.iter().zip(0..).map(|(region, index)| match is_by_root(request.byRoot, index) {
            true => HEAD + 32,
            false => region.wrapping_to::<u64>().saturating_add(HEAD),
        });
    let outputs = shown.fold(REST, u64::saturating_add);
    outputs.saturating_add(callback_data as u64) <= chain::MOST_BYTES as u64
}

/// The callback's cost for the settler, in wei.
fn callback_cost(request: &Request, gas_price: u128) -> U256 {
    let gas = if request.callback == Address::ZERO { 0 } else { request.callbackGas };
    U256::from(gas) * U256::from(gas_price)
}
