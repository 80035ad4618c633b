//! The runs of an image from which the tests of its package are made.

use crate::claim::Claim;
use crate::cli::Backend;
use crate::cli::Cheat;
use crate::commands::prove::claim_of_next_step;
use crate::commands::trace::instruction_at;
use crate::failure::Failure;
use crate::lies::{liar, lies};
use crate::machine::start;
use contracts::Bytes;
use game::player::{challenge, reply};
use game::{Challenge, Clocks, Game, Model, Move, Oracle, Side};
use image::Image;
use indicatif::ProgressBar;
use players::{Computed, LoadedModel, ModelError, pack};
use prover::{Execution, MemoryLimit};
use std::collections::HashSet;
use step::{Root, Status};

/// The number of parts into which segments are cut.
const ARITY: u64 = crate::terms::ARITY as u64;
/// The maximum number of steps of a run in which instructions are searched.
const SEARCHED: u64 = 1 << 24;
/// The maximum number of instructions that are tested.
const TESTED: usize = 64;

/// The maximum number of steps of a run that are searched.
pub fn steps_searched(image: &Image) -> u64 {
    image.interface.as_ref().map_or(SEARCHED, |interface| interface.bound.min(SEARCHED))
}

/// The first step of an instruction.
pub struct Example {
    /// The instruction.
    pub mnemonic: &'static str,
    /// The step.
    pub claim: Claim,
}

/// A run with its result, and a game about it that ends in a single step.
pub struct Recorded {
    /// The model.
    pub model: Model,
    /// The bytes of each input.
    pub inputs: Vec<Bytes>,
    /// The true result.
    pub computed: Computed,
    /// The outputs that the asserter claims.
    pub answered: Vec<Bytes>,
    /// The challenger's first move.
    pub opening: Challenge,
    /// All moves after it.
    pub moves: Vec<Move>,
    /// The winner.
    pub winner: Side,
}

/// The first step of each instruction in a run.
pub fn steps(
    image: &Image,
    inputs: &[(u64, Vec<u8>)],
    memory: &MemoryLimit,
    bar: &ProgressBar,
) -> Result<Vec<Example>, Failure> {
    let mut machine = start(image, Backend::Jit)?;
    for (address, bytes) in inputs {
        let outside = || Failure::new(format!("an input at {address:#x} is outside memory"));
        machine.write_memory(*address, bytes).ok_or_else(outside)?;
    }
    let (mut seen, mut examples) = (HashSet::new(), Vec::new());
    while machine.status() == Status::Running && machine.steps() < SEARCHED && examples.len() < TESTED {
        let mnemonic = instruction_at(image, machine.pc()).map(|instruction| instruction.op.entry().mnemonic);
        if let Some(mnemonic) = mnemonic.filter(|mnemonic| seen.insert(*mnemonic)) {
            examples.push(Example { mnemonic, claim: claim_of_next_step(&mut machine)? });
        }
        machine.step();
        bar.set_position(machine.steps());
        memory.check()?;
    }
    Ok(examples)
}

/// Plays games with liars until one ends in the proof of a step. `None` if the image has no inputs and
/// outputs.
pub fn record(
    image: &Image,
    inputs: &[(u64, Vec<u8>)],
    memory: &MemoryLimit,
    bar: &ProgressBar,
) -> Result<Option<Recorded>, Failure> {
    let loaded = match LoadedModel::new(image.clone(), None) {
        Err(ModelError::NoInterface) => return Ok(None),
        loaded => loaded.map_err(Failure::from_error)?,
    };
    let mut failure =
        Failure::new("none of the lies tried ends in the proof of one step").hint("choose another --input");
    // The side to move at the last step depends on the lengths of the run and of the disputed big step. Only
    // the honest side can prove that step.
    let cheats = [Cheat::Weight, Cheat::Step, Cheat::Output, Cheat::Challenger];
    for (number, cheat) in (1..).zip(cheats) {
        bar.set_message(format!("recording a dispute (lie {number} of at most {}), after ", cheats.len()));
        match play(&loaded, inputs, cheat, memory) {
            Ok(None) => {}
            Ok(recorded) => return Ok(recorded),
            Err(other) => failure = other,
        }
    }
    Err(failure)
}

/// A game with a liar; `None` if the loser stops answering before the last step.
fn play(
    loaded: &LoadedModel,
    inputs: &[(u64, Vec<u8>)],
    cheat: Cheat,
    memory: &MemoryLimit,
) -> Result<Option<Recorded>, Failure> {
    let image = &loaded.image;
    let execution = || {
        let execution = Execution::new(image.clone(), image.big_steps(), inputs.to_vec())?;
        Ok(execution.with_limit(memory.clone()))
    };
    let mut honest = execution()?;
    let lies = lies(image, &mut honest, cheat)?;
    let mut lying = liar(&mut honest, execution, &lies)?;
    let model = honest.model().clone();
    let commitment = honest.inputs()?.commitment();
    let computed = loaded.result(&mut honest)?;
    let (winner, answered) = if cheat == Cheat::Challenger {
        (Side::Asserter, computed.shown(0))
    } else {
        (Side::Challenger, loaded.result(&mut lying)?.shown(0))
    };
    let mut players = if winner == Side::Asserter { [honest, lying] } else { [lying, honest] };
    let Some((opening, moves)) = moves(&model, commitment, &mut players)? else { return Ok(None) };
    let inputs = pack(loaded.inputs(), inputs);
    Ok(Some(Recorded { model, inputs, computed, answered, opening, moves, winner }))
}

/// The moves of asserter and challenger. `None` unless the last one proves a step.
fn moves(
    model: &Model,
    inputs: Root,
    [asserter, challenger]: &mut [Execution; 2],
) -> Result<Option<(Challenge, Vec<Move>)>, Failure> {
    let asserted = asserter.result(model)?;
    let opening = challenge(model, ARITY, challenger)?;
    // Time stands still.
    let clocks = Clocks { asserter: 0, challenger: 0 };
    let mut game =
        Game::challenge(model, inputs, asserted, ARITY, clocks, &opening, 0).map_err(Failure::from_error)?;
    let mut moves: Vec<Move> = Vec::new();
    while let Some(side) = game.mover() {
        let theirs = moves.last().map_or(&*opening.claims, Move::claims);
        let player = if side == Side::Asserter { &mut *asserter } else { &mut *challenger };
        let Some(move_) = reply(&game, theirs, 1, player)? else { return Ok(None) };
        if game.apply(side, &move_, 0).is_err() {
            return Ok(None);
        }
        moves.push(move_);
    }
    let proves = matches!(moves.last(), Some(Move::Prove { .. }));
    Ok(proves.then_some((opening, moves)))
}
