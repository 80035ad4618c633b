//! The slow work, done on other threads: running models and finding moves.

use crate::model::{Computed, LoadedModel, input_root};
use crate::shortcut::NativeShortcut;
use contracts::{B256, Bytes};
use game::player::{challenge, reply};
use game::{Challenge, Execution, ExecutionError, Game, MemoryLimit, Model, Move, VOID};
use image::Role;
use std::sync::{Arc, Mutex};
use step::Root;
use thiserror::Error;

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
    /// The native run between big steps failed.
    #[error("cannot run natively: {0}")]
    Shortcut(game::ShortcutError),
    /// The lie of a cheating player can't be told.
    #[error("{0}")]
    Tamper(String),
    /// The bytes that would be shown are not those of the root. The image's tensors lie about its outputs.
    #[error(
        "the output's {bytes} bytes do not have the root of the run's output: the image contradicts itself"
    )]
    Shown {
        /// How many bytes.
        bytes: usize,
    },
    /// Another thread panicked while it ran the model.
    #[error("the run of the model was interrupted")]
    BrokenOff,
}

impl WorkError {
    /// Whether more memory would help.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        matches!(self, Self::Execution(ExecutionError::Memory(_)))
    }
}

/// A model on an input. The machine is created when it is first needed.
pub struct Inference {
    model: Arc<LoadedModel>,
    repetitions: u64,
    input: Bytes,
    tamper: Option<Tamper>,
    max_memory: Option<u64>,
    machine: Mutex<Option<Execution>>,
}

impl Inference {
    /// An inference that has not run yet.
    pub fn new(
        model: Arc<LoadedModel>,
        repetitions: u64,
        input: Bytes,
        tamper: Option<Tamper>,
        max_memory: Option<u64>,
    ) -> Self {
        Self { model, repetitions, input, tamper, max_memory, machine: Mutex::default() }
    }

    /// The result: from native code if there is some, otherwise from the machine. Its bytes have its root: a
    /// server that shows others loses its bond.
    pub fn result(&self) -> Result<Computed, WorkError> {
        let computed = match &self.model.native {
            Some(native) if self.tamper.is_none() => self.native(native)?,
            _ => self.with_machine(|machine| Ok(self.model.result(machine)?))?,
        };
        let bytes = computed.output.len();
        let shown = if bytes == 0 { VOID } else { input_root(self.model.output(), &computed.output) };
        if contracts::word(shown) == computed.root { Ok(computed) } else { Err(WorkError::Shown { bytes }) }
    }

    fn native(&self, native: &native::Native) -> Result<Computed, WorkError> {
        let image = &self.model.image;
        let start = self.model.input().address;
        let inputs = image.tensors.iter().filter(|tensor| tensor.role == Role::Input);
        let inputs: Vec<&[u8]> = inputs
            .map(|tensor| {
                let at = usize::try_from(tensor.address - start).unwrap_or(usize::MAX);
                let bytes = self.input.get(at..).unwrap_or_default();
                bytes.get(..usize::try_from(tensor.bytes).unwrap_or(usize::MAX)).unwrap_or(bytes)
            })
            .collect();
        let mut run = native::Run::new(native, image, &inputs)?;
        let root = contracts::word(run.output_root()?);
        let bytes = usize::try_from(self.model.output_bytes()).unwrap_or(usize::MAX);
        let output = run.memory().read(self.model.output().address, bytes).unwrap_or_default();
        Ok(Computed { root, output: Bytes::copy_from_slice(output) })
    }

    /// The first move of a challenger.
    pub fn opening(&self, arity: u64) -> Result<Challenge, WorkError> {
        let commitment = self.commitment();
        self.with_machine(|machine| Ok(challenge(&commitment, arity, machine)?))
    }

    /// The model with the request's repetitions.
    #[must_use]
    pub fn commitment(&self) -> Model {
        Model { repetitions: self.repetitions, ..self.model.commitment }
    }

    /// The next move in a game; `None` if there is nothing to disagree with.
    pub fn reply(&self, game: &Game, theirs: &[Root]) -> Result<Option<Move>, WorkError> {
        self.with_machine(|machine| Ok(reply(game, theirs, machine)?))
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
        let image = &self.model.image;
        let inputs = vec![(self.model.input().address, self.input.to_vec())];
        let honest = || {
            let (repetitions, schedule) = (self.repetitions, image.big_steps());
            let schedule = schedule.repeated(repetitions).ok_or(ExecutionError::Repetitions(repetitions))?;
            let execution = Execution::new(image.clone(), schedule, inputs.clone())?;
            Ok(execution.with_limit(MemoryLimit::new(self.max_memory)))
        };
        match &self.tamper {
            None => match NativeShortcut::new(Arc::clone(&self.model), &self.input) {
                Some(shortcut) => {
                    Ok(honest()?.with_shortcut(Box::new(shortcut.map_err(WorkError::Shortcut)?)))
                }
                None => Ok(honest()?),
            },
            Some(tamper) => {
                tamper(&self.model, &|| honest().map_err(|error: ExecutionError| error.to_string()))
                    .map_err(WorkError::Tamper)
            }
        }
    }

    /// Whether an input has this root.
    pub fn is_input(model: &LoadedModel, input: &[u8], root: B256) -> bool {
        let fits = input.len() as u64 <= 1 << model.input().bits;
        fits && contracts::word(input_root(model.input(), input)) == root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compiler::Options;
    use image::Image;
    use std::path::Path;

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
        let input = Bytes::from(vec![0; model.input_bytes() as usize]);
        let inference = Inference::new(model, 0, input, None, Some(1000));
        for result in [inference.result().err(), inference.opening(20).err(), inference.result().err()] {
            assert!(result.as_ref().is_some_and(WorkError::is_memory), "{result:?}");
        }
    }
}
