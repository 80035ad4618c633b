//! The dispute game in Solidity: the checked-in bytecode is the compiler's, and it plays by the rules of the
//! game in Rust, including refusals.
//!
//! `OPML_BLESS=1` rewrites the bytecode. The compiler is solc from npm: run `npm ci` in the repository's
//! root.

use compiler::{Options, compile_model};
use contracts::{DEPLOYABLE, SOURCES};
use game::fake::{Fake, What};
use game::player::{challenge, pick, reply};
use game::{BigStepEntry, Challenge, Game, Model, Move, Oracle, Outcome, Protocol, Region, Side, Subtree};
use image::{Role, Shape};
use onnx::Limits;
use opml_tests::board::{Board, Place};
use opml_tests::generated::{check, lines};
use opml_tests::random::Random;
use opml_tests::solc::{bytecode, compile, compile_one, settings};
use opml_tests::tools::{in_repository, number};
use prover::{Change, Execution};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::catch_unwind;
use step::merkle::node;
use step::{Proof, Root};

/// The maximum size of a contract (EIP-170).
const LIMIT: usize = 24_576;

fn sources() -> Vec<(String, String)> {
    let ours = SOURCES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    ours.chain([("IStepVerifier.sol".to_owned(), solidity::interface().to_owned())]).collect()
}

#[test]
fn bytecode_is_up_to_date() {
    let output = compile(&sources());
    let text: String = sources().into_iter().map(|(_, text)| text).collect();
    let folder = in_repository("runtime/contracts/generated");
    let sizes = DEPLOYABLE.map(|name| {
        let (creation, deployed) = bytecode(&output, name);
        check(&folder.join(format!("{name}.hex")), &lines(creation));
        (name, deployed.len() / 2)
    });
    for (name, bytes) in sizes {
        assert!(bytes > 0 && bytes <= LIMIT, "{name} has {bytes} bytes");
    }
    let about = json!({
        "compiler": output["version"],
        "settings": settings(),
        "keccak256": step::keccak(text.as_bytes()).to_string(),
        "deployedBytes": sizes.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    });
    check(&folder.join("compiler.json"), &(serde_json::to_string_pretty(&about).expect("JSON") + "\n"));
}

// ---- Whole games

/// A true run, and one that equals it up to a place.
fn runs(random: &mut Random) -> (Fake, Fake) {
    let (big_steps, steps) = (1 + random.below(20), random.below(40));
    let mut truth = Fake::new(random.bits(), big_steps, steps);
    if random.one_in(3) {
        truth.traps = Some(random.below(big_steps));
    }
    let from = (random.below(big_steps), 1 + random.below(steps.max(1)));
    // A lie about a whole big step is a lie about what it leaves behind.
    let from = if from.1 >= steps { (from.0 + 1, 0) } else { from };
    let what = *random.pick(&[What::Other(1), What::Other(2), What::Void, What::Scratch, What::Same]);
    let liar = truth.clone().lying(from..(big_steps, 1), what);
    (truth, liar)
}

/// Plays to the end. A side without a legal reply loses by time. Before each move, a few bad ones are tried.
fn play_out(
    board: &mut Board<'_, Fake>,
    mut theirs: Vec<Root>,
    players: &mut [Fake; 2],
    random: &mut Random,
    seen: &mut BTreeSet<&'static str>,
    at_once: u64,
) -> Side {
    loop {
        let side = board.game.mover().expect("a game that goes on");
        let deadline = board.game.deadline().expect("a deadline");
        // A move at the very end of a clock is in time.
        board.now = if random.one_in(8) { deadline } else { deadline.min(board.now + random.below(4)) };
        let [asserter, challenger] = &mut *players;
        let player = if side == Side::Asserter { asserter } else { challenger };
        let Ok(move_) = reply(&board.game, &theirs, at_once, player);
        if let Some(move_) = &move_ {
            for _ in 0..4 {
                let bad = tampered(move_, board.game.start(), &theirs, random);
                seen.extend(try_only(board, side, &bad));
            }
            seen.extend(try_only(board, side.other(), move_));
        }
        seen.extend(board.timeout().err());
        let outcome = match move_.ok_or("none").and_then(|move_| {
            let outcome = board.play(side, &move_)?;
            theirs = move_.claims().to_vec();
            Ok((outcome, move_))
        }) {
            Ok((outcome, last)) => {
                if let Outcome::Won(_) = outcome {
                    seen.extend(board.play(side, &last).err());
                }
                outcome
            }
            Err(error) => {
                seen.insert(error);
                late(board, side, &theirs, players, seen)
            }
        };
        if let Outcome::Won(winner) = outcome {
            seen.extend(board.timeout().err());
            return winner;
        }
    }
}

