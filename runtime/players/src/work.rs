//! The slow work, done on other threads or by other machines: running models and finding moves.

use crate::model::{Computed, LoadedModel, Output, inputs_commitment, size};
use crate::task::{Found, Parcel, Task, Turn};
use chain::MOST_JOB_BYTES;
use contracts::{B256, Bytes, Position};
use game::player::{challenge, reply};
use game::regions::commitment;
use game::{Challenge, Game, Level, Model, Move, Oracle as _, steps};
use native::Native;
use prover::{Execution, ExecutionError, MemoryLimit, memory_with};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use step::Root;
use thiserror::Error;

/// The most steps that may be proved at once.
const MOST_AT_ONCE: u64 = 64;

/// Turns an honest run into a lying one, as `--cheat` does.
pub type Tamper = Arc<
    dyn Fn(&LoadedModel, &dyn Fn() -> Result<Execution, String>) -> Result<Execution, String> + Send + Sync,
>;

/// Why a computation failed.
#[derive(Debug, Error)]
pub enum WorkError {
    /// The machine failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The native code failed.
    #[error(transparent)]
    Native(#[from] native::NativeError),
    /// The lie of a cheating player can't be told.
    #[error("{0}")]
    Tamper(String),
    /// Another thread panicked while it ran the model.
    #[error("the run of the model was interrupted")]
    BrokenOff,
    /// The task is none that a game asks for.
    #[error("there is no such task: {0}")]
    Task(&'static str),
    /// Another machine could not do it.
    #[error("no worker can do it: {0}")]
    Worker(String),
}

impl WorkError {
    /// Whether more memory would help.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        matches!(self, Self::Execution(ExecutionError::Memory(_)))
    }
}

/// A model on its inputs. The machine is created when it is first needed.
pub struct Inference {
    model: Arc<LoadedModel>,
    repetitions: u64,
    inputs: Vec<Bytes>,
    tamper: Option<Tamper>,
    max_memory: Option<u64>,
    machine: Mutex<Option<Execution>>,
}

impl Inference {
    /// An inference that has not run yet.
    pub fn new(
        model: Arc<LoadedModel>,
        repetitions: u64,
        inputs: Vec<Bytes>,
        tamper: Option<Tamper>,
        max_memory: Option<u64>,
    ) -> Self {
        Self { model, repetitions, inputs, tamper, max_memory, machine: Mutex::default() }
    }

    /// Does a task. It may come from outside.
    pub fn run(&self, task: &Task) -> Result<Found, WorkError> {
        let work = || match task {
            Task::Result => self.result().map(Found::Result),
            Task::Opening { arity } if !Game::ARITIES.contains(arity) => Err(WorkError::Task("the arity")),
            Task::Opening { arity } => self.opening(*arity).map(|it| Found::Opening(contracts::opening(&it))),
            Task::Reply(turn) => self.turn(turn).map(Found::Reply),
        };
        catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(WorkError::BrokenOff))
    }

    /// The calldata of the next move in a game; none if there is nothing to disagree with.
    fn turn(&self, turn: &Turn) -> Result<Option<Bytes>, WorkError> {
        let (model, state) = (self.commitment(), turn.state());
        self.admit(turn, &model)?;
        let game = contracts::resume(&state, &model, turn.arity, turn.start, &turn.claims);
        let theirs: Vec<Root> = turn.claims.iter().map(|claim| Root(claim.0)).collect();
        let move_ = self.reply(&game, &theirs, turn.at_once)?;
        let program = contracts::program(&model);
        Ok(move_.map(|move_| contracts::calldata(turn.game, &state, &program, &move_).into()))
    }

    /// Refuses a state that no game about the model has, and that could take for ever.
    fn admit(&self, turn: &Turn, model: &Model) -> Result<(), WorkError> {
        let segment = Position::unpack(turn.state().position).segment;
        let units = match segment.level {
            Level::BigSteps => model.big_steps(),
            Level::Steps { big_step } if big_step < model.big_steps() => {
                steps(self.with_machine(|machine| Ok(machine.schedule(big_step)?))?.0)
            }
            Level::Steps { .. } => 0,
        };
        match () {
            () if !Game::ARITIES.contains(&turn.arity) => Err(WorkError::Task("the arity")),
            () if turn.at_once > MOST_AT_ONCE => Err(WorkError::Task("the steps to prove at once")),
            () if segment.lo >= segment.hi || segment.hi > units => Err(WorkError::Task("the segment")),
            () => Ok(()),
        }
    }

    /// A task as other machines get it; `None` if they can't do it, or it is too large.
    pub(crate) fn parcel(&self, task: &Task) -> Option<Parcel> {
        let regions = [self.model.inputs(), self.model.outputs()];
        let bytes = regions.map(|regions| regions.iter().map(|region| region.bytes).sum::<u64>());
        let fits = bytes.into_iter().all(|bytes| bytes < MOST_JOB_BYTES as u64 / 2);
        (self.tamper.is_none() && fits).then(|| Parcel {
            model: self.model.id(),
            repetitions: self.repetitions,
            inputs: self.inputs.clone(),
            task: task.clone(),
        })
    }

