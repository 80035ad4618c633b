//! `opml dispute`: a whole dispute about a result, move by move, on the contracts in the embedded EVM.

use crate::arena::{Arena, Transaction};
use crate::cli::{Cheat, Dispute};
use crate::commands::compile::load;
use crate::failure::Failure;
use crate::lies::{liar, lies};
use crate::output::{Output, count, table};
use crate::tensors::read_inputs;
use game::player::{challenge, reply};
use game::{Execution, Game, Model, Move, Oracle, Outcome, Side};
use image::{Image, Schedule};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{Duration, Instant};
use step::Root;

/// A dispute that has been played.
struct Played {
    arity: u64,
    winner: Side,
    transactions: Vec<Transaction>,
    /// What each transaction is about.
    notes: Vec<String>,
    time: Duration,
}

impl Played {
    fn gas(&self) -> u64 {
        self.transactions.iter().map(|transaction| transaction.gas).sum()
    }

    fn bytes(&self) -> usize {
        self.transactions.iter().map(|transaction| transaction.calldata).sum()
    }
}

/// Plays the dispute, once for each arity.
pub fn run(args: &Dispute, output: Output) -> Result<(), Failure> {
    let image = load(&args.image)?;
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
struct Match {
    model: Model,
    arity: u64,
    /// Whether the asserter never answers.
    silent: bool,
    input: Root,
    asserter: Execution,
    challenger: Execution,
    notes: Vec<String>,
    start: Instant,
}

impl Match {
    fn new(image: &Image, inputs: &[(u64, Vec<u8>)], args: &Dispute, arity: u64) -> Result<Self, Failure> {
        let start = Instant::now();
        let schedule = schedule(image, args.phases)?;
        let execution =
            || Execution::new(image.clone(), schedule.clone(), inputs.to_vec()).map_err(Failure::from_error);
        let mut honest = execution()?;
        let model = *honest.model();
        let input = honest.input_root().map_err(Failure::from_error)?;
        let lies = lies(image, &mut honest, args.cheat)?;
        let liar = liar(&mut honest, execution, &lies)?;
        let (asserter, challenger) =
            if honest_side(args.cheat) == Side::Asserter { (honest, liar) } else { (liar, honest) };
        let silent = args.cheat == Cheat::Silent;
        Ok(Self { model, arity, silent, input, asserter, challenger, notes: Vec::new(), start })
    }

    /// Plays to the end.
    fn play(mut self) -> Result<Played, Failure> {
        let asserted = self.asserter.result(&self.model).map_err(Failure::from_error)?;
        let opening = challenge(&self.model, self.arity, &mut self.challenger).map_err(Failure::from_error)?;
        self.notes.push(format!(
            "another output; {} big steps in {} parts",
            self.model.big_steps,
            opening.claims.len()
        ));
        let mut arena = Arena::open(&self.model, self.input, asserted, self.arity, &opening)?;
        let mut theirs = opening.claims;
        let winner = loop {
            let outcome = match self.next(arena.game(), &theirs)? {
                Some(move_) => {
                    self.notes.push(note(&move_, arena.game()));
                    theirs = move_.claims().to_vec();
                    arena.play(&move_)?
                }
                None => {
                    self.notes.push("the other side has no more to say, and its time is over".to_owned());
                    arena.let_time_pass()?
                }
            };
            if let Outcome::Won(winner) = outcome {
                break winner;
            }
        };
        let Self { arity, notes, start, .. } = self;
        Ok(Played { arity, winner, transactions: arena.transactions, notes, time: start.elapsed() })
    }

    /// What the side to move does: nothing if it is silent, or if it is a liar at the end of its lies.
    fn next(&mut self, game: &Game, theirs: &[Root]) -> Result<Option<Move>, Failure> {
        let oracle = match game.mover() {
            Some(Side::Asserter) if self.silent => return Ok(None),
            Some(Side::Asserter) => &mut self.asserter,
            _ => &mut self.challenger,
        };
        let move_ = reply(game, theirs, oracle).map_err(Failure::from_error)?;
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
    let moves = played.transactions.iter().zip(&played.notes).map(|(transaction, note)| {
        json!({ "side": side(transaction.side), "move": transaction.name, "gas": transaction.gas,
                "calldata_bytes": transaction.calldata, "about": note })
    });
    json!({
        "arity": played.arity, "winner": side(played.winner), "moves": moves.collect::<Vec<_>>(), "gas": played.gas(),
        "calldata_bytes": played.bytes(), "seconds": played.time.as_secs_f64(),
    })
}

/// Disputes for people: one move by move, several in a table.
fn text(played: &[Played]) -> String {
    let mut text = String::new();
    if let [played] = played {
        let mut moves = table(["", "side", "move", "gas", "bytes", "about"]);
        for (index, (transaction, note)) in played.transactions.iter().zip(&played.notes).enumerate() {
            let Transaction { side: mover, name, gas, calldata } = transaction;
            let number = (index + 1).to_string();
            moves.add_row([
                number,
                side(*mover).into(),
                (*name).into(),
                count(*gas),
                count(*calldata as u64),
                note.clone(),
            ]);
        }
        let _ = writeln!(text, "{moves}\n");
        let _ = write!(
            text,
            "the {} wins: {} transactions, {} gas, {} bytes of calldata, {:.0} ms",
            side(played.winner),
            played.transactions.len(),
            count(played.gas()),
            count(played.bytes() as u64),
            played.time.as_secs_f64() * 1e3
        );
        return text;
    }
    let mut rows = table(["arity", "winner", "transactions", "gas", "bytes", "ms"]);
    for played in played {
        rows.add_row([
            played.arity.to_string(),
            side(played.winner).to_owned(),
            played.transactions.len().to_string(),
            count(played.gas()),
            count(played.bytes() as u64),
            format!("{:.0}", played.time.as_secs_f64() * 1e3),
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
