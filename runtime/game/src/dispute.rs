//! One asserted result with any number of challengers: the window, the bonds, and the payouts.

use crate::game::{Clocks, Game, Outcome, Side};
use crate::model::Model;
use crate::moves::{Challenge, Illegal, Move};
use crate::rules::Rules;
use step::Root;
use thiserror::Error;

/// The terms, fixed before anything is asserted. Times are in the unit of `now`, amounts in that of the
/// bonds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long after the assertion it can be challenged.
    pub window: u64,
    /// The time of each side of a game.
    pub clocks: Clocks,
    /// The number of parts that a segment is cut into.
    pub arity: u64,
    /// The asserter's bond.
    pub asserter_bond: u64,
    /// A challenger's bond, for each game.
    pub challenger_bond: u64,
    /// The part of the asserter's bond that is burned if it loses.
    pub burned: u64,
}

/// What an asserter asserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion<K> {
    /// The asserter.
    pub asserter: K,
    /// The model.
    pub model: Model,
    /// The commitment to the inputs' roots.
    pub inputs: Root,
    /// The commitment to the outputs' roots, or void.
    pub result: Root,
}

/// The status of an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can still be challenged, or games are running.
    Pending,
    /// It is final.
    Final,
    /// It lost a game.
    Overturned,
}

/// A payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment<K> {
    /// The recipient.
    pub to: K,
    /// The amount.
    pub amount: u64,
}

/// Why an action is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The assertion is already decided.
    #[error("the assertion is final or was overturned")]
    Decided,
    /// Too late for a challenge.
    #[error("the challenge window is over")]
    WindowOver,
    /// Too early to settle.
    #[error("the challenge window is open or a game goes on")]
    Unsettled,
    /// An account cannot play against itself.
    #[error("the asserter can't challenge itself")]
    Itself,
    /// Each key can play only one game against an assertion.
    #[error("this key has challenged the assertion before")]
    Challenged,
    /// No such game.
    #[error("there is no such game")]
    Game,
    /// The game belongs to other players.
    #[error("this key plays on neither side of the game")]
    Stranger,
    /// The move breaks a rule of the game.
    #[error(transparent)]
    Illegal(#[from] Illegal),
}

/// A game with its challenger.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Match<K> {
    challenger: K,
    game: Game,
}

/// An assertion and the games against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute<K> {
    assertion: Assertion<K>,
    terms: Terms,
    posted: u64,
    standing: Standing,
    matches: Vec<Match<K>>,
}

impl<K: Copy + Eq> Dispute<K> {
    /// Posts an assertion with its bond.
    pub fn post(assertion: Assertion<K>, terms: Terms, now: u64) -> Self {
        Self { assertion, terms, posted: now, standing: Standing::Pending, matches: Vec::new() }
    }

    /// Opens a game with its bond. Returns the game's number.
    pub fn challenge(
        &mut self,
        rules: &impl Rules,
        challenger: K,
        challenge: &Challenge,
        now: u64,
    ) -> Result<usize, Refused> {
        self.pending()?;
        if now.saturating_sub(self.posted) >= self.terms.window {
            return Err(Refused::WindowOver);
        }
        if challenger == self.assertion.asserter {
            return Err(Refused::Itself);
        }
        if self.matches.iter().any(|match_| match_.challenger == challenger) {
            return Err(Refused::Challenged);
        }
        let Assertion { model, inputs, result, .. } = &self.assertion;
        let Terms { arity, clocks, .. } = self.terms;
        let game = Game::challenge_under(rules, model, *inputs, *result, arity, clocks, challenge, now)?;
        self.matches.push(Match { challenger, game });
        Ok(self.matches.len() - 1)
    }

    /// Makes a move. Returns the payouts.
    pub fn apply(
        &mut self,
        rules: &impl Rules,
        game: usize,
        player: K,
        move_: &Move,
        now: u64,
    ) -> Result<Vec<Payment<K>>, Refused> {
        self.pending()?;
        let asserter = self.assertion.asserter;
        let Match { challenger, game } = self.matches.get_mut(game).ok_or(Refused::Game)?;
        if game.mover().is_none() {
            return Err(Illegal::Over.into());
        }
        let side = match player {
            player if player == asserter => Side::Asserter,
            player if player == *challenger => Side::Challenger,
            _ => return Err(Refused::Stranger),
        };
        let (outcome, challenger) = (game.apply_under(rules, side, move_, now)?, *challenger);
        Ok(self.pay(outcome, challenger))
    }

    /// Ends a game whose mover has run out of time. Returns the payouts.
    pub fn timeout(&mut self, rules: &impl Rules, game: usize, now: u64) -> Result<Vec<Payment<K>>, Refused> {
        self.pending()?;
        let Match { challenger, game } = self.matches.get_mut(game).ok_or(Refused::Game)?;
        let (outcome, challenger) = (game.timeout_under(rules, now)?, *challenger);
        Ok(self.pay(outcome, challenger))
    }

    /// Makes an assertion final that can no longer be overturned; returns its bond.
    pub fn settle(&mut self, now: u64) -> Result<Payment<K>, Refused> {
        self.pending()?;
        let playing = self.matches.iter().any(|match_| match_.game.mover().is_some());
        if playing || now.saturating_sub(self.posted) < self.terms.window {
            return Err(Refused::Unsettled);
        }
        self.standing = Standing::Final;
        Ok(Payment { to: self.assertion.asserter, amount: self.terms.asserter_bond })
    }

    /// The payouts after a move.
    fn pay(&mut self, outcome: Outcome, challenger: K) -> Vec<Payment<K>> {
        let bond = self.terms.challenger_bond;
        match outcome {
            Outcome::Open(_) => Vec::new(),
            Outcome::Won(Side::Asserter) => vec![Payment { to: self.assertion.asserter, amount: bond }],
            Outcome::Won(Side::Challenger) => {
                self.standing = Standing::Overturned;
                let prize = self.terms.asserter_bond.saturating_sub(self.terms.burned);
                let open: Vec<&Match<K>> =
                    self.matches.iter().filter(|match_| match_.game.mover().is_some()).collect();
                // Whoever was on the way to win as well gets a share, so that a friend of the asserter who
                // wins first doesn't take everything.
                let others = open.len() as u64;
                let share = (prize / 2).checked_div(others).unwrap_or(0);
                let back = open
                    .into_iter()
                    .map(|match_| Payment { to: match_.challenger, amount: bond.saturating_add(share) });
                let won = Payment {
                    to: challenger,
                    amount: bond.saturating_add(prize.saturating_sub(share.saturating_mul(others))),
                };
                std::iter::once(won).chain(back).collect()
            }
        }
    }

    /// Refuses any action once the assertion is decided.
    fn pending(&self) -> Result<(), Refused> {
        if self.standing == Standing::Pending { Ok(()) } else { Err(Refused::Decided) }
    }

    /// The assertion's status.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// A game and its challenger.
    #[must_use]
    pub fn game(&self, number: usize) -> Option<(K, &Game)> {
        self.matches.get(number).map(|match_| (match_.challenger, &match_.game))
    }

    /// The assertion.
    #[must_use]
    pub fn assertion(&self) -> &Assertion<K> {
        &self.assertion
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The first time at which the assertion can no longer be challenged.
    #[must_use]
    pub fn window_end(&self) -> u64 {
        self.posted.saturating_add(self.terms.window)
    }
}
