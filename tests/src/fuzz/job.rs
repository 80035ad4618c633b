//! Jobs and what they came to, as they are in a database that others write to.

use crate::tools::in_repository;
use contracts::{B256, Bytes, Position, U256};
use game::{Clocks, Level, Region, Segment, Side};
use native::Native;
use players::{
    Computed, Found, Inference, LoadedModel, Output, Parcel, Task, Turn, WorkError, inputs_commitment,
};
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
            let pairs = computed.outputs.iter().zip(MODEL.outputs());
            let fit = |(output, region): (&Output, &Region)| {
                output.bytes.len() as u64 <= 1 << region.subtree.bits()
            };
            assert!(pairs.into_iter().all(fit), "an output is longer than its region");
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

/// Tasks that no game asks for: they could take for ever.
fn hostile_tasks() -> Vec<Task> {
    let steps = |big_step, lo, hi| turn(Segment { level: Level::Steps { big_step }, lo, hi });
    let arity = Turn { arity: u64::MAX, ..steps(0, 0, 16) };
    let at_once = Turn { at_once: u64::MAX, ..steps(0, 0, 16) };
    let turns = [steps(0, 8, 8), steps(0, 9, 8), steps(0, 0, 1 << 40), steps(5, 0, 1), arity, at_once];
    turns.into_iter().map(Task::Reply).chain([Task::Opening { arity: u64::MAX }]).collect()
}

/// Jobs and what they come to, good and bad.
pub fn jobs() -> Vec<Vec<u8>> {
    let inputs: Vec<Bytes> =
        MODEL.inputs().iter().map(|region| Bytes::from(vec![0x3f; region.bytes as usize])).collect();
    let parcel =
        |inputs: &[Bytes], task| Parcel { model: MODEL.id(), repetitions: 0, inputs: inputs.to_vec(), task };
    let mut bytes = Vec::new();
    for task in tasks().into_iter().chain(hostile_tasks()) {
        let found = Inference::new(Arc::clone(&MODEL), 0, inputs.clone(), None, None).run(&task);
        bytes.extend(found.ok().map(|found| found.pack()));
        bytes.push(parcel(&inputs, task).pack());
    }
    for inputs in
        [Vec::new(), vec![Bytes::new(); inputs.len()], vec![Bytes::from(vec![7; 5000]); inputs.len()]]
    {
        bytes.push(parcel(&inputs, Task::Result).pack());
    }
    let Ok(Found::Result(right)) =
        Inference::new(Arc::clone(&MODEL), 0, inputs, None, None).run(&Task::Result)
    else {
        panic!("the model has a result");
    };
    let output = &right.outputs[0];
    let long = Output { bytes: [&output.bytes[..], &[0; 5000]].concat().into(), ..output.clone() };
    for outputs in [Vec::new(), vec![output.clone(); 2], vec![long]] {
        bytes.push(Found::Result(Computed { outputs, ..right.clone() }).pack());
    }
    bytes
}