/// Lets the mover's time pass. After that, no move is accepted.
fn late(
    board: &mut Board<'_, Fake>,
    side: Side,
    theirs: &[Root],
    players: &mut [Fake; 2],
    seen: &mut BTreeSet<&'static str>,
) -> Outcome {
    board.now = board.game.deadline().expect("a deadline") + 1;
    let [asserter, challenger] = players;
    let player = if side == Side::Asserter { asserter } else { challenger };
    if let Ok(Some(move_)) = reply(&board.game, theirs, 1, player) {
        seen.insert(board.play(side, &move_).expect_err("too late"));
    }
    board.timeout().expect("an end")
}

/// A move that must be refused, unless it is a legal move other than the player's own. Then it isn't made.
fn try_only(board: &mut Board<'_, Fake>, side: Side, move_: &Move) -> Option<&'static str> {
    let mut trial = board.game.clone();
    let legal = trial.apply_under(board.rules(), side, move_, board.now).is_ok();
    if legal { None } else { board.play(side, move_).err() }
}

/// A move with one thing wrong.
fn tampered(move_: &Move, start: Root, theirs: &[Root], random: &mut Random) -> Move {
    let mut bad = move_.clone();
    if random.one_in(3) {
        let any = pick(start, theirs, 1 + random.below(theirs.len() as u64));
        let pick = if random.one_in(2) { any } else { move_.pick().clone() };
        return match random.below(4) {
            0 => Move::Void { pick },
            1 => Move::Prove { pick, witnesses: vec![vec![7; 16]] },
            2 => Move::Dissect { pick, claims: move_.claims().to_vec() },
            _ => match move_ {
                Move::Enter { entry, .. } => Move::Enter { pick, entry: entry.clone() },
                _ => Move::Enter { pick, entry: no_entry() },
            },
        };
    }
    match (&mut bad, random.below(2)) {
        (Move::Dissect { claims, pick }, 0) => match random.below(3) {
            0 => claims.push(Root::ZERO),
            1 => claims.truncate(claims.len() - 1),
            _ => *claims.last_mut().expect("a claim") = pick.rejected,
        },
        (Move::Enter { entry, .. }, 0) => match random.below(7) {
            0 => entry.leaf.bound ^= 1,
            1 => entry.schedule.push(Root::ZERO),
            2 => entry.claims.push(Root::ZERO),
            3 => entry.end.push(0),
            4 => *entry.claims.last_mut().expect("a claim") = Root::ZERO,
            5 => entry.scratch.leaf.0[0] ^= 1,
            _ => entry.scratch.siblings.push(Root::ZERO),
        },
        (Move::Prove { witnesses, .. }, 0) => match random.below(3) {
            0 => witnesses.push(vec![7; 16]),
            1 => drop(witnesses.pop()),
            _ => witnesses.iter_mut().for_each(|witness| witness.truncate(witness.len() - 1)),
        },
        (
            Move::Dissect { pick, .. }
            | Move::Enter { pick, .. }
            | Move::Void { pick }
            | Move::Prove { pick, .. },
            _,
        ) => {
            match random.below(7) {
                0 => pick.part = 0,
                1 => pick.part = theirs.len() as u64 + 1,
                2 => pick.agreed.0[31] ^= 1,
                3 => pick.siblings.push(Root::ZERO),
                4 => pick.rejected.0[0] ^= 1,
                5 if !pick.siblings.is_empty() => drop(pick.siblings.pop()),
                // The nodes above in place of the claims.
                _ if pick.part % 2 == 0 && pick.siblings.len() > 2 => {
                    pick.agreed = node(pick.siblings.remove(0), pick.agreed);
                    pick.rejected = node(pick.rejected, pick.siblings.remove(0));
                }
                _ => std::mem::swap(&mut pick.agreed, &mut pick.rejected),
            }
        }
    }
    bad
}

fn no_entry() -> BigStepEntry {
    let scratch = Proof { leaf: Root::ZERO, siblings: Vec::new() };
    BigStepEntry {
        leaf: image::Leaf { entry: 0, bound: 1 },
        schedule: vec![],
        claims: vec![],
        end: vec![],
        scratch,
    }
}

/// Plays many games. Returns the errors that occurred.
fn campaign(place: &mut Place, games: u64) -> BTreeSet<&'static str> {
    let mut random = Random::new(3);
    let (mut seen, mut won) = (BTreeSet::new(), [0; 2]);
    for _ in 0..games {
        let (truth, liar) = runs(&mut random);
        let arity = *random.pick(&[2, 2, 3, 4, 5, 8, 16, 256]);
        let honest = if random.one_in(2) { Side::Asserter } else { Side::Challenger };
        let mut players =
            if honest == Side::Asserter { [truth.clone(), liar] } else { [liar, truth.clone()] };
        let model = truth.model().expect("a model");
        let asserted = players[0].result_commitment();
        let Ok(opening) = challenge(&model, arity.into(), &mut players[1]);
        match Board::open(place, &truth, &model, truth.inputs_commitment(), asserted, arity, 1000, &opening) {
            Ok(mut board) => {
                let at_once = *random.pick(&[1, 1, 2, 3, 10]);
                let winner =
                    play_out(&mut board, opening.claims, &mut players, &mut random, &mut seen, at_once);
                assert_eq!(winner, honest);
                won[usize::from(winner == Side::Challenger)] += 1;
            }
            // Runs with the same end are not a dispute, and memory that isn't reset has its output elsewhere.
            Err(error) => {
                assert!(error == "Agrees" || honest == Side::Asserter && error == "Proof", "{error}")
            }
        }
    }
    assert!(won.iter().all(|&won| won > games / 15), "{won:?}");
    seen
}

