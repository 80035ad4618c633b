//! `opml dispute`: a whole dispute about a result, move by move, on the contracts in the embedded EVM.

use crate::arena::{Arena, Transaction};
use crate::cli::{Cheat, Dispute};
use crate::failure::Failure;
use crate::images::load_verified;
use crate::lies::{liar, lies};
use crate::output::{Output, count, table};
use crate::tensors::read_inputs;
use game::player::{challenge, reply};
use game::{Execution, Game, Model, Move, Outcome, Side};
use image::{Image, Schedule};
use players::{LoadedModel, pack};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use step::Root;

/// A dispute that has been played.
struct Played {
    arity: u64,
    winner: Side,
    transactions: Vec<Transaction>,
    time: Duration,
}

impl Played {
    /// Transactions, gas and bytes: of the dispute alone, or of all there is.
    fn bill(&self, all: bool) -> (u64, u64, u64) {
        let counted = self.transactions.iter().filter(|transaction| all || transaction.disputed);
        counted.fold((0, 0, 0), |(number, gas, bytes), transaction| {
            (number + 1, gas + transaction.gas, bytes + transaction.calldata as u64)
        })
    }
}

/// Plays the dispute, once for each arity.
pub fn run(args: &Dispute, output: Output) -> Result<(), Failure> {
    let image = load_verified(&args.image, output)?;
    let inputs = read_inputs(&image, &args.inputs)?;
    let inputs: Vec<(u64, Vec<u8>)> = inputs.into_iter().map(|fed| (fed.address, fed.bytes)).collect();
    let spinner = output.spinner("disputing");
    let disputed = args.arity.iter().map(|&arity| Match::new(&image, &inputs, args, arity)?.play());
    let played = disputed.collect::<Result<Vec<_>, _>>()?;
    spinner.finish_and_clear();
    if let Some(wrong) = played.iter().find(|played| played.winner != honest_side(args.cheat)) {
        return Err(Failure::new(format!("the cheater won at arity {}: please report this", wrong.arity)));
    }
    let object = Value::Array(played.iter().map(object).collect());
    output.result(&object, &text(&played))
}

/// The side that doesn't cheat.
fn honest_side(cheat: Cheat) -> Side {
    if cheat == Cheat::Challenger { Side::Asserter } else { Side::Challenger }
}

/// Both players and their referee.
struct Match<'a> {
    image: &'a Image,
    known: LoadedModel,
    model: Model,
    arity: u64,
    /// Whether the asserter never answers.
    silent: bool,
    inputs: &'a [(u64, Vec<u8>)],
    asserter: Execution,
    challenger: Execution,
    start: Instant,
}

impl<'a> Match<'a> {
    fn new(image: &'a Image, inputs: &'a [(u64, Vec<u8>)], args: &Dispute, arity: u64) -> Result<Self, Failure> {
        let start = Instant::now();
        let schedule = schedule(image, args.phases)?;
        args.limits.admit(&schedule)?;
        let known = LoadedModel::new(image.clone(), None).map_err(Failure::from_error)?;
        let execution = || {
            let execution = Execution::new(image.clone(), schedule.clone(), inputs.to_vec())?;
            Ok(execution.with_limit(args.limits.memory()))
        };
        let mut honest = execution()?;
        let model = *honest.model();
        let lies = lies(image, &mut honest, args.cheat)?;
        let liar = liar(&mut honest, execution, &lies)?;
        let (asserter, challenger) =
            if honest_side(args.cheat) == Side::Asserter { (honest, liar) } else { (liar, honest) };
        let silent = args.cheat == Cheat::Silent;
        Ok(Self { image, known, model, arity, silent, inputs, asserter, challenger, start })
    }

    /// Plays to the end, and on until an answer is final.
    fn play(mut self) -> Result<Played, Failure> {
        let input = pack(self.known.input(), self.known.input_bytes(), self.inputs);
        let root = self.challenger.input_root()?;
        let mut arena = Arena::open(self.image, &self.model, input, root, self.arity)?;
        let said = self.known.said(&mut self.asserter)?;
        arena.answer(Side::Asserter, &said)?;
        let opening = challenge(&self.model, self.arity, &mut self.challenger)?;
        let parts = opening.claims.len();
        arena.challenge(&opening, format!("another output; {} big steps in {parts} parts", self.model.big_steps))?;
        let winner = self.play_game(&mut arena, opening.claims)?;
        let mut standing = said;
        if winner == Side::Challenger {
            standing = self.known.said(&mut self.challenger)?;
            arena.answer(winner, &standing)?;
        }
        arena.settle(winner, &standing)?;
        arena.withdraw(winner)?;
        let Self { arity, start, .. } = self;
        Ok(Played { arity, winner, transactions: arena.transactions, time: start.elapsed() })
    }

