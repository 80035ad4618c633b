//! A model that a player can run: its image, and its native code if it was compiled here.

use contracts::{B256, Bytes};
use game::{Execution, ExecutionError, Model, Oracle as _, VOID};
use image::{Image, Interface, Region};
use native::Native;
use step::{Root, Tree};
use thiserror::Error;

/// The largest input or output, in bytes. They are copied as a whole. A transaction can hold far less.
const MOST_BYTES: u64 = 1 << 30;

/// A model that can be run.
pub struct LoadedModel {
    /// Its name in logs.
    pub name: String,
    /// Its image.
    pub image: Image,
    /// Its native code, if it was compiled here.
    pub native: Option<Native>,
    /// The registry's commitment to it, and the subject of its games.
    pub commitment: Model,
    interface: Interface,
}

/// The result of a model on an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// The output root.
    pub root: B256,
    /// The output. Empty if the model has none for the input.
    pub output: Bytes,
}

/// Why a model can't be served.
#[derive(Debug, Error)]
pub enum ModelError {
    /// It declares no inputs, outputs or bounds.
    #[error("the image does not declare its inputs, outputs and bounds, or has none")]
    NoInterface,
    /// An input or output is too large to pass around.
    #[error("the {what} have {bytes} bytes; at most {MOST_BYTES} are supported")]
    TooLarge {
        /// Inputs or outputs.
        what: &'static str,
        /// The size in bytes.
        bytes: u64,
    },
    /// The game's rules.
    #[error("the model can't be disputed: {0}")]
    Illegal(#[from] game::Illegal),
}

impl LoadedModel {
    /// A model from its image. Until it is [`named`](Self::named), its memory root is its name.
    pub fn new(image: Image, native: Option<Native>) -> Result<Self, ModelError> {
        let interface = image.interface.ok_or(ModelError::NoInterface)?;
        let commitment = Model::of(&image, &image.big_steps()).ok_or(ModelError::NoInterface)?;
        commitment.check()?;
        let name = crate::show::Short(contracts::word(commitment.memory_root)).to_string();
        let model = Self { name, image, native, commitment, interface };
        for (what, bytes) in [("inputs", model.input_bytes()), ("outputs", model.output_bytes())] {
            match bytes {
                0 => return Err(ModelError::NoInterface),
                1..=MOST_BYTES => {}
                _ => return Err(ModelError::TooLarge { what, bytes }),
            }
        }
        Ok(model)
    }

    /// The same model with a name for logs.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The maximum number of moves in a game about it.
    #[must_use]
    pub fn most_moves(&self, arity: u64) -> u64 {
        game::Game::most_moves(self.commitment.big_steps(), self.longest(), arity)
    }

    /// The input region.
    #[must_use]
    pub fn input(&self) -> Region {
        self.interface.input
    }

    /// The output region.
    #[must_use]
    pub fn output(&self) -> Region {
        self.interface.output
    }

    /// The bytes of an input: from the start of the region to the end of the last input tensor.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        self.commitment.input_bytes
    }

    /// The bytes of an output.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.commitment.output_bytes
    }

    /// The bound of the longest big step.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.image.schedule.iter().map(|step| step.bound).max().unwrap_or(0).max(1)
    }

    /// The result of the model's run in the machine, truthful or not.
    pub fn result(&self, machine: &mut Execution) -> Result<Computed, ExecutionError> {
        // The run may use another schedule than the listing. The result is the same.
        let commitment = *machine.model();
        let root = machine.result(&commitment)?;
        let bytes = usize::try_from(self.output_bytes()).unwrap_or(usize::MAX);
        let output = if root == VOID { &[][..] } else { machine.read(self.output().address, bytes)? };
        Ok(Computed { root: contracts::word(root), output: Bytes::copy_from_slice(output) })
    }

    /// The model's ID: the hash by which the contracts know it, on every chain.
    #[must_use]
    pub fn id(&self) -> B256 {
        contracts::model_id(&self.commitment)
    }
}

/// The bytes of a region: every tensor's bytes at its address, zeros elsewhere.
#[must_use]
pub fn pack(region: Region, bytes: u64, tensors: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut packed = vec![0; usize::try_from(bytes).unwrap_or(0)];
    for (address, tensor) in tensors {
        let at = usize::try_from(address.saturating_sub(region.address)).unwrap_or(usize::MAX);
        for (to, from) in packed.iter_mut().skip(at).zip(tensor) {
            *to = *from;
        }
    }
    packed
}

/// The root of a region that starts with these bytes followed by zeros.
#[must_use]
pub fn input_root(region: Region, bytes: &[u8]) -> Root {
    Tree::of_bytes(bytes, u32::from(region.bits).saturating_sub(step::merkle::LEAF.ilog2())).root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use compiler::Options;
    use image::Role;
    use std::path::Path;
    use step::MachineProfile;

    #[test]
    fn inputs_have_a_limit() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let model = |beginning: u64| {
            let mut contents =
                compiler::compile(&path, &Options::default()).expect("an image").image.into_contents();
            let old = contents.profile;
            contents.profile = MachineProfile::new(old.extensions(), 40, old.code_base(), old.code_size())
                .expect("a machine");
            let interface = contents.interface.as_mut().expect("an interface");
            interface.input = Region { address: 1 << 35, bits: 35 };
            let input =
                contents.tensors.iter_mut().find(|tensor| tensor.role == Role::Input).expect("an input");
            input.address = (1 << 35) + beginning;
            LoadedModel::new(Image::new(contents).expect("an image"), None).map(|model| model.input_bytes())
        };
        // The bytes between the start of the region and the tensor count too.
        let size = model(0).expect("a model");
        assert_eq!(model(MOST_BYTES - size).ok(), Some(MOST_BYTES));
        let error = model(MOST_BYTES).expect_err("too large");
        assert_eq!(
            error.to_string(),
            format!("the inputs have {} bytes; at most 1073741824 are supported", MOST_BYTES + size)
        );
    }
}
