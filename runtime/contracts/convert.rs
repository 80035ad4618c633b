//! From the game in Rust to the game on the chain.

use crate::{
    Address, B256, Bytes, Entry, Game, IDisputeGame, IInferenceService, IModelRegistry, Model, Opening, Pick, Region,
    SolCall as _, SolValue as _, U256,
};
use game::dispute::Refused;
use game::{Challenge, Illegal, Level, Move, Side};
use step::{Root, keccak};

/// A root as the contracts have it.
#[must_use]
pub fn word(root: Root) -> B256 {
    B256::new(root.0)
}

/// Roots as the contracts have them.
#[must_use]
pub fn words(roots: &[Root]) -> Vec<B256> {
    roots.iter().copied().map(word).collect()
}

/// A model as the contracts have it, with the verifier of its profile.
#[must_use]
pub fn model(model: &game::Model, verifier: Address) -> Model {
    Model {
        codeRoot: word(model.code_root),
        memoryRoot: word(model.memory_root),
        scheduleRoot: word(model.schedule_root),
        bigSteps: model.big_steps,
        memoryBits: model.profile.memory_bits(),
        scratchBits: model.scratch_bits,
        input: region(model.input),
        output: region(model.output),
        verifier,
    }
}

fn region(region: game::Region) -> Region {
    // No tree has more levels than fit; a level that doesn't is out of range either way.
    Region { level: u8::try_from(region.level).unwrap_or(u8::MAX), index: region.index }
}

/// A challenge as the contracts have it.
#[must_use]
pub fn opening(challenge: &Challenge) -> Opening {
    Opening {
        input: word(challenge.input.leaf),
        inputSiblings: words(&challenge.input.siblings),
        claims: words(&challenge.claims),
        output: word(challenge.output.leaf),
        outputSiblings: words(&challenge.output.siblings),
    }
}

/// A game that goes on, as the contract says where it stands, in Rust.
#[must_use]
pub fn resume(state: &Game, model: &game::Model) -> game::Game {
    let root = |word: B256| Root(word.0);
    let big_step = state.bigStep;
    let level = if state.inSteps { game::Level::Steps { big_step } } else { game::Level::BigSteps };
    game::Game::resume(
        model,
        state.arity.into(),
        if state.asserterMoves { game::Side::Asserter } else { game::Side::Challenger },
        game::Clocks { asserter: state.asserterClock.into(), challenger: state.challengerClock.into() },
        state.since,
        game::Segment { level, lo: state.lo, hi: state.hi },
        root(state.start),
        root(state.claims),
    )
}

/// The calldata of a move in game number `id`, whose state is `game`.
#[must_use]
pub fn calldata(id: U256, game: &Game, model: &Model, move_: &Move) -> Vec<u8> {
    let (game, model, pick) = (game.clone(), model.clone(), pick(move_.pick()));
    match move_ {
        Move::Dissect { claims, .. } => {
            IDisputeGame::dissectCall { id, game, pick, claims: words(claims) }.abi_encode()
        }
        Move::Enter { entry, .. } => {
            IDisputeGame::enterCall { id, game, model, pick, entry: self::entry(entry) }.abi_encode()
        }
        Move::Void { .. } => IDisputeGame::proveVoidCall { id, game, pick }.abi_encode(),
        Move::Prove { witness, .. } => {
            let witness = Bytes::copy_from_slice(witness);
            IDisputeGame::proveCall { id, game, model, pick, witness }.abi_encode()
        }
    }
}

fn pick(pick: &game::Pick) -> Pick {
    Pick {
        // No segment has as many parts: what doesn't fit is no part either way.
        part: u16::try_from(pick.part).unwrap_or(u16::MAX),
        begin: word(pick.before.leaf),
        beginSiblings: words(&pick.before.siblings),
        rejected: word(pick.after.leaf),
        rejectedSiblings: words(&pick.after.siblings),
    }
}

fn entry(entry: &game::Entry) -> Entry {
    Entry {
        entry: entry.leaf.entry,
        bound: entry.leaf.bound,
        scheduleSiblings: words(&entry.schedule),
        endState: Bytes::copy_from_slice(&entry.end),
        scratch: word(entry.scratch.leaf),
        scratchSiblings: words(&entry.scratch.siblings),
        claims: words(&entry.claims),
    }
}

/// A running game as the contracts have it.
#[must_use]
pub fn state(game: &game::Game, model: &Model, asserter: Address, challenger: Address) -> Game {
    let (segment, clocks) = (game.segment(), game.clocks());
    // The contract has no longer clocks.
    let seconds = |clock: u64| u32::try_from(clock).unwrap_or(u32::MAX);
    Game {
        model: word(keccak(&model.abi_encode())),
        asserter,
        challenger,
        arity: u16::try_from(game.arity()).unwrap_or(u16::MAX),
        asserterMoves: game.mover() == Some(Side::Asserter),
        asserterClock: seconds(clocks.asserter),
        challengerClock: seconds(clocks.challenger),
        since: game.since(),
        inSteps: segment.level != Level::BigSteps,
        bigStep: if let Level::Steps { big_step } = segment.level { big_step } else { 0 },
        lo: segment.lo,
        hi: segment.hi,
        start: word(game.start()),
        claims: word(game.claims()),
    }
}

/// What the contract stores of a game: the hash of its state, or who has won.
#[must_use]
pub fn stored(game: &game::Game, model: &Model, asserter: Address, challenger: Address) -> B256 {
    match game.winner() {
        Some(Side::Asserter) => B256::with_last_byte(1),
        Some(Side::Challenger) => B256::with_last_byte(2),
        None => word(keccak(&state(game, model, asserter, challenger).abi_encode())),
    }
}

/// The name of the error with which the service refuses what breaks this rule.
#[must_use]
pub const fn refusal(refused: &Refused) -> &'static str {
    match refused {
        Refused::Decided => "Decided",
        Refused::WindowOver => "WindowOver",
        Refused::Unsettled => "Unsettled",
        Refused::Itself => "Itself",
        Refused::Challenged => "Challenged",
        Refused::Game => "StateMismatch",
        Refused::Stranger => "Turn",
        Refused::Illegal(illegal) => error(illegal),
    }
}

/// The name of the error with which the contract refuses what breaks this rule.
#[must_use]
pub const fn error(illegal: &Illegal) -> &'static str {
    match illegal {
        Illegal::Model => "InvalidModel",
        Illegal::Over => "Over",
        Illegal::Turn => "Turn",
        Illegal::Late => "Late",
        Illegal::Early => "Early",
        Illegal::Part { .. } => "Part",
        Illegal::Proof(_) => "Proof",
        Illegal::Level => "Level",
        Illegal::Units { .. } => "Units",
        Illegal::Void => "Void",
        Illegal::Count { .. } => "Count",
        Illegal::EndState => "EndState",
        Illegal::Agrees => "Agrees",
        Illegal::Witness(_) => "Witness",
    }
}

/// The name of the error that a contract reverted with, if it is one of ours.
#[must_use]
pub fn error_name(data: &[u8]) -> Option<&'static str> {
    let selector = *data.first_chunk()?;
    IDisputeGame::IDisputeGameErrors::name_by_selector(selector)
        .or_else(|| IInferenceService::IInferenceServiceErrors::name_by_selector(selector))
        .or_else(|| IModelRegistry::IModelRegistryErrors::name_by_selector(selector))
}
