//! What takes time: running models and finding moves, on threads of their own.

use crate::model::{Computed, Known, input_root};
use crate::shortcut::NativeShortcut;
use contracts::{B256, Bytes};
use game::player::{challenge, reply};
use game::{Challenge, Execution, Game, Move};
use image::Role;
use std::sync::{Arc, Mutex};
use step::Root;
use thiserror::Error;

/// Makes a lying run of an honest one: what `--cheat` does.
pub type Tamper =
    Arc<dyn Fn(&Known, &dyn Fn() -> Result<Execution, String>) -> Result<Execution, String> + Send + Sync>;

/// Why something can't be computed.
#[derive(Debug, Error)]
pub enum WorkError {
    /// The machine.
    #[error(transparent)]
    Execution(#[from] game::ExecutionError),
    /// The host.
    #[error(transparent)]
    Native(#[from] native::NativeError),
    /// The first big step.
    #[error("cannot run natively: {0}")]
    Shortcut(game::ShortcutError),
    /// A lie that can't be told.
    #[error("{0}")]
    Tamper(String),
    /// Another thread has failed while it ran the model.
    #[error("the run of the model was broken off")]
    BrokenOff,
}

/// A model on an input. The machine is started when it is needed.
pub struct Inference {
    known: Arc<Known>,
    input: Bytes,
    tamper: Option<Tamper>,
    machine: Mutex<Option<Execution>>,
}

impl Inference {
    /// Nothing is run yet.
    pub fn new(known: Arc<Known>, input: Bytes, tamper: Option<Tamper>) -> Self {
        Self { known, input, tamper, machine: Mutex::default() }
    }

    /// What comes out: from native code if there is some, from the machine otherwise.
    pub fn result(&self) -> Result<Computed, WorkError> {
        match &self.known.native {
            Some(native) if self.tamper.is_none() => self.native(native),
            _ => self.with_machine(|machine| Ok(self.known.said(machine)?)),
        }
    }

    fn native(&self, native: &native::Native) -> Result<Computed, WorkError> {
        let image = &self.known.image;
        let start = self.known.input().address;
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
        let bytes = usize::try_from(self.known.output_bytes()).unwrap_or(usize::MAX);
        let output = run.memory().read(self.known.output().address, bytes).unwrap_or_default();
        Ok(Computed { root, output: Bytes::copy_from_slice(output) })
    }

    /// The first move of a challenger.
    pub fn opening(&self, arity: u64) -> Result<Challenge, WorkError> {
        self.with_machine(|machine| Ok(challenge(&self.known.model, arity, machine)?))
    }

    /// The next move in a game; `None` if there is nothing to disagree with.
    pub fn reply(&self, game: &Game, theirs: &[Root]) -> Result<Option<Move>, WorkError> {
        self.with_machine(|machine| Ok(reply(game, theirs, machine)?))
    }

    fn with_machine<T>(&self, f: impl FnOnce(&mut Execution) -> Result<T, WorkError>) -> Result<T, WorkError> {
        let mut machine = self.machine.lock().map_err(|_| WorkError::BrokenOff)?;
        if machine.is_none() {
            *machine = Some(self.start()?);
        }
        machine.as_mut().map_or(Err(WorkError::BrokenOff), f)
    }

    fn start(&self) -> Result<Execution, WorkError> {
        let image = &self.known.image;
        let inputs = vec![(self.known.input().address, self.input.to_vec())];
        let honest = || Execution::new(image.clone(), image.big_steps(), inputs.clone());
        match &self.tamper {
            None => match NativeShortcut::new(Arc::clone(&self.known), &self.input) {
                Some(shortcut) => Ok(honest()?.with_shortcut(Box::new(shortcut.map_err(WorkError::Shortcut)?))),
                None => Ok(honest()?),
            },
            Some(tamper) => {
                tamper(&self.known, &|| honest().map_err(|error| error.to_string())).map_err(WorkError::Tamper)
            }
        }
    }

    /// Whether an input is the one with this root.
    pub fn is_input(known: &Known, input: &[u8], root: B256) -> bool {
        input.len() as u64 == known.input_bytes() && contracts::word(input_root(known.input(), input)) == root
    }
}