    fn play_game(&mut self, arena: &mut Arena, mut theirs: Vec<Root>) -> Result<Side, Failure> {
        loop {
            let game = *arena.game()?;
            let outcome = match self.next(&game, &theirs)? {
                Some(move_) => {
                    theirs = move_.claims().to_vec();
                    arena.play(&move_, note(&move_, &game))?
                }
                None => arena.let_time_pass("the other side has no more to say, and its time is over".to_owned())?,
            };
            if let Outcome::Won(winner) = outcome {
                return Ok(winner);
            }
        }
    }

    /// What the side to move does: nothing if it is silent, or if it is a liar at the end of its lies.
    fn next(&mut self, game: &Game, theirs: &[Root]) -> Result<Option<Move>, Failure> {
        let oracle = match game.mover() {
            Some(Side::Asserter) if self.silent => return Ok(None),
            Some(Side::Asserter) => &mut self.asserter,
            _ => &mut self.challenger,
        };
        let move_ = reply(game, theirs, oracle)?;
        let legal = |move_: &Move| {
            let mut next = *game;
            game.mover().is_some_and(|side| next.apply(side, move_, game.deadline().unwrap_or_default()).is_ok())
        };
        Ok(move_.filter(legal))
    }
}

/// What the image is cut into: all big steps, or the whole program as one.
fn schedule(image: &Image, phases: u8) -> Result<Schedule, Failure> {
    let schedule = if phases == 1 { image.single_phase() } else { Some(image.big_steps()) };
    schedule.filter(|schedule| !schedule.leaves().is_empty()).ok_or_else(|| {
        Failure::new("the image does not say what its inputs, outputs and bounds are")
            .hint("images of models do: see `opml compile`")
    })
}

/// What a move is about.
fn note(move_: &Move, game: &Game) -> String {
    let (segment, arity) = (game.segment(), game.arity());
    let part = segment.part(move_.pick().part, arity);
    let place = match part.level {
        game::Level::BigSteps => format!("big steps {} to {}", part.lo, part.hi),
        game::Level::Steps { big_step } => {
            format!("steps {} to {} of big step {big_step}", count(part.lo), count(part.hi))
        }
    };
    match move_ {
        Move::Dissect { claims, .. } => format!("{place} in {} parts", claims.len()),
        Move::Enter { entry, .. } => {
            format!("into big step {}: {} steps in {} parts", part.lo, count(entry.leaf.bound), entry.claims.len())
        }
        Move::Void { .. } => format!("nothing comes after nothing: {place}"),
        Move::Prove { witness, .. } => format!("{place}, executed by the contract from {} bytes", witness.len()),
    }
}

/// A dispute for machines.
fn object(played: &Played) -> Value {
    let moves = played.transactions.iter().map(|transaction| {
        let Transaction { who, name, about, gas, calldata, disputed } = transaction;
        json!({ "who": who, "move": name, "gas": gas, "calldata_bytes": calldata, "about": about, "disputed": disputed })
    });
    let ((transactions, gas, bytes), whole) = (played.bill(false), played.bill(true));
    json!({
        "arity": played.arity, "winner": side(played.winner), "moves": moves.collect::<Vec<_>>(),
        "transactions": transactions, "gas": gas, "calldata_bytes": bytes, "seconds": played.time.as_secs_f64(),
        "whole": { "transactions": whole.0, "gas": whole.1, "calldata_bytes": whole.2 },
    })
}

/// Disputes for people: one move by move, several in a table.
fn text(played: &[Played]) -> String {
    match played {
        [played] => moves(played),
        _ => arities(played),
    }
}

fn moves(played: &Played) -> String {
    let mut rows = table(["", "who", "what", "gas", "bytes", "about"]);
    for (index, transaction) in played.transactions.iter().enumerate() {
        let Transaction { who, name, about, gas, calldata, .. } = transaction;
        let number = (index + 1).to_string();
        rows.add_row([number, (*who).into(), (*name).into(), count(*gas), count(*calldata as u64), about.clone()]);
    }
    let bill = |(transactions, gas, bytes)| {
        format!("{transactions} transactions, {} gas, {} bytes of calldata", count(gas), count(bytes))
    };
    format!(
        "{rows}\n\nthe {} wins, in {:.0} ms with everything that both sides compute\n  the dispute, from the challenge to the payment: {}\n  with request, answers, settlement and withdrawal: {}",
        side(played.winner),
        played.time.as_secs_f64() * 1e3,
        bill(played.bill(false)),
        bill(played.bill(true)),
    )
}

fn arities(played: &[Played]) -> String {
    let mut rows = table(["arity", "winner", "transactions", "gas", "bytes", "ms", "gas of all"]);
    for played in played {
        let (transactions, gas, bytes) = played.bill(false);
        rows.add_row([
            played.arity.to_string(),
            side(played.winner).to_owned(),
            transactions.to_string(),
            count(gas),
            count(bytes),
            format!("{:.0}", played.time.as_secs_f64() * 1e3),
            count(played.bill(true).1),
        ]);
    }
    rows.to_string()
}

/// A side's name.
fn side(side: Side) -> &'static str {
    match side {
        Side::Asserter => "asserter",
        Side::Challenger => "challenger",
    }
}
