//! The service in Solidity against `game::dispute` in Rust: any number of players of any kind, legal and
//! illegal acts, compared to the second and to the wei.

use contracts::Address;
use game::dispute::Standing;
use game::fake::{Fake, What};
use game::player::{challenge, reply};
use game::{Move, Side};
use opml_tests::random::Random;
use opml_tests::service::{Stage, TERMS, account};
use opml_tests::solc::compile_one;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use step::Root;

const ASSERTER: u8 = 0;

/// The players of one request: the run that each believes in, with the asserter first.
struct Players {
    runs: Vec<Fake>,
    /// The last claims in each game.
    theirs: Vec<Vec<Root>>,
}

/// A true run, and one that lies about its result.
fn runs(random: &mut Random) -> (Fake, Fake) {
    let (big_steps, steps) = (1 + random.below(6), 1 + random.below(9));
    let truth = Fake::new(random.bits(), big_steps, steps);
    let place = (random.below(big_steps), 1 + random.below(steps));
    let from = if place.1 >= steps { (place.0 + 1, 0) } else { place };
    let liar = truth.clone().lying(from..(big_steps, 1), What::Other(1 + random.below(3)));
    (truth, liar)
}

impl Players {
    fn run(&mut self, player: Address) -> &mut Fake {
        let index = usize::from(player.0[19]) % self.runs.len();
        &mut self.runs[index]
    }

    /// The move of the side to move in a game, if it has one.
    fn next(&mut self, stage: &Stage, game: usize) -> Option<(Address, Move)> {
        let dispute = stage.dispute.as_ref()?;
        let (challenger, state) = dispute.game(game)?;
        let mover = if state.mover()? == Side::Asserter { dispute.assertion().asserter } else { challenger };
        let (state, theirs) = (state.clone(), self.theirs[game].clone());
        let Ok(move_) = reply(&state, &theirs, 2, self.run(mover));
        Some((mover, move_?))
    }

    fn challenge(&mut self, stage: &mut Stage, player: Address) -> Result<(), &'static str> {
        let model = self.runs[0].model().expect("a model");
        let Ok(opening) = challenge(&model, TERMS.arity, self.run(player));
        stage.challenge(player, &opening)?;
        self.theirs.push(opening.claims);
        Ok(())
    }

    fn play(
        &mut self,
        stage: &mut Stage,
        game: usize,
        player: Address,
        move_: &Move,
    ) -> Result<(), &'static str> {
        stage.play(game, player, move_)?;
        self.theirs[game] = move_.claims().to_vec();
        Ok(())
    }
}

/// A time that matters, or one a little later than now.
fn later(stage: &Stage, random: &mut Random) -> u64 {
    let Some(dispute) = &stage.dispute else { return stage.now };
    let games = (0..stage.challengers.len()).filter_map(|game| dispute.game(game));
    let deadlines: Vec<u64> = games.filter_map(|(_, game)| game.deadline()).collect();
    let edge = if deadlines.is_empty() || random.one_in(3) {
        dispute.window_end()
    } else {
        *random.pick(&deadlines)
    };
    match random.below(12) {
        0 => edge.saturating_sub(1).max(stage.now),
        1 => edge.max(stage.now),
        2 => (edge + 1).max(stage.now),
        _ => stage.now + random.below(5),
    }
}

/// Random acts of random players about one request. Returns what was refused, by name.
fn campaign(code: Option<&[u8]>, seed: u64) -> BTreeSet<&'static str> {
    let mut random = Random::new(seed);
    let (truth, liar) = runs(&mut random);
    let runs = (0..4).map(|_| if random.one_in(2) { truth.clone() } else { liar.clone() }).collect();
    let mut players = Players { runs, theirs: Vec::new() };
    let mut stage = Stage::with(code.map(<[u8]>::to_vec), &truth);
    let mut refused = BTreeSet::new();
    let claimed = players.runs[0].clone();
    stage.answer(account(ASSERTER), &claimed).expect("the first answer");
    for _ in 0..60 {
        stage.now = later(&stage, &mut random);
        let player = account(random.below(4) as u8);
        let games = stage.challengers.len();
        let game = (games > 0).then(|| random.below(games as u64) as usize);
        let verdict = match (random.below(12), game) {
            (0, _) => players.challenge(&mut stage, player),
            (1, _) => stage.settle(),
            (2, _) => {
                let run = players.run(player).clone();
                let again = stage.answer(player, &run);
                if again.is_ok() {
                    players.theirs.clear();
                }
                again
            }
            (3, Some(game)) => stage.timeout(game),
            (4, Some(game)) => stage.reclaim(game),
            (4, None) => stage.reclaim_past(),
            // Another account makes the move.
            (5, Some(game)) => match players.next(&stage, game) {
                Some((mover, move_)) if mover != player => players.play(&mut stage, game, player, &move_),
                _ => Ok(()),
            },
            (_, Some(game)) => match players.next(&stage, game) {
                Some((mover, move_)) => players.play(&mut stage, game, mover, &move_),
                None => stage.timeout(game),
            },
            (_, None) => players.challenge(&mut stage, player),
        };
        refused.extend(verdict.err());
    }
    while stage.has_past() {
        stage.reclaim_past().expect("a bond returns");
    }
    refused
}

#[test]
fn contract_and_rust_agree_on_every_act_and_every_wei() {
    let refused: BTreeSet<_> = (0..150).flat_map(|seed| campaign(None, seed)).collect();
    let must =
        ["Agrees", "AnsweredAlready", "Challenged", "Decided", "Early", "Itself", "Late", "Over", "Turn"];
    for name in must.into_iter().chain(["Unsettled", "WindowOver"]) {
        assert!(refused.contains(name), "{name} was never the reason: {refused:?}");
    }
}

