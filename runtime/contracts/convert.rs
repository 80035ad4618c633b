//! Translates between the game in Rust and the game on the chain.

use crate::{
    Address, B256, BigStepEntry, Bytes, Game, IDisputeGame, IInferenceService, IModelRegistry, Model,
    Opening, Pick, SolCall as _, SolValue as _, Subtree, U256,
};
use game::dispute::Refused;
use game::{Challenge, Illegal, Level, Move, Side};
use step::{Root, keccak};

/// A root in the contracts' type.
#[must_use]
pub fn word(root: Root) -> B256 {
    B256::new(root.0)
}

/// Roots in the contracts' type.
#[must_use]
pub fn words(roots: &[Root]) -> Vec<B256> {
    roots.iter().copied().map(word).collect()
}

/// A model in the contracts' type, with the verifier of its machine.
#[must_use]
pub fn model(model: &game::Model, verifier: Address) -> Model {
    Model {
        codeRoot: word(model.code_root),
        memoryRoot: word(model.memory_root),
        scheduleRoot: word(model.schedule_root),
        bigSteps: model.big_steps,
        memoryBits: model.profile.memory_bits(),
        scratchBits: model.scratch_bits,
        input: subtree(model.input),
        output: subtree(model.output),
        verifier,
    }
}

fn subtree(subtree: game::Subtree) -> Subtree {
    // A level that doesn't fit is out of range in either type.
    Subtree { level: u8::try_from(subtree.level).unwrap_or(u8::MAX), index: subtree.index }
}

/// A challenge in the contracts' type.
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

/// The Rust game of a running game on the chain.
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

/// The calldata of a move in game `id`, whose state is `game`.
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
        // A part that doesn't fit is out of range in either type.
        part: u16::try_from(pick.part).unwrap_or(u16::MAX),
        begin: word(pick.before.leaf),
        beginSiblings: words(&pick.before.siblings),
        rejected: word(pick.after.leaf),
        rejectedSiblings: words(&pick.after.siblings),
    }
}

fn entry(entry: &game::BigStepEntry) -> BigStepEntry {
    BigStepEntry {
        entry: entry.leaf.entry,
        bound: entry.leaf.bound,
        scheduleSiblings: words(&entry.schedule),
        endState: Bytes::copy_from_slice(&entry.end),
        scratch: word(entry.scratch.leaf),
        scratchSiblings: words(&entry.scratch.siblings),
        claims: words(&entry.claims),
    }
}

/// A running game in the contracts' type.
#[must_use]
pub fn state(game: &game::Game, model: &Model, asserter: Address, challenger: Address) -> Game {
    let (segment, clocks) = (game.segment(), game.clocks());
    // The contract's clocks are never longer.
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

/// What the contract stores of a game: the hash of its state, or who won.
#[must_use]
pub fn stored(game: &game::Game, model: &Model, asserter: Address, challenger: Address) -> B256 {
    match game.winner() {
        Some(Side::Asserter) => B256::with_last_byte(1),
        Some(Side::Challenger) => B256::with_last_byte(2),
        None => word(keccak(&state(game, model, asserter, challenger).abi_encode())),
    }
}

/// The name of the error with which the service refuses an act that breaks this rule.
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

/// The name of the error with which the contract refuses a move that breaks this rule.
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

/// The name of the error that a contract reverted with, if it is one of our contracts'.
#[must_use]
pub fn error_name(data: &[u8]) -> Option<&'static str> {
    let selector = *data.first_chunk()?;
    IDisputeGame::IDisputeGameErrors::name_by_selector(selector)
        .or_else(|| IInferenceService::IInferenceServiceErrors::name_by_selector(selector))
        .or_else(|| IModelRegistry::IModelRegistryErrors::name_by_selector(selector))
}

/// The name of a contract's error and what it means, for people. The meaning is the error's comment in
/// `Interfaces.sol`.
#[must_use]
pub fn error_text(name: Option<&str>) -> String {
    let Some(name) = name else { return "it gives no known reason".to_owned() };
    let lines: Vec<&str> = include_str!("src/Interfaces.sol").lines().map(str::trim).collect();
    // Where two interfaces have an error of this name, the service's comes last.
    let declared = lines.iter().rposition(|line| line.starts_with(&format!("error {name}(")));
    let comment =
        declared.and_then(|line| line.checked_sub(1)).and_then(|line| lines[line].strip_prefix("/// "));
    let Some(comment) = comment else { return name.to_owned() };
    let (first, rest) = comment.split_at(1);
    format!("{name}: {}{}", first.to_lowercase(), rest.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_explained() {
        assert_eq!(error_text(Some("Early")), "Early: the mover still has time");
        assert!(error_text(Some("Size")).contains("the model requires"), "{}", error_text(Some("Size")));
        assert_eq!(error_text(Some("Unheard")), "Unheard");
        assert_eq!(error_text(None), "it gives no known reason");
        let selectors = IDisputeGame::IDisputeGameErrors::SELECTORS.iter();
        for selector in selectors.chain(IInferenceService::IInferenceServiceErrors::SELECTORS) {
            let text = error_text(error_name(selector));
            assert!(text.contains(": "), "{text} is not explained");
        }
    }
}