    /// The model.
    pub(crate) fn model(&self) -> &LoadedModel {
        &self.model
    }

    /// The result: from native code if there is some, otherwise from the machine.
    pub fn result(&self) -> Result<Computed, WorkError> {
        match &self.model.native {
            Some(native) if self.tamper.is_none() => self.native(native),
            _ => self.with_machine(|machine| Ok(self.model.result(machine)?)),
        }
    }

    /// The result from native code. Only the outputs are hashed.
    fn native(&self, native: &Native) -> Result<Computed, WorkError> {
        let memory = memory_with(&self.model.image, &self.placed())?;
        let mut run = native::Run::over(&native.repeated(self.repetitions)?, &self.model.image, memory)?;
        let roots = run.output_roots()?;
        let outputs = roots.iter().zip(self.model.outputs()).map(|(&root, region)| {
            let bytes = run.memory().read(region.subtree.address(), size(region)).unwrap_or_default();
            Output { root, bytes: Bytes::copy_from_slice(bytes) }
        });
        let outputs = outputs.collect();
        Ok(Computed { result: contracts::word(commitment(&roots)), outputs })
    }

    /// The inputs with the addresses of their regions.
    fn placed(&self) -> Vec<(u64, Vec<u8>)> {
        let regions = self.model.inputs().iter().map(|region| region.subtree.address());
        regions.zip(self.inputs.iter().map(|input| input.to_vec())).collect()
    }

    /// The first move of a challenger.
    pub fn opening(&self, arity: u64) -> Result<Challenge, WorkError> {
        let commitment = self.commitment();
        self.with_machine(|machine| Ok(challenge(&commitment, arity, machine)?))
    }

    /// The model with the request's repetitions.
    #[must_use]
    pub fn commitment(&self) -> Model {
        Model { repetitions: self.repetitions, ..self.model.commitment.clone() }
    }

    /// The next move in a game, which may prove so many steps at once; `None` if there is nothing to disagree
    /// with.
    pub fn reply(&self, game: &Game, theirs: &[Root], at_once: u64) -> Result<Option<Move>, WorkError> {
        self.with_machine(|machine| Ok(reply(game, theirs, at_once, machine)?))
    }

    fn with_machine<T>(
        &self,
        f: impl FnOnce(&mut Execution) -> Result<T, WorkError>,
    ) -> Result<T, WorkError> {
        let mut machine = self.machine.lock().map_err(|_| WorkError::BrokenOff)?;
        if machine.is_none() {
            *machine = Some(self.start()?);
        }
        let done = machine.as_mut().map_or(Err(WorkError::BrokenOff), f);
        if done.as_ref().is_err_and(WorkError::is_memory) {
            *machine = None;
        }
        done
    }

    fn start(&self) -> Result<Execution, WorkError> {
        let honest = || -> Result<Execution, ExecutionError> {
            let (image, repetitions) = (&self.model.image, self.repetitions);
            let schedule = image.big_steps().repeated(repetitions);
            let schedule = schedule.ok_or(ExecutionError::Repetitions(repetitions))?;
            let execution = Execution::new(image.clone(), schedule, self.placed())?;
            Ok(execution.with_limit(MemoryLimit::new(self.max_memory)))
        };
        match (&self.tamper, &self.model.native) {
            (None, Some(native)) => Ok(honest()?.with_native(native)?),
            (None, None) => Ok(honest()?),
            (Some(tamper), _) => tamper(&self.model, &|| honest().map_err(|error| error.to_string()))
                .map_err(WorkError::Tamper),
        }
    }

    /// Whether inputs have this commitment.
    pub fn are_inputs(model: &LoadedModel, inputs: &[Bytes], commitment: B256) -> bool {
        inputs_commitment(model.inputs(), inputs) == Some(commitment)
    }
}

/// The maximum number of runs that are kept.
const MOST_INFERENCES: usize = 16;

/// Inferences that were needed lately. Machines are large, so those that nobody uses are dropped.
#[derive(Default)]
pub(crate) struct Inferences(HashMap<B256, Arc<Inference>>);