/// Plays everything to its end. Every side moves at once, or loses by time if it has no move.
fn play_out(stage: &mut Stage, players: &mut Players) {
    loop {
        let pending = stage.dispute.as_ref().is_some_and(|dispute| dispute.standing() == Standing::Pending);
        let playing = |stage: &Stage, game: &usize| {
            stage
                .dispute
                .as_ref()
                .and_then(|dispute| dispute.game(*game))
                .is_some_and(|(_, game)| game.mover().is_some())
        };
        let open: Vec<usize> = (0..stage.challengers.len()).filter(|game| playing(stage, game)).collect();
        if !pending || open.is_empty() {
            return;
        }
        let mut silent = Vec::new();
        for game in open {
            match players.next(stage, game) {
                Some((mover, move_)) if players.play(stage, game, mover, &move_).is_ok() => {}
                _ => silent.push(game),
            }
            if stage.dispute.as_ref().is_some_and(|dispute| dispute.standing() != Standing::Pending) {
                return;
            }
        }
        let all_wait =
            silent.len() == (0..stage.challengers.len()).filter(|game| playing(stage, game)).count();
        if all_wait {
            stage.now += TERMS.clocks.asserter + 1;
            for game in silent {
                if stage.dispute.as_ref().is_some_and(|dispute| dispute.standing() == Standing::Pending) {
                    stage.timeout(game).expect("time is over");
                }
            }
        }
    }
}

#[test]
fn a_true_answer_earns_from_a_hundred_lying_challengers() {
    let (truth, liar) = runs(&mut Random::new(7));
    let mut players = Players { runs: vec![truth.clone()], theirs: Vec::new() };
    players.runs.extend(std::iter::repeat_n(liar, 100));
    let mut stage = Stage::with(None, &truth);
    stage.answer(account(ASSERTER), &truth).expect("an answer");
    for liar in 1..=100 {
        players.challenge(&mut stage, account(liar)).expect("a challenge");
    }
    let start = stage.now;
    play_out(&mut stage, &mut players);
    assert!(stage.now - start <= TERMS.window + 2 * (TERMS.clocks.asserter + 1), "the end can't be delayed");
    stage.now = stage.now.max(start + TERMS.window);
    stage.settle().expect("final");
    assert!(stage.credited(account(ASSERTER)) >= TERMS.asserter_bond + 100 * TERMS.challenger_bond);
}

#[test]
fn one_honest_challenger_among_a_hundred_brings_a_lie_down() {
    const HONEST: u8 = 61;
    let (truth, liar) = runs(&mut Random::new(11));
    let other = truth.clone().lying((0, 1)..(truth.big_steps, 1), What::Other(9));
    let mut players = Players { runs: vec![liar.clone()], theirs: Vec::new() };
    players.runs.extend((1..=100).map(|number| if number == HONEST { truth.clone() } else { other.clone() }));
    let mut stage = Stage::with(None, &truth);
    stage.answer(account(ASSERTER), &liar).expect("an answer");
    for challenger in 1..=100 {
        players.challenge(&mut stage, account(challenger)).expect("a challenge");
    }
    play_out(&mut stage, &mut players);
    assert_eq!(stage.dispute.as_ref().map(|dispute| dispute.standing()), Some(Standing::Overturned));
    for game in 0..100 {
        let _ = stage.reclaim(game);
    }
    let honest = stage.credited(account(HONEST));
    assert!(honest >= TERMS.challenger_bond, "the honest challenger's bond is back: {honest}");
}

/// A text in the contract, and a wrong replacement.
const PLANTED: [(&str, &str); 15] = [
    (
        "block.timestamp - given.posted >= WINDOW) revert WindowOver();",
        "block.timestamp - given.posted > WINDOW) revert WindowOver();",
    ),
    (
        "block.timestamp - given.posted < WINDOW) revert Unsettled();",
        "block.timestamp - given.posted <= WINDOW) revert Unsettled();",
    ),
    ("if (given.openGames != 0 || ", "if ("),
    ("if (msg.sender == given.asserter) revert Itself();", ""),
    ("if (games[game] != 0) revert Challenged();", ""),
    ("= --given.openGames;", "= given.openGames;"),
    ("++answers[id].openGames;", "answers[id].openGames += 2;"),
    ("given.standing = Standing.Overturned;", ""),
    ("prize = ASSERTER_BOND - BURNED;", "prize = ASSERTER_BOND;"),
    ("pay(given.asserter, CHALLENGER_BOND);", "pay(playerOf(id, false), CHALLENGER_BOND);"),
    ("if (isAlive(id)) revert Unsettled();", ""),
    ("shares[id >> ATTEMPT_SHIFT] = share;", ""),
    ("prize -= share * others;", ""),
    ("CHALLENGER_BOND + shares[id >> ATTEMPT_SHIFT]", "CHALLENGER_BOND"),
    ("&& given.attempt == uint16(game >> ATTEMPT_SHIFT)", ""),
];

#[test]
fn planted_bugs_are_noticed() {
    let unnoticed: Vec<_> = PLANTED
        .iter()
        .filter(|(right, wrong)| {
            let ours = contracts::SOURCES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            let mut files: Vec<_> =
                ours.chain([("IStepVerifier.sol".to_owned(), solidity::interface().to_owned())]).collect();
            let service =
                files.iter_mut().find(|(name, _)| name == "InferenceService.sol").expect("the service");
            assert!(service.1.contains(right), "there is no {right}");
            service.1 = service.1.replacen(right, wrong, 1);
            let code = compile_one(&files, "InferenceService");
            !(0..300).any(|seed| catch_unwind(|| campaign(Some(&code), seed)).is_err())
        })
        .collect();
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}