#[test]
fn contract_and_rust_play_the_same_game() {
    let mut seen = campaign(&mut Place::of_fakes(), number("OPML_GAMES", 150));
    seen.remove("none");
    let all = [
        "Agrees",
        "Count",
        "Early",
        "EndState",
        "Late",
        "Level",
        "Over",
        "Part",
        "Proof",
        "StateMismatch",
        "Turn",
        "Units",
        "Void",
        "Witness",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn planted_bugs_are_noticed() {
    let unnoticed = PLANTED.iter().filter(|(right, wrong)| {
        let mut files = sources();
        let game = files.iter_mut().find(|(name, _)| name == "DisputeGame.sol").expect("the game");
        assert!(game.1.contains(right), "there is no {right}");
        game.1 = game.1.replacen(right, wrong, 1);
        let code = compile_one(&files, "OpenDisputes");
        catch_unwind(|| campaign(&mut Place::of_fakes_with(code), 150)).is_ok()
    });
    let unnoticed: Vec<_> = unnoticed.collect();
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}

/// A text in the contract, and one to put in its place that is wrong.
const PLANTED: [(&str, &str); 13] = [
    ("if (used > clockOf(table)) revert Late();", "if (used >= clockOf(table)) revert Late();"),
    ("block.timestamp - table.since <= clockOf(table)", "block.timestamp - table.since < clockOf(table)"),
    ("part == 0 || part > count", "part == 0 || part > count + 1"),
    ("if (words[words.length - 1] == table.rejected) revert Agrees();", ""),
    ("if (table.rejected == VOID) revert Agrees();", ""),
    ("bound == 0 ? 1 : bound > MAX_STEPS", "bound > MAX_STEPS"),
    ("finish(id, !table.asserterMoves)", "finish(id, table.asserterMoves)"),
    ("|| witnesses.length != table.hi - table.lo", ""),
    ("                root = successor;\n", "                if (i == 0) root = successor;\n"),
    ("if (end != last) revert Proof();", ""),
    ("if (table.asserterMoves) table.asserterClock", "if (!table.asserterMoves) table.asserterClock"),
    ("table.lo += units * (part - 1) / count;", "table.lo += units / count * (part - 1);"),
    (
        "if (games[id] != hashOf(id, game, claims)) revert StateMismatch();",
        "if (games[id] == 0 && hashOf(id, game, claims) == 0) revert StateMismatch();",
    ),
];

#[test]
fn bad_challenges_are_refused() {
    let truth = Fake::new(1, 5, 7);
    let model = truth.model().expect("a model");
    let liar = truth.clone().lying((3, 0)..(5, 1), What::Other(1));
    let Ok(good) = challenge(&model, 4, &mut truth.clone());
    let mut place = Place::of_fakes();
    let mut open = |model: &Model, arity: u16, change: &dyn Fn(&mut Challenge)| {
        let mut opening = good.clone();
        change(&mut opening);
        let (inputs, asserted) = (truth.inputs_commitment(), liar.result_commitment());
        Board::open(&mut place, &truth, model, inputs, asserted, arity, 60, &opening).err()
    };
    let same = |_: &mut Challenge| {};
    assert_eq!(open(&model, 4, &same), None);
    for arity in [0, 1, 257] {
        assert_eq!(open(&model, arity, &same), Some("InvalidModel"), "{arity}");
    }
    let region = |level, index, bytes| Region { subtree: Subtree { level, index }, bytes };
    let with = |inputs: &[Region], outputs: &[Region]| Model {
        inputs: inputs.into(),
        outputs: outputs.into(),
        ..model.clone()
    };
    let half = region(7, 0, 32);
    for model in [
        Model { shape: Shape::plain(0), ..model.clone() },
        Model { shape: Shape { least: 1, ..model.shape }, ..model.clone() },
        Model { shape: Shape { period: 1, ..model.shape }, ..model.clone() },
        Model { shape: Shape { period: 1, least: 2, most: 1, ..model.shape }, ..model.clone() },
        Model { shape: Shape { period: 2, least: 1, most: 1 << 39, ..model.shape }, ..model.clone() },
        Model { repetitions: 1, ..model.clone() },
        Model { scratch_bits: 4, ..model.clone() },
        Model { scratch_bits: 14, ..model.clone() },
        with(&[], &[half]),
        with(&[half], &[]),
        with(&(0..65).map(|index| region(0, index, 1)).collect::<Vec<_>>(), &[region(6, 1, 1)]),
        with(&[region(7, 0, 0)], &[half]),
        with(&[half], &[region(7, 0, (1 << 12) + 1)]),
        with(&[region(6, 0, 32)], &[half]),
        with(&[half], &[region(6, 0, 32)]),
        with(&[half], &[region(7, 1, 32)]),
        with(&[region(9, 0, 32)], &[half]),
        with(&[region(7, 2, 32)], &[half]),
        with(&[half], &[region(8, 1, 32)]),
        with(&[half], &[region(0xffff, 0, 32)]),
        with(&[region(1, u64::MAX, 32)], &[half]),
        with(&[half, half], &[half]),
        with(&[half], &[region(6, 1, 1), region(6, 0, 1)]),
    ] {
        assert_eq!(open(&model, 4, &same), Some("InvalidModel"), "{model:?}");
    }
    assert_eq!(open(&model, 3, &same), Some("Count"));
    let mut refused = |change: &dyn Fn(&mut Challenge)| open(&model, 4, change);
    assert_eq!(refused(&|opening| opening.claims.clear()), Some("Count"));
    assert_eq!(refused(&|opening| opening.claims.push(Root::ZERO)), Some("Count"));
    assert_eq!(refused(&|opening| opening.inputs.roots[0].0[0] ^= 1), Some("Inputs"));
    assert_eq!(refused(&|opening| opening.inputs.siblings[0].0[0] ^= 1), Some("Proof"));
    assert_eq!(refused(&|opening| opening.inputs.siblings.push(Root::ZERO)), Some("Count"));
    assert_eq!(refused(&|opening| opening.outputs.roots[0].0[0] ^= 1), Some("Proof"));
    assert_eq!(refused(&|opening| opening.outputs.siblings.clear()), Some("Count"));
    assert_eq!(refused(&|opening| opening.outputs.roots[0] = liar.result_commitment()), Some("Proof"));
    let Ok(lie) = challenge(&model, 4, &mut liar.clone());
    assert_eq!(refused(&|opening| *opening = lie.clone()), Some("Agrees"));
}

#[test]
fn the_real_verifier_decides_games_about_a_network() {
    let path = in_repository("fixtures/mnist-mlp/model.onnx");
    let model = onnx::read_model(&path, &Limits::default()).expect("a model");
    let options = Options::default();
    let image = compile_model(model, &options).expect("an image").image;
    let output = image.tensors.iter().rfind(|tensor| tensor.role == Role::Output).expect("an output").address;
    let run = |changes| {
        let run = Execution::new(image.clone(), image.big_steps(), Vec::new()).expect("a run");
        run.with_changes(changes).expect("a run")
    };
    let mut truth = run(Vec::new());
    let model = truth.model().clone();
    let last = model.big_steps() - 1;
    let end = truth.steps(last).expect("steps");
    let mut place = Place::of_machines(image.profile.extensions());
    for (arity, honest) in [(16, Side::Asserter), (16, Side::Challenger), (2, Side::Challenger)] {
        let liar = run(vec![Change { place: (last, end - 2), address: output, bits: 1 }]);
        let mut players =
            if honest == Side::Asserter { [run(Vec::new()), liar] } else { [liar, run(Vec::new())] };
        let inputs = truth.inputs().expect("inputs").commitment();
        let asserted = players[0].result(&model).expect("a result");
        let opening = challenge(&model, arity.into(), &mut players[1]).expect("a challenge");
        let board = Board::open(&mut place, &Protocol, &model, inputs, asserted, arity, 3600, &opening);
        let mut board = board.expect("a game");
        assert_eq!(board.duel(opening.claims, &mut players, 1), honest);
        let (name, receipt) = board.receipts.last().expect("a move");
        assert!(*name == "prove" && receipt.gas > 21_000 || *name == "timeout", "{name}");
    }
}

// ---- Costs

#[test]
fn gas_by_arity() {
    /// Roughly the size of a small network.
    const BIG_STEPS: u64 = 32;
    const STEPS: u64 = 1 << 14;
    let mut text = format!(
        "{BIG_STEPS} big steps of {STEPS} steps; memory of 8 KiB; the last step is disputed, the proof is of no real step.\n\n"
    );
    let _ = writeln!(text, "arity  moves  calldata     gas  challenge  dissect (most)  enter");
    let truth = Fake::new(1, BIG_STEPS, STEPS);
    let liar = truth.clone().lying((BIG_STEPS, 0)..(BIG_STEPS, 1), What::Other(1));
    let liar = liar.lying((BIG_STEPS - 1, STEPS)..(BIG_STEPS - 1, STEPS + 1), What::Other(1));
    let model = truth.model().expect("a model");
    for arity in [2, 4, 8, 16, 32, 64] {
        let mut place = Place::of_fakes();
        let mut players = [liar.clone(), truth.clone()];
        let Ok(opening) = challenge(&model, arity.into(), &mut players[1]);
        let (inputs, asserted) = (truth.inputs_commitment(), liar.result_commitment());
        let mut board =
            Board::open(&mut place, &truth, &model, inputs, asserted, arity, 3600, &opening).expect("a game");
        assert_eq!(board.duel(opening.claims, &mut players, 1), Side::Challenger);
        let most =
            |name| board.receipts.iter().filter(|(of, _)| *of == name).map(|(_, receipt)| receipt.gas).max();
        let gas: u64 = board.receipts.iter().map(|(_, receipt)| receipt.gas).sum();
        let bytes: usize = board.receipts.iter().map(|(_, receipt)| receipt.calldata).sum();
        let [challenge, dissect, enter] =
            ["challenge", "dissect", "enter"].map(|name| most(name).unwrap_or(0));
        let moves = board.receipts.len();
        let _ =
            writeln!(text, "{arity:5}  {moves:5}  {bytes:8} {gas:7}  {challenge:9}  {dissect:14}  {enter:5}");
        let bound = Game::most_moves(BIG_STEPS, STEPS, arity.into());
        assert!(moves as u64 <= bound, "{moves} moves; there may be {bound}");
    }
    insta::assert_snapshot!(text);
}