impl Inferences {
    /// The name of an inference: inputs with this commitment, a model, and its repetitions.
    pub fn name(commitment: B256, model: B256, repetitions: u64) -> B256 {
        let name = [&commitment.0[..], &model.0, &repetitions.to_be_bytes()].concat();
        B256::new(step::keccak(&name).0)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn find(&self, name: B256) -> Option<Arc<Inference>> {
        self.0.get(&name).cloned()
    }

    pub fn keep(&mut self, name: B256, new: Inference) -> Arc<Inference> {
        if self.0.len() >= MOST_INFERENCES {
            self.free();
        }
        let new = Arc::new(new);
        self.0.insert(name, Arc::clone(&new));
        new
    }

    /// Drops those that nobody uses.
    pub fn free(&mut self) {
        self.0.retain(|_, inference| Arc::strong_count(inference) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counting;
    use crate::model::pack;
    use compiler::Options;
    use image::{Image, Role};
    use std::path::Path;

    #[test]
    fn zeros_at_the_end_of_an_input_may_be_missing() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let result = |bytes: &[u8], native: bool| {
            let compiled = compiler::compile(&path, &Options::default()).expect("an image");
            let native = native.then(|| native::Native::of(&compiled.image, 1).expect("native code"));
            let model = Arc::new(LoadedModel::new(compiled.image, native).expect("a model"));
            Inference::new(model, 0, vec![Bytes::copy_from_slice(bytes)], None, None)
                .result()
                .expect("a result")
        };
        for bytes in [&[][..], &[1, 2, 3], &[0x3f; 2000]] {
            let whole = [bytes, &vec![0; 3136 - bytes.len()]].concat();
            let truth = result(&whole, false);
            assert_eq!(result(bytes, false), truth);
            assert_eq!(result(bytes, true), truth);
            // What is behind the input in its region doesn't matter.
            let more = [&whole[..], &[7; 5]].concat();
            assert_eq!(result(&more, false), result(&more, true));
        }
    }

    #[test]
    fn a_request_says_how_often_the_period_is_repeated() {
        let first: Vec<f32> = (0..counting::SIZE).map(|x| x as f32).collect();
        let image = Image::new(counting::counter(1, 5).contents()).expect("an image");
        let model = |native| Arc::new(LoadedModel::new(image.clone(), native).expect("a model"));
        let native = native::Native::of(&image, 1).expect("native code");
        let models = [model(None), model(Some(native))];
        for (end, repetitions) in [(3, 1), (3, 2), (3, 4), (9, 4), (9, 5)] {
            let inputs = counting::inputs(&first, end);
            let inputs: Vec<Bytes> = inputs.into_iter().map(Bytes::from).collect();
            let run = |model: &Arc<LoadedModel>| {
                Inference::new(Arc::clone(model), repetitions, inputs.clone(), None, None).result()
            };
            let [machine, native] = models.each_ref().map(|model| run(model).expect("a result"));
            assert_eq!(machine, native);
            let right = counting::counted(&first, end, repetitions);
            let right: Vec<u8> = right.into_iter().flat_map(f32::to_le_bytes).collect();
            assert_eq!(native.outputs[0].bytes[..], right);
        }
        for model in &models {
            let inputs = counting::inputs(&first, 1).into_iter().map(Bytes::from).collect();
            assert!(Inference::new(Arc::clone(model), 6, inputs, None, None).result().is_err());
        }
    }

    #[test]
    fn a_result_whose_bytes_cannot_be_shown_is_known_all_the_same() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let mut contents =
            compiler::compile(&path, &Options::default()).expect("an image").image.into_contents();
        // Something stays behind the output, as it does behind a state that was given by its root.
        let output =
            contents.tensors.iter_mut().find(|tensor| tensor.role == Role::Output).expect("an output");
        (output.shape, output.bytes) = (vec![1, 9], 36);
        let model =
            Arc::new(LoadedModel::new(Image::new(contents).expect("an image"), None).expect("a model"));
        let inputs = pack(model.inputs(), &[]);
        let mut computed =
            Inference::new(Arc::clone(&model), 0, inputs, None, None).result().expect("a result");
        let (region, output) = (&model.outputs()[0], &computed.outputs[0]);
        assert_eq!((region.bytes, output.bytes.len()), (36, 64));
        assert_eq!(crate::model::region_root(region, &output.bytes), output.root);
        assert_eq!(computed.result, contracts::word(commitment(&[output.root])));
        assert!(!computed.can_be_shown(0, model.outputs()) && computed.can_be_shown(1, model.outputs()));
        computed.forget(0);
        assert_eq!(computed.bytes(), 64);
        computed.forget(1);
        assert_eq!((computed.bytes(), computed.shown(1)[0].len()), (0, 32));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_run_that_takes_too_much_memory_is_given_up_and_can_be_tried_again() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let mut contents =
            compiler::compile(&path, &Options::default()).expect("an image").image.into_contents();
        // The first big step jumps to itself.
        let at = (contents.schedule[0].entry - contents.profile.code_base()) as usize;
        let mut code = contents.code.to_vec();
        code[at..at + 4].copy_from_slice(&0x0000_006f_u32.to_le_bytes());
        contents.code = code.into();
        contents.schedule[0].bound = 1 << 40;
        let model =
            Arc::new(LoadedModel::new(Image::new(contents).expect("an image"), None).expect("a model"));
        let inputs = pack(model.inputs(), &[]);
        let inference = Inference::new(model, 0, inputs, None, Some(1000));
        for result in [inference.result().err(), inference.opening(20).err(), inference.result().err()] {
            assert!(result.as_ref().is_some_and(WorkError::is_memory), "{result:?}");
        }
    }
}
