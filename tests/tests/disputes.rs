//! Whole disputes about the bundled networks, down to the step that the verifier executes.

use compiler::{Options, compile_model};
use game::{Clocks, Game, Illegal, Move, Oracle, Side, player};
use image::{Image, Role, Schedule};
use onnx::Limits;
use opml_tests::tools::in_repository;
use prover::{Change, Execution};

const CLOCKS: Clocks = Clocks { asserter: 10, challenger: 10 };

/// The networks, and the suffix of the digits' files for each.
const NETWORKS: [(&str, &str); 2] = [("mnist-mlp", "flat.npy"), ("mnist-cnn", "npy")];

fn compiled(network: &str) -> Image {
    let path = in_repository(&format!("fixtures/{network}/model.onnx"));
    let model =
        onnx::read_model(&path, &Limits::default()).unwrap_or_else(|error| panic!("{network}: {error}"));
    let options = Options::default();
    let compiled = compile_model(model, &options);
    compiled.unwrap_or_else(|error| panic!("{network}: {error}")).image
}

/// The numbers after the header of a digit's .npy file, whose length is at byte 8 (NEP 1).
fn digit(ending: &str) -> Vec<u8> {
    let path = in_repository(&format!("fixtures/digits/7.{ending}"));
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file[10 + usize::from(u16::from_le_bytes([file[8], file[9]]))..].to_vec()
}

/// The first address of the last tensor with a role.
fn address(image: &Image, role: Role) -> u64 {
    let tensor = image.tensors.iter().rfind(|tensor| tensor.role == role);
    tensor.unwrap_or_else(|| panic!("no {role:?}")).address
}

/// The run of a network on a digit, with bytes changed.
fn run(image: &Image, schedule: &Schedule, digit: &[u8], changes: Vec<Change>) -> Execution {
    let inputs = vec![(address(image, Role::Input), digit.to_vec())];
    let run = Execution::new(image.clone(), schedule.clone(), inputs).expect("a run");
    run.with_changes(changes).expect("a run")
}

/// Both play to the end. A side without a move runs out of time. Returns the winner and the number of moves.
fn duel(asserter: &mut Execution, challenger: &mut Execution, arity: u64) -> Result<(Side, u64), Illegal> {
    let model = asserter.model().clone();
    let (input, asserted) =
        (asserter.inputs().expect("inputs").commitment(), asserter.result(&model).expect("a result"));
    let challenge = player::challenge(&model, arity, challenger).expect("a challenge");
    let mut game = Game::challenge(&model, input, asserted, arity, CLOCKS, &challenge, 0)?;
    let (mut claims, mut moves) = (challenge.claims, 1);
    while let Some(mover) = game.mover() {
        let oracle = if mover == Side::Asserter { &mut *asserter } else { &mut *challenger };
        let reply = player::reply(&game, &claims, 2, oracle).expect("an answer");
        match reply.filter(|move_: &Move| game.apply(mover, move_, 0).is_ok()) {
            Some(move_) => (claims, moves) = (move_.claims().to_vec(), moves + 1),
            None => drop(game.timeout(11).expect("no time left")),
        }
    }
    Ok((game.winner().expect("the game is over"), moves))
}

/// A cheater's possible changes: a weight of the last layer at the start or later, or the output at the end.
fn cheats(image: &Image, schedule: &Schedule) -> [(&'static str, Change); 3] {
    let (weight, output) = (address(image, Role::Constant), address(image, Role::Output));
    let last = schedule.leaves().len() as u64 - 1;
    let end = schedule.leaves()[last as usize].bound;
    [
        ("a weight", Change { place: (0, 1), address: weight + 3, bits: 0x40 }),
        ("a weight on the way", Change { place: (last / 2, 100), address: weight + 3, bits: 0x40 }),
        ("the output", Change { place: (last, end), address: output, bits: 1 }),
    ]
}

#[test]
fn honest_players_win_disputes_about_networks() {
    for (network, ending) in NETWORKS {
        let (image, digit) = (compiled(network), digit(ending));
        let (outer, inner) = (image.big_steps(), image.single_phase().expect("a bound"));
        for (phases, schedule) in [(2, &outer), (1, &inner)] {
            let steps = schedule.leaves().iter().map(|leaf| leaf.bound).max().unwrap_or(0);
            let mut truth = run(&image, schedule, &digit, Vec::new());
            for (what, change) in cheats(&image, schedule) {
                for arity in [2, 16, 64] {
                    let mut liar = run(&image, schedule, &digit, vec![change]);
                    let most = Game::most_moves(schedule.leaves().len() as u64, steps, arity);
                    let context = format!("{network} in {phases} phases by {arity}, {what}");
                    for (honest, won) in [
                        (Side::Asserter, duel(&mut truth, &mut liar, arity)),
                        (Side::Challenger, duel(&mut liar, &mut truth, arity)),
                    ] {
                        let (winner, moves) = won.unwrap_or_else(|error| panic!("{context}: {error}"));
                        assert_eq!(winner, honest, "{context}");
                        assert!(moves <= most, "{context}: {moves} moves of {most}");
                    }
                }
            }
        }
    }
}

#[test]
fn both_phases_come_to_the_same_result() {
    for (network, ending) in NETWORKS {
        let (image, digit) = (compiled(network), digit(ending));
        let results = [image.big_steps(), image.single_phase().expect("a bound")].map(|schedule| {
            let mut run = run(&image, &schedule, &digit, Vec::new());
            let model = run.model().clone();
            run.result(&model).expect("a result")
        });
        assert_eq!(results[0], results[1], "{network}");
        assert_ne!(results[0], game::VOID, "{network}");
    }
}
