//! Compares two phases with one: what an honest challenger computes in a whole dispute. Run with `cargo bench
//! -p opml-prover --bench phases`.
//!
//! With one phase, a game is over all steps of the machine. With two, it is first over big steps, computed by
//! native code, and then over the steps of the disputed big step. The asserter has changed a bit of the
//! output of some big step. The time covers the challenger's own runs, roots and witnesses, and is the median
//! of some disputes.

use compiler::Options;
use game::player::{challenge, reply};
use game::{Clocks, Game, Oracle as _};
use image::{Image, Region, Role, Schedule};
use native::Native;
use prover::{Change, Execution};
use std::path::Path;
use std::time::{Duration, Instant};

const ARITY: u64 = 20;
const ROUNDS: usize = 9;

/// The challenger's effort in a dispute.
struct Effort {
    time: Duration,
    hashes: u64,
}

/// A model with an input, and the phases of its disputes.
struct Setting {
    image: Image,
    input: Vec<u8>,
    schedule: Schedule,
    native: Option<Native>,
}

impl Setting {
    fn run(&self) -> Execution {
        let inputs = vec![(input_of(&self.image).address, self.input.clone())];
        Execution::new(self.image.clone(), self.schedule.clone(), inputs).expect("a run")
    }

    fn honest(&self) -> Execution {
        match &self.native {
            Some(native) => self.run().with_native(native).expect("native code of the image"),
            None => self.run(),
        }
    }

    /// Plays a dispute about a lie; `None` if it doesn't change the result.
    fn dispute(&self, lie: Change) -> Option<Effort> {
        let (mut liar, mut honest) = (self.run().with_changes(vec![lie]).expect("a run"), self.honest());
        let model = liar.model().clone();
        let asserted = liar.result(&model).expect("a result");
        let (mut time, clocks) = (Duration::ZERO, Clocks { asserter: 1, challenger: 1 });
        let inputs = liar.inputs().expect("inputs").commitment();
        let start = Instant::now();
        let opening = challenge(&model, ARITY, &mut honest).expect("a challenge");
        time += start.elapsed();
        let mut game = Game::challenge(&model, inputs, asserted, ARITY, clocks, &opening, 0).ok()?;
        let (mut theirs, mut ours) = (opening.claims, true);
        while game.mover().is_some() {
            ours = !ours;
            let start = Instant::now();
            let move_ = reply(&game, &theirs, 1, if ours { &mut honest } else { &mut liar }).expect("a move");
            time += if ours { start.elapsed() } else { Duration::ZERO };
            let side = game.mover().expect("a mover");
            // A liar may run out of lies.
            let Some(move_) = move_.filter(|move_| game.apply(side, move_, 0).is_ok()) else { break };
            theirs = move_.claims().to_vec();
        }
        Some(Effort { time, hashes: honest.hashed() })
    }
}

fn main() {
    println!(
        "| Model | Phases | Big steps m | Longest n | Steps in all | Time, ms | alpha | Nodes hashed | Roots of a complete trace |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for (net, budget) in [("mnist-mlp", None), ("mnist-cnn", None), ("mnist-cnn", Some(20_000))] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(net).join("model.onnx");
        let compiled = compiler::compile(&path, &Options { budget, ..Options::default() }).expect("an image");
        let native = Native::of(&compiled.image, 1).expect("native code");
        let image = &compiled.image;
        let input: Vec<u8> = (0..image.extent(Role::Input, input_of(image)) / 4)
            .flat_map(|i| ((i % 17) as f32 / 17.0).to_le_bytes())
            .collect();
        let big = image.big_steps();
        let total = image.interface.as_ref().expect("an interface").bound;
        let longest = big.leaves().iter().map(|leaf| leaf.bound).max().unwrap_or(0);
        let m = big.leaves().len() as u64;
        let settings = [
            ("1", image.single_phase().expect("one phase"), None, 1, total),
            ("2, in the machine", big.clone(), None, m, longest),
            ("2, native first", big, Some(native), m, longest),
        ];
        let mut one = None;
        for (phases, schedule, native, m, n) in settings {
            let setting = Setting { image: image.clone(), input: input.clone(), schedule, native };
            let effort = median(image, &setting);
            let time = effort.time.as_secs_f64() * 1e3;
            let alpha = *one.get_or_insert(time) / time;
            let name = budget.map_or(net.to_owned(), |budget| format!("{net}, budget {budget}"));
            let (roots, hashes) = (m + n, effort.hashes);
            let bytes = 32 * roots;
            println!(
                "| {name} | {phases} | {m} | {n} | {total} | {time:.2} | {alpha:.1} | {hashes} | {roots} ({bytes} bytes) |"
            );
        }
    }
}

/// The median of disputes about the same lie: one bit of the output at the end.
fn median(image: &Image, setting: &Setting) -> Effort {
    let output = image.tensors.iter().rfind(|tensor| tensor.role == image::Role::Output).expect("an output");
    let mut run = setting.run();
    let last = run.model().big_steps() - 1;
    let steps = run.steps(last).expect("steps");
    let lies = (1..=4).map(|number| Change {
        place: (last, steps),
        address: output.address + 4 * number - 1,
        bits: 0x40,
    });
    let lie = lies.into_iter().find(|lie| setting.dispute(*lie).is_some()).expect("a lie that shows");
    let mut efforts: Vec<Effort> = (0..ROUNDS).filter_map(|_| setting.dispute(lie)).collect();
    efforts.sort_by_key(|effort| effort.time);
    efforts.swap_remove(efforts.len() / 2)
}

/// The only input of an image.
fn input_of(image: &Image) -> Region {
    image.interface.as_ref().expect("an interface").inputs[0]
}
