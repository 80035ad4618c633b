//! Translates between the game in Rust and the game on the chain.

use crate::{
    B256, Bytes, Game, IDisputeGame, IInferenceService, IModelRegistry, Input, Model, Pick, Position,
    Program, Request, SolCall as _, SolValue as _, Source, U256,
};
use game::dispute::Refused;
use game::{Challenge, Illegal, Level, Move, Proven, Regions, Side};
use step::{Root, keccak};

/// A root in the contracts' type.
#[must_use]
pub fn word(root: Root) -> B256 {
    B256::new(root.0)
}

/// An input that is given by its root.
#[must_use]
pub fn by_root(root: B256) -> Input {
    Input { source: Source::Root, data: Bytes::copy_from_slice(&root[..]) }
}

/// Roots in the contracts' type.
#[must_use]
pub fn words(roots: &[Root]) -> Vec<B256> {
    roots.iter().copied().map(word).collect()
}

/// A model in the contracts' type.
#[must_use]
pub fn model(model: &game::Model) -> Model {
    Model {
        program: program(model),
        memoryRoot: word(model.memory_root),
        inputs: model.inputs.iter().map(region).collect(),
        outputs: model.outputs.iter().map(region).collect(),
    }
}

/// What a game's moves need of a model.
#[must_use]
pub fn program(model: &game::Model) -> Program {
    let game::Model { shape, scratch_bits, .. } = model;
    // Longer ones are out of range in either type.
    let repetitions = |count: u64| U256::from(count.min((1 << 40) - 1));
    Program {
        codeRoot: word(model.code_root),
        machine: machine(model),
        scheduleRoot: word(model.schedule_root),
        shape: (U256::from(*scratch_bits) << 176)
            | (U256::from(shape.prologue) << 144)
            | (U256::from(shape.period) << 112)
            | (U256::from(shape.epilogue) << 80)
            | (repetitions(shape.least) << 40)
            | repetitions(shape.most),
    }
}

/// A model's machine as verifiers take it.
#[must_use]
pub fn machine(model: &game::Model) -> U256 {
    U256::from_be_bytes(model.profile.word())
}

fn region(region: &game::Region) -> U256 {
    let game::Region { subtree, bytes } = region;
    (U256::from(subtree.level) << 128) | (U256::from(subtree.index) << 64) | U256::from(*bytes)
}

/// The hash by which games know a model's program.
#[must_use]
pub fn program_hash(model: &game::Model) -> B256 {
    word(keccak(&program(model).abi_encode()))
}

/// A model's ID.
#[must_use]
pub fn model_id(model: &game::Model) -> B256 {
    let Model { memoryRoot, inputs, outputs, .. } = self::model(model);
    let [inputs, outputs] = [inputs, outputs].map(|regions| word(keccak(&regions.abi_encode_packed())));
    word(keccak(&(program_hash(model), memoryRoot, inputs, outputs).abi_encode()))
}

/// The hash that the service stores of a request.
#[must_use]
pub fn request_hash(id: U256, request: &Request) -> B256 {
    word(keccak(&(id, request.clone()).abi_encode_params()))
}

/// The words that a challenge brings.
#[must_use]
pub fn opening(challenge: &Challenge) -> Vec<B256> {
    let Challenge { inputs, outputs, claims } = challenge;
    let regions = |regions: &Regions| [&regions.roots[..], &regions.siblings].concat();
    words(&[regions(inputs), regions(outputs), claims.clone()].concat())
}

/// The Rust game of a running game on the chain, whose claims begin at `start`.
#[must_use]
pub fn resume(state: &Game, model: &game::Model, arity: u64, start: B256, claims: &[B256]) -> game::Game {
    let root = |word: &B256| Root(word.0);
    let Position { mover, clocks, since, segment, .. } = Position::unpack(state.position);
    let claims: Vec<Root> = claims.iter().map(root).collect();
    let committed = game::commit(root(&start), &claims);
    game::Game::resume(model, arity, mover, clocks, since, segment, root(&start), committed)
}

/// The calldata of a move in game `id`, whose state is `game`.
#[must_use]
pub fn calldata(id: U256, game: &Game, program: &Program, move_: &Move) -> Vec<u8> {
    let (game, siblings) = (game.clone(), &move_.pick().siblings);
    let pick = Pick {
        part: U256::from(move_.pick().part),
        agreed: word(move_.pick().agreed),
        rejected: word(move_.pick().rejected),
    };
    // The siblings come first and the claims last.
    let words = |between: &[Root]| words(&[&siblings[..], between, move_.claims()].concat());
    match move_ {
        Move::Dissect { .. } => IDisputeGame::dissectCall { id, game, pick, words: words(&[]) }.abi_encode(),
        Move::Enter { entry, .. } => {
            let game::BigStepEntry { leaf, schedule, end, scratch, .. } = entry;
            let between = [&schedule[..], &[scratch.leaf], &scratch.siblings].concat();
            let leaf = (U256::from(leaf.entry) << 64) | U256::from(leaf.bound);
            let (program, end, words) = (program.clone(), Bytes::copy_from_slice(end), words(&between));
            IDisputeGame::enterCall { id, game, pick, program, leaf, end, words }.abi_encode()
        }
        Move::Void { .. } => IDisputeGame::proveVoidCall { id, game, pick, words: words(&[]) }.abi_encode(),
        Move::Prove { witnesses, .. } => {
            let witnesses = witnesses.iter().map(|witness| Bytes::copy_from_slice(witness)).collect();
            IDisputeGame::proveCall { id, game, pick, words: words(&[]), witnesses }.abi_encode()
        }
    }
}

