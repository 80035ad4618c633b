//! Jobs and what they came to, as they are in a database that others write to.

use crate::tools::in_repository;
use contracts::{B256, Bytes, Position, U256};
use game::{Clocks, Level, Segment, Side};
use native::Native;
use players::{Found, Inference, LoadedModel, Parcel, Task, Turn, WorkError, inputs_commitment};
use std::sync::{Arc, LazyLock};

/// A small model with native code.
static MODEL: LazyLock<Arc<LoadedModel>> = LazyLock::new(|| {
    let path = in_repository("fixtures/operators/add/model.onnx");
    let image = compiler::compile(&path, &compiler::Options::default()).expect("an image").image;
    let native = Native::of(&image, 1).expect("native code");
    Arc::new(LoadedModel::new(image, Some(native)).expect("a model"))
});

/// Any bytes are a job or none. A job about the model comes to something that fits it, or to an error, and any bytes
/// are what some job comes to, or nothing.
pub fn job(bytes: &[u8]) {
    if let Some(parcel) = Parcel::unpack(bytes) {
        assert_eq!(Parcel::unpack(&parcel.pack()).as_ref(), Some(&parcel), "packed again");
        done(parcel);
    }
    if let Some(found) = Found::unpack(bytes) {
        assert_eq!(Found::unpack(&found.pack()).as_ref(), Some(&found), "packed again");
        for task in tasks().iter().filter(|task| found.fits(task, &MODEL)) {
            used(&found, task, bytes.len());
        }
    }
}

/// Does a job as a worker does.
fn done(parcel: Parcel) {
    if inputs_commitment(MODEL.inputs(), &parcel.inputs).is_none() {
        return;
    }
    let inference = Inference::new(Arc::clone(&MODEL), parcel.repetitions, parcel.inputs, None, None);
    match inference.run(&parcel.task) {
        Ok(found) => {
            assert!(found.fits(&parcel.task, &MODEL), "{found:?} is not what {:?} asks for", parcel.task)
        }
        Err(error) => assert!(!matches!(error, WorkError::BrokenOff), "it panics: {:?}", parcel.task),
    }
}

/// What a player does with a result that it believes.
fn used(found: &Found, task: &Task, length: usize) {
    match found {
        Found::Result(computed) => {
            assert!(computed.bytes() <= length as u64, "more bytes than there were");
            for by_root in [0, 1, u64::MAX] {
                let shown = computed.shown(by_root);
                assert_eq!(shown.len(), computed.outputs.len());
                let _ = computed.can_be_shown(by_root, MODEL.outputs());
            }
        }
        Found::Opening(words) => assert!(words.len() <= length),
        Found::Reply(Some(data)) => {
            let Task::Reply(turn) = task else { panic!("a move for {task:?}") };
            assert_eq!(data[4..36], turn.game.to_be_bytes::<32>(), "a move in another game");
        }
        Found::Reply(None) => {}
    }
}

/// A state of a game in which the other side's claims are all wrong.
fn turn(segment: Segment) -> Turn {
    let (clocks, mover) = (Clocks { asserter: 100, challenger: 100 }, Side::Asserter);
    let repetitions = (segment.level == Level::BigSteps).then_some(0);
    let position = Position { mover, clocks, since: 7, repetitions, segment };
    let claims = (0..segment.parts(4)).map(|claim| B256::with_last_byte(claim as u8)).collect();
    let state = (B256::repeat_byte(3), position.pack());
    Turn { game: U256::from(77), state, start: B256::repeat_byte(4), claims, arity: 4, at_once: 2 }
}

/// Tasks of every kind.
fn tasks() -> Vec<Task> {
    let big_steps = MODEL.commitment.big_steps();
    let steps = |lo, hi| Segment { level: Level::Steps { big_step: 0 }, lo, hi };
    let segments =
        [Segment { level: Level::BigSteps, lo: 0, hi: big_steps }, steps(0, 16), steps(3, 7), steps(9, 11)];
    let replies = segments.map(|segment| Task::Reply(turn(segment)));
    [Task::Result, Task::Opening { arity: 4 }].into_iter().chain(replies).collect()
}

/// Jobs, and what they come to.
pub fn jobs() -> Vec<Vec<u8>> {
    let inputs: Vec<Bytes> =
        MODEL.inputs().iter().map(|region| Bytes::from(vec![0x3f; region.bytes as usize])).collect();
    let job = |task: Task| {
        let found = Inference::new(Arc::clone(&MODEL), 0, inputs.clone(), None, None).run(&task);
        let parcel = Parcel { model: MODEL.id(), repetitions: 0, inputs: inputs.clone(), task };
        [parcel.pack()].into_iter().chain(found.ok().map(|found| found.pack()))
    };
    tasks().into_iter().flat_map(job).collect()
}