/// A running game in the contracts' type.
#[must_use]
pub fn state(game: &game::Game) -> Game {
    let (model, segment) = (game.model(), game.segment());
    let position = Position {
        mover: game.mover().unwrap_or(Side::Asserter),
        clocks: game.clocks(),
        since: game.since(),
        repetitions: Some(model.repetitions),
        segment,
    };
    let subject = match segment.level {
        Level::BigSteps => program_hash(model),
        Level::Steps { .. } => machine(model).into(),
    };
    Game { subject, position: position.pack() }
}

/// What the contract stores of a game: the hash of its state, or who won.
#[must_use]
pub fn stored(id: U256, game: &game::Game) -> B256 {
    match game.winner() {
        Some(Side::Asserter) => B256::with_last_byte(1),
        Some(Side::Challenger) => B256::with_last_byte(2),
        None => state_hash(id, &state(game), word(game.claims())),
    }
}

/// The hash that the contract stores of a running game.
#[must_use]
pub fn state_hash(id: U256, state: &Game, claims: B256) -> B256 {
    word(keccak(&(id, state.subject, state.position, claims).abi_encode()))
}

/// The root of a game's claims, which begin at `start`.
#[must_use]
pub fn claims_root(start: B256, claims: &[B256]) -> B256 {
    let claims: Vec<Root> = claims.iter().map(|claim| Root(claim.0)).collect();
    word(game::commit(Root(start.0), &claims))
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
        Illegal::Proof(Proven::Claims) => "StateMismatch",
        Illegal::Proof(_) => "Proof",
        Illegal::Level => "Level",
        Illegal::Units { .. } => "Units",
        Illegal::Void => "Void",
        Illegal::Count { .. } => "Count",
        Illegal::Inputs => "Inputs",
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

/// The name of the function that calldata calls, if it is one of our contracts'; otherwise its selector.
#[must_use]
pub fn function_name(data: &[u8]) -> String {
    let Some(&selector) = data.first_chunk() else { return "nothing".to_owned() };
    let name = IDisputeGame::IDisputeGameCalls::name_by_selector(selector)
        .or_else(|| IInferenceService::IInferenceServiceCalls::name_by_selector(selector))
        .or_else(|| IModelRegistry::IModelRegistryCalls::name_by_selector(selector));
    name.map_or_else(|| Bytes::from(selector).to_string(), str::to_owned)
}

/// The name of a contract's error and what it means, for people. The meaning is the error's comment in
/// `Interfaces.sol`.
#[must_use]
pub fn error_text(name: Option<&str>) -> String {
    let Some(name) = name else { return "it gives no known reason".to_owned() };
    let text = include_str!("src/Interfaces.sol");
    // Where two interfaces have an error of this name, the service's comes last.
    let before = text.rfind(&format!(" error {name}(")).map(|declared| text[..declared].trim_end());
    let comment = before.and_then(|before| before.lines().next_back()?.trim().strip_prefix("/// "));
    let Some(comment) = comment else { return name.to_owned() };
    let (first, rest) = comment.split_at(1);
    format!("{name}: {}{}", first.to_lowercase(), rest.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named() {
        use crate::SolCall as _;
        assert_eq!(function_name(&IInferenceService::termsCall {}.abi_encode()), "terms");
        assert_eq!(function_name(&IDisputeGame::gamesOfCall { ids: Vec::new() }.abi_encode()), "gamesOf");
        assert_eq!(function_name(&[1, 2, 3, 4, 5]), "0x01020304");
        assert_eq!(function_name(&[]), "nothing");
    }

    #[test]
    fn errors_are_explained() {
        assert_eq!(error_text(Some("Early")), "Early: the mover still has time");
        assert!(
            error_text(Some("Size")).contains("not as many, or not as long"),
            "{}",
            error_text(Some("Size"))
        );
        assert_eq!(error_text(Some("Unheard")), "Unheard");
        assert_eq!(error_text(None), "it gives no known reason");
        let selectors = IDisputeGame::IDisputeGameErrors::SELECTORS.iter();
        for selector in selectors.chain(IInferenceService::IInferenceServiceErrors::SELECTORS) {
            let text = error_text(error_name(selector));
            assert!(text.contains(": "), "{text} is not explained");
        }
    }
}
